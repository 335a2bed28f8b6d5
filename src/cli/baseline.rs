//! `ribwatch baseline`: what a daemon sees of our ASes now, written as `[[watch.prefix]]` and `[[watch.asn]]`; a later run
//! adds to a file that was edited by hand and changes none of its rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use prost::Message as _;
use ribwatch_proto::v1;
use toml::de::{DeTable, DeValue};

use super::{
    client::{Client, Failure},
    output::{Output, plural},
};
use crate::types::{Asn, Prefix};

/// Stands above a rule whose prefix was not seen in the last run.
const VANISHED: &str = "# ribwatch baseline: not seen in the last run";

#[derive(Args, Debug)]
pub(super) struct BaselineArgs {
    /// An AS that is ours; may be repeated. Without it, the daemon's own
    #[arg(long, value_name = "ASN")]
    asn: Vec<Asn>,
    /// Only what this neighbor sends, by address or name
    #[arg(long, value_name = "ADDRESS")]
    neighbor: Option<String>,
    /// Keep the rules of this file as they are, add new prefixes and mark vanished ones
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
    /// File to write; without it that of --merge, or standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What was seen of a prefix or an AS.
#[derive(Default)]
struct Seen {
    origins: BTreeSet<Asn>,
    upstreams: BTreeSet<Asn>,
}

/// What was seen of our ASes.
#[derive(Default)]
struct Baseline {
    prefixes: BTreeMap<Prefix, Seen>,
    asns: BTreeMap<Asn, BTreeSet<Asn>>,
}

/// Exit code 0 when rules were written; 1 when nothing was seen, and then nothing is written.
pub(super) async fn run(args: BaselineArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let old = args.merge.as_deref().map(read_old).transpose()?;
    let info = client.daemon().get_info(v1::GetInfoRequest {}).await;
    let own = Asn(info.map_err(|status| client.refused(status))?.into_inner().asn);
    let asns: BTreeSet<Asn> = if args.asn.is_empty() { [own].into() } else { args.asn.iter().copied().collect() };
    let mut baseline = Baseline::default();
    for asn in &asns {
        let filter = v1::RouteFilter { table: v1::Table::AdjIn.into(), origin_as: Some(asn.0), ..filter(&args) };
        ask(&client, filter, *asn, &mut baseline).await?;
    }
    // Routes of our own, and those of neighbours inside our AS, have no AS in their path.
    if asns.contains(&own) {
        for table in [v1::Table::AdjIn, v1::Table::Loc] {
            let filter = v1::RouteFilter { table: table.into(), as_path: "^$".into(), ..filter(&args) };
            ask(&client, filter, own, &mut baseline).await?;
        }
    }
    if baseline.prefixes.is_empty() {
        let asns: Vec<String> = asns.iter().map(|asn| format!("AS{asn}")).collect();
        let asns = asns.join(" or ");
        return Err(Failure::No(format!("the daemon sees no route that {asns} originates: nothing was written")));
    }
    let (text, added) = match &old {
        Some(old) => old.merged(&baseline, &asns),
        None => (fresh(&baseline), baseline.prefixes.len()),
    };
    match args.output.as_deref().or(args.merge.as_deref()) {
        Some(path) => {
            replace(path, &text)?;
            let count = plural(baseline.prefixes.len() as u64, "prefix");
            Ok(out.line(&format!("{}: {count} seen, {added} of them new", path.display()))?)
        }
        None => Ok(out.octets(text.as_bytes())?),
    }
}

fn filter(args: &BaselineArgs) -> v1::RouteFilter {
    v1::RouteFilter { neighbor: args.neighbor.clone().unwrap_or_default(), ..v1::RouteFilter::default() }
}

/// Adds the unicast routes that pass `filter` as routes of `origin`.
async fn ask(client: &Client, filter: v1::RouteFilter, origin: Asn, baseline: &mut Baseline) -> Result<(), Failure> {
    let refused = |status| client.refused(status);
    let request = v1::StreamRoutesRequest { filter: Some(filter), limit: 0, page_token: String::new() };
    let mut stream = client.routes().stream_routes(request).await.map_err(refused)?.into_inner();
    while let Some(batch) = stream.message().await.map_err(refused)? {
        for route in batch.routes.iter().filter(|route| matches!(&*route.family, "ipv4-unicast" | "ipv6-unicast")) {
            let Ok(prefix) = route.prefix.parse::<Prefix>() else { continue };
            let attributes = v1::PathAttributes::decode(route.attributes.clone())
                .map_err(|error| Failure::No(format!("the daemon sent attributes that cannot be read: {error}")))?;
            let upstream = upstream(&attributes, origin);
            let seen = baseline.prefixes.entry(prefix).or_default();
            seen.origins.insert(origin);
            seen.upstreams.extend(upstream);
            baseline.asns.entry(origin).or_default().extend(upstream);
        }
    }
    Ok(())
}

/// The AS that stands next to the origin.
fn upstream(attributes: &v1::PathAttributes, origin: Asn) -> Option<Asn> {
    let sequence = |segment: &&v1::AsPathSegment| segment.kind() == v1::as_path_segment::Kind::Sequence;
    let mut asns =
        attributes.segments.iter().filter(sequence).flat_map(|segment| segment.asns.iter().copied().map(Asn));
    asns.rfind(|asn| *asn != origin)
}

fn numbers(asns: &BTreeSet<Asn>) -> String {
    asns.iter().map(|asn| asn.0.to_string()).collect::<Vec<_>>().join(", ")
}

fn fresh(baseline: &Baseline) -> String {
    let mut text =
        "# What was seen when `ribwatch baseline` ran. Rules may be edited; --merge keeps them.\n".to_owned();
    baseline.asns.iter().for_each(|(asn, upstreams)| write_asn(&mut text, *asn, upstreams));
    baseline.prefixes.iter().for_each(|(prefix, seen)| write_prefix(&mut text, *prefix, seen));
    text
}

// Writing to a string does not fail.
fn write_asn(text: &mut String, asn: Asn, upstreams: &BTreeSet<Asn>) {
    let _ = write!(text, "\n[[watch.asn]]\nasn = {}\n", asn.0);
    if !upstreams.is_empty() {
        let _ = writeln!(text, "upstreams = [{}]", numbers(upstreams));
    }
}

fn write_prefix(text: &mut String, prefix: Prefix, seen: &Seen) {
    let _ = write!(text, "\n[[watch.prefix]]\nprefix = \"{prefix}\"\norigins = [{}]\n", numbers(&seen.origins));
    // An origin of several is no upstream of the others, but the rule has one list for all.
    let upstreams = &seen.upstreams - &seen.origins;
    if !upstreams.is_empty() {
        let _ = writeln!(text, "upstreams = [{}]", numbers(&upstreams));
    }
}

/// A file with rules from an earlier run or by hand.
struct Old {
    text: String,
    /// Prefixes with their origins and where the heading of the rule begins.
    prefixes: BTreeMap<Prefix, (BTreeSet<Asn>, usize)>,
    asns: BTreeSet<Asn>,
}

fn read_old(path: &Path) -> Result<Old, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut old = Old { text: String::new(), prefixes: BTreeMap::new(), asns: BTreeSet::new() };
    let root = DeTable::parse(&text).map_err(|error| wrong(format!("not TOML: {error}")))?;
    for (at, rule) in rules(root.get_ref(), "prefix") {
        let prefix = rule.get("prefix").and_then(|prefix| prefix.get_ref().as_str()?.parse().ok());
        let prefix = prefix.ok_or_else(|| wrong("a [[watch.prefix]] has no `prefix` that can be read".into()))?;
        let origins =
            rule.get("origins").and_then(|list| list.get_ref().as_array()).into_iter().flat_map(|list| list.iter());
        old.prefixes.insert(prefix, (origins.filter_map(|origin| asn(origin.get_ref())).collect(), at));
    }
    for (_, rule) in rules(root.get_ref(), "asn") {
        old.asns.extend(rule.get("asn").and_then(|number| asn(number.get_ref())));
    }
    drop(root);
    Ok(Old { text, ..old })
}

