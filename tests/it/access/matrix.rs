//! Every RPC and every address, with nothing, with what is wrong, and with each role.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use ribwatch::{
    access::{Entry, Need, Outcome, Role, table},
    web,
};
use tonic::Code;

use super::*;

/// Names of what is shown; those of roles have the token of that role.
const SHOWN: [&str; 6] = ["nothing", "nonsense", "late", "view", "operate", "admin"];

fn shown_token(name: &str) -> Option<String> {
    (name != "nothing").then(|| token_of(name))
}

/// What is to come of `shown` where `need` is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    In,
    Who,
    Low,
}

fn expected(shown: &str, need: Need) -> Expected {
    match (need, shown.parse::<Role>()) {
        (Need::Nothing, _) => Expected::In,
        (Need::Role(_), Err(_)) => Expected::Who,
        (Need::Role(needs), Ok(role)) if role < needs => Expected::Low,
        _ => Expected::In,
    }
}

/// Whether the audit log has what it must have: every refusal, every change, and nothing else.
fn check_written(written: &[Entry], what: &str, shown: &str, need: Need, expected: Expected) {
    let is_change = matches!(need, Need::Role(role) if role > Role::View);
    let told = format!("{what} with {shown}: {written:?}");
    match (expected, written) {
        (Expected::In, []) => assert!(!is_change, "{told}"),
        (Expected::In, [entry]) => {
            assert!(is_change && entry.who.as_deref() == Some(shown) && entry.what == what, "{told}");
            assert!(!matches!(entry.outcome, Outcome::Refused(_)), "{told}");
        }
        (Expected::Who | Expected::Low, [entry]) => {
            let who = (expected == Expected::Low || shown == "late").then_some(shown);
            assert!(matches!(entry.outcome, Outcome::Refused(_)) && entry.who.as_deref() == who, "{told}");
            assert!(entry.what == what && entry.from.starts_with("127.0.0.1:"), "{told}");
        }
        _ => panic!("{told}"),
    }
    for name in SHOWN.iter().filter_map(|name| shown_token(name)) {
        assert!(written.iter().all(|entry| !entry.json().contains(&name)), "a token is written down: {told}");
    }
}

#[tokio::test]
async fn every_rpc_is_for_those_who_have_its_role() {
    let house = House::new(rules()).await;
    let channel = house.channel().await;
    for (path, need) in table::RPCS {
        for name in SHOWN {
            let status = call(&channel, path, shown_token(name).as_deref()).await.err().map(|status| status.code());
            let expected = expected(name, *need);
            let told = match status {
                Some(Code::Unauthenticated) => Expected::Who,
                Some(Code::PermissionDenied) => Expected::Low,
                Some(Code::ResourceExhausted | Code::Unimplemented | Code::Internal) => {
                    panic!("{path} {name}: {status:?}")
                }
                _ => Expected::In,
            };
            assert_eq!(told, expected, "{path} with {name}: {status:?}");
            check_written(&house.written(), path, name, *need, expected);
        }
    }
}

#[tokio::test]
async fn every_address_is_for_those_who_have_its_role() {
    let house = House::new(rules()).await;
    for (method, path) in web::addresses() {
        let need = table::route(method, Some(path));
        let asked = path.replace("{id}", "abcd").replace("{address}", "192.0.2.9").replace(['{', '}'], "");
        for name in SHOWN {
            let header: Vec<String> =
                shown_token(name).map(|token| format!("Authorization: Bearer {token}")).into_iter().collect();
            let answer = house.http(method, &asked, &header, "{}").await;
            let expected = expected(name, need);
            let told = match answer.status {
                401 => Expected::Who,
                403 => Expected::Low,
                405 | 429 => panic!("{method} {path} {name}: {answer:?}"),
                _ => Expected::In,
            };
            assert_eq!(told, expected, "{method} {path} with {name}: {answer:?}");
            assert_eq!(told == Expected::Who, answer.head.contains("www-authenticate: bearer"), "{answer:?}");
            check_written(&house.written(), &format!("{method} {asked}"), name, need, expected);
        }
    }
}

/// What is forgotten in the table is for administrators alone; so that it is not forgotten, here is what there is.
#[test]
fn the_table_names_every_rpc_that_is_served() {
    let sets = [
        ribwatch_proto::v1::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut served = BTreeSet::new();
    for set in sets {
        for file in FileDescriptorSet::decode(set).expect("descriptors").file {
            for service in &file.service {
                for method in &service.method {
                    served.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
    }
    // Served by the library since its 0.14, over the same messages: nothing is listed that the table does not know.
    let known: BTreeSet<String> = table::RPCS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(known.len(), table::RPCS.len(), "an RPC stands twice in the table");
    let missing: Vec<_> = served.difference(&known).collect();
    let gone: Vec<_> = known.difference(&served).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:?}; not served: {gone:?}");
}

#[test]
fn the_table_names_every_address_that_is_served() {
    let folder =
        |path: &'static str| table::FOLDERS.into_iter().find(|folder| path.starts_with(folder)).unwrap_or(path);
    let served: BTreeSet<_> = web::addresses().into_iter().map(|(method, path)| (method, folder(path))).collect();
    let known: BTreeSet<_> = table::ROUTES.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(known.len(), table::ROUTES.len(), "an address stands twice in the table");
    assert_eq!(known, served);
}

/// Nothing that changes anything is for those who only look, and nothing is read by nobody.
#[test]
fn the_table_says_what_roles_are_for() {
    let reads = [
        "List",
        "Get",
        "Stream",
        "Lookup",
        "Watch",
        "Explain",
        "Check",
        "WhatIf",
        "Diff",
        "Coverage",
        "ServerReflection",
    ];
    for (path, need) in table::RPCS.iter().filter(|(path, _)| !path.contains("grpc.health")) {
        let method = path.rsplit('/').next().expect("a name");
        let is_read = reads.iter().any(|word| method.starts_with(word));
        assert_eq!(*need == Need::Role(Role::View), is_read, "{path}");
    }
    for (method, path, need) in table::ROUTES.iter().filter(|(_, path, _)| *path != "/api/v1/session") {
        assert_eq!(*need > Need::Role(Role::View), *method != "GET", "{method} {path}");
    }
    assert_eq!(table::rpc("/ribwatch.v1.NeighborService/Unheard"), Need::Role(Role::Admin));
    assert_eq!(table::route("PUT", Some("/api/v1/alerts")), Need::Role(Role::Admin));
}
