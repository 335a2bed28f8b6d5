//! Windows of real updates in which nothing is known to have happened, with 500 prefixes watched that are drawn by seed.
//! Rules are what each vantage showed of a prefix first: its origins and the ASes next to them. Every alert is printed with
//! its reason; what was judged to be true, or worth knowing, is listed here, and nothing else may be told.
//!
//! `RIBWATCH_SHOW=1 cargo test --test it incidents::quiet -- --nocapture --test-threads 1` prints what each vantage said of the
//! prefixes behind each alert, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::Duration,
};

use ribwatch::{
    alert::Alert,
    detect::{Kind, Severity},
    types::{Asn, Prefix, Timestamp},
    wire::{bgp::batch::ItemKind, mrt::Event},
};
use tempfile::TempDir;

use super::{Archive, line, replay, scenery::Random};
use crate::corpus;

/// What was seen of a prefix first.
#[derive(Default)]
struct FirstSight {
    by: BTreeSet<(std::net::IpAddr, Asn)>,
    origins: BTreeSet<Asn>,
    upstreams: BTreeSet<Asn>,
}

fn first_sights(archive: &Archive) -> BTreeMap<Prefix, FirstSight> {
    let mut sights: BTreeMap<Prefix, FirstSight> = BTreeMap::new();
    archive.each(|_, event| {
        let Event::Update(routes) = event else { return };
        if routes.item.kind != ItemKind::Announce || !routes.item.family.is_plain_prefix() {
            return;
        }
        let path = routes.item.attrs.as_path();
        let mut hops: Vec<Asn> = path.asns().collect();
        hops.dedup();
        let in_set = path.segments().count() > 1;
        for (_, prefix) in routes.item.prefixes() {
            let sight = sights.entry(prefix).or_default();
            if !sight.by.insert((routes.peer_address, routes.peer_asn)) {
                continue;
            }
            match hops.as_slice() {
                // Of a set any may be the origin.
                _ if in_set => sight.origins.extend(path.segments().last().into_iter().flat_map(|set| set.asns())),
                [.., upstream, origin] => {
                    sight.origins.insert(*origin);
                    sight.upstreams.insert(*upstream);
                }
                [origin] => drop(sight.origins.insert(*origin)),
                [] => {}
            }
        }
    });
    sights
}

/// Rules for prefixes that are drawn, and for what lies inside them as it was seen first.
fn rules(sights: &BTreeMap<Prefix, FirstSight>, drawn: &BTreeSet<Prefix>) -> String {
    let inside = |prefix: &Prefix| {
        let prefix = *prefix;
        sights
            .range(prefix..)
            .map(|(other, _)| *other)
            .take_while(move |other| prefix.covers(other))
            .collect::<Vec<_>>()
    };
    let watched: BTreeSet<Prefix> = drawn.iter().flat_map(inside).collect();
    let list = |asns: &BTreeSet<Asn>| asns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    for (prefix, sight) in watched.iter().filter_map(|prefix| Some((prefix, sights.get(prefix)?))) {
        let upstreams: BTreeSet<Asn> = sight.upstreams.difference(&sight.origins).copied().collect();
        let _ = writeln!(text, "[[watch.prefix]]\nprefix = \"{prefix}\"\norigins = [{}]", list(&sight.origins));
        if !upstreams.is_empty() {
            let _ = writeln!(text, "upstreams = [{}]", list(&upstreams));
        }
    }
    text
}

/// What each vantage said of a prefix, in order: the path, or that it is gone.
type Said = BTreeMap<(std::net::IpAddr, Asn), Vec<(Timestamp, Option<String>)>>;

fn said(archive: &Archive, of: &BTreeSet<Prefix>) -> BTreeMap<Prefix, Said> {
    let mut said: BTreeMap<Prefix, Said> = BTreeMap::new();
    archive.each(|time, event| {
        let Event::Update(routes) = event else { return };
        let announced = routes.item.kind == ItemKind::Announce;
        for (_, prefix) in routes.item.prefixes().filter(|(_, prefix)| of.contains(prefix)) {
            let path = announced.then(|| routes.item.attrs.as_path().to_string());
            let by = said.entry(prefix).or_default().entry((routes.peer_address, routes.peer_asn)).or_default();
            by.push((time, path));
        }
    });
    said
}

/// What is behind an alert, a line for each vantage.
fn behind(alert: &Alert, said: &BTreeMap<Prefix, Said>) {
    for prefix in prefixes_of(alert).iter().take(2) {
        for ((address, asn), changes) in said.get(prefix).into_iter().flatten() {
            let withdrawn = changes.iter().filter(|(_, path)| path.is_none()).count();
            let word =
                |(at, path): &(Timestamp, Option<String>)| format!("{at} {}", path.as_deref().unwrap_or("withdrawn"));
            let (first, last) = (changes.first().map(word), changes.last().map(word));
            println!(
                "      {prefix} {address} AS{asn}: {} announced, {withdrawn} withdrawn; first {}, last {}",
                changes.len() - withdrawn,
                first.unwrap_or_default(),
                last.unwrap_or_default()
            );
        }
    }
}

