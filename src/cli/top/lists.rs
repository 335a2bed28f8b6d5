//! The two lists, sessions above alerts: which rows pass the filter, in which order, and how much room each list has.

use std::cmp::Ordering;

use ribwatch_proto::v1;

use super::{
    grid::{Cell, Column, Drawing, first_shown},
    screen::{List, Pane, Rate, Screen},
    text::{Line, count},
};
use crate::{
    alert::{Alert, State},
    cli::{
        neighbor,
        output::{Colour, duration},
        table::Align::{Left, Right},
    },
    detect::Severity,
};

const fn column(title: &'static str, align: crate::cli::table::Align, min: usize, drop: u8) -> Column {
    Column { title, align, min, drop }
}

/// Columns of sessions.
pub(super) const SESSION_COLUMNS: &[Column] = &[
    column("NEIGHBOR", Left, 15, 0),
    column("NAME", Left, 8, 7),
    column("AS", Right, 5, 6),
    column("STATE", Left, 11, 0),
    column("SINCE", Right, 5, 2),
    column("RECV", Right, 5, 1),
    column("ACC", Right, 5, 4),
    column("ADV", Right, 5, 3),
    column("IN/s", Right, 4, 1),
    column("OUT/s", Right, 5, 5),
    column("LAST ERROR", Left, 24, 8),
];

/// Columns of alerts.
pub(super) const ALERT_COLUMNS: &[Column] = &[
    column("STATE", Left, 5, 0),
    column("SEV", Left, 4, 0),
    column("SINCE", Left, 11, 3),
    column("KIND", Left, 16, 1),
    column("SUMMARY", Left, 36, 0),
    column("ID", Left, 8, 4),
];

/// Sessions that are shown, in order.
pub(super) fn sessions(screen: &Screen) -> Vec<&v1::Neighbor> {
    let List { sort, backwards, filter, .. } = &screen.sessions;
    let shown = |neighbor: &&v1::Neighbor| {
        let state = neighbor::state(neighbor).name();
        let asn = neighbor.remote_asn.map(|asn| format!("as{asn}")).unwrap_or_default();
        passes(filter, &[&neighbor.address, &neighbor.name, state, &asn, &neighbor.last_error])
    };
    let mut rows: Vec<&v1::Neighbor> = screen.look.neighbors.iter().filter(shown).collect();
    // The daemon's order, by address, is the first column's and decides between equals.
    let column = SESSION_COLUMNS.get(*sort).map_or("", |column| column.title);
    rows.sort_by(|a, b| session_order(screen, column, a, b));
    if *backwards {
        rows.reverse();
    }
    rows
}

/// Names rise; of numbers the largest comes first, and of states what is not up.
fn session_order(screen: &Screen, column: &str, a: &v1::Neighbor, b: &v1::Neighbor) -> Ordering {
    let descending = |key: fn(&v1::Neighbor) -> u64| key(b).cmp(&key(a));
    let rate = |neighbor: &v1::Neighbor| screen.rates.get(&neighbor.address).copied().unwrap_or_default();
    match column {
        "NAME" => a.name.cmp(&b.name),
        "AS" => a.remote_asn.cmp(&b.remote_asn),
        "STATE" => a.state.cmp(&b.state),
        "SINCE" => since(a).cmp(&since(b)),
        "RECV" => descending(|neighbor| neighbor.counts.iter().map(|counts| counts.received).sum()),
        "ACC" => descending(|neighbor| neighbor.counts.iter().map(|counts| counts.accepted).sum()),
        "ADV" => descending(|neighbor| neighbor.counts.iter().map(|counts| counts.advertised).sum()),
        "IN/s" => rate(b).received.cmp(&rate(a).received),
        "OUT/s" => rate(b).sent.cmp(&rate(a).sent),
        "LAST ERROR" => b.last_error.cmp(&a.last_error),
        _ => Ordering::Equal,
    }
}

/// Seconds in the state; those that never changed come last.
fn since(neighbor: &v1::Neighbor) -> u64 {
    neighbor.uptime_s.or(neighbor.changed_s).unwrap_or(u64::MAX)
}

