//! A table against a map of maps, for plain and for opaque families; and what a path costs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    rib::{AttrStore, Rib, SetId},
    wire::bgp::attribute::AttrSet,
};

/// NLRI by owner, so that a model can hold them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Nlri {
    Prefix(Prefix),
    Opaque(Vec<u8>),
}

impl Nlri {
    fn of(nlri: NlriRef<'_>) -> Self {
        match nlri {
            NlriRef::Prefix(prefix) => Self::Prefix(prefix),
            NlriRef::Opaque(key) => Self::Opaque(key.to_vec()),
        }
    }

    fn as_ref(&self) -> NlriRef<'_> {
        match self {
            Self::Prefix(prefix) => NlriRef::Prefix(*prefix),
            Self::Opaque(key) => NlriRef::Opaque(key),
        }
    }
}

/// Number `n` of the NLRI of a family.
fn nlri(family: Family, n: u32) -> Nlri {
    match family.address_bits() {
        Some(32) if family.is_plain_prefix() => Nlri::Prefix(Prefix::v4(n << 29 | n << 20, (n % 4 * 8) as u8)),
        Some(128) if family.is_plain_prefix() => Nlri::Prefix(Prefix::v6(u128::from(n) << 120, (n % 3 * 4) as u8)),
        _ => Nlri::Opaque(vec![n as u8; n as usize]),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Announce { n: u32, session: SessionSlot, labels: Vec<u8> },
    Withdraw { n: u32, session: SessionSlot },
    Free { n: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let labels = prop_oneof![Just(vec![]), Just(vec![0, 1, 1]), Just(vec![0, 1, 0, 0, 2, 1])];
    prop_oneof![
        4 => (0u32..30, 0u16..4, labels).prop_map(|(n, session, labels)| Op::Announce { n, session, labels }),
        3 => (0u32..30, 0u16..4).prop_map(|(n, session)| Op::Withdraw { n, session }),
        2 => (0u32..30).prop_map(|n| Op::Free { n }),
    ]
}

fn families() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![Family::IPV4_UNICAST, Family::IPV6_MULTICAST, Family::VPNV4, Family::new(7, 77)])
}

/// Label stacks by session, per NLRI; one without sessions has an id and no paths.
type Model = BTreeMap<Nlri, BTreeMap<SessionSlot, Vec<u8>>>;

fn play(table: &mut Table, model: &mut Model, op: Op) {
    match op {
        Op::Announce { n, session, labels } => {
            let nlri = nlri(table.family(), n);
            let id = table.find_or_insert(nlri.as_ref()).expect("of this family");
            assert_eq!(Nlri::of(table.nlri(id)), nlri);
            let done = table.upsert(id, Path { session, ..Path::default() }).expect("room");
            table.set_labels(id, session, 0, &labels);
            table.set_best(id, Some(0));
            let replaced = model.entry(nlri).or_default().insert(session, labels);
            assert_eq!(done.replaced.is_some(), replaced.is_some());
        }
        Op::Withdraw { n, session } => {
            let nlri = nlri(table.family(), n);
            let id = table.find(nlri.as_ref());
            assert_eq!(id.is_some(), model.contains_key(&nlri));
            let removed = id.and_then(|id| table.remove(id, session, 0));
            let expected = model.get_mut(&nlri).and_then(|sessions| sessions.remove(&session));
            assert_eq!(removed.is_some(), expected.is_some());
        }
        Op::Free { n } => {
            let nlri = nlri(table.family(), n);
            let freed = table.find(nlri.as_ref()).is_some_and(|id| table.free_if_empty(id));
            assert_eq!(freed, model.get(&nlri).is_some_and(BTreeMap::is_empty));
            if freed {
                model.remove(&nlri);
            }
        }
    }
}

