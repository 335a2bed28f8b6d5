//! HTTP over a backend in memory: health, readiness, the page's files, the JSON answers, and metrics that a scraper can
//! read.

use std::{collections::BTreeMap, sync::Arc};

use ribwatch::{
    alert::Nobody,
    metrics,
    types::PeerId,
    view::{Backend, FaultCount, SessionState},
    web,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::fake::Fake;

async fn serve(listener: TcpListener, backend: Arc<dyn Backend>) -> std::io::Result<()> {
    let measured = Arc::clone(&backend);
    let metrics = Arc::new(move || metrics::text(&*measured, &Nobody));
    crate::door::serve_http(listener, web::Rooms { backend, alerts: Arc::new(Nobody), metrics }).await
}

struct Site {
    fake: Arc<Fake>,
    a: PeerId,
    address: std::net::SocketAddr,
}

impl Site {
    async fn new() -> Self {
        let fake = Fake::new(16);
        let a = fake.neighbor("192.0.2.1", 64496);
        let b = fake.neighbor("192.0.2.2", 64497);
        fake.edit(b, |view| view.state = SessionState::OpenSent);
        fake.announce(a, "203.0.113.0/24", &[64496, 64500]);
        fake.announce(b, "203.0.113.0/24", &[64497, 64499, 64500]);
        fake.announce(b, "198.51.100.0/24", &[64497]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend: Arc<dyn Backend> = fake.clone();
        tokio::spawn(serve(listener, backend));
        Self { fake, a, address }
    }

    /// Status and body of `GET path`.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The whole answer, head and body, to a request with these headers.
    async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn alive_is_not_the_same_as_ready() {
    let site = Site::new().await;
    assert_eq!(site.get("/readyz").await, (200, "{\"ready\":true,\"reasons\":[]}\n".into()));
    site.fake.set_ready(false);
    assert_eq!(site.get("/healthz").await, (200, "ok\n".into()));
    let (status, body) = site.get("/readyz").await;
    assert_eq!((status, body.as_str()), (503, "{\"ready\":false,\"reasons\":[\"the daemon is starting\"]}\n"));
}

#[tokio::test]
async fn neighbors_and_counts_are_json() {
    let site = Site::new().await;
    let all = site.json("/api/v1/neighbors").await;
    assert_eq!(all["neighbors"].as_array().unwrap().len(), 2);
    assert_eq!(all["neighbors"][1]["state"], "open_sent");
    let one = site.json("/api/v1/neighbors/192.0.2.1").await;
    for (name, value) in all["neighbors"][0].as_object().unwrap() {
        assert_eq!(&one[name], value, "{name}");
    }
    assert_eq!((&one["messages"]["sent"]["refresh"], &one["counts"][0]["dropped"]), (&2.into(), &7.into()));
    assert_eq!(one["history"], serde_json::json!([]));
    assert_eq!(site.json("/api/v1/summary").await["tables"][0]["prefixes"], 2);
}

#[tokio::test]
async fn routes_come_in_pages_with_the_filters_of_the_command_line() {
    let site = Site::new().await;
    let prefixes = |page: &serde_json::Value| -> Vec<String> {
        page["routes"].as_array().unwrap().iter().map(|route| route["prefix"].as_str().unwrap().to_owned()).collect()
    };
    let first = site.json("/api/v1/rib?limit=1").await;
    assert_eq!(prefixes(&first), ["198.51.100.0/24"]);
    let next = first["next"].as_str().unwrap();
    let second = site.json(&format!("/api/v1/rib?limit=1&next={next}")).await;
    assert_eq!(prefixes(&second), ["203.0.113.0/24"]);
    assert_eq!(second["next"], serde_json::Value::Null);
    for (query, count) in [
        ("", 2),
        ("prefix=203.0.113.9", 1),
        ("prefix=203.0.112.0/23&match=longer&table=adj-in", 2),
        ("table=adj-in&neighbor=192.0.2.2", 2),
        ("origin=AS64500", 1),
        ("as_path=_64499_&table=adj-in", 1),
        ("as_path=_64499_", 0),
        ("community=no-export", 0),
    ] {
        let page = site.json(&format!("/api/v1/rib?{query}")).await;
        assert_eq!(prefixes(&page).len(), count, "{query}: {page}");
    }
    let route = &site.json("/api/v1/rib?prefix=203.0.113.0/24").await["routes"][0];
    assert_eq!(route["as_path"], "64496 64500");
    assert_eq!((&route["best"], &route["validation"]), (&true.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_wrong_question_gets_its_status_and_a_sentence() {
    let site = Site::new().await;
    for (path, status, words) in [
        ("/nowhere", 404, "no such page"),
        ("/api/v1/neighbors/192.0.2.99", 404, "no neighbor"),
        ("/api/v1/rib?prefix=192.0.2.1/24", 400, "did you mean"),
        ("/api/v1/rpki/check?prefix=192.0.2.0/24", 400, "name both"),
        ("/api/v1/rpki/check?prefix=192.0.2.0/24&asn=ASx", 400, "not an AS number"),
        ("/api/v1/rib?table=nonsense", 400, "adj-in"),
        ("/api/v1/rib?table=adj-out", 400, "per neighbor"),
        ("/api/v1/rib?limit=many", 400, "must be a number"),
        ("/api/v1/rib?colour=red", 400, "no parameter `colour`"),
        ("/api/v1/rib?next=77", 400, "page token"),
        ("/api/v1/rib?neighbor=nobody", 404, "no neighbor"),
        ("/api/v1/explain", 400, "name a prefix"),
        ("/api/v1/explain?prefix=192.0.2.0/33", 400, "too long"),
        ("/api/v1/explain?prefix=192.0.2.0/24", 404, "no route"),
        ("/api/v1/history", 400, "name a prefix"),
        ("/api/v1/history?prefix=192.0.2.1", 400, ""),
        ("/api/v1/history?prefix=192.0.2.0/24", 409, "[rib] history"),
        ("/api/v1/neighbors?state=up", 400, "established"),
        ("/api/v1/neighbors?colour=red", 400, "no parameter `colour`"),
        ("/api/v1/rpki/what-if", 400, "nothing would change"),
        ("/api/v1/rpki/what-if?add_vrp=nonsense", 400, "192.0.2.0/24-25=64500"),
        ("/api/v1/rpki/what-if?add_vrp=192.0.2.0/24=64500&next=77", 400, "page token"),
    ] {
        let (got, body) = site.get(path).await;
        assert_eq!(got, status, "{path}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["error"].as_str().unwrap().contains(words), "{path}: {body}");
    }
}

/// A sample by name and labels.
type Samples = BTreeMap<String, f64>;

/// Reads the exposition format 0.0.4 as strictly as a scraper: HELP and TYPE before the samples of a name, names
/// and labels well formed, no sample twice.
fn scrape(text: &str) -> Samples {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (mut samples, mut helped, mut typed) = (Samples::new(), Vec::new(), BTreeMap::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(is_name(name) && text.ends_with('.') && !helped.contains(&name), "{line}");
            helped.push(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind) && helped.last() == Some(&name), "{line}");
            assert!(name.ends_with("_total") == (kind == "counter") || name == "bgp_peer_flop_count", "{line}");
            typed.insert(name, kind);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
            assert_eq!(helped.last(), Some(&name), "samples stand under their own name: {line}");
            assert!(typed.contains_key(name), "{line}");
            if let Some(labels) = labels {
                let labels = labels.strip_suffix('}').unwrap();
                let plain = labels.replace("\\\\", "").replace("\\\"", "").replace("\\n", "");
                assert_eq!(plain.matches('"').count() % 2, 0, "{line}");
                plain.split("\",").for_each(|label| assert!(is_name(label.split_once("=\"").unwrap().0), "{line}"));
            }
            let previous = samples.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(previous, None, "twice: {line}");
        }
    }
    samples
}

#[tokio::test]
async fn metrics_can_be_scraped_and_keep_gobgps_names() {
    let site = Site::new().await;
    site.fake.edit(site.a, |view| {
        view.name = Some("a \"b\" \\ c\nd".into());
        view.faults = vec![FaultCount { attribute: Some(1), outcome: "withdraw", count: 3, last: String::new() }];
    });
    let (status, text) = site.get("/metrics").await;
    assert_eq!(status, 200);
    let samples = scrape(&text);
    for (series, value) in [
        ("bgp_peer_state{peer=\"192.0.2.1\",session_state=\"ESTABLISHED\",admin_state=\"UP\"}", 1.0),
        ("bgp_peer_state{peer=\"192.0.2.2\",session_state=\"OPENSENT\",admin_state=\"UP\"}", 1.0),
        ("bgp_peer_asn{peer=\"192.0.2.1\",router_id=\"198.51.100.2\"}", 64496.0),
        ("bgp_peer_uptime{peer=\"192.0.2.1\"}", 273_600.0),
        ("bgp_peer_uptime{peer=\"192.0.2.2\"}", 0.0),
        ("bgp_peer_flop_count{peer=\"192.0.2.1\"}", 0.0),
        ("bgp_routes_received{peer=\"192.0.2.1\",route_family=\"ipv4-unicast\"}", 3.0),
        ("bgp_routes_accepted{peer=\"192.0.2.1\",route_family=\"ipv4-unicast\"}", 2.0),
        ("bgp_routes_advertised{peer=\"192.0.2.1\",route_family=\"ipv4-unicast\"}", 1.0),
        ("ribwatch_peer_paths_dropped_total{peer=\"192.0.2.1\",route_family=\"ipv4-unicast\"}", 7.0),
        ("ribwatch_peer_routes_stale{peer=\"192.0.2.1\",route_family=\"ipv4-unicast\"}", 2.0),
        ("bgp_received_update_total{peer=\"192.0.2.1\"}", 10.0),
        ("bgp_received_message_total{peer=\"192.0.2.1\"}", 111.0),
        ("bgp_sent_refresh_total{peer=\"192.0.2.1\"}", 2.0),
        ("ribwatch_rib_prefixes{family=\"ipv4-unicast\"}", 2.0),
        ("ribwatch_rib_paths{family=\"ipv4-unicast\"}", 3.0),
        ("ribwatch_attribute_sets", 2.0),
        ("ribwatch_policy_paths_judged_total", 3.0),
        ("ribwatch_policy_paths_shared_total", 5.0),
        ("ribwatch_update_faults_total{peer=\"192.0.2.1\",attribute=\"1\",outcome=\"withdraw\"}", 3.0),
        ("ribwatch_peer_info{peer=\"192.0.2.1\",name=\"a \\\"b\\\" \\\\ c\\nd\"}", 1.0),
        ("ribwatch_build_info{version=\"0.1.0\"}", 1.0),
        ("ribwatch_ready", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} in\n{text}");
    }
    assert!(samples["process_resident_memory_bytes"] > 1_000_000.0);
    assert!(samples.contains_key("process_cpu_seconds_total"));
    let (open, max) = (samples["process_open_fds"], samples["process_max_fds"]);
    assert!(open >= 3.0 && max >= open, "{open} of {max}");
    let start = (samples["process_start_time_seconds"], samples["ribwatch_config_last_reload_timestamp_seconds"]);
    assert_eq!((start.0, samples["ribwatch_config_last_reload_success"]), (start.1, 1.0));
    let per_prefix = text.lines().filter(|line| line.contains("203.0.113.0")).count();
    assert_eq!(per_prefix, 0, "never a series per prefix");
}

#[tokio::test]
async fn requests_are_counted_by_what_we_call_it_and_not_by_what_strangers_call_it() {
    let site = Site::new().await;
    for path in ["/api/v1/neighbors/192.0.2.1", "/api/v1/neighbors/192.0.2.2", "/api/v1/neighbors/192.0.2.99"] {
        site.get(path).await;
    }
    site.get("/no/such/address").await;
    site.get("/nor/this?one").await;
    let samples = scrape(&site.get("/metrics").await.1);
    let count = |route: &str, code: &str| {
        samples.get(&format!("ribwatch_api_requests_total{{api=\"http\",route=\"{route}\",code=\"{code}\"}}")).copied()
    };
    assert_eq!(count("/api/v1/neighbors/{address}", "200"), Some(2.0), "{samples:#?}");
    assert_eq!(count("/api/v1/neighbors/{address}", "404"), Some(1.0));
    assert_eq!(count("other", "404"), Some(2.0));
    assert_eq!(samples["ribwatch_watch_gaps_total{stream=\"routes\"}"], 0.0);
}

#[tokio::test]
async fn rpki_answers_without_sources_say_that_nothing_is_checked() {
    let site = Site::new().await;
    let none = serde_json::json!({"sources": [], "vrps_v4": 0, "vrps_v6": 0, "aspas": 0});
    assert_eq!(site.json("/api/v1/rpki").await, none);
    let check = site.json("/api/v1/rpki/check?prefix=192.0.2.0/24&asn=AS64496").await;
    assert_eq!((&check["asn"], &check["validation"]), (&serde_json::json!(64496), &serde_json::Value::Null));
    assert!(check["why"].as_str().is_some_and(|why| why.contains("no RPKI data")), "{check}");
}

#[tokio::test]
async fn neighbors_come_in_pages_and_by_state_and_words() {
    let site = Site::new().await;
    let addresses = |page: &serde_json::Value| -> Vec<String> {
        let neighbors = page["neighbors"].as_array().unwrap().iter();
        neighbors.map(|neighbor| neighbor["address"].as_str().unwrap().to_owned()).collect()
    };
    let first = site.json("/api/v1/neighbors?limit=1").await;
    assert_eq!((addresses(&first), &first["next"]), (vec!["192.0.2.1".to_owned()], &"192.0.2.1".into()));
    let second = site.json("/api/v1/neighbors?limit=1&next=192.0.2.1").await;
    assert_eq!((addresses(&second), &second["next"]), (vec!["192.0.2.2".to_owned()], &serde_json::Value::Null));
    for (query, count) in
        [("state=down", 1), ("state=established", 1), ("text=AS64497", 1), ("text=192.0.2", 2), ("text=x", 0)]
    {
        assert_eq!(addresses(&site.json(&format!("/api/v1/neighbors?{query}")).await).len(), count, "{query}");
    }
}

#[tokio::test]
async fn an_explanation_says_for_each_path_where_it_lost() {
    let site = Site::new().await;
    for word in ["203.0.113.0/24", "203.0.113.77"] {
        let answer = site.json(&format!("/api/v1/explain?prefix={word}")).await;
        assert_eq!((&answer["prefix"], &answer["paths"]), (&"203.0.113.0/24".into(), &2.into()));
        let (first, second) = (&answer["candidates"][0], &answer["candidates"][1]);
        assert_eq!((&first["rank"], &first["route"]["best"], &first["lost_at"]), (&1.into(), &true.into(), &().into()));
        assert_eq!((&second["lost_to"], &second["route"]["as_path"]), (&1.into(), &"64497 64499 64500".into()));
        assert!(second["lost_at"].is_string() && second["step"].is_string(), "{second}");
    }
}

#[tokio::test]
async fn the_overview_is_one_look() {
    let site = Site::new().await;
    let look = site.json("/api/v1/overview").await;
    let sessions = &look["sessions"];
    assert_eq!((&sessions["total"], &sessions["established"]), (&2.into(), &1.into()));
    assert_eq!((&sessions["down"][0]["address"], &sessions["states"]["open_sent"]), (&"192.0.2.2".into(), &1.into()));
    assert_eq!((&look["tables"][0]["prefixes"], &look["daemon"]["not_ready"]), (&2.into(), &serde_json::json!([])));
    assert_eq!((&look["rates"]["interval_s"], &look["rpki"]["configured"]), (&2.into(), &0.into()));
    assert_eq!(look["alerts"]["by_state"]["open"], serde_json::json!({}));
}

#[tokio::test]
async fn the_page_is_served_with_all_it_names_and_nothing_from_elsewhere() {
    let site = Site::new().await;
    let (status, head, page) = site.send("GET", "/", &[], "").await;
    assert_eq!(status, 200, "{head}");
    for header in ["content-security-policy: default-src 'none'; script-src 'self';", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(header), "{header} in {head}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (status, _, body) = site.send("GET", "/", &[&format!("If-None-Match: \"other\", W/{tag}")], "").await;
    assert_eq!((status, body.as_str()), (304, ""));

    let named = |text: &str, before: &str, root: &str| -> Vec<String> {
        let parts = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
        parts.map(|name| format!("{root}{name}")).collect()
    };
    let mut waiting = [named(&page, "=\"/page/", "/page/"), vec!["/page/style.css".to_owned()]].concat();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop().filter(|_| seen.len() < 100) {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (status, head, text) = site.send("GET", &path, &[], "").await;
        assert!(status == 200 && !text.is_empty(), "{path}: {head}");
        assert!(!text.contains("innerHTML") && !text.contains("eval("), "{path} makes code or elements of text");
        let foreign = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{path} names another site");
        waiting.extend(named(&text, "from \"./", "/page/"));
    }
    assert!(seen.len() > 10, "{seen:?}");
    for forbidden in ["<script>", "<style", " style=", " onclick="] {
        assert!(!page.contains(forbidden), "{forbidden} is inline: the policy forbids it");
    }
    assert!(page.matches("<script").count() == page.matches("<script ").count());
}

#[tokio::test]
async fn people_and_programs_get_the_answer_to_a_wrong_address_that_they_can_read() {
    let site = Site::new().await;
    let (status, head, body) = site.send("GET", "/nowhere", &["Accept: text/html,*/*"], "").await;
    assert!(status == 404 && head.contains("text/html") && body.contains("href=\"/\""), "{head}");
    let (status, head, _) = site.send("GET", "/nowhere", &[], "").await;
    assert!(status == 404 && head.contains("application/json"), "{head}");
    let (status, _, body) = site.send("POST", "/api/v1/rib", &[], "").await;
    assert!(status == 405 && body.contains("/api"), "{body}");
    assert!(site.get("/api").await.1.contains("/api/v1/events"));
}

#[tokio::test]
async fn commands_are_taken_from_the_own_page_only() {
    let site = Site::new().await;
    let json = "Content-Type: application/json";
    let body = "{\"author\":\"ops\"}";
    for (headers, body, status, words) in [
        (&[json][..], body, 409, "not served here"),
        (&[json, "Origin: http://test", "Sec-Fetch-Site: same-origin"], body, 409, "not served here"),
        (&[json, "Origin: http://evil.example"], body, 403, "own page"),
        (&[json, "Origin: null"], body, 403, "own page"),
        (&[json, "Sec-Fetch-Site: cross-site"], body, 403, "own page"),
        (&["Content-Type: text/plain"], body, 400, "application/json"),
        (&[json], "{\"note\":\"x\"}", 400, "author"),
        (&[json], "{\"author\":\"ops\",\"colour\":1}", 400, "colour"),
        (&[json], "{", 400, "JSON"),
    ] {
        let (got, _, answer) = site.send("POST", "/api/v1/alerts/abcd/acknowledge", headers, body).await;
        assert!(got == status && answer.contains(words), "{headers:?} {body}: {got} {answer}");
    }
    let (status, _, _) = site.send("DELETE", "/api/v1/mutes/abcd", &["Origin: http://evil.example"], "").await;
    assert_eq!(status, 403);
    let wrong = "{\"kinds\":[\"nonsense\"],\"reason\":\"r\",\"author\":\"a\",\"length_s\":60}";
    let (status, _, answer) = site.send("POST", "/api/v1/mutes", &[json], wrong).await;
    assert!(status == 400 && answer.contains("origin-hijack"), "{answer}");
}

#[tokio::test]
async fn who_listens_hears_the_overview_at_once() {
    let site = Site::new().await;
    let mut connection = TcpStream::connect(site.address).await.unwrap();
    connection.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("\n\n") || !text.contains("data:") {
        let mut octets = [0; 4096];
        let count = connection.read(&mut octets).await.unwrap();
        assert!(count > 0, "ended: {text}");
        text.push_str(&String::from_utf8_lossy(&octets[..count]));
    }
    assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("event: status") && text.contains("\"established\":1"), "{text}");
}
