//! Local exceptions to the RPKI (RFC 8416, and version 2 of draft-ietf-sidrops-aspa-slurm-04 with ASPAs): what to
//! filter out of what caches say, then what to add.
//!
//! Router keys (BGPsec) are read over: nothing here validates signatures of paths.

use serde_json::Value;

use super::{
    Aspa, PayloadSet, Vrp,
    json::{asn_of, field, list, prefix_of, read_providers},
};
use crate::types::{Asn, Prefix};

/// Exceptions from one file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slurm {
    /// VRPs to drop.
    pub prefix_filters: Vec<PrefixFilter>,
    /// Customers whose ASPAs are dropped.
    pub aspa_filters: Vec<Asn>,
    /// VRPs to add.
    pub vrps: Vec<Vrp>,
    /// ASPAs to add.
    pub aspas: Vec<Aspa>,
}

/// Drops VRPs (RFC 8416 §3.3.1): those inside the prefix, those of the AS, or those that are both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixFilter {
    /// This prefix and what is inside it; `None`: any.
    pub prefix: Option<Prefix>,
    /// This AS; `None`: any. One of the two is there.
    pub asn: Option<Asn>,
}

impl PrefixFilter {
    /// Whether it drops a VRP.
    pub fn drops(&self, vrp: &Vrp) -> bool {
        self.prefix.is_none_or(|prefix| prefix.covers(&vrp.prefix)) && self.asn.is_none_or(|asn| asn == vrp.asn)
    }
}

impl Slurm {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Which record is wrong, and what it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        match root.get("slurmVersion").and_then(Value::as_u64) {
            Some(1 | 2) => {}
            Some(version) => return Err(format!("slurmVersion {version} is not known: 1 (RFC 8416) and 2 (ASPA) are")),
            None => return Err("`slurmVersion` is missing: it must be 1 (RFC 8416) or 2 (ASPA)".to_owned()),
        }
        let mut slurm = Self::default();
        if let Some(filters) = root.get("validationOutputFilters") {
            for (at, filter) in list(filters, "prefixFilters")?.iter().enumerate() {
                slurm.prefix_filters.push(read_filter(filter).map_err(|why| format!("prefixFilters[{at}]: {why}"))?);
            }
            for (at, filter) in list(filters, "aspaFilters")?.iter().enumerate() {
                let customer = customer_of(filter).map_err(|why| format!("aspaFilters[{at}]: {why}"))?;
                slurm.aspa_filters.push(customer);
            }
        }
        if let Some(added) = root.get("locallyAddedAssertions") {
            for (at, vrp) in list(added, "prefixAssertions")?.iter().enumerate() {
                slurm.vrps.push(read_assertion(vrp).map_err(|why| format!("prefixAssertions[{at}]: {why}"))?);
            }
            for (at, aspa) in list(added, "aspaAssertions")?.iter().enumerate() {
                let aspa = read_aspa(aspa).map_err(|why| format!("aspaAssertions[{at}]: {why}"))?;
                slurm.aspas.push(aspa);
            }
        }
        Ok(slurm)
    }

    /// What is left of a source's payload (RFC 8416 §4): filters only, since assertions are a source of their own.
    pub fn filter(&self, set: &PayloadSet) -> PayloadSet {
        let drops = |vrp: &&Vrp| self.prefix_filters.iter().any(|filter| filter.drops(vrp));
        PayloadSet {
            vrps: set.vrps.iter().filter(|vrp| !drops(vrp)).copied().collect(),
            aspas: set.aspas.iter().filter(|aspa| !self.aspa_filters.contains(&aspa.customer)).cloned().collect(),
        }
    }

    /// What the file adds, as the payload of a source.
    pub fn assertions(&self) -> PayloadSet {
        PayloadSet { vrps: self.vrps.clone(), aspas: self.aspas.clone() }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn read_filter(filter: &Value) -> Result<PrefixFilter, String> {
    let prefix = filter.get("prefix").map(prefix_of).transpose()?;
    let asn = filter.get("asn").map(asn_of).transpose()?;
    if prefix.is_none() && asn.is_none() {
        return Err("it needs `prefix` or `asn` (RFC 8416 §3.3.1)".to_owned());
    }
    Ok(PrefixFilter { prefix, asn })
}

fn read_assertion(vrp: &Value) -> Result<Vrp, String> {
    let prefix = prefix_of(field(vrp, "prefix")?)?;
    let asn = asn_of(field(vrp, "asn")?)?;
    let max_len = match vrp.get("maxPrefixLength") {
        None | Some(Value::Null) => prefix.len(),
        Some(value) => super::json::length_of(value)?,
    };
    Vrp::new(prefix, max_len, asn)
}

fn customer_of(value: &Value) -> Result<Asn, String> {
    let customer = value.get("customerAsn").or_else(|| value.get("customerAsid"));
    asn_of(customer.ok_or("`customerAsn` is missing")?)
}

fn read_aspa(value: &Value) -> Result<Aspa, String> {
    let customer = customer_of(value)?;
    let providers = value.get("providerAsns").or_else(|| value.get("providerSet"));
    Ok(Aspa::new(customer, read_providers(providers.ok_or("`providerAsns` is missing")?)?))
}
