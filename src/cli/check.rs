//! `ribwatch check`: validates a configuration, and says what a reload would change.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use crate::config::{Config, diff};

/// Arguments of `ribwatch check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// The configuration to check
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Also say what a reload from OTHER, the configuration that runs now, would change
    #[arg(long, value_name = "OTHER")]
    diff: Option<PathBuf>,
}

/// Checks; exit code 0, or 2 when a file has faults (then printed on standard error).
pub fn run(args: &CheckArgs) -> ExitCode {
    let report = match report(args) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    // A closed pipe is no news to who closed it.
    let _ = io::stdout().write_all(report.as_bytes());
    ExitCode::SUCCESS
}

fn report(args: &CheckArgs) -> Result<String, crate::config::ConfigError> {
    let config = Config::load(&args.config)?;
    let old = args.diff.as_deref().map(Config::load).transpose()?;
    let mut lines = vec![format!("{}: ok, {}", args.config.display(), neighbors(config.neighbors.len()))];
    lines.extend(config.advice().into_iter().map(|note| format!("note: {note}")));
    lines.extend(config.inactive().into_iter().map(|note| format!("note: {note}")));
    if let Some(old) = old {
        let changes = diff(&old, &config);
        lines.extend(changes.iter().map(|change| format!("reload: {change}")));
        if changes.is_empty() {
            lines.push("reload: nothing would change".to_owned());
        }
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn neighbors(count: usize) -> String {
    match count {
        1 => "1 neighbor".to_owned(),
        count => format!("{count} neighbors"),
    }
}
