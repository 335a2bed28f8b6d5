//! Routes of MRT files: those that were announced, tables and updates alike. What RPKI says of them is worked out here,
//! from the files that the configuration names.

use std::path::{Path, PathBuf};

use super::{
    People,
    judge::{Asked, Judge, States},
};
use crate::{
    cli::{client::Failure, output::plural},
    engine::Validator,
    io::{
        mrt,
        rpki::{RpkiSettings, offline},
    },
    policy::{Direction, NeighborFacts},
    rib::SetFacts,
    wire::{
        bgp::{batch::ItemKind, nlri},
        mrt::{Event, Interpreter, RecordFault, Routes},
    },
};

/// Judges the routes of `files`. `target`: on import they count as sent by this neighbour, else by the peer that the file
/// names. What is damaged in the files, in one sentence.
///
/// # Errors
/// A file cannot be opened, or one with RPKI data cannot be read while a policy asks for them.
pub(super) fn judge(
    judge: &mut Judge,
    files: &[PathBuf],
    people: &People<'_>,
    rpki: &RpkiSettings,
    target: Option<&NeighborFacts>,
) -> Result<Option<String>, Failure> {
    let mut validator = Validator::default();
    if judge.asks_validation() {
        match offline::read(rpki).map_err(Failure::Usage)? {
            Some(known) => {
                let (v4, v6) = known.snapshot.vrps.counts();
                let (vrps, aspas) = ((v4 + v6) as u64, known.snapshot.aspas.len() as u64);
                judge.states_from(States::Files { vrps, aspas, unasked: known.unasked });
                validator = Validator::new(known.snapshot);
            }
            None => judge.states_from(States::Unknown),
        }
    }
    let sender = target.filter(|_| judge.direction() == Direction::Import);
    let mut damage = None;
    for file in files {
        let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        let (mut reader, _) = mrt::open(file).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let mut interpreter = Interpreter::new();
        let mut peer: Option<NeighborFacts> = None;
        let mut faults = 0;
        while let Some(next) = reader.next_record() {
            let Ok(record) = next else {
                faults += 1;
                continue;
            };
            let told = interpreter.interpret(&record, |event| {
                let (Event::Table(routes) | Event::Update(routes)) = event else { return };
                if peer.as_ref().is_none_or(|peer| peer.address != routes.peer_address || peer.asn != routes.peer_asn) {
                    peer = Some(people.at(routes.peer_address, routes.peer_asn));
                }
                announced(judge, &mut validator, people, &routes, sender.or(peer.as_ref()));
            });
            // BGP that is in error was recorded faithfully: that is no damage.
            faults += u64::from(told.is_err_and(|fault| !matches!(fault, RecordFault::Bgp(_))));
        }
        if faults > 0 {
            damage = Some(format!("{name} is damaged in {}; what could be read was judged", plural(faults, "place")));
        }
    }
    Ok(damage)
}

fn announced(
    judge: &mut Judge,
    validator: &mut Validator,
    people: &People<'_>,
    routes: &Routes<'_>,
    from: Option<&NeighborFacts>,
) {
    let item = &routes.item;
    if item.kind != ItemKind::Announce {
        return;
    }
    if judge.asks_validation() {
        validator.begin(&people.sender(from), item.family, item.attrs, &SetFacts::of(item.attrs));
    }
    let mut asked = |prefix| {
        let validity = validator.of(prefix, None);
        Asked { family: item.family, prefix, set: item.attrs, from, validity, accepted_now: None }
    };
    for (_, prefix) in item.prefixes() {
        judge.judge(&asked(Some(prefix)), || prefix.to_string());
    }
    for (_, key, _) in item.opaque() {
        judge.judge(&asked(None), || nlri::display(item.family, key));
    }
}
