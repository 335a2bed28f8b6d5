//! Incidents of the past among real routes of about their time, under rules of what was known before: the baseline of
//! each, and for those after it a relationship file that was made from archives of 2014 to 2016. One event is one alert, with who did it, to whom, and what was taken.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use ribwatch::{
    alert::{Alert, State},
    app::replay::Raised,
    detect::Severity,
    types::Timestamp,
};
use tempfile::TempDir;

use super::{Archive, line, replay, watched};
use crate::corpus;

/// What must be found.
struct Incident {
    name: &'static str,
    /// Real updates of about that time that lie over it.
    background: &'static str,
    /// Kind and subject of the alert, and the part that the culprit plays in it.
    key: &'static str,
    culprit: (&'static str, u32),
    victim: (&'static str, &'static [u32]),
    members: &'static [&'static str],
    /// The least and the most severe that is right.
    severity: Severity,
    /// Whether the archive shows the end.
    ends: bool,
}

const KNOWN: &[Incident] = &[
    Incident {
        name: "pakistan-youtube-2008",
        background: "ris-updates.20070211.0141.as2.gz",
        key: "subprefix-hijack by AS17557",
        culprit: ("observed", 17557),
        victim: ("expected", &[36561]),
        members: &["208.65.153.0/24"],
        severity: Severity::Critical,
        // AS17557 still announces when the archive ends.
        ends: false,
    },
    Incident {
        name: "amazon-route53-2018",
        background: "ris-updates.20160811.1600.gz",
        key: "subprefix-hijack by AS10297",
        culprit: ("observed", 10297),
        victim: ("expected", &[16509, 38895]),
        members: &["205.251.192.0/24", "205.251.193.0/24", "205.251.195.0/24", "205.251.197.0/24", "205.251.199.0/24"],
        severity: Severity::Critical,
        ends: true,
    },
    Incident {
        name: "indosat-2014",
        background: "updates.20130101.0013.mixed-as2-as4.mrt.xz",
        key: "origin-hijack by AS4761",
        culprit: ("observed", 4761),
        victim: ("expected", &[42334]),
        members: &["62.84.64.0/19"],
        severity: Severity::Critical,
        // It came back for the last time in the last minute of the archive.
        ends: false,
    },
    Incident {
        name: "cloudflare-verizon-2019",
        background: "ris-updates.20160811.1600.gz",
        key: "route-leak AS396531",
        culprit: ("leaker", 396531),
        victim: ("origin", &[13335]),
        members: &["104.18.32.0/21", "104.27.160.0/21", "104.27.168.0/21", "104.28.24.0/21", "104.31.0.0/21"],
        // Between two networks that buy from nobody; no relation of AS396531 was known.
        severity: Severity::Warning,
        ends: true,
    },
    Incident {
        name: "level3-comcast-2017",
        background: "ris-updates.20160811.1600.gz",
        key: "route-leak AS3356",
        culprit: ("leaker", 3356),
        victim: ("origin", &[7922]),
        members: &["73.225.0.0/16"],
        // Rests on inferred relations: that AS33650 buys from AS7922 alone.
        severity: Severity::Warning,
        // Most still have it when the archive ends.
        ends: false,
    },
];

/// 2017-01-01: the archives that relations were inferred from are older.
const RELATIONS_KNOWN_SECS: u32 = 1_483_228_800;

fn baseline(incident: &Path) -> BTreeMap<String, Vec<String>> {
    let csv = fs::read_to_string(incident.join("baseline.csv")).expect("a baseline");
    let mut origins: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in csv.lines().skip(1) {
        let mut fields = row.split(',').map(str::to_owned);
        if let (Some(prefix), Some(origin)) = (fields.next(), fields.next()) {
            origins.entry(prefix).or_default().push(origin);
        }
    }
    origins
}

