//! gRPC over a backend in memory: pages, streams, filters, commands, health, reflection.

use std::sync::Arc;

use prost::Message as _;
use ribwatch::{
    alert::Nobody,
    types::PeerId,
    view::{Backend, Command, SessionState},
    wire::bgp::{attribute::AttrSet, community::Community},
};
use ribwatch_proto::v1::{
    self, daemon_service_client::DaemonServiceClient, local_route_service_client::LocalRouteServiceClient,
    neighbor_service_client::NeighborServiceClient, route_service_client::RouteServiceClient,
};
use tokio::net::TcpListener;
use tonic::{Code, Streaming, transport::Channel};

use crate::fake::{Fake, attributes};

/// Serves `fake` until the test ends.
pub(crate) async fn serve(fake: &Arc<Fake>) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend: Arc<dyn Backend> = fake.clone();
    tokio::spawn(crate::door::serve_grpc(listener, backend, Arc::new(Nobody)));
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// `count` prefixes 10.x.y.0/24 in table order.
pub(crate) fn prefixes(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
}

pub(crate) async fn fake_with(count: u32) -> (Arc<Fake>, PeerId, Channel) {
    let fake = Fake::new(4096);
    let peer = fake.neighbor("192.0.2.1", 64496);
    prefixes(count).for_each(|prefix| fake.announce(peer, &prefix, &[64496, 64500]));
    let channel = serve(&fake).await;
    (fake, peer, channel)
}

fn names(routes: &[v1::Route]) -> Vec<String> {
    routes.iter().map(|route| route.prefix.clone()).collect()
}

pub(crate) fn filter() -> v1::RouteFilter {
    v1::RouteFilter::default()
}

pub(crate) async fn drain(mut stream: Streaming<v1::StreamRoutesResponse>) -> Vec<v1::StreamRoutesResponse> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.message().await.unwrap() {
        batches.push(batch);
    }
    batches
}

