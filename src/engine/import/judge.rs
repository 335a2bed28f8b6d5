//! What import makes of an attribute set: the rules of RFCs, then the session's policies, then one handle for the
//! result. Once per set where nothing depends on the prefix; else each result is interned once, and a prefix walks
//! the policy's questions about itself only.

use crate::{
    policy::{Evaluator, PathCounts, PerPrefix, Route, Trace, Verdict},
    rib::{AttrStore, Path, PathFlags, SetFacts, SetId},
    types::{Family, Prefix},
    validation::OriginState,
    wire::bgp::attribute::{AttrSet, AttrSetBuilder},
};

use super::{
    rules::{Findings, ImportRules, Unusable},
    validity::{Validator, Validity},
};

/// What becomes of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judged {
    /// A derived set where import changes something; as received where it does not, or the path is not eligible.
    pub set: SetId,
    /// `REJECTED`, `UNUSABLE` with its reason, or nothing.
    pub flags: PathFlags,
}

/// Judges the routes of one set of one session after the other.
///
/// Between `begin` and `end` it owns a reference to every set that it hands out. Nothing is allocated once its buffers
/// have grown.
#[derive(Debug, Default)]
pub struct Judge {
    evaluator: Evaluator,
    /// What RPKI says of paths.
    pub validator: Validator,
    /// Nothing is usable yet: import waits for RPKI data.
    pub held: bool,
    received: Option<SetId>,
    findings: Findings,
    /// The set before policy, where the rules change it.
    adapted: Vec<u8>,
    settled: Option<Judged>,
    /// By number of the policy's outcome.
    outcomes: Vec<Option<Judged>>,
    writer: Writer,
}

/// Buffers for what is done after policy.
#[derive(Debug, Default)]
struct Writer {
    builder: AttrSetBuilder,
    octets: Vec<u8>,
}

impl Judge {
    /// Turns to a set that the session sent. Takes over one reference to it.
    pub fn begin(&mut self, rules: &ImportRules, family: Family, attrs: &mut AttrStore, received: SetId) {
        self.end(attrs);
        self.received = Some(received);
        let set = attrs.get(received);
        self.validator.begin(&rules.sender, family, set, attrs.facts(received));
        self.findings = rules.look(set, family);
        if self.held {
            self.findings.unusable = self.findings.unusable.or(Some(Unusable::AwaitsRpki));
        }
        let changed = self.findings.change();
        if changed {
            rules.adapt(set, &self.findings, &mut self.writer.builder, &mut self.adapted);
        }
        if rules.passes_all || rules.passes_none || self.held {
            let base = changed.then_some(AttrSet::new(&self.adapted));
            let judged =
                self.writer.file(rules, self.findings, attrs, received, (rules.passes_all || self.held, base, None));
            self.outcomes.push(Some(judged));
            self.settled = Some(judged);
            return;
        }
        let (set, facts) = match changed {
            true => (AttrSet::new(&self.adapted), SetFacts::of(AttrSet::new(&self.adapted))),
            false => (set, *attrs.facts(received)),
        };
        self.evaluator.begin(&rules.chain, &rules.context, &route(rules, family, set, &facts));
        if self.evaluator.settled() {
            self.settled = Some(self.ask(rules, attrs, received, PerPrefix::default()));
        }
    }

    /// The validation state without a meaning that the set carries (RFC 8097 §2).
    pub fn erroneous_state(&self) -> Option<u8> {
        self.findings.erroneous_state
    }

    /// What becomes of the path of `prefix` (`None`: a family without plain prefixes). Gives no reference. `like` is what
    /// is known of the state of its origin, see [`Validator::of`].
    ///
    /// # Panics
    /// Outside of `begin` and `end`: a judge without a set has nothing to say.
    #[inline]
    pub fn path(
        &mut self,
        rules: &ImportRules,
        attrs: &mut AttrStore,
        prefix: Option<Prefix>,
        like: Option<OriginState>,
    ) -> Judged {
        let validity = self.validator.of(prefix, like);
        let judged = match (self.settled, self.received) {
            (Some(settled), _) => settled,
            (None, Some(received)) => {
                let prefix = PerPrefix { prefix, validation: validity.origin, aspa: validity.path };
                self.ask(rules, attrs, received, prefix)
            }
            (None, None) => panic!("a judge is asked between `begin` and `end`"),
        };
        Judged { flags: judged.flags.with(validity.marks()), ..judged }
    }