fn agree(table: &Table, model: &Model) {
    let all: Vec<_> = table.after(None).map(|(nlri, id)| (Nlri::of(nlri), id)).collect();
    assert!(all.iter().map(|(nlri, _)| nlri).eq(model.keys()), "table order is the order of NLRI");
    for (n, (nlri, id)) in all.iter().enumerate() {
        assert_eq!(table.find(nlri.as_ref()), Some(*id));
        let rest: Vec<_> = table.after(Some(nlri.as_ref())).map(|(_, id)| id).collect();
        assert!(rest.iter().eq(all[n + 1..].iter().map(|(_, id)| id)), "a page goes on behind its cursor");
        let sessions = &model[nlri];
        assert!(table.paths(*id).iter().map(|path| path.session).eq(sessions.keys().copied()));
        for (session, labels) in sessions {
            assert_eq!(table.labels(*id, *session, 0), &labels[..]);
        }
    }
    let paths: usize = model.values().map(BTreeMap::len).sum();
    let prefixes = model.values().filter(|sessions| !sessions.is_empty()).count();
    let counts = table.counts();
    assert_eq!((counts.paths, counts.prefixes), (paths as u64, prefixes as u64));
    assert_eq!(counts.best, all.iter().filter(|(_, id)| table.best_path(*id).is_some()).count() as u64);
    let (mut seen, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        from = table.scan(at, 7, &mut seen);
    }
    let mut expected: Vec<_> = all.iter().map(|(_, id)| *id).filter(|id| !table.paths(*id).is_empty()).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected, "a scan sees each id with paths once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_agrees_with_a_map_of_maps(family in families(), ops in prop::collection::vec(op(), 1..120)) {
        let mut table = Table::new(family, 1);
        let mut model = Model::new();
        for op in ops {
            play(&mut table, &mut model, op);
        }
        agree(&table, &model);
    }
}

#[test]
fn nlri_of_another_kind_have_no_place() {
    let v6 = NlriRef::Prefix(Prefix::v6(0, 0));
    let mut table = Table::new(Family::IPV4_UNICAST, 1);
    assert_eq!(table.find_or_insert(v6), None);
    assert_eq!(table.find_or_insert(NlriRef::Opaque(&[1])), None);
    assert_eq!(table.longest_match(Prefix::v6(0, 0)), None);
    assert_eq!(table.inside(Prefix::v6(0, 0), None).count() + table.covering(Prefix::v6(0, 0)).count(), 0);
    let mut vpn = Table::new(Family::VPNV4, 1);
    assert_eq!(vpn.find_or_insert(v6), None);
    assert_eq!(vpn.longest_match(Prefix::v4(0, 0)), None);
}

#[test]
fn a_cursor_of_another_family_starts_in_front_of_it_or_behind() {
    let mut v4 = Table::new(Family::IPV4_UNICAST, 1);
    let mut v6 = Table::new(Family::IPV6_UNICAST, 1);
    let (four, six) = (NlriRef::Prefix(Prefix::v4(0, 0)), NlriRef::Prefix(Prefix::v6(0, 0)));
    v4.find_or_insert(four);
    v6.find_or_insert(six);
    // Prefixes of IPv4 stand before those of IPv6, and all prefixes before other keys.
    assert_eq!((v4.after(Some(six)).count(), v6.after(Some(four)).count()), (0, 1));
    assert_eq!((v4.after(Some(NlriRef::Opaque(&[]))).count(), v6.after(Some(NlriRef::Opaque(&[]))).count()), (0, 0));
}

#[test]
fn warming_changes_nothing_whether_prefixes_are_there_or_not() {
    let mut table = Table::new(Family::IPV4_UNICAST, 1);
    let known = NlriRef::Prefix(Prefix::v4(0xc000_0200, 24));
    let id = table.find_or_insert(known).expect("of this family");
    table.upsert(id, Path::default()).expect("room");
    let mut ids = [None; 4];
    let others = [NlriRef::Prefix(Prefix::v4(0, 0)), NlriRef::Prefix(Prefix::v6(0, 0)), NlriRef::Opaque(&[9])];
    table.warm(&[&[known][..], &others].concat(), &mut ids);
    assert_eq!(ids, [Some(id), None, None, None]);
    Table::new(Family::VPNV4, 1).warm(&[NlriRef::Opaque(&[9])], &mut ids[..1]);
    assert_eq!(ids[0], None);
    assert_eq!(table.counts(), Counts { prefixes: 1, paths: 1, best: 0 });
    assert_eq!(table.after(None).count(), 1);
}

#[test]
fn an_id_that_was_known_is_believed_only_while_it_is_that_of_the_prefix() {
    let mut table = Table::new(Family::IPV4_UNICAST, 1);
    let [one, other] = [0xc000_0200, 0xc633_6400].map(|addr| NlriRef::Prefix(Prefix::v4(addr, 24)));
    let id = table.find_or_insert(one).expect("of this family");
    assert_eq!(table.find_known(one, Some(id)), None, "an id without paths may be anybody's soon");
    table.upsert(id, Path::default()).expect("room");
    assert_eq!(table.find_known(one, Some(id)), Some(id));
    assert_eq!([table.find_known(one, None), table.find_known(other, Some(id))], [None, None]);
    table.remove(id, 0, 0);
    table.free_all_if_empty(&[id]);
    assert_eq!(table.find_known(one, Some(id)), None);
    assert_eq!(table.find_or_insert(other), Some(id), "the number is used again");
    table.upsert(id, Path::default()).expect("room");
    assert_eq!(table.find_known(one, Some(id)), None);
    assert_eq!(table.find(one), None);
}

