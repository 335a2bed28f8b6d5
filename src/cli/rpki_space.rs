//! `ribwatch rpki coverage`: what RPKI data make of our prefixes and origins; `ribwatch rpki diff`: where caches differ.
//! Counts first, then lists.

use clap::Args;
use ribwatch_proto::v1::{self, coverage_response::Event, diff_sources_response::Event as DiffEvent};
use serde_json::{Value, json};

use super::{
    client::{Client, Failure},
    output::{Colour, Output, plural},
    rpki::asn,
    table::{Align, Cell, Table},
};
use crate::types::Asn;

/// Lines that are listed where nobody says how many.
const LISTED: u64 = 1000;

#[derive(Args, Debug)]
pub(super) struct CoverageArgs {
    /// Prefixes, with all that is inside them; none and no --asn: [router] owned and [[watch.prefix]], else our own AS
    prefixes: Vec<String>,
    /// Routes of this origin; may be given more than once
    #[arg(long, value_parser = asn)]
    asn: Vec<Asn>,
    /// Routes and VRPs to list, at most of each; 0: all
    #[arg(long, default_value_t = LISTED)]
    limit: u64,
}

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// Names of the caches to compare; none: all that have data
    caches: Vec<String>,
    /// Records to list at most; 0: all
    #[arg(long, default_value_t = LISTED)]
    limit: u64,
}

pub(super) async fn coverage(args: CoverageArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let asns = args.asn.iter().map(|asn| asn.0).collect();
    let request = v1::CoverageRequest { asns, prefixes: args.prefixes, limit: args.limit };
    let answer = client.rpki().coverage(request).await;
    let mut answers = answer.map_err(|status| client.refused(status))?.into_inner();
    let mut routes = Table::new(&[
        ("PREFIX", Align::Left),
        ("ORIGIN", Align::Right),
        ("STATE", Align::Left),
        ("PATHS", Align::Right),
        ("COVERED BY", Align::Left),
    ]);
    let mut titled = false;
    while let Some(message) = answers.message().await.map_err(|status| client.refused(status))? {
        match message.event {
            Some(Event::Counts(counts)) if out.json() => out.json_line(&counts_json(&counts))?,
            Some(Event::Counts(counts)) => tell_counts(&counts, args.limit, out)?,
            Some(Event::Routes(found)) if out.json() => {
                for route in &found.routes {
                    out.json_line(&route_json(route))?;
                }
            }
            Some(Event::Routes(found)) => {
                found.routes.iter().for_each(|route| routes.push(route_cells(route)));
                routes.flush(out)?;
            }
            Some(Event::Unused(unused)) if out.json() => {
                for vrp in &unused.vrps {
                    out.json_line(&json!({"type": "unused", "vrp": vrp_json(vrp)}))?;
                }
            }
            Some(Event::Unused(unused)) => {
                if !std::mem::replace(&mut titled, true) {
                    out.line("")?;
                    out.line("VRPs that no route here matches:")?;
                }
                for vrp in &unused.vrps {
                    out.line(&format!("  {}", vrp_text(vrp)))?;
                }
            }
            Some(Event::Aspa(aspa)) if out.json() => out.json_line(&aspa_json(&aspa))?,
            Some(Event::Aspa(aspa)) => tell_aspa(&aspa, out)?,
            None => {}
        }
    }
    Ok(())
}

