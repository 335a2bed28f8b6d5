//! What people read about a session: log lines, and what was agreed on, item by item.

use std::{fmt::Write, time::Duration};

use crate::{session::negotiate::Negotiated, types::Family};

/// `AS64496, 2 families, hold 90s`.
pub(super) fn established(negotiated: &Negotiated) -> String {
    let families = match negotiated.families.as_slice() {
        [] => "no families".to_owned(),
        [family] => family.to_string(),
        several => format!("{} families", several.len()),
    };
    let hold = match negotiated.hold_time.as_secs() {
        0 => "no keepalives".to_owned(),
        secs => format!("hold {secs}s"),
    };
    format!("AS{}, {families}, {hold}", negotiated.peer_asn)
}

/// The two largest units of a duration: `3h12m`, `45s`, `12d4h`.
pub(super) fn age(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs}s"),
        (0, 0, _) => format!("{minutes}m{}s", secs % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// What both OPENs agreed on, one item each, for `ribwatch neighbor X`.
pub(super) fn agreed(negotiated: &Negotiated) -> Vec<String> {
    let mut items = vec![
        format!("families {}", names(&negotiated.families)),
        format!("hold time {}s, keepalive {}s", negotiated.hold_time.as_secs(), negotiated.keepalive.as_secs()),
        if negotiated.four_octet_as { "4-octet AS numbers" } else { "2-octet AS numbers" }.to_owned(),
    ];
    let mut optional = |wanted: bool, item: String| {
        if wanted {
            items.push(item);
        }
    };
    let n = negotiated;
    optional(n.route_refresh, if n.enhanced_refresh { "enhanced route refresh" } else { "route refresh" }.to_owned());
    optional(n.extended_message, "messages up to 65535 octets".to_owned());
    optional(!n.add_path_receive.is_empty(), format!("add-path receive {}", names(&n.add_path_receive)));
    optional(!n.add_path_send.is_empty(), format!("add-path send {}", names(&n.add_path_send)));
    optional(!n.filters_received.is_empty(), format!("route filters received {}", names(&n.filters_received)));
    optional(!n.filters_sent.is_empty(), format!("route filters sent {}", names(&n.filters_sent)));
    optional(!n.extended_next_hop.is_empty(), format!("IPv6 next hops for {}", names(&n.extended_next_hop)));
    items.extend(n.describe_restart());
    if let Some(role) = n.local_role {
        items.push(format!("roles: we are {}, it is {}", role.name(), role.counterpart().name()));
    }
    items.extend(n.hostname.as_ref().map(|hostname| format!("hostname {}", printable(hostname))));
    items.extend(n.software.as_ref().map(|software| format!("software {}", printable(software))));
    items
}

fn names(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{gap}{family}");
    }
    text
}

/// Text that a peer chose, safe for a terminal and for one log line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_show_their_two_largest_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (754, "12m34s"),
            (11_520, "3h12m"),
            (86_400, "1d0h"),
            (1_051_200, "12d4h"),
        ];
        for (secs, text) in cases {
            assert_eq!(age(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn control_characters_of_a_peer_reach_no_terminal() {
        assert_eq!(printable("rtr\u{1b}[2J\n1"), "rtr?[2J?1");
    }
}
