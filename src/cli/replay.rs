//! `ribwatch replay`: which alerts there would have been, had the daemon heard what archives recorded. Needs no daemon,
//! and gives the same octets for the same files and rules.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    client::Failure,
    output::{Colour, Output, plural},
    table::{Align, Cell, Table},
};
use crate::{
    alert::{Change, json as fields},
    app::replay::{Raised, Replay},
    config::Config,
    detect::{Fingerprint, Severity},
    io::{
        mrt::{self, Progress},
        rpki::offline,
    },
    types::Timestamp,
    wire::mrt::Interpreter,
};

/// Faults of one file that are named; the others are counted.
const FAULTS_SHOWN_MAX: u64 = 20;
/// How often progress is shown, and after how many records the clock is asked.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
const PROGRESS_RECORDS: u64 = 4096;

/// Arguments of `ribwatch replay`.
#[derive(clap::Args, Debug)]
pub(super) struct ReplayArgs {
    /// MRT files in the order of their time, tables first: plain, gzip, bzip2 or zstd; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration with the rules: [watch], [detect], [alert]; a peer with the address of a [[neighbor]] counts as
    /// it, any other as a public vantage
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Also play the files under the rules of OLD, and print only alerts that one of both has
    #[arg(long, value_name = "OLD", conflicts_with = "changes")]
    compare: Option<PathBuf>,
    /// Every change of every alert as it happens, instead of the alerts at the end
    #[arg(long)]
    changes: bool,
    /// Whether somebody looks at standard error.
    #[arg(skip)]
    pub(super) progress: bool,
}

impl ReplayArgs {
    /// Shows progress where standard error is a terminal, and what is printed goes elsewhere.
    pub(super) fn show_progress(&mut self) {
        self.progress = io::stderr().is_terminal() && !io::stdout().is_terminal();
    }
}

/// Plays the files. What is wrong with them is told on `err`, and what is readable is used.
///
/// # Errors
/// A configuration is wrong, or a file cannot be opened.
pub(super) fn run(args: &ReplayArgs, out: &mut Output<'_>, err: &mut dyn Write) -> Result<(), Failure> {
    let mut replay = start(&args.config, err)?;
    let mut old = args.compare.as_deref().map(|old| start(old, err)).transpose()?;
    for file in &args.files {
        play(file, args, (&mut replay, old.as_mut()), out, err)?;
    }
    replay.finish();
    changes(args, &mut replay, out)?;
    let counts = replay.counts();
    let raised = replay.raised();
    match old {
        Some(mut old) => {
            old.finish();
            compare(&raised, &old.raised(), out)?;
        }
        None if args.changes => {}
        None => list(&raised, out)?,
    }
    let read = format!(
        "{} of tables, {}, {}; {}",
        plural(counts.table_routes, "route"),
        plural(counts.updates, "update"),
        plural(counts.peers, "peer"),
        plural(raised.len() as u64, "alert"),
    );
    say(err, format_args!("{read}"));
    Ok(())
}

/// Reads the rules, and the RPKI data of files that they name.
fn start(path: &Path, err: &mut dyn Write) -> Result<Replay, Failure> {
    let config = Config::load(path).map_err(|error| Failure::Usage(error.to_string()))?;
    if !config.detect.enabled {
        let what = format!("{}: detection is turned off: [detect] enabled = false", path.display());
        return Err(Failure::Usage(what));
    }
    let rpki = offline::read(&config.rpki).map_err(Failure::Usage)?;
    if let Some(known) = rpki.as_ref().filter(|known| !known.unasked.is_empty()) {
        say(err, format_args!("{}: caches that were not asked: {}", path.display(), known.unasked.join(", ")));
    }
    Ok(Replay::new(&config, rpki.map(|known| known.snapshot)))
}

fn play(
    path: &Path,
    args: &ReplayArgs,
    (replay, mut old): (&mut Replay, Option<&mut Replay>),
    out: &mut Output<'_>,
    err: &mut dyn Write,
) -> Result<(), Failure> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let (mut reader, read) = mrt::open(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let mut interpreter = Interpreter::new();
    let mut faults = Faults { name: &name, count: 0 };
    let mut shown = Shown::new(path, &name, read, args.progress);
    while let Some(next) = reader.next_record() {
        let record = match next {
            Ok(record) => record,
            Err(fault) => {
                faults.note(err, format_args!("{fault}"));
                continue;
            }
        };
        let told = interpreter.interpret(&record, |event| {
            replay.take(record.header.time, &event);
            if let Some(old) = &mut old {
                old.take(record.header.time, &event);
            }
        });
        if let Err(fault) = told {
            faults.note(err, format_args!("record at octet {}: {fault}", record.at));
        }
        changes(args, replay, out)?;
        if let Some(old) = &mut old {
            old.take_changes();
        }
        shown.update(err);
    }
    shown.clear(err);
    faults.finish(err);
    replay.end_of_file();
    if let Some(old) = old {
        old.end_of_file();
    }
    changes(args, replay, out)
}

/// Prints what changed since, if that is wanted.
fn changes(args: &ReplayArgs, replay: &mut Replay, out: &mut Output<'_>) -> Result<(), Failure> {
    for change in replay.take_changes() {
        if args.changes {
            print_change(&change, out)?;
        }
    }
    Ok(())
}

