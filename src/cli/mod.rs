//! One file per verb of the command line. Most verbs are clients of the gRPC API and know nothing of a daemon's
//! inside; the others run by themselves. What all have in common stands here: the arguments, and the exit codes
//! of the contract (0 done, 1 the answer is no, 2 wrong usage or configuration, 3 daemon not reachable).
//!
//! A verb is one module, one variant of `Verb` or `RemoteVerb`, and one arm in the match below it.

mod client;
mod explain;
mod local;
mod neighbor;
mod output;
mod rib;
mod route;
mod table;
mod watch;

use std::{
    ffi::OsString,
    io::{self, BufWriter, IsTerminal as _, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use client::{Client, Failure};
use output::Output;

/// What every verb that asks a daemon takes.
#[derive(Args, Clone, Debug)]
struct Global {
    /// gRPC address of the daemon
    #[arg(long, global = true, value_name = "ADDRESS", env = "RIBWATCH_API", default_value = "127.0.0.1:50051")]
    api: String,
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

#[derive(Subcommand, Debug)]
enum Verb {
    #[command(flatten)]
    Remote(RemoteVerb),
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
enum RemoteVerb {
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
    /// Originates a route of our own, until it is withdrawn or the daemon ends
    Announce(local::AnnounceArgs),
    /// Takes back a route that `announce` originated
    Withdraw(local::WithdrawArgs),
}

/// Runs the program; the exit code follows the contract.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are no errors; clap knows which stream and code each one has.
        Err(error) => error.exit(),
    };
    let terminal = io::stdout().is_terminal();
    // `BufWriter` makes a million lines cheap; `Output` flushes where a person waits.
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let code = run(arguments, terminal, &mut out, &mut io::stderr());
    ExitCode::from(code)
}

/// Runs the program on `arguments` (the first is its name) for a test or another program: prints to `out` and
/// `err` as if they were no terminal, and gives the exit code. Needs a thread without a tokio runtime.
pub fn execute(arguments: &[&str], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match Arguments::try_parse_from(arguments.iter().map(OsString::from)) {
        Ok(arguments) => run(arguments, false, out, err),
        Err(error) => {
            let to: &mut dyn Write = if error.use_stderr() { err } else { out };
            // Nobody reads it: the code says it all.
            let _ = write!(to, "{error}");
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
    }
}

fn run(arguments: Arguments, terminal: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let Arguments { global, verb } = arguments;
    let done = match verb {
        Verb::Remote(verb) => remote(verb, &global, terminal, out),
        Verb::Completions { shell } => completions(shell, out),
        Verb::Version => writeln!(out, "ribwatch {}", env!("CARGO_PKG_VERSION")).map_err(Failure::Output),
    };
    let done = done.and_then(|()| out.flush().map_err(Failure::Output));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            // What was printed before the failure comes first, on both streams.
            let _ = out.flush();
            if let Some(text) = failure.text() {
                let _ = writeln!(err, "ribwatch: {text}");
            }
            failure.exit_code()
        }
    }
}

fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ribwatch", &mut script);
    out.write_all(&script).map_err(Failure::Output)
}

fn remote(verb: RemoteVerb, global: &Global, terminal: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
    let colour = terminal && !global.no_color && !global.json && output::colours_wanted();
    let mut output = Output::new(out, global.json, colour);
    runtime.block_on(async {
        let client = Client::connect(&global.api).await?;
        match verb {
            RemoteVerb::Neighbor(args) => neighbor::run(args, client, &mut output).await,
            RemoteVerb::Rib(args) => rib::run(args, client, &mut output).await,
            RemoteVerb::Watch(args) => watch::run(args, client, &mut output).await,
            RemoteVerb::Explain(args) => explain::run(args, client, &mut output).await,
            RemoteVerb::Announce(args) => local::announce(args, client, &mut output).await,
            RemoteVerb::Withdraw(args) => local::withdraw(args, client, &mut output).await,
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
