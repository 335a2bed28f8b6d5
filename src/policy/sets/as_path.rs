//! AS-path sets: expressions of the routers' dialect on the printed path, in which `_` stands for a delimiter (a space,
//! comma or bracket, the begin or the end), and all of a set in one automaton.
//!
//! # What we do
//! 1. The anchored forms that most sets consist of need no expression: `^64496_` (neighbour), `_64500_` (anywhere),
//!    `_64500$` (origin), `^64500$` (alone), `^$` (empty). They become AS sets; a set of 10,000 origins is a binary search.
//! 2. All other expressions of a set become one deterministic automaton. A path is fed to it digit by digit as it would
//!    be printed, without printing it: time is linear in the path, memory is none.
//! 3. An automaton can need exponential memory. Building stops at a limit, and the expression is refused with it, so what
//!    runs is bounded.

use std::hash::{Hash, Hasher};

use regex_automata::{
    Anchored,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, start, syntax},
};

use super::asn::AsSet;
use crate::{
    policy::values::AsnRange,
    types::Asn,
    wire::bgp::{
        as_path::{AsPath, SegmentKind},
        path_expression::{EXPRESSION_LEN_MAX, expand_delimiters},
    },
};

/// Octets of the automaton of one set, and of what building it may take.
const AUTOMATON_OCTETS_MAX: usize = 4 << 20;
/// Octets of what the expressions of one set are compiled to first.
const NFA_OCTETS_MAX: usize = 4 << 20;

/// A compiled AS-path set. Two are equal when they were made from the same expressions.
#[derive(Clone, Default)]
pub struct AsPathSet {
    /// Sorted, each once.
    expressions: Vec<String>,
    fast: FastForms,
    automaton: Option<Box<PathAutomaton>>,
}

/// Why an expression is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpressionError {
    /// Which of the expressions, counted from 0; `None`: all of them together.
    pub at: Option<usize>,
    /// What is wrong with it.
    pub what: String,
}

impl AsPathSet {
    /// Compiles expressions.
    ///
    /// # Errors
    /// An expression is wrong, or it or all together need too much memory.
    pub fn new(expressions: &[&str]) -> Result<Self, ExpressionError> {
        let mut fast = FastFormsBuilder::default();
        let mut general = Vec::new();
        for (at, expression) in expressions.iter().enumerate() {
            if expression.len() > EXPRESSION_LEN_MAX {
                let what = format!("the expression is longer than {EXPRESSION_LEN_MAX} octets");
                return Err(ExpressionError { at: Some(at), what });
            }
            if !fast.take(expression) {
                general.push((at, expand_delimiters(expression)));
            }
        }
        let automaton = if general.is_empty() { None } else { Some(Box::new(build(&general)?)) };
        let mut sorted: Vec<String> = expressions.iter().map(|expression| (*expression).to_owned()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        Ok(Self { expressions: sorted, fast: fast.finish(), automaton })
    }

    /// Whether an expression finds something in the path.
    pub fn matches(&self, path: AsPath<'_>) -> bool {
        self.has_form_of(path) || self.is_found_by_automaton(path)
    }

    /// Whether an expression of an anchored form finds something in the path.
    pub fn has_form_of(&self, path: AsPath<'_>) -> bool {
        self.fast.matches(path)
    }

    /// Whether there are expressions of other forms.
    pub fn has_automaton(&self) -> bool {
        self.automaton.is_some()
    }

    /// Whether an expression of another form finds something in the path.
    pub fn is_found_by_automaton(&self, path: AsPath<'_>) -> bool {
        self.automaton.as_ref().is_some_and(|automaton| automaton.matches(path))
    }

    /// Whether there is no expression.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }
}

impl PartialEq for AsPathSet {
    fn eq(&self, other: &Self) -> bool {
        self.expressions == other.expressions
    }
}

impl Eq for AsPathSet {}

impl Hash for AsPathSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expressions.hash(state);
    }
}

