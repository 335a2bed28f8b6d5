//! Detectors about AS paths and attributes: pure functions of a path and of who sent it. A path is judged once, however
//! many prefixes have it; only what also depends on the prefix is asked prefix by prefix.

pub mod aspa;
pub mod blackhole;
pub mod bogon;
pub mod leak;
pub mod new_neighbor;
pub mod new_prefix;
pub mod otc;
pub mod path_rule;
pub mod peerlock;

use std::fmt;

use super::{Finding, settings, watch::Watch};
use crate::{
    rib::{SessionSlot, SetFacts, SetId},
    types::{Asn, Prefix},
    validation::{PathState, Snapshot},
    view::observed::{Observed, Vantage},
    wire::bgp::{
        as_path::{AsPath, SegmentKind},
        attribute::AttrSet,
    },
};

/// Settings of these detectors.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    /// `aspa`.
    pub aspa: aspa::Settings,
    /// `blackhole`.
    pub blackhole: blackhole::Settings,
    /// `bogon`.
    pub bogon: bogon::Settings,
    /// `leak`.
    pub leak: leak::Settings,
    /// `new_neighbor`.
    pub new_neighbor: new_neighbor::Settings,
    /// `new_prefix`.
    pub new_prefix: new_prefix::Settings,
    /// `otc`.
    pub otc: otc::Settings,
    /// `path_rule`.
    pub path_rule: path_rule::Settings,
    /// `peerlock`.
    pub peerlock: peerlock::Settings,
}

/// Something wrong with a path: the finding of its cause, without members and neighbours.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The cause. Its fingerprint must follow from the path and who sent it alone.
    pub finding: Finding,
    /// Vantage ASes that must show it; `None`: as configured per class.
    pub vantages_min: Option<usize>,
    /// It rests on too little to be told where it was there from the start.
    pub weak: bool,
}

impl Fault {
    /// A fault that the configured number of vantage ASes must show.
    pub fn new(finding: Finding) -> Self {
        Self { finding, vantages_min: None, weak: false }
    }
}

/// What rules say of a path.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong with it, whatever the prefix.
    pub faults: Vec<Fault>,
    /// Whether rules want to see each of its prefixes.
    pub by_prefix: bool,
}

/// A path and who sent it.
#[derive(Debug)]
pub struct PathSeen<'a> {
    /// Its attributes, as received.
    pub attrs: AttrSet<'a>,
    /// Facts about them.
    pub facts: &'a SetFacts,
    /// Its AS_PATH.
    pub path: AsPath<'a>,
    /// ASes of its AS_SEQUENCEs, leftmost first, each run of one AS once; confederation segments and sets left out.
    pub hops: Vec<Asn>,
    /// Who sent it.
    pub vantage: &'a Vantage,
    /// Declared rules.
    pub watch: &'a Watch,
    /// What ASPA says of it.
    pub aspa: PathState,
    /// What RPKI says, for words of explanation only: verdicts follow from `aspa`.
    pub rpki: &'a Snapshot,
}

impl<'a> PathSeen<'a> {
    /// `hops` is room for them, with whatever is in it.
    pub(super) fn new(
        seen: &Observed<'a>,
        watch: &'a Watch,
        set: SetId,
        session: SessionSlot,
        aspa: u8,
        mut hops: Vec<Asn>,
    ) -> Option<Self> {
        let attrs = seen.rib.attrs.get(set);
        let path = attrs.as_path();
        hops.clear();
        for segment in path.segments().filter(|segment| segment.kind == SegmentKind::Sequence) {
            for asn in segment.asns() {
                if hops.last() != Some(&asn) {
                    hops.push(asn);
                }
            }
        }
        let vantage = seen.vantages.get(usize::from(session))?.as_ref()?;
        Some(Self {
            attrs,
            facts: seen.rib.attrs.facts(set),
            path,
            hops,
            vantage,
            watch,
            aspa: PathState::from_code(aspa),
            rpki: seen.rpki,
        })
    }
}

/// A detector about paths. What it says must follow from its arguments alone.
pub trait PathRule: fmt::Debug + Send {
    /// Judges a path.
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict);
    /// Whether it looks at this prefix whatever the path; must be quick, is asked for every change.
    fn looks_at(&self, _: Prefix) -> bool {
        false
    }
    /// Judges a path together with one of its prefixes: those that it looks at, and all of paths for which `judge`
    /// set `by_prefix`.
    fn judge_prefix(&self, _: &PathSeen<'_>, _: Prefix, _: &mut Verdict) {}
}

/// All detectors about paths.
#[derive(Debug)]
pub struct PathRules {
    rules: Vec<Box<dyn PathRule>>,
    /// Those that look at prefixes whatever the path.
    looking: Vec<usize>,
}

impl PathRules {
    /// Those that the settings ask for: one line each.
    pub fn new(settings: &settings::Settings) -> Self {
        let of = &settings.paths;
        let rules: Vec<Option<Box<dyn PathRule>>> = vec![
            boxed(otc::Otc::new(&of.otc)),
            boxed(leak::Leak::new(&of.leak, settings)),
            boxed(aspa::Aspa::new(&of.aspa)),
            boxed(peerlock::Peerlock::new(&of.peerlock)),
            boxed(bogon::Bogon::new(&of.bogon, settings.own_asn)),
            boxed(path_rule::PathRules::new(&of.path_rule)),
            boxed(new_neighbor::NewNeighbor::new(&of.new_neighbor)),
            boxed(new_prefix::NewPrefix::new(&of.new_prefix)),
            boxed(blackhole::Blackhole::new(&of.blackhole)),
        ];
        let rules: Vec<_> = rules.into_iter().flatten().collect();
        let probe = [Prefix::v4(0x0a00_0000, 8), Prefix::v6(0xfd << 120, 8)];
        let looking = |rule: &dyn PathRule| probe.iter().any(|prefix| rule.looks_at(*prefix));
        let looking = (0..rules.len()).filter(|at| looking(rules[*at].as_ref())).collect();
        Self { rules, looking }
    }

    /// Judges a path by all rules.
    pub fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        self.rules.iter().for_each(|rule| rule.judge(path, verdict));
    }

    /// Whether any rule looks at this prefix whatever the path.
    #[inline]
    pub fn looks_at(&self, prefix: Prefix) -> bool {
        self.looking.iter().any(|at| self.rules[*at].looks_at(prefix))
    }

    /// Judges a path together with a prefix by all rules.
    pub fn judge_prefix(&self, path: &PathSeen<'_>, prefix: Prefix, verdict: &mut Verdict) {
        self.rules.iter().for_each(|rule| rule.judge_prefix(path, prefix, verdict));
    }
}

fn boxed<R: PathRule + 'static>(rule: Option<R>) -> Option<Box<dyn PathRule>> {
    rule.map(|rule| Box::new(rule) as _)
}
