//! A VRP about what is watched ends soon, and was not renewed: routes lose their cover unless somebody acts
//! (`rpki-lost-cover`, before it is lost).
//!
//! Known only where a source says until when VRPs hold (`expires` of rpki-client's JSON).
//!
//! Settings (`[detect.roa_expiry]`) and defaults: `before` 2 hours.
//!
//! # False positives
//! Certificates, manifests and CRLs of RPKI are short-lived by design and are replaced all the time, mostly long before they
//! end: an end that is near is no news, and a renewal that was missed is. So nothing is said before `before` of the end.
//! A publisher that renews later than that, as a habit, is known by it: the least time that was left at any renewal seen
//! counts instead, if it is less. Where much of all data ends at once it is the source that is not renewed, and all is one
//! alert. A VRP beside which another one keeps the routes valid is told of as information.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Feed, FeedRule};
use crate::{
    detect::{Board, Finding, Fingerprint, Hold, Kind, Severity, scene::paths},
    types::{Prefix, Timestamp},
    validation::{OriginState, Snapshot, Vrp, rov::Fit},
    view::observed::Observation,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How long before its end a VRP should have been renewed.
    pub before: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, before: Duration::from_secs(7200) }
    }
}

/// Share of all VRPs of which the end is known, in percent, that must be about to end to be a fault of the source.
const SOURCE_PERCENT: usize = 20;

/// What is known of a VRP.
#[derive(Clone, Copy, Debug)]
struct Known {
    until: Timestamp,
    /// The least time that was left when it was renewed.
    habit: Option<Duration>,
    told: bool,
}

/// The detector.
#[derive(Debug)]
pub struct RoaExpiry {
    settings: Settings,
    known: BTreeMap<Vrp, Known>,
}

impl RoaExpiry {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), known: BTreeMap::new() })
    }

    /// When a VRP should have been renewed.
    fn due_at(&self, known: &Known) -> Timestamp {
        let left = known.habit.map_or(self.settings.before, |habit| habit.min(self.settings.before));
        let until = Duration::from_secs(known.until.secs().into());
        Timestamp::from_secs(until.saturating_sub(left).as_secs())
    }

    fn tell(&self, feed: &Feed<'_>, vrp: Vrp, known: &Known, board: &mut Board) {
        let about = watched(feed, &vrp);
        let (mut lost, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for prefix in &about {
            match state_without(feed, *prefix, &vrp) {
                Some(OriginState::Valid) => drop(kept.insert(*prefix)),
                Some(_) => drop(lost.insert(*prefix)),
                None => {}
            }
        }
        let effect = match (lost.len(), kept.len()) {
            (0, 0) => "no live route needs it".to_owned(),
            (0, n) => format!("{n} watched prefixes stay valid by other VRPs"),
            (n, _) => format!("{n} watched prefixes are not valid without it"),
        };
        let severity = if lost.is_empty() { Severity::Info } else { Severity::Warning };
        let until = known.until;
        let why = format!("{vrp} holds until {until} and was not renewed in time: {effect}");
        let list = |prefixes: &BTreeSet<Prefix>| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut finding = Finding::new(key(&vrp), severity, format!("{vrp} ends at {until}"), why)
            .asns("origin", [vrp.asn])
            .evidence("vrp", vrp.to_string())
            .evidence("expires", until.to_string())
            .evidence("not_valid_without_it", list(&lost))
            .evidence("valid_without_it", list(&kept))
            .term("not_renewed", if lost.is_empty() { 0 } else { 3 });
        if let Some(habit) = known.habit {
            finding = finding.evidence("least_left_at_renewals_s", habit.as_secs());
        }
        finding.prefix = about.first().copied().filter(|_| about.len() == 1);
        finding.hold = Hold { resolve: Duration::ZERO, ..Hold::default() };
        if self.source_fails(feed) {
            finding.cause = Some(Fingerprint::new(Kind::RpkiCache, "renewal"));
        }
        board.stand(feed.seen.now, finding);
    }

    /// Whether so much ends at once that nobody forgot a single ROA.
    fn source_fails(&self, feed: &Feed<'_>) -> bool {
        let soon = u64::from((feed.seen.now + self.settings.before).secs());
        let all = feed.seen.rpki.expiries.iter();
        let count = all.len();
        count >= 10 && all.filter(|(_, until)| *until <= soon).count() * 100 >= count * SOURCE_PERCENT
    }
}

fn key(vrp: &Vrp) -> Fingerprint {
    Fingerprint::new(Kind::RpkiLostCover, format!("end of {vrp}"))
}

/// Watched prefixes that a VRP covers.
fn watched(feed: &Feed<'_>, vrp: &Vrp) -> BTreeSet<Prefix> {
    let same = feed.watch.rule(vrp.prefix).into_iter();
    same.chain(feed.watch.inside(vrp.prefix)).map(|rule| rule.prefix).collect()
}

/// What a route of the VRP's AS would be without it; `None`: there is no such route.
fn state_without(feed: &Feed<'_>, prefix: Prefix, vrp: &Vrp) -> Option<OriginState> {
    let origin = Some(vrp.asn);
    let live = paths(feed.seen, prefix).iter().any(|seen| seen.facts.origin_asn() == origin);
    let is_valid = live && feed.seen.rpki.origin_state(prefix, origin) == OriginState::Valid;
    let covering = feed.seen.rpki.vrps.covering(prefix, origin);
    let others: Vec<Fit> = covering.iter().filter(|other| other.vrp != *vrp).map(|other| other.fit).collect();
    is_valid.then(|| match others.as_slice() {
        [] => OriginState::NotFound,
        fits if fits.contains(&Fit::Matches) => OriginState::Valid,
        _ => OriginState::Invalid,
    })
}

/// VRPs about watched prefixes whose end is known.
fn ends(feed: &Feed<'_>, rpki: &Snapshot) -> BTreeMap<Vrp, Timestamp> {
    let mut ends = BTreeMap::new();
    for rule in feed.watch.rules() {
        for vrp in rpki.vrps.covering(rule.prefix, None).into_iter().map(|covering| covering.vrp) {
            if let Some(until) = rpki.expiries.get(&vrp) {
                ends.insert(vrp, Timestamp::from_secs(until));
            }
        }
    }
    ends
}

impl FeedRule for RoaExpiry {
    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        if !matches!(observation, Observation::Rpki { .. }) {
            return;
        }
        let now = feed.seen.now;
        let ends = ends(feed, feed.seen.rpki);
        let mut before = std::mem::take(&mut self.known);
        for (vrp, until) in ends {
            let known = match before.remove(&vrp) {
                Some(old) if old.until < until => {
                    let left = old.until.since(now);
                    let habit = Some(old.habit.map_or(left, |habit| habit.min(left)));
                    board.clear(now, &key(&vrp), format!("it was renewed and holds until {until}"));
                    Known { until, habit, told: false }
                }
                Some(old) => Known { until, ..old },
                None => Known { until, habit: None, told: false },
            };
            self.known.insert(vrp, known);
        }
        for vrp in before.into_keys() {
            board.clear(now, &key(&vrp), "it is gone".to_owned());
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.known.values().filter(|known| !known.told).map(|known| self.due_at(known)).min()
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        let due = |known: &Known| !known.told && self.due_at(known) <= now;
        let missed: Vec<Vrp> = self.known.iter().filter(|(_, known)| due(known)).map(|(vrp, _)| *vrp).collect();
        for vrp in missed {
            if let Some(known) = self.known.get_mut(&vrp) {
                known.told = true;
                let known = *known;
                self.tell(feed, vrp, &known, board);
            }
        }
    }
}
