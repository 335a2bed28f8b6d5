//! `ribwatch token`: makes tokens. A daemon keeps only their hash, so whoever loses one gets a new one.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{client::Failure, output::Output};
use crate::{
    access::{Role, TokenHash},
    types::{Secret, Timestamp},
};

/// Random octets of a token: 192 bits.
const RANDOM_OCTETS: usize = 24;
/// What a token begins with, so that it is known for one where it should not be.
const PREFIX: &str = "rw_";

/// Arguments of `ribwatch token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Subcommand, Debug)]
enum TokenVerb {
    /// Makes a token, prints it once, and the lines for the daemon's configuration
    New(NewArgs),
}

#[derive(Args, Debug)]
struct NewArgs {
    /// Whose it is, as the audit log will say
    #[arg(long)]
    name: String,
    /// What it may do: view, operate or admin
    #[arg(long)]
    role: Role,
    /// From when on it is refused, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
    /// Write the token there instead, for this user alone
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes a token.
///
/// # Errors
/// The file is there already or cannot be written; the machine has no random numbers.
pub(super) fn run(args: &TokenArgs, output: &mut Output<'_>) -> Result<(), Failure> {
    let TokenVerb::New(NewArgs { name, role, expires, out }) = &args.verb;
    let token = new_token()?;
    let hash = TokenHash::of(&token.0);
    if let Some(path) = out {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{}", token.0));
        written.map_err(|error| Failure::Usage(format!("--out {} cannot be made: {error}", path.display())))?;
    }
    if output.json() {
        let shown = out.is_none().then_some(&token.0);
        let expires = expires.map(|at| at.to_string());
        let line =
            json!({ "name": name, "role": role.name(), "hash": hash.to_string(), "expires": expires, "token": shown });
        return Ok(output.line(&line.to_string())?);
    }
    match out {
        Some(path) => output.line(&format!("# The token is in {}.", path.display()))?,
        None => output.line(&format!("# The token, shown this once:\n#   {}", token.0))?,
    }
    output.line("# For the daemon's configuration:\n")?;
    output.line(&format!(
        "[[access.token]]\nname = {}\nrole = \"{role}\"\nhash = \"{hash}\"",
        toml::Value::from(name.as_str())
    ))?;
    if let Some(expires) = expires {
        output.line(&format!("expires = \"{expires}\""))?;
    }
    Ok(())
}

fn new_token() -> Result<Secret, Failure> {
    let mut octets = [0; RANDOM_OCTETS];
    let filled = rand::fill(&mut octets);
    filled.map_err(|_| Failure::No("this machine has no random numbers".to_owned()))?;
    Ok(Secret(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets))))
}
