//! Everything that a source of RPKI data can say wrong, a row each: the fault names the source and the record, the last
//! good data stay in force, nothing of the faulty ones is believed, and it is a finding for whoever is alerted.

use std::path::{Path, PathBuf};

use ribwatch::detect::{Kind, feeds::source::sick};

use super::*;

/// What every source says first, and what of a faulty answer must never be believed.
const GOOD: (&str, u32) = ("192.0.2.0/24", 64500);
const HALF: (&str, u32) = ("198.51.100.0/24", 64501);

/// The rows that a cache is judged by.
struct Row {
    what: &'static str,
    /// What follows a Cache Response and one VRP, in the answer to a Serial Query.
    then: Step,
    /// The code of the Error Report that the cache hears (RFC 8210 §12); `None`: none.
    code: Option<u16>,
    /// What is said.
    said: &'static str,
}

fn row(what: &'static str, octets: Vec<u8>, code: Option<u16>, said: &'static str) -> Row {
    let half = join(&[begin(7), vrp(true, HALF.0, 24, HALF.1), octets, end(7, 2, 600)]);
    Row { what, then: Step::Answer(1, half), code, said }
}

fn broken(what: &'static str, octets: Vec<u8>, said: &'static str) -> Row {
    let half = join(&[begin(7), vrp(true, HALF.0, 24, HALF.1), octets]);
    Row { what, then: Step::Break(half), code: None, said }
}

fn answered(what: &'static str, octets: Vec<u8>, code: Option<u16>, said: &'static str) -> Row {
    Row { what, then: Step::Answer(1, octets), code, said }
}

/// An IPv6 Prefix with this maximum length.
fn vrp6(max_len: u8) -> Vec<u8> {
    let mut body = vec![1, 32, max_len, 0, 0x20, 0x01, 0x0d, 0xb8];
    body.extend([0; 12]);
    body.extend(64500u32.to_be_bytes());
    pdu(1, 6, 0, &body)
}

/// A PDU that says it is as long as this.
fn so_long(len: u32) -> Vec<u8> {
    [&[1, 4, 0, 0][..], &len.to_be_bytes()].concat()
}

