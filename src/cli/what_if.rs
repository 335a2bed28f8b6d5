//! `ribwatch rpki what-if`: what other RPKI data would do to the routes of the running daemon, before anybody signs a
//! ROA. Counts first, then the routes.

use std::path::PathBuf;

use clap::Args;
use ribwatch_proto::v1::{self, what_if_response::Event};
use serde_json::{Value, json};

use super::{
    client::{Client, Failure},
    output::{Colour, Output, plural},
    table::{Align, Cell, Table},
};

#[derive(Args, Debug)]
pub(super) struct WhatIfArgs {
    /// A VRP that comes, such as 192.0.2.0/24-25=64500; without -25 the prefix's own length
    #[arg(long, value_name = "PREFIX-MAX=ASN")]
    add_vrp: Vec<String>,
    /// A VRP in force that goes, written likewise
    #[arg(long, value_name = "PREFIX-MAX=ASN")]
    remove_vrp: Vec<String>,
    /// An ASPA that comes, such as 64500=64501,64502; beside the providers that are attested already
    #[arg(long, value_name = "CUSTOMER=PROVIDERS")]
    add_aspa: Vec<String>,
    /// A customer whose ASPAs go
    #[arg(long, value_name = "CUSTOMER")]
    remove_aspa: Vec<String>,
    /// A file of local exceptions (RFC 8416), beside those in force
    #[arg(long, value_name = "FILE")]
    slurm: Option<PathBuf>,
}

pub(super) async fn run(args: WhatIfArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let slurm = match &args.slurm {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?,
    };
    let request = v1::WhatIfRequest {
        add_vrps: args.add_vrp,
        remove_vrps: args.remove_vrp,
        add_aspas: args.add_aspa,
        remove_aspas: args.remove_aspa,
        slurm,
    };
    let answer = client.rpki().what_if(request).await;
    let mut answers = answer.map_err(|status| client.refused(status))?.into_inner();
    let mut table = Table::new(&[
        ("NEIGHBOR", Align::Left),
        ("PREFIX", Align::Left),
        ("PATH", Align::Left),
        ("ORIGIN", Align::Left),
        ("ASPA", Align::Left),
        ("IMPORT", Align::Left),
        ("BEST", Align::Left),
    ]);
    while let Some(message) = answers.message().await.map_err(|status| client.refused(status))? {
        match message.event {
            Some(Event::Counts(counts)) if out.json() => out.json_line(&counts_json(&counts))?,
            Some(Event::Counts(counts)) => tell_counts(&counts, out)?,
            Some(Event::Routes(routes)) => {
                for route in &routes.routes {
                    if out.json() {
                        out.json_line(&route_json(route))?;
                    } else {
                        table.push(cells(route));
                    }
                }
                table.flush(out)?;
                for told in &routes.told {
                    tell_told(told, out)?;
                }
            }
            None => {}
        }
    }
    Ok(())
}

fn tell_counts(counts: &v1::WhatIfCounts, out: &mut Output<'_>) -> Result<(), Failure> {
    if (counts.routes, counts.withdrawn, counts.announced) == (0, 0, 0) {
        out.line("no route would change")?;
        return Ok(());
    }
    out.line(&format!("{} would change:", plural(counts.routes, "route")))?;
    for (what, moves) in [("origin", &counts.validation), ("ASPA", &counts.aspa)] {
        for one in moves {
            let to = out.paint(words(&one.to), colour(&one.to));
            out.line(&format!("  {what} {} -> {to}: {}", words(&one.from), one.routes))?;
        }
    }
    let rest = [
        ("rejected by import policy", counts.rejected, Colour::Red),
        ("accepted by import policy", counts.accepted, Colour::Green),
        ("no longer best", counts.no_longer_best, Colour::Yellow),
        ("best instead", counts.becoming_best, Colour::Yellow),
        ("withdrawn from neighbours", counts.withdrawn, Colour::Red),
        ("announced to neighbours", counts.announced, Colour::Green),
    ];
    for (what, count, colour) in rest.into_iter().filter(|(_, count, _)| *count > 0) {
        let what = out.paint(what, colour);
        out.line(&format!("  {what}: {count}"))?;
    }
    out.line("")?;
    Ok(())
}

