//! Restarts, theirs and ours: what is kept, for how long, and what goes (RFC 4724, RFC 8538, RFC 9494).

use std::{collections::BTreeMap, time::Duration};

use ribwatch::{
    types::Family,
    view::Table,
    wire::bgp::capability::{Capability, GracefulRestart, LlgrFamily},
};

use super::{V4, V6, paths};
use crate::lab::{Lab, Spec, Who, external};

mod deferral;
mod helper;
mod long_lived;
mod property;

/// A neighbour that comes back within two minutes and keeps its state of these families meanwhile.
fn restarts(asn: u32, families: &[Family]) -> Spec {
    let mut spec = external(asn);
    spec.settings.retention.helper = true;
    spec.negotiated.graceful_restart = Some(GracefulRestart {
        restarting: false,
        notification: false,
        restart_time_secs: 120,
        families: families.iter().map(|family| (*family, true)).collect(),
    });
    let told = spec.negotiated.graceful_restart.clone().unwrap_or_default();
    spec.negotiated.remote_capabilities.push(Capability::GracefulRestart(told));
    spec
}

/// As `restarts` in IPv4, and its routes may stay for so many seconds behind that.
fn lives_long(asn: u32, stale_time_secs: u32) -> Spec {
    let mut spec = restarts(asn, &[V4]);
    spec.settings.retention.long_lived_max = secs(86_400);
    spec.negotiated.long_lived = Some(vec![LlgrFamily { family: V4, forwarding_preserved: true, stale_time_secs }]);
    spec.negotiated
        .remote_capabilities
        .push(Capability::LongLivedGracefulRestart(spec.negotiated.long_lived.clone().unwrap_or_default()));
    spec
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What readers see of a neighbour's routes: whether they are stale.
fn routes_of(lab: &mut Lab, who: Who) -> BTreeMap<String, bool> {
    let page = lab.table(Table::AdjIn, Some(who));
    page.rows.iter().map(|row| (format!("{:?}", row.nlri), row.stale)).collect()
}

/// How many of a neighbour's routes there are, and how many of those are stale.
fn counts_of(lab: &mut Lab, who: Who) -> (usize, usize) {
    let routes = routes_of(lab, who);
    (routes.len(), routes.values().filter(|stale| **stale).count())
}

/// How long until the engine wants to be called.
fn next(lab: &Lab) -> Option<Duration> {
    lab.engine.next_deadline().map(|deadline| deadline.since(lab.now))
}
