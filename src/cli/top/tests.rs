//! The screen without a terminal: what is shown at which size, and what keys do.

use std::time::Duration;

use ribwatch_proto::v1;

use super::{
    look::{Deed, Look, News},
    screen::{Key, Screen, Wish},
};
use crate::{
    alert::{Alert, State},
    detect::{Fingerprint, Kind, Severity},
    types::Timestamp,
};

fn neighbor(address: &str, name: &str, asn: u32, up: bool) -> v1::Neighbor {
    let counts = v1::FamilyCounts { received: 1_234_567, accepted: 800, advertised: 12, ..Default::default() };
    let state = if up { v1::SessionState::Established } else { v1::SessionState::Active };
    v1::Neighbor {
        address: address.to_owned(),
        name: name.to_owned(),
        remote_asn: Some(asn),
        state: state.into(),
        enabled: true,
        uptime_s: up.then_some(273_600),
        changed_s: Some(60),
        counts: vec![counts],
        received: Some(v1::MessageCounts { update: 100, ..Default::default() }),
        sent: Some(v1::MessageCounts { update: 10, ..Default::default() }),
        last_error: if up { String::new() } else { "hold timer \x1b[31mexpired".to_owned() },
        ..Default::default()
    }
}

fn alert(id: &str, kind: Kind, severity: Severity, state: State) -> Alert {
    let at = Timestamp::from_secs(1_700_000_000);
    Alert {
        id: id.into(),
        key: Fingerprint::new(kind, format!("subject of {id}")),
        severity,
        state,
        prefix: Some("203.0.113.0/24".parse().unwrap()),
        asns: Default::default(),
        neighbors: vec!["edge-1".into()],
        first_seen: at,
        last_seen: at,
        resolved_at: (state == State::Resolved).then_some(at),
        summary: format!("summary of {id}"),
        why: "AS64511 announces 203.0.113.0/24, which belongs to AS64500".to_owned(),
        evidence: Default::default(),
        members: Vec::new(),
        member_count: 0,
        reopened: 0,
        acknowledged_by: None,
        comments: Vec::new(),
        muted: None,
    }
}

fn look(secs: u64, updates: u64) -> Look {
    let mut neighbors = vec![
        neighbor("192.0.2.1", "edge-1", 64496, true),
        neighbor("192.0.2.2", "", 64497, false),
        neighbor("2001:db8:0:1::2", "transit-with-a-long-name", 4_200_000_001, true),
    ];
    neighbors[0].received = Some(v1::MessageCounts { update: updates, ..Default::default() });
    let source = |name: &str, state: &str, error: &str| v1::RpkiSource {
        name: name.to_owned(),
        state: state.to_owned(),
        in_use: state == "synced",
        last_error: error.to_owned(),
        age_s: Some(34),
        ..Default::default()
    };
    let sources = vec![source("validator-1", "synced", ""), source("validator-2", "failing", "connection refused")];
    Look {
        at: Duration::from_secs(secs),
        time: Timestamp::from_secs(1_700_000_000 + secs),
        info: v1::GetInfoResponse {
            version: "0.1.0".to_owned(),
            asn: 64512,
            router_id: "198.51.100.1".to_owned(),
            uptime_s: 1000 + secs,
            ready: true,
            ..Default::default()
        },
        neighbors,
        summary: v1::GetSummaryResponse {
            tables: vec![v1::TableCounts { paths: 2_469_134, best: 1_234_567, ..Default::default() }],
            seq: 1000 * secs,
            ..Default::default()
        },
        alerts: vec![
            alert("aaaa1111", Kind::Session, Severity::Warning, State::Resolved),
            alert("bbbb2222", Kind::OriginHijack, Severity::Critical, State::Open),
            alert("cccc3333", Kind::RouteLeak, Severity::Critical, State::Acknowledged),
            alert("dddd4444", Kind::Visibility, Severity::Warning, State::Open),
        ],
        more_alerts: false,
        rpki: v1::ListSourcesResponse { sources, vrps_v4: 512_345, vrps_v6: 100_000, aspas: 300 },
    }
}

/// A screen that has looked twice, ten seconds apart.
fn screen() -> Screen {
    let mut screen = Screen::new("127.0.0.1:50051", Duration::from_secs(1), look(0, 100));
    screen.hear(News::Look(Box::new(look(10, 450))));
    screen
}

fn shown(screen: &mut Screen, columns: usize, rows: usize) -> Vec<String> {
    let lines = screen.lines(columns, rows);
    assert_eq!(lines.len(), rows);
    assert!(lines.iter().all(|line| line.width() <= columns));
    lines.iter().map(super::text::Line::text).collect()
}

