//! Events that are drawn by seed and laid into a real table, one after the other: victim, culprit, and which vantages see
//! it. Each is looked for under its own kind and culprit; every other alert is false. What the vantages cannot show is
//! counted apart, with the reason.
//!
//! `RIBWATCH_EVENTS=1000 cargo test --release --test it incidents::drawn -- --nocapture` draws a thousand of each class;
//! `RIBWATCH_CLASS=Leak` of one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::Duration,
};

use ribwatch::{
    alert::Why,
    app::replay::Replay,
    detect::{
        Kind, Severity,
        paths::leak::{Relation, Relations},
    },
    types::{Asn, Prefix, Timestamp},
    wire::mrt::Event,
};
use tempfile::TempDir;

use super::{
    Archive, replay,
    scenery::{Hops, Random, Scenery},
    score::Score,
};
use crate::corpus;

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    ForgedOrigin,
    ForgedFirstHop,
    MoreSpecific,
    Covering,
    Leak,
    Flap,
    Loss,
}

impl Class {
    const ALL: [Self; 7] = [
        Self::ForgedOrigin,
        Self::ForgedFirstHop,
        Self::MoreSpecific,
        Self::Covering,
        Self::Leak,
        Self::Flap,
        Self::Loss,
    ];

    /// The kind of alert that it must lead to.
    pub fn kind(self) -> Kind {
        match self {
            Self::ForgedOrigin => Kind::OriginHijack,
            Self::ForgedFirstHop => Kind::FirstHop,
            Self::MoreSpecific => Kind::SubprefixHijack,
            Self::Covering => Kind::CoveringPrefix,
            Self::Leak => Kind::RouteLeak,
            Self::Flap => Kind::Flap,
            Self::Loss => Kind::Visibility,
        }
    }

    /// The least part of the events that can be seen which must be found, in percent.
    fn recall_min(self) -> usize {
        match self {
            // An inferred relation may contradict the one that the leak was made from.
            Self::Leak => 90,
            _ => 100,
        }
    }
}

/// What each vantage announces; `None`: it withdraws.
type Paths = Vec<(usize, Option<Hops>)>;

/// One event.
pub struct Drawn {
    pub class: Class,
    pub victim: Prefix,
    pub culprit: Option<Asn>,
    /// What is announced over which path by which vantage.
    pub announced: Prefix,
    pub paths: Vec<(usize, Option<Hops>)>,
    pub rounds: usize,
    /// Why it cannot be seen from here, if so.
    pub hidden: Option<&'static str>,
}

/// Time that an event has for itself,
const SLOT: Duration = Duration::from_secs(1800);
/// and one that must calm down by half lives.
const SLOT_OF_FLAPS: Duration = Duration::from_secs(5400);
/// How long an event lasts.
const LASTS: Duration = Duration::from_secs(900);
/// Records of real updates that are played within each.
const NOISE: usize = 400;

/// What is drawn from.
struct Urn {
    scenery: Scenery,
    relations: Relations,
    random: Random,
    /// Prefixes that are not drawn yet.
    victims: Vec<Prefix>,
    /// ASes that are not drawn yet.
    culprits: Vec<Asn>,
}

impl Urn {
    fn victim(&mut self) -> Prefix {
        let at = self.random.below(self.victims.len());
        self.victims.swap_remove(at)
    }

    /// An AS with a way to it, not one of `besides`. It is drawn once, so that an alert is of one event.
    fn culprit(&mut self, besides: &[Asn]) -> Asn {
        loop {
            let at = self.random.below(self.culprits.len());
            let asn = self.culprits.swap_remove(at);
            if !besides.contains(&asn) {
                return asn;
            }
        }
    }

    /// How each vantage would hear an announcement of `culprit`, with `behind` it in the path.
    fn heard(&self, culprit: Asn, behind: &[Asn]) -> Vec<(usize, Hops)> {
        let all = 0..self.scenery.peers.len();
        let heard = all.filter_map(|peer| {
            let way = self.scenery.way(peer, culprit)?;
            let loops = behind.iter().any(|asn| way.contains(asn));
            (!loops).then(|| (peer, way.iter().chain(behind).copied().collect()))
        });
        heard.collect()
    }