impl std::fmt::Debug for AsPathSet {
    /// The expressions: an automaton is pages of numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AsPathSet").field(&self.expressions).finish()
    }
}

/// What the anchored forms ask for.
#[derive(Clone, Default)]
struct FastForms {
    /// `^N_`
    first: AsSet,
    /// `_N_`
    anywhere: AsSet,
    /// `_N$`
    last: AsSet,
    /// `^N$`
    alone: AsSet,
    /// `^$`
    empty: bool,
}

#[derive(Default)]
struct FastFormsBuilder {
    first: Vec<AsnRange>,
    anywhere: Vec<AsnRange>,
    last: Vec<AsnRange>,
    alone: Vec<AsnRange>,
    empty: bool,
}

impl FastFormsBuilder {
    /// Takes an expression of an anchored form; false for any other.
    fn take(&mut self, expression: &str) -> bool {
        if expression == "^$" {
            self.empty = true;
            return true;
        }
        let (from_start, rest) = match expression.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, expression.strip_prefix('_').unwrap_or_default()),
        };
        let (to_end, digits) = match rest.strip_suffix('$') {
            Some(digits) => (true, digits),
            None => (false, rest.strip_suffix('_').unwrap_or_default()),
        };
        // A leading zero is printed by nobody: such an expression finds nothing, and the automaton says so.
        let Some(asn) = digits.parse::<u32>().ok().filter(|asn| asn.to_string() == digits) else { return false };
        let forms = match (from_start, to_end) {
            (true, false) => &mut self.first,
            (false, false) => &mut self.anywhere,
            (false, true) => &mut self.last,
            (true, true) => &mut self.alone,
        };
        forms.push(AsnRange::one(asn));
        true
    }

    fn finish(self) -> FastForms {
        FastForms {
            first: AsSet::new(self.first),
            anywhere: AsSet::new(self.anywhere),
            last: AsSet::new(self.last),
            alone: AsSet::new(self.alone),
            empty: self.empty,
        }
    }
}

impl FastForms {
    fn matches(&self, path: AsPath<'_>) -> bool {
        if path.is_empty() {
            return self.empty;
        }
        // In front of a set or of a confederation's segment stands a bracket, so `^N` does not find it.
        let leftmost = || {
            let first = path.segments().next().filter(|segment| segment.kind == SegmentKind::Sequence)?;
            first.asns().next()
        };
        let in_set = |set: &AsSet, asn: Option<Asn>| asn.is_some_and(|asn| set.contains(asn));
        (!self.first.is_empty() && in_set(&self.first, leftmost()))
            || (!self.last.is_empty() && in_set(&self.last, path.origin_asn()))
            || (!self.anywhere.is_empty() && path.asns().any(|asn| self.anywhere.contains(asn)))
            || (!self.alone.is_empty() && path.asns().nth(1).is_none() && in_set(&self.alone, leftmost()))
    }
}