fn tell_counts(counts: &v1::CoverageCounts, limit: u64, out: &mut Output<'_>) -> Result<(), Failure> {
    let asns = counts.asns.iter().map(|asn| format!("AS{asn}"));
    let scope: Vec<String> = counts.prefixes.iter().cloned().chain(asns).collect();
    out.line(&format!("{}: {} by prefix and origin", scope.join(" "), plural(counts.routes, "route")))?;
    let states = [
        ("invalid", counts.invalid, Colour::Red),
        ("not found", counts.not_found, Colour::Yellow),
        ("valid", counts.valid, Colour::Green),
        ("not checked, there are no RPKI data", counts.not_checked, Colour::Yellow),
    ];
    for (what, count, colour) in states.into_iter().filter(|(_, count, _)| *count > 0) {
        let what = out.paint(what, colour);
        out.line(&format!("  {what}: {count}"))?;
    }
    if counts.unused_vrps > 0 {
        out.line(&format!("  VRPs without a route: {}", counts.unused_vrps))?;
    }
    if limit > 0 && counts.routes.max(counts.unused_vrps) > limit {
        out.line(&format!("  the first {limit} of each are listed; --limit 0 lists all"))?;
    }
    if counts.routes > 0 {
        out.line("")?;
    }
    Ok(())
}

fn route_cells(route: &v1::CoverageRoute) -> Vec<Cell> {
    let (word, colour) = match route.validation.as_str() {
        "valid" => ("valid", Colour::Green),
        "invalid" => ("invalid", Colour::Red),
        "not_found" => ("not found", Colour::Yellow),
        _ => ("not checked", Colour::Yellow),
    };
    let covering = route.covering.iter().map(|vrp| {
        let why = match vrp.fit.as_str() {
            "too_long" => ", too long",
            _ => "",
        };
        format!("{}-{} AS{}{why}", vrp.prefix, vrp.max_length, vrp.asn)
    });
    let covering: Vec<String> = covering.collect();
    vec![
        Cell::new(&route.prefix),
        Cell::new(route.origin_as.map_or_else(|| "AS_SET".to_owned(), |asn| asn.to_string())),
        Cell::coloured(word, colour),
        Cell::new(if route.paths == 0 { "own".to_owned() } else { route.paths.to_string() }),
        Cell::new(if covering.is_empty() { "-".to_owned() } else { covering.join("; ") }),
    ]
}

fn tell_aspa(aspa: &v1::CoverageAspa, out: &mut Output<'_>) -> Result<(), Failure> {
    out.line("")?;
    let numbers = |asns: Vec<u32>| asns.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(" ");
    let attests = match (aspa.present, aspa.providers.as_slice()) {
        (false, _) => "has no ASPA".to_owned(),
        (true, [0]) => "attests that it has no provider".to_owned(),
        (true, providers) => format!("attests {}", numbers(providers.to_vec())),
    };
    out.line(&format!("AS{} {attests}", aspa.asn))?;
    for next in &aspa.upstreams {
        let word = match (aspa.present, next.attested) {
            (_, true) => out.paint("attested", Colour::Green),
            (true, false) => out.paint("not attested", Colour::Red),
            (false, false) => out.paint("would have to be attested if it is a provider", Colour::Yellow),
        };
        out.line(&format!("  next to it in {}: AS{}, {word}", plural(next.paths, "path"), next.asn))?;
    }
    Ok(())
}