fn print_change(change: &Change, out: &mut Output<'_>) -> Result<(), Failure> {
    let alert = &change.alert;
    if out.json() {
        return Ok(out.json_line(&json!({
            "event": "change",
            "seq": change.seq,
            "at": change.at.to_string(),
            "why": change.why.name(),
            "tell": change.tell,
            "observed_at": change.observed_at.map(|at| at.to_string()),
            "alert": fields::alert(alert),
        }))?);
    }
    let what = format!("{:<12}", format!("{}{}", change.why.name(), if change.tell { "" } else { " (muted)" }));
    let severity = out.paint(&format!("{:<8}", alert.severity.name()), colour(alert.severity));
    Ok(out.line(&format!("{} {what} {severity} {} {}: {}", change.at, alert.id, alert.kind(), alert.summary))?)
}

/// Every alert, in the order in which they were raised.
fn list(raised: &[Raised], out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        return raised.iter().try_for_each(|raised| Ok(out.json_line(&fields::alert(&raised.alert))?));
    }
    if raised.is_empty() {
        return Ok(out.line("no alerts")?);
    }
    let mut table = Table::new(&TITLES.map(|title| (title, Align::Left)));
    raised.iter().for_each(|raised| table.push(cells(raised)));
    Ok(table.flush(out)?)
}

const TITLES: [&str; 5] = ["OPENED", "RESOLVED", "SEVERITY", "KIND", "SUMMARY"];

fn cells(raised: &Raised) -> Vec<Cell> {
    let alert = &raised.alert;
    let seconds = |at: Timestamp| Timestamp::from_secs(at.secs().into()).to_string();
    vec![
        Cell::new(seconds(raised.opened_at)),
        Cell::new(alert.resolved_at.map_or_else(|| "-".to_owned(), seconds)),
        Cell::coloured(alert.severity, colour(alert.severity)),
        Cell::new(alert.kind()),
        Cell::new(&alert.summary),
    ]
}

fn colour(severity: Severity) -> Colour {
    match severity {
        Severity::Critical => Colour::Red,
        Severity::Warning => Colour::Yellow,
        Severity::Info => Colour::Plain,
    }
}

/// What only one of two sets of rules finds, by kind and subject.
fn compare(new: &[Raised], old: &[Raised], out: &mut Output<'_>) -> Result<(), Failure> {
    let keys = |of: &[Raised]| -> BTreeSet<Fingerprint> { of.iter().map(|raised| raised.alert.key.clone()).collect() };
    let (in_new, in_old) = (keys(new), keys(old));
    let only = |of: &[Raised], other: &BTreeSet<Fingerprint>, sign| -> Vec<(&'static str, Raised)> {
        of.iter().filter(|raised| !other.contains(&raised.alert.key)).map(|raised| (sign, raised.clone())).collect()
    };
    let mut differing = only(new, &in_old, "added");
    differing.extend(only(old, &in_new, "removed"));
    differing.sort_by_key(|(sign, raised)| (raised.opened_at, *sign, raised.seq));
    if out.json() {
        for (sign, raised) in &differing {
            let mut value = fields::alert(&raised.alert);
            if let Value::Object(fields) = &mut value {
                fields.insert("compare".into(), json!(sign));
            }
            out.json_line(&value)?;
        }
        return Ok(());
    }
    if differing.is_empty() {
        return Ok(out.line(&format!("no difference: {} under both", plural(in_new.len() as u64, "alert")))?);
    }
    let mut titles = vec![("RULES", Align::Left)];
    titles.extend(TITLES.map(|title| (title, Align::Left)));
    let mut table = Table::new(&titles);
    for (sign, raised) in &differing {
        let sign = Cell::coloured(*sign, if *sign == "added" { Colour::Green } else { Colour::Red });
        table.push(std::iter::once(sign).chain(cells(raised)).collect());
    }
    Ok(table.flush(out)?)
}

fn say(err: &mut dyn Write, what: fmt::Arguments<'_>) {
    // Standard error may be closed: there is nobody left to tell.
    let _ = writeln!(err, "ribwatch replay: {what}");
}

/// Tells about what is wrong with a file, but not without end.
struct Faults<'a> {
    name: &'a str,
    count: u64,
}

impl Faults<'_> {
    fn note(&mut self, err: &mut dyn Write, what: fmt::Arguments<'_>) {
        self.count += 1;
        if self.count <= FAULTS_SHOWN_MAX {
            say(err, format_args!("{}: {what}", self.name));
        }
    }

    fn finish(&self, err: &mut dyn Write) {
        if self.count > 0 {
            let places = plural(self.count, "fault");
            say(err, format_args!("{}: {places}; what could be read was used", self.name));
        }
    }
}

/// The line of progress on a terminal.
struct Shown<'a> {
    name: &'a str,
    read: Progress,
    octets: Option<u64>,
    records: u64,
    last: Option<Instant>,
    visible: bool,
}

impl<'a> Shown<'a> {
    fn new(path: &Path, name: &'a str, read: Progress, wanted: bool) -> Self {
        let octets = path.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
        Self { name, read, octets, records: 0, last: wanted.then(Instant::now), visible: false }
    }

    fn update(&mut self, err: &mut dyn Write) {
        self.records += 1;
        let Some(last) = self.last else { return };
        if !self.records.is_multiple_of(PROGRESS_RECORDS) || last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Some(Instant::now());
        self.visible = true;
        let part = match self.octets {
            Some(octets @ 1..) => format!("{} %", self.read.octets().saturating_mul(100) / octets),
            _ => format!("{} MiB", self.read.octets() >> 20),
        };
        let _ = write!(err, "\r\x1b[K{}: {part}, {} records", self.name, self.records);
    }

    fn clear(&mut self, err: &mut dyn Write) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(err, "\r\x1b[K");
        }
    }
}
