//! Sessions that end (RFC 8210 §5.1, §5.3, §8): a cache that was restarted is asked for everything at once, however it
//! says that it does not know the session any more.

use super::*;

/// The data of the first session, and news of it, so that the next query follows at once.
fn first() -> Vec<u8> {
    join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end_hourly(7, 1), notify(7, 2)])
}

/// Other data of another session.
fn anew() -> Vec<u8> {
    join(&[begin(8), vrp(true, "203.0.113.0/24", 24, 64502), end_hourly(8, 1)])
}

/// End of Data with intervals that no test lives to see: what follows, follows at once.
fn end_hourly(session: u16, serial: u32) -> Vec<u8> {
    pdu(1, 7, session, &[serial, 3600, 3600, 7200].map(u32::to_be_bytes).concat())
}

/// What the cache does with the Serial Query, and what is said of it.
async fn ends(what: &str, second: Step, said: &str) -> Station {
    let steps = vec![Step::Answer(2, first()), second, Step::Answer(2, anew())];
    let station = Station::start(vec![(1, steps)]).await;
    station.wait(what, |rpki| rpki.view().sources[0].session_id == Some(8)).await;
    assert_eq!(station.state("203.0.113.0/24", 64502), OriginState::Valid, "{what}");
    assert_eq!(station.state("192.0.2.0/24", 64500), OriginState::NotFound, "{what}: what the session had is gone");
    let told: Vec<usize> = station.snapshots.try_iter().map(|snapshot| snapshot.vrps.counts().0).collect();
    assert_eq!(told, [1, 1], "{what}: from one whole set to the other");
    let reports = station.reports.all();
    assert!(reports.iter().any(|(_, text)| text.contains(said)) || said.is_empty(), "{what}: {reports:?}");
    station
}

#[test]
fn a_session_that_is_over_is_followed_by_a_query_for_everything_at_once() {
    in_runtime(async {
        // §5.9, §8.3.
        ends("Cache Reset", Step::Answer(1, pdu(1, 8, 0, &[])), "").await;
        // §5.1: the cache finds the mismatch, and reports it.
        let corrupt = pdu(1, 10, 0, &[0, 0, 0, 0, 0, 0, 0, 0]);
        ends("Error Report", Step::Break(corrupt), "").await;
        // StayRTR 0.5.1 and older go without a word. Found by hand: it was asked for changes again and again, until its
        // data had expired and every route was not found.
        ends("closed", Step::Break(Vec::new()), "").await;
        // §5.1: we find the mismatch, and report it.
        ends("answer of another session", Step::Answer(1, anew()), "it answers for session 8 where 7 goes on").await;
        let between = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501), end_hourly(8, 2)]);
        ends("ends in another session", Step::Answer(1, between), "begins in session 7 and ends in 8").await;
    });
}

#[test]
fn news_of_another_session_end_this_one() {
    in_runtime(async {
        // §5.2, §5.1.
        let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end_hourly(7, 1), notify(8, 1)]);
        let station = Station::start(vec![(1, vec![Step::Answer(2, first), Step::Answer(2, anew())])]).await;
        station.wait("the other session", |rpki| rpki.view().sources[0].session_id == Some(8)).await;
        let said = "it has news of session 8 where 7 goes on, so everything is asked for anew".to_owned();
        assert_eq!(station.reports.all(), [(0, said)]);
    });
}

#[test]
fn news_that_cross_a_query_or_an_answer_disturb_neither() {
    in_runtime(async {
        // §7: before the versions are settled, a notification of any version says nothing.
        let early = pdu(0, 0, 9, &9u32.to_be_bytes());
        let first = join(&[early, first()]);
        // §5.2: it is sent at any time, and what it tells is asked for after the answer.
        let second =
            join(&[notify(7, 2), begin(7), notify(7, 3), vrp(true, "198.51.100.0/24", 24, 64501), end_hourly(7, 2)]);
        let third = join(&[begin(7), vrp(true, "203.0.113.0/24", 24, 64502), end_hourly(7, 3)]);
        let steps = vec![Step::Answer(2, first), Step::Answer(1, second), Step::Answer(1, third)];
        let station = Station::start(vec![(1, steps)]).await;
        station.wait("the third answer", |rpki| rpki.view().vrps.0 == 3).await;
        assert_eq!(station.reports.all(), []);
    });
}

#[test]
fn a_cache_that_speaks_an_older_version_goes_on_with_its_session_after_a_break() {
    in_runtime(async {
        let second = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501), end_hourly(7, 2)]);
        // The break comes in the middle of an answer, which says nothing against the session.
        let half = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501)]);
        let steps = vec![Step::Answer(2, first()), Step::Break(half), Step::Answer(1, second)];
        let station = Station::start(vec![(1, steps)]).await;
        station.wait("the session going on", |rpki| rpki.view().sources[0].serial == Some(2)).await;
        assert_eq!((station.rpki.view().vrps.0, station.reports.all()), (2, Vec::new()));
    });
}
