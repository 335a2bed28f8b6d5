//! `ribwatch neighbor`: the sessions as a table, one of them in full, and what can be done to them.

use clap::{Args, Subcommand};
use ribwatch_proto::v1;

use super::{
    client::{Client, Failure},
    output::{Colour, Output, duration, plural},
    table::{Align, Cell, Table},
};
use crate::view::{SessionState, json};

#[derive(Args, Debug)]
pub(super) struct NeighborArgs {
    #[command(subcommand)]
    verb: Option<NeighborVerb>,
    /// Only this neighbor, in full: its address or its configured name
    #[arg(value_name = "ADDRESS")]
    neighbor: Option<String>,
}

#[derive(Subcommand, Debug)]
enum NeighborVerb {
    /// Ends the session and starts it again, or asks for the routes again
    Reset {
        /// Address or configured name
        #[arg(value_name = "ADDRESS")]
        neighbor: String,
        /// Keep the session, only ask for the routes again (ROUTE-REFRESH)
        #[arg(long)]
        soft: bool,
        /// Words for the neighbor's operator (RFC 9003)
        #[arg(long, conflicts_with = "soft")]
        text: Option<String>,
    },
    /// Lets a disabled session come up again
    Enable {
        /// Address or configured name
        #[arg(value_name = "ADDRESS")]
        neighbor: String,
    },
    /// Ends the session and keeps it down
    Disable {
        /// Address or configured name
        #[arg(value_name = "ADDRESS")]
        neighbor: String,
        /// Words for the neighbor's operator (RFC 9003)
        #[arg(long)]
        text: Option<String>,
    },
    /// Adds a neighbor until the daemon ends; the configuration file is not written
    Add(AddArgs),
    /// Ends the session and forgets the neighbor; the configuration file is not written
    Remove {
        /// Address or configured name
        #[arg(value_name = "ADDRESS")]
        neighbor: String,
    },
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Its address, or a range from which any speaker is accepted (192.0.2.0/24)
    #[arg(value_name = "ADDRESS|RANGE")]
    remote: String,
    /// Its AS number; for a range also "any"
    #[arg(long, value_name = "ASN", required_unless_present = "group")]
    remote_asn: Option<String>,
    /// The [[neighbor_group]] of the configuration file whose keys it has where nothing else is said here
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Name to show beside the address
    #[arg(long)]
    name: Option<String>,
    /// A family, such as ipv6-unicast; may be repeated
    #[arg(long, value_name = "FAMILY")]
    family: Vec<String>,
    /// An import policy, such as accept-all; may be repeated. None on eBGP rejects everything (RFC 8212)
    #[arg(long, value_name = "POLICY")]
    import: Vec<String>,
    /// An export policy, such as accept-all; may be repeated. None on eBGP rejects everything (RFC 8212)
    #[arg(long, value_name = "POLICY")]
    export: Vec<String>,
    /// Never connect, wait for the neighbor
    #[arg(long)]
    passive: bool,
    /// Keep and watch everything, send nothing but keepalives
    #[arg(long)]
    monitor_only: bool,
    /// Any other key of [[neighbor]] as in the configuration file, such as --set 'hold_time = "30s"'
    #[arg(long, value_name = "KEY = VALUE")]
    set: Vec<String>,
}

pub(super) async fn run(args: NeighborArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    match (args.verb, args.neighbor) {
        (None, None) => list(&client, out).await,
        (None, Some(neighbor)) => show(neighbor, &client, out).await,
        (Some(verb), _) => act(verb, &client, out).await,
    }
}

