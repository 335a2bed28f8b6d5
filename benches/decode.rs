//! The UPDATE codec by itself: nanoseconds per message for a stream like a full table, for the inputs that cost most,
//! and for the way back. `cargo bench --bench decode`.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ribwatch::{
    types::{Asn, Family, PeerKind, Prefix},
    wire::bgp::{
        MAX_EXTENDED_LEN, MAX_LEN,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
        batch::UpdateBatch,
        community::Community,
        frame,
        update::{DecodeContext, EncodeContext, UpdateWriter, decode_update},
    },
};

/// Numbers that look random and are the same in every run (the multiplier is Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap_or_default()
    }
}

/// Messages per stream.
const MESSAGES: usize = 2000;

/// A set as in a full table: origin, four to six ASes, next hop, MED, a few communities, an aggregator now and then.
fn set(numbers: &mut Numbers, family: Family) -> Vec<u8> {
    let mut builder = AttrSetBuilder::new();
    let path: Vec<Asn> = (0..4 + numbers.below(3)).map(|_| Asn(1 + numbers.below(400_000))).collect();
    let communities: Vec<Community> = (0..3).map(|_| Community(numbers.below(u32::MAX))).collect();
    let next_hop = if family == Family::IPV4_UNICAST { "192.0.2.1" } else { "2001:db8::1" };
    builder
        .origin(Origin::Igp)
        .as_path_sequence(&path)
        .next_hop(family, NextHop::new(next_hop.parse().expect("an address")))
        .med(numbers.below(1000))
        .communities(&communities);
    if numbers.below(4) == 0 {
        builder.aggregator(Asn(64496), [192, 0, 2, 9].into());
    }
    builder.finish()
}

/// A stream of `MESSAGES` messages with four prefixes each, the mean of a full table.
fn stream(family: Family, ctx: EncodeContext) -> Vec<u8> {
    let mut numbers = Numbers(1);
    let mut writer = UpdateWriter::new(ctx);
    for _ in 0..MESSAGES {
        let attrs = set(&mut numbers, family);
        writer.announce(family, AttrSet::new(&attrs));
        for _ in 0..4 {
            let prefix = match family {
                Family::IPV4_UNICAST => Prefix::v4(numbers.below(u32::MAX), 24),
                _ => Prefix::v6(u128::from(numbers.below(u32::MAX)) << 96, 48),
            };
            writer.push_prefix(0, prefix);
        }
    }
    writer.take().octets
}

fn decode_all(mut octets: &[u8], ctx: &DecodeContext, batch: &mut UpdateBatch) -> usize {
    let (mut faults, mut prefixes) = (Vec::new(), 0);
    batch.clear();
    while let Ok(Some(found)) = frame(octets, MAX_EXTENDED_LEN) {
        let _ = black_box(decode_update(found.message, ctx, batch, &mut faults));
        octets = octets.get(found.message.len()..).unwrap_or_default();
    }
    for item in batch.iter() {
        prefixes += item.prefixes().map(|(_, prefix)| usize::from(prefix.len() > 0)).sum::<usize>();
    }
    prefixes
}

/// One UPDATE around an attribute field and NLRI.
fn message(attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let len = |n: usize| u16::try_from(n).expect("it fits").to_be_bytes();
    let header = [&[0xff; 16][..], &len(23 + attributes.len() + nlri.len()), &[2, 0, 0]].concat();
    [&header[..], &len(attributes.len()), attributes, nlri].concat()
}

fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    let ctx = DecodeContext::new(PeerKind::External);
    let old = DecodeContext { four_octet_as: false, ..ctx };
    let wide = EncodeContext::new();
    let narrow = EncodeContext { four_octet_as: false, ..wide };
    let cases = [
        ("ipv4", stream(Family::IPV4_UNICAST, wide), ctx),
        ("ipv6", stream(Family::IPV6_UNICAST, wide), ctx),
        ("ipv4, two-octet speaker", stream(Family::IPV4_UNICAST, narrow), old),
    ];
    let mut batch = UpdateBatch::new();
    for (name, octets, ctx) in &cases {
        group.throughput(Throughput::Elements(MESSAGES as u64));
        group.bench_function(*name, |b| b.iter(|| decode_all(octets, ctx, &mut batch)));
    }
    group.finish();
}

/// What an attacker can make of 65,535 octets. Each must stay linear in its length.
fn worst_cases(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode 64 KiB");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    let ctx = DecodeContext { families: ribwatch::types::FamilySet::ALL, ..DecodeContext::new(PeerKind::External) };
    let mandatory: &[u8] = &[0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 1];
    let backwards: Vec<u8> = (41..=255).rev().flat_map(|code| [0xc0, code, 1, 7]).collect();
    let room = MAX_EXTENDED_LEN - 23 - mandatory.len() - 1;
    let path: Vec<u8> = [1, 1, 0, 0, 0, 1].repeat(room / 6 - 1);
    let path_len = u16::try_from(path.len()).expect("it fits").to_be_bytes();
    let long_path = [&[0x40, 1, 1, 0, 0x50, 2][..], &path_len, &path, &[0x40, 3, 4, 192, 0, 2, 1]].concat();
    let cases = [
        ("the same attribute 16,000 times", message(&[mandatory, &[0x40, 1, 1, 0].repeat(room / 4)].concat(), &[0])),
        ("every attribute, backwards", message(&[&backwards, mandatory].concat(), &[0])),
        ("a path of 10,000 segments", message(&long_path, &[0])),
        ("default routes only", message(mandatory, &vec![0; room])),
    ];
    let mut batch = UpdateBatch::new();
    for (name, octets) in &cases {
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function(*name, |b| b.iter(|| decode_all(octets, &ctx, &mut batch)));
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    let mut numbers = Numbers(1);
    let attrs = set(&mut numbers, Family::IPV4_UNICAST);
    let prefixes: Vec<Prefix> = (0..10_000).map(|_| Prefix::v4(numbers.below(u32::MAX), 24)).collect();
    let mut writer = UpdateWriter::new(EncodeContext { max_len: MAX_LEN, ..EncodeContext::new() });
    group.throughput(Throughput::Elements(prefixes.len() as u64));
    group.bench_function("prefixes of one set", |b| {
        b.iter(|| {
            writer.announce(Family::IPV4_UNICAST, AttrSet::new(&attrs));
            prefixes.iter().for_each(|prefix| writer.push_prefix(0, *prefix));
            writer.take()
        });
    });
    group.bench_function("prefixes of a set each", |b| {
        b.iter(|| {
            for prefix in &prefixes {
                writer.announce(Family::IPV4_UNICAST, AttrSet::new(&attrs));
                writer.push_prefix(0, *prefix);
            }
            writer.take()
        });
    });
    group.finish();
}

criterion_group!(benches, streams, worst_cases, encode);
criterion_main!(benches);
