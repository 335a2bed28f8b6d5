//! RPKI data itself: VRPs about what is watched come, go or change (`roa-change`), and the whole loses much at once
//! (`rpki-cache`), which is a fault of a source or a trust anchor and not of each route.
//!
//! Settings (`[detect.rpki_data]`) and defaults: `loss_percent` 20, `keep` 10 minutes.
//!
//! # False positives
//! A ROA that is replaced goes and comes in two steps: what is told is the difference between two states of the data, with
//! its effect on live routes, and it is information unless a route becomes invalid. While the data as a whole shrank,
//! single losses are not told of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Feed, FeedRule};
use crate::{
    detect::{Board, Finding, Fingerprint, Hold, Kind, Severity, scene::paths, watch::Watch},
    types::{Prefix, Timestamp},
    validation::{OriginState, Snapshot, Vrp},
    view::observed::Observation,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Share of all VRPs, in percent, that must go at once to be a fault of the data.
    pub loss_percent: usize,
    /// How long a change is told of.
    pub keep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, loss_percent: 20, keep: Duration::from_secs(600) }
    }
}

/// The detector.
#[derive(Debug)]
pub struct RpkiData {
    settings: Settings,
    /// The data before the loss that stands.
    before_loss: Option<Arc<Snapshot>>,
    /// Changes that are told of, with the time until which they are.
    changes: BTreeMap<Fingerprint, Timestamp>,
}

impl RpkiData {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), before_loss: None, changes: BTreeMap::new() })
    }

    /// Whether the data shrank too much, or has recovered. Gives the data that single changes are told against: after an
    /// outage what was there before it, and none while it lasts.
    fn loss(&mut self, feed: &Feed<'_>, before: &Arc<Snapshot>, board: &mut Board) -> Option<Arc<Snapshot>> {
        let before = self.before_loss.take().unwrap_or_else(|| Arc::clone(before));
        let (reference, has) = (count(&before), count(feed.seen.rpki));
        let key = Fingerprint::new(Kind::RpkiCache, "VRPs");
        let lost = (reference.saturating_sub(has) * 100).checked_div(reference).unwrap_or(0);
        if lost < self.settings.loss_percent {
            board.clear(feed.seen.now, &key, format!("there are {has} VRPs again"));
            return Some(before);
        }
        self.before_loss = Some(before);
        let why = format!(
            "there were {reference} VRPs and there are {has}, {lost} % fewer: a source or a trust anchor failed"
        );
        let mut finding = Finding::new(key, Severity::Critical, format!("{lost} % of all VRPs are gone"), why)
            .evidence("before", reference)
            .evidence("now", has)
            .term("vrps_lost", 5);
        // Findings of this cause are members of this alert.
        finding.cause = Some(Fingerprint::new(Kind::RpkiCache, "VRPs"));
        board.stand(feed.seen.now, finding);
        None
    }

    fn changed(&mut self, feed: &Feed<'_>, before: &Snapshot, board: &mut Board) {
        let (added, removed) = before.vrps.difference(&feed.seen.rpki.vrps);
        let mut about: BTreeMap<Prefix, (BTreeSet<Vrp>, BTreeSet<Vrp>)> = BTreeMap::new();
        for (vrps, is_new) in [(removed, false), (added, true)] {
            for vrp in vrps {
                for prefix in concerned(feed.watch, &vrp) {
                    let change = about.entry(prefix).or_default();
                    if is_new {
                        change.1.insert(vrp)
                    } else {
                        change.0.insert(vrp)
                    };
                }
            }
        }
        for (prefix, (removed, added)) in about {
            self.tell(feed, before, prefix, (&removed, &added), board);
        }
    }

    fn tell(
        &mut self,
        feed: &Feed<'_>,
        before: &Snapshot,
        prefix: Prefix,
        (removed, added): (&BTreeSet<Vrp>, &BTreeSet<Vrp>),
        board: &mut Board,
    ) {
        let (mut became, mut routes) = (BTreeMap::<&str, usize>::new(), BTreeSet::new());
        for seen in paths(feed.seen, prefix) {
            let origin = seen.facts.origin_asn();
            let (old, new) = (before.origin_state(prefix, origin), feed.seen.rpki.origin_state(prefix, origin));
            if old != new && routes.insert((seen.session, origin)) {
                *became.entry(new.name()).or_default() += 1;
            }
        }
        let invalid = became.contains_key(OriginState::Invalid.name());
        let effect = match became.is_empty() {
            true => "no live route changes its state".to_owned(),
            false => {
                let each = became.iter().map(|(state, n)| format!("{n} become {}", state.replace('_', " ")));
                format!("of the live routes {}", each.collect::<Vec<_>>().join(", "))
            }
        };
        let list = |vrps: &BTreeSet<Vrp>| vrps.iter().map(ToString::to_string).collect::<Vec<_>>();
        let parts = [("gone", list(removed)), ("new", list(added))];
        let what = parts.iter().filter(|(_, vrps)| !vrps.is_empty());
        let what: Vec<String> = what.map(|(word, vrps)| format!("{word}: {}", vrps.join(", "))).collect();
        let key = Fingerprint::new(Kind::RoaChange, prefix.to_string());
        let why = format!("VRPs about {prefix} changed ({}); {effect}", what.join("; "));
        let severity = if invalid { Severity::Warning } else { Severity::Info };
        let mut finding = Finding::new(key.clone(), severity, format!("VRPs about {prefix} changed"), why)
            .about(prefix)
            .evidence("removed", list(removed))
            .evidence("added", list(added))
            .evidence("became", serde_json::json!(became))
            .term("roa_change", if invalid { 3 } else { 0 });
        finding.hold = Hold { resolve: Duration::ZERO, ..Hold::default() };
        board.stand(feed.seen.now, finding);
        self.changes.insert(key, feed.seen.now + self.settings.keep);
    }
}

fn count(snapshot: &Snapshot) -> usize {
    let (v4, v6) = snapshot.vrps.counts();
    v4 + v6
}

/// Watched prefixes that a VRP is about: those that it covers, and those of its AS that lie around it.
fn concerned(watch: &Watch, vrp: &Vrp) -> BTreeSet<Prefix> {
    let mut prefixes: BTreeSet<Prefix> = watch.inside(vrp.prefix).map(|rule| rule.prefix).collect();
    prefixes.extend(watch.rule(vrp.prefix).map(|rule| rule.prefix));
    prefixes.extend(watch.parent(vrp.prefix).map(|rule| rule.prefix));
    prefixes
}

impl FeedRule for RpkiData {
    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        let Observation::Rpki { before } = observation else { return };
        if !before.loaded {
            return; // the first data of a run are no change
        }
        if let Some(before) = self.loss(feed, before, board) {
            self.changed(feed, &before, board);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.changes.values().min().copied()
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        self.changes.retain(|key, until| {
            if *until <= now {
                board.clear(now, key, "it was told of".to_owned());
            }
            *until > now
        });
    }
}
