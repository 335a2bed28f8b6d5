//! Extended communities other than route targets, by the words operators use: the actions of flow specifications
//! (RFC 8955 §7) and what accompanies EVPN and VPN routes (RFC 9012, RFC 7432 §7). One table; `community` asks it for
//! both directions. A value that would lose something in its words is printed in hex instead.

use std::net::Ipv4Addr;

/// One kind: the octets that name it and how its other six read.
struct Kind {
    /// Type and sub-type.
    code: u16,
    name: &'static str,
    print: fn([u8; 6]) -> Option<String>,
    parse: fn(&str) -> Option<[u8; 6]>,
}

/// THE table. `traffic-rate:0:0` drops the packets.
const KINDS: &[Kind] = &[
    Kind { code: 0x8006, name: "traffic-rate", print: print_rate, parse: parse_rate },
    Kind { code: 0x800c, name: "traffic-rate-packets", print: print_rate, parse: parse_rate },
    Kind { code: 0x8007, name: "traffic-action", print: print_action, parse: parse_action },
    Kind { code: 0x8008, name: "redirect", print: print_as2, parse: parse_as2 },
    Kind { code: 0x8108, name: "redirect", print: print_address, parse: parse_address },
    Kind { code: 0x8208, name: "redirect", print: print_as4, parse: parse_as4 },
    Kind { code: 0x8009, name: "traffic-marking", print: print_last, parse: parse_dscp },
    Kind { code: 0x030c, name: "encap", print: print_encapsulation, parse: parse_encapsulation },
    Kind { code: 0x030b, name: "color", print: print_color, parse: parse_color },
    Kind { code: 0x0600, name: "mac-mobility", print: print_mobility, parse: parse_mobility },
    Kind { code: 0x0602, name: "es-import", print: print_mac, parse: parse_mac },
    Kind { code: 0x0603, name: "router-mac", print: print_mac, parse: parse_mac },
];

/// Tunnel types of the encapsulation community that EVPN uses (RFC 8365 §5.1.2, IANA).
const ENCAPSULATIONS: [(u16, &str); 5] = [(2, "gre"), (8, "vxlan"), (9, "nvgre"), (10, "mpls"), (12, "vxlan-gpe")];

/// Names of kinds, for messages.
pub(super) const NAMES: &str =
    "traffic-rate:0:125000, traffic-action:sample, redirect:64500:1, traffic-marking:46, encap:vxlan, color:100";

/// The words for a community; `None` where the table has none for it.
pub(super) fn print(community: u64) -> Option<String> {
    let [high, low, a, b, c, d, e, f] = community.to_be_bytes();
    let code = u16::from_be_bytes([high, low]);
    let kind = KINDS.iter().find(|kind| kind.code == code)?;
    Some(format!("{}:{}", kind.name, (kind.print)([a, b, c, d, e, f])?))
}

/// The community for words; the first kind of this name that understands them.
pub(super) fn parse(name: &str, words: &str) -> Option<u64> {
    let mut kinds = KINDS.iter().filter(|kind| kind.name == name);
    kinds.find_map(|kind| {
        let ([a, b, c, d, e, f], [high, low]) = ((kind.parse)(words)?, kind.code.to_be_bytes());
        Some(u64::from_be_bytes([high, low, a, b, c, d, e, f]))
    })
}

