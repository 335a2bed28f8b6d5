//! `ribwatch rpki`: sources of validated payloads with their age, and `rpki check`: the state of a prefix and AS with
//! the VRPs that decided it. What is asked about many at once is in `rpki_space` and `what_if`.

use clap::{Args, Subcommand};
use ribwatch_proto::v1;
use serde_json::json;

use super::{
    client::{Client, Failure},
    output::{Colour, Output, duration},
    rpki_space::{self, CoverageArgs, DiffArgs},
    table::{Align, Cell, Table},
    what_if::{self, WhatIfArgs},
};
use crate::types::Asn;

#[derive(Args, Debug)]
pub(super) struct RpkiArgs {
    #[command(subcommand)]
    what: Option<Asked>,
}

#[derive(Subcommand, Debug)]
enum Asked {
    /// The state of a prefix and AS (RFC 6811), with the VRPs that decided it
    Check {
        /// Such as 192.0.2.0/24
        prefix: String,
        /// Origin AS, such as 64496 or AS64496
        #[arg(value_parser = asn)]
        asn: Asn,
    },
    /// What RPKI makes of our prefixes and origins, VRPs that no route uses, and upstreams that no ASPA attests
    Coverage(CoverageArgs),
    /// VRPs and ASPAs that some caches have and others have not
    Diff(DiffArgs),
    /// How many routes of each neighbour are valid, invalid, or neither
    Routes,
    /// What other VRPs, ASPAs or local exceptions would do to the routes of now; nothing is put in force
    WhatIf(WhatIfArgs),
}

pub(super) fn asn(word: &str) -> Result<Asn, String> {
    let digits = word.strip_prefix("AS").or_else(|| word.strip_prefix("as")).unwrap_or(word);
    digits.parse().map(Asn).map_err(|_| format!("`{word}` is not an AS number: write 64496 or AS64496"))
}

pub(super) async fn run(args: RpkiArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.what {
        None => list(&client, out).await,
        Some(Asked::Check { prefix, asn }) => check(prefix, asn, &client, out).await,
        Some(Asked::Coverage(args)) => rpki_space::coverage(args, &client, out).await,
        Some(Asked::Diff(args)) => rpki_space::diff(args, &client, out).await,
        Some(Asked::Routes) => routes(&client, out).await,
        Some(Asked::WhatIf(args)) => what_if::run(args, &client, out).await,
    }
}

async fn list(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = client.rpki().list_sources(v1::ListSourcesRequest {}).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    if out.json() {
        for source in &answer.sources {
            out.json_line(&json!({
                "name": source.name,
                "place": source.place,
                "kind": source.kind,
                "state": source.state,
                "in_use": source.in_use,
                "session_id": source.session_id,
                "serial": source.serial,
                "vrps_v4": source.vrps_v4,
                "vrps_v6": source.vrps_v6,
                "aspas": source.aspas,
                "age_s": source.age_s,
                "expires_in_s": source.expires_in_s,
                "version": source.version,
                "trust_anchors": source.trust_anchors.iter().map(|anchor| (anchor.name.clone(), json!(anchor.roas)))
                    .collect::<serde_json::Map<_, _>>(),
                "without_aspas": (!source.without_aspas.is_empty()).then_some(&source.without_aspas),
                "last_error": (!source.last_error.is_empty()).then_some(&source.last_error),
            }))?;
        }
        return Ok(());
    }
    if answer.sources.is_empty() {
        out.line("no source of RPKI data is configured: add [[rpki.cache]] with an address or a file")?;
        return Ok(());
    }
    let titles = ["SOURCE", "PLACE", "STATE", "USED", "SERIAL", "VRPS V4", "VRPS V6", "ASPAS", "AGE", "EXPIRES IN"];
    let left = ["SOURCE", "PLACE", "STATE", "USED"];
    let align = |title| if left.contains(&title) { Align::Left } else { Align::Right };
    let mut table = Table::new(&titles.map(|title| (title, align(title))));
    for source in &answer.sources {
        let colour = match source.state.as_str() {
            "synced" => Colour::Green,
            "expired" => Colour::Red,
            _ => Colour::Yellow,
        };
        let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), duration);
        let error = source.last_error.as_str();
        let mut notes = if error.is_empty() { Vec::new() } else { vec![format!("  {error}")] };
        if !source.without_aspas.is_empty() {
            notes.push(format!("  without its ASPAs, over RTR version 1: {}", source.without_aspas));
        }
        if !source.trust_anchors.is_empty() {
            let anchors = source.trust_anchors.iter().map(|anchor| format!("{} {}", anchor.name, anchor.roas));
            notes.push(format!("  by trust anchor: {}", anchors.collect::<Vec<_>>().join(", ")));
        }
        let cells = vec![
            Cell::new(&source.name),
            Cell::new(&source.place),
            Cell::coloured(&source.state, colour),
            Cell::new(if source.in_use { "yes" } else { "no" }),
            Cell::new(source.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string())),
            Cell::new(source.vrps_v4),
            Cell::new(source.vrps_v6),
            Cell::new(source.aspas),
            Cell::new(time(source.age_s)),
            Cell::new(time(source.expires_in_s)),
        ];
        table.push_with_notes(cells, notes);
    }
    table.flush(out)?;
    out.line("")?;
    out.line(&format!(
        "in force: {} IPv4 and {} IPv6 VRPs, {} customers with ASPAs",
        answer.vrps_v4, answer.vrps_v6, answer.aspas
    ))?;
    Ok(())
}