async fn act(verb: NeighborVerb, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut service = client.neighbors();
    let refused = |status| client.refused(status);
    let (what, neighbor) = match verb {
        NeighborVerb::Reset { neighbor, soft, text } => {
            let text = text.unwrap_or_default();
            let request = v1::ResetNeighborRequest { neighbor: neighbor.clone(), soft, text };
            service.reset_neighbor(request).await.map_err(refused)?;
            (if soft { "asked for the routes again" } else { "reset" }, neighbor)
        }
        NeighborVerb::Enable { neighbor } => {
            let request = v1::EnableNeighborRequest { neighbor: neighbor.clone() };
            service.enable_neighbor(request).await.map_err(refused)?;
            ("enabled", neighbor)
        }
        NeighborVerb::Disable { neighbor, text } => {
            let text = text.unwrap_or_default();
            let request = v1::DisableNeighborRequest { neighbor: neighbor.clone(), text };
            service.disable_neighbor(request).await.map_err(refused)?;
            ("disabled", neighbor)
        }
        NeighborVerb::Add(args) => {
            let toml = definition(&args)?;
            service.add_neighbor(v1::AddNeighborRequest { toml }).await.map_err(refused)?;
            ("added", args.remote)
        }
        NeighborVerb::Remove { neighbor } => {
            let request = v1::RemoveNeighborRequest { neighbor: neighbor.clone() };
            service.remove_neighbor(request).await.map_err(refused)?;
            ("removed", neighbor)
        }
    };
    if out.json() {
        return Ok(out.json_line(&serde_json::json!({ "done": what, "neighbor": neighbor }))?);
    }
    Ok(out.line(&format!("{neighbor}: {what}"))?)
}

/// The neighbor as the keys of a `[[neighbor]]` table.
fn definition(args: &AddArgs) -> Result<String, Failure> {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |items: &[String]| toml::Value::from(items.to_vec()).to_string();
    let kind = if args.remote.contains('/') { "range" } else { "address" };
    let mut lines = vec![format!("{kind} = {}", text(&args.remote))];
    if let Some(word) = &args.remote_asn {
        let asn = match word.parse::<crate::types::Asn>() {
            Ok(asn) => asn.to_string(),
            Err(_) if word == "any" => text("any"),
            Err(_) => return Err(Failure::Usage(format!("`{word}` is not an AS number, nor \"any\""))),
        };
        lines.push(format!("remote_asn = {asn}"));
    }
    lines.extend(args.group.iter().map(|group| format!("group = {}", text(group))));
    lines.extend(args.name.iter().map(|name| format!("name = {}", text(name))));
    let lists = [("families", &args.family), ("import", &args.import), ("export", &args.export)];
    lines.extend(
        lists.iter().filter(|(_, items)| !items.is_empty()).map(|(key, items)| format!("{key} = {}", list(items))),
    );
    let flags = [("passive", args.passive), ("monitor_only", args.monitor_only)];
    lines.extend(flags.iter().filter(|(_, on)| *on).map(|(key, _)| format!("{key} = true")));
    lines.extend(args.set.iter().cloned());
    lines.push(String::new());
    Ok(lines.join("\n"))
}

pub(super) async fn all(client: &Client) -> Result<Vec<v1::Neighbor>, Failure> {
    let (mut service, mut neighbors, mut page_token) = (client.neighbors(), Vec::new(), String::new());
    loop {
        let answer = service.list_neighbors(v1::ListNeighborsRequest { page_token }).await;
        let page = answer.map_err(|status| client.refused(status))?.into_inner();
        neighbors.extend(page.neighbors);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(neighbors);
        }
    }
}

async fn list(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let neighbors = all(client).await?;
    if out.json() {
        return Ok(neighbors.iter().try_for_each(|neighbor| out.json_line(&json_neighbor(neighbor)))?);
    }
    let right = |title| (title, Align::Right);
    let left = |title| (title, Align::Left);
    let mut table = Table::new(&[
        left("NEIGHBOR"),
        left("NAME"),
        right("AS"),
        left("STATE"),
        right("SINCE"),
        right("RECEIVED"),
        right("ACCEPTED"),
        right("ADVERTISED"),
        left("LAST ERROR"),
    ]);
    for neighbor in &neighbors {
        let totals = json_neighbor(neighbor);
        table.push(vec![
            Cell::coloured(&neighbor.address, Colour::Bold),
            (&neighbor.name).into(),
            totals.remote_asn.map_or_else(|| "any".to_owned(), |asn| asn.to_string()).into(),
            state_cell(neighbor),
            neighbor.uptime_s.or(neighbor.changed_s).map(duration).unwrap_or_default().into(),
            totals.routes_received.into(),
            totals.routes_accepted.into(),
            totals.routes_advertised.into(),
            (&neighbor.last_error).into(),
        ]);
    }
    table.flush(out)?;
    let up = neighbors.iter().filter(|neighbor| neighbor.state() == v1::SessionState::Established).count();
    Ok(out.line(&format!("{}, {up} established", plural(neighbors.len() as u64, "neighbor")))?)
}

