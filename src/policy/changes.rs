//! What differs between two attribute sets, in words: what a statement did, what a policy would change.

use std::fmt;

use crate::wire::bgp::attribute::{self, AttrSet, code};

/// One attribute that differs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Change {
    /// The name of the attribute, as in JSON answers.
    pub attribute: String,
    /// Its value before, as text; `None`: it was not there.
    pub before: Option<String>,
    /// Its value after; `None`: it is gone.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        write!(f, "{} {} -> {}", self.attribute, word(&self.before), word(&self.after))
    }
}

/// What differs between two sets, ascending by type code.
pub fn changes(before: AttrSet<'_>, after: AttrSet<'_>) -> Vec<Change> {
    if before == after {
        return Vec::new();
    }
    let mut codes: Vec<u8> = before.iter().chain(after.iter()).map(|(_, code, _)| code).collect();
    codes.sort_unstable();
    codes.dedup();
    // The next hop is one thing to people, whichever attribute it stands in.
    codes.retain(|code| *code != code::MP_REACH || !codes_have(before, after, code::NEXT_HOP));
    let differs = |code: &u8| match *code {
        code::NEXT_HOP | code::MP_REACH => before.next_hop() != after.next_hop(),
        code => before.get(code) != after.get(code),
    };
    let change = |code: u8| Change { attribute: name(code), before: value(before, code), after: value(after, code) };
    codes.into_iter().filter(differs).map(change).collect()
}

fn codes_have(before: AttrSet<'_>, after: AttrSet<'_>, code: u8) -> bool {
    before.get(code).is_some() || after.get(code).is_some()
}

fn name(code: u8) -> String {
    match code {
        code::ORIGIN => "origin",
        code::AS_PATH => "as_path",
        code::NEXT_HOP | code::MP_REACH => "next_hop",
        code::MED => "med",
        code::LOCAL_PREF => "local_pref",
        code::COMMUNITIES => "communities",
        code::EXT_COMMUNITIES => "ext_communities",
        code::IPV6_EXT_COMMUNITIES => "ipv6_ext_communities",
        code::LARGE_COMMUNITIES => "large_communities",
        other => return attribute::name(other).to_lowercase(),
    }
    .to_owned()
}

fn value(set: AttrSet<'_>, code: u8) -> Option<String> {
    let list = |members: &mut dyn Iterator<Item = String>| members.collect::<Vec<_>>().join(" ");
    if matches!(code, code::NEXT_HOP | code::MP_REACH) {
        return set.next_hop().map(|next_hop| next_hop.to_string());
    }
    let octets = set.get(code)?;
    Some(match code {
        code::ORIGIN => set.origin()?.to_string(),
        code::AS_PATH => format!("`{}`", set.as_path()),
        code::MED => set.med()?.to_string(),
        code::LOCAL_PREF => set.local_pref()?.to_string(),
        code::COMMUNITIES => list(&mut set.communities().map(|community| community.to_string())),
        code::EXT_COMMUNITIES => list(&mut set.ext_communities().map(|community| community.to_string())),
        code::IPV6_EXT_COMMUNITIES => list(&mut set.ipv6_ext_communities().map(|community| community.to_string())),
        code::LARGE_COMMUNITIES => list(&mut set.large_communities().map(|community| community.to_string())),
        _ => list(&mut octets.iter().map(|octet| format!("{octet:02x}"))),
    })
}
