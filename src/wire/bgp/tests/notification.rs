//! NOTIFICATION: names, texts, numbers, and the way from a fault to the peer.

use proptest::prelude::*;

use super::{hex, message};
use crate::{
    types::Family,
    wire::{
        bgp::{MAX_LEN, MessageType, frame, notification::Notification, open::Open},
        error::{Fault, NotificationCode},
    },
};

fn of(code: u8, subcode: u8, data: &str) -> Notification {
    Notification { code, subcode, data: hex(data) }
}

#[test]
fn people_read_names_and_numbers() {
    #[rustfmt::skip]
    let table: &[(Notification, &str)] = &[
        (of(1, 2, "0014"), "Message Header Error/Bad Message Length (1/2), data 0014"),      // RFC 4271 §6.1
        (of(2, 0, ""), "OPEN Message Error (2/0)"),
        (of(2, 2, ""), "OPEN Message Error/Bad Peer AS (2/2)"),
        (of(2, 7, "0104 00020001"), "OPEN Message Error/Unsupported Capability (2/7), data 010400020001"), // RFC 5492
        (of(2, 11, ""), "OPEN Message Error/Role Mismatch (2/11)"),                          // RFC 9234
        (of(3, 10, ""), "UPDATE Message Error/Invalid Network Field (3/10)"),
        (of(4, 0, ""), "Hold Timer Expired (4/0)"),
        (of(5, 3, "02"), "Finite State Machine Error/Unexpected Message in Established (5/3), data 02"), // RFC 6608
        (of(6, 2, ""), "Cease/Administrative Shutdown (6/2)"),                               // RFC 4486
        (of(6, 2, "04 6279 6521"), "Cease/Administrative Shutdown (6/2): \"bye!\""),         // RFC 9003
        (of(6, 1, "0001 01 000003e8"), "Cease/Maximum Number of Prefixes Reached (6/1): ipv4-unicast limit 1000"),
        (of(6, 9, "06 04 02 6f6b"), "Cease/Hard Reset (6/9): Cease/Administrative Reset (6/4): \"ok\""), // RFC 8538
        (of(6, 9, ""), "Cease/Hard Reset (6/9)"),
        (of(6, 10, ""), "Cease/BFD Down (6/10)"),                                            // RFC 9384
        (of(7, 1, ""), "ROUTE-REFRESH Message Error/Invalid Message Length (7/1)"),          // RFC 7313
        (of(8, 0, ""), "Send Hold Timer Expired (8/0)"),                                     // RFC 9687
        (of(6, 99, ""), "Cease (6/99)"),
        (of(99, 1, "ab"), "Unknown (99/1), data ab"),
    ];
    for (notification, expected) in table {
        assert_eq!(notification.to_string(), *expected);
    }
}

#[test]
fn the_shutdown_text_travels() {
    let text = "[TICKET-1] software upgrade; zurück in 2 Stunden";
    for notification in [Notification::administrative_shutdown(text), Notification::administrative_reset(text)] {
        assert_eq!(notification.shutdown_text().as_deref(), Some(text));
        assert_eq!(notification.clone().into_hard_reset().shutdown_text().as_deref(), Some(text));
    }
    assert_eq!(Notification::administrative_shutdown("").data, Vec::<u8>::new());
    assert_eq!(Notification::cease(3).shutdown_text(), None);
}

#[test]
fn a_long_text_is_cut_between_two_characters() {
    // RFC 9003 §2: 255 octets; ü has two, so 254 of them are used.
    let notification = Notification::administrative_shutdown(&"ü".repeat(200));
    assert_eq!((notification.data.len(), notification.data[0]), (255, 254));
    assert_eq!(notification.shutdown_text(), Some("ü".repeat(127)));
}

#[test]
fn a_received_text_is_taken_with_care() {
    #[rustfmt::skip]
    let table = [
        ("",                  None),                       // no length
        ("00",                None),                       // RFC 9003 §2: zero, no text follows
        ("05 6162",           Some("ab")),                 // shorter than its length says
        ("01 6162",           Some("a")),                  // longer
        ("03 61 ff 62",       Some("a\u{fffd}b")),         // RFC 9003 §4: invalid UTF-8 is not interpreted
        ("04 61 0a 1b 62",    Some("a\u{fffd}\u{fffd}b")), // RFC 9003 §6: no second line in the log
    ];
    for (data, expected) in table {
        assert_eq!(of(6, 2, data).shutdown_text().as_deref(), expected, "{data}");
    }
}

#[test]
fn a_fault_becomes_what_the_peer_is_told() {
    let fault = Open::decode(&message(MessageType::Open, &hex("03 fbf0 005a c0000209 00"))).unwrap_err();
    assert_eq!(Notification::from(&fault), of(2, 1, "0004"));
    // RFC 4271 §6.3: the fallback for a fault that has no code.
    assert_eq!(Notification::from(&Fault::withdraw(0, "RFC 7606 §4", "anything")), of(3, 1, ""));
}

#[test]
fn too_much_data_is_cut_to_4096_octets() {
    let notification =
        Notification { data: vec![7; 5000], ..Notification::new(NotificationCode::OPTIONAL_ATTRIBUTE_ERROR) };
    let wire = notification.encode();
    assert_eq!(wire.len(), MAX_LEN);
    assert!(notification.to_string().ends_with("07 and 4968 octets more"));
}

#[test]
fn the_prefix_limit_is_named() {
    assert_eq!(Notification::maximum_prefixes(Family::IPV6_UNICAST, 5), of(6, 1, "0002 01 00000005"));
}

proptest! {
    #[test]
    fn any_octets_decode_without_panic(octets: Vec<u8>) {
        for octets in [octets.clone(), message(MessageType::Notification, &octets)] {
            if let Ok(notification) = Notification::decode(&octets) {
                let _ = (notification.to_string(), notification.shutdown_text());
            }
        }
    }

    #[test]
    fn any_cease_is_shown_without_panic(subcode: u8, data: Vec<u8>) {
        let _ = Notification { code: 6, subcode, data }.to_string();
    }

    #[test]
    fn a_notification_survives_the_wire(code: u8, subcode: u8, data in prop::collection::vec(any::<u8>(), 0..300)) {
        let notification = Notification { code, subcode, data };
        let wire = notification.encode();
        prop_assert_eq!(frame(&wire, MAX_LEN).unwrap().unwrap().message.len(), wire.len());
        prop_assert_eq!(Notification::decode(&wire), Ok(notification));
    }
}
