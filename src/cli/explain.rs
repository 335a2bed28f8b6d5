//! `ribwatch explain`: every path of a prefix in order of preference, and why each one stands where it does.

use clap::Args;
use ribwatch_proto::v1;

use super::{
    client::{Client, Failure},
    output::{Colour, Output, plural},
    route::{self, AttributeReader},
    table::{Align, Cell, Table},
};

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// A prefix (exactly this one) or an address (the longest match); with a --family that has other NLRI, one of them
    #[arg(value_name = "PREFIX|ADDRESS|NLRI")]
    prefix: String,
    /// Family, where it is not unicast
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
}

pub(super) async fn run(args: ExplainArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::ExplainRouteRequest { prefix: args.prefix, family: args.family.unwrap_or_default() };
    let answer = client.routes().explain_route(request).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    if out.json() { print_json(&answer, out) } else { print_table(&answer, out) }
}

/// Why the candidate stands where it does; `all` are the candidates, best first.
fn why(candidate: &v1::Candidate, best: bool, all: &[v1::Candidate]) -> String {
    let shared = candidate.route.as_ref().and_then(|route| route.multipath).unwrap_or_default();
    let text = match (candidate.ineligible.as_str(), candidate.lost_at.as_str()) {
        ("", "") if best => "best".to_owned(),
        ("", "") => String::new(),
        ("", lost_at) => format!("lost: {lost_at}{}", values(candidate, all)),
        (ineligible, _) => format!("cannot be chosen: {ineligible}"),
    };
    if shared { format!("{text}; in the multipath set") } else { text }
}

/// What the candidate has at the step and what the other has: ` (4 against 3)`; with its name when it is not the best.
fn values(candidate: &v1::Candidate, all: &[v1::Candidate]) -> String {
    if candidate.value.is_empty() || candidate.against.is_empty() {
        return String::new();
    }
    let other = (candidate.lost_to as usize).checked_sub(1).filter(|at| *at > 0).and_then(|at| all.get(at));
    let of = other.and_then(|other| other.route.as_ref()).map(|route| format!(" of {}", route::neighbor(route)));
    format!(" ({} against {}{})", candidate.value, candidate.against, of.unwrap_or_default())
}

fn print_json(answer: &v1::ExplainRouteResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut attributes = AttributeReader::default();
    for (at, candidate) in answer.candidates.iter().enumerate() {
        let Some(route) = &candidate.route else { continue };
        let text = |text: &String| if text.is_empty() { serde_json::Value::Null } else { text.as_str().into() };
        let (ineligible, lost_at) = (text(&candidate.ineligible), text(&candidate.lost_at));
        let (step, value, against) = (text(&candidate.step), text(&candidate.value), text(&candidate.against));
        let lost_to = (candidate.lost_to > 0).then_some(candidate.lost_to);
        let lost_to = lost_to.map_or_else(|| "null".to_owned(), |place| place.to_string());
        let import = serde_json::Value::from(candidate.import.as_slice());
        let head = format!(
            "{{\"rank\":{},\"ineligible\":{ineligible},\"lost_at\":{lost_at},\"step\":{step},\"value\":{value},\
             \"against\":{against},\"lost_to\":{lost_to},\"import\":{import},\"route\":",
            at + 1
        );
        let mut line = head.into_bytes();
        route::write_json(&mut line, route, &*attributes.read(route)?);
        line.extend_from_slice(b"}\n");
        out.octets(&line)?;
    }
    Ok(())
}

fn print_table(answer: &v1::ExplainRouteResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    let title = format!("{} ({}): {}", answer.prefix, answer.family, plural(answer.paths, "path"));
    out.line(&out.paint(&title, Colour::Bold))?;
    out.line("")?;
    let mut attributes = AttributeReader::default();
    let mut table = Table::new(&[
        ("", Align::Left),
        ("NEIGHBOR", Align::Left),
        ("NEXT HOP", Align::Left),
        ("LOCPREF", Align::Right),
        ("MED", Align::Right),
        ("AS PATH", Align::Left),
        ("WHY", Align::Left),
    ]);
    for candidate in &answer.candidates {
        let Some(route) = &candidate.route else { continue };
        let message = &attributes.read(route)?.message;
        let (mark, colour) = match (route.best, candidate.ineligible.is_empty()) {
            (true, _) => ("*>", Colour::Green),
            (false, true) => ("*", Colour::Plain),
            (false, false) => ("x", Colour::Red),
        };
        table.push(vec![
            Cell::coloured(mark, colour),
            route::neighbor(route).into(),
            route::next_hop(message).into(),
            route::number(message.local_pref).into(),
            route::number(message.med).into(),
            route::path(message).into(),
            Cell::coloured(why(candidate, route.best, &answer.candidates), colour),
        ]);
    }
    table.flush(out)?;
    for candidate in answer.candidates.iter().filter(|candidate| !candidate.import.is_empty()) {
        let Some(route) = &candidate.route else { continue };
        out.line("")?;
        out.line(&format!("import from {}:", route::neighbor(route)))?;
        for step in &candidate.import {
            out.line(&format!("  {step}"))?;
        }
    }
    if (answer.candidates.len() as u64) < answer.paths {
        out.line(&format!("only the first {} are shown", answer.candidates.len()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_other_path_only_when_that_is_not_the_best_one() {
        let candidate = |neighbor: &str, lost_at: &str, value: &str, against: &str, lost_to| v1::Candidate {
            route: Some(v1::Route { neighbor: neighbor.into(), ..v1::Route::default() }),
            lost_at: lost_at.into(),
            value: value.into(),
            against: against.into(),
            lost_to,
            ..v1::Candidate::default()
        };
        let mut all = [
            candidate("192.0.2.1", "", "", "", 0),
            candidate("192.0.2.2", "longer AS_PATH", "4", "3", 1),
            candidate("192.0.2.3", "higher MED", "20", "10", 2),
            candidate("192.0.2.4", "internal against external", "", "", 1),
        ];
        let told = |all: &[v1::Candidate]| -> Vec<String> {
            all.iter().enumerate().map(|(at, candidate)| why(candidate, at == 0, all)).collect()
        };
        let expected = [
            "best",
            "lost: longer AS_PATH (4 against 3)",
            "lost: higher MED (20 against 10 of 192.0.2.2)",
            "lost: internal against external",
        ];
        assert_eq!(told(&all), expected);
        for candidate in &mut all[..2] {
            candidate.route.as_mut().unwrap().multipath = Some(true);
        }
        let expected = ["best; in the multipath set", "lost: longer AS_PATH (4 against 3); in the multipath set"];
        assert_eq!(told(&all)[..2], expected);
    }
}
