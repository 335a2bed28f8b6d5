//! One file per verb of the command line. Most verbs are clients of the gRPC API and know nothing of a daemon's
//! inside; the others run by themselves. What all have in common stands here: the arguments, and the exit codes
//! of the contract (0 done, 1 the answer is no, 2 wrong usage or configuration, 3 daemon not reachable).
//!
//! A verb is one module, one variant of the enum it belongs to, and one arm in the match over that enum.

mod alert;
mod alert_test;
mod baseline;
pub mod check;
mod client;
pub mod decode;
pub mod demo;
mod explain;
mod local;
pub mod mrt;
mod neighbor;
mod output;
mod policy;
mod reload;
mod replay;
mod rib;
mod route;
mod rpki;
mod rpki_space;
pub mod run;
mod table;
mod token;
mod top;
mod watch;
mod way;
mod what_if;

use std::{
    ffi::OsString,
    io::{self, BufWriter, IsTerminal as _, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use client::{Client, Failure};
use output::Output;
use way::Way;

/// What every verb that asks a daemon takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every verb")]
struct Global {
    #[command(flatten)]
    api: Way,
    /// One JSON object per line instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// No colours, even on a terminal (NO_COLOR does the same)
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Parser, Debug)]
#[command(
    name = "ribwatch",
    version,
    about = "A BGP-4 speaker and route monitor",
    after_help = "Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 daemon not reachable.",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Every verb. Those that run for long or print for themselves stand here, the others below.
#[derive(Subcommand, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one, once")]
enum Verb {
    /// Runs the daemon
    Run(run::RunArgs),
    /// Validates a configuration
    Check(check::CheckArgs),
    /// Plays the whole product on this machine, as a story that checks itself
    Demo(demo::DemoArgs),
    #[command(flatten)]
    Asking(AskingVerb),
    /// Prints MRT files, one line per route
    Mrt(mrt::MrtArgs),
    /// Plays MRT files through the detectors under their own clock: the alerts that there would have been
    Replay(replay::ReplayArgs),
    /// Prints BGP messages given in hex as JSON
    Decode(decode::DecodeArgs),
    /// Policies: what they would do to routes, before anything is changed
    Policy(policy::PolicyArgs),
    /// Tokens for [access]
    Token(token::TokenArgs),
    #[command(flatten)]
    Printing(PrintingVerb),
}

/// Verbs that print a text of the program itself.
#[derive(Subcommand, Debug)]
enum PrintingVerb {
    /// Prints a completion script for a shell
    ///
    /// For bash: ribwatch completions bash > /etc/bash_completion.d/ribwatch
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Prints the version
    Version,
}

/// Verbs that ask a daemon.
#[derive(Subcommand, Debug)]
enum AskingVerb {
    /// Sessions: state, uptime, families, routes, last error; and what can be done to them
    #[command(visible_alias = "neighbour", args_conflicts_with_subcommands = true)]
    Neighbor(neighbor::NeighborArgs),
    /// Routes: all, of one prefix, or the longest match of an address
    #[command(args_conflicts_with_subcommands = true)]
    Rib(rib::RibArgs),
    /// Snapshot, then changes, one line each, until interrupted
    Watch(watch::WatchArgs),
    /// Every path of a prefix, why the best one won and why each other lost
    Explain(explain::ExplainArgs),
    /// RPKI: sources, counts and age; or the state of a prefix and AS with what decided it
    Rpki(rpki::RpkiArgs),
    /// Alerts: what is wrong, why, since when; acknowledge, comment, mute, watch
    #[command(args_conflicts_with_subcommands = true)]
    Alert(alert::AlertArgs),
    /// Sessions, alerts and RPKI as they are now, live on the terminal
    Top(top::TopArgs),
    /// Writes what the daemon sees of our ASes as rules to watch
    Baseline(baseline::BaselineArgs),
    /// Reads the daemon's configuration file again and goes over to it, or changes nothing
    Reload(reload::ReloadArgs),
    /// Routes of our own: add, del, list, blackhole
    Route(local::RouteArgs),
    /// Originates a route of our own: `route add` in short
    Announce(Box<local::AnnounceArgs>),
    /// Takes back a route that `announce` originated
    Withdraw(local::WithdrawArgs),
}

/// Runs the program; the exit code follows the contract.
pub fn main() -> ExitCode {
    let Arguments { global, mut verb } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are no errors; clap knows which stream and code each one has.
        Err(error) => error.exit(),
    };
    if let Verb::Replay(args) = &mut verb {
        args.show_progress();
    }
    match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Demo(args) => demo::run(&args, global.no_color),
        Verb::Decode(args) => decode::run(args),
        Verb::Mrt(args) => mrt::run(args),
        Verb::Asking(_) | Verb::Replay(_) | Verb::Policy(_) | Verb::Token(_) | Verb::Printing(_) => {
            let terminal = io::stdout().is_terminal();
            // Makes a million lines cheap; `Output` flushes where a person waits.
            let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            ExitCode::from(print(verb, &global, terminal, &mut out, &mut io::stderr()))
        }
    }
}

