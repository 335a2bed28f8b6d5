//! "What if": changes of RPKI data that nobody made yet, and the snapshot that would be in force with them. Which
//! routes they would move is asked of `engine`; nothing here is ever put in force.

use std::sync::Arc;

use super::{Aspa, Snapshot, SourceId, SourceSet, Update, Vrp, slurm::Slurm};
use crate::types::{Asn, Prefix};

/// Changes to try, in this order: exceptions, what goes, what comes. So an ASPA is replaced by removing and adding it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Local exceptions (RFC 8416) beside those in force.
    pub slurm: Slurm,
    /// VRPs that go, whoever says them.
    pub remove_vrps: Vec<Vrp>,
    /// Customers whose ASPAs go.
    pub remove_aspas: Vec<Asn>,
    /// VRPs that come.
    pub add_vrps: Vec<Vrp>,
    /// ASPAs that come; providers count beside those that the customer has.
    pub add_aspas: Vec<Aspa>,
}

/// Changes as people write them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChangeWords<'a> {
    /// VRPs that come, as `parse_vrp` reads them.
    pub add_vrps: &'a [String],
    /// VRPs that go.
    pub remove_vrps: &'a [String],
    /// ASPAs that come, as `parse_aspa` reads them.
    pub add_aspas: &'a [String],
    /// Customers whose ASPAs go.
    pub remove_aspas: &'a [String],
    /// Local exceptions (RFC 8416) as JSON; empty: none.
    pub slurm: &'a str,
}