fn keys(screen: &mut Screen, text: &str) -> Option<Wish> {
    text.chars().map(|c| screen.key(Key::Char(c))).last().flatten()
}

fn rows_with<'a>(lines: &'a [String], words: &str) -> Vec<&'a str> {
    lines.iter().filter(|line| line.contains(words)).map(String::as_str).collect()
}

#[test]
fn eighty_columns_show_sessions_rates_alerts_and_rpki() {
    let expected = "\
ribwatch 0.1.0  AS64512  198.51.100.1  up 16m  at 127.0.0.1:50051  22:13:30
sessions 2/3 up  updates/s in 35 out 0  changes/s 1000  paths 2.46M  best 1.23M
rpki 1/2 synced  VRPs 612k  ASPAs 300  age 34s  validator-2: failing connection…
# Sessions: 3, 2 established ---------------------------------------------------
  NEIGHBORv       NAME             AS STATE       SINCE  RECV ACC ADV IN/s OUT/s
> 192.0.2.1       edge-1        64496 established 3d04h 1.23M 800  12   35     0
  192.0.2.2                     64497 active         1m 1.23M 800  12    0     0
  2001:db8:0:1::2 transit… 4200000001 established 3d04h 1.23M 800  12    0     0
- Alerts: 2 open, 1 acknowledged, 1 resolved -----------------------------------
  STATEv SEV  SINCE       KIND          SUMMARY             ID
  open   crit 11-14 22:13 origin-hijack summary of bbbb2222 bbbb2222
  open   warn 11-14 22:13 visibility    summary of dddd4444 dddd4444
  acked  crit 11-14 22:13 route-leak    summary of cccc3333 cccc3333
  over   warn 11-14 22:13 session       summary of aaaa1111 aaaa1111";
    let lines = shown(&mut screen(), 80, 24);
    assert_eq!(lines[..14].join("\n"), expected);
    assert!(lines[23].starts_with("q quit  ? help"), "{}", lines[23]);
    let wide = shown(&mut screen(), 140, 24);
    assert!(wide.iter().any(|line| line.contains("hold timer \\u{1b}[31mexpired")), "{wide:#?}");
}

#[test]
fn any_size_is_drawn_and_the_selected_row_stays_in_sight() {
    let mut screen = screen();
    let mut many = look(20, 500);
    many.neighbors = (0..200).map(|n| neighbor(&format!("192.0.2.{n}"), "", 64500, true)).collect();
    screen.hear(News::Look(Box::new(many)));
    screen.key(Key::End);
    for (columns, rows) in [(1, 1), (10, 2), (20, 5), (40, 10), (80, 24), (81, 25), (300, 100)] {
        let lines = shown(&mut screen, columns, rows);
        assert!(rows < 10 || lines.iter().any(|line| line.starts_with("> 192.0.2.199")), "{columns}x{rows} {lines:#?}");
    }
}

#[test]
fn keys_order_filter_and_open() {
    let mut screen = screen();
    let order = |screen: &mut Screen| {
        let lines = shown(screen, 200, 40);
        ["192.0.2.1 ", "192.0.2.2 ", "2001:db8"].map(|word| lines.iter().position(|line| line.contains(word)).unwrap())
    };
    assert!(order(&mut screen).is_sorted());
    screen.key(Key::Char('S'));
    assert!(order(&mut screen).iter().rev().is_sorted());
    keys(&mut screen, "ss");
    assert_eq!(screen.sessions.sort, 2, "by AS, from the start again");
    assert!(order(&mut screen).is_sorted());
    keys(&mut screen, "/ACTIVE");
    assert!(shown(&mut screen, 80, 24)[23].starts_with("filter: ACTIVE_"));
    screen.key(Key::Enter);
    let lines = shown(&mut screen, 80, 24);
    assert_eq!(rows_with(&lines, "192.0.2.").len(), 1, "{lines:#?}");
    assert!(rows_with(&lines, "192.0.2.")[0].starts_with("> 192.0.2.2"));
    screen.key(Key::Enter);
    let lines = shown(&mut screen, 80, 40);
    assert!(lines[3].starts_with("192.0.2.2  AS64497  active, down for 1m"), "{lines:#?}");
    assert!(!rows_with(&lines, "last error").is_empty() && rows_with(&lines, "\x1b").is_empty());
    assert!(!rows_with(&lines, "UPDATES PER SECOND").is_empty());
    screen.key(Key::Escape);
    screen.key(Key::Escape);
    assert_eq!(rows_with(&shown(&mut screen, 80, 24), "192.0.2.").len(), 2, "no filter any more");
}

