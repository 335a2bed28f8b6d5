//! `[[neighbor_group]]`: keys that many neighbours share. A neighbour names one with `group`; what it does not say
//! itself is said by its group, and by the group of that group. A value is taken whole: lists and tables are not
//! mixed. What identifies a neighbour (`name`, `address`, `range`) is never inherited.

use toml::{Spanned, de::DeTable, de::DeValue};

use super::{
    super::{
        policy::PolicyNames,
        read::{Inherited, Misfit, Table, Value},
        source::nearest,
        value,
    },
    parts, read_anyone,
};

/// What each neighbour and group says for itself.
const NEVER_INHERITED: &[&str] = &["name", "address", "range", "group"];

/// Keys that say the same thing in different ways.
const RIVALS: &[&[&str]] =
    &[&["password", "password_file"], &["ttl_security", "multihop"], &["next_hop_self", "next_hop_unchanged"]];

/// All groups of a file.
#[derive(Default)]
pub(in crate::config) struct Groups<'a> {
    list: Vec<Group<'a>>,
}

struct Group<'a> {
    name: String,
    table: &'a DeTable<'a>,
    /// The name of its own group, whether or not there is one of that name.
    parent: Option<&'a str>,
}

impl<'a> Groups<'a> {
    /// Reads all groups; faults of their values are told once, where they stand.
    pub(in crate::config) fn read(file: &mut Table<'a>, policies: &PolicyNames) -> Self {
        let mut groups = Self::default();
        let mut named = Vec::new();
        for mut table in file.tables("neighbor_group", "[[neighbor_group]]") {
            let mut name = table.required("name", "name = \"members\"", value::label);
            if let Some(double) = name.take_if(|name| groups.list.iter().any(|group| group.name == *name)) {
                let what = format!("a second [[neighbor_group]] has the name {double:?}");
                table.fault(table.span_of("name"), what, "give each group a name of its own");
            }
            if let Some(name) = name.clone() {
                let parent = match table.own().get("group").map(Spanned::get_ref) {
                    Some(DeValue::String(parent)) => Some(parent.as_ref()),
                    _ => None,
                };
                groups.list.push(Group { name, table: table.own(), parent });
            }
            named.push((table, name));
        }
        for (mut table, name) in named {
            groups.check(&mut table, name.as_deref());
            for key in ["address", "range"] {
                if table.has(key) {
                    table.know(key);
                    let what = format!("`{key}` is about one neighbor, and this is a group");
                    table.fault(table.span_of(key), what, "move it to a [[neighbor]] that has `group`");
                }
            }
            table.opt("remote_asn", parts::read_remote_asn);
            read_anyone(&mut table, policies);
            table.finish();
        }
        groups
    }

    /// Checks the `group` of a group: there is one of that name, and the way up ends.
    fn check(&self, table: &mut Table<'a>, name: Option<&str>) {
        let parent = table.opt("group", |v| self.name(v));
        let (Some(name), Some(parent)) = (name, parent) else { return };
        let chain = self.chain(&parent);
        // Whoever leads into a circle without being in it need not be told.
        if chain.iter().any(|group| group.name == name) {
            let way: Vec<&str> = [name].into_iter().chain(chain.iter().map(|group| group.name.as_str())).collect();
            let way = match way.iter().skip(1).position(|other| *other == name) {
                Some(end) => way.get(..end + 2).unwrap_or(&way).join(" -> "),
                None => way.join(" -> "),
            };
            let what = format!("`group`: the group inherits from itself: {way}");
            table.fault(table.span_of("group"), what, "remove `group` from one of them");
        }
    }

    /// The group of this name and those that it inherits from, nearest first; each once, so that it ends.
    fn chain(&self, name: &str) -> Vec<&Group<'a>> {
        let mut chain: Vec<&Group<'a>> = Vec::new();
        let mut next = Some(name);
        while let Some(group) = next.and_then(|name| self.list.iter().find(|group| group.name == name)) {
            if chain.iter().any(|before| before.name == group.name) {
                break;
            }
            next = group.parent;
            chain.push(group);
        }
        chain
    }

    /// Reads `group` of a neighbour; what the table lacks comes from there.
    pub(super) fn inherit(&self, mut table: Table<'a>) -> (Table<'a>, Option<String>) {
        let group = table.opt("group", |v| self.name(v));
        let tables: Vec<&'a DeTable<'a>> =
            group.as_deref().map(|name| self.chain(name)).unwrap_or_default().iter().map(|group| group.table).collect();
        let incomplete = group.is_none() && table.has_own("group");
        let inherited = Inherited { tables, never: NEVER_INHERITED, rivals: RIVALS, incomplete };
        (table.inheriting(inherited), group)
    }

    /// The name of a group.
    fn name(&self, value: &Value<'_>) -> Result<String, Misfit> {
        let names: Vec<&str> = self.list.iter().map(|group| group.name.as_str()).collect();
        let accepted = match names.len() {
            0 => "the name of a [[neighbor_group]]; the file has none".to_owned(),
            1..=12 => names.join(", "),
            _ => "the name of a [[neighbor_group]]".to_owned(),
        };
        let DeValue::String(name) = value.get_ref() else {
            return Err(value::misfit(value, "the name of a group", accepted));
        };
        if names.contains(&name.as_ref()) {
            return Ok(name.clone().into_owned());
        }
        let mut what = format!("no [[neighbor_group]] is called {name:?}");
        if let Some(near) = nearest(name, names.iter().copied()) {
            what.push_str(&format!("; did you mean \"{near}\"?"));
        }
        Err(Misfit { span: value.span(), what, accepted })
    }
}