fn state_cell(neighbor: &v1::Neighbor) -> Cell {
    let name = state(neighbor).name();
    match neighbor.state() {
        _ if !neighbor.enabled => Cell::coloured(format!("{name} (disabled)"), Colour::Dim),
        v1::SessionState::Established => Cell::coloured(name, Colour::Green),
        v1::SessionState::Idle => Cell::coloured(name, Colour::Red),
        _ => Cell::coloured(name, Colour::Yellow),
    }
}

pub(super) fn state(neighbor: &v1::Neighbor) -> SessionState {
    match neighbor.state() {
        v1::SessionState::Unspecified | v1::SessionState::Idle => SessionState::Idle,
        v1::SessionState::Connect => SessionState::Connect,
        v1::SessionState::Active => SessionState::Active,
        v1::SessionState::OpenSent => SessionState::OpenSent,
        v1::SessionState::OpenConfirm => SessionState::OpenConfirm,
        v1::SessionState::Established => SessionState::Established,
    }
}

fn json_neighbor(neighbor: &v1::Neighbor) -> json::Neighbor {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    json::Neighbor {
        address: neighbor.address.clone(),
        name: some(&neighbor.name),
        remote_asn: neighbor.remote_asn,
        state: state(neighbor).name(),
        uptime_s: neighbor.uptime_s,
        families: neighbor.families.clone(),
        routes_received: neighbor.counts.iter().map(|counts| counts.received).sum(),
        routes_accepted: neighbor.counts.iter().map(|counts| counts.accepted).sum(),
        routes_advertised: neighbor.counts.iter().map(|counts| counts.advertised).sum(),
        last_error: some(&neighbor.last_error),
        local_asn: neighbor.local_asn,
        router_id: some(&neighbor.router_id),
        enabled: neighbor.enabled,
        monitor_only: neighbor.monitor_only,
        flaps: neighbor.flaps,
        faults: neighbor.faults.iter().map(|fault| fault.count).sum(),
        routes_stale: neighbor.counts.iter().map(|counts| counts.stale).sum(),
    }
}

async fn show(neighbor: String, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = client.neighbors().get_neighbor(v1::GetNeighborRequest { neighbor }).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    let neighbor = answer.neighbor.unwrap_or_default();
    if out.json() {
        return Ok(out.json_line(&json_neighbor(&neighbor))?);
    }
    print(&neighbor, out)
}

/// One neighbor in full.
pub(super) fn print(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    headline(neighbor, out)?;
    facts(neighbor, out)?;
    counts(neighbor, out)?;
    messages(neighbor, out)?;
    faults(neighbor, out)
}

/// `192.0.2.1  edge-1  AS64496  established for 3d04h`
fn headline(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    let state = match (neighbor.state(), neighbor.uptime_s) {
        (v1::SessionState::Established, Some(uptime)) => {
            out.paint(&format!("established for {}", duration(uptime)), Colour::Green)
        }
        _ => {
            let since = neighbor.changed_s.map(|since| format!(", down for {}", duration(since)));
            let disabled = if neighbor.enabled { "" } else { " (disabled)" };
            let text = format!("{}{disabled}{}", self::state(neighbor).name(), since.unwrap_or_default());
            out.paint(&text, Colour::Red)
        }
    };
    let asn = neighbor.remote_asn.map(|asn| format!("  AS{asn}")).unwrap_or_default();
    let name = if neighbor.name.is_empty() { String::new() } else { format!("  {}", neighbor.name) };
    let address = out.paint(&neighbor.address, Colour::Bold);
    Ok(out.line(&format!("{address}{name}{asn}  {state}"))?)
}

