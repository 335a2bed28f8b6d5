//! `ribwatch decode`: BGP messages from hexadecimal digits to JSON, one object per message. The decoder is the one of
//! the sessions, with its rules set to the letter of the RFCs (`Rules::strict`), so that what is printed as the
//! outcome is what the RFCs ask. The printed fields are in `shown`.

mod shown;

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use serde_json::{Map, Value};

use self::shown::{Content, Message, Route, Verdict};
use crate::{
    types::{FamilySet, PeerKind},
    view::nlri_json,
    wire::bgp::{
        Frame, MAX_EXTENDED_LEN, MessageType, RouteRefresh,
        attribute::{AttrSet, AttrSetBuilder, code},
        batch::{ItemKind, UpdateBatch, UpdateItem},
        frame, nlri,
        notification::Notification,
        open::Open,
        text::{self, Shown},
        update::{DecodeContext, Rules, attribute_field, decode_update},
    },
};

/// Arguments of `ribwatch decode`.
#[derive(clap::Args, Debug)]
pub struct DecodeArgs {
    /// Messages in hex, back to back; spaces and colons are passed over. `-` reads standard input
    #[arg(value_name = "HEX", required = true)]
    hex: Vec<String>,
    /// AS numbers have two octets: the four-octet capability was not negotiated
    #[arg(long)]
    as2: bool,
    /// Routes have path identifiers: ADD-PATH was negotiated for every family
    #[arg(long)]
    add_path: bool,
    /// The sender is in our own AS
    #[arg(long)]
    ibgp: bool,
}

/// Runs the verb: 0 when every message is well-formed, 1 when one is not, 2 when the digits are no digits.
pub fn run(args: DecodeArgs) -> ExitCode {
    let code = decode(&args, &mut io::stdin().lock(), &mut io::stdout().lock(), &mut io::stderr().lock());
    ExitCode::from(code.unwrap_or(1))
}

/// As [`run`], from and to anywhere; gives the exit code.
///
/// # Errors
/// Reading or writing failed.
pub fn decode(args: &DecodeArgs, input: &mut dyn Read, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let mut text = args.hex.join(" ");
    if text.trim() == "-" {
        text.clear();
        input.read_to_string(&mut text)?;
    }
    let octets = match octets(&text) {
        Ok(octets) => octets,
        Err(reason) => {
            writeln!(err, "ribwatch decode: {reason}")?;
            return Ok(2);
        }
    };
    let ctx = DecodeContext {
        four_octet_as: !args.as2,
        add_path: if args.add_path { FamilySet::ALL } else { FamilySet::EMPTY },
        rules: Rules::strict(),
        ..DecodeContext::new(if args.ibgp { PeerKind::Internal } else { PeerKind::External })
    };
    let mut code = 0;
    for shown in messages(&octets, &ctx) {
        serde_json::to_writer(&mut *out, &shown)?;
        writeln!(out)?;
        if let Some(error) = shown.verdict.error {
            out.flush()?;
            writeln!(err, "ribwatch decode: {error} ({})", shown.verdict.rfc.unwrap_or_default())?;
            code = 1;
        }
    }
    Ok(code)
}

/// The octets that the digits stand for.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c == ':') {
        let word = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        for c in word.chars() {
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digits.push(digit.ok_or_else(|| format!("`{c}` is no hexadecimal digit: write a message as ffff…0400"))?);
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} hexadecimal digits are no whole number of octets", digits.len()));
    }
    if pairs.is_empty() {
        return Err("no message: write its octets in hexadecimal digits, or `-` to read them".to_owned());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Every message up to the first whose end cannot be found.
fn messages(octets: &[u8], ctx: &DecodeContext) -> Vec<Message> {
    let (mut rest, mut out) = (octets, Vec::new());
    while !rest.is_empty() {
        match frame(rest, MAX_EXTENDED_LEN) {
            Ok(Some(found)) => {
                out.push(message(found, ctx));
                rest = rest.get(found.message.len()..).unwrap_or_default();
            }
            Ok(None) => {
                out.push(cut_off(rest));
                break;
            }
            Err(fault) => {
                out.push(Message {
                    r#type: kind_of(rest),
                    content: Content::Nothing {},
                    verdict: Verdict::of(vec![fault]),
                });
                break;
            }
        }
    }
    out
}

/// The type that the header claims.
fn kind_of(octets: &[u8]) -> Option<&'static str> {
    MessageType::from_code(*octets.get(18)?).map(type_name)
}

