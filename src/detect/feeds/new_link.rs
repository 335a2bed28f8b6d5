//! Two ASes stand next to each other in paths to watched prefixes that never did before: information with a score, for those
//! who look into a hijack with a forged path, or into a detour. Off unless asked for (`[detect.new_link]`), and it never
//! wakes anybody: most new links are real.
//!
//! What speaks for and against a link is what can be seen from paths and from RPKI; each is a term of the score:
//!
//! | term | weight | why |
//! |---|---|---|
//! | `next_to_origin` | 2 | where a forged origin shows |
//! | `nothing_in_common` | 2 | no third AS was seen next to both: they meet nowhere that is known |
//! | `one_direction` | 1 | never seen the other way round, as links between networks that carry others' routes are |
//! | `wide` | 1 | half of the paths of a prefix or more go through it at once |
//! | `both_directions` | -3 | seen the other way round before |
//! | `relation_known` | -3 | declared, or in the relationship file |
//! | `aspa_not_provider` | 4 | the AS behind attests its providers, and the other is none of them |
//! | `aspa_provider` | -5 | it attests the other as its provider |
//!
//! Links of paths to anything are learnt, those of the first tables without a word. One that stands for a day is known.
//!
//! Settings (`[detect.new_link]`) and defaults: `enabled` false, `score_min` 3, `learn` a day.
//!
//! # False positives
//! New peerings and upstreams, and links that show when better paths are gone. Route servers are not in paths, so their
//! members seem to be linked. What is not seen cannot be learnt: with few neighbours many links are new for long.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use rustc_hash::FxBuildHasher;

use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Kind, Severity,
        paths::leak::Relations,
        scene::{Seen, as_evidence, is_enough, names, paths},
        settings::Settings as All,
    },
    rib::SetId,
    types::{Asn, Prefix, Timestamp},
    validation::aspa::Hop,
    view::observed::PathChange,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// The least score that is told.
    pub score_min: i32,
    /// After this time a link is known.
    pub learn: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: false, score_min: 3, learn: Duration::from_secs(86_400) }
    }
}

/// The AS nearer to us, and the one nearer to the origin.
type Link = (Asn, Asn);

/// Links that are remembered, at most; the Internet has about half a million.
const LINKS_MAX: usize = 1 << 21;

/// A link that is new.
#[derive(Debug)]
struct New {
    since: Timestamp,
    /// Watched prefixes with paths through it.
    prefixes: BTreeSet<Prefix>,
    /// ASes that were next to both before it was looked at first.
    common: Option<usize>,
}

/// The detector.
#[derive(Debug)]
pub struct NewLink {
    settings: Settings,
    relations: Relations,
    known: HashSet<Link, FxBuildHasher>,
    new: BTreeMap<Link, New>,
    /// Links of which another look is due, with what changed about them.
    dirty: BTreeSet<Link>,
}

