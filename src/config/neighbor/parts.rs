//! Values of `[[neighbor]]` that are more than one key or more than one form: whom it is about, its AS, its password,
//! its distance, its limits, its AS numbers towards us.

use std::{path::Path, time::Duration};

use toml::de::DeValue;

use super::super::{
    read::{Misfit, Table, Value},
    sections::HOLD_TIME_MAX,
    value,
};
use crate::{
    engine::{AddPathSelect, LocalAs, MaxPrefix},
    io::{
        bgp::{Distance, Password, Remote},
        sockopt::MD5_KEY_LEN_MAX,
    },
    session::RemoteAsn,
    types::Family,
    wire::bgp::update::CodeSet,
};

pub(super) fn read_remote(table: &mut Table<'_>) -> Option<Remote> {
    let address = table.opt("address", value::host_address);
    let range = table.opt("range", value::prefix);
    match (table.has("address"), table.has("range")) {
        (false, false) => {
            let help =
                "add a line such as: address = \"192.0.2.1\", or for any speaker in it: range = \"192.0.2.0/24\"";
            table.fault(table.span(), "[[neighbor]] lacks `address` or `range`", help);
            None
        }
        (true, true) => {
            let what = "`range` contradicts `address`: a [[neighbor]] is about one speaker or about a range";
            table.fault(table.span_of("range"), what, "remove one of them");
            None
        }
        _ => address.map(Remote::Address).or(range.map(Remote::Range)),
    }
}

pub(super) fn read_remote_asn(value: &Value<'_>) -> Result<RemoteAsn, Misfit> {
    match value.get_ref() {
        DeValue::String(text) if text == "any" => Ok(RemoteAsn::Any),
        DeValue::Array(_) => Ok(RemoteAsn::OneOf(value::some_of(value, "[64496, 64497]", value::asn)?)),
        DeValue::Integer(_) => value::asn(value).map(RemoteAsn::Exact),
        _ => {
            let accepted = "an AS number from 1 to 4294967294; for a range also \"any\" or a list of AS numbers";
            Err(value::misfit(value, "an AS number", accepted))
        }
    }
}

/// 0 (no keepalives), or at least 3 seconds, in whole seconds (RFC 4271 §4.2).
pub(super) fn read_hold_time(value: &Value<'_>) -> Result<Duration, Misfit> {
    let accepted = "\"0s\" for no keepalives, or whole seconds from \"3s\" to \"18h12m15s\" (RFC 4271 §4.2)";
    let hold_time = value::duration(value, Duration::ZERO..=HOLD_TIME_MAX)?;
    let secs = hold_time.as_secs();
    if hold_time.subsec_nanos() != 0 || secs == 1 || secs == 2 {
        return Err(value::misfit(value, "a hold time", accepted));
    }
    Ok(hold_time)
}

pub(in crate::config) fn read_password(table: &mut Table<'_>) -> Option<Password> {
    let inline = table.opt("password", value::text);
    let file = table.opt("password_file", |v| value::text(v).and_then(|path| password_from(v, Path::new(&path))));
    if table.has("password") && table.has("password_file") {
        table.fault(table.span_of("password_file"), "`password_file` contradicts `password`", "remove one of them");
    }
    let password = inline.or(file)?;
    if password.len() > MD5_KEY_LEN_MAX {
        let key = if table.has("password") { "password" } else { "password_file" };
        let what = format!("the password is {} octets long", password.len());
        table.fault(
            table.span_of(key),
            what,
            format!("accepted: at most {MD5_KEY_LEN_MAX} octets (TCP-MD5, RFC 2385)"),
        );
        return None;
    }
    Some(Password(password))
}

fn password_from(value: &Value<'_>, path: &Path) -> Result<String, Misfit> {
    let refuse = |what: String| Misfit {
        span: value.span(),
        what,
        accepted: "the path of a file whose first line is the password".to_owned(),
    };
    let text =
        std::fs::read_to_string(path).map_err(|why| refuse(format!("{} cannot be read: {why}", path.display())))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(refuse(format!("{} is empty", path.display()))),
    }
}

pub(super) fn read_distance(table: &mut Table<'_>) -> Distance {
    let hops = |v: &Value<'_>, switched_on: u8, range: std::ops::RangeInclusive<u64>| match v.get_ref() {
        DeValue::Boolean(on) => Ok(on.then_some(switched_on)),
        DeValue::Integer(_) => value::integer(v, range).map(|hops| Some(hops as u8)),
        _ => {
            let accepted = format!("true, false, or a number of hops from {} to {}", range.start(), range.end());
            Err(value::misfit(v, "hops", accepted))
        }
    };
    let security = table.opt("ttl_security", |v| hops(v, 1, 1..=254)).flatten();
    let multihop = table.opt("multihop", |v| hops(v, 255, 1..=255)).flatten();
    match (security, multihop) {
        (Some(_), Some(_)) => {
            let what =
                "`multihop` contradicts `ttl_security`, which sends with TTL 255 and says how far away it accepts";
            table.fault(table.span_of("multihop"), what, "remove `multihop` and give the hops: ttl_security = 2");
            Distance::Default
        }
        (Some(hops), None) => Distance::Security(hops),
        (None, Some(hops)) => Distance::Multihop(hops),
        (None, None) => Distance::Default,
    }
}

