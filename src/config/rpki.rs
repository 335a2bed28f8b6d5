//! `[rpki]` and `[[rpki.cache]]`: where validated payloads come from.

use std::{path::PathBuf, time::Duration};

use super::{neighbor::read_password, read::Table, value};
use crate::{
    io::rpki::{Place, RpkiSettings, SourceSettings},
    validation::SOURCES_MAX,
};

/// Reads the section; empty when it is absent.
pub(super) fn read(file: &mut Table<'_>) -> RpkiSettings {
    let mut settings = RpkiSettings::default();
    let Some(mut rpki) = file.table("rpki", "[rpki]") else { return settings };
    settings.slurm = rpki.opt("slurm", value::text).map(PathBuf::from);
    for table in rpki.tables("cache", "[[rpki.cache]]") {
        read_source(table, &mut settings.sources);
    }
    // One place is for local exceptions.
    if settings.sources.len() >= SOURCES_MAX {
        let what = format!("{} sources of RPKI data are more than can be told apart", settings.sources.len());
        rpki.fault(rpki.span(), what, format!("accepted: at most {}", SOURCES_MAX - 1));
    }
    rpki.finish();
    settings
}

fn read_source(mut table: Table<'_>, sources: &mut Vec<SourceSettings>) {
    let name = table.opt("name", value::label);
    let address = table.opt("address", value::host_and_port);
    let file = table.opt("file", value::text);
    let password = read_password(&mut table);
    let preference = table.or("preference", 1, |v| value::integer(v, 0..=65535).map(|number| number as u16));
    let seconds =
        |v: &super::read::Value<'_>| value::duration(v, Duration::from_secs(1)..=Duration::from_secs(172_800));
    let refresh = table.opt("refresh", seconds);
    let expire = table.opt("expire", seconds);
    let place = match (address, file, table.has("address"), table.has("file")) {
        (_, _, true, true) => {
            let what = "`file` contradicts `address`: a source is a cache or a file";
            table.fault(table.span_of("file"), what, "remove one of them");
            None
        }
        (_, _, false, false) => {
            let help = "add a line such as: address = \"127.0.0.1:3323\", or file = \"/var/lib/rpki-client/json\"";
            table.fault(table.span(), "[[rpki.cache]] lacks `address` or `file`", help);
            None
        }
        (Some(address), ..) => Some(Place::Rtr { address, password: password.clone() }),
        (_, Some(file), ..) => Some(Place::File(file.into())),
        (None, None, ..) => None, // faulty, and noted
    };
    if matches!(place, Some(Place::File(_))) && password.is_some() {
        let key = if table.has("password") { "password" } else { "password_file" };
        table.fault(table.span_of(key), format!("`{key}` is for an `address`, not for a `file`"), "remove it");
    }
    if let Some(place) = place {
        let text = match &place {
            Place::Rtr { address, .. } => address.clone(),
            Place::File(path) => path.display().to_string(),
        };
        let name = name.unwrap_or_else(|| text.clone());
        let same_place = |other: &SourceSettings| match (&other.place, &place) {
            (Place::Rtr { address: a, .. }, Place::Rtr { address: b, .. }) => a == b,
            (Place::File(a), Place::File(b)) => a == b,
            _ => false,
        };
        if sources.iter().any(same_place) {
            let key = if table.has("address") { "address" } else { "file" };
            table.fault(
                table.span_of(key),
                format!("a second [[rpki.cache]] has the {key} {text}"),
                "keep one of them",
            );
        } else if sources.iter().any(|other| other.name == name) {
            let what = format!("a second [[rpki.cache]] has the name {name:?}");
            table.fault(table.span_of("name"), what, "give each source a name of its own");
        }
        sources.push(SourceSettings { name, place, preference, refresh, expire });
    }
    table.finish();
}
