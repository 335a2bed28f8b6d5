//! `[rpki]`: what it may say, and what is said when it may not.

use super::*;
use crate::io::rpki::Place;

#[test]
fn faults_of_tls_name_the_key_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let file = folder.path().join("f.toml").display().to_string();
    let cases = [
        // (keys of the cache, what is said)
        ("tls = true", "TLS needs to know who may vouch for the cache"),
        ("ca_file = \"ca.pem\"", "`ca_file` is for TLS, which is off"),
        ("tls = true\nca_file = \"ca.pem\"", "ca.pem cannot be read"),
        ("tls = true\nca_file = \"empty.pem\"", "empty.pem has no certificate in PEM form"),
        ("tls = true\nca_file = \"empty.pem\"\ncert_file = \"c.pem\"", "`cert_file` needs `key_file`"),
        ("tls = true\nca_file = \"empty.pem\"\nserver_name = \"no name\"", "neither the name of a host nor an address"),
    ];
    for (keys, said) in cases {
        let text = format!("{ROUTER}[[rpki.cache]]\naddress = \"127.0.0.1:3323\"\n{keys}\n");
        let told = faults(Config::parse(&file, &text));
        assert!(told.contains(said), "{keys}: {told}");
        assert!(told.contains("f.toml:"), "{told}");
    }
    let told = faults(with_router("[[rpki.cache]]\nfile = \"vrps.json\"\ntls = true\nca_file = \"x\"\n"));
    assert!(told.contains("`tls` is for an `address`, not for a `file`"), "{told}");
}

#[test]
fn relative_paths_are_looked_for_beside_the_file() {
    let text = format!("{ROUTER}[rpki]\nslurm = \"slurm.json\"\n[[rpki.cache]]\nfile = \"vrps.json\"\n");
    let config = Config::parse("/etc/ribwatch/f.toml", &text).unwrap();
    assert_eq!(config.rpki.slurm.as_deref(), Some(Path::new("/etc/ribwatch/slurm.json")));
    assert_eq!(config.rpki.sources[0].place, Place::File("/etc/ribwatch/vrps.json".into()));
}

#[test]
fn holding_import_needs_something_to_wait_for() {
    let told = faults(with_router("[rpki]\nhold_import = \"30s\"\n"));
    assert!(told.contains("`hold_import` waits for sources, and there are none"), "{told}");
    let text = "[rpki]\nhold_import = \"30s\"\n[[rpki.cache]]\naddress = \"127.0.0.1:3323\"\n";
    assert_eq!(with_router(text).unwrap().rpki.hold_import, Some(Duration::from_secs(30)));
}

#[test]
fn a_reload_says_which_sources_change_and_that_no_session_does() {
    let caches = |keys: &str| {
        let text = format!("[rpki]\nslurm = \"/a.json\"\n{keys}");
        with_router(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let cache = |name: &str, port: u16| format!("[[rpki.cache]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n");
    let old = caches(&(cache("one", 1) + &cache("two", 2)));
    let cases = [
        // (the new sections, what is said of them)
        (caches(&(cache("two", 2) + &cache("one", 1))), ""),
        (caches(&cache("one", 1)), "two removed, what it said is dropped"),
        (caches(&(cache("one", 1) + &cache("two", 2) + &cache("three", 3))), "three added"),
        (
            caches(&(cache("one", 1) + &cache("two", 2) + "preference = 2\nexpire = \"1h\"\n")),
            "two: preference, expire",
        ),
        (caches(&(cache("one", 1) + &cache("two", 3))), "two: how it is reached, so it is connected to anew"),
    ];
    for (new, said) in cases {
        let changes = diff(&old, &new);
        let told: Vec<String> = changes.iter().map(|change| change.view().text).collect();
        let expected =
            format!("[rpki]: changed ({said}), routes whose state changes are judged again, no session resets");
        assert_eq!(told, if said.is_empty() { vec![] } else { vec![expected] });
    }
    let held = caches(&(cache("one", 1) + &cache("two", 2)));
    let mut waits = held.clone();
    waits.rpki.hold_import = Some(Duration::from_secs(30));
    let told: Vec<String> = diff(&held, &waits).iter().map(|change| change.view().text).collect();
    assert_eq!(told, ["[rpki]: changed (hold_import), takes effect when ribwatch is started again"]);
}