    /// What AS-path expressions cost.
    pub fn path_counts(&self) -> PathCounts {
        self.evaluator.path_counts()
    }

    /// Lets the sets go.
    pub fn end(&mut self, attrs: &mut AttrStore) {
        self.settled = None;
        for judged in self.outcomes.drain(..).flatten() {
            attrs.release(judged.set);
        }
        if let Some(received) = self.received.take() {
            attrs.release(received);
        }
    }

    fn ask(&mut self, rules: &ImportRules, attrs: &mut AttrStore, received: SetId, prefix: PerPrefix) -> Judged {
        let Verdict { accepted, attrs: after, weight, outcome, .. } = self.evaluator.verdict(&prefix);
        let at = outcome as usize;
        if let Some(Some(known)) = self.outcomes.get(at) {
            return *known;
        }
        let base = after.or(self.findings.change().then_some(AttrSet::new(&self.adapted)));
        let judged = self.writer.file(rules, self.findings, attrs, received, (accepted, base, weight));
        if at >= self.outcomes.len() {
            self.outcomes.resize(at + 1, None);
        }
        self.outcomes[at] = Some(judged);
        judged
    }
}

impl Writer {
    /// The result of a verdict (accepted, the set where it is not the received one, weight), with a reference to its set.
    fn file(
        &mut self,
        rules: &ImportRules,
        findings: Findings,
        attrs: &mut AttrStore,
        received: SetId,
        (accepted, set, weight): (bool, Option<AttrSet<'_>>, Option<u16>),
    ) -> Judged {
        let flags = match findings.unusable {
            Some(reason) => PathFlags::UNUSABLE.with_detail(reason as u8),
            None => PathFlags::default(),
        };
        let flags = if accepted { flags } else { flags.with(PathFlags::REJECTED) };
        let mut changed = set;
        if flags.is_eligible() {
            let now = set.unwrap_or(attrs.get(received));
            if rules.is_shut_down(now) {
                self.builder.load(now).local_pref(0);
                self.octets.clear();
                self.builder.write_to(&mut self.octets);
                changed = Some(AttrSet::new(&self.octets));
            } else if set.is_none() && weight.is_some() {
                self.octets.clear();
                self.octets.extend_from_slice(now.as_bytes());
                changed = Some(AttrSet::new(&self.octets));
            }
        }
        match changed.filter(|_| flags.is_eligible()) {
            Some(changed) => Judged { set: attrs.derive(received, changed, weight), flags },
            None => {
                attrs.retain(received, 1);
                Judged { set: received, flags }
            }
        }
    }
}

/// What the policies did with a path, statement by statement: asked again from what was received, since a path keeps
/// only the result. For answers, not for the road of every path.
pub fn trace(rules: &ImportRules, family: Family, attrs: &AttrStore, path: &Path, prefix: Option<Prefix>) -> Trace {
    let received = attrs.get(attrs.received(path.set));
    let findings = rules.look(received, family);
    let mut adapted = Vec::new();
    rules.adapt(received, &findings, &mut AttrSetBuilder::new(), &mut adapted);
    let set = AttrSet::new(&adapted);
    let validity = Validity::of(path.flags);
    let prefix = PerPrefix { prefix, validation: validity.origin, aspa: validity.path };
    rules.chain.trace(&rules.context, &route(rules, family, set, &SetFacts::of(set)), &prefix)
}

/// What import did with a path, in order and in words; nothing where every route is simply taken. For answers.
pub fn story(
    rules: &ImportRules,
    family: Family,
    attrs: &AttrStore,
    path: &Path,
    prefix: Option<Prefix>,
) -> Vec<String> {
    let received = attrs.get(attrs.received(path.set));
    let mut story = rules.look(received, family).changes();
    let trace = trace(rules, family, attrs, path, prefix);
    if rules.chain.constant().is_none() {
        story.extend(trace.matched.iter().map(ToString::to_string));
    }
    if trace.accepted && rules.is_shut_down(AttrSet::new(&trace.attrs)) {
        story.push("GRACEFUL_SHUTDOWN: LOCAL_PREF is 0 (RFC 8326 §4.1)".into());
    }
    story
}

fn route<'a>(rules: &'a ImportRules, family: Family, set: AttrSet<'a>, facts: &'a SetFacts) -> Route<'a> {
    Route { family, set, facts, source: rules.source, from: Some(&rules.context.neighbor) }
}
