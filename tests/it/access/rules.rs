//! Who a caller is, what a browser may be made to do, and how much of a guess is taken.

use ribwatch::access::{Caller, CertificateName, CertificateNames, CertificateRule, Place, Refusal};

use super::*;

fn caller(loopback: bool, certificate: Option<&str>) -> Caller {
    let certificate = certificate.map(|name| {
        let alternatives = vec![format!("{name}.Example.net"), format!("spiffe://example/{name}")];
        Arc::new(CertificateNames { common_name: Some(name.to_owned()), alternatives })
    });
    Caller { place: Place::Address { peer: "192.0.2.1:7".parse().unwrap(), loopback }, protected: true, certificate }
}

fn certificate(name: &str, role: Role, shows: CertificateName) -> CertificateRule {
    CertificateRule { name: name.into(), role, shows }
}

#[test]
fn without_rules_this_machine_may_do_everything_and_others_nothing() {
    let rules = Rules::default();
    let who = |caller: &Caller, bearer| rules.identify(caller, bearer, NOW).map(|who| (who.name.to_string(), who.role));
    assert_eq!(who(&caller(true, None), None), Ok(("local".into(), Role::Admin)));
    assert_eq!(who(&caller(true, None), Some("left over")), Ok(("local".into(), Role::Admin)));
    assert_eq!(who(&caller(false, None), None), Err(Refusal::NoCredentials));
    assert_eq!(who(&caller(false, None), Some("guess")), Err(Refusal::NoCredentials));
    let socket = Caller { place: Place::User { uid: 1000 }, protected: false, certificate: None };
    assert_eq!(who(&socket, None), Ok(("uid 1000".into(), Role::Admin)));
}

#[test]
fn in_so_many_words_everybody_has_the_role_that_is_named_and_not_more() {
    let rules = Rules { unauthenticated: Some(Role::View), ..Rules::default() };
    for loopback in [true, false] {
        let who = rules.identify(&caller(loopback, None), None, NOW).unwrap();
        assert_eq!((&*who.name, who.role), ("anonymous", Role::View));
    }
    let rules = Rules { unauthenticated: Some(Role::View), ..super::rules() };
    let who = |bearer: Option<&str>| rules.identify(&caller(false, None), bearer, NOW).map(|who| who.role);
    assert_eq!(who(None), Ok(Role::View));
    assert_eq!(who(Some(&token_of("admin"))), Ok(Role::Admin));
    // A mistake is told, not taken for nobody.
    assert_eq!(who(Some("wrong")), Err(Refusal::UnknownToken));
}

#[test]
fn tokens_are_found_until_they_expire() {
    let rules = rules();
    let who = |bearer: &str, now| rules.identify(&caller(true, None), Some(bearer), now).map(|who| who.role);
    let end = Timestamp(NOW.0 * 2);
    assert_eq!(who(&token_of("operate"), Timestamp(end.0 - 1)), Ok(Role::Operate));
    assert_eq!(who(&token_of("operate"), end), Err(Refusal::Expired { name: "operate".into(), at: end }));
    assert_eq!(who("", NOW), Err(Refusal::UnknownToken));
    assert_eq!(who(&token_of("View"), NOW), Err(Refusal::UnknownToken));
    assert_eq!(rules.identify(&caller(true, None), None, NOW), Err(Refusal::NoCredentials));
}