impl Changes {
    /// Reads words.
    ///
    /// # Errors
    /// The word that cannot be read, and how it is written; no word at all.
    pub fn parse(words: &ChangeWords<'_>) -> Result<Self, String> {
        let vrps = |texts: &[String]| texts.iter().map(|text| parse_vrp(text)).collect::<Result<Vec<_>, _>>();
        let slurm = match words.slurm {
            "" => Slurm::default(),
            text => Slurm::parse(text).map_err(|why| format!("local exceptions: {why}"))?,
        };
        let changes = Self {
            slurm,
            remove_vrps: vrps(words.remove_vrps)?,
            remove_aspas: words.remove_aspas.iter().map(|text| parse_asn(text)).collect::<Result<_, _>>()?,
            add_vrps: vrps(words.add_vrps)?,
            add_aspas: words.add_aspas.iter().map(|text| parse_aspa(text)).collect::<Result<_, _>>()?,
        };
        match changes.is_empty() {
            true => Err("nothing would change: name VRPs or ASPAs to add or to remove, or a SLURM text".to_owned()),
            false => Ok(changes),
        }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What would be in force instead of `now`. `local` is the number of local exceptions among the sources: filters
    /// spare what they assert (RFC 8416 §4.2), and what comes counts as theirs.
    ///
    /// # Errors
    /// Something is to be removed that is not there: most likely it is mistyped.
    pub fn apply(&self, now: &Snapshot, local: SourceId) -> Result<Snapshot, String> {
        let ours = SourceSet::one(local);
        let spared = |drops: bool, sources: SourceSet| match drops {
            false => Some(sources),
            true => sources.has(local).then_some(ours),
        };
        let drops_vrp = |vrp: &Vrp| self.slurm.prefix_filters.iter().any(|filter| filter.drops(vrp));
        let vrps = now.vrps.iter();
        let mut vrps: Vec<(Vrp, SourceSet)> =
            vrps.filter_map(|(vrp, sources)| Some((vrp, spared(drops_vrp(&vrp), sources)?))).collect();
        let aspas = now.aspas.iter_with_sources();
        let mut aspas: Vec<(Aspa, SourceSet)> = aspas
            .filter_map(|(aspa, sources)| {
                let drops = self.slurm.aspa_filters.contains(&aspa.customer);
                Some((aspa, spared(drops, sources)?))
            })
            .collect();
        for gone in &self.remove_vrps {
            let before = vrps.len();
            vrps.retain(|(vrp, _)| vrp != gone);
            if vrps.len() == before {
                return Err(missing_vrp(now, gone));
            }
        }
        for gone in &self.remove_aspas {
            let before = aspas.len();
            aspas.retain(|(aspa, _)| aspa.customer != *gone);
            if aspas.len() == before {
                return Err(format!("there is no ASPA of AS{} that could be removed", gone.0));
            }
        }
        vrps.extend(self.slurm.vrps.iter().chain(&self.add_vrps).map(|vrp| (*vrp, ours)));
        aspas.extend(self.slurm.aspas.iter().chain(&self.add_aspas).map(|aspa| (aspa.clone(), ours)));
        Ok(Snapshot {
            vrps: super::rov::VrpTable::new(vrps),
            aspas: super::aspa::AspaTable::new(aspas),
            loaded: now.loaded || !self.is_empty(),
            expiries: std::sync::Arc::clone(&now.expiries),
        })
    }
}

fn missing_vrp(now: &Snapshot, gone: &Vrp) -> String {
    let near: Vec<String> = now.vrps.covering(gone.prefix, None).iter().map(|near| near.vrp.to_string()).collect();
    match near.is_empty() {
        true => format!("there is no VRP {gone} that could be removed, and none covers {}", gone.prefix),
        false => {
            format!("there is no VRP {gone} that could be removed: what covers {} is {}", gone.prefix, near.join(", "))
        }
    }
}

/// A VRP in words: `192.0.2.0/24-25 AS64500` or `192.0.2.0/24-25=64500`; without a maximum length it is the prefix's.
///
/// # Errors
/// What is wrong, and how one is written.
pub fn parse_vrp(text: &str) -> Result<Vrp, String> {
    let wrong = |why: String| format!("`{text}` is no VRP: {why}; write 192.0.2.0/24-25=64500");
    let (route, asn) = text
        .split_once('=')
        .or_else(|| text.trim().split_once(char::is_whitespace))
        .ok_or_else(|| wrong("the AS is missing".to_owned()))?;
    let asn = parse_asn(asn).map_err(&wrong)?;
    let (prefix, max_len) = match route.trim().split_once('-') {
        Some((prefix, max_len)) => (prefix, Some(max_len)),
        None => (route.trim(), None),
    };
    let prefix: Prefix = prefix.parse().map_err(|error: crate::types::PrefixError| wrong(error.to_string()))?;
    let max_len = match max_len {
        Some(digits) => digits.parse().map_err(|_| wrong(format!("`{digits}` is no maximum length")))?,
        None => prefix.len(),
    };
    Vrp::new(prefix, max_len, asn).map_err(wrong)
}

/// An ASPA in words: `AS64500: AS64501 AS64502` or `64500=64501,64502`.
///
/// # Errors
/// What is wrong, and how one is written.
pub fn parse_aspa(text: &str) -> Result<Aspa, String> {
    let wrong = |why: String| format!("`{text}` is no ASPA: {why}; write 64500=64501,64502 (0 alone: no provider)");
    let (customer, providers) =
        text.split_once([':', '=']).ok_or_else(|| wrong("its providers are missing".to_owned()))?;
    let customer = parse_asn(customer).map_err(&wrong)?;
    let words = providers.split([',', ' ']).filter(|word| !word.is_empty());
    let providers: Vec<Asn> = words.map(parse_asn).collect::<Result<_, _>>().map_err(&wrong)?;
    if providers.is_empty() {
        return Err(wrong("its providers are missing".to_owned()));
    }
    Ok(Aspa::new(customer, providers))
}

/// An AS number in words: `64500` or `AS64500`.
///
/// # Errors
/// It is none.
pub fn parse_asn(text: &str) -> Result<Asn, String> {
    let word = text.trim();
    let digits = word.strip_prefix("AS").or_else(|| word.strip_prefix("as")).unwrap_or(word);
    digits.parse().map(Asn).map_err(|_| format!("`{word}` is no AS number"))
}

/// What would be in force, and which routes have to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hypothesis {
    /// What the changes were made to.
    pub base: Arc<Snapshot>,
    /// What would be in force.
    pub snapshot: Arc<Snapshot>,
    /// Only routes that are one of these, or inside one, can have another state than with `base`; in order, none inside
    /// another. `None`: any route can.
    pub changed: Option<Vec<Prefix>>,
}