/// RFC 8955 §7.1, §7.2: an AS for information, then a rate as IEEE 754 single precision.
fn print_rate([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    let rate = f32::from_be_bytes([c, d, e, f]);
    let good = rate.is_finite() && !rate.is_sign_negative();
    good.then(|| format!("{}:{rate}", u16::from_be_bytes([a, b])))
}

fn parse_rate(words: &str) -> Option<[u8; 6]> {
    let (asn, rate) = words.split_once(':').unwrap_or(("0", words));
    let rate: f32 = rate.parse().ok().filter(|rate: &f32| rate.is_finite() && !rate.is_sign_negative())?;
    Some(join(asn.parse::<u16>().ok()?.to_be_bytes(), rate.to_be_bytes()))
}

/// RFC 8955 §7.3: bit 46 samples and logs, bit 47 lets further filters be asked (`terminal` in the RFC).
fn print_action(octets: [u8; 6]) -> Option<String> {
    match octets {
        [0, 0, 0, 0, 0, bits] => {
            let words = ["none", "terminal", "sample", "sample+terminal"];
            words.get(usize::from(bits)).map(|words| (*words).to_owned())
        }
        _ => None,
    }
}

fn parse_action(words: &str) -> Option<[u8; 6]> {
    let bits = words.split('+').try_fold(0, |bits, word| match word {
        "none" => Some(bits),
        "terminal" => Some(bits | 1),
        "sample" => Some(bits | 2),
        _ => None,
    })?;
    Some([0, 0, 0, 0, 0, bits])
}

fn join<const A: usize, const B: usize>(first: [u8; A], second: [u8; B]) -> [u8; 6] {
    let mut octets = [0; 6];
    octets.iter_mut().zip(first.into_iter().chain(second)).for_each(|(place, octet)| *place = octet);
    octets
}

fn print_as2([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    Some(format!("{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

fn parse_as2(words: &str) -> Option<[u8; 6]> {
    let (asn, value) = words.split_once(':')?;
    Some(join(asn.parse::<u16>().ok()?.to_be_bytes(), value.parse::<u32>().ok()?.to_be_bytes()))
}

fn print_address([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    Some(format!("{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, f])))
}

fn parse_address(words: &str) -> Option<[u8; 6]> {
    let (address, value) = words.split_once(':')?;
    Some(join(address.parse::<Ipv4Addr>().ok()?.octets(), value.parse::<u16>().ok()?.to_be_bytes()))
}

/// A small AS in the four-octet form has an `L`, as in route targets.
fn print_as4([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    let asn = u32::from_be_bytes([a, b, c, d]);
    let long = if asn <= 0xffff { "L" } else { "" };
    Some(format!("{asn}{long}:{}", u16::from_be_bytes([e, f])))
}

fn parse_as4(words: &str) -> Option<[u8; 6]> {
    let (asn, value) = words.split_once(':')?;
    let asn: u32 = match asn.strip_suffix('L') {
        Some(small) => small.parse().ok()?,
        None => asn.parse().ok().filter(|asn| *asn > 0xffff)?,
    };
    Some(join(asn.to_be_bytes(), value.parse::<u16>().ok()?.to_be_bytes()))
}

/// RFC 8955 §7.5: a DSCP in the last octet.
fn print_last(octets: [u8; 6]) -> Option<String> {
    match octets {
        [0, 0, 0, 0, 0, dscp] if dscp < 64 => Some(dscp.to_string()),
        _ => None,
    }
}

fn parse_dscp(words: &str) -> Option<[u8; 6]> {
    Some([0, 0, 0, 0, 0, words.parse().ok().filter(|dscp| *dscp < 64)?])
}

/// RFC 9012 §4.1: tunnel type in the last two octets.
fn print_encapsulation(octets: [u8; 6]) -> Option<String> {
    let [0, 0, 0, 0, high, low] = octets else { return None };
    let kind = u16::from_be_bytes([high, low]);
    let known = ENCAPSULATIONS.iter().find(|(code, _)| *code == kind);
    Some(known.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned()))
}

fn parse_encapsulation(words: &str) -> Option<[u8; 6]> {
    let known = ENCAPSULATIONS.iter().find(|(_, name)| *name == words).map(|(code, _)| *code);
    Some(join([0; 4], known.or_else(|| words.parse().ok())?.to_be_bytes()))
}

/// RFC 9012 §4.3, RFC 9256 §8.8.1: two octets of flags and a colour. Flags other than zero are shown in hex.
fn print_color([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    ([a, b] == [0, 0]).then(|| u32::from_be_bytes([c, d, e, f]).to_string())
}

fn parse_color(words: &str) -> Option<[u8; 6]> {
    Some(join([0; 2], words.parse::<u32>().ok()?.to_be_bytes()))
}

/// RFC 7432 §7.7: sticky flag, sequence number.
fn print_mobility([flags, zero, c, d, e, f]: [u8; 6]) -> Option<String> {
    let sequence = u32::from_be_bytes([c, d, e, f]);
    match (flags, zero) {
        (0, 0) => Some(sequence.to_string()),
        (1, 0) => Some(format!("{sequence}:sticky")),
        _ => None,
    }
}

fn parse_mobility(words: &str) -> Option<[u8; 6]> {
    let (sequence, flags) = match words.split_once(':') {
        Some((sequence, "sticky")) => (sequence, 1),
        Some(_) => return None,
        None => (words, 0),
    };
    Some(join([flags, 0], sequence.parse::<u32>().ok()?.to_be_bytes()))
}

fn print_mac([a, b, c, d, e, f]: [u8; 6]) -> Option<String> {
    Some(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
}

fn parse_mac(words: &str) -> Option<[u8; 6]> {
    let octets: Vec<u8> = words
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() == 2))
        .collect::<Option<_>>()?;
    octets.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::community::ExtCommunity;

    #[test]
    fn communities_with_a_meaning_are_read_and_printed_in_words() {
        for (value, text) in [
            (0x8006_0000_0000_0000, "traffic-rate:0:0"),
            (0x8006_fbf4_4974_2400, "traffic-rate:64500:1000000"),
            (0x800c_0000_42c8_0000, "traffic-rate-packets:0:100"),
            // RFC 8955 §7.1: "MUST NOT be negative"; such a value is not written in words.
            (0x8006_0000_c974_2400, "0x80060000c9742400"),
            (0x8006_0000_7f80_0000, "0x800600007f800000"),
            (0x8007_0000_0000_0000, "traffic-action:none"),
            (0x8007_0000_0000_0003, "traffic-action:sample+terminal"),
            (0x8007_0100_0000_0003, "0x8007010000000003"),
            (0x8008_fbf4_0001_1170, "redirect:64500:70000"),
            (0x8108_c000_0201_0009, "redirect:192.0.2.1:9"),
            (0x8208_0001_0000_0009, "redirect:65536:9"),
            (0x8208_0000_fbf4_0009, "redirect:64500L:9"),
            (0x8009_0000_0000_002e, "traffic-marking:46"),
            (0x8009_0000_0000_0040, "0x8009000000000040"),
            (0x030c_0000_0000_0008, "encap:vxlan"),
            (0x030c_0000_0000_0063, "encap:99"),
            (0x030b_0000_0000_0064, "color:100"),
            (0x030b_c000_0000_0064, "0x030bc00000000064"),
            (0x4300_0000_0000_0003, "0x4300000000000003"),
            (0x0600_0100_0000_0007, "mac-mobility:7:sticky"),
            (0x0602_0000_5e00_5301, "es-import:00:00:5e:00:53:01"),
            (0x0603_0000_5e00_5301, "router-mac:00:00:5e:00:53:01"),
        ] {
            assert_eq!(ExtCommunity(value).to_string(), text);
            assert_eq!(text.parse(), Ok(ExtCommunity(value)), "{text}");
        }
        assert_eq!("traffic-rate:0".parse(), Ok(ExtCommunity(0x8006 << 48)), "the AS may be left out");
        for wrong in [
            "traffic-rate:-1",
            "traffic-rate:nan",
            "traffic-action:drop",
            "traffic-marking:64",
            "encap:x",
            "es-import:1",
        ] {
            assert!(wrong.parse::<ExtCommunity>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn words_lose_nothing(kind in 0..KINDS.len(), octets in proptest::prelude::any::<[u8; 6]>(), small in proptest::prelude::any::<bool>()) {
            let [a, b, c, d, e, f] = if small { join([0; 4], [octets[4], octets[5]]) } else { octets };
            let [high, low] = KINDS[kind].code.to_be_bytes();
            let community = ExtCommunity(u64::from_be_bytes([high, low, a, b, c, d, e, f]));
            proptest::prop_assert_eq!(community.to_string().parse(), Ok(community));
        }
    }
}
