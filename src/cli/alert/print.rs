//! How alerts, changes of them and mutes look on a terminal and as JSON lines.

use ribwatch_proto::v1;
use serde_json::{Value, json};

use crate::{
    alert::{Alert, MuteView, State, json as fields},
    cli::{
        client::Failure,
        output::{Colour, Output, plural, time_of_day},
        table::{Align, Cell, Table},
    },
    detect::Severity,
    types::Timestamp,
};

/// Rows that are held back to find the width of columns.
const ROWS: usize = 200;

/// A time to the second.
pub(super) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.secs().into())
}

fn severity_colour(alert: &Alert) -> Colour {
    match alert.severity {
        _ if !alert.is_live() => Colour::Dim,
        Severity::Critical => Colour::Red,
        Severity::Warning => Colour::Yellow,
        Severity::Info => Colour::Plain,
    }
}

fn state_colour(alert: &Alert) -> Colour {
    match alert.state {
        State::Open => Colour::Red,
        State::Acknowledged => Colour::Yellow,
        State::Resolved => Colour::Green,
    }
}

/// A list that is printed as it comes.
pub(super) struct List {
    table: Table,
    rows: usize,
    count: u64,
}

impl Default for List {
    fn default() -> Self {
        let titles = ["ID", "SEVERITY", "STATE", "KIND", "FIRST SEEN", "SUMMARY"];
        Self { table: Table::new(&titles.map(|title| (title, Align::Left))), rows: 0, count: 0 }
    }
}

impl List {
    pub(super) fn print(&mut self, alert: &Alert, out: &mut Output<'_>) -> Result<(), Failure> {
        self.count += 1;
        if out.json() {
            return Ok(out.json_line(&fields::alert(alert))?);
        }
        let muted = if alert.muted.is_some() && alert.is_live() { ", muted" } else { "" };
        self.table.push(vec![
            Cell::new(&alert.id),
            Cell::coloured(alert.severity, severity_colour(alert)),
            Cell::coloured(format!("{}{muted}", alert.state.name()), state_colour(alert)),
            Cell::new(alert.kind()),
            Cell::new(seconds(alert.first_seen)),
            Cell::new(&alert.summary),
        ]);
        self.rows += 1;
        if self.rows == ROWS {
            self.rows = 0;
            self.table.flush(out)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, more: bool, out: &mut Output<'_>) -> Result<(), Failure> {
        self.table.flush(out)?;
        if !out.json() && self.count == 0 {
            out.line("no alerts")?;
        }
        if !out.json() && more {
            out.line(&out.paint("there are more: --limit COUNT shows them", Colour::Dim))?;
        }
        Ok(())
    }
}

/// One alert in full.
pub(in crate::cli) fn one(alert: &Alert, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        return Ok(out.json_line(&fields::alert(alert))?);
    }
    let severity = out.paint(alert.severity.name(), severity_colour(alert));
    let state = out.paint(alert.state.name(), state_colour(alert));
    out.line(&out.paint(&alert.summary, Colour::Bold))?;
    out.line(&format!("{} {} {severity} {state}", alert.id, alert.kind()))?;
    out.line(&format!("why         {}", alert.why))?;
    let mut row = |title: &str, words: String| -> Result<(), Failure> {
        if words.is_empty() { Ok(()) } else { Ok(out.line(&format!("{title:<11} {words}"))?) }
    };
    row("prefix", alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default())?;
    for (part, asns) in &alert.asns {
        row(part, asns.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(" "))?;
    }
    row("neighbors", alert.neighbors.join(" "))?;
    row("first seen", seconds(alert.first_seen).to_string())?;
    row("last seen", seconds(alert.last_seen).to_string())?;
    row("resolved at", alert.resolved_at.map(|at| seconds(at).to_string()).unwrap_or_default())?;
    row("reopened", if alert.reopened == 0 { String::new() } else { plural(alert.reopened.into(), "time") })?;
    row("taken by", alert.acknowledged_by.clone().unwrap_or_default())?;
    row("muted", alert.muted.clone().unwrap_or_default())?;
    for (name, value) in alert.evidence.iter().filter(|(name, _)| &***name != "score") {
        row(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
    }
    row("score", score(alert))?;
    if alert.member_count > 0 {
        let left = alert.member_count.saturating_sub(alert.members.len() as u64);
        let more = if left == 0 { String::new() } else { format!(" and {left} more") };
        row("members", format!("{}: {}{more}", alert.member_count, alert.members.join(" ")))?;
    }
    for comment in &alert.comments {
        let text = comment.text.replace('\n', "\n            ");
        row("comment", format!("{} {}: {text}", seconds(comment.at), comment.author))?;
    }
    Ok(())
}

/// `40 rpki_invalid, -10 inferred = 30`; empty where there is none.
fn score(alert: &Alert) -> String {
    let terms = alert.evidence.get("score").and_then(Value::as_array).cloned().unwrap_or_default();
    let weight = |term: &Value| term.get("weight").and_then(Value::as_i64).unwrap_or_default();
    let name = |term: &Value| term.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if terms.is_empty() {
        return String::new();
    }
    let words: Vec<String> = terms.iter().map(|term| format!("{:+} {}", weight(term), name(term))).collect();
    format!("{} = {}", words.join(", "), terms.iter().map(weight).sum::<i64>())
}

/// One change, in one line.
pub(super) fn change(change: &v1::AlertChange, alert: &Alert, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        let time = |micros: u64| Timestamp(micros).to_string();
        return Ok(out.json_line(&json!({
            "event": "change",
            "seq": change.seq,
            "at": time(change.at_us),
            "why": change.why,
            "tell": change.tell,
            "observed_at": change.observed_at_us.map(time),
            "alert": fields::alert(alert),
        }))?);
    }
    let held = if change.tell { "" } else { " (muted)" };
    let what = out.paint(&format!("{:<12}", format!("{}{held}", change.why)), state_colour(alert));
    let severity = out.paint(&format!("{:<8}", alert.severity.name()), severity_colour(alert));
    let (seq, time, id, kind) = (change.seq, time_of_day(change.at_us), &alert.id, alert.kind());
    Ok(out.line(&format!("{seq:>6} {time}  {what} {severity} {id} {kind}: {}", alert.summary))?)
}

/// Mutes and windows.
pub(super) fn mutes(mutes: &[MuteView], out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        return Ok(mutes.iter().try_for_each(|mute| out.json_line(&fields::mute(mute)))?);
    }
    if mutes.is_empty() {
        return Ok(out.line("nothing is muted")?);
    }
    let titles = ["ID", "MUTES", "NOW", "UNTIL OR FROM", "BY", "REASON"];
    let mut table = Table::new(&titles.map(|title| (title, Align::Left)));
    for mute in mutes {
        table.push(vec![
            Cell::new(&mute.id),
            Cell::new(&mute.scope),
            if mute.active { Cell::coloured("yes", Colour::Yellow) } else { Cell::new("no") },
            Cell::new(mute.until.map_or_else(|| "-".to_owned(), |at| seconds(at).to_string())),
            Cell::new(&mute.author),
            Cell::new(&mute.reason),
        ]);
    }
    Ok(table.flush(out)?)
}
