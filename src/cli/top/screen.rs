//! What the screen shows and what keys do to it, without a terminal: news and keys go in, lines and deeds come out. The
//! lists are drawn in `lists`, single things in `detail`.

use std::{collections::HashMap, time::Duration};

use ribwatch_proto::v1;

use super::{
    detail, lists,
    look::{Deed, Look, News},
    text::{Line, Style},
};
use crate::{
    alert::State,
    cli::output::{Colour, duration},
};

/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Looks whose rates are remembered.
const HISTORY: usize = 60;
/// Characters of an input line.
const INPUT_MAX: usize = 200;

/// A key, as far as the screen knows any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What a key asks of the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Quit,
    Do(Deed),
}

/// Updates per second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rate {
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// A list that keys move in.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// Address or id of the selected row; `None`: the first one.
    pub(super) selected: Option<String>,
    /// Number of the column that orders the rows.
    pub(super) sort: usize,
    pub(super) backwards: bool,
    /// What a row must hold to be shown, in lower case; empty: anything.
    pub(super) filter: String,
}

/// Which list keys act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pane {
    Sessions,
    Alerts,
}

/// What fills the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum View {
    Lists,
    Neighbor(String),
    Alert(String),
    Rpki,
    Help,
}

/// A line that is being typed.
#[derive(Clone, Debug)]
struct Input {
    text: String,
    purpose: Purpose,
}

#[derive(Clone, Debug)]
enum Purpose {
    /// The filter of the list in front.
    Filter,
    /// The note to what is done to this alert.
    Note { alert: String, undo: bool },
}

/// The screen.
pub(super) struct Screen {
    api: String,
    interval: Duration,
    pub(super) look: Look,
    pub(super) rates: HashMap<String, Rate>,
    /// Of the neighbours by address, the oldest look first.
    pub(super) history: HashMap<String, Vec<Rate>>,
    /// Of all neighbours together; `None` before two looks.
    total: Option<Rate>,
    /// Changes of the tables per second.
    changes: Option<u64>,
    gone: Option<String>,
    pub(super) pane: Pane,
    pub(super) sessions: List,
    pub(super) alerts: List,
    view: View,
    scroll: usize,
    input: Option<Input>,
    message: String,
}

impl Screen {
    /// A screen for the daemon at `api`, with the first look.
    pub(super) fn new(api: &str, interval: Duration, look: Look) -> Self {
        Self {
            api: api.to_owned(),
            interval,
            look,
            rates: HashMap::new(),
            history: HashMap::new(),
            total: None,
            changes: None,
            gone: None,
            pane: Pane::Sessions,
            sessions: List::default(),
            alerts: List::default(),
            view: View::Lists,
            scroll: 0,
            input: None,
            message: String::new(),
        }
    }

