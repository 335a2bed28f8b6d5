//! `ribwatch watch`: a snapshot, a mark at its end, then changes as they happen. A line begins with `+` (new),
//! `=` (replaced) or `-` (gone); in the snapshot it begins with a space.

use clap::Args;
use ribwatch_proto::v1::{self, route_change::Kind, snapshot_begin::Reason, watch_routes_response::Event};

use super::{
    client::{Client, Failure},
    output::{Colour, Output, plural, rfc3339, time_of_day},
    route::{self, AttributeReader, FilterArgs},
};

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Changes only, without the snapshot in front
    #[arg(long)]
    no_snapshot: bool,
    /// End after this many changes
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End with the snapshot
    #[arg(long, conflicts_with_all = ["no_snapshot", "count"])]
    once: bool,
}

pub(super) async fn run(args: WatchArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::WatchRoutesRequest {
        filter: Some(args.filter.filter()),
        skip_snapshot: args.no_snapshot,
        resume_token: String::new(),
    };
    let refused = |status| client.refused(status);
    let mut stream = client.routes().watch_routes(request).await.map_err(refused)?.into_inner();
    let mut printer = Printer { attributes: AttributeReader::default(), left: args.count, line: Vec::new() };
    while let Some(message) = stream.message().await.map_err(refused)? {
        let Some(event) = message.event else { continue };
        let ended = args.once && matches!(event, Event::End(_));
        printer.print(&event, out)?;
        out.flush()?;
        if ended || printer.left == Some(0) {
            return Ok(());
        }
    }
    Ok(())
}

struct Printer {
    attributes: AttributeReader,
    /// Changes still to print; `None`: all.
    left: Option<u64>,
    line: Vec<u8>,
}

impl Printer {
    fn print(&mut self, event: &Event, out: &mut Output<'_>) -> Result<(), Failure> {
        match event {
            Event::Begin(begin) => begin_line(begin.reason(), out),
            Event::Snapshot(part) => {
                part.routes.iter().try_for_each(|route| self.route("snapshot", None, route, part.seq, out))
            }
            Event::End(end) => end_line(end, out),
            Event::Changes(changes) => changes.changes.iter().try_for_each(|change| self.change(change, out)),
            Event::Gap(gap) => gap_line(gap, out),
            Event::Heartbeat(_) => Ok(()),
        }
    }

    fn change(&mut self, change: &v1::RouteChange, out: &mut Output<'_>) -> Result<(), Failure> {
        if self.left == Some(0) {
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        let Some(route) = &change.route else { return Ok(()) };
        let event = match change.kind() {
            Kind::Withdrawn => "withdrawn",
            Kind::Replaced => "replaced",
            Kind::Announced | Kind::Unspecified => "announced",
        };
        self.route(event, Some(change.time_us), route, change.seq, out)
    }

    fn route(
        &mut self,
        event: &str,
        time_us: Option<u64>,
        route: &v1::Route,
        seq: u64,
        out: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let attributes = self.attributes.read(route)?;
        if out.json() {
            self.line.clear();
            let time = time_us.map_or("null".to_owned(), |time| format!("\"{}\"", rfc3339(time)));
            let head = format!("{{\"event\":\"{event}\",\"seq\":{seq},\"time\":{time},\"route\":");
            self.line.extend_from_slice(head.as_bytes());
            route::write_json(&mut self.line, route, &attributes);
            self.line.extend_from_slice(b"}\n");
            return Ok(out.octets(&self.line)?);
        }
        let (mark, colour) = match event {
            "announced" => ("+", Colour::Green),
            "replaced" => ("=", Colour::Yellow),
            "withdrawn" => ("-", Colour::Red),
            _ => (" ", Colour::Plain),
        };
        let time = time_us.map_or_else(|| "snapshot".to_owned(), time_of_day);
        let rejected = match route.rejected_by.as_str() {
            "" => String::new(),
            policy => format!("  (rejected by {policy})"),
        };
        let path = if event == "withdrawn" { String::new() } else { route::path(&attributes.message) };
        let line = format!("{mark} {time:<12}  {:<15}  {:<18}  {path}{rejected}", route::neighbor(route), route.prefix);
        Ok(out.line(&out.paint(line.trim_end(), colour))?)
    }
}

fn begin_line(reason: Reason, out: &mut Output<'_>) -> Result<(), Failure> {
    let word = match reason {
        Reason::Gap => "gap",
        Reason::Resume => "resume",
        Reason::Start | Reason::Unspecified => "start",
    };
    if out.json() {
        return Ok(out.json_line(&serde_json::json!({ "event": "begin_of_snapshot", "reason": word }))?);
    }
    match reason {
        Reason::Gap => mark("new snapshot after the gap: forget what stands above", out),
        _ => Ok(()),
    }
}

fn end_line(end: &v1::SnapshotEnd, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        let line = serde_json::json!({ "event": "end_of_snapshot", "seq": end.seq, "routes": end.routes });
        return Ok(out.json_line(&line)?);
    }
    mark(&format!("end of snapshot, {}; changes follow", plural(end.routes, "route")), out)
}

fn gap_line(gap: &v1::Gap, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        let line = serde_json::json!({ "event": "gap", "last_seq": gap.last_seq, "reason": gap.reason });
        return Ok(out.json_line(&line)?);
    }
    mark(&format!("GAP: {}", gap.reason), out)
}

fn mark(text: &str, out: &mut Output<'_>) -> Result<(), Failure> {
    Ok(out.line(&out.paint(&format!("──── {text} ────"), Colour::Bold))?)
}
