//! `ribwatch route`: routes of our own; `announce` and `withdraw` are its short forms.

use clap::{Args, Subcommand, ValueEnum};
use ribwatch_proto::v1;

use super::{
    client::{Client, Failure},
    output::{Output, plural},
    route::{self, AttributeReader},
    table::Table,
};
use crate::types::{Asn, Prefix};

#[derive(Args, Debug)]
pub(super) struct RouteArgs {
    #[command(subcommand)]
    verb: RouteVerb,
}

#[derive(Subcommand, Debug)]
enum RouteVerb {
    /// Originates a route, replacing the one of the same family and prefix
    Add(Box<AnnounceArgs>),
    /// Takes a route back
    #[command(visible_alias = "delete")]
    Del(WithdrawArgs),
    /// Routes of our own
    List,
    /// Asks neighbors to drop all traffic to a prefix (RFC 7999)
    ///
    /// Originates the prefix with the community BLACKHOLE and nothing else. NO_EXPORT is not added: it would keep the route
    /// from the very neighbors that are to drop the traffic; whoever receives it adds it (RFC 7999 §3.2).
    Blackhole(BlackholeArgs),
}

#[derive(Args, Debug)]
pub(super) struct AnnounceArgs {
    /// What to announce: 203.0.113.0/24; with --family also 64500:1:203.0.113.0/24 (VPN) or a filter such as
    /// "dst 203.0.113.1/32; proto =17; dport =53" (flow specification)
    #[arg(value_name = "ROUTE")]
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
    /// A large community, such as 64500:1:2; may be repeated
    #[arg(long, value_name = "COMMUNITY")]
    large_community: Vec<String>,
    /// An extended community or action (rt:64500:1, traffic-rate:0:0 to drop, redirect:64500:1); may be repeated
    #[arg(long, value_name = "COMMUNITY")]
    ext_community: Vec<String>,
    /// AS numbers behind ours, such as "64500 64501"; without it the route originates here
    #[arg(long, value_name = "ASNS", value_delimiter = ' ')]
    as_path: Vec<Asn>,
    /// MPLS label of a labelled or VPN route
    #[arg(long)]
    label: Option<u32>,
    /// Accumulated IGP metric (RFC 7311)
    #[arg(long, value_name = "METRIC")]
    aigp: Option<u64>,
    /// Only to Customer (RFC 9234)
    #[arg(long, value_name = "ASN")]
    otc: Option<Asn>,
    /// Any other attribute as CODE:FLAGS:VALUE, flags and value in hex, such as 250:c0:00ff; may be repeated
    #[arg(long, value_name = "CODE:FLAGS:VALUE", value_parser = raw_attribute)]
    attribute: Vec<v1::RawAttribute>,
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
    /// What to take back, as it was announced
    #[arg(value_name = "ROUTE")]
    prefix: String,
    /// Family, where it is not unicast
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
}

#[derive(Args, Debug)]
struct BlackholeArgs {
    /// Where the traffic goes that is to be dropped
    prefix: Prefix,
    /// Next hop, for neighbors that ask for a certain one; without it, our own address towards each neighbor
    #[arg(long, value_name = "ADDRESS")]
    next_hop: Option<String>,
    /// A further community; may be repeated
    #[arg(long, value_name = "COMMUNITY")]
    community: Vec<String>,
}

/// `250:c0:00ff`
fn raw_attribute(word: &str) -> Result<v1::RawAttribute, String> {
    read_raw(word).ok_or_else(|| {
        "write CODE:FLAGS:VALUE, the code as a number, flags and value in hex, such as 250:c0:00ff".to_owned()
    })
}

fn read_raw(word: &str) -> Option<v1::RawAttribute> {
    let (code, rest) = word.split_once(':')?;
    let (flags, value) = rest.split_once(':')?;
    let digits: Vec<u8> = value.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(v1::RawAttribute {
        code: code.parse::<u8>().ok()?.into(),
        flags: u8::from_str_radix(flags, 16).ok()?.into(),
        value: pairs.iter().map(|[high, low]| high << 4 | low).collect(),
    })
}

pub(super) async fn run(args: RouteArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.verb {
        RouteVerb::Add(args) => announce(*args, client, out).await,
        RouteVerb::Del(args) => withdraw(args, client, out).await,
        RouteVerb::List => list(&client, out).await,
        RouteVerb::Blackhole(args) => blackhole(args, &client, out).await,
    }
}

pub(super) async fn announce(args: AnnounceArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let prefix = args.prefix.clone();
    let communities = [args.community, args.large_community, args.ext_community].concat();
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
        communities,
        as_path: args.as_path.iter().map(|asn| asn.0).collect(),
        label: args.label,
        aigp: args.aigp,
        only_to_customer: args.otc.map(|asn| asn.0),
        attributes: args.attribute,
    };
    client.local_routes().originate(request).await.map_err(|status| client.refused(status))?;
    done("announced", &prefix, out)
}

async fn blackhole(args: BlackholeArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut communities = vec!["blackhole".to_owned()];
    communities.extend(args.community);
    let request = v1::OriginateRequest {
        prefix: args.prefix.to_string(),
        next_hop: args.next_hop.unwrap_or_default(),
        communities,
        ..v1::OriginateRequest::default()
    };
    client.local_routes().originate(request).await.map_err(|status| client.refused(status))?;
    done("blackholed", &args.prefix.to_string(), out)
}

pub(super) async fn withdraw(args: WithdrawArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let prefix = args.prefix.clone();
    let request = v1::WithdrawRequest { prefix: args.prefix, family: args.family.unwrap_or_default() };
    client.local_routes().withdraw(request).await.map_err(|status| client.refused(status))?;
    done("withdrawn", &prefix, out)
}

async fn list(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let (mut attributes, mut table, mut count) = (AttributeReader::default(), Table::new(&route::COLUMNS), 0);
    let mut page_token = String::new();
    loop {
        let request = v1::ListLocalRoutesRequest { page_size: 0, page_token };
        let page = client.local_routes().list_local_routes(request).await;
        let page = page.map_err(|status| client.refused(status))?.into_inner();
        count += page.routes.len() as u64;
        for one in &page.routes {
            let attributes = attributes.read(one)?;
            if out.json() {
                let mut line = Vec::new();
                route::write_json(&mut line, one, &attributes);
                line.push(b'\n');
                out.octets(&line)?;
            } else {
                let notes = route::details(one, &attributes.message);
                table.push_with_notes(route::cells(one, &attributes.message), notes);
            }
        }
        table.flush(out)?;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if out.json() { Ok(()) } else { Ok(out.line(&plural(count, "route"))?) }
}

fn done(what: &str, prefix: &str, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json() {
        return Ok(out.json_line(&serde_json::json!({ "done": what, "prefix": prefix }))?);
    }
    Ok(out.line(&format!("{what} {prefix}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_in_octets_has_code_flags_and_value() {
        let read = raw_attribute("250:c0:00ff").unwrap();
        assert_eq!((read.code, read.flags, read.value), (250, 0xc0, vec![0, 0xff]));
        assert!(raw_attribute("250:c0:").unwrap().value.is_empty());
        for wrong in ["", "250", "250:c0", "256:c0:00", "250:1c0:00", "250:c0:0", "250:c0:xx", "x:c0:00"] {
            assert!(raw_attribute(wrong).unwrap_err().contains("250:c0:00ff"), "{wrong}");
        }
    }
}