impl Hypothesis {
    /// What leads from `base` to `snapshot`.
    pub fn new(base: Arc<Snapshot>, snapshot: Arc<Snapshot>) -> Self {
        let Update { snapshot, changed } = Update::between(&base, snapshot);
        let changed = changed.map(|prefixes| {
            // In order, so what covers a prefix stands somewhere before it, and what is kept last covers it, if any does.
            prefixes.into_iter().fold(Vec::new(), |mut kept: Vec<Prefix>, prefix| {
                if !kept.last().is_some_and(|last| last.covers(&prefix)) {
                    kept.push(prefix);
                }
                kept
            })
        });
        Self { base, snapshot, changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::PayloadSet;

    #[test]
    fn changes_are_read_as_people_write_them() {
        let vrp = Vrp::new("192.0.2.0/24".parse().unwrap(), 25, Asn(64500)).unwrap();
        for text in ["192.0.2.0/24-25=64500", "192.0.2.0/24-25 AS64500", " 192.0.2.0/24-25  as64500 "] {
            assert_eq!(parse_vrp(text), Ok(vrp), "{text}");
        }
        assert_eq!(parse_vrp("192.0.2.0/24=64500").map(|vrp| vrp.max_len), Ok(24));
        let wrong = ["192.0.2.0/24", "192.0.2.0/24-23=64500", "192.0.2.0/24-x=1", "192.0.2.0=1", "192.0.2.0/24=ASx"];
        for text in wrong {
            assert!(parse_vrp(text).is_err_and(|why| why.contains("write 192.0.2.0/24-25=64500")), "{text}");
        }
        let aspa = Aspa::new(Asn(64500), vec![Asn(64501), Asn(64502)]);
        for text in ["AS64500: AS64501 AS64502", "64500=64502,64501"] {
            assert_eq!(parse_aspa(text), Ok(aspa.clone()), "{text}");
        }
        for text in ["64500", "64500=", "64500:x", "=64501"] {
            assert!(parse_aspa(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_removed_must_be_there_and_filters_spare_local_assertions() {
        let vrp = |text| parse_vrp(text).unwrap();
        let set = |text| PayloadSet { vrps: vec![vrp(text)], aspas: Vec::new() };
        let (cache, local) = (Snapshot::of(0, &set("192.0.2.0/24=64500")), Snapshot::of(1, &set("192.0.2.0/25=64501")));
        let now = Snapshot::union([&cache, &local]);
        let gone = Changes { remove_vrps: vec![vrp("192.0.2.0/24=64502")], ..Changes::default() };
        let why = gone.apply(&now, 1).unwrap_err();
        assert!(why.contains("what covers 192.0.2.0/24 is 192.0.2.0/24-24 AS64500"), "{why}");
        // RFC 8416 §4.2: assertions are not filtered.
        let text = r#"{"slurmVersion": 1, "validationOutputFilters": {"prefixFilters": [{"prefix": "192.0.2.0/24"}]}}"#;
        let filter = Changes { slurm: Slurm::parse(text).unwrap(), ..Changes::default() };
        assert_eq!(filter.apply(&now, 1).unwrap().payload().vrps, [vrp("192.0.2.0/25=64501")]);
    }

    #[test]
    fn changed_prefixes_are_told_without_those_inside_others() {
        let changes = ["10.1.0.0/16=1", "10.0.0.0/8=1", "10.2.0.0/16=1", "11.0.0.0/16=1", "2001:db8::/32=1"];
        let changes = Changes { add_vrps: changes.map(|text| parse_vrp(text).unwrap()).to_vec(), ..Changes::default() };
        let base = Arc::new(Snapshot { loaded: true, ..Snapshot::default() });
        let then = Arc::new(changes.apply(&base, 0).unwrap());
        let roots = Hypothesis::new(base, then).changed.expect("ASPAs are the same");
        let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
        assert_eq!(roots, ["10.0.0.0/8", "11.0.0.0/16", "2001:db8::/32"]);
    }
}
