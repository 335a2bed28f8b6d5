//! `ribwatch rib`: routes as they stream in, and `rib summary`: counts.

use clap::{Args, Subcommand};
use ribwatch_proto::v1;

use super::{
    client::{Client, Failure},
    output::{Output, plural},
    route::{self, AttributeReader, FilterArgs},
    table::{Align, Table},
};
use crate::view::json;

#[derive(Args, Debug)]
pub(super) struct RibArgs {
    #[command(subcommand)]
    verb: Option<RibVerb>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many routes
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Communities and other attributes under each route (always shown for one prefix)
    #[arg(long, short)]
    detail: bool,
}

#[derive(Subcommand, Debug)]
enum RibVerb {
    /// Counts per table, neighbor and family
    Summary,
}

pub(super) async fn run(args: RibArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.verb {
        Some(RibVerb::Summary) => summary(&client, out).await,
        None => list(&args, &client, out).await,
    }
}

async fn list(args: &RibArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::StreamRoutesRequest {
        filter: Some(args.filter.filter()),
        limit: args.limit.unwrap_or_default(),
        page_token: String::new(),
    };
    let refused = |status| client.refused(status);
    let mut stream = client.routes().stream_routes(request).await.map_err(refused)?.into_inner();
    let one_prefix = args.filter.prefix.is_some() && !args.filter.longer && !args.filter.shorter;
    let mut printer = Printer::new(args.detail || one_prefix);
    let mut cut = false;
    while let Some(batch) = stream.message().await.map_err(refused)? {
        printer.print(&batch.routes, out)?;
        cut = !batch.next_page_token.is_empty();
    }
    if printer.count == 0
        && let Some(prefix) = &args.filter.prefix
    {
        return Err(Failure::No(format!("no route for {prefix}{}", narrowed(&args.filter))));
    }
    if !out.json() {
        let more = if cut { ", cut by --limit" } else { "" };
        out.line(&format!("{}{more}", plural(printer.count, "route")))?;
    }
    Ok(())
}

/// What else narrowed a question that found nothing.
fn narrowed(filter: &FilterArgs) -> &'static str {
    let narrowed = filter.neighbor.is_some()
        || filter.origin.is_some()
        || filter.as_path.is_some()
        || !filter.community.is_empty()
        || filter.validation.is_some()
        || filter.aspa.is_some();
    if narrowed { " that passes the filter" } else { "" }
}

/// Prints routes batch by batch and keeps nothing but widths.
struct Printer {
    table: Table,
    attributes: AttributeReader,
    detail: bool,
    count: u64,
    line: Vec<u8>,
}

impl Printer {
    fn new(detail: bool) -> Self {
        let table = Table::new(&route::COLUMNS);
        Self { table, attributes: AttributeReader::default(), detail, count: 0, line: Vec::new() }
    }

    fn print(&mut self, routes: &[v1::Route], out: &mut Output<'_>) -> Result<(), Failure> {
        self.count += routes.len() as u64;
        for route in routes {
            let attributes = self.attributes.read(route)?;
            if out.json() {
                self.line.clear();
                route::write_json(&mut self.line, route, &attributes);
                self.line.push(b'\n');
                out.octets(&self.line)?;
            } else {
                let notes = if self.detail { route::details(route, &attributes.message) } else { Vec::new() };
                self.table.push_with_notes(route::cells(route, &attributes.message), notes);
            }
        }
        Ok(self.table.flush(out)?)
    }
}

async fn summary(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let summary = client.routes().get_summary(v1::GetSummaryRequest {}).await;
    let summary = summary.map_err(|status| client.refused(status))?.into_inner();
    if out.json() {
        return Ok(out.json_line(&json_summary(&summary))?);
    }
    let right = |title| (title, Align::Right);
    let mut tables = Table::new(&[("FAMILY", Align::Left), right("PREFIXES"), right("PATHS"), right("LOC-RIB")]);
    for row in &summary.tables {
        tables.push(vec![(&row.family).into(), row.prefixes.into(), row.paths.into(), row.best.into()]);
    }
    tables.flush(out)?;
    let mut neighbors = Table::new(&[
        ("NEIGHBOR", Align::Left),
        ("FAMILY", Align::Left),
        right("RECEIVED"),
        right("ACCEPTED"),
        right("ADVERTISED"),
        ("END OF RIB", Align::Left),
    ]);
    for row in &summary.neighbors {
        let end = if row.end_of_rib { "received" } else { "waiting" };
        neighbors.push(vec![
            (&row.neighbor).into(),
            (&row.family).into(),
            row.received.into(),
            row.accepted.into(),
            row.advertised.into(),
            end.into(),
        ]);
    }
    let parts = [!summary.tables.is_empty(), !summary.neighbors.is_empty()];
    if parts == [true, true] {
        out.line("")?;
    }
    neighbors.flush(out)?;
    if summary.neighbors_cut {
        out.line("(more neighbors: `ribwatch neighbor` lists them all)")?;
    }
    if parts != [false, false] {
        out.line("")?;
    }
    let (sets, octets) = (plural(summary.attribute_sets, "attribute set"), plural(summary.attribute_octets, "octet"));
    Ok(out.line(&format!("{sets} in {octets}; last change {}", summary.seq))?)
}

fn json_summary(summary: &v1::GetSummaryResponse) -> json::Summary {
    let tables = summary.tables.iter().map(|row| json::TableCounts {
        family: row.family.clone(),
        prefixes: row.prefixes,
        paths: row.paths,
        best: row.best,
    });
    let neighbors = summary.neighbors.iter().map(|row| json::NeighborCounts {
        neighbor: row.neighbor.clone(),
        family: row.family.clone(),
        received: row.received,
        accepted: row.accepted,
        advertised: row.advertised,
        end_of_rib: row.end_of_rib,
    });
    json::Summary {
        tables: tables.collect(),
        neighbors: neighbors.collect(),
        attribute_sets: summary.attribute_sets,
        attribute_octets: summary.attribute_octets,
        seq: summary.seq,
    }
}
