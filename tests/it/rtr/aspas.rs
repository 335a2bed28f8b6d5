//! ASPAs over RTR version 2 (8210bis §5.12), and what becomes of a cache whose ASPAs cannot be read.

use ribwatch::detect::{Kind, Severity, feeds::source::sick};

use super::*;

/// PDUs as version 2 has them.
fn v2(octets: &[Vec<u8>]) -> Vec<u8> {
    let all = octets.iter().map(|pdu| [&[2], pdu.get(1..).unwrap_or_default()].concat());
    all.collect::<Vec<_>>().concat()
}

fn aspa(announce: bool, customer: u32, providers: &[u32]) -> Vec<u8> {
    // Flags in the first octet of what is the session field elsewhere.
    let mut body = customer.to_be_bytes().to_vec();
    providers.iter().for_each(|provider| body.extend(provider.to_be_bytes()));
    pdu(2, 11, u16::from(announce) << 8, &body)
}

/// One in the layout of 8210bis-13 and before, as StayRTR 0.5.1 sends it.
fn earlier(customer: u32, providers: &[u32]) -> Vec<u8> {
    let mut body = vec![1, 0];
    body.extend((providers.len() as u16).to_be_bytes());
    body.extend(customer.to_be_bytes());
    providers.iter().for_each(|provider| body.extend(provider.to_be_bytes()));
    pdu(2, 11, 0, &body)
}

#[test]
fn one_that_is_announced_replaces_the_customers_earlier_one() {
    let first = v2(&[begin(7), aspa(true, 64500, &[64501, 64502]), end(7, 1, 600), notify(7, 2)]);
    let second = v2(&[begin(7), aspa(true, 64500, &[64503]), end(7, 2, 600)]);
    in_runtime(async {
        let station = Station::start(vec![(2, vec![Step::Answer(2, first), Step::Answer(1, second)])]).await;
        station.wait("the second ASPA", |rpki| rpki.view().sources[0].serial == Some(2)).await;
        let snapshot = station.rpki.snapshot();
        assert_eq!(snapshot.aspas.providers(Asn(64500)).map(|(list, _)| list.to_vec()), Some(vec![Asn(64503)]));
    });
}

#[test]
fn one_is_withdrawn_without_its_providers_and_with_them() {
    let all = [begin(7), aspa(true, 64500, &[64501]), aspa(true, 64501, &[64502]), end(7, 1, 600), notify(7, 2)];
    // The draft wants the first form; caches in use send the second.
    let change = v2(&[begin(7), aspa(false, 64500, &[]), aspa(false, 64501, &[64502]), end(7, 2, 600)]);
    in_runtime(async {
        let station = Station::start(vec![(2, vec![Step::Answer(2, v2(&all)), Step::Answer(1, change)])]).await;
        station.wait("the withdrawals", |rpki| rpki.view().sources[0].serial == Some(2)).await;
        assert_eq!((station.rpki.view().aspas, station.reports.all()), (0, Vec::new()));
    });
}

#[test]
fn a_cache_whose_aspas_cannot_be_read_gives_its_vrps_over_version_1_and_that_is_said() {
    let one = vrp(true, "192.0.2.0/24", 24, 64500);
    let refused = v2(&[begin(7), one.clone(), earlier(64500, &[64501, 64502]), end(7, 1, 600)]);
    let without = join(&[begin(8), one, end(8, 1, 600), notify(8, 2)]);
    let change = join(&[begin(8), vrp(true, "198.51.100.0/24", 24, 64501), end(8, 2, 600)]);
    in_runtime(async {
        // After a break, the session goes on in its version, and the ASPAs are not tried again.
        let steps = vec![
            Step::Answer(2, refused),
            Step::Answer(2, without),
            Step::Break(join(&[begin(8)])),
            Step::Answer(1, change),
        ];
        let station = Station::start(vec![(2, steps)]).await;
        station.wait("the VRPs", |rpki| rpki.view().sources[0].serial == Some(2)).await;
        let source = station.rpki.view().sources[0].clone();
        assert_eq!(
            (source.state, source.version, source.vrps, source.aspas),
            (SourceState::Synced, Some(1), (2, 0), 0)
        );
        let why = "the ASPA of AS64500 is in a layout that drafts before 8210bis-14 had";
        assert_eq!(source.without_aspas.as_deref(), Some(why));
        assert_eq!(station.reports.all(), [(0, why.to_owned())], "the cache's operator hears it too");
        let finding = sick(&source, 1).expect("it is an alert");
        assert_eq!((finding.key.kind, finding.severity), (Kind::RpkiCache, Severity::Warning));
        assert!(finding.why.contains("cache-0") && finding.why.contains(why), "{}", finding.why);
    });
}

#[test]
fn a_cache_that_learned_to_send_aspas_is_used_with_them_again() {
    let refused = || v2(&[begin(7), earlier(64500, &[64501]), end(7, 1, 600)]);
    let without = join(&[begin(8), vrp(true, "192.0.2.0/24", 24, 64500), end(8, 1, 600), notify(8, 2)]);
    let with = v2(&[begin(9), vrp(true, "192.0.2.0/24", 24, 64500), aspa(true, 64500, &[64501]), end(9, 1, 600)]);
    in_runtime(async {
        // It is restarted, and does not know the session of version 1 any more.
        let steps =
            vec![Step::Answer(2, refused()), Step::Answer(2, without), Step::Break(Vec::new()), Step::Answer(2, with)];
        let station = Station::start(vec![(2, steps)]).await;
        station.wait("the ASPA", |rpki| rpki.view().aspas == 1).await;
        let source = station.rpki.view().sources[0].clone();
        assert_eq!((source.version, source.without_aspas.clone()), (Some(2), None));
        assert!(sick(&source, 1).is_none(), "the alert is over");
    });
}
