//! How two versions of `[rpki]` differ, in words.

use crate::io::rpki::{RpkiSettings, SourceSettings};

/// What differs, one item for each source and one for local exceptions; empty: nothing that a running daemon can take.
pub(super) fn compare(old: &RpkiSettings, new: &RpkiSettings) -> Vec<String> {
    // Taken apart without `..`, so that a new key cannot be forgotten here.
    let RpkiSettings { sources, slurm, hold_import: _ } = old; // `hold_import` is for starts
    let mut differences = Vec::new();
    // As a running daemon finds them again: by their place, or else by their name.
    let counterpart = |source: &SourceSettings, among: &[SourceSettings]| {
        let by_place = among.iter().find(|other| other.place.is_same(&source.place));
        by_place.or_else(|| among.iter().find(|other| other.name == source.name)).cloned()
    };
    for source in sources.iter().filter(|source| counterpart(source, &new.sources).is_none()) {
        differences.push(format!("{} removed, what it said is dropped", source.name));
    }
    for source in &new.sources {
        match counterpart(source, sources) {
            None => differences.push(format!("{} added", source.name)),
            Some(before) => differences.extend(keys(&before, source)),
        }
    }
    if *slurm != new.slurm {
        differences.push("slurm".to_owned());
    }
    differences
}

fn keys(old: &SourceSettings, new: &SourceSettings) -> Option<String> {
    let SourceSettings { name, place, preference, refresh, expire } = old;
    let keys = [
        ("name", *name != new.name),
        ("how it is reached, so it is connected to anew", *place != new.place),
        ("preference", *preference != new.preference),
        ("refresh", *refresh != new.refresh),
        ("expire", *expire != new.expire),
    ];
    let keys: Vec<&str> = keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
    (!keys.is_empty()).then(|| format!("{}: {}", new.name, keys.join(", ")))
}