    /// Those of `heard` that win against the route that the vantage has: the shorter one, at equal length one of both.
    fn winning(&mut self, victim: Prefix, heard: Vec<(usize, Hops)>) -> Vec<(usize, Option<Hops>)> {
        let own: BTreeMap<usize, usize> =
            self.scenery.seen[&victim].iter().map(|(peer, hops)| (*peer, hops.len())).collect();
        let mut won = Vec::new();
        for (peer, hops) in heard {
            let (new, old) = (hops.len(), own.get(&peer).copied().unwrap_or(usize::MAX));
            if new < old || new == old && self.random.chance(50) {
                won.push((peer, Some(hops)));
            }
        }
        won
    }

    fn draw(&mut self, class: Class) -> Drawn {
        loop {
            let victim = self.victim();
            if let Some(drawn) = self.try_draw(class, victim) {
                return drawn;
            }
        }
    }

    fn try_draw(&mut self, class: Class, victim: Prefix) -> Option<Drawn> {
        let origins = self.scenery.origins(victim);
        let mut drawn =
            Drawn { class, victim, culprit: None, announced: victim, paths: Vec::new(), rounds: 1, hidden: None };
        match class {
            Class::ForgedOrigin | Class::ForgedFirstHop | Class::MoreSpecific | Class::Covering => {
                let besides = [origins.clone(), self.scenery.upstreams(victim)].concat();
                let culprit = self.culprit(&besides);
                drawn.culprit = Some(culprit);
                let behind: Vec<Asn> =
                    origins.iter().take(usize::from(class == Class::ForgedFirstHop)).copied().collect();
                let heard = self.heard(culprit, &behind);
                drawn.announced = match class {
                    Class::MoreSpecific => self.part_of(victim)?,
                    Class::Covering => self.around(victim)?,
                    _ => victim,
                };
                drawn.paths = match drawn.announced == victim {
                    true => self.winning(victim, heard),
                    false => heard.into_iter().map(|(peer, hops)| (peer, Some(hops))).collect(),
                };
            }
            Class::Leak => {
                let (leaker, paths) = self.leak(victim)?;
                (drawn.culprit, drawn.paths) = (Some(leaker), paths);
            }
            Class::Flap | Class::Loss => {
                let seen: Vec<usize> = self.scenery.seen[&victim].iter().map(|(peer, _)| *peer).collect();
                if seen.len() < 10 {
                    return None;
                }
                let share = 20 + self.random.next() % 81;
                drawn.paths = seen.into_iter().filter(|_| self.random.chance(share)).map(|peer| (peer, None)).collect();
                drawn.rounds = if class == Class::Flap { 8 } else { 1 };
            }
        }
        let vantages: BTreeSet<Asn> = drawn.paths.iter().map(|(peer, _)| self.scenery.peers[*peer].1).collect();
        let seen = self.scenery.seen[&victim].len();
        drawn.hidden = match class {
            Class::Flap if drawn.paths.is_empty() => Some("no vantage has it"),
            Class::Flap => None,
            // visibility: below 90 % of those that had it.
            Class::Loss if drawn.paths.len() * 10 <= seen => Some("a tenth or less lost it"),
            Class::Loss if drawn.paths.len() == seen => None,
            _ if vantages.len() < 3 => Some("fewer than the three vantages that public ones must be"),
            _ => None,
        };
        Some(drawn)
    }

    /// A part of a prefix that nobody announces.
    fn part_of(&mut self, victim: Prefix) -> Option<Prefix> {
        let Prefix::V4 { addr, len: len @ ..=23 } = victim else { return None };
        let bits = len + 1 + self.random.below(usize::from(24 - len)) as u8;
        let part = Prefix::v4(addr | (self.random.next() as u32 & (u32::MAX >> len)), bits);
        let known = self
            .scenery
            .seen
            .keys()
            .any(|other| part.covers(other) || other.covers(&part) && *other != victim && victim.covers(other));
        (!known).then_some(part)
    }

    /// A prefix around another that nobody announces.
    fn around(&mut self, victim: Prefix) -> Option<Prefix> {
        let Prefix::V4 { addr, len } = victim else { return None };
        let around = Prefix::v4(addr, len - 1 - self.random.below(2) as u8);
        (around.len() >= 9 && !self.scenery.seen.contains_key(&around)).then_some(around)
    }