#[test]
fn of_many_ids_those_without_paths_are_freed() {
    for family in [Family::IPV4_UNICAST, Family::VPNV4] {
        let mut table = Table::new(family, 1);
        let plain = family.is_plain_prefix();
        let one = |n: u32| if plain { Nlri::Prefix(Prefix::v4(n << 24, 8)) } else { Nlri::Opaque(vec![n as u8]) };
        let nlri: Vec<Nlri> = (0..40).map(one).collect();
        let ids: Vec<PrefixId> = nlri.iter().filter_map(|nlri| table.find_or_insert(nlri.as_ref())).collect();
        for id in ids.iter().step_by(3) {
            table.upsert(*id, Path::default()).expect("room");
        }
        table.free_all_if_empty(&ids);
        let left: Vec<PrefixId> = nlri.iter().filter_map(|nlri| table.find(nlri.as_ref())).collect();
        assert_eq!(left, ids.iter().copied().step_by(3).collect::<Vec<_>>());
    }
}

/// A distinct prefix for each `n` below 2^24, in no order.
fn scattered(n: u32) -> NlriRef<'static> {
    let number = n.wrapping_mul(10_368_889) & 0xff_ffff;
    NlriRef::Prefix(Prefix::v4(number << 8, 24 - number.trailing_zeros().min(8) as u8))
}

/// A distinct set for each `n`, 50 octets like a common one.
fn set(attrs: &mut AttrStore, n: u32) -> SetId {
    let mut octets = [0x40; 50];
    octets[10..14].copy_from_slice(&n.to_be_bytes());
    attrs.intern(AttrSet::new(&octets))
}

/// Announces `prefixes` prefixes from each of `sessions`, four to a set; every path is known to be there afterwards.
fn full(prefixes: u32, sessions: u16) -> Rib {
    let mut rib = Rib::new(5);
    let table = rib.tables.open(Family::IPV4_UNICAST);
    for session in 0..sessions {
        for n in 0..prefixes {
            let set = set(&mut rib.attrs, n / 4 + u32::from(session) * prefixes);
            let id = table.find_or_insert(scattered(n)).expect("of this family");
            table.upsert(id, Path { set, session, ..Path::default() }).expect("room");
            table.set_best(id, Some(0));
        }
    }
    rib
}

#[test]
fn a_path_costs_few_octets_and_a_rib_that_empties_gives_them_back() {
    // (prefixes, sessions, octets per path at most: sets of 50 octets for every four paths, tables, and all slack)
    for (prefixes, sessions, most) in [(200_000, 1, 72), (20_000, 10, 50)] {
        let mut rib = full(prefixes, sessions);
        let paths = prefixes as usize * usize::from(sessions);
        let each = rib.allocated_octets() / paths;
        assert!(each <= most, "{each} octets per path for {sessions} x {prefixes}");
        let table = rib.tables.open(Family::IPV4_UNICAST);
        assert_eq!(table.counts().paths, paths as u64);
        for n in 0..prefixes {
            let id = table.find(scattered(n)).expect("there");
            for session in 0..sessions {
                let gone = table.remove(id, session, 0).expect("there");
                rib.attrs.release(gone.set);
            }
            assert!(table.free_if_empty(id));
        }
        assert_eq!(table.counts(), Counts::default());
        assert!(rib.attrs.is_empty());
        let left = rib.allocated_octets();
        assert!(left < 3_000_000, "{left} octets are left of nothing");
    }
}

#[test]
fn churn_does_not_grow_a_table() {
    let mut rib = full(50_000, 2);
    let before = rib.allocated_octets();
    for round in 1..=5 {
        let table = rib.tables.open(Family::IPV4_UNICAST);
        for n in (round..50_000).step_by(5) {
            let id = table.find(scattered(n)).expect("there");
            let gone = table.remove(id, 1, 0).expect("there");
            table.upsert(id, Path { set: gone.set, session: 2, ..gone }).expect("room");
            let gone = table.remove(id, 2, 0).expect("there");
            table.upsert(id, gone).expect("room");
        }
        for n in (round..50_000).step_by(5) {
            let id = table.find(scattered(n)).expect("there");
            let path = table.remove(id, 2, 0).expect("there");
            table.upsert(id, Path { session: 1, ..path }).expect("room");
        }
    }
    let after = rib.allocated_octets();
    assert!(after <= before + before / 50, "{before} octets became {after}");
}
