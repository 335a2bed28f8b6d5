//! One thing in full: a neighbour, an alert, the sources of RPKI data, the keys. What the verbs `neighbor` and `alert show`
//! print is printed here, too, in lines that fit.

use ribwatch_proto::v1;

use super::{
    grid::{Cell, Column, Drawing},
    lists::alert_lines_of,
    screen::{Rate, Screen, View},
    text::{Line, count, wrapped},
};
use crate::cli::{
    alert,
    client::Failure,
    neighbor,
    output::{Colour, Output, duration},
    table::Align::{Left, Right},
};

/// Lines of a view, all of them.
pub(super) fn draw(screen: &Screen, view: &View, columns: usize) -> Vec<Line> {
    match view {
        View::Neighbor(address) => of_neighbor(screen, address, columns),
        View::Alert(id) => match screen.look.alerts.iter().find(|alert| *alert.id == **id) {
            Some(alert) => printed(columns, |out| alert::print::one(alert, out)),
            None => vec![Line::of(format!("alert {id} is not kept any more"), Colour::Dim)],
        },
        View::Rpki => rpki(&screen.look.rpki, columns),
        View::Help | View::Lists => HELP.lines().map(|line| Line::of(line, Colour::Plain)).collect(),
    }
}

/// What a verb prints, without colours, the first line in bold.
fn printed(columns: usize, print: impl FnOnce(&mut Output<'_>) -> Result<(), Failure>) -> Vec<Line> {
    let mut text = Vec::new();
    // Printing to memory does not fail.
    let _ = print(&mut Output::new(&mut text, false, false));
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().enumerate().flat_map(|(at, line)| {
        let colour = if at == 0 { Colour::Bold } else { Colour::Plain };
        wrapped(line, columns).into_iter().map(move |line| Line::of(line, colour))
    });
    lines.collect()
}

fn of_neighbor(screen: &Screen, address: &str, columns: usize) -> Vec<Line> {
    let Some(neighbor) = screen.look.neighbors.iter().find(|neighbor| neighbor.address == address) else {
        return vec![Line::of(format!("{address} is no neighbor any more"), Colour::Dim)];
    };
    let mut lines = printed(columns, |out| neighbor::print(neighbor, out));
    if let Some(history) = screen.history.get(address) {
        lines.push(Line::new());
        lines.push(Line::of("UPDATES PER SECOND, the latest to the right", Colour::Bold));
        for (name, of) in [("received", (|rate| rate.received) as fn(&Rate) -> u64), ("sent", |rate| rate.sent)] {
            let numbers: Vec<u64> = history.iter().map(of).collect();
            let last = numbers.last().copied().unwrap_or_default();
            let top = numbers.iter().copied().max().unwrap_or_default();
            let words = format!("{name:<8}  {}  now {}, at most {}", bars(&numbers), count(last), count(top));
            lines.push(Line::of(words, Colour::Plain));
        }
    }
    let shown_by = if neighbor.name.is_empty() { address } else { &neighbor.name };
    let about: Vec<_> =
        screen.look.alerts.iter().filter(|alert| alert.neighbors.iter().any(|by| **by == *shown_by)).collect();
    if !about.is_empty() {
        lines.push(Line::new());
        lines.extend(alert_lines_of(&about, columns));
    }
    lines
}

/// Numbers as a line of eight heights; nothing is a dot.
fn bars(numbers: &[u64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = numbers.iter().copied().max().unwrap_or_default().max(1);
    let height = |number: u64| {
        let eighth = number.saturating_mul(8).div_ceil(top).clamp(1, 8) as usize;
        HEIGHTS[eighth - 1]
    };
    numbers.iter().map(|number| if *number == 0 { '.' } else { height(*number) }).collect()
}

const SOURCE_COLUMNS: &[Column] = &[
    Column { title: "SOURCE", align: Left, min: 8, drop: 0 },
    Column { title: "PLACE", align: Left, min: 10, drop: 3 },
    Column { title: "STATE", align: Left, min: 7, drop: 0 },
    Column { title: "USED", align: Left, min: 4, drop: 0 },
    Column { title: "VRPS", align: Right, min: 5, drop: 0 },
    Column { title: "ASPAS", align: Right, min: 5, drop: 2 },
    Column { title: "AGE", align: Right, min: 5, drop: 0 },
    Column { title: "EXPIRES", align: Right, min: 5, drop: 1 },
];

fn rpki(answer: &v1::ListSourcesResponse, columns: usize) -> Vec<Line> {
    let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), duration);
    let row = |source: &v1::RpkiSource| {
        let colour = match source.state.as_str() {
            "synced" => Colour::Green,
            "starting" => Colour::Yellow,
            _ => Colour::Red,
        };
        vec![
            Cell::new(&source.name),
            Cell::new(&source.place),
            Cell::coloured(&source.state, colour),
            Cell::new(if source.in_use { "yes" } else { "no" }),
            Cell::new(source.vrps_v4 + source.vrps_v6),
            Cell::new(source.aspas),
            Cell::new(time(source.age_s)),
            Cell::new(time(source.expires_in_s)),
        ]
    };
    let rows: Vec<Vec<Cell>> = answer.sources.iter().map(row).collect();
    let drawing =
        Drawing { columns: SOURCE_COLUMNS, sorted: None, selected: None, first: 0, height: usize::MAX, width: columns };
    let mut lines = vec![Line::of("Sources of RPKI data", Colour::Bold)];
    lines.extend(drawing.lines(&rows));
    for source in answer.sources.iter().filter(|source| !source.last_error.is_empty()) {
        let words = format!("  {}: {}", source.name, source.last_error);
        lines.extend(wrapped(&words, columns).into_iter().map(|line| Line::of(line, Colour::Red)));
    }
    lines.push(Line::new());
    let (v4, v6, aspas) = (answer.vrps_v4, answer.vrps_v6, answer.aspas);
    let words = format!("in force: {v4} IPv4 and {v6} IPv6 VRPs, {aspas} customers with ASPAs");
    lines.push(Line::of(words, Colour::Plain));
    lines
}

const HELP: &str = "\
Keys
  up down j k     move; PageUp PageDown Home End as well
  Tab             from the sessions to the alerts and back
  Enter           open what is selected; Esc goes back
  /               filter: address, name, AS, state, error; of alerts all words
  Esc             in a list: no filter any more
  s S             order by the next column; turn the order around
  a u             acknowledge an alert, with a note; take that back
  r               sources of RPKI data
  ?               this help
  q, Ctrl-C       end

Columns
  RECV ACC ADV    paths received, accepted by import, told to the neighbor
  IN/s OUT/s      UPDATE messages per second since the last look
  SINCE           time in the state; of an alert, when it began (UTC)";
