//! `ribwatch announce` and `ribwatch withdraw`: routes of our own.

use clap::{Args, ValueEnum};
use ribwatch_proto::v1;

use super::{
    client::{Client, Failure},
    output::Output,
};
use crate::types::Asn;

#[derive(Args, Debug)]
pub(super) struct AnnounceArgs {
    /// What to announce, such as 203.0.113.0/24
    prefix: String,
    /// Next hop; without it, our own address towards each neighbor
    #[arg(long, value_name = "ADDRESS")]
    next_hop: Option<String>,
    /// ORIGIN
    #[arg(long, value_enum, default_value_t)]
    origin: Origin,
    /// MULTI_EXIT_DISC
    #[arg(long)]
    med: Option<u32>,
    /// LOCAL_PREF
    #[arg(long)]
    local_pref: Option<u32>,
    /// A community (64500:1, no-export, 64500:1:2, rt:64500:1); may be repeated
    #[arg(long, value_name = "COMMUNITY")]
    community: Vec<String>,
    /// AS numbers behind ours, such as "64500 64501"; without it the route originates here
    #[arg(long, value_name = "ASNS", value_delimiter = ' ')]
    as_path: Vec<Asn>,
    /// Family, where it is not unicast
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
}

/// ORIGIN (RFC 4271 §5.1.1).
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Origin {
    #[default]
    Igp,
    Egp,
    Incomplete,
}

#[derive(Args, Debug)]
pub(super) struct WithdrawArgs {
    /// What to take back
    prefix: String,
    /// Family, where it is not unicast
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
}

pub(super) async fn announce(args: AnnounceArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let prefix = args.prefix.clone();
    let request = v1::OriginateRequest {
        prefix: args.prefix,
        family: args.family.unwrap_or_default(),
        next_hop: args.next_hop.unwrap_or_default(),
        origin: match args.origin {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        }
        .to_owned(),
        med: args.med,
        local_pref: args.local_pref,
        communities: args.community,
        as_path: args.as_path.iter().map(|asn| asn.0).collect(),
    };
    client.local_routes().originate(request).await.map_err(|status| client.refused(status))?;
    done("announced", &prefix, out)
}

pub(super) async fn withdraw(args: WithdrawArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let prefix = args.prefix.clone();
    let request = v1::WithdrawRequest { prefix: args.prefix, family: args.family.unwrap_or_default() };
    client.local_routes().withdraw(request).await.map_err(|status| client.refused(status))?;
    done("withdrawn", &prefix, out)
}

fn done(what: &str, prefix: &str, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        return Ok(out.json_line(&serde_json::json!({ "done": what, "prefix": prefix }))?);
    }
    Ok(out.line(&format!("{what} {prefix}"))?)
}
