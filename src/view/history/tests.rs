//! What is remembered, what is forgotten first, and that the bound holds.

use super::*;
use crate::{types::Asn, view::observed::VantageClass};

fn vantage(host: u8) -> Arc<Vantage> {
    Arc::new(Vantage {
        name: format!("edge-{host}").into(),
        address: std::net::Ipv4Addr::new(192, 0, 2, host).into(),
        asn: Asn(64496),
        internal: false,
        local_role: None,
        class: VantageClass::Own,
    })
}

/// A batch of changes of `(prefix, before, after)`; texts stand for sets.
fn batch(secs: u64, changes: &[(&str, Option<&str>, Option<&str>)]) -> Batch {
    let mut batch = Batch { vantages: vec![vantage(1)], ..Batch::default() };
    for (prefix, before, after) in changes {
        let mut shown = |text: &Option<&str>| {
            text.map(|text| {
                let start = batch.octets.len();
                batch.octets.extend(text.as_bytes());
                let range = start..batch.octets.len();
                Shown { range, validation: OriginState::Valid, aspa: PathState::Unknown, accepted: true }
            })
        };
        let (before, after) = (shown(before), shown(after));
        let prefix = prefix.parse().unwrap();
        let (at, family) = (Timestamp::from_secs(secs), Family::IPV4_UNICAST);
        batch.records.push(Record { at, family, prefix, path_id: 0, vantage: 0, before, after });
    }
    batch
}

/// Times and sets of what is remembered of a prefix.
fn told(history: &History, prefix: &str) -> Vec<(u64, String)> {
    let answer = history.of(Family::IPV4_UNICAST, prefix.parse().unwrap());
    let after = |change: &Change| match &change.after {
        Some(version) => String::from_utf8_lossy(&version.attrs).into_owned(),
        None => "gone".to_owned(),
    };
    answer.changes.iter().map(|change| (u64::from(change.at.secs()), after(change))).collect()
}

#[test]
fn a_prefix_is_answered_with_its_own_changes_in_order() {
    let mut history = History::new(1 << 20, Timestamp::from_secs(1));
    history.take(&batch(10, &[("192.0.2.0/24", None, Some("a")), ("198.51.100.0/24", None, Some("a"))]));
    history.take(&batch(20, &[("192.0.2.0/24", Some("a"), Some("b")), ("192.0.2.0/25", None, Some("c"))]));
    history.take(&batch(30, &[("192.0.2.0/24", Some("b"), None)]));
    let expected = [(10, "a"), (20, "b"), (30, "gone")].map(|(at, what)| (at, what.to_owned()));
    assert_eq!(told(&history, "192.0.2.0/24"), expected);
    assert_eq!(told(&history, "203.0.113.0/24"), []);
    let answer = history.of(Family::IPV4_UNICAST, "192.0.2.0/24".parse().unwrap());
    assert_eq!((answer.since.secs(), answer.cut, answer.missed), (1, false, 0));
    let before = answer.changes[2].before.as_ref().unwrap();
    assert_eq!((&*before.attrs, &before.validation), (&b"b"[..], &OriginState::Valid));
}

#[test]
fn the_oldest_is_forgotten_first_and_what_is_left_over_is_nothing() {
    let bound = 10 * (ENTRY_OCTETS + SET_OCTETS + 8);
    let mut history = History::new(bound, Timestamp::from_secs(0));
    for at in 1..=1000 {
        let (own, other) = (format!("set {at}"), format!("10.0.{}.0/24", at % 250));
        history.take(&batch(at, &[("192.0.2.0/24", Some("same"), Some(&own)), (&other, Some("same"), Some("same"))]));
        assert!(history.octets() <= bound, "{} at {at}", history.octets());
    }
    let left = told(&history, "192.0.2.0/24");
    assert!((2..10).contains(&left.len()) && left.last().unwrap().0 == 1000, "{left:?}");
    let answer = history.of(Family::IPV4_UNICAST, "192.0.2.0/24".parse().unwrap());
    assert!(answer.since.secs() > 900, "{:?}", answer.since);
    assert!(history.last.len() <= history.entries.len());
    while history.forget() {}
    assert_eq!((history.octets(), history.sets.len(), history.last.len()), (0, 0, 0));
}

#[test]
fn an_answer_is_bounded_and_says_so() {
    let mut history = History::new(64 << 20, Timestamp::from_secs(0));
    for at in 1..=2 * CHANGES_MAX as u64 {
        history.take(&batch(at, &[("192.0.2.0/24", None, Some("a"))]));
    }
    let answer = history.of(Family::IPV4_UNICAST, "192.0.2.0/24".parse().unwrap());
    assert_eq!((answer.changes.len(), answer.cut), (CHANGES_MAX, true));
    assert_eq!(answer.changes.last().unwrap().at.secs() as usize, 2 * CHANGES_MAX);
}

#[test]
fn sessions_are_remembered_and_what_was_missed_is_counted() {
    let mut history = History::new(1 << 20, Timestamp::from_secs(0));
    for round in 0..2 * SESSIONS_MAX as u64 {
        let fate = if round % 2 == 0 { SessionFate::Up } else { SessionFate::Down };
        let sessions = vec![SessionEvent { at: Timestamp::from_secs(round), vantage: vantage(1), fate }];
        history.take(&Batch { sessions, missed: 1, ..Batch::default() });
    }
    let answer = history.of(Family::IPV4_UNICAST, "192.0.2.0/24".parse().unwrap());
    assert_eq!((answer.sessions.len(), answer.missed), (SESSIONS_MAX, 2 * SESSIONS_MAX as u64));
    assert_eq!(answer.sessions.last().map(|event| event.fate.name()), Some("down"));
}