/// The tables `[[watch.KIND]]` and where each begins.
fn rules<'a>(root: &'a DeTable<'a>, kind: &str) -> Vec<(usize, &'a DeTable<'a>)> {
    let list = root.get("watch").and_then(|watch| watch.get_ref().as_table()?.get(kind)?.get_ref().as_array());
    let table = |item: &'a toml::Spanned<DeValue<'a>>| Some((item.span().start, item.get_ref().as_table()?));
    list.into_iter().flat_map(|list| list.iter()).filter_map(table).collect()
}

fn asn(value: &DeValue<'_>) -> Option<Asn> {
    match value {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok().map(Asn),
        _ => None,
    }
}

impl Old {
    /// The text with what is new at its end and marks at what has vanished; and how many prefixes are new.
    fn merged(&self, baseline: &Baseline, asns: &BTreeSet<Asn>) -> (String, usize) {
        let vanished = |(prefix, (origins, at)): (&Prefix, &(BTreeSet<Asn>, usize))| {
            (!baseline.prefixes.contains_key(prefix) && !origins.is_disjoint(asns)).then_some(*at)
        };
        let vanished: BTreeSet<usize> = self.prefixes.iter().filter_map(vanished).collect();
        let (mut text, mut begin) = (String::new(), 0);
        for line in self.text.split_inclusive('\n') {
            let end = begin + line.len();
            if vanished.range(begin..end).next().is_some() {
                text.push_str(VANISHED);
                text.push('\n');
            }
            // Marks of an earlier run are set anew.
            if line.trim_end() != VANISHED {
                text.push_str(line);
            }
            begin = end;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for (asn, upstreams) in baseline.asns.iter().filter(|(asn, _)| !self.asns.contains(asn)) {
            write_asn(&mut text, *asn, upstreams);
        }
        let new: Vec<_> = baseline.prefixes.iter().filter(|(prefix, _)| !self.prefixes.contains_key(prefix)).collect();
        new.iter().for_each(|(prefix, seen)| write_prefix(&mut text, **prefix, seen));
        (text, new.len())
    }
}

/// Replaces `path` as a whole: whoever reads it meanwhile sees the old text or the new one.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| {
        // It may not be there.
        let _ = fs::remove_file(&beside);
        Failure::No(format!("{} cannot be written: {error}", path.display()))
    })
}
