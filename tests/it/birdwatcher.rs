//! What looking glasses made for birdwatcher find under `/birdwatcher`: every field that Alice-LG reads, with the type and
//! the layout that it reads it with, as `single_table` and as `multi_table`.

use std::{net::SocketAddr, sync::Arc};

use ribwatch::{
    alert::Nobody,
    types::PeerId,
    view::{Backend, SessionState},
    web,
    wire::bgp::community::{Community, ExtCommunity, LargeCommunity},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::fake::{Fake, attributes};

struct Site {
    fake: Arc<Fake>,
    a: PeerId,
    b: PeerId,
    address: SocketAddr,
}

impl Site {
    /// Two neighbours: `edge-1`, and one whose name cannot stand in a path. The second sends a route that is refused.
    async fn new() -> Self {
        let fake = Fake::new(16);
        let a = fake.neighbor("192.0.2.1", 64496);
        let b = fake.neighbor("192.0.2.2", 64497);
        fake.edit(a, |view| view.name = Some("edge-1".into()));
        fake.edit(b, |view| view.name = Some("edge \"2\"/x".into()));
        let large = [LargeCommunity { global: 64500, local1: 1, local2: 2 }];
        let mut set = attributes("203.0.113.0/24", &[64496, 64500]);
        let set = set.med(10).local_pref(200).communities(&[Community(64500 << 16 | 7)]).large_communities(&large);
        // Route target 64500:1 (RFC 4360 §4), and a kind that has no name.
        let extended = [ExtCommunity(0x0002_fbf4_0000_0001), ExtCommunity(0x4300_0000_0000_0001)];
        fake.file(a, "203.0.113.0/24", 0, set.ext_communities(&extended).finish());
        fake.announce(b, "203.0.113.0/24", &[64497, 64499, 64500]);
        fake.announce(b, "198.51.100.0/24", &[64497]);
        fake.announce(a, "2001:db8::/32", &[64496]);
        fake.announce(b, "192.0.2.0/24", &[64497, 64511]);
        fake.mark(b, "192.0.2.0/24", false, Some("no \"bogons\""));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend: Arc<dyn Backend> = fake.clone();
        let rooms = web::Rooms { backend, alerts: Arc::new(Nobody), metrics: Arc::new(String::new) };
        tokio::spawn(crate::door::serve_http(listener, rooms));
        Self { fake, a, b, address }
    }

    /// Status and body of an answer that ends with its connection (HTTP/1.0).
    async fn get(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET /birdwatcher{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A good answer, whose envelope is as it must be.
    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"));
        // Alice reads `Version` with a capital letter, and times with `servertime`.
        assert!(answer["api"]["Version"].is_string() && answer["api"]["result_from_cache"].is_boolean(), "{answer}");
        for time in [&answer["api"]["cache_status"]["cached_at"]["date"], &answer["ttl"], &answer["cached_at"]] {
            assert_layout(time, "0000-00-00T00:00:00Z");
        }
        assert!(answer["ttl"].as_str() > answer["cached_at"].as_str());
        answer
    }

    /// The networks of a list, each with the protocol that it came from.
    async fn networks(&self, path: &str) -> Vec<String> {
        let answer = self.json(path).await;
        let routes = answer["routes"].as_array().unwrap_or_else(|| panic!("{path}: {answer}"));
        let text = |route: &Value, name: &str| route[name].as_str().unwrap().to_owned();
        routes.iter().map(|route| format!("{} {}", text(route, "network"), text(route, "from_protocol"))).collect()
    }
}

/// Digits where `layout` has a 0, and otherwise what stands there.
fn assert_layout(value: &Value, layout: &str) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no string"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, layout, "{text}");
}

/// What Alice reads with `servertime_short = 2006-01-02 15:04:05`.
const SHORT: &str = "0000-00-00 00:00:00";

#[tokio::test]
async fn the_status_has_the_times_and_the_words_of_bird() {
    let site = Site::new().await;
    let answer = site.json("/status").await;
    let status = &answer["status"];
    for time in ["current_server", "last_reboot", "last_reconfig"] {
        assert_layout(&status[time], SHORT);
    }
    assert_eq!(status["current_server"], "2023-11-14 22:13:20");
    assert_eq!(status["last_reboot"], "2023-11-14 21:13:20");
    assert_eq!((&status["version"], &status["router_id"]), (&json!("0.1.0"), &json!("198.51.100.1")));
    assert_eq!(status["message"], "Daemon is up and running");
    assert!(site.get("/version").await.1.starts_with("ribwatch "));
}

#[tokio::test]
async fn sessions_are_protocols() {
    let site = Site::new().await;
    site.fake.edit(site.b, |view| {
        (view.state, view.enabled) = (SessionState::Idle, false);
        view.last_error = Some("peer \"said\" no".into());
    });
    for path in ["/protocols", "/protocols/bgp"] {
        let answer = site.json(path).await;
        let protocols = answer["protocols"].as_object().unwrap();
        let names: Vec<&str> = protocols.keys().map(String::as_str).collect();
        // A name that is no path is not used.
        let expected = if path == "/protocols" {
            &["192.0.2.2", "M192.0.2.2", "Medge-1", "edge-1"][..]
        } else {
            &["192.0.2.2", "edge-1"]
        };
        assert_eq!(names, expected);
        for protocol in protocols.values().filter(|protocol| protocol["bird_protocol"] == "BGP") {
            for text in ["protocol", "neighbor_address", "state", "description", "last_error", "table", "connection"] {
                assert!(protocol[text].is_string(), "{text} of {protocol}");
            }
            assert_layout(&protocol["state_changed"], SHORT);
            for number in ["imported", "filtered", "exported"] {
                // Alice reads them as floating point numbers and would panic at a string.
                assert!(protocol["routes"][number].is_u64(), "{number} of {protocol}");
            }
        }
        let (up, down) = (&protocols["edge-1"], &protocols["192.0.2.2"]);
        assert_eq!((&up["state"], &down["state"]), (&json!("up"), &json!("down")));
        assert_eq!((&up["neighbor_as"], &up["neighbor_address"]), (&json!(64496), &json!("192.0.2.1")));
        let counts = json!({"imported": 2, "filtered": 1, "exported": 1});
        assert_eq!((&up["routes"], &down["last_error"]), (&counts, &json!("peer \"said\" no")));
        assert_eq!(down["description"], "edge \"2\"/x");
        // As multi_table Alice takes what does not come through the pipe of a table for filtered.
        assert_eq!(up["table"], "Tedge-1");
        if let Some(pipe) = protocols.get("Medge-1") {
            assert_eq!((&pipe["bird_protocol"], &pipe["table"]), (&json!("Pipe"), &json!("Tedge-1")));
            assert_eq!(pipe["routes"]["imported"], up["routes"]["imported"]);
        }
    }
    site.fake.edit(site.b, |view| (view.state, view.enabled) = (SessionState::Connect, true));
    let short = site.json("/protocols/short?uncached=true").await;
    let connecting = &short["protocols"]["192.0.2.2"];
    assert_eq!((&connecting["state"], &connecting["info"]), (&json!("start"), &json!("Connect")));
    assert_eq!((&connecting["proto"], &connecting["table"]), (&json!("BGP"), &json!("T192.0.2.2")));
    assert_layout(&connecting["since"], SHORT);
}

#[tokio::test]
async fn a_route_has_every_field_in_its_type() {
    let site = Site::new().await;
    let answer = site.json("/routes/protocol/edge-1").await;
    let expected = json!({
        "network": "203.0.113.0/24",
        "gateway": "192.0.2.1",
        "interface": "",
        "from_protocol": "edge-1",
        "learnt_from": "192.0.2.1",
        "age": "2023-11-14 22:13:20",
        "metric": 100,
        "type": ["BGP", "univ"],
        "primary": true,
        "bgp": {
            "origin": "IGP",
            "as_path": ["64496", "64500"],
            "next_hop": "192.0.2.1",
            // Strings: Alice reads a number as if there were none.
            "local_pref": "200",
            "med": "10",
            "communities": [[64500, 7]],
            "large_communities": [[64500, 1, 2]],
            "ext_communities": [["rt", "64500", "1"], ["generic", "0x43000000", "0x1"]],
        },
    });
    assert_eq!(answer["routes"][0], expected);
    let filtered = site.json("/routes/filtered/192.0.2.2").await;
    let route = &filtered["routes"][0];
    assert_eq!((&route["rejected_by"], &route["primary"]), (&json!("no \"bogons\""), &json!(false)));
    assert_eq!((&route["bgp"]["local_pref"], &route["bgp"]["med"]), (&json!("100"), &json!("0")));
    assert_eq!(route["gateway"], route["learnt_from"], "Alice drops filtered routes with another gateway");
    let v6 = site.json("/routes/prefix?prefix=2001:db8::/32").await;
    assert_eq!(v6["routes"][0]["bgp"]["next_hop"], "2001:db8::1");
}

#[tokio::test]
async fn every_list_has_what_bird_would_have_in_it() {
    let site = Site::new().await;
    let (one, two, six) = ("203.0.113.0/24 edge-1", "203.0.113.0/24 192.0.2.2", "2001:db8::/32 edge-1");
    let (three, bad) = ("198.51.100.0/24 192.0.2.2", "192.0.2.0/24 192.0.2.2");
    for (path, expected) in [
        ("/routes/protocol/edge-1", vec![one, six]),
        ("/routes/protocol/192.0.2.2", vec![three, two]),
        ("/routes/peer/192.0.2.2", vec![three, two]),
        ("/routes/filtered/edge-1", vec![]),
        ("/routes/filtered/192.0.2.2", vec![bad]),
        ("/routes/table/master", vec![three, one, two, six]),
        ("/routes/table/master4", vec![three, one, two]),
        ("/routes/table/master6", vec![six]),
        ("/routes/table/master/filtered", vec![bad]),
        ("/routes/table/master6/filtered", vec![]),
        ("/routes/table/master/peer/192.0.2.1", vec![one, six]),
        ("/routes/table/Tedge-1", vec![one, six]),
        ("/routes/table/T192.0.2.2/filtered", vec![bad]),
        ("/routes/table/Tedge-1/peer/192.0.2.1", vec![one, six]),
        ("/routes/prefix?prefix=203.0.113.0/24", vec![one, two]),
        ("/routes/prefix?prefix=203.0.112.0/23", vec![]),
        ("/route/net/203.0.113.77", vec![one, two]),
        ("/route/net/203.0.113.128/mask/25", vec![one, two]),
        ("/route/net/203.0.113.77/table/master", vec![one, two]),
        ("/route/net/203.0.113.128/mask/25/table/master4", vec![one, two]),
        // Where the prefixes of tables are others, Alice asks for a pipe without a name.
        ("/routes/noexport/", vec![]),
        ("/routes/pipe/filtered/?table=master&pipe=x", vec![]),
        ("/routes/pipe/filtered?table=master&pipe=x", vec![]),
    ] {
        assert_eq!(site.networks(path).await, expected, "{path}");
    }
    for (path, count) in [
        ("/routes/count/protocol/edge-1", 2),
        ("/routes/count/table/master", 4),
        ("/routes/count/table/master6", 0),
        ("/routes/count/primary/edge-1", 2),
        ("/routes/pipe/filtered/count?table=master&pipe=x&address=192.0.2.1", 0),
    ] {
        assert_eq!(site.json(path).await["routes"], json!(count), "{path}");
    }
}

#[tokio::test]
async fn what_a_neighbor_is_told_and_what_it_is_not_make_up_the_best_routes_of_others() {
    let site = Site::new().await;
    let networks = |list: Vec<String>| -> Vec<String> {
        list.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let told = networks(site.networks("/routes/export/192.0.2.2").await);
    assert_eq!(told, ["203.0.113.0/24", "2001:db8::/32"]);
    let nothing: Vec<String> = Vec::new();
    assert_eq!(networks(site.networks("/routes/noexport/192.0.2.2").await), nothing, "all of them are told");
    // From now on the neighbour is told of IPv6 alone.
    site.fake.tell_only(site.b, &["2001:db8::/32"]);
    for name in ["192.0.2.2", "M192.0.2.2"] {
        assert_eq!(networks(site.networks(&format!("/routes/noexport/{name}")).await), ["203.0.113.0/24"]);
    }
    assert_eq!(networks(site.networks("/routes/export/192.0.2.2").await), ["2001:db8::/32"]);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_words() {
    let site = Site::new().await;
    for (path, status, words) in [
        ("/routes/protocol/nobody", 404, "no protocol or peer `nobody`"),
        ("/routes/table/kernel", 404, "there are master, master4, master6"),
        ("/routes/prefix", 400, "need a prefix"),
        ("/route/net/x", 400, "x"),
        ("/no/such/module", 404, ""),
    ] {
        let (code, body) = site.get(path).await;
        assert_eq!(code, status, "{path}: {body}");
        let error: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert!(error["error"].as_str().is_some_and(|text| text.contains(words)), "{path}: {body}");
        assert!(error.get("api").is_none(), "Alice takes it for an answer otherwise");
    }
}

#[tokio::test]
async fn a_large_table_is_streamed_and_is_whole() {
    let site = Site::new().await;
    for n in 0..3000_u32 {
        site.fake.announce(site.a, &format!("10.{}.{}.0/24", n >> 8, n & 255), &[64496, 64500 + n % 7]);
    }
    assert_eq!(site.networks("/routes/table/master4").await.len(), 3003);
    // A client that leaves in the middle is no trouble for the next one.
    let mut leaving = TcpStream::connect(site.address).await.unwrap();
    leaving.write_all(b"GET /birdwatcher/routes/table/master4 HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 100];
    leaving.read_exact(&mut first).await.unwrap();
    drop(leaving);
    assert_eq!(site.networks("/routes/protocol/edge-1").await.len(), 3002);
}
