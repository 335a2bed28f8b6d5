//! Captured BGP sessions of the corpus, well-formed ones and ones made to hurt parsers: every payload decodes or fails
//! cleanly, and where another implementation recorded what it read, we read the same routes.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use ribwatch::{
    types::{Family, FamilySet, PeerKind},
    wire::bgp::{
        MAX_EXTENDED_LEN, MessageType, RouteRefresh,
        batch::{ItemKind, UpdateBatch},
        frame, nlri,
        notification::Notification,
        open::Open,
        update::{DecodeContext, Rules, decode_update},
    },
};
use serde_json::Value;

use crate::corpus;

/// One direction of a connection: addresses and ports as they stand in the packet.
type Flow = Vec<u8>;

/// Packets of a capture file with their link type; pcap in either byte order, and pcapng.
fn packets(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    match file.first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng_packets(file),
        Some([0xa1, 0xb2, 0xc3, _]) => pcap_packets(file, u32::from_be_bytes),
        _ => pcap_packets(file, u32::from_le_bytes),
    }
}

fn word(file: &[u8], at: usize, order: fn([u8; 4]) -> u32) -> Option<u32> {
    Some(order(*file.get(at..)?.first_chunk::<4>()?))
}

fn pcap_packets(file: &[u8], order: fn([u8; 4]) -> u32) -> Vec<(u32, Vec<u8>)> {
    let Some(link) = word(file, 20, order) else { return vec![] };
    let (mut at, mut out) = (24, Vec::new());
    while let Some(len) = word(file, at + 8, order) {
        let Some(packet) = file.get(at + 16..at + 16 + len as usize) else { break };
        out.push((link, packet.to_vec()));
        at += 16 + len as usize;
    }
    out
}

/// Only little-endian sections occur in the corpus.
fn pcapng_packets(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let order = u32::from_le_bytes;
    let (mut at, mut link, mut out) = (0, 1, Vec::new());
    while let (Some(kind), Some(len)) = (word(file, at, order), word(file, at + 4, order)) {
        match kind {
            1 => link = word(file, at + 8, order).unwrap_or(1) & 0xffff,
            6 => {
                let captured = word(file, at + 20, order).unwrap_or(0) as usize;
                out.extend(file.get(at + 28..at + 28 + captured).map(|packet| (link, packet.to_vec())));
            }
            _ => {}
        }
        at += (len as usize).max(12);
    }
    out
}

/// The IP packet inside a frame: Ethernet with or without VLAN tags, Linux cooked, Cisco HDLC, PPP, BSD loopback, or
/// raw.
fn ip_packet(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        1 => {
            let mut at = 12;
            while matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
                at += 4;
            }
            frame.get(at + 2..)
        }
        113 => frame.get(16..),
        0 | 9 | 104 => frame.get(4..),
        _ => Some(frame),
    }
}

/// Flow, sequence number and payload of a TCP packet.
fn tcp(ip: &[u8]) -> Option<(Flow, u32, &[u8])> {
    let (addresses, segment) = match ip.first()? >> 4 {
        4 if ip.get(9) == Some(&6) => {
            let header = usize::from(ip.first()? & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes(*ip.get(2..)?.first_chunk()?));
            (ip.get(12..20)?, ip.get(header..total.min(ip.len()))?)
        }
        6 if ip.get(6) == Some(&6) => {
            let len = usize::from(u16::from_be_bytes(*ip.get(4..)?.first_chunk()?));
            (ip.get(8..40)?, ip.get(40..(40 + len).min(ip.len()))?)
        }
        _ => return None,
    };
    let flow = [addresses, segment.get(..4)?].concat();
    let seq = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
    let header = usize::from(segment.get(12)? >> 4) * 4;
    Some((flow, seq, segment.get(header..)?))
}

/// The octets of each direction in the order sent. Retransmissions are cut off; behind a gap a new stream begins.
fn streams(file: &[u8]) -> Vec<Vec<u8>> {
    let mut open: HashMap<Flow, (u32, usize)> = HashMap::new();
    let mut out: Vec<Vec<u8>> = Vec::new();
    for (link, packet) in packets(file) {
        let Some((flow, seq, payload)) = ip_packet(link, &packet).and_then(tcp) else { continue };
        if payload.is_empty() {
            continue;
        }
        let next_and_stream = open.get(&flow).copied();
        let fresh = next_and_stream.is_none_or(|(next, _)| seq.wrapping_sub(next) as i32 > 0);
        let (next, stream) = if fresh {
            out.push(Vec::new());
            (seq, out.len() - 1)
        } else {
            next_and_stream.unwrap_or_default()
        };
        let seen = next.wrapping_sub(seq) as usize;
        let new = payload.get(seen..).unwrap_or_default();
        out[stream].extend(new);
        open.insert(flow, (next.wrapping_add(new.len() as u32), stream));
    }
    out
}

/// Every capture of the corpus, unpacked.
fn captures() -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let mut out = Vec::new();
    for folder in fs::read_dir(corpus::path("pcap")?).expect("pcap/ is a folder").flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let path = file.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".xz") && name.contains("pcap") {
                out.push((path.clone(), corpus::unxz(&path)));
            } else if [".pcap", ".pcapng", ".cap"].iter().any(|end| name.ends_with(end)) {
                out.push((path.clone(), fs::read(&path).expect("a capture can be read")));
            }
        }
    }
    out.sort();
    Some(out)
}

/// What was negotiated is not always in the capture, so each message is read in every way.
fn contexts() -> impl Iterator<Item = DecodeContext> {
    (0..8).map(|bits: u8| DecodeContext {
        four_octet_as: bits & 1 == 0,
        add_path: if bits & 2 == 0 { FamilySet::EMPTY } else { FamilySet::ALL },
        rules: Rules::lenient(),
        ..DecodeContext::new(if bits & 4 == 0 { PeerKind::Internal } else { PeerKind::External })
    })
}

