//! What ASes are to each other, and how that is known: from our own roles, from the operator, from a relationship file.

use std::{collections::HashMap, sync::Arc};

use rustc_hash::FxBuildHasher;

use crate::types::Asn;

/// What one AS is to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// It sells transit to the other.
    Provider,
    /// They peer.
    Peer,
    /// It buys transit from the other.
    Customer,
}

/// How a relation is known; the later, the more it is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Evidence {
    /// From a relationship file.
    Inferred,
    /// A network that buys transit from nobody has no providers (`transit_free` of `[detect.peerlock]`).
    TransitFree,
    /// The operator says so.
    Declared,
    /// Our own role towards a neighbour.
    Role,
    /// The route is marked only-to-customer (RFC 9234).
    Otc,
}

impl Evidence {
    /// The word in alerts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::TransitFree => "transit-free",
            Self::Declared => "declared",
            Self::Role => "role",
            Self::Otc => "otc",
        }
    }

    /// What a finding adds that rests on it.
    pub(super) fn term(self) -> (&'static str, i32) {
        match self {
            Self::Inferred => ("inferred_relation", 1),
            Self::TransitFree => ("transit_free", 3),
            Self::Declared => ("declared_relation", 4),
            Self::Role => ("own_role", 6),
            Self::Otc => ("otc_attribute", 8),
        }
    }
}

/// Links from which on an AS is large enough to be compared with its provider,
const LINKS_OF_LARGE: usize = 40;
/// and so many times as many as the provider has make the relation unlikely. Of 79,568 that were inferred from tables of 2014 to
/// 2016 this is one in a hundred.
const LARGER_MAX: usize = 4;

/// Of `(a, b)` what `b` is to `a`, and how that is known.
type Known = HashMap<(Asn, Asn), (Relation, Evidence), FxBuildHasher>;

/// Relations between ASes. Copies share them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Relations(Arc<Known>);

impl Relations {
    /// Adds that `provider` sells transit to `customer`; better evidence stays.
    pub fn transit(&mut self, provider: Asn, customer: Asn, evidence: Evidence) {
        self.add(customer, provider, Relation::Provider, evidence);
        self.add(provider, customer, Relation::Customer, evidence);
    }

    /// Adds that two peer.
    pub fn peering(&mut self, a: Asn, b: Asn, evidence: Evidence) {
        self.add(a, b, Relation::Peer, evidence);
        self.add(b, a, Relation::Peer, evidence);
    }

    fn add(&mut self, of: Asn, other: Asn, relation: Relation, evidence: Evidence) {
        let known = Arc::make_mut(&mut self.0).entry((of, other)).or_insert((relation, evidence));
        if known.1 < evidence {
            *known = (relation, evidence);
        }
    }

    /// What `other` is to `of`.
    pub fn get(&self, of: Asn, other: Asn) -> Option<(Relation, Evidence)> {
        self.0.get(&(of, other)).copied()
    }

    /// Whether any is known on evidence of at least this rank. Walks all relations.
    pub(super) fn knows(&self, least: Evidence) -> bool {
        self.0.values().any(|(_, evidence)| *evidence >= least)
    }

    /// The providers of an AS as far as they are known, sorted. Walks all relations.
    pub fn providers_of(&self, asn: Asn) -> Vec<Asn> {
        let of = self.0.iter().filter(|((of, _), (relation, _))| *of == asn && *relation == Relation::Provider);
        let mut providers: Vec<Asn> = of.map(|((_, other), _)| *other).collect();
        providers.sort_unstable();
        providers
    }

    /// Number of relations.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what a relationship file says (serial-1: `provider|customer|-1`, `peer|peer|0`; serial-2 has a fourth field).
    /// Comment lines are skipped; numbers of lines that mean nothing come back. What such a file says of an AS with many links and a
    /// provider with far fewer is left out: providers are larger than their customers, and inference errs there.
    pub fn read(&mut self, text: &str) -> Vec<usize> {
        let mut bad = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields = line.split('|');
            let mut asn = || fields.next()?.trim().parse::<u32>().ok().map(Asn);
            let (a, b) = (asn(), asn());
            match (a, b, fields.next().map(str::trim)) {
                (Some(a), Some(b), Some("-1")) => self.transit(a, b, Evidence::Inferred),
                (Some(a), Some(b), Some("0")) => self.peering(a, b, Evidence::Inferred),
                _ => bad.push(at + 1),
            }
        }
        self.drop_unlikely();
        bad
    }

    fn drop_unlikely(&mut self) {
        let mut links: HashMap<Asn, usize, FxBuildHasher> = HashMap::default();
        self.0.keys().for_each(|(of, _)| *links.entry(*of).or_default() += 1);
        let count = |asn: &Asn| links.get(asn).copied().unwrap_or_default();
        Arc::make_mut(&mut self.0).retain(|(of, other), known| {
            let (provider, customer) = match known {
                (Relation::Provider, Evidence::Inferred) => (other, of),
                (Relation::Customer, Evidence::Inferred) => (of, other),
                _ => return true,
            };
            count(customer) < LINKS_OF_LARGE || count(provider) * LARGER_MAX >= count(customer)
        });
    }
}
