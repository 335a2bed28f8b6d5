//! Import in the engine: what policies and the rules of RFCs make of what neighbours send, what others are told of it,
//! and what happens when policies change while sessions go on.

use std::sync::Arc;

use ribwatch::{
    config::Config,
    engine::{Input, LocalAs},
    policy::Library,
    types::{Asn, Family, Role},
    view::{Answer, Query, Table},
};

use crate::lab::{Lab, Spec, Who, p};

mod changes;
mod daemon;
mod dropped;
mod kept;
mod loops;
mod roles;
mod statements;

const V4: Family = Family::IPV4_UNICAST;

/// The policies of a configuration file that has these sections.
fn library(sections: &str) -> Arc<Library> {
    let text = format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n{sections}");
    Config::parse("story.toml", &text).unwrap_or_else(|error| panic!("{error}")).policy.library
}

/// A policy of statements in the words of the file: `match = {...}, set = {...}, verdict = "..."` each.
fn policy(name: &str, statements: &[&str]) -> String {
    let statements = statements.iter().map(|statement| format!("{{ {statement} }}")).collect::<Vec<_>>().join(", ");
    format!("[[policy.policy]]\nname = \"{name}\"\nstatement = [{statements}]\n")
}

/// The engine has these policies from now on, and comes to rest.
fn load(lab: &mut Lab, sections: &str) {
    lab.handle(Input::Policies(library(sections)));
    lab.settle();
}

/// Our role towards the neighbour, as both sides agreed.
fn as_role(mut spec: Spec, role: Role) -> Spec {
    spec.negotiated.local_role = Some(role);
    spec
}

fn local_as(mut spec: Spec, asn: u32, no_prepend: bool) -> Spec {
    spec.settings.local_as = Some(LocalAs { asn: Asn(asn), no_prepend, replace_as: false });
    spec.negotiated.local_asn = Asn(asn);
    spec
}

/// Why the first path of a prefix cannot be chosen; `None` where it can.
fn ineligible(lab: &mut Lab, prefix: &str) -> Option<String> {
    let family = crate::lab::family_of(p(prefix));
    match lab.ask(&Query::Explain { family, prefix: p(prefix) }) {
        Ok(Answer::Explanation(why)) => why.candidates.first().and_then(|one| one.ineligible.clone()),
        other => panic!("no explanation: {other:?}"),
    }
}

/// The one path that a neighbour sent, as printed: AS_PATH, LOCAL_PREF, communities, and who rejected it.
fn sent(lab: &mut Lab, table: Table, who: Who) -> (String, Option<u32>, Vec<String>, Option<String>) {
    let page = lab.table(table, Some(who));
    let row = page.rows.first().expect("a path");
    let set = page.attrs(row);
    let communities = set.communities().map(|community| community.to_string()).collect();
    (set.as_path().to_string(), set.local_pref(), communities, row.rejected_by.as_deref().map(str::to_owned))
}