/// Alerts that are shown, in order: without another one, open ones first, then the graver, then the later.
pub(super) fn alerts(screen: &Screen) -> Vec<&Alert> {
    let List { sort, backwards, filter, .. } = &screen.alerts;
    let shown = |alert: &&Alert| {
        let neighbors = alert.neighbors.join(" ");
        let prefix = alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
        let words = [&*alert.id, alert.severity.name(), alert.state.name(), &alert.summary, &alert.why];
        passes(filter, &words) || passes(filter, &[&alert.kind().to_string(), &prefix, &neighbors])
    };
    let mut rows: Vec<&Alert> = screen.look.alerts.iter().filter(shown).collect();
    let usual = |a: &Alert, b: &Alert| {
        let by_state = place(a.state).cmp(&place(b.state));
        by_state.then(b.severity.cmp(&a.severity)).then(b.first_seen.cmp(&a.first_seen))
    };
    let column = ALERT_COLUMNS.get(*sort).map_or("", |column| column.title);
    rows.sort_by(|a, b| {
        let order = match column {
            "SEV" => b.severity.cmp(&a.severity),
            "SINCE" => b.first_seen.cmp(&a.first_seen),
            "KIND" => a.kind().to_string().cmp(&b.kind().to_string()),
            "SUMMARY" => a.summary.cmp(&b.summary),
            "ID" => a.id.cmp(&b.id),
            _ => Ordering::Equal,
        };
        order.then_with(|| usual(a, b))
    });
    if *backwards {
        rows.reverse();
    }
    rows
}

fn place(state: State) -> u8 {
    match state {
        State::Open => 0,
        State::Acknowledged => 1,
        State::Resolved => 2,
    }
}

/// Whether one of `words` holds `filter`, which is in lower case.
fn passes(filter: &str, words: &[&str]) -> bool {
    filter.is_empty() || words.iter().any(|word| word.to_lowercase().contains(filter))
}

/// Both lists in `rows` lines. The alerts have as many as they need, up to a third.
pub(super) fn draw(screen: &Screen, columns: usize, rows: usize) -> Vec<Line> {
    let (sessions, alerts) = (sessions(screen), alerts(screen));
    // A title and a line of heads for each.
    let room = rows.saturating_sub(4);
    let for_alerts = match screen.pane {
        Pane::Sessions => alerts.len().min(room / 3).max(room.saturating_sub(sessions.len()).min(alerts.len())),
        Pane::Alerts => alerts.len().min(room - room / 3).max(room.saturating_sub(sessions.len()).min(alerts.len())),
    };
    let for_sessions = room.saturating_sub(for_alerts).min(sessions.len());
    let up = sessions.iter().filter(|neighbor| neighbor.state() == v1::SessionState::Established).count();
    let title = format!("Sessions: {}, {up} established", sessions.len());
    let mut lines = vec![headline(screen, Pane::Sessions, title, columns)];
    let cells: Vec<Vec<Cell>> = sessions.iter().map(|neighbor| session_row(screen, neighbor)).collect();
    lines.extend(drawing(screen, Pane::Sessions, sessions.len(), for_sessions, columns).lines(&cells));
    let counted = |state| alerts.iter().filter(|alert| alert.state == state).count();
    let (open, taken) = (counted(State::Open), counted(State::Acknowledged));
    let more = if screen.look.more_alerts { ", older ones left out" } else { "" };
    let title = format!("Alerts: {open} open, {taken} acknowledged, {} resolved{more}", counted(State::Resolved));
    lines.push(headline(screen, Pane::Alerts, title, columns));
    let cells: Vec<Vec<Cell>> = alerts.iter().map(|alert| alert_row(alert)).collect();
    lines.extend(drawing(screen, Pane::Alerts, alerts.len(), for_alerts, columns).lines(&cells));
    lines
}

