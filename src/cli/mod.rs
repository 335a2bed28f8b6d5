//! One file per verb of the command line.

pub mod mrt;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "ribwatch", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints MRT files, one line per route
    Mrt(mrt::MrtArgs),
}

/// Runs the program; the exit code follows the contract (0 done, 1 no, 2 usage, 3 unreachable).
pub fn main() -> std::process::ExitCode {
    match Arguments::parse().verb {
        Verb::Mrt(args) => mrt::run(args),
    }
}
