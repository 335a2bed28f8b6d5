//! `ribwatch check`: validates a configuration, and says what a reload would change.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use crate::{
    config::{Change, Config, diff},
    policy::is_built_in,
    view::reload::ReloadReport,
};

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

/// Checks, and runs the tests of policies; exit code 0, or 2 when a file has faults (then printed on standard error).
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
    let config = Config::load_and_test(&args.config)?;
    let old = args.diff.as_deref().map(Config::load).transpose()?;
    let mut lines = vec![format!("{}: ok, {}", args.config.display(), neighbors(config.neighbors.len()))];
    lines.extend(policies(&config));
    lines.extend(config.advice().into_iter().map(|note| format!("note: {note}")));
    lines.extend(config.inactive().into_iter().map(|note| format!("note: {note}")));
    if let Some(old) = old {
        let plan = ReloadReport::planned(diff(&old, &config).iter().map(Change::view).collect());
        lines.extend(plan.to_string().lines().map(|line| format!("reload: {line}")));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// What there is in `[policy]`; nothing where there is none.
fn policies(config: &Config) -> Option<String> {
    let defined = config.policy.library.names().filter(|name| !is_built_in(name)).count();
    let policies = match defined {
        0 => return None,
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    let tests = match config.policy.tests.len() {
        0 => "no tests".to_owned(),
        1 => "1 test passed".to_owned(),
        count => format!("{count} tests passed"),
    };
    Some(format!("policy: {policies}, {tests}"))
}

fn neighbors(count: usize) -> String {
    match count {
        1 => "1 neighbor".to_owned(),
        count => format!("{count} neighbors"),
    }
}