    /// A customer between two of its providers: it has the route from one and gives it to the other.
    fn leak(&mut self, victim: Prefix) -> Option<(Asn, Paths)> {
        let seen = self.scenery.seen[&victim].clone();
        let (_, hops) = self.random.pick(&seen);
        let at = self.random.below(hops.len());
        let (source, tail) = (hops[at], &hops[at..]);
        let tries = self.culprits.len().min(4000);
        let start = self.random.below(self.culprits.len());
        for n in 0..tries {
            let at = (start + n) % self.culprits.len();
            let leaker = self.culprits[at];
            if tail.contains(&leaker)
                || self.relations.get(leaker, source).map(|known| known.0) != Some(Relation::Provider)
            {
                continue;
            }
            let others = self.relations.providers_of(leaker);
            let targets: Vec<Asn> = others.into_iter().filter(|asn| *asn != source && !tail.contains(asn)).collect();
            let Some(target) = (!targets.is_empty()).then(|| *self.random.pick(&targets)) else { continue };
            let behind: Vec<Asn> = std::iter::once(leaker).chain(tail.iter().copied()).collect();
            let heard = self.heard(target, &behind);
            if heard.len() < 3 {
                continue;
            }
            self.culprits.swap_remove(at);
            // The target prefers its customer; who else does is chance.
            let share = 30 + self.random.next() % 71;
            let paths = heard.into_iter().filter(|_| self.random.chance(share));
            return Some((leaker, paths.map(|(peer, hops)| (peer, Some(hops))).collect()));
        }
        None
    }
}

/// Rules as they can be learnt from the table: of the victims, and of what is announced inside them already.
fn rules(scenery: &Scenery, events: &[Drawn]) -> String {
    let forged: BTreeSet<Prefix> =
        events.iter().filter(|event| event.class == Class::ForgedFirstHop).map(|event| event.victim).collect();
    let victims = events.iter().map(|event| event.victim);
    let prefixes: BTreeSet<Prefix> =
        victims.flat_map(|victim| std::iter::once(victim).chain(scenery.inside(victim)).collect::<Vec<_>>()).collect();
    let mut text = String::new();
    let list = |asns: Vec<Asn>| asns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for prefix in prefixes {
        let origins = scenery.origins(prefix);
        let upstreams: Vec<Asn> = scenery.upstreams(prefix).into_iter().filter(|asn| !origins.contains(asn)).collect();
        let _ = writeln!(text, "[[watch.prefix]]\nprefix = \"{prefix}\"\norigins = [{}]", list(origins));
        if forged.contains(&prefix) && !upstreams.is_empty() {
            let _ = writeln!(text, "upstreams = [{}]", list(upstreams));
        }
    }
    text
}

/// Plays `count` events of each class in one table, and scores them.
fn play(classes: &[Class], count: usize, seed: u64) -> Option<BTreeMap<Class, Score>> {
    let corpus = corpus::folder()?;
    let table = Archive::open(&corpus.join("mrt/routeviews-rib.20140523.0600.first1MB.truncated.bz2"));
    let noise = Archive::open(&corpus.join("mrt/updates.20130101.0013.mixed-as2-as4.mrt.xz"));
    let file = corpus::unxz(&corpus.join("asn/as-rel.inferred-2014-2016.txt.xz"));
    let mut relations = Relations::default();
    relations.read(&String::from_utf8_lossy(&file));
    let dir = TempDir::new().expect("a folder");
    fs::write(dir.path().join("relations.txt"), &file).expect("written");

    let scenery = Scenery::of(&table);
    // What changes in the real updates is not drawn: they are of another year, and it may have another origin.
    let mut busy = BTreeSet::new();
    noise.each(|_, event| {
        if let Event::Update(routes) = event {
            busy.extend(routes.item.prefixes().map(|(_, prefix)| prefix));
        }
    });
    let is_free = |prefix: &Prefix| !busy.iter().any(|other| prefix.covers(other) || other.covers(prefix));
    let whole = |prefix: &Prefix| prefix.is_v4() && !scenery.aggregated.contains(prefix);
    let victims = scenery.seen.iter().filter(|(prefix, seen)| is_free(prefix) && whole(prefix) && seen.len() >= 3);
    let victims = victims.map(|(prefix, _)| *prefix).collect();
    let culprits = scenery.ases();
    let mut urn = Urn { victims, culprits, relations, random: Random::new(seed), scenery };
    let events: Vec<Drawn> = (0..count).flat_map(|_| classes).map(|class| urn.draw(*class)).collect();

    let leak = format!("[detect.leak]\nrelations = \"{}\"\n", dir.path().join("relations.txt").display());
    // The table is the beginning of one: real updates bring prefixes that only the rest of it holds.
    let leak = leak + "[detect.prefix_count]\nenabled = false\n";
    let mut replay = replay(&(leak + &rules(&urn.scenery, &events)));
    table.each(|time, event| replay.take(time, event));
    replay.end_of_file();
    let mut at = table.ends() + Duration::from_secs(3600);
    replay.pass(at);
    let before = replay.take_changes();
    let loud = before.iter().filter(|change| change.why == Why::Opened && change.alert.severity > Severity::Info);
    for change in before.iter().filter(|change| change.why == Why::Opened) {
        println!("  in the table: {} {}", change.alert.severity, change.alert.summary);
    }
    assert_eq!(loud.count(), 0, "the table alone is told of as more than information");
    let mut scores: BTreeMap<Class, Score> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        let from = n * NOISE % (noise.len() - NOISE);
        lay(&urn.scenery, event, at, &mut replay, |at, replay| {
            noise.play_part(from..from + NOISE, at, &urn.scenery.peers, replay);
        });
        let end = at + if event.class == Class::Flap { SLOT_OF_FLAPS } else { SLOT };
        replay.pass(end);
        scores.entry(event.class).or_default().judge(event, at, &replay.take_changes());
        at = end;
    }
    Some(scores)
}