    /// Takes in what the watcher tells.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Look(look) => self.compare(*look),
            News::Gone(why) => self.gone = Some(why),
            News::Done(words) => self.message = words,
        }
    }

    /// The next look: what changed since the last one gives the rates. A daemon that is another one now has none.
    fn compare(&mut self, look: Look) {
        let millis = u64::try_from(look.at.saturating_sub(self.look.at).as_millis()).unwrap_or(u64::MAX);
        let same = self.gone.is_none() && look.info.uptime_s >= self.look.info.uptime_s && millis > 0;
        let per_second =
            |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1000).div_ceil(millis.max(1));
        let before: HashMap<&str, &v1::Neighbor> =
            self.look.neighbors.iter().map(|neighbor| (neighbor.address.as_str(), neighbor)).collect();
        self.rates.clear();
        let mut total = Rate::default();
        for neighbor in look.neighbors.iter().filter(|_| same) {
            let Some(before) = before.get(neighbor.address.as_str()) else { continue };
            let updates = |counts: &Option<v1::MessageCounts>| counts.map_or(0, |counts| counts.update);
            let rate = Rate {
                received: per_second(updates(&neighbor.received), updates(&before.received)),
                sent: per_second(updates(&neighbor.sent), updates(&before.sent)),
            };
            total = Rate { received: total.received + rate.received, sent: total.sent + rate.sent };
            self.rates.insert(neighbor.address.clone(), rate);
        }
        self.changes = same.then(|| per_second(look.summary.seq, self.look.summary.seq));
        self.total = same.then_some(total);
        self.history.retain(|address, _| self.rates.contains_key(address));
        for (address, rate) in &self.rates {
            let history = self.history.entry(address.clone()).or_default();
            if history.len() == HISTORY {
                history.remove(0);
            }
            history.push(*rate);
        }
        self.gone = None;
        self.look = look;
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: Key) -> Option<Wish> {
        if self.input.is_some() {
            return self.type_in(key);
        }
        self.message.clear();
        match key {
            Key::Char('q') => return Some(Wish::Quit),
            Key::Char('?') => self.open(if self.view == View::Help { View::Lists } else { View::Help }),
            Key::Char('r') => self.open(if self.view == View::Rpki { View::Lists } else { View::Rpki }),
            Key::Char('a') => self.ask_note(false),
            Key::Char('u') => self.ask_note(true),
            _ if self.view == View::Lists => self.key_in_lists(key),
            Key::Escape | Key::Enter | Key::Backspace => self.open(View::Lists),
            key => self.scroll = moved(self.scroll, key, usize::MAX),
        }
        None
    }

    fn key_in_lists(&mut self, key: Key) {
        let columns = match self.pane {
            Pane::Sessions => lists::SESSION_COLUMNS.len(),
            Pane::Alerts => lists::ALERT_COLUMNS.len(),
        };
        let rows = self.keys_of(self.pane);
        let list = self.list_mut();
        match key {
            Key::Tab => self.pane = if self.pane == Pane::Sessions { Pane::Alerts } else { Pane::Sessions },
            Key::Char('s') => (list.sort, list.backwards) = ((list.sort + 1) % columns, false),
            Key::Char('S') => list.backwards = !list.backwards,
            Key::Char('/') => {
                let text = list.filter.clone();
                self.input = Some(Input { text, purpose: Purpose::Filter });
            }
            Key::Escape => list.filter.clear(),
            Key::Enter => {
                let selected = rows.get(index_of(&rows, list.selected.as_deref())).cloned();
                match (selected, self.pane) {
                    (Some(address), Pane::Sessions) => self.open(View::Neighbor(address)),
                    (Some(id), Pane::Alerts) => self.open(View::Alert(id)),
                    (None, _) => {}
                }
            }
            key => {
                let at = moved(index_of(&rows, list.selected.as_deref()), key, rows.len().saturating_sub(1));
                list.selected = rows.get(at).cloned();
            }
        }
    }

    fn open(&mut self, view: View) {
        (self.view, self.scroll) = (view, 0);
    }

    fn list_mut(&mut self) -> &mut List {
        match self.pane {
            Pane::Sessions => &mut self.sessions,
            Pane::Alerts => &mut self.alerts,
        }
    }

    /// Addresses or ids of the rows of a list, as they are shown.
    fn keys_of(&self, pane: Pane) -> Vec<String> {
        match pane {
            Pane::Sessions => lists::sessions(self).into_iter().map(|neighbor| neighbor.address.clone()).collect(),
            Pane::Alerts => lists::alerts(self).into_iter().map(|alert| alert.id.to_string()).collect(),
        }
    }

    /// Which row of the list is selected.
    pub(super) fn selected(&self, pane: Pane) -> usize {
        let list = if pane == Pane::Sessions { &self.sessions } else { &self.alerts };
        index_of(&self.keys_of(pane), list.selected.as_deref())
    }

    /// Asks for a note to an acknowledgement, of the alert in front.
    fn ask_note(&mut self, undo: bool) {
        let alert = match &self.view {
            View::Alert(id) => Some(id.clone()),
            View::Lists if self.pane == Pane::Alerts => {
                let rows = self.keys_of(Pane::Alerts);
                rows.get(index_of(&rows, self.alerts.selected.as_deref())).cloned()
            }
            _ => None,
        };
        let found = alert.and_then(|id| self.look.alerts.iter().find(|alert| *alert.id == *id));
        self.message = match found.map(|alert| alert.state) {
            None => "no alert is selected: Tab goes to the alerts".to_owned(),
            Some(State::Resolved) => "it is over: there is nothing to acknowledge".to_owned(),
            Some(State::Open) if undo => "it is not acknowledged".to_owned(),
            Some(State::Acknowledged) if !undo => "it is acknowledged already: u takes that back".to_owned(),
            Some(_) => String::new(),
        };
        if let (Some(alert), true) = (found, self.message.is_empty()) {
            let purpose = Purpose::Note { alert: alert.id.to_string(), undo };
            self.input = Some(Input { text: String::new(), purpose });
        }
    }

    fn type_in(&mut self, key: Key) -> Option<Wish> {
        let input = self.input.as_mut()?;
        match key {
            Key::Char(c) if input.text.chars().count() < INPUT_MAX && !c.is_control() => input.text.push(c),
            Key::Backspace => drop(input.text.pop()),
            Key::Escape => self.input = None,
            Key::Enter => {
                let Input { text, purpose } = self.input.take()?;
                match purpose {
                    Purpose::Filter => self.list_mut().filter = text.trim().to_lowercase(),
                    Purpose::Note { alert, undo } => {
                        let note = text.trim().to_owned();
                        return Some(Wish::Do(Deed { alert, note, undo }));
                    }
                }
            }
            _ => {}
        }
        None
    }

    /// The whole screen: exactly `rows` lines of at most `columns`.
    pub(super) fn lines(&mut self, columns: usize, rows: usize) -> Vec<Line> {
        let mut lines = self.header();
        let room = rows.saturating_sub(lines.len() + 1);
        let body = match &self.view {
            View::Lists => lists::draw(self, columns, room),
            view => {
                let all = detail::draw(self, view, columns);
                self.scroll = self.scroll.min(all.len().saturating_sub(room));
                all.into_iter().skip(self.scroll).take(room).collect()
            }
        };
        lines.extend(body);
        lines.resize(rows.saturating_sub(1), Line::new());
        lines.push(self.footer());
        // A terminal of two lines.
        lines.truncate(rows);
        lines.into_iter().map(|line| line.cut(columns)).collect()
    }

    /// Everything there is in both lists, however long: for a pipe.
    pub(super) fn page(&self, columns: usize) -> Vec<Line> {
        let mut lines = self.header();
        lines.extend(lists::draw(self, columns, usize::MAX));
        lines.into_iter().map(|line| line.cut(columns)).collect()
    }

    fn header(&self) -> Vec<Line> {
        let Look { info, neighbors, summary, rpki, time, .. } = &self.look;
        let mut first = Line::of(format!("ribwatch {}", info.version), Colour::Bold);
        let up = duration(info.uptime_s);
        first.push(format!("  AS{}  {}  up {up}", info.asn, info.router_id), Colour::Plain);
        if !info.ready {
            first.push("  NOT READY", Colour::Red);
        }
        first.push(format!("  at {}  ", self.api), Colour::Plain);
        let clock = crate::cli::output::time_of_day(time.0);
        first.push(clock.split('.').next().unwrap_or_default(), Colour::Dim);
        let established = neighbors.iter().filter(|neighbor| neighbor.state() == v1::SessionState::Established).count();
        let paths = summary.tables.iter().map(|table| table.paths).sum();
        let best = summary.tables.iter().map(|table| table.best).sum();
        let rate = |rate: Option<u64>| rate.map_or_else(|| "-".to_owned(), super::text::count);
        let colour = if established == neighbors.len() { Colour::Green } else { Colour::Yellow };
        let mut second = Line::of(format!("sessions {established}/{} up", neighbors.len()), colour);
        second.push(
            format!(
                "  updates/s in {} out {}  changes/s {}  paths {}  best {}",
                rate(self.total.map(|total| total.received)),
                rate(self.total.map(|total| total.sent)),
                rate(self.changes),
                super::text::count(paths),
                super::text::count(best),
            ),
            Colour::Plain,
        );
        let mut lines = vec![first, second, rpki_line(rpki)];
        if let Some(why) = &self.gone {
            let every = crate::config::print_duration(self.interval);
            let words = format!("DAEMON GONE, this is how it was; asked again every {every}: {why}");
            lines.push(Line::of(words, Style { colour: Colour::Red, reverse: true }));
        }
        lines
    }

    fn footer(&self) -> Line {
        if let Some(input) = &self.input {
            let what = match &input.purpose {
                Purpose::Filter => "filter: ",
                Purpose::Note { undo: false, .. } => "note to the acknowledgement (may be empty): ",
                Purpose::Note { undo: true, .. } => "why is it open again (may be empty): ",
            };
            let mut line = Line::of(what, Colour::Bold);
            line.push(format!("{}_", input.text), Colour::Plain);
            line.push("   Enter: go  Esc: leave it", Colour::Dim);
            return line;
        }
        if !self.message.is_empty() {
            return Line::of(&self.message, Colour::Yellow);
        }
        let keys = match (&self.view, self.pane) {
            (View::Lists, Pane::Sessions) => "q quit  ? help  Tab alerts  Enter open  / filter  s S sort  r rpki",
            (View::Lists, Pane::Alerts) => {
                "q quit  ? help  Tab sessions  Enter open  a ack  / filter  s S sort  r rpki"
            }
            (View::Alert(_), _) => "q quit  ? help  Esc back  a ack  u un-ack  up/down scroll",
            _ => "q quit  ? help  Esc back  up/down scroll",
        };
        Line::of(keys, Colour::Dim)
    }
}

