//! One line as RFC 5424 wants it, and how lines follow each other over UDP (RFC 5426), TCP (RFC 6587 §3.4.1, octet
//! counting) and TLS (RFC 5425, the same counting).
//!
//! UDP loses lines and nobody hears of it; TCP may lose what was on its way when the connection broke. Who must not miss
//! an alert takes another sink beside this one.

use std::fmt::Write as _;

use super::{Context, text};
use crate::{
    alert::{Change, State},
    detect::Severity,
};

/// What a receiver of UDP should take at least (RFC 5424 §6.1).
const UDP_OCTETS_MAX: usize = 2048;
/// Longest value of one parameter, so that a line stays one.
const PARAM_OCTETS_MAX: usize = 255;

/// How lines travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One line in each datagram.
    Udp,
    /// Counted octets.
    Tcp,
    /// Counted octets inside TLS.
    Tls,
}

/// A receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Host and port.
    pub address: String,
    /// How lines travel.
    pub transport: Transport,
    /// 0 to 23 (RFC 5424 §6.2.1).
    pub facility: u8,
    /// The number behind `ribwatch@` in the name of the structured data (RFC 5424 §7.2.2).
    pub enterprise_id: u32,
}

/// What goes onto the wire for `change`.
pub fn octets(settings: &Settings, change: &Change, context: &Context<'_>) -> Vec<u8> {
    let line = line(settings, change, context);
    match settings.transport {
        Transport::Udp => text::cut_octets(&line, UDP_OCTETS_MAX).as_bytes().to_vec(),
        Transport::Tcp | Transport::Tls => format!("{} {line}", line.len()).into_bytes(),
    }
}

/// The line, without what frames it (RFC 5424 §6).
pub fn line(settings: &Settings, change: &Change, context: &Context<'_>) -> String {
    let alert = &*change.alert;
    // RFC 5424 §6.2.1: 2 critical, 4 warning, 5 notice, 6 informational.
    let severity = match (alert.state, alert.severity) {
        (State::Resolved, _) => 5,
        (_, Severity::Critical) => 2,
        (_, Severity::Warning) => 4,
        (_, Severity::Info) => 6,
    };
    let mut line = format!(
        "<{}>1 {} {} ribwatch {} {} [ribwatch@{}",
        u16::from(settings.facility) * 8 + severity,
        change.at,
        name(context.source, 255),
        std::process::id(),
        name(alert.kind().name(), 32),
        settings.enterprise_id,
    );
    let mut param = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(line, " {name}=\"{}\"", escaped(value));
        }
    };
    param("id", &alert.id);
    param("event", change.why.name());
    param("seq", &change.seq.to_string());
    param("severity", alert.severity.name());
    param("state", alert.state.name());
    param("prefix", &alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default());
    for (part, asns) in &alert.asns {
        let asns: Vec<String> = asns.iter().map(|asn| asn.0.to_string()).collect();
        param(&name(&format!("{part}_asn"), 32), &asns.join(" "));
    }
    param("neighbors", &text::neighbors(alert));
    line.push_str("] ");
    let words = text::one_line(&format!("{}. {}", alert.summary, alert.why));
    // RFC 5424 §6.4: text that is more than ASCII begins with the mark that says so.
    if !words.is_ascii() {
        line.push('\u{feff}');
    }
    line + &words
}

/// A field of the header or the name of a parameter: printable ASCII without spaces and without what ends a name
/// (RFC 5424 §6.2, §6.3.3); `-` when nothing is left.
fn name(text: &str, octets_max: usize) -> String {
    let fits = |c: &char| c.is_ascii_graphic() && !"=]\"".contains(*c);
    let name: String = text.chars().filter(fits).take(octets_max).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// RFC 5424 §6.3.3: `"`, `\` and `]` have a backslash before them.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in text::one_line(text::cut_octets(value, PARAM_OCTETS_MAX)).chars() {
        if "\"\\]".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{sink::sample, types::Timestamp};

    fn settings(transport: Transport) -> Settings {
        Settings { address: "192.0.2.1:514".into(), transport, facility: 16, enterprise_id: 32473 }
    }

    #[test]
    fn a_line_has_the_parts_of_rfc_5424_in_their_order() {
        let (opened, resolved) = sample::pair(Timestamp(1_764_000_000_250_000), 1);
        let context = Context::plain("rtr-1.example net");
        let pid = std::process::id();
        assert_eq!(
            line(&settings(Transport::Udp), &opened, &context),
            format!(
                "<130>1 2025-11-24T16:00:00.250Z rtr-1.examplenet ribwatch {pid} subprefix-hijack \
                 [ribwatch@32473 id=\"test-1\" event=\"opened\" seq=\"1\" severity=\"critical\" state=\"open\" \
                 prefix=\"203.0.113.128/25\" expected_asn=\"64500\" observed_asn=\"64511\" neighbors=\"edge-1\"] \
                 TEST: AS64511 announces 203.0.113.128/25 inside 203.0.113.0/24 of AS64500. This is a test of this sink \
                 and no route is concerned."
            )
        );
        assert!(line(&settings(Transport::Udp), &resolved, &context).starts_with("<133>1 "), "notice");
    }

    #[test]
    fn octets_are_counted_on_streams_and_cut_in_datagrams() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let mut alert = (*opened.alert).clone();
        alert.why = "ä".repeat(3000);
        let long = Change { alert: Arc::new(alert), ..opened };
        let (udp, tcp) = (settings(Transport::Udp), settings(Transport::Tcp));
        let context = Context::plain("r");
        let datagram = String::from_utf8(octets(&udp, &long, &context)).expect("cut between characters");
        assert!((2047..=2048).contains(&datagram.len()));
        assert!(datagram.contains("] \u{feff}TEST"), "RFC 5424 §6.4: a mark before what is not ASCII");
        let stream = String::from_utf8(octets(&tcp, &long, &context)).unwrap();
        let (count, rest) = stream.split_once(' ').unwrap();
        assert_eq!(count.parse(), Ok(rest.len()), "RFC 6587 §3.4.1");
    }

    #[test]
    fn values_cannot_end_early_and_names_have_no_spaces() {
        assert_eq!(escaped("a\"b\\c]d\ne"), "a\\\"b\\\\c\\]d e");
        assert_eq!(name("a b=c]\"d é", 32), "abcd");
        assert_eq!(name("  ", 32), "-");
        assert_eq!(name("abc", 2), "ab");
    }
}