fn error_report(code: u16, text: &str) -> Vec<u8> {
    let body = [&[0; 4], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    pdu(1, 10, code, &body)
}

/// A prefix with a length that no prefix has.
fn too_long() -> Vec<u8> {
    let mut octets = vrp(true, "203.0.113.0/24", 24, 64500);
    octets[9] = 33;
    octets
}

fn rows() -> Vec<Row> {
    let again = vrp(true, GOOD.0, 24, GOOD.1);
    vec![
        // RFC 8210 §12: codes 7 and 6.
        row("a record that is there", again, Some(7), "192.0.2.0/24-24 AS64500 is announced twice"),
        row("a record twice", vrp(true, HALF.0, 24, HALF.1), Some(7), "198.51.100.0/24-24 AS64501 is announced twice"),
        row(
            "a withdrawal of nothing",
            vrp(false, "203.0.113.0/24", 24, 1),
            Some(6),
            "203.0.113.0/24-24 AS1 is withdrawn and was not there",
        ),
        // RFC 9582 §4.3.2.2.
        row(
            "a maximum length below the prefix's",
            vrp(true, "203.0.113.0/24", 8, 1),
            Some(0),
            "203.0.113.0/24 with maximum length 8 for AS1: it must be from 24 to 32",
        ),
        row(
            "a maximum length above an address's",
            vrp(true, "203.0.113.0/24", 33, 1),
            Some(0),
            "203.0.113.0/24 with maximum length 33 for AS1: it must be from 24 to 32",
        ),
        row(
            "the same of IPv6",
            vrp6(129),
            Some(0),
            "2001:db8::/32 with maximum length 129 for AS64500: it must be from 32 to 128",
        ),
        row(
            "a prefix longer than an address",
            too_long(),
            Some(0),
            "203.0.113.0/33 for AS64500: no prefix is that long",
        ),
        // §5.1.
        row("an unknown type", pdu(1, 99, 0, &[]), Some(5), "a PDU of type 99 is nothing that a cache sends"),
        row("a query", pdu(1, 2, 0, &[]), Some(5), "a Reset Query is nothing that a cache sends"),
        row(
            "an ASPA in version 1",
            pdu(1, 11, 256, &[0; 8]),
            Some(5),
            "an ASPA is nothing that a cache sends in version 1",
        ),
        row("a length that its type has not", pdu(1, 4, 0, &[0; 8]), Some(0), "an IPv4 Prefix of 16 octets cannot be"),
        row("a length below the header's", so_long(4), Some(0), "4 octets long, shorter than its header"),
        row("a length that never ends", so_long(u32::MAX), Some(0), "says that it is 4294967295 octets long"),
        // §7.
        row("another version", pdu(2, 4, 0, &[0; 12]), Some(8), "an IPv4 Prefix is of version 2 where 1 is spoken"),
        // §5.5, §5.8.
        row(
            "no End of Data",
            begin(7),
            Some(0),
            "it sent a Cache Response in the middle of its data, before End of Data",
        ),
        row(
            "an End of Data of version 0",
            pdu(1, 7, 7, &2u32.to_be_bytes()),
            Some(0),
            "an End of Data of 12 octets cannot be",
        ),
        row("an End of Data of another session", end(8, 2, 600), Some(0), "begins in session 7 and ends in 8"),
        row("a Cache Reset in its data", pdu(1, 8, 0, &[]), Some(0), "a Cache Reset in the middle of its data"),
        broken("half a table", Vec::new(), "closed the connection in the middle of its data, after 1 records"),
        broken("half a record", vec![1, 4, 0, 0, 0], "before End of Data, inside a PDU"),
        answered("no Cache Response", vrp(true, HALF.0, 24, HALF.1), Some(0), "it sent an IPv4 Prefix where an answer"),
        answered("another session", begin(8), Some(0), "it answers for session 8 where 7 goes on"),
        // §5.11: never an Error Report about one.
        answered(
            "an error",
            error_report(1, "out of paper"),
            None,
            "it reports error 1 (Internal Error): out of paper",
        ),
        answered("no data yet", error_report(2, ""), None, "it reports error 2 (No Data Available)"),
        answered("an unknown error", error_report(77, ""), None, "it reports error 77 (unknown)"),
        row("an error in its data", error_report(0, "I am lost"), None, "it reports error 0 (Corrupt Data): I am lost"),
        answered("half an Error Report", pdu(1, 10, 0, &[0, 0, 0, 9]), None, "an Error Report of 12 octets cannot be"),
    ]
}

/// What a faulty source must have left as it was, and what is said of it.
fn judge(station: &Station, what: &str, name: &str, said: &str) {
    let view = station.rpki.view();
    let source = view.sources.iter().find(|source| source.name == name).expect("it is configured");
    let error = source.last_error.clone().unwrap_or_default();
    assert!(error.contains(said), "{what}: {error}");
    assert_eq!(source.state, SourceState::Failing, "{what}");
    assert_eq!(station.state(GOOD.0, GOOD.1), OriginState::Valid, "{what}: the last good data hold");
    assert_eq!(station.state(HALF.0, HALF.1), OriginState::NotFound, "{what}: nothing of the faulty ones counts");
    let finding = sick(source, view.sources.len()).expect("it is an alert");
    assert_eq!(finding.key.kind, Kind::RpkiCache, "{what}");
    assert!(finding.why.contains(name) && finding.why.contains(said), "{what}: {}", finding.why);
}

#[test]
fn whatever_a_cache_says_wrong_is_named_and_costs_nothing_that_was_there() {
    for Row { what, then, code, said } in rows() {
        in_runtime(async {
            let first = join(&[begin(7), vrp(true, GOOD.0, 24, GOOD.1), end(7, 1, 600), notify(7, 2)]);
            let station = Station::start(vec![(1, vec![Step::Answer(2, first), then])]).await;
            station.wait(what, |rpki| rpki.view().sources[0].last_error.is_some()).await;
            judge(&station, what, "cache-0", said);
            if let Some(code) = code {
                // The cache reads it after we have noted it.
                station.wait(what, |_| !station.reports.all().is_empty()).await;
                let reports = station.reports.all();
                assert!(reports.iter().all(|(sent, text)| *sent == code && text.contains(said)), "{what}: {reports:?}");
            } else {
                assert_eq!(station.reports.all(), [], "{what}");
            }
        });
    }
}

#[test]
fn a_first_answer_that_is_faulty_is_no_data_at_all() {
    let rows = [
        // RFC 8210 §5.5: an answer to a Reset Query announces.
        (
            join(&[begin(7), vrp(true, HALF.0, 24, HALF.1), vrp(false, HALF.0, 24, HALF.1), end(7, 1, 600)]),
            "198.51.100.0/24-24 AS64501 is withdrawn where all there is was asked for",
        ),
        (
            join(&[begin(7), vrp(true, HALF.0, 24, HALF.1), vrp(true, HALF.0, 24, HALF.1), end(7, 1, 600)]),
            "198.51.100.0/24-24 AS64501 is announced twice",
        ),
        // §5.9: there is nothing that it could not continue.
        (pdu(1, 8, 0, &[]), "it sent a Cache Reset where an answer begins"),
        (error_report(2, "still reading"), "it reports error 2 (No Data Available): still reading"),
    ];
    for (octets, said) in rows {
        in_runtime(async {
            let station = Station::start(vec![(1, vec![Step::Answer(2, octets)])]).await;
            station.wait(said, |rpki| rpki.view().sources[0].last_error.is_some()).await;
            let view = station.rpki.view();
            let error = view.sources[0].last_error.clone().unwrap_or_default();
            assert!(error.contains(said), "{error}");
            assert_eq!((view.vrps, view.sources[0].state), ((0, 0), SourceState::Starting), "{said}");
            assert!(!station.rpki.snapshot().loaded, "{said}: nothing is judged by it");
            assert!(sick(&view.sources[0], 1).is_some_and(|finding| finding.why.contains(said)), "{said}");
        });
    }
}

#[test]
fn a_roa_for_as_0_forbids_and_is_no_fault() {
    in_runtime(async {
        // RFC 6483 §4: nobody may originate it.
        let all = join(&[begin(7), vrp(true, GOOD.0, 24, 0), end(7, 1, 600)]);
        let station = Station::start(vec![(1, vec![Step::Answer(2, all)])]).await;
        station.wait("the data", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
        assert_eq!(station.state(GOOD.0, 0), OriginState::Invalid);
        assert_eq!(station.state(GOOD.0, GOOD.1), OriginState::Invalid);
        assert!(sick(&station.rpki.view().sources[0], 1).is_none());
    });
}

const GOOD_EXPORT: &str = r#"{"roas": [{"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24}]}"#;

/// Exports that cannot be used, and what is said of each: all three ways in which a file can be wrong.
const EXPORTS: [(&str, &str); 12] = [
    // No JSON.
    (r#"{"roas": [{"asn": 64501, "prefix": "198.51.100.0/24"}"#, "not JSON: EOF while parsing a list at line 1"),
    ("", "not JSON: EOF while parsing a value at line 1"),
    ("\u{0}\u{0}", "not JSON: expected value at line 1"),
    // JSON of another kind.
    (r#"{"vrps": []}"#, "neither a list of ROAs nor an object with `roas`"),
    (r#"{"roas": {"asn": 64501}}"#, "`roas` must be a list"),
    (r#"[{"asn": 64501, "prefix": "198.51.100.0/24"}, 7]"#, "roas[1]: `prefix` is missing"),
    (
        r#"[{"asn": 64501, "prefix": "198.51.100.0/24"}, {"asn": true, "prefix": "203.0.113.0/24"}]"#,
        "roas[1]: true is not an AS number",
    ),
    (
        r#"{"roas": [{"asn": 64501, "prefix": "198.51.100.0/24"}], "aspas": [{"customer": 64501}]}"#,
        "aspas[0]: `providers` is missing",
    ),
    // Records that cannot be.
    (r#"[{"asn": 64501, "prefix": "198.51.100.0/33"}]"#, "roas[0]: "),
    (r#"[{"asn": 64501, "prefix": "198.51.100.0/24"}, {"asn": 64501, "prefix": "nowhere"}]"#, "roas[1]: "),
    (
        r#"[{"asn": 64501, "prefix": "198.51.100.0/24", "maxLength": 23}]"#,
        "roas[0]: 198.51.100.0/24 with maximum length 23",
    ),
    (r#"[{"asn": 64501, "prefix": "198.51.100.0/24", "maxLength": 200}]"#, "roas[0]: 200 is not a prefix length"),
];

#[test]
fn whatever_is_wrong_in_an_export_is_named_and_costs_nothing_that_was_there() {
    for (text, said) in EXPORTS {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("export.json");
        std::fs::write(&path, GOOD_EXPORT).expect("the folder can be written");
        in_runtime(async {
            let refresh = Some(Duration::from_millis(5));
            let settings =
                SourceSettings { place: Place::File(path.clone()), refresh, ..source("export", String::new(), None) };
            let station = Station::with(vec![settings]);
            station.wait(text, |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
            std::fs::write(&path, text).expect("the folder can be written");
            station.wait(text, |rpki| failed_with(rpki, 0, said)).await;
            judge(&station, text, "export", said);
            judge(&station, text, "export", &path.display().to_string());
            // When it is mended, nothing is said any more.
            std::fs::write(&path, GOOD_EXPORT).expect("the folder can be written");
            station.wait(text, |rpki| rpki.view().sources[0].last_error.is_none()).await;
            assert!(sick(&station.rpki.view().sources[0], 1).is_none(), "{text}");
        });
    }
}

/// Whether that was said of a source: a file that is read while it is written is half, and says so.
fn failed_with(rpki: &Rpki, at: usize, said: &str) -> bool {
    rpki.view().sources[at].last_error.as_ref().is_some_and(|error| error.contains(said))
}

const GOOD_EXCEPTIONS: &str = r#"{"slurmVersion": 1, "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
    "locallyAddedAssertions": {"prefixAssertions": [{"asn": 64500, "prefix": "192.0.2.0/24"}], "bgpsecAssertions": []}}"#;

/// Exceptions that cannot be used (RFC 8416 §3), and what is said of each.
const EXCEPTIONS: [(&str, &str); 6] = [
    (r#"{"slurmVersion": 1,"#, "not JSON: EOF while parsing"),
    (r#"{"validationOutputFilters": {}}"#, "`slurmVersion` is missing"),
    (r#"{"slurmVersion": 3}"#, "slurmVersion 3 is not known"),
    (
        r#"{"slurmVersion": 1, "validationOutputFilters": {"prefixFilters": [{"asn": 1}, {"comment": "all"}]}}"#,
        "prefixFilters[1]: it needs `prefix` or `asn`",
    ),
    (
        r#"{"slurmVersion": 1, "locallyAddedAssertions": {"prefixAssertions": [
            {"asn": 64501, "prefix": "198.51.100.0/24"}, {"asn": 1, "prefix": "10.0.0.0/8", "maxPrefixLength": 7}]}}"#,
        "prefixAssertions[1]: 10.0.0.0/8 with maximum length 7",
    ),
    (
        r#"{"slurmVersion": 2, "locallyAddedAssertions": {"aspaAssertions": [{"customerAsn": "x", "providerAsns": []}]}}"#,
        "aspaAssertions[0]: \"x\" is not an AS number",
    ),
];

fn with_exceptions(path: &Path) -> Station {
    let settings = RpkiSettings { slurm: Some(path.to_owned()), ..RpkiSettings::default() };
    let rpki = Rpki::start(&settings, Clock::start(), Box::new(|_| {}));
    Station { rpki, snapshots: mpsc::channel().1, reports: Reports::default() }
}

#[test]
fn whatever_is_wrong_in_local_exceptions_is_named_and_what_was_read_before_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    in_runtime(async {
        // All at the same time: files of exceptions are looked at every other second.
        let stations: Vec<(PathBuf, Station)> = (0..EXCEPTIONS.len())
            .map(|at| {
                let path = folder.path().join(format!("slurm-{at}.json"));
                std::fs::write(&path, GOOD_EXCEPTIONS).expect("the folder can be written");
                let station = with_exceptions(&path);
                (path, station)
            })
            .collect();
        for ((path, station), (text, _)) in stations.iter().zip(EXCEPTIONS) {
            assert_eq!(station.state(GOOD.0, GOOD.1), OriginState::Valid, "the exceptions were read");
            std::fs::write(path, text).expect("the folder can be written");
        }
        for ((path, station), (text, said)) in stations.iter().zip(EXCEPTIONS) {
            station.wait(text, |rpki| failed_with(rpki, 0, said)).await;
            judge(station, text, "local exceptions", said);
            judge_place(station, path);
        }
    });
}

fn judge_place(station: &Station, path: &Path) {
    let view = station.rpki.view();
    let finding = sick(&view.sources[0], 1).expect("it is an alert");
    assert!(finding.why.contains(&path.display().to_string()), "{}", finding.why);
    assert!(finding.why.contains("what was read before stays in force"), "{}", finding.why);
}