fn rpki_line(rpki: &v1::ListSourcesResponse) -> Line {
    let sources = &rpki.sources;
    if sources.is_empty() {
        return Line::of("rpki: no sources configured", Colour::Dim);
    }
    let well = sources.iter().filter(|source| source.state == "synced").count();
    let colour = if well == sources.len() { Colour::Green } else { Colour::Red };
    let mut line = Line::of(format!("rpki {well}/{} synced", sources.len()), colour);
    let vrps = super::text::count(rpki.vrps_v4 + rpki.vrps_v6);
    line.push(format!("  VRPs {vrps}  ASPAs {}", super::text::count(rpki.aspas)), Colour::Plain);
    if let Some(oldest) = sources.iter().filter(|source| source.in_use).filter_map(|source| source.age_s).max() {
        line.push(format!("  age {}", duration(oldest)), Colour::Plain);
    }
    if let Some(bad) = sources.iter().find(|source| source.state != "synced") {
        line.push(format!("  {}: {} {}", bad.name, bad.state, bad.last_error), Colour::Red);
    }
    line
}

/// Where the selected row stands; the first one where it is not there (any more).
fn index_of(rows: &[String], selected: Option<&str>) -> usize {
    selected.and_then(|selected| rows.iter().position(|row| row == selected)).unwrap_or(0)
}

/// Where a key moves to from `at`, at most to `last`.
fn moved(at: usize, key: Key, last: usize) -> usize {
    match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => at.saturating_add(1),
        Key::PageUp => at.saturating_sub(PAGE),
        Key::PageDown | Key::Char(' ') => at.saturating_add(PAGE),
        Key::Home => 0,
        Key::End => last,
        _ => at,
    }
    .min(last)
}