/// `max_prefix = 1000`, or a table `{ limit, warning, restart }` with further tables per family.
pub(super) fn read_max_prefix(table: &mut Table<'_>) -> Vec<(Option<Family>, MaxPrefix)> {
    const KEY: &str = "max_prefix";
    const HEADING: &str = "[neighbor.max_prefix]";
    let plain = table.has(KEY) && !table.is_table(KEY);
    if plain {
        let limit = table.opt(KEY, |v| {
            value::integer(v, 1..=u64::from(u32::MAX)).map_err(|mut misfit| {
                misfit.accepted.push_str(", or a table { limit = 1000, warning = 80, restart = \"30m\" }");
                misfit
            })
        });
        return limit
            .map(|limit| (None, MaxPrefix { limit, warning_percent: 80, restart_after: None }))
            .into_iter()
            .collect();
    }
    let Some(mut limits) = table.table(KEY, HEADING) else { return Vec::new() };
    let mut list = Vec::new();
    if limits.has("limit") || limits.has("warning") || limits.has("restart") {
        list.extend(read_limit(&mut limits).map(|limit| (None, limit)));
    } else {
        // Known, so that a slip in a family's name is answered with these too.
        ["limit", "warning", "restart"].into_iter().for_each(|key| limits.know(key));
    }
    for (family, mut limit) in limits.family_tables(HEADING) {
        list.extend(read_limit(&mut limit).map(|limit| (Some(family), limit)));
        limit.finish();
    }
    limits.finish();
    list
}

pub(super) fn read_limit(table: &mut Table<'_>) -> Option<MaxPrefix> {
    let limit = table.required("limit", "limit = 1000", |v| value::integer(v, 1..=u64::from(u32::MAX)));
    let warning_percent = table.or("warning", 80, |v| value::integer(v, 1..=100).map(|percent| percent as u8));
    let restart_after =
        table.opt("restart", |v| value::duration(v, Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)));
    Some(MaxPrefix { limit: limit?, warning_percent, restart_after })
}

/// `local_as = 64999`, or a table `{ asn, no_prepend, replace_as }`.
pub(super) fn read_local_as(table: &mut Table<'_>) -> Option<LocalAs> {
    const KEY: &str = "local_as";
    if table.has(KEY) && !table.is_table(KEY) {
        let asn = table.opt(KEY, |v| {
            value::asn(v).map_err(|mut misfit| {
                misfit.accepted.push_str(", or a table { asn = 64999, no_prepend = true, replace_as = true }");
                misfit
            })
        });
        return asn.map(|asn| LocalAs { asn, no_prepend: false, replace_as: false });
    }
    let mut local_as = table.table(KEY, "[neighbor.local_as]")?;
    let asn = local_as.required("asn", "asn = 64999", value::asn);
    let no_prepend = local_as.or("no_prepend", false, value::boolean);
    let replace_as = local_as.or("replace_as", false, value::boolean);
    local_as.finish();
    Some(LocalAs { asn: asn?, no_prepend, replace_as })
}

/// `"all"`, `"per-neighbor-as"`, or a number: the best so many.
pub(super) fn read_add_path_select(value: &Value<'_>) -> Result<AddPathSelect, Misfit> {
    match value.get_ref() {
        DeValue::String(text) if text == "all" => Ok(AddPathSelect::All),
        DeValue::String(text) if text == "per-neighbor-as" => Ok(AddPathSelect::PerNeighborAs),
        DeValue::Integer(_) => value::integer(value, 1..=255).map(|best| AddPathSelect::Best(best as u8)),
        _ => {
            let accepted = "\"all\", \"per-neighbor-as\", or a number from 1 to 255: the best so many";
            Err(value::misfit(value, "a choice of paths", accepted))
        }
    }
}

/// A list of attribute type codes.
pub(super) fn read_codes(value: &Value<'_>) -> Result<CodeSet, Misfit> {
    let codes = value::list(value, "[128, 40]", |v| value::integer(v, 1..=255).map(|code| code as u8))?;
    let mut set = CodeSet::EMPTY;
    for code in codes {
        set.insert(code);
    }
    Ok(set)
}

/// Whole seconds in the range of a 12-bit field (RFC 4724 §3).
pub(super) fn read_restart_time(value: &Value<'_>) -> Result<Duration, Misfit> {
    value::duration(value, Duration::from_secs(1)..=Duration::from_secs(4095))
}

/// Up to the 24 bits of a long-lived stale time (RFC 9494 §3.1); zero: not at all.
pub(super) fn read_long_lived(value: &Value<'_>) -> Result<Duration, Misfit> {
    value::duration(value, Duration::ZERO..=Duration::from_secs((1 << 24) - 1))
}

/// The longest that MinRouteAdvertisementInterval makes sense.
pub(super) fn read_interval(value: &Value<'_>) -> Result<Duration, Misfit> {
    value::duration(value, Duration::ZERO..=Duration::from_secs(600))
}

/// DelayOpenTime (RFC 4271 §8.1.1); zero: none.
pub(super) fn read_delay_open(value: &Value<'_>) -> Result<Duration, Misfit> {
    value::duration(value, Duration::ZERO..=Duration::from_secs(240))
}
