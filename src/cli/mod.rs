//! One file per verb of the command line.

pub mod check;
pub mod decode;
pub mod demo;
pub mod mrt;
pub mod run;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "ribwatch", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the daemon
    Run(run::RunArgs),
    /// Validates a configuration
    Check(check::CheckArgs),
    /// Plays the whole product on this machine, as a story that checks itself
    Demo(demo::DemoArgs),
    /// Prints BGP messages given in hex as JSON
    Decode(decode::DecodeArgs),
    /// Prints MRT files, one line per route
    Mrt(mrt::MrtArgs),
}

/// Runs the program; the exit code follows the contract (0 done, 1 no, 2 usage, 3 unreachable).
pub fn main() -> std::process::ExitCode {
    match Arguments::parse().verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Demo(args) => demo::run(&args, false),
        Verb::Decode(args) => decode::run(args),
        Verb::Mrt(args) => mrt::run(args),
    }
}
