//! One answer of a cache, collected before any of it is believed, and the tables after it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    types::Asn,
    validation::{Aspa, Snapshot, SourceSet, Vrp, aspa::AspaTable, rov::VrpTable},
    wire::rtr::{Fault, Pdu, code},
};

/// What an answer said so far.
#[derive(Default)]
pub(super) struct Update {
    /// To a Reset Query: all there is, and not what changed.
    reset: bool,
    vrps: Vec<(bool, Vrp)>,
    aspas: Vec<(bool, Aspa)>,
}

/// Why an answer cannot be taken.
pub(super) struct Refused {
    pub(super) fault: Fault,
    /// The fault is in what is said of ASPAs, and without them all would be well.
    pub(super) of_aspas: bool,
}

impl Update {
    pub(super) fn new(reset: bool) -> Self {
        Self { reset, ..Self::default() }
    }

    /// How many records there were.
    pub(super) fn records(&self) -> usize {
        self.vrps.len() + self.aspas.len()
    }

    /// Takes what is a record; gives back what is none.
    ///
    /// # Errors
    /// The record cannot be.
    pub(super) fn push(&mut self, pdu: Pdu) -> Result<Option<Pdu>, Refused> {
        match pdu {
            Pdu::Prefix { announce, prefix, max_len, asn } => {
                let vrp = Vrp::new(prefix, max_len, asn).map_err(|what| vrp_fault(code::CORRUPT_DATA, what))?;
                if self.reset && !announce {
                    return Err(vrp_fault(
                        code::CORRUPT_DATA,
                        format!("{vrp} is withdrawn where all there is was asked for"),
                    ));
                }
                self.vrps.push((announce, vrp));
            }
            Pdu::Aspa { announce, customer, providers } => {
                self.aspas.push((announce, Aspa::new(customer, providers)));
            }
            // Signatures of paths are not validated here.
            Pdu::RouterKey => {}
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// The data after the answer; `held` are those that it changes.
    ///
    /// # Errors
    /// The answer contradicts itself or what is held (RFC 8210 §12, codes 6 and 7), or what it changes is not there.
    pub(super) fn apply(self, held: Option<&Arc<Snapshot>>, source: SourceSet) -> Result<Arc<Snapshot>, Refused> {
        let nothing = Arc::default();
        let held = match held {
            _ if self.reset => &nothing,
            Some(held) if self.records() == 0 => return Ok(Arc::clone(held)),
            Some(held) => held,
            // They expired meanwhile: a change of them alone would be half a table.
            None => {
                let what = "what it changes has expired, so everything is asked for anew".to_owned();
                return Err(vrp_fault(code::CORRUPT_DATA, what));
            }
        };
        let vrps = if self.reset { all_vrps(self.vrps, source) } else { changed_vrps(&held.vrps, self.vrps, source) }?;
        let aspas = changed_aspas(&held.aspas, self.aspas, source)?;
        Ok(Arc::new(Snapshot { vrps, aspas, loaded: true }))
    }
}

fn vrp_fault(code: u16, what: String) -> Refused {
    Refused { fault: Fault { code, what }, of_aspas: false }
}

fn twice(vrp: &Vrp) -> Refused {
    vrp_fault(code::DUPLICATE_ANNOUNCEMENT, format!("{vrp} is announced twice"))
}

/// The table when all there is was told.
fn all_vrps(mut update: Vec<(bool, Vrp)>, source: SourceSet) -> Result<VrpTable, Refused> {
    update.sort_unstable();
    match update.array_windows().find(|[(_, one), (_, next)]| one == next) {
        Some([(_, vrp), _]) => Err(twice(vrp)),
        None => Ok(VrpTable::new(update.into_iter().map(|(_, vrp)| (vrp, source)).collect())),
    }
}

/// The table after changes.
fn changed_vrps(held: &VrpTable, update: Vec<(bool, Vrp)>, source: SourceSet) -> Result<VrpTable, Refused> {
    let mut after: HashMap<Vrp, bool> = HashMap::with_capacity(update.len());
    for (announce, vrp) in update {
        let present = after.get(&vrp).copied().unwrap_or_else(|| held.contains(&vrp));
        match (announce, present) {
            (true, true) => return Err(twice(&vrp)),
            (false, false) => {
                return Err(vrp_fault(code::WITHDRAWAL_OF_UNKNOWN, format!("{vrp} is withdrawn and was not there")));
            }
            _ => after.insert(vrp, announce),
        };
    }
    let kept = held.iter().map(|(vrp, _)| vrp).filter(|vrp| !after.contains_key(vrp));
    let added = after.iter().filter(|(_, there)| **there).map(|(vrp, _)| *vrp);
    Ok(VrpTable::new(kept.chain(added).map(|vrp| (vrp, source)).collect()))
}

/// The attestations after an update: one of a customer that is there already replaces it (8210bis §5.12).
fn changed_aspas(held: &AspaTable, update: Vec<(bool, Aspa)>, source: SourceSet) -> Result<AspaTable, Refused> {
    let mut after: BTreeMap<Asn, Aspa> = held.iter().map(|aspa| (aspa.customer, aspa)).collect();
    for (announce, aspa) in update {
        if announce {
            after.insert(aspa.customer, aspa);
        } else if after.remove(&aspa.customer).is_none() {
            let what = format!("the ASPA of AS{} is withdrawn and was not there", aspa.customer.0);
            return Err(Refused { fault: Fault { code: code::WITHDRAWAL_OF_UNKNOWN, what }, of_aspas: true });
        }
    }
    Ok(AspaTable::new(after.into_values().map(|aspa| (aspa, source))))
}