async fn check(prefix: String, asn: Asn, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::CheckOriginRequest { prefix: prefix.clone(), asn: asn.0 };
    let answer = client.rpki().check_origin(request).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    let state = (!answer.state.is_empty()).then_some(answer.state.as_str());
    if out.json() {
        out.json_line(&json!({
            "prefix": prefix,
            "asn": asn.0,
            "validation": state,
            "why": answer.why,
            "vrps": answer.covering.iter().map(covering_json).collect::<Vec<_>>(),
        }))?;
    } else {
        let colour = match state {
            Some("valid") => Colour::Green,
            Some("invalid") => Colour::Red,
            _ => Colour::Yellow,
        };
        let word = out.paint(state.unwrap_or("not checked"), colour);
        out.line(&format!("{prefix} from AS{}: {word}: {}", asn.0, answer.why))?;
        let mut table = Table::new(&[
            ("VRP", Align::Left),
            ("MAX", Align::Right),
            ("AS", Align::Right),
            ("FIT", Align::Left),
            ("SOURCES", Align::Left),
        ]);
        for vrp in &answer.covering {
            let fit = match vrp.fit.as_str() {
                "matches" => Cell::coloured("matches", Colour::Green),
                "too_long" => Cell::coloured("the route is longer", Colour::Red),
                _ => Cell::coloured("another AS", Colour::Red),
            };
            table.push(vec![
                Cell::new(&vrp.prefix),
                Cell::new(vrp.max_length),
                Cell::new(vrp.asn),
                fit,
                Cell::new(vrp.sources.join(", ")),
            ]);
        }
        table.flush(out)?;
    }
    Ok(())
}

/// A VRP that covers a prefix.
pub(super) fn covering_json(vrp: &v1::CoveringVrp) -> serde_json::Value {
    json!({
        "prefix": vrp.prefix,
        "max_length": vrp.max_length,
        "asn": vrp.asn,
        "fit": vrp.fit,
        "sources": vrp.sources,
    })
}

/// Counts that the daemon keeps as routes come and go: asking walks nothing.
async fn routes(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let neighbors = super::neighbor::all(client).await?;
    let titles = ["NEIGHBOR", "FAMILY", "ROUTES", "VALID", "INVALID", "NOT FOUND"];
    let titles = titles.into_iter().chain(["ASPA VALID", "ASPA INVALID", "ASPA UNKNOWN"]);
    let align = |title| if matches!(title, "NEIGHBOR" | "FAMILY") { Align::Left } else { Align::Right };
    let mut table = Table::new(&titles.map(|title| (title, align(title))).collect::<Vec<_>>());
    for neighbor in &neighbors {
        for counts in &neighbor.counts {
            let (origin, path) = (counts.validation.unwrap_or_default(), counts.aspa.unwrap_or_default());
            if out.json() {
                out.json_line(&json!({
                    "neighbor": neighbor.address,
                    "family": counts.family,
                    "routes": counts.received,
                    "validation": {"valid": origin.valid, "invalid": origin.invalid, "not_found": origin.unknown,
                        "not_checked": origin.not_checked},
                    "aspa": {"valid": path.valid, "invalid": path.invalid, "unknown": path.unknown,
                        "not_checked": path.not_checked},
                }))?;
                continue;
            }
            let invalid = |count: u64| match count {
                0 => Cell::new(0),
                count => Cell::coloured(count, Colour::Red),
            };
            table.push(vec![
                Cell::new(&neighbor.address),
                Cell::new(&counts.family),
                Cell::new(counts.received),
                Cell::new(origin.valid),
                invalid(origin.invalid),
                Cell::new(origin.unknown),
                Cell::new(path.valid),
                invalid(path.invalid),
                Cell::new(path.unknown),
            ]);
        }
    }
    table.flush(out)?;
    Ok(())
}