/// The message types in the words of the contract.
fn type_name(kind: MessageType) -> &'static str {
    match kind {
        MessageType::Open => "open",
        MessageType::Update => "update",
        MessageType::Notification => "notification",
        MessageType::Keepalive => "keepalive",
        MessageType::RouteRefresh => "route-refresh",
    }
}

/// A message whose header promises more octets than there are. A session would wait for them.
fn cut_off(rest: &[u8]) -> Message {
    let promised = rest.get(16..18).map(|len| len.iter().fold(0, |value, octet| value << 8 | usize::from(*octet)));
    let error = match promised {
        Some(len) => format!("message of {len} octets is cut off after {}", rest.len()),
        None => format!("header is cut off after {} octets", rest.len()),
    };
    let verdict = Verdict { error: Some(error), rfc: Some("RFC 4271 §4.1"), ..Verdict::ok() };
    let verdict = Verdict { outcome: "reset", notification: Some("1/2".to_owned()), ..verdict };
    Message { r#type: kind_of(rest), content: Content::Nothing {}, verdict }
}

fn message(found: Frame<'_>, ctx: &DecodeContext) -> Message {
    let decoded = match found.kind {
        MessageType::Keepalive => Ok(Content::Nothing {}),
        MessageType::Open => Open::decode(found.message).map(open),
        MessageType::Notification => Notification::decode(found.message).map(notification),
        MessageType::RouteRefresh => RouteRefresh::decode(found.message).map(|refresh| Content::RouteRefresh {
            family: refresh.family.to_string(),
            subtype: refresh.subtype.code(),
        }),
        MessageType::Update => return update(found.message, ctx),
    };
    let r#type = Some(type_name(found.kind));
    match decoded {
        Ok(content) => Message { r#type, content, verdict: Verdict::ok() },
        Err(fault) => Message { r#type, content: Content::Nothing {}, verdict: Verdict::of(vec![fault]) },
    }
}

fn open(open: Open) -> Content {
    Content::Open {
        version: open.version,
        asn: open.asn().0,
        my_as: open.my_as,
        hold_time_s: open.hold_time_secs,
        router_id: open.router_id.to_string(),
        capabilities: open.capabilities.iter().map(ToString::to_string).collect(),
    }
}

fn notification(notification: Notification) -> Content {
    Content::Notification {
        code: notification.code,
        subcode: notification.subcode,
        text: notification.to_string(),
        data: nlri::hex(&notification.data),
    }
}

fn update(message: &[u8], ctx: &DecodeContext) -> Message {
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    if let Err(fault) = decode_update(message, ctx, &mut batch, &mut faults) {
        faults.push(fault);
    }
    let (mut announced, mut withdrawn, mut attributes, mut end_of_rib) = (vec![], vec![], Map::new(), None);
    for item in batch.iter() {
        match item.kind {
            ItemKind::Announce => {
                attributes.extend(json(item.attrs));
                announced.extend(routes(&item));
            }
            ItemKind::Withdraw => withdrawn.extend(routes(&item)),
            ItemKind::EndOfRib => end_of_rib = Some(item.family.to_string()),
        }
    }
    // Nothing was announced: what the message says of attributes is shown as it stands, as far as it can be read.
    // Two-octet paths are not read raw.
    if attributes.is_empty() && ctx.four_octet_as {
        let mut raw = AttrSetBuilder::from_set(AttrSet::new(attribute_field(message)));
        attributes = json(AttrSet::new(&raw.remove(code::MP_UNREACH).finish()));
    }
    let content = Content::Update { announced, withdrawn, attributes, end_of_rib };
    Message { r#type: Some(type_name(MessageType::Update)), content, verdict: Verdict::of(faults) }
}

fn routes(item: &UpdateItem<'_>) -> Vec<Route> {
    let next_hop = item.attrs.next_hop().map(|next_hop| next_hop.to_string());
    let route = |path_id, prefix| Route {
        family: item.family.to_string(),
        prefix,
        path_id,
        next_hop: next_hop.clone(),
        labels: Vec::new(),
        nlri: None,
    };
    let plain = item.prefixes().map(|(path_id, prefix)| route(path_id, prefix.to_string()));
    let opaque = item.opaque().map(|(path_id, key, labels)| Route {
        labels: nlri::labels(item.family, key, labels),
        nlri: nlri::TypedNlri::decode(item.family, key, labels).map(|typed| nlri_json::value(&typed)),
        ..route(path_id, nlri::display(item.family, key))
    });
    plain.chain(opaque).collect()
}

fn json(set: AttrSet<'_>) -> Map<String, Value> {
    let value = |shown| match shown {
        Shown::Present => Value::Bool(true),
        Shown::Number(number) => number.into(),
        Shown::Text(text) => text.into(),
        Shown::List(members) => members.into(),
    };
    text::attributes(set).into_iter().map(|(name, shown)| (name, value(shown))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DecodeArgs,
    }

    /// Exit code, printed objects and errors.
    fn run(line: &[&str], input: &str) -> (u8, Vec<Value>, String) {
        let words = ["decode"].iter().chain(line);
        let args = Line::try_parse_from(words).expect("a good command line").args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = decode(&args, &mut input.as_bytes(), &mut out, &mut err).unwrap();
        let lines = String::from_utf8(out).unwrap();
        (code, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), String::from_utf8(err).unwrap())
    }

    const MARKER: &str = "ffffffffffffffffffffffffffffffff";
    /// 198.51.100.0/24 from AS 65001 by 192.0.2.1.
    const GOOD: &str = "002f 02 0000 0014 40010100 40020602010000fde9 400304c0000201 18c63364";

    #[test]
    fn an_update_is_printed_with_routes_attributes_and_outcome() {
        let (code, shown, err) = run(&[&format!("{MARKER} {GOOD}")], "");
        assert_eq!((code, err.as_str(), shown.len()), (0, "", 1));
        let expected = serde_json::json!({
            "type": "update",
            "announced": [{"family": "ipv4-unicast", "prefix": "198.51.100.0/24", "path_id": 0, "next_hop": "192.0.2.1"}],
            "withdrawn": [],
            "attributes": {"origin": "igp", "as_path": "65001", "next_hop": "192.0.2.1"},
            "outcome": "ok",
        });
        assert_eq!(shown[0], expected);
    }

    #[test]
    fn several_messages_and_standard_input_are_read() {
        let keepalive = format!("{MARKER}001304");
        let (code, shown, _) = run(&["-"], &format!("{keepalive}\n{}{keepalive}\n", keepalive.replace("ff", "FF:")));
        assert_eq!((code, shown.len()), (0, 3));
        assert_eq!(shown[2], serde_json::json!({"type": "keepalive", "outcome": "ok"}));
    }

    #[test]
    fn a_malformed_message_is_printed_with_its_error_and_exits_1() {
        // ORIGIN 3: treat-as-withdraw.
        let (code, shown, err) = run(&[&format!("{MARKER}{}", GOOD.replace("40010100", "40010103"))], "");
        assert_eq!(code, 1);
        assert_eq!((&shown[0]["outcome"], &shown[0]["rfc"]), (&"withdraw".into(), &"RFC 7606 §7.1".into()));
        assert_eq!(shown[0]["withdrawn"][0]["prefix"], "198.51.100.0/24");
        assert_eq!(shown[0]["announced"], serde_json::json!([]));
        assert!(err.contains("ORIGIN") && err.contains("RFC 7606 §7.1"), "{err}");
        // A well-known attribute that nobody knows: a reset by the letter.
        let message = GOOD.replace("002f", "0037").replace("0014", "001c").replace(" 18", "40c80568656c6c6f 18");
        let (code, shown, _) = run(&[&format!("{MARKER}{message}")], "");
        assert_eq!((code, &shown[0]["outcome"], &shown[0]["notification"]), (1, &"reset".into(), &"3/2".into()));
        // Header faults and cut-off messages end the list.
        let (code, shown, _) = run(&["00000000000000000000000000000000001304"], "");
        assert_eq!((code, &shown[0]["type"], &shown[0]["notification"]), (1, &"keepalive".into(), &"1/1".into()));
        let (code, shown, _) = run(&[&format!("{MARKER}0013 04 {MARKER}002f02")], "");
        assert_eq!(
            (code, shown.len(), &shown[0]["outcome"], &shown[1]["outcome"]),
            (1, 2, &"ok".into(), &"reset".into())
        );
    }

    #[test]
    fn what_was_negotiated_is_told_by_flags() {
        let as2 = format!("{MARKER}002d 02 0000 0012 40010100 4002040201fde9 400304c0000201 18c63364");
        assert_eq!(run(&[&as2], "").0, 1);
        let (code, shown, _) = run(&["--as2", &as2], "");
        assert_eq!((code, &shown[0]["attributes"]["as_path"]), (0, &"65001".into()));
        let ids = format!("{MARKER}{}", GOOD.replace("002f", "0033").replace(" 18", " 0000000718"));
        let (code, shown, _) = run(&["--add-path", &ids], "");
        assert_eq!((code, &shown[0]["announced"][0]["path_id"]), (0, &7.into()));
        let local_pref = GOOD.replace("002f", "0036").replace("0014", "001b").replace(" 18", " 40050400000064 18");
        let local_pref = format!("{MARKER}{local_pref}");
        let (code, shown, _) = run(&[&local_pref], "");
        assert_eq!(
            (code, &shown[0]["outcome"], &shown[0]["attributes"]["local_pref"]),
            (1, &"discard".into(), &Value::Null)
        );
        let (code, shown, _) = run(&["--ibgp", &local_pref], "");
        assert_eq!((code, &shown[0]["attributes"]["local_pref"]), (0, &100.into()));
    }

    #[test]
    fn other_messages_are_printed_too() {
        let open = format!("{MARKER}0025 01 04 fde9 005a c0000209 08 02 06 41 04 0000fde9");
        let (code, shown, _) = run(&[&open], "");
        assert_eq!((code, &shown[0]["type"], &shown[0]["asn"]), (0, &"open".into(), &65001.into()));
        assert_eq!(shown[0]["capabilities"][0], "4-octet AS 65001");
        let (_, shown, _) = run(&[&format!("{MARKER}0015 03 0602")], "");
        assert_eq!((&shown[0]["code"], &shown[0]["subcode"]), (&6.into(), &2.into()));
        let (_, shown, _) = run(&[&format!("{MARKER}0017 05 0002 00 01")], "");
        assert_eq!((&shown[0]["type"], &shown[0]["family"]), (&"route-refresh".into(), &"ipv6-unicast".into()));
        let (_, shown, _) = run(&[&format!("{MARKER}001d 02 0000 0006 800f03000201")], "");
        assert_eq!((&shown[0]["end_of_rib"], &shown[0]["outcome"]), (&"ipv6-unicast".into(), &"ok".into()));
    }

    #[test]
    fn attributes_of_routes_that_were_withdrawn_are_shown_as_they_stand() {
        // MED of three octets; attributes out of order.
        let message = "0035 02 0000 001a 800403000001 40020602010000fde9 40010100 400304c0000201 18c63364";
        let (_, shown, _) = run(&[&format!("{MARKER}{message}")], "");
        let expected =
            serde_json::json!({"origin": "igp", "as_path": "65001", "next_hop": "192.0.2.1", "med": "000001"});
        assert_eq!((&shown[0]["outcome"], &shown[0]["attributes"]), (&"withdraw".into(), &expected));
        // Withdrawals stand in their own list.
        let (_, shown, _) = run(&[&format!("{MARKER}0022 02 0000 000b 800f08 000201 20 20010db8")], "");
        assert_eq!(shown[0]["attributes"], serde_json::json!({}));
        assert_eq!(shown[0]["withdrawn"][0]["prefix"], "2001:db8::/32");
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_printed(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120), kind in 0_u8..7) {
            let mut octets = vec![0xff; 16];
            octets.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
            octets.push(kind);
            octets.extend(body);
            let (code, shown, _) = run(&[&nlri::hex(&octets)], "");
            proptest::prop_assert_eq!((code == 0, shown.len()), (shown[0]["outcome"] == "ok", 1));
        }
    }

    #[test]
    fn digits_that_are_none_are_wrong_usage() {
        for (text, says) in [("fg", "`g`"), ("fff", "3 hexadecimal digits"), (" : ", "no message")] {
            let (code, shown, err) = run(&[text], "");
            assert_eq!((code, shown.len()), (2, 0));
            assert!(err.contains(says), "{err}");
        }
    }
}
