//! What can only be judged by the text of attributes: path expressions in the routers' dialect, and communities.
//!
//! A path expression is a regular expression on the printed path in which `_` stands for a delimiter. The engine behind
//! it is linear in the length of the path whatever the expression.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

use crate::{
    view::Refusal,
    wire::bgp::{
        attribute::AttrSet,
        community::{Community, ExtCommunity, LargeCommunity},
        path_expression::{EXPRESSION_LEN_MAX, expand_delimiters},
    },
};

/// Memory of a compiled path expression. A `{1000}` repetition of a class fits; nesting them does not.
const EXPRESSION_SIZE_MAX: usize = 1 << 20;
/// Most communities in one filter.
const COMMUNITIES_MAX: usize = 64;

/// What can only be judged by the text of attributes.
#[derive(Clone, Debug, Default)]
pub struct TextFilter {
    as_path: Option<Regex>,
    communities: Vec<CommunityPattern>,
}

#[derive(Clone, Debug)]
enum CommunityPattern {
    Standard(Community),
    Large(LargeCommunity),
    Extended(ExtCommunity),
    /// Text with `*`.
    Glob(String),
}

impl TextFilter {
    /// Reads a path expression and communities; both may be empty.
    ///
    /// # Errors
    /// `Invalid` with the reason.
    pub fn parse(as_path: &str, communities: &[String]) -> Result<Self, Refusal> {
        if communities.len() > COMMUNITIES_MAX {
            return Err(Refusal::Invalid(format!("at most {COMMUNITIES_MAX} communities can be asked for at once")));
        }
        let communities = communities.iter().map(|word| CommunityPattern::parse(word)).collect::<Result<_, _>>()?;
        let as_path = if as_path.is_empty() { None } else { Some(path_expression(as_path)?) };
        Ok(Self { as_path, communities })
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.as_path.is_none() && self.communities.is_empty()
    }

    /// Whether a set of attributes passes; `scratch` is overwritten.
    pub fn matches(&self, attrs: AttrSet<'_>, scratch: &mut String) -> bool {
        if let Some(expression) = &self.as_path {
            print_into(scratch, attrs.as_path());
            if !expression.is_match(scratch.as_bytes()) {
                return false;
            }
        }
        self.communities.iter().all(|pattern| pattern.matches(attrs, scratch))
    }
}

impl CommunityPattern {
    fn parse(word: &str) -> Result<Self, Refusal> {
        if word.contains('*') {
            return Ok(Self::Glob(word.to_owned()));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Standard(community));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Large(community));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Extended(community));
        }
        Err(Refusal::Invalid(format!(
            "`{word}` is not a community: write 64500:1, a name such as no-export, 64500:1:2 (large), \
             rt:64500:1 (extended), or use * as in 64500:*"
        )))
    }

    fn matches(&self, attrs: AttrSet<'_>, scratch: &mut String) -> bool {
        match self {
            Self::Standard(wanted) => attrs.communities().any(|community| community == *wanted),
            Self::Large(wanted) => attrs.large_communities().any(|community| community == *wanted),
            Self::Extended(wanted) => attrs.ext_communities().any(|community| community == *wanted),
            Self::Glob(pattern) => {
                let mut fits = |text: &dyn std::fmt::Display| {
                    print_into(scratch, text);
                    glob(pattern, scratch)
                };
                attrs.communities().any(|community| fits(&community))
                    || attrs.large_communities().any(|community| fits(&community))
                    || attrs.ext_communities().any(|community| fits(&community))
            }
        }
    }
}

fn print_into(text: &mut String, value: impl std::fmt::Display) {
    text.clear();
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
}

/// Whether `text` fits `pattern`, in which each `*` stands for any run of characters. Linear per `*`: the first
/// place where a part fits is as good as any later one.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').map_or(("", rest), |(middle, tail)| (middle, tail));
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(tail)
}

/// Compiles a path expression of the routers' dialect.
fn path_expression(expression: &str) -> Result<Regex, Refusal> {
    if expression.len() > EXPRESSION_LEN_MAX {
        return Err(Refusal::Invalid(format!("the path expression is longer than {EXPRESSION_LEN_MAX} octets")));
    }
    RegexBuilder::new(&expand_delimiters(expression))
        .unicode(false)
        .size_limit(EXPRESSION_SIZE_MAX)
        .build()
        .map_err(|error| Refusal::Invalid(format!("the path expression `{expression}` is wrong: {}", reason(&error))))
}

/// The last line of the compiler's message: what is wrong, without the drawing of the expanded expression.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it needs too much memory; use fewer or smaller repetitions".into(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_stands_for_a_delimiter_as_on_routers() {
        let path = "64496 64497 {64500,64501}";
        for (expression, fits) in [
            ("_64497_", true),
            ("^64496_", true),
            ("_64501_", true),
            ("_64501_$", true),
            ("_6449_", false),
            ("_64497$", false),
            ("^64496 64497", true),
            ("^6449[67]_", true),
            ("^[0-9]+_[0-9]+_", true),
            ("", true),
        ] {
            let compiled = path_expression(expression).unwrap();
            assert_eq!(compiled.is_match(path.as_bytes()), fits, "{expression}");
        }
    }

    #[test]
    fn a_wrong_or_greedy_expression_is_refused_with_its_reason() {
        for (expression, word) in [("(64500", "unclosed"), ("((a{1000}){1000}){1000}", "memory"), ("*", "repetition")] {
            let Err(Refusal::Invalid(text)) = path_expression(expression) else { panic!("{expression} was taken") };
            assert!(text.contains(word) && text.contains(expression), "{text}");
        }
        assert!(path_expression(&"a".repeat(EXPRESSION_LEN_MAX + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_expression_is_compiled_or_refused(text in r"[\[\](){}|*+?^$._\\0-9 -]{0,40}") {
            let _ = path_expression(&text);
        }

        #[test]
        fn a_glob_agrees_with_the_same_question_as_an_expression(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            let expression = Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            proptest::prop_assert_eq!(glob(&pattern, &text), expression.is_match(text.as_bytes()));
        }
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, fits) in [
            ("64500:*", "64500:1", true),
            ("64500:*", "64501:1", false),
            ("*:1", "64500:1", true),
            ("*", "", true),
            ("rt:*:1*", "rt:64500:12", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