impl NewLink {
    /// As the settings say.
    pub fn new(settings: &Settings, all: &All) -> Option<Self> {
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            relations: all.paths.leak.relations.clone(),
            known: HashSet::default(),
            new: BTreeMap::new(),
            dirty: BTreeSet::new(),
        })
    }

    fn examine(&mut self, feed: &Feed<'_>, link: Link, board: &mut Board) {
        if self.new.get(&link).is_some_and(|new| new.common.is_none()) {
            let common = self.common(link.0, link.1);
            self.new.entry(link).and_modify(|new| new.common = Some(common));
        }
        let Some(new) = self.new.get(&link) else { return };
        let mut through: BTreeMap<Prefix, usize> = BTreeMap::new();
        let mut wide = false;
        let all: Vec<(Prefix, Vec<Seen<'_>>)> =
            new.prefixes.iter().map(|prefix| (*prefix, paths(feed.seen, *prefix))).collect();
        let mut showing: Vec<&Seen<'_>> = Vec::new();
        for (prefix, seen) in &all {
            let of: Vec<&Seen<'_>> = seen.iter().filter(|seen| links(seen.path().asns()).any(|l| l == link)).collect();
            if !of.is_empty() {
                wide |= of.len() * 2 >= seen.len() && seen.len() > 1;
                through.insert(*prefix, of.len());
                showing.extend(of);
            }
        }
        let views = showing.iter().map(|seen| (seen.vantage.class, seen.vantage_asn()));
        let shown = is_enough(&feed.settings.vantages_min, views);
        let finding = shown.then(|| self.finding(feed, link, &through, wide, &showing));
        match finding.filter(|finding| finding.total() >= self.settings.score_min) {
            Some(finding) => board.stand(feed.seen.now, finding),
            None => board.clear(feed.seen.now, &key(link), "no path shows it any more".to_owned()),
        }
        let gone: Vec<Prefix> =
            all.iter().map(|(prefix, _)| *prefix).filter(|prefix| !through.contains_key(prefix)).collect();
        if let Some(new) = self.new.get_mut(&link) {
            gone.iter().for_each(|prefix| _ = new.prefixes.remove(prefix));
        }
    }

    fn finding(
        &self,
        feed: &Feed<'_>,
        (near, far): Link,
        through: &BTreeMap<Prefix, usize>,
        wide: bool,
        showing: &[&Seen<'_>],
    ) -> Finding {
        let (since, common) =
            self.new.get(&(near, far)).map_or((feed.seen.now, 0), |new| (new.since, new.common.unwrap_or_default()));
        let why = format!(
            "AS{near} and AS{far} were not next to each other in any path before {since}; {} paths to {} watched prefixes \
             go through both now",
            showing.len(),
            through.len()
        );
        let reverse = self.known.contains(&(far, near));
        let mut finding = Finding::new(
            key((near, far)),
            Severity::Info,
            format!("a new link between AS{near} and AS{far} to watched prefixes"),
            why,
        )
        .asns("link", [near, far])
        .evidence("first_seen", since.to_string())
        .evidence("paths", as_evidence(showing))
        .evidence("paths_total", showing.len())
        .evidence("seen_in_reverse", reverse)
        .evidence("neighbors_in_common", common);
        let next = |seen: &&&Seen<'_>| seen.facts.origin_asn() == Some(far);
        let relation = self.relations.get(near, far).is_some();
        let attested = feed.seen.rpki.aspas.hop(far, near);
        for (holds, name, weight) in [
            (showing.iter().any(|seen| next(&seen)), "next_to_origin", 2),
            (common == 0, "nothing_in_common", 2),
            (!reverse, "one_direction", 1),
            (wide, "wide", 1),
            (reverse, "both_directions", -3),
            (relation, "relation_known", -3),
            (attested == Hop::NotProvider, "aspa_not_provider", 4),
            (attested == Hop::Provider, "aspa_provider", -5),
        ] {
            if holds {
                finding = finding.term(name, weight);
            }
        }
        finding.neighbors = names(showing);
        finding.member_count = through.len() as u64;
        finding.members = through.keys().take(Finding::MEMBERS_MAX).map(ToString::to_string).collect();
        finding.prefix = through.keys().next().copied().filter(|_| through.len() == 1);
        finding
    }

    /// ASes that were seen next to both.
    fn common(&self, a: Asn, b: Asn) -> usize {
        let next_to = |asn: Asn| -> BTreeSet<Asn> {
            let ends = self.known.iter().filter(|(near, far)| *near == asn || *far == asn);
            ends.map(|(near, far)| if *near == asn { *far } else { *near }).collect()
        };
        next_to(a).intersection(&next_to(b)).count()
    }
}

fn key((near, far): Link) -> Fingerprint {
    Fingerprint::new(Kind::NewNeighbor, format!("link AS{near} AS{far}"))
}

/// Neighbours in a path, each pair once in a row; prepends are no link.
fn links(asns: impl Iterator<Item = Asn>) -> impl Iterator<Item = Link> {
    let mut last: Option<Asn> = None;
    asns.filter_map(move |asn| {
        let before = last.replace(asn).filter(|before| *before != asn)?;
        let usable = |asn: Asn| !asn.is_private() && !asn.is_reserved();
        (usable(before) && usable(asn)).then_some((before, asn))
    })
}

impl FeedRule for NewLink {
    fn wants_paths(&self) -> bool {
        true
    }

    fn path(&mut self, feed: &Feed<'_>, change: &PathChange, board: &mut Board) {
        let attrs = &feed.seen.rib.attrs;
        let set = |(set, _): (SetId, _)| attrs.received(set);
        let (before, after) = (change.before.map(set), change.after.map(set));
        if before == after {
            return;
        }
        let concerns = || feed.watch.concerns(change.prefix).is_some();
        if let Some(after) = after {
            for link in links(attrs.get(after).as_path().asns()) {
                if self.known.contains(&link) {
                    continue;
                }
                if !feed.world.settled {
                    if self.known.len() < LINKS_MAX {
                        self.known.insert(link);
                    }
                    continue;
                }
                if self.new.len() >= LINKS_MAX && !self.new.contains_key(&link) {
                    continue;
                }
                let since = feed.seen.now;
                let new =
                    self.new.entry(link).or_insert_with(|| New { since, prefixes: BTreeSet::new(), common: None });
                if concerns() {
                    new.prefixes.insert(change.prefix);
                    self.dirty.insert(link);
                }
            }
        }
        if let Some(before) = before.filter(|_| !self.new.is_empty()) {
            let of = links(attrs.get(before).as_path().asns()).filter(|link| self.new.contains_key(link));
            self.dirty.extend(of.filter(|_| concerns()));
        }
        while let Some(link) = self.dirty.pop_first() {
            self.examine(feed, link, board);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.new.values().map(|new| new.since + self.settings.learn).min()
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        let old: Vec<Link> =
            self.new.iter().filter(|(_, new)| new.since + self.settings.learn <= now).map(|(link, _)| *link).collect();
        for link in old {
            self.new.remove(&link);
            if self.known.len() < LINKS_MAX {
                self.known.insert(link);
            }
            board.clear(now, &key(link), "it is there for so long that it is known".to_owned());
        }
    }
}
