//! The malformed messages of the corpus: each one must cost exactly what the RFCs ask. Here the classes `header`,
//! `open` and `refresh`.

use ribwatch::wire::{
    bgp::{MAX_LEN, MessageType, RefreshSubtype, RouteRefresh, frame, open::Open},
    error::Fault,
};

use crate::corpus;

/// `accept`, `ignore`, or the NOTIFICATION of the reset.
fn outcome(octets: &[u8]) -> String {
    match decode(octets) {
        Ok(outcome) => outcome.into(),
        Err(fault) => fault.notification.map(|code| code.to_string()).unwrap_or_default(),
    }
}

fn decode(octets: &[u8]) -> Result<&'static str, Fault> {
    let frame = frame(octets, MAX_LEN)?.expect("every case is a whole message");
    match frame.kind {
        MessageType::Open => Open::decode(frame.message).map(|_| "accept"),
        MessageType::RouteRefresh => RouteRefresh::decode(frame.message).map(|refresh| match refresh.subtype {
            RefreshSubtype::Unknown(_) => "ignore",
            _ => "accept",
        }),
        _ => Ok("accept"),
    }
}

#[test]
fn malformed_headers_opens_and_refreshes_cost_what_the_rfcs_ask() {
    let Some(cases) = corpus::json_lines("vectors/malformed-rfc7606.jsonl") else { return };
    let mut checked = 0;
    for case in cases {
        let field = |name: &str| case[name].as_str().unwrap_or_default();
        if !matches!(field("class"), "header" | "open" | "refresh") {
            continue;
        }
        let expect = &case["expect"];
        // A reset is named by its NOTIFICATION; some cases leave the choice between two.
        let expected = expect["notification"].as_str().or(expect["action"].as_str()).expect("a case expects something");
        let got = outcome(&corpus::hex(field("hex")));
        assert!(expected.split(" or ").any(|one| one == got), "{}: {got} instead of {expected}", field("name"));
        checked += 1;
    }
    assert!(checked >= 14, "only {checked} cases of these classes were found");
}
