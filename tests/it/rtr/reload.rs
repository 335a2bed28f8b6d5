//! Other settings while sources are in force: what stays the same keeps its connection and its data.

use super::*;

/// A cache with one VRP that counts its connections.
async fn counting(prefix: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let numbers = [1u32, 3600, 600, 7200].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>();
            let all = join(&[begin(7), vrp(true, prefix, 24, 64500), pdu(1, 7, 7, &numbers)]);
            tokio::spawn(async move {
                serve(stream, 1, &mut vec![Step::Answer(2, all)].into_iter(), &Reports::default()).await
            });
        }
    });
    (address, connections)
}

fn settings(sources: &[(&str, &str)]) -> RpkiSettings {
    let sources = sources.iter().map(|(name, address)| source(name, (*address).to_owned(), None));
    RpkiSettings { sources: sources.collect(), ..RpkiSettings::default() }
}

#[test]
fn caches_come_and_go_and_those_that_stay_keep_their_connection() {
    in_runtime(async {
        let (one, to_one) = counting("192.0.2.0/24").await;
        let (two, _) = counting("198.51.100.0/24").await;
        let (three, _) = counting("203.0.113.0/24").await;
        let before = settings(&[("one", one.as_str()), ("two", two.as_str())]);
        let station = Station::with(before.sources.clone());
        station.wait("both", |rpki| rpki.view().vrps.0 == 2).await;

        // Another one in front, one less, and one that has another name and preference now.
        let mut after = settings(&[("three", three.as_str()), ("first", one.as_str())]);
        after.sources[1].preference = 0;
        station.rpki.reconfigure(&after).expect("nothing speaks against it");
        assert_eq!(station.state("198.51.100.0/24", 64500), OriginState::NotFound, "what two said has left");
        station.wait("three", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
        let view = station.rpki.view();
        let told: Vec<(&str, bool)> = view.sources.iter().map(|source| (source.name.as_str(), source.in_use)).collect();
        assert_eq!(told, [("three", false), ("first", true)], "in the order of the configuration");
        assert_eq!(to_one.load(Ordering::Relaxed), 1, "who stays is not connected to again");
        let sources =
            station.rpki.check("192.0.2.0/24".parse().expect("a prefix"), Asn(64500)).covering[0].sources.clone();
        assert_eq!(sources, ["first"]);

        station.rpki.reconfigure(&before).expect("nothing speaks against it");
        station.wait("two again", |rpki| rpki.view().vrps.0 == 2).await;
        assert_eq!(to_one.load(Ordering::Relaxed), 1);

        station.rpki.reconfigure(&RpkiSettings::default()).expect("nothing speaks against it");
        assert_eq!((station.rpki.view().vrps, station.rpki.view().sources.len()), ((0, 0), 0));
        assert!(!station.rpki.snapshot().loaded, "without sources nothing is judged");
    });
}

#[test]
fn a_cache_that_moves_leaves_no_gap() {
    in_runtime(async {
        let (here, _) = counting("192.0.2.0/24").await;
        let station = Station::with(settings(&[("validator", here.as_str())]).sources);
        station.wait("its data", |rpki| rpki.view().vrps.0 == 1).await;
        // Nobody listens there yet.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let there = listener.local_addr().expect("an address").to_string();
        station.rpki.reconfigure(&settings(&[("validator", there.as_str())])).expect("nothing speaks against it");
        assert_eq!(station.state("192.0.2.0/24", 64500), OriginState::Valid, "until the first answer there");
        let all = join(&[begin(9), vrp(true, "198.51.100.0/24", 24, 64500), end(9, 1, 600)]);
        tokio::spawn(cache(listener, 1, vec![Step::Answer(2, all)], Reports::default()));
        station.wait("the data there", |rpki| rpki.view().sources[0].session_id == Some(9)).await;
        assert_eq!(station.state("192.0.2.0/24", 64500), OriginState::NotFound);
        assert_eq!(station.state("198.51.100.0/24", 64500), OriginState::Valid);
    });
}

#[test]
fn exceptions_come_and_go_and_a_faulty_file_refuses_the_change() {
    in_runtime(async {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the folder can be written");
            Some(path)
        };
        let (one, to_one) = counting("192.0.2.0/24").await;
        let plain = settings(&[("one", one.as_str())]);
        let station = Station::with(plain.sources.clone());
        station.wait("its data", |rpki| rpki.view().vrps.0 == 1).await;
        let filter = "{\"slurmVersion\": 1, \"validationOutputFilters\": {\"prefixFilters\": [{\"asn\": 64500}]}, \
                      \"locallyAddedAssertions\": {\"prefixAssertions\": \
                      [{\"asn\": 64511, \"prefix\": \"203.0.113.0/24\"}]}}";
        let with = RpkiSettings { slurm: file("slurm.json", filter), ..plain.clone() };
        station.rpki.reconfigure(&with).expect("a good file");
        assert_eq!(station.state("192.0.2.0/24", 64500), OriginState::NotFound);
        assert_eq!(station.state("203.0.113.0/24", 64511), OriginState::Valid);

        let faulty = RpkiSettings { slurm: file("faulty.json", "{"), sources: Vec::new(), hold_import: None };
        let why = station.rpki.reconfigure(&faulty).expect_err("a faulty file");
        assert!(why.contains("faulty.json") && why.contains("not JSON"), "{why}");
        assert_eq!(station.state("203.0.113.0/24", 64511), OriginState::Valid, "nothing changed");
        assert_eq!(station.rpki.view().sources.len(), 2);

        station.rpki.reconfigure(&plain).expect("nothing speaks against it");
        assert_eq!(station.state("192.0.2.0/24", 64500), OriginState::Valid);
        assert_eq!(station.state("203.0.113.0/24", 64511), OriginState::NotFound);
        assert_eq!(to_one.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn each_source_answers_once_and_one_that_goes_is_not_waited_for() {
    in_runtime(async {
        let (one, _) = counting("192.0.2.0/24").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent = listener.local_addr().expect("an address").to_string();
        let (told, answered) = mpsc::channel();
        let publish = Box::new(move |news: News| {
            if let News::Answered(name) = news {
                let _ = told.send(name);
            }
        });
        let rpki =
            Rpki::start(&settings(&[("one", one.as_str()), ("silent", silent.as_str())]), Clock::start(), publish);
        let station = Station { rpki, snapshots: mpsc::channel().1, reports: Reports::default() };
        station.wait("one", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
        station.rpki.reconfigure(&settings(&[("one", one.as_str())])).expect("nothing speaks against it");
        assert_eq!(answered.try_iter().collect::<Vec<_>>(), ["one", "silent"]);
    });
}
