//! Reload as a transaction, on the real daemon: what goes on, what is sent, what a failure leaves behind.

use std::path::Path;

use ribwatch::{
    app::Daemon,
    cli,
    config::Config,
    view::{
        Command, SessionState,
        reload::{Cost, Outcome, ReloadReport, ReloadRequest},
    },
};

use crate::router::{OPEN_POLICY, Router, config, pair, towards};

const LISTEN: &str = "127.0.0.1:0";

/// The entry of the speaker at 127.0.0.2, as `pair` has it.
fn entry(keys: &str) -> String {
    format!("[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\nconnect_retry = \"1s\"\n{keys}")
}

fn reload(router: &Router, neighbors: &str) -> ReloadReport {
    router.daemon().reload(config(64496, LISTEN, neighbors), ReloadRequest::default())
}

/// A policy `in` that refuses one prefix.
fn all_but(prefix: &str) -> String {
    format!(
        "[[policy.policy]]\nname = \"in\"\n[[policy.policy.statement]]\nmatch = {{ prefix = [\"{prefix}\"] }}\n\
         verdict = \"reject\"\n[[policy.policy.statement]]\nverdict = \"accept\"\n"
    )
}

#[test]
fn policies_and_limits_change_under_sessions_and_exactly_the_difference_is_sent() {
    let to_c = |export: &str| {
        format!(
            "[[neighbor]]\naddress = \"127.0.0.3\"\nremote_asn = 64498\npassive = true\nconnect_retry = \"1s\"\n\
             import = [\"accept-all\"]\nexport = [\"{export}\"]\n"
        )
    };
    let all = "import = [\"accept-all\"]\nexport = [\"accept-all\"]\n";
    let a = Router::start(64496, LISTEN, &(entry(all) + &to_c("accept-all")));
    let b = Router::start(64497, "", &towards(a.port(), OPEN_POLICY));
    let c = Router::start(64498, "", &towards(a.port(), OPEN_POLICY).replace("127.0.0.2", "127.0.0.3"));
    let [one, two, three] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];
    [one, two, three].iter().for_each(|prefix| b.originate(prefix));
    c.await_routes(&[one, two, three]);
    let since = ["127.0.0.2", "127.0.0.3"].map(|address| a.neighbor(address).established_at);
    let from_b = || a.neighbor("127.0.0.2").received.update;

    let some = "import = [\"in\"]\nexport = [\"accept-all\"]\nmax_prefix = 50\n";
    let report = reload(&a, &(all_but(two) + &entry(some) + &to_c("accept-all")));
    let keys: Vec<Vec<&str>> =
        report.changes.iter().map(|change| change.keys.iter().map(String::as_str).collect()).collect();
    assert_eq!(keys, [vec!["in"], vec!["import", "max_prefix"]], "{report}");
    c.await_routes(&[one, three]);
    let (sent, to_others) = (from_b(), c.neighbor("127.0.0.1").received.update);

    // The same names and another meaning: one route goes, another comes back.
    let report = reload(&a, &(all_but(three) + &entry(some) + &to_c("accept-all")));
    assert_eq!(report.changes.iter().map(|change| change.cost).collect::<Vec<_>>(), [Cost::Reevaluates], "{report}");
    c.await_routes(&[one, two]);
    assert_eq!(c.neighbor("127.0.0.1").received.update, to_others + 2, "a withdrawal, a route, and nothing else");

    // No import policy: what came is kept, and nothing of it is used (RFC 8212). It comes back without being sent again.
    reload(&a, &(entry("") + &to_c("accept-all")));
    c.await_routes(&[]);
    reload(&a, &(entry(all) + &to_c("accept-all")));
    c.await_routes(&[one, two, three]);
    assert_eq!(from_b(), sent);

    reload(&a, &(entry(all) + &to_c("reject-all")));
    c.await_routes(&[]);
    a.await_routes(&[one, two, three]);

    let after = ["127.0.0.2", "127.0.0.3"].map(|address| a.neighbor(address));
    assert_eq!(after.each_ref().map(|view| view.established_at), since);
    assert!(after.iter().all(|view| view.flaps == 0));
    assert_eq!(b.neighbor("127.0.0.1").received.refresh, 0, "nobody was asked again");
}