fn facts(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    let mode = match (neighbor.monitor_only, neighbor.passive) {
        (true, true) => "collector, passive",
        (true, false) => "collector",
        (false, true) => "passive",
        (false, false) => "",
    };
    let hold_time = match neighbor.hold_time_s {
        0 => String::new(),
        seconds => format!("{seconds}s"),
    };
    let queue = match neighbor.send_queue {
        0 => String::new(),
        octets => plural(octets, "octet"),
    };
    let policies = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let rows = [
        ("router id", neighbor.router_id.clone()),
        ("local AS", neighbor.local_asn.to_string()),
        ("range", neighbor.range.clone()),
        ("mode", mode.to_owned()),
        ("families", neighbor.families.join(", ")),
        ("hold time", hold_time),
        ("negotiated", neighbor.negotiated.join(", ")),
        ("import", policies(&neighbor.import_policies)),
        ("export", policies(&neighbor.export_policies)),
        ("flaps", neighbor.flaps.to_string()),
        ("waiting to be sent", queue),
        ("last error", neighbor.last_error.clone()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        out.line(&format!("  {name:<18}  {value}"))?;
    }
    Ok(())
}

fn counts(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    let right = |title| (title, Align::Right);
    let mut table = Table::new(&[
        ("FAMILY", Align::Left),
        right("RECEIVED"),
        right("ACCEPTED"),
        right("ADVERTISED"),
        ("END OF RIB", Align::Left),
    ]);
    for counts in &neighbor.counts {
        let end = if counts.end_of_rib { "received" } else { "waiting" };
        table.push(vec![
            (&counts.family).into(),
            counts.received.into(),
            counts.accepted.into(),
            counts.advertised.into(),
            end.into(),
        ]);
    }
    if !neighbor.counts.is_empty() {
        out.line("")?;
    }
    table.flush(out)?;
    for counts in neighbor.counts.iter().filter(|counts| counts.stale > 0) {
        let stale = plural(counts.stale, "stale path");
        out.line(&format!(
            "{}: {stale}, kept until the neighbor has sent them again or its time is over",
            counts.family
        ))?;
    }
    for counts in neighbor.counts.iter().filter(|counts| counts.dropped > 0) {
        out.line(&format!("{}: {} paths dropped, their prefix had all it may have", counts.family, counts.dropped))?;
    }
    for (family, filter) in neighbor.counts.iter().filter_map(|counts| Some((&counts.family, counts.filter?))) {
        let text = match filter {
            v1::RouteFilterCounts { awaited: true, .. } => "nothing is sent before it asks (RFC 5291)".to_owned(),
            v1::RouteFilterCounts { entries: 0, refused: 0, .. } => "it wants all routes".to_owned(),
            v1::RouteFilterCounts { entries, refused: 0, .. } => format!("it wants what its {entries} entries permit"),
            v1::RouteFilterCounts { entries, refused, .. } => {
                format!("it wants what its {entries} entries permit; {refused} more were refused")
            }
        };
        out.line(&format!("{family}: route filter: {text}"))?;
    }
    Ok(())
}

fn messages(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    let right = |title| (title, Align::Right);
    let mut table = Table::new(&[
        ("MESSAGES", Align::Left),
        right("OPEN"),
        right("UPDATE"),
        right("KEEPALIVE"),
        right("REFRESH"),
        right("NOTIFICATION"),
    ]);
    for (name, counts) in [("received", &neighbor.received), ("sent", &neighbor.sent)] {
        let counts = counts.unwrap_or_default();
        let numbers = [counts.open, counts.update, counts.keepalive, counts.refresh, counts.notification];
        table.push(std::iter::once(Cell::new(name)).chain(numbers.map(Cell::new)).collect());
    }
    out.line("")?;
    Ok(table.flush(out)?)
}

fn faults(neighbor: &v1::Neighbor, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("FAULTS IN", Align::Left),
        ("COST", Align::Left),
        ("COUNT", Align::Right),
        ("LAST", Align::Left),
    ]);
    for fault in &neighbor.faults {
        let attribute = fault.attribute.map_or_else(|| "message".to_owned(), |code| format!("attribute {code}"));
        table.push(vec![attribute.into(), (&fault.outcome).into(), fault.count.into(), (&fault.last).into()]);
    }
    if !neighbor.faults.is_empty() {
        out.line("")?;
    }
    Ok(table.flush(out)?)
}