#[test]
fn every_captured_payload_decodes_or_fails_cleanly() {
    let Some(captures) = captures() else { return };
    let (mut messages, mut updates, mut broken) = (0, 0, 0);
    for (_, file) in &captures {
        for stream in streams(file) {
            let mut rest = stream.as_slice();
            while let Ok(Some(found)) = frame(rest, MAX_EXTENDED_LEN) {
                messages += 1;
                match found.kind {
                    MessageType::Open => drop(Open::decode(found.message)),
                    MessageType::Notification => drop(Notification::decode(found.message)),
                    MessageType::RouteRefresh => drop(RouteRefresh::decode(found.message)),
                    MessageType::Keepalive => {}
                    MessageType::Update => {
                        updates += 1;
                        let good = contexts().any(|ctx| {
                            let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
                            decode_update(found.message, &ctx, &mut batch, &mut faults).is_ok()
                        });
                        broken += usize::from(!good);
                    }
                }
                rest = &rest[found.message.len()..];
            }
        }
    }
    assert!(captures.len() >= 28, "{} captures", captures.len());
    assert!(messages >= 310 && updates >= 210, "{messages} messages, {updates} UPDATEs");
    // Those made to hurt, and some route targets that an unfinished tool sent.
    assert!(broken <= 10, "{broken} of {updates} UPDATEs end the session however they are read");
}

/// `RD:prefix via next-hop path`, with how often it was announced.
type Announcements = BTreeMap<String, usize>;

fn our_vpn_routes(file: &[u8]) -> Announcements {
    let mut out = Announcements::new();
    let ctx = DecodeContext { rules: Rules::lenient(), ..DecodeContext::new(PeerKind::Internal) };
    for stream in streams(file) {
        let mut rest = stream.as_slice();
        while let Ok(Some(found)) = frame(rest, MAX_EXTENDED_LEN) {
            rest = &rest[found.message.len()..];
            let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
            if found.kind != MessageType::Update {
                continue;
            }
            let outcome = decode_update(found.message, &ctx, &mut batch, &mut faults);
            assert!(outcome.is_ok() && faults.is_empty(), "{outcome:?} {faults:?}");
            for item in batch.iter().filter(|item| item.kind == ItemKind::Announce && item.family == Family::VPNV4) {
                let next_hop = item.attrs.next_hop().expect("a next hop");
                for (_, key, labels) in item.opaque() {
                    let route = nlri::display(item.family, key);
                    let line = format!("{route} via {next_hop} path {} labels {labels:?}", item.attrs.as_path());
                    *out.entry(line).or_default() += 1;
                }
            }
        }
    }
    out
}

fn their_vpn_routes(json: &str) -> Announcements {
    let mut out = Announcements::new();
    for line in json.lines() {
        let message: Value = serde_json::from_str(line).expect("a decoding is JSON");
        let attributes = message["Update"]["path_attributes"].as_array().cloned().unwrap_or_default();
        let value = |name: &str| attributes.iter().map(|a| &a["value"][name]).find(|value| !value.is_null()).cloned();
        let path: Vec<String> = value("AsPath").map_or(vec![], |path| {
            let segments = path["As4PathSegments"].as_array().cloned().unwrap_or_default();
            segments
                .iter()
                .flat_map(|s| s["as_numbers"].as_array().cloned().unwrap_or_default())
                .map(|n| n.to_string())
                .collect()
        });
        let Some(reach) = value("MpReach").map(|reach| reach["Ipv4MplsVpnUnicast"].clone()) else { continue };
        let next_hop = reach["next_hop"].as_object().and_then(|kind| kind.values().next()).cloned().unwrap_or_default();
        for route in reach["nlri"].as_array().into_iter().flatten() {
            let rd = &route["rd"];
            let rd = match (&rd["As2Administrator"], &rd["Ipv4Administrator"]) {
                (Value::Object(rd), _) => format!("{}:{}", rd["asn2"], rd["number"]),
                (_, Value::Object(rd)) => format!("{}:{}", rd["ip"].as_str().unwrap_or_default(), rd["number"]),
                _ => format!("{}:{}", rd["As4Administrator"]["asn4"], rd["As4Administrator"]["number"]),
            };
            let labels: Vec<u8> =
                serde_json::from_value::<Vec<[u8; 3]>>(route["label_stack"].clone()).unwrap().concat();
            let (network, next_hop) = (&route["network"], &next_hop["next_hop"]);
            let (network, next_hop) = (network.as_str().unwrap_or_default(), next_hop.as_str().unwrap_or_default());
            let line = format!("{rd}:{network} via {next_hop} path {} labels {labels:?}", path.join(" "));
            *out.entry(line).or_default() += 1;
        }
    }
    out
}

#[test]
fn vpn_routes_of_real_routers_are_read_as_another_implementation_reads_them() {
    let Some(captures) = captures() else { return };
    let mut compared = 0;
    for (path, file) in &captures {
        let decoding = Path::new(path)
            .with_file_name(format!("{}-bgp.json.xz", path.file_stem().unwrap_or_default().to_string_lossy()));
        if !decoding.exists() {
            continue;
        }
        let json = String::from_utf8(corpus::unxz(&decoding)).expect("a decoding is text");
        let (ours, theirs) = (our_vpn_routes(file), their_vpn_routes(&json));
        assert_eq!(ours, theirs, "{}", path.display());
        compared += theirs.values().sum::<usize>();
    }
    assert!(compared > 50, "{compared} routes compared");
}
