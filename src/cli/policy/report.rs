//! What was found, for people and as JSON: counts first, then who decided, then some routes.

use std::sync::Arc;

use serde_json::json;

use super::judge::{Findings, Shown, States};
use crate::{
    cli::{
        client::Failure,
        output::{Colour, Output, plural},
        table::{Align, Cell, Table},
    },
    policy::{Direction, NO_POLICY},
};

/// Prints `findings` about the policies of `names`.
pub(super) fn print(
    findings: &Findings,
    names: &[Arc<str>],
    direction: Direction,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut deciders: Vec<_> = findings.deciders.iter().collect();
    deciders.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    if out.json() {
        return json(findings, names, direction, &deciders, out);
    }
    let policies = if names.is_empty() { NO_POLICY.to_owned() } else { names.join(", ") };
    out.line(&format!("{} through {policies} ({})", plural(findings.routes, "route"), direction.name()))?;
    out.line(&format!(
        "accepted {}, of these {} with other attributes; rejected {}",
        findings.accepted,
        findings.changed,
        findings.rejected()
    ))?;
    if findings.is_live {
        let (lost, gained) = (findings.lost, findings.gained);
        out.line(&format!("against the daemon now: {lost} would be lost, {gained} would be gained"))?;
    }
    if let Some(states) = &findings.states {
        states_line(states).map_or(Ok(()), |line| out.line(&line))?;
    }
    if !findings.attributes.is_empty() {
        let changed: Vec<String> =
            findings.attributes.iter().map(|(attribute, count)| format!("{attribute} {count}")).collect();
        out.line(&format!("attributes that change: {}", changed.join(", ")))?;
    }
    let mut table = Table::new(&[("ROUTES", Align::Right), ("", Align::Left), ("DECIDED BY", Align::Left)]);
    for ((by, accepted), count) in deciders {
        table.push(vec![(*count).into(), verdict(*accepted), by.into()]);
    }
    if findings.routes > 0 {
        out.line("")?;
    }
    table.flush(out)?;
    if !findings.shown.is_empty() {
        out.line("")?;
    }
    let columns = [
        ("", Align::Left),
        ("PREFIX", Align::Left),
        ("NEIGHBOR", Align::Left),
        ("DECIDED BY", Align::Left),
        ("CHANGES", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for shown in &findings.shown {
        let changes: Vec<String> = shown.outcome.changes.iter().map(ToString::to_string).collect();
        let neighbor = if shown.neighbor.is_empty() { "local" } else { &shown.neighbor };
        let cells = vec![verdict(shown.outcome.accepted), Cell::new(&shown.prefix), Cell::new(neighbor)];
        table.push([cells, vec![Cell::new(&shown.outcome.by), Cell::new(changes.join(", "))]].concat());
    }
    table.flush(out)?;
    let differ = findings.changed + findings.rejected();
    let left = differ - findings.shown.len() as u64;
    if left > 0 && !findings.shown.is_empty() {
        out.line(&format!("and {left} more; --limit COUNT shows as many"))?;
    }
    Ok(())
}

/// Where the states of routes come from, where that is not simply the daemon.
fn states_line(states: &States) -> Option<String> {
    Some(match states {
        States::Daemon => return None,
        States::Files { vrps, aspas, unasked } => {
            let known = format!("validation by files: {}, {}", plural(*vrps, "VRP"), plural(*aspas, "ASPA"));
            match unasked.is_empty() {
                true => known,
                false => format!("{known}; not asked: {}", unasked.join(", ")),
            }
        }
        States::Unknown => {
            "validation states are unknown: the configuration has no [[rpki.cache]] with `file`, so every \
                            route counts as not_checked"
                .to_owned()
        }
    })
}

fn verdict(accepted: bool) -> Cell {
    if accepted { Cell::coloured("accept", Colour::Green) } else { Cell::coloured("reject", Colour::Red) }
}

/// One object with the counts, then one per route.
fn json(
    findings: &Findings,
    names: &[Arc<str>],
    direction: Direction,
    deciders: &[(&(String, bool), &u64)],
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let decided: Vec<_> = deciders
        .iter()
        .map(|((by, accepted), count)| json!({ "by": by, "accepted": accepted, "routes": count }))
        .collect();
    let mut counts = json!({
        "policies": names.iter().map(|name| &**name).collect::<Vec<_>>(),
        "direction": direction.name(),
        "routes": findings.routes,
        "accepted": findings.accepted,
        "rejected": findings.rejected(),
        "changed": findings.changed,
        "attributes": findings.attributes,
        "decided": decided,
    });
    if findings.is_live {
        counts["lost"] = findings.lost.into();
        counts["gained"] = findings.gained.into();
    }
    if let Some(states) = &findings.states {
        counts["validation_by"] = match states {
            States::Daemon => json!({ "source": "daemon" }),
            States::Files { vrps, aspas, unasked } => {
                json!({ "source": "files", "vrps": vrps, "aspas": aspas, "not_asked": unasked })
            }
            States::Unknown => json!({ "source": "unknown" }),
        };
    }
    out.json_line(&counts)?;
    for shown in &findings.shown {
        out.json_line(&route(shown))?;
    }
    Ok(())
}

fn route(shown: &Shown) -> serde_json::Value {
    let changes: Vec<_> = shown
        .outcome
        .changes
        .iter()
        .map(|change| json!({ "attribute": change.attribute, "before": change.before, "after": change.after }))
        .collect();
    json!({
        "prefix": shown.prefix,
        "family": shown.family.to_string(),
        "neighbor": shown.neighbor,
        "accepted": shown.outcome.accepted,
        "accepted_now": shown.accepted_now,
        "by": shown.outcome.by,
        "changes": changes,
    })
}