/// Runs a verb that asks or prints, for a test or another program: `arguments` begin with the program's name, `out`
/// and `err` are written as if they were no terminal, and the result is the exit code. Needs a thread without a
/// tokio runtime. A verb that owns its process (`run`, `check`, `mrt`) is refused as wrong usage.
pub fn execute(arguments: &[&str], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match Arguments::try_parse_from(arguments.iter().map(OsString::from)) {
        Ok(Arguments { global, verb }) => print(verb, &global, false, out, err),
        Err(error) => {
            let to: &mut dyn Write = if error.use_stderr() { err } else { out };
            // Nobody reads it: the code says it all.
            let _ = write!(to, "{error}");
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
    }
}

fn print(verb: Verb, global: &Global, terminal: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let done = match verb {
        // Needs no daemon.
        Verb::Asking(AskingVerb::Alert(alert::AlertArgs { verb: Some(alert::AlertVerb::Test(args)), .. })) => {
            alert_test::run(&args, &mut output(global, terminal, out))
        }
        Verb::Asking(verb) => ask(verb, global, terminal, out),
        Verb::Replay(args) => replay::run(&args, &mut output(global, terminal, out), err),
        Verb::Policy(args) => policy::run(&args, global, &mut output(global, terminal, out)),
        Verb::Token(args) => token::run(&args, &mut output(global, terminal, out)),
        Verb::Printing(PrintingVerb::Completions { shell }) => completions(shell, out),
        Verb::Printing(PrintingVerb::Version) => version(out),
        _ => Err(Failure::Usage("this verb needs a process of its own".into())),
    };
    let done = done.and_then(|()| out.flush().map_err(Failure::Output));
    let Err(failure) = done else { return 0 };
    // What was printed before the failure comes first, on both streams.
    let _ = out.flush();
    if let Some(text) = failure.text() {
        let _ = writeln!(err, "ribwatch: {text}");
    }
    failure.exit_code()
}

fn version(out: &mut dyn Write) -> Result<(), Failure> {
    Ok(writeln!(out, "ribwatch {}", env!("CARGO_PKG_VERSION"))?)
}

fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ribwatch", &mut script);
    Ok(out.write_all(&script)?)
}

fn output<'a>(global: &Global, terminal: bool, out: &'a mut dyn Write) -> Output<'a> {
    let colour = terminal && !global.no_color && !global.json && output::colours_wanted();
    Output::new(out, global.json, colour)
}

fn ask(verb: AskingVerb, global: &Global, terminal: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut output = output(global, terminal, out);
    runtime.block_on(async {
        let client = Client::connect(&global.api).await?;
        match verb {
            AskingVerb::Neighbor(args) => neighbor::run(args, client, &mut output).await,
            AskingVerb::Rib(args) => rib::run(args, client, &mut output).await,
            AskingVerb::Watch(args) => watch::run(args, client, &mut output).await,
            AskingVerb::Explain(args) => explain::run(args, client, &mut output).await,
            AskingVerb::Rpki(args) => rpki::run(args, client, &mut output).await,
            AskingVerb::Alert(args) => alert::run(args, client, &mut output).await,
            AskingVerb::Top(args) => top::run(args, global, terminal, client, &mut output).await,
            AskingVerb::Baseline(args) => baseline::run(args, client, &mut output).await,
            AskingVerb::Reload(args) => reload::run(args, client, &mut output).await,
            AskingVerb::Route(args) => local::run(args, client, &mut output).await,
            AskingVerb::Announce(args) => local::announce(*args, client, &mut output).await,
            AskingVerb::Withdraw(args) => local::withdraw(args, client, &mut output).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        let code = |arguments: &[&str]| execute(arguments, &mut Vec::new(), &mut Vec::new());
        assert_eq!(code(&["ribwatch", "--help"]), 0);
        assert_eq!(code(&["ribwatch", "version"]), 0);
        assert_eq!(code(&["ribwatch", "nonsense"]), 2);
        assert_eq!(code(&["ribwatch", "rib", "--table", "nonsense"]), 2);
        assert_eq!(code(&["ribwatch"]), 2);
    }

    #[test]
    fn every_shell_gets_its_completions() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let mut out = Vec::new();
            assert_eq!(execute(&["ribwatch", "completions", shell], &mut out, &mut Vec::new()), 0);
            assert!(String::from_utf8(out).unwrap().contains("ribwatch"), "{shell}");
        }
    }
}