#[test]
fn settings_that_came_while_it_was_down_hold_when_the_session_comes_up() {
    let a = Router::start(64496, LISTEN, &entry(OPEN_POLICY.lines().next().unwrap()));
    a.originate("192.0.2.0/24");
    reload(&a, &entry("import = [\"accept-all\"]\nexport = [\"accept-all\"]\n"));
    let b = Router::start(64497, "", &towards(a.port(), OPEN_POLICY));
    b.await_routes(&["192.0.2.0/24"]);
}

/// The kernel has room for a few hundred TCP-MD5 keys per listener (`net.core.optmem_max`).
#[test]
fn a_reload_that_fails_half_way_leaves_everything_as_it_was() {
    let (a, b) = pair("");
    a.originate("192.0.2.0/24");
    b.await_routes(&["192.0.2.0/24"]);
    let before = a.neighbor("127.0.0.2");
    let key = |n: u32| {
        let (high, low) = (n / 200, n % 200 + 1);
        format!(
            "[[neighbor]]\naddress = \"127.9.{high}.{low}\"\nremote_asn = 64497\npassive = true\npassword = \"s3cret\"\n"
        )
    };
    // The one that is up would be removed, and thousands would come.
    let many: String = (0..8_000).map(key).collect();
    let report = reload(&a, &many);
    assert_eq!(report.outcome, Outcome::Undone, "{}", report.summary());
    let reason = report.reason.clone().unwrap_or_default();
    assert!(reason.starts_with("setting the key of neighbor 127.9."), "{reason}");
    assert!(report.summary().starts_with("failed, everything is as it was: setting the key of"));

    assert_eq!(a.backend().neighbors().len(), 1);
    let after = a.neighbor("127.0.0.2");
    assert_eq!((after.established_at, after.flaps, &after.export), (before.established_at, 0, &before.export));
    b.await_routes(&["192.0.2.0/24"]);

    // The old configuration is in force, and the keys of the failed one are gone: there is room again.
    let both = entry("import = [\"accept-all\"]\nexport = [\"accept-all\"]\n") + &key(1) + &key(2);
    let report = reload(&a, &both);
    assert_eq!((report.outcome, report.resets(), report.changes.len()), (Outcome::Applied, 0, 2), "{report}");
    assert_eq!(a.neighbor("127.0.0.2").established_at, before.established_at);
}

#[test]
fn a_plan_is_not_carried_out_and_a_reset_can_be_refused() {
    let (a, b) = pair("");
    a.await_state("127.0.0.2", SessionState::Established);
    let since = a.neighbor("127.0.0.2").established_at;
    let dearer = || config(64496, LISTEN, &entry("hold_time = \"30s\"\n"));
    for (request, outcome) in [
        (ReloadRequest { dry_run: true, no_reset: false }, Outcome::Planned),
        (ReloadRequest { dry_run: true, no_reset: true }, Outcome::Refused),
        (ReloadRequest { dry_run: false, no_reset: true }, Outcome::Refused),
    ] {
        let report = a.daemon().reload(dearer(), request);
        assert_eq!((report.outcome, report.resets()), (outcome, 1), "{report}");
        let view = a.neighbor("127.0.0.2");
        assert_eq!((view.established_at, view.export.len()), (since, 1));
    }
    drop(b);
}

#[test]
fn neighbours_by_command_outlive_a_reload_until_the_file_names_them() {
    let a = Router::start(64496, LISTEN, &entry(""));
    let added = "address = \"127.0.0.7\"\nremote_asn = 64498\npassive = true\nname = \"by-hand\"\n";
    a.command(Command::Add { toml: added.into() }).unwrap();
    reload(&a, &entry("name = \"other\"\n"));
    assert_eq!(a.neighbor("127.0.0.7").name.as_deref(), Some("by-hand"));

    let named = entry("") + "[[neighbor]]\naddress = \"127.0.0.7\"\nremote_asn = 64498\npassive = true\n";
    assert_eq!(reload(&a, &named).outcome, Outcome::Applied);
    a.await_neighbors("the file decides", |views| {
        views.iter().any(|view| view.address.to_string() == "127.0.0.7" && view.name.is_none())
    });
}