/// Alerts with an incident laid over real updates that began five minutes before it.
fn play(name: &str, background: &str) -> Option<(Vec<Raised>, Timestamp)> {
    let corpus = corpus::folder()?;
    let at = corpus.join("incidents").join(name);
    let dir = TempDir::new().expect("a folder");
    let relations = dir.path().join("relations.txt");
    fs::write(&relations, corpus::unxz(&corpus.join("asn/as-rel.inferred-2014-2016.txt.xz"))).expect("written");
    let incident = Archive::open(&at.join("updates.mrt.gz"));
    let begins = incident.begins();
    let before = Timestamp::from_secs(u64::from(begins.secs()) - 300);
    let archive = Archive::open(&corpus.join("mrt").join(background)).moved_to(before).over(incident);
    let leak = match begins.secs() >= RELATIONS_KNOWN_SECS {
        true => format!("[detect.leak]\nrelations = \"{}\"\n", relations.display()),
        false => String::new(),
    };
    let mut replay = replay(&(leak + &watched(&baseline(&at))));
    archive.play(&mut replay, Duration::ZERO);
    Some((replay.raised(), begins))
}

/// Whether an alert is about what rules watch: detectors about sessions and bogons speak of the background, too.
fn is_about(alert: &Alert, prefixes: &[&str]) -> bool {
    let text = format!("{} {} {}", alert.key, alert.summary, alert.members.join(" "));
    prefixes.iter().any(|prefix| text.contains(prefix.split('/').next().unwrap_or(prefix)))
}

#[test]
fn every_incident_is_one_alert_that_names_who_did_what_to_whom() {
    let (mut found, mut others) = (0, 0);
    for incident in KNOWN {
        let Some((raised, begins)) = play(incident.name, incident.background) else { return };
        let (ours, rest): (Vec<&Raised>, Vec<&Raised>) =
            raised.iter().partition(|raised| raised.alert.key.to_string() == incident.key);
        for raised in &raised {
            println!("{}: {}", incident.name, line(raised));
        }
        let [raised] = ours.as_slice() else { panic!("{}: {} alerts {}", incident.name, ours.len(), incident.key) };
        let alert = &raised.alert;
        let part = |name: &str| alert.asns.get(name).map(|asns| asns.iter().map(|asn| asn.0).collect::<Vec<_>>());
        assert_eq!(part(incident.culprit.0), Some(vec![incident.culprit.1]), "{}: {alert:?}", incident.name);
        assert_eq!(part(incident.victim.0), Some(incident.victim.1.to_vec()), "{}: {alert:?}", incident.name);
        assert_eq!(alert.members, incident.members, "{}", incident.name);
        assert_eq!(alert.member_count, incident.members.len() as u64, "{}", incident.name);
        assert_eq!(alert.severity, incident.severity, "{}", incident.name);
        assert_eq!(alert.state == State::Resolved, incident.ends, "{}: {:?}", incident.name, alert.resolved_at);
        let prefixes: Vec<&str> = incident.members.to_vec();
        let same: Vec<String> =
            rest.iter().filter(|raised| is_about(&raised.alert, &prefixes)).map(|raised| line(raised)).collect();
        assert_eq!(same, Vec::<String>::new(), "{}: one event is one alert", incident.name);
        let paged = rest.iter().filter(|raised| raised.alert.severity > Severity::Info).count();
        assert_eq!(paged, 0, "{}: the background is told of as more than information", incident.name);
        let delay = raised.opened_at.since(begins);
        println!("{}: found after {} s; {} other alerts, information", incident.name, delay.as_secs_f32(), rest.len());
        assert!(delay <= Duration::from_secs(5), "{}: {delay:?}", incident.name);
        found += 1;
        others += rest.len();
    }
    println!("incidents: recall {found}/{}, {others} other alerts about the background", KNOWN.len());
}

#[test]
fn the_control_stays_silent_among_real_routes() {
    let name = "control-twitter-prefix-2022";
    let Some((raised, _)) = play(name, "routeviews-updates.20260222.1530.bz2") else { return };
    for raised in &raised {
        println!("{name}: {}", line(raised));
    }
    let loud = raised
        .iter()
        .filter(|raised| raised.alert.severity > Severity::Info || is_about(&raised.alert, &["104.244.42.0/24"]));
    assert_eq!(loud.map(line).collect::<Vec<_>>(), Vec::<String>::new());
}