fn tell_told(told: &v1::WhatIfTold, out: &mut Output<'_>) -> Result<(), Failure> {
    let v1::WhatIfTold { prefix, neighbor, told } = told;
    if out.json() {
        out.json_line(&json!({"type": "told", "prefix": prefix, "neighbor": neighbor, "now": !told, "then": told}))?;
        return Ok(());
    }
    out.line(&match told {
        true => format!("{prefix} would be announced to {neighbor}"),
        false => format!("{prefix} would be withdrawn from {neighbor}"),
    })?;
    Ok(())
}

fn cells(route: &v1::WhatIfRoute) -> Vec<Cell> {
    let (now, then) = (route.now.clone().unwrap_or_default(), route.then.clone().unwrap_or_default());
    let change = |now: &str, then: &str, colour: Colour| match now == then {
        true => Cell::new(now),
        false => Cell::coloured(format!("{now} -> {then}"), colour),
    };
    let import = |state: &v1::WhatIfState| match state.accepted {
        true => "accepted".to_owned(),
        false => format!("rejected by {}", state.rejected_by),
    };
    let yes = |best: bool| if best { "yes" } else { "no" };
    let lost = |is: bool| if is { Colour::Green } else { Colour::Red };
    let neighbor = if route.neighbor.is_empty() { "local" } else { &route.neighbor };
    let neighbor = match route.path_id {
        0 => neighbor.to_owned(),
        id => format!("{neighbor} #{id}"),
    };
    vec![
        Cell::new(neighbor),
        Cell::new(&route.prefix),
        Cell::new(&route.as_path),
        change(words(&now.validation), words(&then.validation), colour(&then.validation)),
        change(words(&now.aspa), words(&then.aspa), colour(&then.aspa)),
        change(&import(&now), &import(&then), lost(then.accepted)),
        change(yes(now.best), yes(then.best), lost(then.best)),
    ]
}

fn words(state: &str) -> &str {
    match state {
        "" => "not checked",
        "not_found" => "not found",
        state => state,
    }
}

fn colour(state: &str) -> Colour {
    match state {
        "valid" => Colour::Green,
        "invalid" => Colour::Red,
        _ => Colour::Yellow,
    }
}

fn counts_json(counts: &v1::WhatIfCounts) -> Value {
    let moves = |moves: &[v1::WhatIfMove]| -> Vec<Value> {
        moves.iter().map(|one| json!({"from": named(&one.from), "to": named(&one.to), "routes": one.routes})).collect()
    };
    json!({
        "type": "counts",
        "routes": counts.routes,
        "validation": moves(&counts.validation),
        "aspa": moves(&counts.aspa),
        "rejected": counts.rejected,
        "accepted": counts.accepted,
        "no_longer_best": counts.no_longer_best,
        "becoming_best": counts.becoming_best,
        "withdrawn": counts.withdrawn,
        "announced": counts.announced,
    })
}

fn route_json(route: &v1::WhatIfRoute) -> Value {
    let state = |state: &Option<v1::WhatIfState>| {
        let state = state.clone().unwrap_or_default();
        json!({
            "validation": named(&state.validation),
            "aspa": named(&state.aspa),
            "accepted": state.accepted,
            "rejected_by": named(&state.rejected_by),
            "best": state.best,
        })
    };
    json!({
        "type": "route",
        "prefix": route.prefix,
        "neighbor": named(&route.neighbor),
        "path_id": route.path_id,
        "as_path": route.as_path,
        "now": state(&route.now),
        "then": state(&route.then),
    })
}

/// Null where there is nothing to name.
fn named(word: &str) -> Option<&str> {
    (!word.is_empty()).then_some(word)
}
