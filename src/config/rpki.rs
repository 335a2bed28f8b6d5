//! `[rpki]` and `[[rpki.cache]]`: where validated payloads come from.

use std::{path::Path, time::Duration};

use super::{neighbor::read_password, read::Table, value};
use crate::{
    io::rpki::{Identity, Place, RpkiSettings, SourceSettings, Tls},
    validation::SOURCES_MAX,
};

/// Reads the section; empty when it is absent. Relative paths are looked for in `base`.
pub(super) fn read(file: &mut Table<'_>, base: &Path) -> RpkiSettings {
    let mut settings = RpkiSettings::default();
    let Some(mut rpki) = file.table("rpki", "[rpki]") else { return settings };
    settings.slurm = rpki.opt("slurm", value::text).map(|path| base.join(path));
    settings.hold_import =
        rpki.opt("hold_import", |v| value::duration(v, Duration::from_secs(1)..=Duration::from_secs(3600)));
    for table in rpki.tables("cache", "[[rpki.cache]]") {
        read_source(table, base, &mut settings.sources);
    }
    // One place is for local exceptions.
    if settings.sources.len() >= SOURCES_MAX {
        let what = format!("{} sources of RPKI data are more than can be told apart", settings.sources.len());
        rpki.fault(rpki.span(), what, format!("accepted: at most {}", SOURCES_MAX - 1));
    }
    if settings.hold_import.is_some() && settings.sources.is_empty() && !rpki.has("cache") {
        let help = "add [[rpki.cache]] with an address or a file, or remove it";
        rpki.fault(rpki.span_of("hold_import"), "`hold_import` waits for sources, and there are none", help);
    }
    rpki.finish();
    settings
}

fn read_source(mut table: Table<'_>, base: &Path, sources: &mut Vec<SourceSettings>) {
    let name = table.opt("name", value::label);
    let address = table.opt("address", value::host_and_port);
    let file = table.opt("file", value::text);
    let password = read_password(&mut table);
    let tls = read_tls(&mut table, base);
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
        (Some(address), ..) => Some(Place::Rtr { address, password: password.clone(), tls }),
        (_, Some(file), ..) => Some(Place::File(base.join(file))),
        (None, None, ..) => None, // faulty, and noted
    };
    if matches!(place, Some(Place::File(_))) {
        for key in ["password", "password_file", "tls"].into_iter().filter(|key| table.has(key)) {
            table.fault(table.span_of(key), format!("`{key}` is for an `address`, not for a `file`"), "remove it");
        }
    }
    if let Some(place) = place {
        let text = place.to_string();
        let name = name.unwrap_or_else(|| text.clone());
        if sources.iter().any(|other| other.place.is_same(&place)) {
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

/// `tls` and what belongs to it; `None`: plain TCP, or a fault that is noted.
fn read_tls(table: &mut Table<'_>, base: &Path) -> Option<Tls> {
    let on = table.or("tls", false, value::boolean);
    let mut file = |key| table.opt(key, value::text).map(|path| base.join(path));
    let (ca_file, cert_file, key_file) = (file("ca_file"), file("cert_file"), file("key_file"));
    let server_name = table.opt("server_name", value::text);
    if !on {
        for key in ["ca_file", "cert_file", "key_file", "server_name"].into_iter().filter(|key| table.has(key)) {
            table.fault(
                table.span_of(key),
                format!("`{key}` is for TLS, which is off"),
                "add tls = true, or remove it",
            );
        }
        return None;
    }
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if table.has(one) && !table.has(other) {
            table.fault(
                table.span_of(one),
                format!("`{one}` needs `{other}`"),
                format!("add {other}, or remove {one}"),
            );
        }
    }
    let Some(ca_file) = ca_file else {
        if !table.has("ca_file") {
            let help = "add ca_file with the certificate of its authority, or with its own if it signed itself";
            table.fault(table.span_of("tls"), "TLS needs to know who may vouch for the cache", help);
        }
        return None;
    };
    let identity = cert_file.zip(key_file).map(|(cert_file, key_file)| Identity { cert_file, key_file });
    let tls = Tls { ca_file, identity, server_name };
    if let Err(fault) = tls.check() {
        table.fault(table.span_of(fault.key), fault.what, "accepted: PEM files that this user may read");
        return None;
    }
    Some(tls)
}