/// Lets an event happen, and the network return to what it was.
fn lay(
    scenery: &Scenery,
    event: &Drawn,
    at: Timestamp,
    replay: &mut Replay,
    noise: impl FnOnce(Timestamp, &mut Replay),
) {
    let own: BTreeMap<usize, &Hops> = scenery.seen[&event.victim].iter().map(|(peer, hops)| (*peer, hops)).collect();
    let tell = |replay: &mut Replay, at: Timestamp, does: bool| {
        for (peer, hops) in &event.paths {
            let before = own.get(peer).filter(|_| event.announced == event.victim).map(|hops| &***hops);
            let hops = if does { hops.as_deref() } else { before };
            scenery.tell(replay, at, *peer, event.announced, hops);
        }
    };
    let round = Duration::from_secs(20);
    let mut now = at;
    tell(replay, now, true);
    noise(at + Duration::from_secs(1), replay);
    for _ in 1..event.rounds {
        tell(replay, now + round / 2, false);
        now = now + round;
        tell(replay, now, true);
    }
    let end = if event.rounds > 1 { now + round / 2 } else { at + LASTS };
    replay.pass(end);
    tell(replay, end, false);
}

#[test]
fn events_that_are_drawn_are_found_by_kind_and_culprit_and_nothing_else_is() {
    let count = std::env::var("RIBWATCH_EVENTS").ok().and_then(|count| count.parse().ok());
    let seed = std::env::var("RIBWATCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut scores = BTreeMap::new();
    match count {
        // A few of each share a table.
        None => scores.extend(play(&Class::ALL, 25, seed).unwrap_or_default()),
        Some(count) => {
            let only = std::env::var("RIBWATCH_CLASS").ok();
            let is_meant = |class: &Class| only.as_ref().is_none_or(|only| *only == format!("{class:?}"));
            for class in Class::ALL.into_iter().filter(is_meant) {
                scores.extend(play(&[class], count, seed).unwrap_or_default());
            }
        }
    }
    for (class, score) in &scores {
        println!("seed {seed}: {}", score.line(*class));
        score.missed.iter().take(5).for_each(|missed| println!("  missed: {missed}"));
    }
    for (class, score) in &scores {
        assert!(score.found * 100 >= score.visible * class.recall_min(), "seed {seed}: {}", score.line(*class));
        assert!(score.ended == score.found, "seed {seed}: {}", score.line(*class));
        assert!(score.wrong.is_empty(), "seed {seed}: {}", score.line(*class));
        // One event is one alert.
        let loud = score.beside.keys().filter(|told| !told.starts_with("info"));
        assert_eq!(loud.count(), 0, "seed {seed}: {}", score.line(*class));
        let loud = score.background.keys().filter(|told| !told.starts_with("info"));
        assert_eq!(loud.count(), 0, "seed {seed}: {}", score.line(*class));
    }
}