pub(super) async fn diff(args: DiffArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::DiffSourcesRequest { sources: args.caches, limit: args.limit };
    let answer = client.rpki().diff_sources(request).await;
    let mut answers = answer.map_err(|status| client.refused(status))?.into_inner();
    let mut records = Table::new(&[("RECORD", Align::Left), ("IN", Align::Left), ("NOT IN", Align::Left)]);
    while let Some(message) = answers.message().await.map_err(|status| client.refused(status))? {
        match message.event {
            Some(DiffEvent::Counts(counts)) if out.json() => {
                for source in &counts.sources {
                    out.json_line(&source_json(source))?;
                }
            }
            Some(DiffEvent::Counts(counts)) => tell_sources(&counts, args.limit, out)?,
            Some(DiffEvent::Records(found)) if out.json() => {
                for record in &found.records {
                    out.json_line(&json!({
                        "type": "difference",
                        "vrp": record.vrp.as_ref().map(vrp_json),
                        "aspa": record.aspa.as_ref().map(|aspa|
                            json!({"customer": aspa.customer, "providers": aspa.providers})),
                        "in": record.r#in,
                        "not_in": record.not_in,
                    }))?;
                }
            }
            Some(DiffEvent::Records(found)) => {
                for record in &found.records {
                    let text = match (&record.vrp, &record.aspa) {
                        (Some(vrp), _) => vrp_text(vrp),
                        (None, Some(aspa)) => {
                            let providers: Vec<String> = aspa.providers.iter().map(|asn| format!("AS{asn}")).collect();
                            format!("AS{} attests {}", aspa.customer, providers.join(" "))
                        }
                        (None, None) => String::new(),
                    };
                    let list = |names: &[String]| Cell::new(names.join(", "));
                    records.push(vec![Cell::new(text), list(&record.r#in), list(&record.not_in)]);
                }
                records.flush(out)?;
            }
            None => {}
        }
    }
    Ok(())
}

fn tell_sources(counts: &v1::DiffCounts, limit: u64, out: &mut Output<'_>) -> Result<(), Failure> {
    let titles = ["SOURCE", "VRPS", "NOT EVERYWHERE", "MISSING", "ASPAS", "NOT EVERYWHERE", "MISSING"];
    let align = |title| if title == "SOURCE" { Align::Left } else { Align::Right };
    let mut table = Table::new(&titles.map(|title| (title, align(title))));
    for source in &counts.sources {
        let numbers = [
            source.vrps,
            source.vrps_not_everywhere,
            source.vrps_missing,
            source.aspas,
            source.aspas_not_everywhere,
            source.aspas_missing,
        ];
        table.push(std::iter::once(Cell::new(&source.name)).chain(numbers.map(Cell::new)).collect());
    }
    table.flush(out)?;
    out.line("")?;
    match counts.differences {
        0 => out.line("they say the same")?,
        count if limit > 0 && count > limit => {
            out.line(&format!("{count} differences, the first {limit} are listed; --limit 0 lists all"))?;
        }
        count => out.line(&plural(count, "difference"))?,
    }
    Ok(())
}

fn vrp_text(vrp: &v1::Vrp) -> String {
    format!("{}-{} AS{}", vrp.prefix, vrp.max_length, vrp.asn)
}

fn vrp_json(vrp: &v1::Vrp) -> Value {
    json!({"prefix": vrp.prefix, "max_length": vrp.max_length, "asn": vrp.asn})
}

fn source_json(source: &v1::DiffSource) -> Value {
    json!({
        "type": "source",
        "name": source.name,
        "vrps": source.vrps,
        "vrps_not_everywhere": source.vrps_not_everywhere,
        "vrps_missing": source.vrps_missing,
        "aspas": source.aspas,
        "aspas_not_everywhere": source.aspas_not_everywhere,
        "aspas_missing": source.aspas_missing,
    })
}

fn counts_json(counts: &v1::CoverageCounts) -> Value {
    json!({
        "type": "counts",
        "prefixes": counts.prefixes,
        "asns": counts.asns,
        "routes": counts.routes,
        "validation": {"valid": counts.valid, "invalid": counts.invalid, "not_found": counts.not_found,
            "not_checked": counts.not_checked},
        "unused_vrps": counts.unused_vrps,
    })
}

fn route_json(route: &v1::CoverageRoute) -> Value {
    let vrps = route.covering.iter().map(super::rpki::covering_json);
    json!({
        "type": "route",
        "prefix": route.prefix,
        "origin_as": route.origin_as,
        "validation": (!route.validation.is_empty()).then_some(&route.validation),
        "paths": route.paths,
        "vrps": vrps.collect::<Vec<_>>(),
    })
}

fn aspa_json(aspa: &v1::CoverageAspa) -> Value {
    let upstreams =
        aspa.upstreams.iter().map(|next| json!({"asn": next.asn, "paths": next.paths, "attested": next.attested}));
    json!({
        "type": "aspa",
        "asn": aspa.asn,
        "present": aspa.present,
        "providers": aspa.providers,
        "upstreams": upstreams.collect::<Vec<_>>(),
    })
}
