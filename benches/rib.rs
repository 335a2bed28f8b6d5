//! The tables by themselves: nanoseconds per path for a full table from one neighbour, for many neighbours, for the
//! same again, and per question. `cargo bench --bench rib`. What a path costs in octets is printed first.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ribwatch::{
    rib::{Change, Decision, Knobs, NlriRef, Path, PathFlags, Rib, SessionFacts, SessionSlot, Source},
    types::{Asn, Family, Prefix, RouterId},
    wire::bgp::{
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
        community::Community,
    },
};

const FAMILY: Family = Family::IPV4_UNICAST;
/// Prefixes of a full table.
const FULL: u32 = 1_000_000;
/// The smaller table that many neighbours announce.
const SMALL: u32 = 20_000;
const NEIGHBORS: SessionSlot = 30;
/// Prefixes that share an attribute set: a full table has about 230,000 sets.
const SHARING: u32 = 4;

/// Numbers that look random and are the same in every run (the multiplier is Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap_or_default()
    }
}

/// Prefix `n` of a table: every /24 is visited once, in no order; half of them stay, the others become shorter.
fn prefix(n: u32) -> Prefix {
    let number = n.wrapping_mul(10_368_889) & 0xff_ffff;
    Prefix::v4(number << 8, 24 - number.trailing_zeros().min(8) as u8)
}

/// The sets of one neighbour, one for each `SHARING` prefixes: 60 to 80 octets as in a full table.
fn sets(neighbor: u32, prefixes: u32) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(u64::from(neighbor));
    let next_hop = NextHop::new("192.0.2.1".parse().expect("an address"));
    let set = |_| {
        let hops = 2 + numbers.below(4);
        let path: Vec<Asn> =
            std::iter::once(64496 + neighbor).chain((0..hops).map(|_| 1 + numbers.below(400_000))).map(Asn).collect();
        let communities: Vec<Community> = (0..numbers.below(4)).map(|_| Community(numbers.below(u32::MAX))).collect();
        let mut builder = AttrSetBuilder::new();
        builder.origin(Origin::Igp).as_path_sequence(&path).next_hop(FAMILY, next_hop);
        builder.communities(&communities).finish()
    };
    (0..prefixes.div_ceil(SHARING)).map(set).collect()
}

fn sessions() -> Vec<SessionFacts> {
    let facts = |n| SessionFacts {
        source: Source::External,
        asn: Asn(64496 + n),
        weight: 0,
        router_id: RouterId(n),
        address: std::net::Ipv4Addr::from(0xc000_0200 | n).into(),
        usable: true,
    };
    (0..u32::from(NEIGHBORS)).map(facts).collect()
}

/// Files one neighbour's table and decides, as the engine does.
fn announce(rib: &mut Rib, facts: &[SessionFacts], session: SessionSlot, sets: &[Vec<u8>]) {
    let (table, knobs) = (rib.tables.open(FAMILY), Knobs::default());
    for (first, set) in (0..).step_by(SHARING as usize).zip(sets) {
        let set = rib.attrs.intern(AttrSet::new(set));
        rib.attrs.retain(set, SHARING);
        let nlri: [NlriRef<'_>; SHARING as usize] = std::array::from_fn(|n| NlriRef::Prefix(prefix(first + n as u32)));
        table.warm(&nlri, &mut [None; SHARING as usize]);
        for nlri in nlri {
            let id = table.find_or_insert(nlri).expect("of this family");
            let path = Path { set, received_secs: 0, path_id: 0, session, flags: PathFlags::default() };
            let done = table.upsert(id, path).expect("room");
            let change = match done.replaced {
                Some(old) => Change::Replaced { index: done.index, old },
                None => Change::Added(done.index),
            };
            let best = Decision::new(&rib.attrs, facts, &knobs).after(table.paths(id), table.best(id), change);
            table.set_best(id, best);
            if let Some(old) = done.replaced {
                rib.attrs.release(old.set);
            }
        }
        rib.attrs.release(set);
    }
}

fn many(facts: &[SessionFacts], sets: &[Vec<Vec<u8>>]) -> Rib {
    let mut rib = Rib::new(1);
    for (session, sets) in (0..).zip(sets) {
        announce(&mut rib, facts, session, sets);
    }
    rib
}

fn ingest(c: &mut Criterion) {
    let facts = sessions();
    let full = sets(0, FULL);
    let small: Vec<_> = (0..u32::from(NEIGHBORS)).map(|neighbor| sets(neighbor, SMALL)).collect();
    let rib = many(&facts, std::slice::from_ref(&full));
    println!("1 x {FULL}: {} octets per path", rib.allocated_octets() as u64 / u64::from(FULL));
    let paths = u64::from(SMALL) * u64::from(NEIGHBORS);
    println!("{NEIGHBORS} x {SMALL}: {} octets per path", many(&facts, &small).allocated_octets() as u64 / paths);

    let mut group = c.benchmark_group("rib");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(FULL.into()));
    group.bench_function("ingest, 1 neighbour x 1,000,000", |b| {
        b.iter_batched(
            || Rib::new(1),
            |mut rib| {
                announce(&mut rib, &facts, 0, &full);
                rib
            },
            BatchSize::PerIteration,
        );
    });
    let mut rib = rib;
    group.bench_function("the same again, 1 neighbour x 1,000,000", |b| {
        b.iter(|| announce(&mut rib, &facts, 0, &full));
    });
    group.throughput(Throughput::Elements(paths));
    group.bench_function("ingest, 30 neighbours x 20,000", |b| b.iter_with_large_drop(|| many(&facts, &small)));
    group.finish();
    questions(c, &rib);
    decisions(c, &facts, &small);
}

fn questions(c: &mut Criterion, rib: &Rib) {
    let table = rib.tables.get(FAMILY).expect("filled");
    let mut numbers = Numbers(9);
    let mut group = c.benchmark_group("a million prefixes");
    group.bench_function("exact", |b| b.iter(|| black_box(table.find(NlriRef::Prefix(prefix(numbers.below(FULL)))))));
    group.bench_function("longest match", |b| {
        b.iter(|| black_box(table.longest_match(Prefix::v4(numbers.below(u32::MAX), 32))));
    });
    group.bench_function("a page of 1000 in order", |b| {
        b.iter(|| {
            let after = prefix(numbers.below(FULL));
            black_box(table.after(Some(NlriRef::Prefix(after))).take(1000).map(|(_, id)| id.index()).max())
        });
    });
    group.finish();
}

fn decisions(c: &mut Criterion, facts: &[SessionFacts], sets: &[Vec<Vec<u8>>]) {
    let rib = many(facts, sets);
    let table = rib.tables.get(FAMILY).expect("filled");
    let knobs = Knobs::default();
    let decision = Decision::new(&rib.attrs, facts, &knobs);
    let mut numbers = Numbers(9);
    let mut group = c.benchmark_group("30 paths");
    let mut next = || table.find(NlriRef::Prefix(prefix(numbers.below(SMALL)))).expect("filled");
    group.bench_function("select", |b| b.iter(|| black_box(decision.select(table.paths(next())))));
    group.bench_function("after an announcement", |b| {
        b.iter(|| {
            let id = next();
            black_box(decision.after(table.paths(id), table.best(id), Change::Added(7)))
        });
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