fn headline(screen: &Screen, pane: Pane, title: String, columns: usize) -> Line {
    let list = if pane == Pane::Sessions { &screen.sessions } else { &screen.alerts };
    let front = screen.pane == pane;
    let mut line = Line::of(if front { "# " } else { "- " }, if front { Colour::Bold } else { Colour::Dim });
    line.push(title, if front { Colour::Bold } else { Colour::Plain });
    if !list.filter.is_empty() {
        line.push(format!("  with \"{}\"", list.filter), Colour::Yellow);
    }
    let dashes = "-".repeat(columns.min(400).saturating_sub(line.width() + 1));
    line.push(format!(" {dashes}"), Colour::Dim);
    line
}

fn drawing(screen: &Screen, pane: Pane, rows: usize, height: usize, width: usize) -> Drawing<'static> {
    let (list, columns) = match pane {
        Pane::Sessions => (&screen.sessions, SESSION_COLUMNS),
        Pane::Alerts => (&screen.alerts, ALERT_COLUMNS),
    };
    let selected = screen.selected(pane);
    Drawing {
        columns,
        sorted: Some((list.sort, list.backwards)),
        selected: (screen.pane == pane).then_some(selected),
        first: first_shown(selected, rows, height),
        height,
        width,
    }
}

fn session_row(screen: &Screen, neighbor: &v1::Neighbor) -> Vec<Cell> {
    let total = |of: fn(&v1::FamilyCounts) -> u64| count(neighbor.counts.iter().map(of).sum());
    let rate = screen.rates.get(&neighbor.address);
    let rate = |of: fn(&Rate) -> u64| rate.map_or_else(|| "-".to_owned(), |rate| count(of(rate)));
    let name = neighbor::state(neighbor).name();
    let state = match neighbor.state() {
        _ if !neighbor.enabled => Cell::coloured("disabled", Colour::Dim),
        v1::SessionState::Established => Cell::coloured(name, Colour::Green),
        v1::SessionState::Idle => Cell::coloured(name, Colour::Red),
        _ => Cell::coloured(name, Colour::Yellow),
    };
    vec![
        Cell::new(&neighbor.address),
        Cell::new(&neighbor.name),
        Cell::new(neighbor.remote_asn.map_or_else(|| "any".to_owned(), |asn| asn.to_string())),
        state,
        Cell::new(neighbor.uptime_s.or(neighbor.changed_s).map(duration).unwrap_or_default()),
        Cell::new(total(|counts| counts.received)),
        Cell::new(total(|counts| counts.accepted)),
        Cell::new(total(|counts| counts.advertised)),
        Cell::new(rate(|rate| rate.received)),
        Cell::new(rate(|rate| rate.sent)),
        Cell::new(&neighbor.last_error),
    ]
}

fn alert_row(alert: &Alert) -> Vec<Cell> {
    let (state, colour) = match alert.state {
        State::Open => ("open", Colour::Red),
        State::Acknowledged => ("acked", Colour::Yellow),
        State::Resolved => ("over", Colour::Dim),
    };
    let (severity, grave) = match alert.severity {
        Severity::Critical => ("crit", Colour::Red),
        Severity::Warning => ("warn", Colour::Yellow),
        Severity::Info => ("info", Colour::Plain),
    };
    let quiet = alert.state == State::Resolved;
    let muted = if alert.muted.is_some() && !quiet { "(muted) " } else { "" };
    vec![
        Cell::coloured(state, colour),
        Cell::coloured(severity, if quiet { Colour::Dim } else { grave }),
        Cell::new(day_and_minute(&alert.first_seen.to_string())),
        Cell::new(alert.kind()),
        Cell::new(format!("{muted}{}", alert.summary)),
        Cell::new(&alert.id),
    ]
}

/// `11-21 22:45` of an RFC 3339 time.
pub(super) fn day_and_minute(time: &str) -> String {
    time.get(5..16).unwrap_or_default().replace('T', " ")
}

/// A table of some alerts that nothing is selected in.
pub(super) fn alert_lines_of(alerts: &[&Alert], width: usize) -> Vec<Line> {
    let cells: Vec<Vec<Cell>> = alerts.iter().map(|alert| alert_row(alert)).collect();
    let drawing = Drawing { columns: ALERT_COLUMNS, sorted: None, selected: None, first: 0, height: usize::MAX, width };
    drawing.lines(&cells)
}