/// All expressions of a set that are of no anchored form.
#[derive(Clone)]
struct PathAutomaton {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

impl PathAutomaton {
    fn matches(&self, path: AsPath<'_>) -> bool {
        let mut state = self.start;
        // True when the answer is known: a match state is never left for another answer, a dead one never at all.
        let stopped = print(path, |octet| {
            state = self.dfa.next_state(state, octet);
            self.dfa.is_special_state(state) && (self.dfa.is_match_state(state) || self.dfa.is_dead_state(state))
        });
        if !stopped {
            state = self.dfa.next_eoi_state(state);
        }
        self.dfa.is_match_state(state)
    }
}

/// Hands the octets of the path as `AsPath` prints it to `put`, until that says stop; whether it did.
fn print(path: AsPath<'_>, mut put: impl FnMut(u8) -> bool) -> bool {
    for (i, segment) in path.segments().enumerate() {
        let (open, separator, close) = match segment.kind {
            SegmentKind::Sequence => (None, b' ', None),
            SegmentKind::Set => (Some(b'{'), b',', Some(b'}')),
            SegmentKind::ConfedSequence => (Some(b'('), b' ', Some(b')')),
            SegmentKind::ConfedSet => (Some(b'['), b',', Some(b']')),
        };
        if (i > 0 && put(b' ')) || open.is_some_and(&mut put) {
            return true;
        }
        for (j, asn) in segment.asns().enumerate() {
            if (j > 0 && put(separator)) || print_number(asn.0, &mut put) {
                return true;
            }
        }
        if close.is_some_and(&mut put) {
            return true;
        }
    }
    false
}

fn print_number(number: u32, put: &mut impl FnMut(u8) -> bool) -> bool {
    let mut digits = [0; 10];
    let mut rest = number;
    let mut from = digits.len();
    while let Some(at) = from.checked_sub(1) {
        digits[at] = b'0' + (rest % 10) as u8;
        from = at;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits[from..].iter().any(|digit| put(*digit))
}

/// Builds one automaton for (which, expression) of all.
fn build(expressions: &[(usize, String)]) -> Result<PathAutomaton, ExpressionError> {
    let patterns: Vec<&str> = expressions.iter().map(|(_, expression)| expression.as_str()).collect();
    match automaton(&patterns) {
        Ok(automaton) => Ok(automaton),
        // Who is to blame? The first one that fails alone, or nobody alone.
        Err(together) => {
            let guilty = expressions.iter().find_map(|(at, expression)| Some((*at, automaton(&[expression]).err()?)));
            Err(match guilty {
                Some((at, what)) => ExpressionError { at: Some(at), what },
                None => ExpressionError { at: None, what: together },
            })
        }
    }
}

fn automaton(patterns: &[&str]) -> Result<PathAutomaton, String> {
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(AUTOMATON_OCTETS_MAX))
        .determinize_size_limit(Some(AUTOMATON_OCTETS_MAX));
    let dfa = dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(NFA_OCTETS_MAX)))
        .build_many(patterns)
        .map_err(|error| reason(&error))?;
    let start = dfa
        .start_state(&start::Config::new().anchored(Anchored::No))
        .map_err(|_| "it looks at what stands in front of a path".to_owned())?;
    Ok(PathAutomaton { dfa, start })
}