#[test]
fn what_is_selected_stays_selected_when_rows_move() {
    let mut screen = screen();
    screen.key(Key::Down);
    let mut next = look(20, 450);
    next.neighbors.insert(0, neighbor("192.0.2.0", "new", 64499, true));
    screen.hear(News::Look(Box::new(next)));
    assert_eq!(rows_with(&shown(&mut screen, 80, 24), "> 192.0.2.2").len(), 1);
    let mut gone = look(30, 450);
    gone.neighbors.remove(1);
    screen.hear(News::Look(Box::new(gone)));
    assert_eq!(rows_with(&shown(&mut screen, 80, 24), "> 192.0.2.1").len(), 1, "or else the first one");
}

#[test]
fn an_alert_is_opened_and_acknowledged_with_a_note() {
    let mut screen = screen();
    screen.key(Key::Char('a'));
    assert!(shown(&mut screen, 80, 24)[23].starts_with("no alert is selected"), "a session is");
    screen.key(Key::Tab);
    screen.key(Key::Enter);
    let lines = shown(&mut screen, 80, 24);
    assert_eq!(lines[3], "summary of bbbb2222");
    assert!(lines[5].starts_with("why         AS64511 announces 203.0.113.0/24"), "{lines:#?}");
    screen.key(Key::Char('a'));
    // Keys are letters of the note now.
    assert_eq!(keys(&mut screen, "quick look"), None);
    let deed = |alert: &str, note: &str, undo| Some(Wish::Do(Deed { alert: alert.into(), note: note.into(), undo }));
    assert_eq!(screen.key(Key::Enter), deed("bbbb2222", "quick look", false));
    screen.hear(News::Done("bbbb2222: acknowledged".to_owned()));
    assert_eq!(shown(&mut screen, 80, 24)[23], "bbbb2222: acknowledged");
    screen.key(Key::Escape);
    keys(&mut screen, "jj");
    screen.key(Key::Char('u'));
    assert_eq!(screen.key(Key::Enter), deed("cccc3333", "", true));
    screen.key(Key::End);
    screen.key(Key::Char('a'));
    assert!(shown(&mut screen, 80, 24)[23].starts_with("it is over"));
    screen.key(Key::Home);
    screen.key(Key::Char('a'));
    screen.key(Key::Escape);
    assert_eq!(screen.key(Key::Enter), None, "it was left");
}

#[test]
fn a_daemon_that_is_gone_is_said_to_be_and_its_rates_begin_anew() {
    let mut screen = screen();
    screen.hear(News::Gone("connection refused".to_owned()));
    let lines = shown(&mut screen, 80, 24);
    assert!(
        lines[3].starts_with("DAEMON GONE, this is how it was; asked again every 1s: connection refused"),
        "{lines:#?}"
    );
    assert_eq!(rows_with(&lines, "192.0.2.1").len(), 1, "what was known stays");
    let mut back = look(20, 3);
    back.info.uptime_s = 1;
    screen.hear(News::Look(Box::new(back)));
    let lines = shown(&mut screen, 80, 24);
    assert!(rows_with(&lines, "DAEMON GONE").is_empty() && lines[1].contains("in - out -"), "{lines:#?}");
    let mut next = look(30, 23);
    next.info.uptime_s = 11;
    screen.hear(News::Look(Box::new(next)));
    assert!(shown(&mut screen, 80, 24)[1].contains("in 2 out 0"));
}

#[test]
fn help_rpki_and_quitting() {
    let mut screen = screen();
    screen.key(Key::Char('?'));
    assert_eq!(shown(&mut screen, 80, 24)[3], "Keys");
    assert!(shown(&mut screen, 80, 24).iter().all(|line| !line.ends_with('…') || line.starts_with("rpki")));
    screen.key(Key::Char('r'));
    let lines = shown(&mut screen, 80, 24);
    assert!(rows_with(&lines, "validator-2: connection refused").len() == 1, "{lines:#?}");
    screen.key(Key::Char('r'));
    assert!(shown(&mut screen, 80, 24)[3].starts_with("# Sessions"));
    assert_eq!(screen.key(Key::Char('q')), Some(Wish::Quit));
    let page: Vec<String> = screen.page(160).iter().map(super::text::Line::text).collect();
    assert!(page.iter().any(|line| line.contains("summary of aaaa1111")), "{page:#?}");
}
