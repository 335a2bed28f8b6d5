//! Who watches what, and who hears of it: detectors on the engine's thread, a look at our own feeds now and then, and the way
//! from the desk to the sinks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::runtime::Runtime;

use super::{alerts::Alerts, history::Keeper, learnt::Learnt, sinks::Sinks};
use crate::{
    alert::Delivery,
    detect::{self, Detect, Finding, Fingerprint, Kind, News, Report, Severity, feeds},
    io::{clock::Clock, rpki::Rpki, shard::ShardHandle},
    view::observed::Observer,
};

/// How often our own feeds are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Detection as the daemon has it: whom detectors report to, where what they learn is kept, and who remembers beside them
/// what was said of prefixes, if anybody does.
#[derive(Clone)]
pub(super) struct Detection {
    pub(super) alerts: Alerts,
    pub(super) learnt: Learnt,
    pub(super) history: Option<Keeper>,
}

impl Detection {
    /// All who watch; `None` when they are turned off. `resumes`: they take the place of others.
    pub(super) fn observer(&self, settings: &detect::Settings, resumes: bool) -> Option<Box<dyn Observer>> {
        let report = self.alerts.reporter();
        let detect = || Detect::new(settings.clone(), Box::new(report)).with_archive(self.learnt.archive());
        settings.enabled.then(|| match &self.history {
            Some(history) => history.beside(Box::new(detect()), resumes),
            None => Box::new(detect()) as _,
        })
    }

    /// Goes over to other settings: all there is is looked at anew, without asking any neighbour.
    pub(super) fn change(&self, settings: &detect::Settings, shard: &ShardHandle, clock: Clock) {
        match self.observer(settings, true) {
            Some(observer) => shard.set_observer(observer),
            None => {
                shard.watch_no_more();
                // What nobody looks for any more is no alert any more.
                self.alerts.reporter()(vec![Report { at: clock.now(), news: News::Settled }]);
            }
        }
    }
}

/// Hands every change of an alert to the sinks, from where they were when we ended.
pub(super) fn tell_sinks(alerts: &Alerts, sinks: Arc<Sinks>, runtime: &Runtime) {
    let mut changes = alerts.subscribe_from(sinks.resume_after().unwrap_or_else(|| alerts.seq()));
    runtime.spawn(async move {
        while let Some(delivery) = changes.next().await {
            match delivery {
                Delivery::Change(change) => sinks.tell(&change),
                Delivery::Gap { missed, next } => {
                    tracing::warn!(
                        "alerts: changes {missed} to {next} are not kept any more, and sinks were not told of them"
                    );
                }
            }
        }
    });
}

/// Looks at what feeds us: sources of RPKI data, and detection itself.
pub(super) fn watch_feeds(rpki: Rpki, shard: ShardHandle, alerts: &Alerts, clock: Clock, runtime: &Runtime) {
    let report = alerts.reporter();
    let watched = shard.is_watched();
    runtime.spawn(async move {
        let mut beat = tokio::time::interval(INTERVAL);
        let mut standing: BTreeMap<Fingerprint, Finding> = BTreeMap::new();
        loop {
            beat.tick().await;
            let view = rpki.view();
            let mut found: Vec<Finding> =
                view.sources.iter().filter_map(|source| feeds::source::sick(source, view.sources.len())).collect();
            if watched && !shard.is_watched() {
                found.push(blind());
            }
            let found: BTreeMap<Fingerprint, Finding> = found.into_iter().map(|f| (f.key.clone(), f)).collect();
            let mut news = Vec::new();
            for (key, finding) in &found {
                if standing.get(key) != Some(finding) {
                    news.push(News::Stands(Box::new(finding.clone())));
                }
            }
            for key in standing.keys().filter(|key| !found.contains_key(*key)) {
                news.push(News::Cleared { key: key.clone(), how: "it works again".to_owned() });
            }
            standing = found;
            if !news.is_empty() {
                let at = clock.now();
                report(news.into_iter().map(|news| Report { at, news }).collect());
            }
        }
    });
}

/// Nobody watches any more.
fn blind() -> Finding {
    let key = Fingerprint::new(Kind::Session, "detection");
    let why = "the detectors ended by a fault of ribwatch and nothing is watched: restart it, and report the log";
    Finding::new(key, Severity::Critical, "detection does not work", why).term("blind", 10)
}
