//! Words that several sinks need: text cut to a limit, alerts in words.

pub use crate::types::Secret;
use crate::{
    alert::{Alert, Change, State, Why},
    types::Asn,
};

/// `text`, or as much of its beginning as fits in `chars_max` characters with `…` as the last one.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// As much of the beginning of `text` as fits in `octets_max` octets, whole characters only.
pub(super) fn cut_octets(text: &str, octets_max: usize) -> &str {
    let end = (0..=octets_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// One line: control characters become spaces.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// ASes by their parts: `expected AS64500; observed AS64511, AS64512`.
pub(super) fn asns(alert: &Alert) -> String {
    let part = |(part, asns): (&std::sync::Arc<str>, &Vec<Asn>)| {
        let asns: Vec<String> = asns.iter().map(|asn| format!("AS{}", asn.0)).collect();
        format!("{part} {}", asns.join(", "))
    };
    alert.asns.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// Names of neighbours, as a list in words.
pub(super) fn neighbors(alert: &Alert) -> String {
    alert.neighbors.join(", ")
}

/// What happened, in capitals for a subject line: the severity, or that it is over.
pub(super) fn shout(change: &Change) -> String {
    match (change.why, change.alert.state) {
        (Why::Resolved, _) | (_, State::Resolved) => "RESOLVED".to_owned(),
        (Why::Acknowledged, _) => "ACKNOWLEDGED".to_owned(),
        _ => change.alert.severity.name().to_uppercase(),
    }
}

/// What tells one delivery from another, and stays the same when it is tried again.
pub fn delivery_id(change: &Change) -> String {
    format!("{}-{}", change.alert.id, change.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("höchst", 6), "höchst");
        assert_eq!(cut("höchste", 6), "höchs…");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut_octets("höchst", 2), "h");
        assert_eq!(cut_octets("höchst", 3), "hö");
        assert_eq!(cut_octets("höchst", 70), "höchst");
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(one_line("a\r\nBcc: b\tc\u{7f}"), "a  Bcc: b c ");
    }
}
