//! `ribwatch demo`: the whole product on one machine, as a story that checks itself.

use std::{io::IsTerminal as _, process::ExitCode};

use crate::demo;

/// Arguments of `ribwatch demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// End after the story: exit code 0 when everything in it happened, else 1
    #[arg(long)]
    exit: bool,
}

/// Plays the story.
pub fn run(args: &DemoArgs, no_color: bool) -> ExitCode {
    let color = !no_color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
    demo::run(demo::Options { exit: args.exit, color })
}
