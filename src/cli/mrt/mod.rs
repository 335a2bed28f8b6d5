//! `ribwatch mrt`: prints routing archives, one line per route (`text`, `json`), or counts them (`count`).
//!
//! Standard output is written in large pieces and a reader that closes it ends the program quietly. What is wrong
//! with a file goes to standard error, and so does progress where somebody looks.

mod count;
mod json;
mod text;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    io::mrt::{self, Progress, ReadFault},
    wire::mrt::{Event, Header, Interpreter, RecordFault},
};
use count::Counts;

/// Standard output is written in pieces of about this size.
const PIECE: usize = 64 << 10;
/// Faults of one file that are printed; the others are counted.
const FAULTS_SHOWN_MAX: u64 = 20;
/// How often progress is shown, and after how many records the clock is asked.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
const PROGRESS_RECORDS: u64 = 4096;

/// Everything was read.
const DONE: u8 = 0;
/// A file is damaged: what could be read was printed.
const DAMAGED: u8 = 1;
/// A file cannot be opened.
const UNREADABLE: u8 = 2;

/// Arguments of `ribwatch mrt`.
#[derive(clap::Args, Clone, Debug)]
pub struct MrtArgs {
    /// MRT files: plain, gzip, bzip2 or zstd; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON object per line instead of the layout of bgpdump -m
    #[arg(long)]
    pub json: bool,
    /// A summary per file instead of its routes
    #[arg(long)]
    pub count: bool,
}

/// Prints the files. Exit code 0, or 1 when one is damaged, or 2 when one cannot be opened.
pub fn run(args: MrtArgs) -> ExitCode {
    let mut output = Output { piece: Vec::with_capacity(2 * PIECE), to: io::stdout().lock() };
    let mut worst = DONE;
    for file in &args.files {
        match print_file(file, &args, &mut output) {
            Ok(code) => worst = worst.max(code),
            Err(Stop::Closed) => return ExitCode::from(DONE),
            Err(Stop::Failed(error)) => {
                complain(format_args!("standard output: {error}"));
                return ExitCode::from(DAMAGED);
            }
        }
    }
    match output.flush() {
        Ok(()) | Err(Stop::Closed) => ExitCode::from(worst),
        Err(Stop::Failed(error)) => {
            complain(format_args!("standard output: {error}"));
            ExitCode::from(DAMAGED)
        }
    }
}

fn complain(what: std::fmt::Arguments<'_>) {
    // Standard error may be closed too; there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ribwatch mrt: {what}");
}

/// Why nothing more can be printed.
enum Stop {
    /// The reader has seen enough.
    Closed,
    Failed(io::Error),
}

struct Output<W> {
    piece: Vec<u8>,
    to: W,
}

impl<W: Write> Output<W> {
    fn flush_if_large(&mut self) -> Result<(), Stop> {
        if self.piece.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let result = self.to.write_all(&self.piece).and_then(|()| self.to.flush());
        self.piece.clear();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::Failed(error),
        })
    }
}

fn print_file(path: &Path, args: &MrtArgs, output: &mut Output<impl Write>) -> Result<u8, Stop> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let (mut reader, progress) = match mrt::open(path) {
        Ok(opened) => opened,
        Err(error) => {
            complain(format_args!("{name}: {error}"));
            return Ok(UNREADABLE);
        }
    };
    let mut interpreter = Interpreter::new();
    let mut counts = Counts::default();
    let mut faults = Faults::new(&name);
    let mut shown = Shown::new(path, &name, progress);
    while let Some(next) = reader.next_record() {
        let record = match next {
            Ok(record) => record,
            Err(fault) => {
                faults.file(&fault);
                continue;
            }
        };
        counts.record(&record.header);
        let printed = interpreter.interpret(&record, |event| {
            if args.count {
                counts.event(&record.header, &event);
            } else {
                print_event(args.json, &record.header, &event, &mut output.piece);
            }
        });
        if let Err(fault) = printed {
            faults.record(record.at, &fault);
        }
        output.flush_if_large()?;
        shown.update(counts.records());
    }
    shown.clear();
    faults.finish();
    if args.count {
        counts.print(path, faults.count, args.json, &mut output.piece);
    }
    // Standard error and standard output keep their order on a terminal, file by file.
    output.flush()?;
    Ok(if faults.damaged { DAMAGED } else { DONE })
}

fn print_event(json: bool, header: &Header, event: &Event<'_>, out: &mut Vec<u8>) {
    if json { json::push_event(header, event, out) } else { text::push_event(header, event, out) }
}

/// Tells about faults, but not without end.
struct Faults<'a> {
    name: &'a str,
    count: u64,
    damaged: bool,
}

impl<'a> Faults<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, count: 0, damaged: false }
    }

    fn file(&mut self, fault: &ReadFault) {
        self.damaged = true;
        self.say(format_args!("{fault}"));
    }

    fn record(&mut self, at: u64, fault: &RecordFault) {
        // BGP that is in error was recorded faithfully: that is no damage.
        self.damaged |= !matches!(fault, RecordFault::Bgp(_));
        self.say(format_args!("record at octet {at}: {fault}"));
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.count += 1;
        if self.count <= FAULTS_SHOWN_MAX {
            complain(format_args!("{}: {what}", self.name));
        }
    }

    fn finish(&self) {
        if self.count > FAULTS_SHOWN_MAX {
            complain(format_args!("{}: {} faults more", self.name, self.count - FAULTS_SHOWN_MAX));
        }
    }
}

/// The line of progress on a terminal, while the routes themselves go elsewhere.
struct Shown<'a> {
    name: &'a str,
    progress: Progress,
    octets: Option<u64>,
    last: Option<Instant>,
    visible: bool,
}

impl<'a> Shown<'a> {
    fn new(path: &Path, name: &'a str, progress: Progress) -> Self {
        let wanted = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let octets = path.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
        Self { name, progress, octets, last: wanted.then(Instant::now), visible: false }
    }

    fn update(&mut self, records: u64) {
        let Some(last) = self.last else { return };
        if !records.is_multiple_of(PROGRESS_RECORDS) || last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Some(Instant::now());
        self.visible = true;
        let part = match self.octets {
            Some(octets @ 1..) => format!("{} %", self.progress.octets().saturating_mul(100) / octets),
            _ => format!("{} MiB", self.progress.octets() >> 20),
        };
        let _ = write!(io::stderr(), "\r\x1b[K{}: {part}, {records} records", self.name);
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
