//! `[watch]` and `[detect]`: what the operator declares to be normal, and the settings of detectors.
//!
//! `rules` reads what may stand in `[watch]` and in files that it includes, `include` those files, `bgpalerter` files of
//! rules that another tool reads, `detect` the settings of each detector.

mod bgpalerter;
mod detect;
mod include;
mod rules;

use std::path::Path;

use super::{
    read::{Misfit, Table, Value},
    value,
};
use crate::{detect::Settings, types::Asn};

/// What both sections say.
pub(super) struct Read {
    /// Settings of detection.
    pub(super) settings: Settings,
    /// What was left out of files that are used all the same, one sentence each.
    pub(super) notes: Vec<String>,
}

/// Reads both sections. Relative paths are looked for in `base`.
pub(super) fn read(file: &mut Table<'_>, base: &Path, own_asn: Asn) -> Read {
    let mut read = Read { settings: Settings::new(own_asn), notes: Vec::new() };
    if let Some(mut watch) = file.table("watch", "[watch]") {
        let mut rules = rules::Rules::default();
        rules.read(&mut watch, "this file");
        include::read(&mut watch, base, &mut rules);
        // Last: what is written for us comes first.
        bgpalerter::read(&mut watch, base, &mut rules, &mut read.notes);
        rules.hand_over(&mut read.settings);
        watch.finish();
    }
    if let Some(table) = file.table("detect", "[detect]") {
        detect::read(table, base, &mut read.settings, &mut read.notes);
    }
    read
}

fn asns(v: &Value<'_>) -> Result<Vec<Asn>, Misfit> {
    value::list(v, "[64496, 64497]", value::asn)
}
