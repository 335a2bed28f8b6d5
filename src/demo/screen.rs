//! How the story is told: chapters, outcomes, a progress line on a terminal, and commands run as an operator
//! would run them, by this very program.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use super::lab::Lab;

/// Width of the progress bar, in characters.
const BAR: u64 = 30;

/// Where the story is told, and the count of what did not happen.
pub(super) struct Screen {
    color: bool,
    chapter: u32,
    failures: u32,
    started: Instant,
    shown: Option<Instant>,
}

impl Screen {
    pub(super) fn new(color: bool) -> Self {
        Self { color, chapter: 0, failures: 0, started: Instant::now(), shown: None }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A line as it is. A closed pipe is no reason to fail: the story goes on for the exit code.
    pub(super) fn say(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let heading = format!("{}. {title}", self.chapter);
        self.say(&format!("\n{}", self.paint("1", &heading)));
    }

    /// One thing that had to happen.
    pub(super) fn outcome(&mut self, happened: bool, what: &str) {
        let mark = if happened { self.paint("32", "ok") } else { self.paint("31", "FAILED") };
        self.failures += u32::from(!happened);
        self.say(&format!("  {mark}  {what}"));
    }

    /// A bar that moves, on a terminal only and at most ten times a second.
    pub(super) fn progress(&mut self, what: &str, done: u64, all: u64) {
        let now = Instant::now();
        if !self.color || self.shown.is_some_and(|shown| now - shown < Duration::from_millis(100)) {
            return;
        }
        self.shown = Some(now);
        let full = done.min(all) * BAR / all.max(1);
        let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '.' }).collect();
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\r  [{bar}] {done} of {all} {what}");
        let _ = out.flush();
    }

    /// Takes the bar away.
    pub(super) fn progress_end(&mut self) {
        if self.shown.take().is_some() {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }

    /// What `ribwatch ARGUMENTS` prints, asked behind the scenes; empty when it fails.
    pub(super) fn ask(&self, lab: &Lab, arguments: &[&str]) -> String {
        let output = program(lab, arguments, false).stdin(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Shows and runs `ribwatch ARGUMENTS` against the daemon; returns what it printed.
    pub(super) fn command(&mut self, lab: &Lab, arguments: &[&str]) -> String {
        self.show(arguments);
        let output = program(lab, arguments, self.color).stdin(Stdio::null()).output();
        let text = match output {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => {
                self.outcome(false, &format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
                String::new()
            }
            Err(error) => {
                self.outcome(false, &format!("the program cannot be run again: {error}"));
                String::new()
            }
        };
        for line in text.lines() {
            self.say(&format!("  {line}"));
        }
        text
    }

    /// Shows and starts `ribwatch ARGUMENTS`; its lines are told as they come.
    pub(super) fn watch(&mut self, lab: &Lab, arguments: &[&str]) -> Option<Watch> {
        self.show(arguments);
        let mut child = program(lab, arguments, self.color)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take()?;
        let (lines, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("  {line}");
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Some(Watch { child, lines: told })
    }

    fn show(&self, arguments: &[&str]) {
        self.say(&format!("\n  {}", self.paint("36", &format!("$ ribwatch {}", arguments.join(" ")))));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A `ribwatch watch` that runs beside the story.
pub(super) struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Waits for a line; false when it does not come in time.
    pub(super) fn until(&mut self, patience: Duration, wanted: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(left) {
                Ok(line) if wanted(&line) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(lab: &Lab, arguments: &[&str], color: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "ribwatch".into()));
    command.args(arguments).args(["--api", &lab.api()]);
    if !color {
        command.arg("--no-color");
    }
    command
}

/// A duration as a person says it: `7 ms`, `1.3 s`.
pub(super) fn short(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..=999 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}
