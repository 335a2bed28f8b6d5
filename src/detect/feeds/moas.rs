//! A prefix of a watched AS has another origin, too (multiple origin AS), and no rule is about it: rules say who may
//! originate, and a strange origin of theirs is a hijack.
//!
//! Settings (`[detect.moas]`): `enabled` true.
//!
//! # False positives
//! Anycast, and networks with several ASes: origins that are all RPKI-valid are no finding, nor is an origin that stands next
//! to the watched AS in a path (a customer with a part of its provider's space). It is information only.

use std::collections::{BTreeMap, BTreeSet};

use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Kind, Severity,
        scene::{as_evidence, names, paths},
    },
    rib::SetId,
    types::{Asn, Prefix},
    validation::OriginState,
    view::observed::PathChange,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Moas {
    /// Prefixes with a finding.
    told: BTreeMap<Prefix, Fingerprint>,
    /// Prefixes that a watched AS originates.
    ours: BTreeSet<Prefix>,
}

impl Moas {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { told: BTreeMap::new(), ours: BTreeSet::new() })
    }

    fn examine(&mut self, feed: &Feed<'_>, prefix: Prefix, board: &mut Board) {
        let seen = paths(feed.seen, prefix);
        let mut origins: BTreeMap<Asn, Vec<_>> = BTreeMap::new();
        for path in &seen {
            path.origins().into_iter().for_each(|asn| origins.entry(asn).or_default().push(path));
        }
        let watched: Vec<Asn> = origins.keys().copied().filter(|asn| feed.watch.asn(*asn).is_some()).collect();
        if watched.is_empty() {
            self.ours.remove(&prefix);
        } else {
            self.ours.insert(prefix);
        }
        let neighbors: BTreeSet<Asn> = seen
            .iter()
            .flat_map(|path| {
                path.path().asns().collect::<Vec<_>>().windows(2).map(|w| [w[0], w[1]]).collect::<Vec<_>>()
            })
            .filter(|pair| pair.iter().any(|asn| watched.contains(asn)))
            .flatten()
            .collect();
        let strange: Vec<Asn> =
            origins.keys().copied().filter(|asn| !watched.contains(asn) && !neighbors.contains(asn)).collect();
        let all_valid = seen.iter().all(|path| path.validity() == OriginState::Valid);
        if watched.is_empty() || strange.is_empty() || all_valid {
            if let Some(key) = self.told.remove(&prefix) {
                board.clear(feed.seen.now, &key, "it has one origin again".to_owned());
            }
            return;
        }
        let list = |asns: &[Asn]| asns.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
        let key = Fingerprint::new(Kind::Moas, prefix.to_string());
        let why = format!("{} originates {prefix}, and so does {}", list(&watched), list(&strange));
        let all: Vec<_> = seen.iter().collect();
        let mut finding = Finding::new(key.clone(), Severity::Info, format!("{prefix} has several origins"), why)
            .about(prefix)
            .asns("expected", watched)
            .asns("observed", strange)
            .evidence("paths", as_evidence(&all))
            .term("several_origins", 1);
        finding.neighbors = names(&all);
        board.stand(feed.seen.now, finding);
        self.told.insert(prefix, key);
    }
}

impl FeedRule for Moas {
    fn wants_paths(&self) -> bool {
        true
    }

    #[inline]
    fn path(&mut self, feed: &Feed<'_>, change: &PathChange, board: &mut Board) {
        if !feed.watch.watches_asns() {
            return;
        }
        let attrs = &feed.seen.rib.attrs;
        let of_ours = |(set, _): (SetId, _)| {
            let origin = attrs.facts(attrs.received(set)).origin_asn();
            origin.is_some_and(|asn| feed.watch.asn(asn).is_some())
        };
        let concerns = change.after.is_some_and(of_ours) || self.ours.contains(&change.prefix);
        let ruled = || feed.watch.rule(change.prefix).is_some() || feed.watch.parent(change.prefix).is_some();
        if concerns && !ruled() {
            self.examine(feed, change.prefix, board);
        }
    }
}