fn write(path: &Path, rest: &str) {
    let text = format!(
        "[router]\nasn = 64496\nrouter_id = \"10.0.0.1\"\nlisten = [\"{LISTEN}\"]\n[api]\nlisten = \"{LISTEN}\"\n\
         [http]\nenabled = false\n{rest}"
    );
    std::fs::write(path, text).expect("writes");
}

/// A `[[policy.test]]` about the policy `in` of `all_but`.
fn policy_test(prefix: &str, expect: &str) -> String {
    format!(
        "[[policy.test]]\nname = \"guard\"\npolicies = \"in\"\nexpect = \"{expect}\"\n\
         route = {{ prefix = \"{prefix}\", as_path = \"64497\" }}\n"
    )
}

#[test]
fn a_reload_is_refused_when_a_policy_test_of_the_new_file_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ribwatch.toml");
    let file = |refused: &str, name: &str| {
        let neighbor = entry(&format!("name = \"{name}\"\nimport = [\"in\"]\n"));
        write(&path, &(all_but(refused) + &policy_test("192.0.2.0/24", "reject") + &neighbor));
    };
    file("192.0.2.0/24", "a");
    let daemon = Daemon::start_with_file(Config::load(&path).expect("no faults"), path.clone()).expect("starts");
    let api = daemon.api_address().expect("serves").to_string();
    let run = || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&["ribwatch", "--api", &api, "reload"], &mut out, &mut err);
        (code, String::from_utf8(err).unwrap())
    };
    let name = || daemon.backend().neighbors()[0].name.clone();

    file("198.51.100.0/24", "b");
    let (code, said) = run();
    assert_eq!((code, name().as_deref()), (2, Some("a")), "{said}");
    assert!(said.contains("policy test \"guard\" fails: expected to be rejected, is accepted by in/2"), "{said}");
    assert!(said.contains("ribwatch.toml:"), "{said}");
    // SIGHUP is the same.
    daemon.reload_file();
    assert_eq!(name().as_deref(), Some("a"));

    file("192.0.2.0/24", "b");
    assert_eq!((run().0, name().as_deref()), (0, Some("b")));
    daemon.stop();
}

#[test]
fn the_verb_has_the_daemon_read_its_file_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ribwatch.toml");
    write(&path, &entry(""));
    let daemon = Daemon::start_with_file(Config::load(&path).expect("no faults"), path.clone()).expect("starts");
    let api = daemon.api_address().expect("serves").to_string();
    let run = |arguments: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&[&["ribwatch", "--api", &api, "reload"], arguments].concat(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    };
    let last = || daemon.backend().last_reload();
    assert_eq!(run(&[]), (0, "nothing differs\n".to_owned()));
    let first = last();

    write(&path, &entry("hold_time = \"30s\"\nname = \"b\"\n"));
    let line = "neighbor b (127.0.0.2): changed (hold_time, name), its session resets\n";
    let planned = format!("{line}1 change, 1 session or range would reset or end\n");
    assert_eq!(run(&["--dry-run"]), (0, planned));
    assert_eq!(last(), first, "a plan is no try");
    let (code, text) = run(&["--no-reset"]);
    assert_eq!((code, text.contains("refused, nothing was changed")), (1, true), "{text}");
    assert_eq!(daemon.backend().neighbors()[0].name, None);
    assert_eq!((last().succeeded, last().in_force_since), (false, first.in_force_since));

    let (code, text) = run(&["--json"]);
    assert!(last().succeeded && last().in_force_since > first.in_force_since);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["outcome"], &json["reason"]), (0, &"applied".into(), &serde_json::Value::Null));
    let change = &json["changes"][0];
    assert_eq!(change["keys"], serde_json::json!(["hold_time", "name"]));
    assert_eq!((&change["kind"], &change["cost"]), (&"changed".into(), &"resets".into()));

    write(&path, &entry("hold_tme = \"30s\"\n"));
    let (code, text) = run(&[]);
    assert_eq!(code, 2);
    assert!(text.contains("ribwatch.toml:14:1: unknown key `hold_tme` in [[neighbor]]"), "{text}");
    assert!(text.contains("did you mean `hold_time`?"), "{text}");
    assert!(!last().succeeded);
    // SIGHUP is the same, and a faulty file changes nothing (`signals` sends a real one).
    daemon.reload_file();
    assert_eq!(daemon.backend().neighbors().len(), 1);
    daemon.stop();
}