#[test]
fn a_certificate_is_known_by_its_subject_or_by_another_name_in_it() {
    let certificates = vec![
        certificate("noc", Role::Operate, CertificateName::Subject("ann".into())),
        certificate("robot", Role::View, CertificateName::Alternative("robot.example.net".into())),
        certificate("deploy", Role::Admin, CertificateName::Alternative("spiffe://example/deploy".into())),
    ];
    let rules = Rules { certificates, socket_role: Role::View, ..Rules::default() };
    let who = |name| rules.identify(&caller(true, Some(name)), None, NOW).map(|who| (who.name.to_string(), who.role));
    assert_eq!(who("ann"), Ok(("noc".into(), Role::Operate)));
    assert_eq!(who("robot"), Ok(("robot".into(), Role::View)));
    assert_eq!(who("deploy"), Ok(("deploy".into(), Role::Admin)));
    assert_eq!(
        who("Ann").unwrap_err().to_string(),
        "no role is given to a certificate for Ann, Ann.Example.net, spiffe://example/Ann"
    );
    // Certificates are asked for on this machine, too.
    assert_eq!(rules.identify(&caller(true, None), None, NOW), Err(Refusal::NoCredentials));
    let socket = Caller { place: Place::User { uid: 0 }, protected: false, certificate: None };
    assert_eq!(rules.identify(&socket, None, NOW).unwrap().role, Role::View);
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_who_has_a_token_is_not() {
    let written: Arc<Mutex<Vec<Entry>>> = Arc::default();
    let writer = Arc::clone(&written);
    let gate = Gate::new(rules(), || NOW, move |entry| writer.lock().unwrap().push(entry.clone()));
    let try_it = |token: &str| {
        gate.admit(
            &caller(false, None),
            Some(token),
            "/ribwatch.v1.DaemonService/GetInfo",
            ribwatch::access::Need::Role(Role::View),
        )
    };
    let refused = (0..100).map(|n| try_it(&format!("guess {n}")).unwrap_err());
    let slowed = refused.filter(|refusal| matches!(refusal, Refusal::TooManyFailures { .. })).count();
    assert_eq!((slowed, written.lock().unwrap().len()), (80, 20));
    let last = written.lock().unwrap().last().unwrap().json();
    assert!(last.contains("not written down for a while") && !last.contains("guess"), "{last}");
    assert_eq!(try_it(&token_of("view")).unwrap().principal.unwrap().role, Role::View);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered_while_nobody_has_to_show_a_token() {
    let settings = Settings { hosts: vec!["noc.example.net".into()], metrics_open: false };
    let open = House::with(Rules::default(), settings.clone()).await;
    let status = async |house: &House, host: &str| {
        house.http("GET", "/api/v1/summary", &[format!("Host: {host}")], "").await.status
    };
    for host in ["localhost", "LocalHost:8179", "127.0.0.1:1", "[::1]:8179", "127.9.9.9", "noc.example.net:8179"] {
        assert_eq!(status(&open, host).await, 200, "{host}");
    }
    for host in
        ["evil.example", "192.0.2.1", "localhost.evil.example", "127.0.0.1.evil.example", "[2001:db8::1]:80", ""]
    {
        assert_eq!(status(&open, host).await, 403, "{host}");
    }
    let answer = open.http("GET", "/api/v1/summary", &["Host: evil.example".into()], "").await;
    assert!(answer.body.contains("hosts = [\\\"evil.example\\\"]"), "{answer:?}");
    // Where a token is shown, the name says nothing.
    let house = House::new(rules()).await;
    let headers = ["Host: any.example".to_owned(), format!("Authorization: Bearer {}", token_of("view"))];
    assert_eq!(house.http("GET", "/api/v1/summary", &headers, "").await.status, 200);
}

#[tokio::test]
async fn another_site_commands_nothing_even_with_the_cookie() {
    let house = House::new(rules()).await;
    let cookie = format!("Cookie: a=b; ribwatch={}", token_of("operate"));
    let ask = async |headers: &[&str]| {
        let headers: Vec<String> = [cookie.as_str()].iter().chain(headers).map(|h| (*h).to_owned()).collect();
        house.http("POST", "/api/v1/alerts/abcd/acknowledge", &headers, "{\"author\":\"a\"}").await.status
    };
    assert_eq!(ask(&[]).await, 409);
    assert_eq!(ask(&[&format!("Origin: http://{}", house.http)]).await, 409);
    for header in
        ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        assert_eq!(ask(&[header]).await, 403, "{header}");
    }
    let refused =
        house.written().into_iter().filter(|entry| matches!(entry.outcome, ribwatch::access::Outcome::Refused(_)));
    assert_eq!(refused.count(), 4);
}

#[tokio::test]
async fn the_page_shows_a_token_once_and_is_known_by_a_cookie_until_it_says_goodbye() {
    let house = House::new(rules()).await;
    let session = async |headers: &[String]| {
        serde_json::from_str::<serde_json::Value>(&house.http("GET", "/api/v1/session", headers, "").await.body)
            .unwrap()
    };
    let nobody = serde_json::json!({ "name": null, "role": null, "may_command": false, "login": true });
    assert_eq!(session(&[]).await, nobody);
    let wrong = house.http("POST", "/api/v1/session", &[], "{\"token\":\"no such token at all\"}").await;
    assert_eq!((wrong.status, wrong.body.contains("not known here")), (401, true));
    let answer = house.http("POST", "/api/v1/session", &[], &format!("{{\"token\":\" {} \"}}", token_of("view"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = format!("set-cookie: ribwatch={}; path=/; httponly; samesite=strict\r\n", token_of("view"));
    assert!(format!("{}\r\n", answer.head).contains(&expected), "{answer:?}");
    let cookie = [format!("Cookie: ribwatch={}", token_of("view"))];
    assert_eq!(session(&cookie).await["role"], "view");
    assert_eq!(house.http("GET", "/api/v1/alerts", &cookie, "").await.status, 200);
    assert_eq!(house.http("GET", "/api/v1/events", &cookie, "").await.status, 200);
    assert_eq!(house.http("DELETE", "/api/v1/mutes/abcd", &cookie, "").await.status, 403);
    let bye = house.http("DELETE", "/api/v1/session", &cookie, "").await;
    assert!(bye.head.contains("set-cookie: ribwatch=; path=/; httponly; samesite=strict; max-age=0"), "{bye:?}");
    let told: Vec<String> = house.written().iter().map(Entry::json).collect();
    assert!(
        told.iter().any(|line| line.contains("\"who\":\"view\"") && line.contains("POST /api/v1/session")),
        "{told:?}"
    );
    assert!(told.iter().all(|line| !line.contains(&token_of("view"))), "{told:?}");
    // Rules that change count for who is there already.
    house.gate.set_rules(Rules { tokens: vec![token("other", Role::View, None)], ..Rules::default() });
    assert_eq!(house.http("GET", "/api/v1/alerts", &cookie, "").await.status, 401);
}

#[tokio::test]
async fn metrics_are_for_everybody_where_it_is_said() {
    for (metrics_open, status) in [(true, 200), (false, 401)] {
        let house = House::with(rules(), Settings { hosts: vec![], metrics_open }).await;
        assert_eq!(house.http("GET", "/metrics", &[], "").await.status, status);
        assert_eq!(house.http("GET", "/api/v1/summary", &[], "").await.status, 401);
    }
}
