//! The summary of `ribwatch mrt --count`: what the lines of the text layout would add up to, without printing them.

use std::{collections::BTreeMap, io::Write, net::IpAddr, path::Path};

use rustc_hash::FxHashSet;
use serde::Serialize;

use crate::{
    types::{Asn, Prefix, Timestamp},
    wire::{
        bgp::{as_path::AsPath, batch::ItemKind},
        mrt::{Event, Header, Routes},
    },
};

/// Counts of one file.
#[derive(Debug, Default)]
pub(super) struct Counts {
    records: u64,
    types: BTreeMap<(u16, u16), u64>,
    rib_entries: u64,
    announcements: u64,
    withdrawals: u64,
    state_changes: u64,
    other_routes: u64,
    prefixes: FxHashSet<Prefix>,
    peers: FxHashSet<(IpAddr, Asn)>,
    origins: Origins,
    times: Option<(Timestamp, Timestamp)>,
}

/// The last elements of AS paths: an AS number, or a whole set. The empty path counts as one of its own.
#[derive(Debug, Default)]
struct Origins {
    asns: FxHashSet<Asn>,
    sets: FxHashSet<Vec<Asn>>,
    own: bool,
}

impl Origins {
    fn insert(&mut self, path: AsPath<'_>) {
        match path.segments().last() {
            None => self.own = true,
            Some(segment) if segment.kind.is_set() => {
                let set: Vec<Asn> = segment.asns().collect();
                if !self.sets.contains(&set) {
                    self.sets.insert(set);
                }
            }
            Some(segment) => self.asns.extend(segment.asns().next_back()),
        }
    }

    fn len(&self) -> usize {
        self.asns.len() + self.sets.len() + usize::from(self.own)
    }
}

/// The summary as printed (CONTRACT.md), and beside it the records by type and what has no line in the text layout.
#[derive(Serialize)]
struct Summary<'a> {
    file: &'a str,
    records: u64,
    rib_entries: u64,
    announcements: u64,
    withdrawals: u64,
    state_changes: u64,
    prefixes: usize,
    origins: usize,
    peers: usize,
    errors: u64,
    first: Option<String>,
    last: Option<String>,
    other_routes: u64,
    types: BTreeMap<String, u64>,
}

impl Counts {
    /// Records so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Counts a record of whatever type.
    pub(super) fn record(&mut self, header: &Header) {
        self.records += 1;
        *self.types.entry((header.kind, header.subtype)).or_default() += 1;
    }

    /// Counts what a record told.
    pub(super) fn event(&mut self, header: &Header, event: &Event<'_>) {
        let lines = match event {
            Event::StateChange(_) => {
                self.state_changes += 1;
                1
            }
            Event::Table(routes) => {
                let routes = self.reachable(routes);
                self.rib_entries += routes;
                routes
            }
            Event::Update(routes) => match routes.item.kind {
                ItemKind::EndOfRib => 0,
                ItemKind::Announce => {
                    let routes = self.reachable(routes);
                    self.announcements += routes;
                    routes
                }
                ItemKind::Withdraw => {
                    let plain = routes.item.prefixes().count() as u64;
                    self.withdrawals += plain;
                    self.other_routes += routes.item.routes() as u64 - plain;
                    plain
                }
            },
        };
        if lines > 0 {
            let (first, last) = self.times.unwrap_or((header.time, header.time));
            self.times = Some((first.min(header.time), last.max(header.time)));
        }
    }

    /// Notes routes that can be reached; gives the number of those with a line.
    fn reachable(&mut self, routes: &Routes<'_>) -> u64 {
        if !routes.item.family.is_plain_prefix() {
            self.other_routes += routes.item.routes() as u64;
            return 0;
        }
        let mut lines = 0;
        for (_, prefix) in routes.item.prefixes() {
            self.prefixes.insert(prefix);
            lines += 1;
        }
        if lines > 0 {
            self.peers.insert((routes.peer_address, routes.peer_asn));
            self.origins.insert(routes.item.attrs.as_path());
        }
        lines
    }

    /// Appends the summary: a JSON object on one line, or a line per count.
    pub(super) fn print(&self, file: &Path, errors: u64, json: bool, out: &mut Vec<u8>) {
        let file = file.display().to_string();
        let summary = self.summary(&file, errors);
        if json {
            if serde_json::to_writer(&mut *out, &summary).is_ok() {
                out.push(b'\n');
            }
        } else {
            push_text(&summary, out);
        }
    }

    fn summary<'a>(&self, file: &'a str, errors: u64) -> Summary<'a> {
        let name = |kind: u16, subtype: u16| {
            let header = Header { time: Timestamp::default(), kind, subtype };
            match header.kind_name() {
                Some(name) => format!("{name}/{subtype}"),
                None => format!("{kind}/{subtype}"),
            }
        };
        let (first, last) = self.times.unzip();
        Summary {
            file,
            records: self.records,
            rib_entries: self.rib_entries,
            announcements: self.announcements,
            withdrawals: self.withdrawals,
            state_changes: self.state_changes,
            prefixes: self.prefixes.len(),
            origins: self.origins.len(),
            peers: self.peers.len(),
            errors,
            first: first.map(|time| time.to_string()),
            last: last.map(|time| time.to_string()),
            other_routes: self.other_routes,
            types: self.types.iter().map(|((kind, subtype), count)| (name(*kind, *subtype), *count)).collect(),
        }
    }
}

fn push_text(summary: &Summary<'_>, out: &mut Vec<u8>) {
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(out, "{name:<14} {value}");
    };
    line("file", &summary.file);
    line("records", &summary.records);
    for (name, count) in &summary.types {
        line(&format!("  {name}"), count);
    }
    line("rib_entries", &summary.rib_entries);
    line("announcements", &summary.announcements);
    line("withdrawals", &summary.withdrawals);
    line("state_changes", &summary.state_changes);
    line("prefixes", &summary.prefixes);
    line("origins", &summary.origins);
    line("peers", &summary.peers);
    line("errors", &summary.errors);
    line("first", &summary.first.as_deref().unwrap_or("-"));
    line("last", &summary.last.as_deref().unwrap_or("-"));
    if summary.other_routes > 0 {
        line("other_routes", &summary.other_routes);
    }
    out.push(b'\n');
}