/// What is wrong, without the drawing of the expanded expression.
fn reason(error: &dense::BuildError) -> String {
    let mut text = error.to_string();
    let mut inner: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    let last = text.lines().last().unwrap_or_default();
    let last = last.strip_prefix("error: ").unwrap_or(last);
    match error.is_size_limit_exceeded() || last.contains("limit") {
        true => "it is too large: its automaton needs more than 4 MiB; use fewer or smaller repetitions, or anchored \
                 forms such as ^64496_"
            .to_owned(),
        false => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    fn octets(segments: &[(SegmentKind, Vec<u32>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, asns) in segments {
            out.extend([*kind as u8, asns.len() as u8]);
            asns.iter().for_each(|asn| out.extend(asn.to_be_bytes()));
        }
        out
    }

    #[test]
    fn expressions_read_as_on_routers() {
        use SegmentKind::{ConfedSequence, Sequence, Set};
        let plain = octets(&[(Sequence, vec![64496, 64497, 64500])]);
        let with_set = octets(&[(Sequence, vec![64496]), (Set, vec![64500, 64501])]);
        let confed = octets(&[(ConfedSequence, vec![64512]), (Sequence, vec![64496])]);
        let rows: &[(&str, &[u8], bool)] = &[
            ("^64496_", &plain, true),
            ("^6449_", &plain, false),
            ("_64497_", &plain, true),
            ("_64500$", &plain, true),
            ("_64497$", &plain, false),
            ("^64500$", &plain, false),
            ("^$", &plain, false),
            ("^$", &[], true),
            (".*", &[], true),
            ("^64496 ", &plain, true),
            ("^[0-9]+$", &plain, false),
            ("_6449[67]_.*_64500$", &plain, true),
            ("^(64496|64499)_64497_", &plain, true),
            // A set is in braces, so its members end no path.
            ("_64501$", &with_set, false),
            ("_64501_$", &with_set, true),
            ("_64500_", &with_set, true),
            ("[{]64500,", &with_set, true),
            // A confederation's segments stand in front, in parentheses.
            ("^64512_", &confed, false),
            ("^_64512_", &confed, true),
            ("_64496$", &confed, true),
        ];
        for (expression, path, expected) in rows {
            let set = AsPathSet::new(&[expression]).unwrap();
            assert_eq!(set.matches(AsPath::new(path)), *expected, "{expression} on `{}`", AsPath::new(path));
        }
    }

    #[test]
    fn what_is_wrong_or_too_large_is_refused_and_named() {
        let cases: &[(&[&str], Option<usize>, &str)] = &[
            (&["_1_", "(64500"], Some(1), "unclosed"),
            (&["*"], Some(0), "repetition"),
            (&["((1{1000}){1000}){1000}"], Some(0), "too large"),
            // Small to write, and 2^30 states.
            (&["1[0-9 ]{30}$"], Some(0), "too large"),
        ];
        for (expressions, at, word) in cases {
            let error = AsPathSet::new(expressions).unwrap_err();
            assert!(error.at == *at && error.what.contains(word), "{expressions:?}: {error:?}");
        }
        assert!(AsPathSet::new(&["1".repeat(EXPRESSION_LEN_MAX + 1).as_str()]).is_err());
        let crowd: Vec<String> = (0..18).map(|i| format!("_{}_.*_{}_", 64496 + i, 65551 - i)).collect();
        let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
        let error = AsPathSet::new(&crowd).unwrap_err();
        assert!(error.at.is_none() && error.what.contains("too large"), "{error:?}");
    }

    #[test]
    fn sets_are_equal_when_their_expressions_are() {
        let set = |expressions: &[&str]| AsPathSet::new(expressions).unwrap();
        assert_eq!(set(&["^1_", "_2.*"]), set(&["_2.*", "^1_", "^1_"]));
        assert_ne!(set(&["^1_"]), set(&["^2_"]));
    }

    fn path() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![
            6 => Just(SegmentKind::Sequence),
            1 => Just(SegmentKind::Set),
            1 => Just(SegmentKind::ConfedSequence),
            1 => Just(SegmentKind::ConfedSet),
        ];
        let asn = prop_oneof![0..=3u32, 9..=13u32, Just(u32::MAX), Just(1_000_000_000)];
        prop::collection::vec((kind, prop::collection::vec(asn, 1..4)), 0..3).prop_map(|segments| octets(&segments))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// The oracle prints the path and asks the general engine of another crate.
        #[test]
        fn a_set_finds_what_one_of_its_expressions_finds_in_the_printed_path(
            expressions in prop::collection::vec(
                prop_oneof!["[\\^_](0|1|11|12|4294967295)[_$]", "[\\^_](1|2)[_$]", "[\\^_$0-3 {}(),|?.]{0,6}", Just("^$".to_owned())], 1..5),
            paths in prop::collection::vec(path(), 1..12),
        ) {
            let text: Vec<&str> = expressions.iter().map(String::as_str).collect();
            let regexes: Result<Vec<Regex>, _> =
                text.iter().map(|text| regex::bytes::RegexBuilder::new(&expand_delimiters(text)).unicode(false).build()).collect();
            let set = AsPathSet::new(&text);
            prop_assert_eq!(set.is_ok(), regexes.is_ok(), "{:?} {:?}", text, set);
            let (Ok(set), Ok(regexes)) = (set, regexes) else { return Ok(()) };
            for path in &paths {
                let path = AsPath::new(path);
                let printed = path.to_string();
                let mut streamed = Vec::new();
                print(path, |octet| { streamed.push(octet); false });
                prop_assert_eq!(printed.as_bytes(), &streamed[..]);
                let found = regexes.iter().any(|regex| regex.is_match(printed.as_bytes()));
                prop_assert_eq!(set.matches(path), found, "{:?} on `{}`", text, printed);
            }
        }
    }
}