#[tokio::test]
async fn pages_follow_each_other_without_a_hole_while_the_table_changes() {
    let (fake, peer, channel) = fake_with(1200).await;
    let mut routes = RouteServiceClient::new(channel);
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListRoutesRequest { filter: None, page_size: 500, page_token: token };
        let page = routes.list_routes(request).await.unwrap().into_inner();
        assert!(page.routes.len() <= 500);
        listed.extend(names(&page.routes));
        // The last prefix of the page goes away, and one comes in front of it: neither moves the place.
        fake.withdraw(peer, listed.last().unwrap());
        fake.announce(peer, "9.0.0.0/8", &[64496]);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, prefixes(1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_prefix_with_more_paths_than_a_page_is_read_in_parts() {
    let fake = Fake::new(16);
    let peer = fake.neighbor("192.0.2.1", 64496);
    for path_id in 1..=1500 {
        fake.file(peer, "203.0.113.0/24", path_id, attributes("203.0.113.0/24", &[64496]).finish());
    }
    fake.announce(peer, "203.0.114.0/24", &[64496]);
    let mut routes = RouteServiceClient::new(serve(&fake).await);
    let filter = Some(v1::RouteFilter { table: v1::Table::AdjIn.into(), ..filter() });
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListRoutesRequest { filter: filter.clone(), page_size: 700, page_token: token };
        let page = routes.list_routes(request).await.unwrap().into_inner();
        ids.extend(page.routes.iter().map(|route| route.path_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(ids, (1..=1500).chain([0]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_token_of_another_question_is_refused() {
    let (_, _, channel) = fake_with(20).await;
    let mut routes = RouteServiceClient::new(channel);
    let request = v1::ListRoutesRequest { filter: None, page_size: 10, page_token: String::new() };
    let token = routes.list_routes(request).await.unwrap().into_inner().next_page_token;
    let other = Some(v1::RouteFilter { origin_as: Some(64500), ..filter() });
    for (filter, page_token) in [(other, token), (None, "nonsense".to_owned())] {
        let request = v1::ListRoutesRequest { filter, page_size: 10, page_token };
        assert_eq!(routes.list_routes(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_stream_gives_everything_or_as_much_as_asked_and_can_go_on() {
    let (_, _, channel) = fake_with(1300).await;
    let mut routes = RouteServiceClient::new(channel);
    let all: Vec<String> = prefixes(1300).collect();
    let mut ask = async |limit, page_token| {
        let request = v1::StreamRoutesRequest { filter: None, limit, page_token };
        drain(routes.stream_routes(request).await.unwrap().into_inner()).await
    };
    let read = |batches: &[v1::StreamRoutesResponse]| -> Vec<String> {
        batches.iter().flat_map(|batch| names(&batch.routes)).collect()
    };

    let whole = ask(0, String::new()).await;
    assert_eq!(read(&whole), all);
    assert_eq!(whole.last().unwrap().next_page_token, "", "the end of the table is told");

    let part = ask(700, String::new()).await;
    assert_eq!(read(&part), all[..700]);
    let token = part.last().unwrap().next_page_token.clone();
    assert_ne!(token, "", "a cut is told");
    assert_eq!(read(&ask(0, token).await), all[700..]);
}

#[tokio::test]
async fn no_message_grows_large_whatever_the_attributes() {
    let fake = Fake::new(16);
    let peer = fake.neighbor("192.0.2.1", 64496);
    let communities: Vec<Community> = (0..14_000).map(Community).collect();
    for prefix in prefixes(40) {
        let set = attributes(&prefix, &[64496]).communities(&communities).finish();
        fake.file(peer, &prefix, 0, set);
    }
    let mut routes = RouteServiceClient::new(serve(&fake).await);
    let batches = drain(routes.stream_routes(v1::StreamRoutesRequest::default()).await.unwrap().into_inner()).await;
    assert_eq!(batches.iter().map(|batch| batch.routes.len()).sum::<usize>(), 40);
    let largest = batches.iter().map(prost::Message::encoded_len).max().unwrap();
    assert!(largest < 2 << 20, "{largest} octets");
    let page = routes.list_routes(v1::ListRoutesRequest::default()).await.unwrap().into_inner();
    assert!(page.encoded_len() < 2 << 20 && !page.next_page_token.is_empty());
}

#[tokio::test]
async fn thousands_of_neighbors_come_in_pages_and_an_explanation_is_cut() {
    let fake = Fake::new(16);
    let reason = "x".repeat(400);
    for n in 0..3000u32 {
        let peer = fake.neighbor(&format!("10.0.{}.{}", n / 256, n % 256), 64496);
        fake.edit(peer, |view| view.last_error = Some(reason.clone()));
    }
    let communities: Vec<Community> = (0..14_000).map(Community).collect();
    let set = attributes("203.0.113.0/24", &[64496]).communities(&communities).finish();
    (1..=60).for_each(|path_id| fake.file(PeerId(1), "203.0.113.0/24", path_id, set.clone()));
    let channel = serve(&fake).await;
    let mut neighbors = NeighborServiceClient::new(channel.clone());
    let (mut addresses, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = neighbors.list_neighbors(v1::ListNeighborsRequest { page_token }).await.unwrap().into_inner();
        assert!(page.encoded_len() < 2 << 20);
        addresses.extend(page.neighbors.into_iter().map(|neighbor| neighbor.address));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (0..3000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    assert_eq!(addresses, expected);
    let wrong = v1::ListNeighborsRequest { page_token: "nonsense".into() };
    assert_eq!(neighbors.list_neighbors(wrong).await.unwrap_err().code(), Code::InvalidArgument);

    let request = v1::ExplainRouteRequest { prefix: "203.0.113.0/24".into(), family: String::new() };
    let answer = RouteServiceClient::new(channel).explain_route(request).await.unwrap().into_inner();
    assert!(answer.encoded_len() < 2 << 20 && answer.candidates.len() < 60);
    assert_eq!(answer.paths, 60, "that it was cut is told");
}

#[tokio::test]
async fn filters_run_in_the_daemon() {
    let fake = Fake::new(16);
    let (a, b) = (fake.neighbor("192.0.2.1", 64496), fake.neighbor("2001:db8::2", 64497));
    fake.edit(b, |view| view.name = Some("edge-2".into()));
    fake.announce(a, "10.0.0.0/8", &[64496, 64500]);
    fake.announce(a, "10.1.0.0/16", &[64496, 64501]);
    let no_export = attributes("10.1.1.0/24", &[64497, 64500])
        .communities(&[Community::NO_EXPORT, Community(64500 << 16 | 7)])
        .finish();
    fake.file(b, "10.1.1.0/24", 0, no_export);
    fake.announce(b, "10.0.0.0/8", &[64497, 64498, 64500]);
    fake.announce(b, "2001:db8::/32", &[64497, 64500]);
    let mut routes = RouteServiceClient::new(serve(&fake).await);
    let prefix = |prefix: &str, relation: v1::PrefixMatch| v1::RouteFilter {
        prefix: prefix.into(),
        r#match: relation.into(),
        ..filter()
    };
    let adj_in = v1::RouteFilter { table: v1::Table::AdjIn.into(), ..filter() };
    let adj_out = v1::RouteFilter { table: v1::Table::AdjOut.into(), ..filter() };
    let community = |word: &str| v1::RouteFilter { communities: vec![word.into()], ..filter() };
    use v1::PrefixMatch::{Exact, Longer, Longest, Shorter, Unspecified};
    let cases: [(v1::RouteFilter, &str); 21] = [
        (filter(), "10.0.0.0/8 10.1.0.0/16 10.1.1.0/24 2001:db8::/32"),
        (v1::RouteFilter { family: "ipv6-unicast".into(), ..filter() }, "2001:db8::/32"),
        (v1::RouteFilter { neighbor: "192.0.2.1".into(), ..filter() }, "10.0.0.0/8 10.1.0.0/16"),
        (v1::RouteFilter { neighbor: "edge-2".into(), ..adj_in.clone() }, "10.0.0.0/8 10.1.1.0/24 2001:db8::/32"),
        (v1::RouteFilter { neighbor: "edge-2".into(), ..adj_out }, "10.0.0.0/8 10.1.0.0/16"),
        (prefix("10.1.0.0/16", Unspecified), "10.1.0.0/16"),
        (prefix("10.1.0.0/16", Exact), "10.1.0.0/16"),
        (prefix("10.1.0.0/16", Longer), "10.1.0.0/16 10.1.1.0/24"),
        (prefix("10.1.0.0/16", Shorter), "10.0.0.0/8 10.1.0.0/16"),
        (prefix("10.1.2.0/24", Longest), "10.1.0.0/16"),
        (prefix("10.1.1.1", Unspecified), "10.1.1.0/24"),
        (v1::RouteFilter { origin_as: Some(64501), ..filter() }, "10.1.0.0/16"),
        (v1::RouteFilter { as_path: "^64496_".into(), ..filter() }, "10.0.0.0/8 10.1.0.0/16"),
        (v1::RouteFilter { as_path: "_64498_".into(), ..adj_in }, "10.0.0.0/8"),
        (v1::RouteFilter { as_path: "_6450$".into(), ..filter() }, ""),
        (community("no-export"), "10.1.1.0/24"),
        (community("64500:7"), "10.1.1.0/24"),
        (community("64500:*"), "10.1.1.0/24"),
        (community("64500:8"), ""),
        // Nothing here was checked against RPKI data.
        (v1::RouteFilter { validation: "valid".into(), ..filter() }, ""),
        (v1::RouteFilter { aspa: "valid".into(), ..filter() }, ""),
    ];
    for (filter, expected) in cases {
        let request = v1::ListRoutesRequest { filter: Some(filter.clone()), page_size: 0, page_token: String::new() };
        let page = routes.list_routes(request).await.unwrap().into_inner();
        assert_eq!(names(&page.routes).join(" "), expected, "{filter:?}");
    }
    for wrong in [
        v1::RouteFilter { as_path: "(".into(), ..filter() },
        v1::RouteFilter { table: 77, ..filter() },
        v1::RouteFilter { table: v1::Table::AdjOut.into(), ..filter() },
        community("nonsense"),
    ] {
        let request = v1::ListRoutesRequest { filter: Some(wrong), page_size: 0, page_token: String::new() };
        let status = routes.list_routes(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().len() > 20, "it says what would do: {status}");
    }
}

#[tokio::test]
async fn a_route_carries_its_attributes_typed_and_as_text() {
    let fake = Fake::new(16);
    let peer = fake.neighbor("192.0.2.1", 64496);
    let mut set = attributes("203.0.113.0/24", &[64496, 64500]);
    let set = set.med(7).local_pref(200).communities(&[Community::NO_EXPORT]).raw(0xe0, 99, &[1, 2]).finish();
    fake.file(peer, "203.0.113.0/24", 5, set);
    let mut routes = RouteServiceClient::new(serve(&fake).await);
    let request = v1::LookupRoutesRequest { prefix: "203.0.113.9".into(), ..v1::LookupRoutesRequest::default() };
    let answer = routes.lookup_routes(request).await.unwrap().into_inner();
    let [route] = &answer.routes[..] else { panic!("{answer:?}") };
    assert_eq!((route.prefix.as_str(), route.neighbor.as_str(), route.path_id), ("203.0.113.0/24", "192.0.2.1", 5));
    assert!(route.best && !route.stale);
    let attributes = v1::PathAttributes::decode(route.attributes.clone()).unwrap();
    assert_eq!(attributes.as_path, "64496 64500");
    assert_eq!(attributes.segments[0].asns, [64496, 64500]);
    assert_eq!((attributes.origin_as, attributes.neighbor_as), (Some(64500), Some(64496)));
    assert_eq!((attributes.med, attributes.local_pref), (Some(7), Some(200)));
    assert_eq!(attributes.origin(), v1::Origin::Igp);
    assert_eq!(attributes.next_hop, "192.0.2.1");
    assert_eq!(attributes.communities, ["no-export"]);
    assert_eq!(attributes.others.iter().map(|raw| raw.code).collect::<Vec<_>>(), [99]);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_, _, channel) = fake_with(1).await;
    let mut routes = RouteServiceClient::new(channel.clone());
    let lookup = |prefix: &str| v1::LookupRoutesRequest { prefix: prefix.into(), ..v1::LookupRoutesRequest::default() };
    let explain = |prefix: &str| v1::ExplainRouteRequest { prefix: prefix.into(), family: String::new() };
    for prefix in ["198.51.100.0/24", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(routes.lookup_routes(lookup(prefix)).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(routes.explain_route(explain(prefix)).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(routes.lookup_routes(lookup("")).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(routes.explain_route(explain("10.0.0.1/24")).await.unwrap_err().code(), Code::InvalidArgument);
    let mut neighbors = NeighborServiceClient::new(channel);
    let request = v1::GetNeighborRequest { neighbor: "192.0.2.99".into() };
    assert_eq!(neighbors.get_neighbor(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_explanation_names_every_path_and_why() {
    let fake = Fake::new(16);
    let (a, b, c) =
        (fake.neighbor("192.0.2.1", 64496), fake.neighbor("192.0.2.2", 64497), fake.neighbor("192.0.2.3", 64498));
    fake.announce(a, "203.0.113.0/24", &[64496, 64499, 64500]);
    fake.announce(b, "203.0.113.0/24", &[64497, 64500]);
    fake.announce(c, "203.0.113.0/24", &[64500]);
    fake.mark(c, "203.0.113.0/24", false, Some("reject-all"));
    let mut routes = RouteServiceClient::new(serve(&fake).await);
    let request = v1::ExplainRouteRequest { prefix: "203.0.113.1".into(), family: String::new() };
    let answer = routes.explain_route(request).await.unwrap().into_inner();
    assert_eq!((answer.prefix.as_str(), answer.paths), ("203.0.113.0/24", 3));
    let told: Vec<_> = answer
        .candidates
        .iter()
        .map(|c| (c.route.as_ref().unwrap().neighbor.as_str(), c.lost_at.as_str(), c.ineligible.as_str()))
        .collect();
    let expected =
        [("192.0.2.2", "", ""), ("192.0.2.1", "longer AS path", ""), ("192.0.2.3", "", "rejected by reject-all")];
    assert_eq!(told, expected);
    let lost = &answer.candidates[1];
    let told = (lost.step.as_str(), lost.value.as_str(), lost.against.as_str(), lost.lost_to);
    assert_eq!(told, ("as-path-length", "3", "2", 1));
    assert_eq!(answer.candidates[0].lost_to, 0);
}

#[tokio::test]
async fn commands_reach_the_sessions_and_nonsense_does_not() {
    let (fake, peer, channel) = fake_with(0).await;
    let mut neighbors = NeighborServiceClient::new(channel);
    let neighbor = || "192.0.2.1".to_owned();
    neighbors.enable_neighbor(v1::EnableNeighborRequest { neighbor: neighbor() }).await.unwrap();
    let text = "maintenance until noon".to_owned();
    let disable = |text| v1::DisableNeighborRequest { neighbor: neighbor(), text };
    neighbors.disable_neighbor(disable(text.clone())).await.unwrap();
    let reset = |soft| v1::ResetNeighborRequest { neighbor: neighbor(), soft, text: String::new() };
    neighbors.reset_neighbor(reset(true)).await.unwrap();
    neighbors.reset_neighbor(reset(false)).await.unwrap();
    neighbors.remove_neighbor(v1::RemoveNeighborRequest { neighbor: neighbor() }).await.unwrap();
    let toml = "address = \"192.0.2.9\"\nremote_asn = 64499\n".to_owned();
    neighbors.add_neighbor(v1::AddNeighborRequest { toml: toml.clone() }).await.unwrap();
    let commands = fake.commands();
    assert!(matches!(&commands[..], [
        Command::Enable { peer: a },
        Command::Disable { peer: b, text: told },
        Command::Reset { peer: c, hard: false, .. },
        Command::Reset { peer: d, hard: true, .. },
        Command::Remove { peer: e },
        Command::Add { toml: definition },
    ] if [a, b, c, d, e].iter().all(|p| **p == peer) && *told == text && *definition == toml));

    let long = neighbors.disable_neighbor(disable("x".repeat(256))).await.unwrap_err();
    assert_eq!(long.code(), Code::InvalidArgument);
    fake.edit(peer, |view| view.state = SessionState::Active);
    assert_eq!(neighbors.reset_neighbor(reset(true)).await.unwrap_err().code(), Code::FailedPrecondition);
    let wrong = neighbors.add_neighbor(v1::AddNeighborRequest { toml: "address = 1".into() }).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("remote_asn"));
}

#[tokio::test]
async fn a_route_of_our_own_is_originated_and_taken_back() {
    let (fake, _, channel) = fake_with(0).await;
    let mut local = LocalRouteServiceClient::new(channel.clone());
    let request = v1::OriginateRequest {
        prefix: "203.0.113.0/24".into(),
        med: Some(5),
        communities: ["64500:1", "64500:1:2", "rt:64500:1", "no-export"].map(str::to_owned).to_vec(),
        as_path: vec![64500, 64501],
        ..Default::default()
    };
    local.originate(request.clone()).await.unwrap();
    let Ok(ribwatch::view::Answer::Routes(page)) = fake.query(ribwatch::view::Query::Routes(Default::default())).await
    else {
        panic!("the fake answers")
    };
    let set: AttrSet<'_> = page.attrs(&page.rows[0]);
    assert_eq!(page.rows[0].peer, None);
    assert_eq!((set.as_path().to_string().as_str(), set.med()), ("64500 64501", Some(5)));
    assert_eq!((set.communities().len(), set.large_communities().len(), set.ext_communities().len()), (2, 1, 1));
    assert!(set.next_hop().unwrap().global.is_unspecified(), "stands for ourselves");

    for wrong in [
        v1::OriginateRequest { prefix: "203.0.113.1/24".into(), ..request.clone() },
        v1::OriginateRequest { origin: "magic".into(), ..request.clone() },
        v1::OriginateRequest { communities: vec!["x".into()], ..request.clone() },
        v1::OriginateRequest { family: "ipv6-unicast".into(), ..request.clone() },
        v1::OriginateRequest { next_hop: "here".into(), ..request.clone() },
        v1::OriginateRequest { as_path: vec![64500; 256], ..request.clone() },
    ] {
        assert_eq!(local.originate(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let withdraw = || v1::WithdrawRequest { prefix: "203.0.113.0/24".into(), family: String::new() };
    local.withdraw(withdraw()).await.unwrap();
    assert_eq!(local.withdraw(withdraw()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn health_follows_readiness_and_reflection_names_the_services() {
    let fake = Fake::new(16);
    fake.set_ready(false);
    let channel = serve(&fake).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let service = "ribwatch.v1.RouteService".to_owned();
    let mut watch = health.watch(tonic_health::pb::HealthCheckRequest { service }).await.unwrap().into_inner();
    use tonic_health::pb::health_check_response::ServingStatus;
    let mut until = async |wanted: ServingStatus| {
        while watch.message().await.unwrap().unwrap().status() != wanted {}
    };
    until(ServingStatus::NotServing).await;
    fake.set_ready(true);
    until(ServingStatus::Serving).await;
    let info = DaemonServiceClient::new(channel.clone()).get_info(v1::GetInfoRequest {}).await.unwrap().into_inner();
    assert!((info.ready, info.asn, info.router_id.as_str(), info.uptime_s) == (true, 64512, "198.51.100.1", 3600));

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let ask = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["Neighbor", "Route", "LocalRoute", "Daemon"] {
        assert!(names.contains(&format!("ribwatch.v1.{service}Service")), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()));
}
