//! Validated payloads as JSON, as Routinator, rpki-client, OctoRPKI and Cloudflare's rpki.json export them: an object
//! with `roas` and perhaps `aspas`, or the bare list of ROAs. AS numbers may be numbers or texts such as "AS64496".

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Aspa, PayloadSet, Vrp, expiry::Expiries};
use crate::types::{Asn, Prefix};

/// ROAs per trust anchor, by its name.
pub type Anchors = BTreeMap<String, u64>;

/// All that an export says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Export {
    /// Its payloads.
    pub set: PayloadSet,
    /// ROAs of each trust anchor, where it names them (`ta`).
    pub anchors: Anchors,
    /// Until when ROAs hold, where it says so (`expires`, a number of seconds; anything else there is passed over).
    pub expiries: Expiries,
}

/// Reads the payloads of an export.
///
/// # Errors
/// Which record is wrong, and what it must be. Nothing of a faulty export is used.
pub fn parse(text: &str) -> Result<PayloadSet, String> {
    parse_export(text).map(|export| export.set)
}

/// Reads a whole export.
///
/// # Errors
/// As `parse`.
pub fn parse_export(text: &str) -> Result<Export, String> {
    let root: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let (roas, aspas) = match &root {
        Value::Array(roas) => (roas.as_slice(), [].as_slice()),
        Value::Object(_) if root.get("roas").is_some() => (list(&root, "roas")?, aspas_of(&root)?),
        _ => return Err("neither a list of ROAs nor an object with `roas`".to_owned()),
    };
    let (mut set, mut anchors, mut expiries) = (PayloadSet::default(), Anchors::new(), Vec::new());
    for (at, roa) in roas.iter().enumerate() {
        let vrp = read_roa(roa).map_err(|why| format!("roas[{at}]: {why}"))?;
        set.vrps.push(vrp);
        expiries.extend(roa.get("expires").and_then(Value::as_u64).map(|until| (vrp, until)));
        if let Some(anchor) = roa.get("ta").and_then(Value::as_str) {
            match anchors.get_mut(anchor) {
                Some(count) => *count += 1,
                None => _ = anchors.insert(anchor.to_owned(), 1),
            }
        }
    }
    for (at, aspa) in aspas.iter().enumerate() {
        set.aspas.push(read_aspa(aspa).map_err(|why| format!("aspas[{at}]: {why}"))?);
    }
    Ok(Export { set, anchors, expiries: Expiries::new(expiries) })
}

/// `aspas` as it is today; the earlier form with providers per address family (`provider_authorizations`) is read
/// over, since the draft that it came from is gone.
fn aspas_of(root: &Value) -> Result<&[Value], String> {
    list(root, "aspas")
}

fn read_roa(roa: &Value) -> Result<Vrp, String> {
    let prefix = prefix_of(field(roa, "prefix")?)?;
    let asn = asn_of(field(roa, "asn")?)?;
    let max_len = match roa.get("maxLength") {
        None | Some(Value::Null) => prefix.len(),
        Some(value) => length_of(value)?,
    };
    Vrp::new(prefix, max_len, asn)
}

fn read_aspa(aspa: &Value) -> Result<Aspa, String> {
    let customer = aspa.get("customer").or_else(|| aspa.get("customer_asid"));
    let customer = asn_of(customer.ok_or("`customer` is missing")?)?;
    Ok(Aspa::new(customer, read_providers(field(aspa, "providers")?)?))
}

/// A list of AS numbers.
pub(super) fn read_providers(value: &Value) -> Result<Vec<Asn>, String> {
    let providers = value.as_array().ok_or("the providers must be a list of AS numbers")?;
    providers.iter().map(asn_of).collect()
}

/// The list under a key; an absent one is empty.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("`{key}` must be a list, found {other}")),
    }
}

/// The value under a key.
pub(super) fn field<'a>(value: &'a Value, key: &str) -> Result<&'a Value, String> {
    value.get(key).ok_or_else(|| format!("`{key}` is missing"))
}

/// A prefix in a string; an address alone is one of full length.
pub(super) fn prefix_of(value: &Value) -> Result<Prefix, String> {
    let text = value.as_str().ok_or_else(|| format!("a prefix must be a text, found {value}"))?;
    // Some exports write a host route without its length.
    if let Ok(address) = text.parse() {
        return Ok(Prefix::host(address));
    }
    text.parse().map_err(|error: crate::types::PrefixError| error.to_string())
}

/// An AS number as a number, or as a text with or without "AS".
pub(super) fn asn_of(value: &Value) -> Result<Asn, String> {
    let number = match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => {
            let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
            digits.parse().ok()
        }
        _ => None,
    };
    number.map(Asn).ok_or_else(|| format!("{value} is not an AS number: write 64496 or \"AS64496\""))
}

/// A prefix length; whether it fits its prefix is for `Vrp::new` to say.
pub(super) fn length_of(value: &Value) -> Result<u8, String> {
    let length = value.as_u64().and_then(|length| u8::try_from(length).ok()).filter(|length| *length <= 128);
    length.ok_or_else(|| format!("{value} is not a prefix length"))
}