fn prefixes_of(alert: &Alert) -> BTreeSet<Prefix> {
    alert.prefix.into_iter().chain(alert.members.iter().filter_map(|member| member.parse().ok())).collect()
}

/// Plays a window and gives what was told of watched prefixes, by severity, kind and subject.
fn quiet(name: &str, relations: Option<&str>, seed: u64) -> Option<Vec<(Severity, Kind, String)>> {
    let corpus = corpus::folder()?;
    let archive = Archive::open(&corpus.join("mrt").join(name));
    let sights = first_sights(&archive);
    // A route of one vantage alone, and numbers that are no AS, cannot be rules.
    let usable = |sight: &FirstSight| {
        sight.by.len() >= 3 && sight.origins.iter().chain(&sight.upstreams).all(|asn| !asn.is_reserved())
    };
    let mut pool: Vec<Prefix> = sights.iter().filter(|(_, sight)| usable(sight)).map(|(prefix, _)| *prefix).collect();
    let mut random = Random::new(seed);
    let count = pool.len().min(500);
    let drawn: BTreeSet<Prefix> = (0..count).map(|_| pool.swap_remove(random.below(pool.len()))).collect();
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("relations.txt");
    let leak = relations.map(|relations| {
        fs::write(&path, corpus::unxz(&corpus.join("asn").join(relations))).expect("written");
        format!("[detect.leak]\nrelations = \"{}\"\n", path.display())
    });
    let mut replay = replay(&(leak.unwrap_or_default() + &rules(&sights, &drawn)));
    archive.play(&mut replay, Duration::from_secs(900));
    let mut told = Vec::new();
    println!("{name}: {} prefixes, {} of them watched, seed {seed}", sights.len(), drawn.len());
    let all = replay.raised();
    let shown = std::env::var_os("RIBWATCH_SHOW").is_some();
    let concerned: BTreeSet<Prefix> =
        all.iter().filter(|_| shown).flat_map(|raised| prefixes_of(&raised.alert)).collect();
    let said = said(&archive, &concerned);
    for raised in all {
        let alert = &raised.alert;
        println!("  {}\n    because {}", line(&raised), alert.why);
        if let Some(paths) = alert.evidence.get("paths").or_else(|| alert.evidence.get("as_path")) {
            println!("    on {}", paths.to_string().chars().take(400).collect::<String>());
        }
        behind(alert, &said);
        told.push((alert.severity, alert.kind(), alert.key.subject.to_string()));
    }
    Some(told)
}

fn seed() -> u64 {
    std::env::var("RIBWATCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Of attacks, leaks and losses only what was judged to be true may be told as more than information. The others say what the
/// archive shows by itself: what flaps at three vantages and more, which AS next to an origin was not seen before.
fn judge(told: &[(Severity, Kind, String)], true_ones: &[&str]) {
    let blames = |kind: Kind| {
        matches!(
            kind,
            Kind::OriginHijack
                | Kind::SubprefixHijack
                | Kind::Squatting
                | Kind::RouteLeak
                | Kind::Otc
                | Kind::Peerlock
                | Kind::AspaInvalid
                | Kind::Visibility
        )
    };
    let wrong = told.iter().filter(|(severity, kind, subject)| {
        *severity > Severity::Info && blames(*kind) && !true_ones.contains(&subject.as_str())
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&(Severity, Kind, String)>::new());
}

#[test]
fn the_window_of_2016_is_quiet() {
    // Of 2010: the file of 2014 to 2016 was inferred from this window, too.
    let relations = Some("as-rel.inferred-2010.txt.xz");
    let Some(told) = quiet("ris-updates.20160811.1600.gz", relations, seed()) else { return };
    // AS33922 and AS49550 are two ASes of one company, which moved prefixes to the first (tables of 2022 have it so): a
    // change of origin that no rule knew. Routes of half the world came to Europe through Vietnam that day.
    // Behind these, AS2516 has routes of AS2914 over AS4713, a sibling of that, and gives them to AS3491: doubtful, and one
    // prefix; nothing in the archive speaks against it.
    judge(&told, &["by AS33922", "AS45896", "AS131127", "AS18403", "AS2516", "to AS6453"]);
}

#[test]
fn the_window_of_2026_is_quiet() {
    // No relationship file: one was inferred from this very window, the others are ten years older. (With that of 2014 to 2016
    // there is one alert more, information: it takes AS55410 for a provider of AS1273.)
    let Some(told) = quiet("routeviews-updates.20260222.1530.bz2", None, seed()) else { return };
    // AS22717 prepended itself and slipped: AS227171. AS44244 withdrew a prefix, and all 17 vantages that had it lost it.
    judge(&told, &["by AS227171", "through AS49666"]);
}
