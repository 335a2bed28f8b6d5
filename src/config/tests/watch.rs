//! `[watch]` and `[detect]`: defaults, keys, included files, and what is wrong with them at which line and column.

use std::{fs, path::Path};

use super::{faults, with_router as parse};
use crate::{
    config::Config,
    detect::{Settings, paths::leak::Relation},
    types::Asn,
};

fn detect(text: &str) -> Settings {
    parse(text).unwrap_or_else(|error| panic!("{error}")).detect
}

#[test]
fn what_is_not_written_has_its_default() {
    let default = Settings::new(Asn(64512));
    assert_eq!(detect(""), default);
    assert_eq!(detect("[watch]\n[detect]\n[detect.leak]\n[detect.flap]\n"), default);
}

#[test]
fn the_example_shows_every_key_and_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/watch.toml");
    let read = Config::load(&path).unwrap_or_else(|error| panic!("{error}")).detect;
    let default = Settings::new(Asn(64500));
    assert_eq!((read.scenes.clone(), read.feeds.clone()), (default.scenes, default.feeds));
    assert_eq!((read.settle_max, read.vantages_min), (default.settle_max, default.vantages_min));
    assert_eq!(read.paths.bogon, default.paths.bogon);
    assert_eq!(read.paths.peerlock.transit_free, default.paths.peerlock.transit_free);
    assert_eq!(read.paths.path_rule.length_max, default.paths.path_rule.length_max);
    assert_eq!(read.paths.path_rule.prepends_max, default.paths.path_rule.prepends_max);
    // Rules of the file itself come first, then those of the file that it includes.
    let prefixes: Vec<String> = read.prefixes.iter().map(|rule| rule.prefix.to_string()).collect();
    assert_eq!(prefixes, ["203.0.113.0/24", "2001:db8::/32"]);
    assert_eq!(read.asns[0].downstreams, Some(vec![Asn(64511)]));
    assert_eq!(read.paths.peerlock.protected[0].via, [Asn(64496)]);
    assert_eq!(read.paths.path_rule.denied[0].expression, "_64505_ 64500$");
    let relation = |of, other| read.paths.leak.relations.get(Asn(of), Asn(other)).map(|(relation, _)| relation);
    assert_eq!(relation(64500, 64496), Some(Relation::Provider));
    assert_eq!(relation(64497, 64496), Some(Relation::Peer));
}

#[test]
fn each_detector_can_be_turned_off() {
    let names = "origin first_hop covering validity visibility otc leak aspa peerlock bogon path_rule new_neighbor new_prefix \
                 blackhole session flap prefix_count rpki_data moas";
    for name in names.split_whitespace() {
        let off = detect(&format!("[detect.{name}]\nenabled = false\n"));
        assert_ne!(off, Settings::new(Asn(64512)), "{name}");
    }
}

#[test]
fn faults_are_told_where_they_stand() {
    let prefix = "[[watch.prefix]]\nprefix = \"203.0.113.0/24\"\norigins = [64500]\n";
    for (text, expected) in [
        ("[detect.leaks]\n".to_owned(), "f.toml:4:9: unknown key `leaks` in [detect]"),
        ("[detect.flap]\nhalf_life = 5\n".into(), "f.toml:5:13: `half_life`: expected a duration"),
        ("[detect.flap]\nclose = 6000\n".into(), "f.toml:5:9: `close` 6000 is not below `open` 6000"),
        ("[detect.flap]\nceiling = 900\n".into(), "`ceiling` 900 is below `open` 6000"),
        ("[detect.visibility]\nwarning_percent = 101\n".into(), "f.toml:5:19: `warning_percent`"),
        ("[detect.visibility]\ncritical_percent = 95\n".into(), "`critical_percent` 95 is above `warning_percent` 90"),
        ("[detect.prefix_count]\ncritical_percent = 5\n".into(), "`critical_percent` 5 is below `warning_percent` 10"),
        ("[detect.leak]\ninferred = \"some\"\n".into(), "\"off\", \"watched\", \"all\""),
        ("[detect.leak]\nrelations = \"/nowhere/as-rel\"\n".into(), "/nowhere/as-rel cannot be read"),
        ("[detect.blackhole]\ncommunities = [\"x\"]\n".into(), "expected a community"),
        ("[detect.moas]\nhold = \"1s\"\n".into(), "f.toml:5:1: unknown key `hold` in [detect.moas]"),
        (format!("{prefix}{prefix}"), "f.toml:8:10: a second [[watch.prefix]] is about 203.0.113.0/24"),
        (format!("{prefix}upstreams = [64500]\n"), "AS64500 is the only origin of 203.0.113.0/24"),
        (format!("{prefix}max_length = 23\n"), "`max_length` 23 does not fit"),
        ("[[watch.asn]]\nasn = 64500\nupstreams = [64500]\n".into(), "f.toml:6:13: AS64500 is no neighbor of itself"),
        ("[[watch.peerlock]]\nasn = 64500\n".into(), "[[watch.peerlock]] lacks `via`"),
        ("[[watch.peerlock]]\nasn = 64500\nvia = [64500]\n".into(), "AS64500 passes on its own routes anyway"),
        ("[[watch.path]]\nname = \"n\"\ndeny = \"(64500\"\n".into(), "f.toml:6:8: `deny`: no expression: "),
        ("[[watch.path]]\nname = \"n\"\ndeny = \"((.{900}){900}){9}\"\n".into(), "`deny`: the expression is too large"),
        ("[[watch.relation]]\nprovider = 64500\n".into(), "f.toml:4:1: [[watch.relation]] says neither"),
        ("[[watch.relation]]\npeers = [64500]\n".into(), "`peers`: expected two ASes, found 1"),
        (
            "[[watch.relation]]\npeers = [64500, 64501]\n[[watch.relation]]\nprovider = 64501\ncustomer = 64500\n"
                .into(),
            "another [[watch.relation]] says otherwise of AS64501 and AS64500",
        ),
        ("[watch]\ninclude = [\"/nowhere/rules\"]\n".into(), "/nowhere/rules: cannot be read"),
    ] {
        let printed = faults(parse(&text));
        assert!(printed.contains(expected) && printed.contains("f.toml:"), "{text}\n{printed}");
    }
}

#[test]
fn rules_inside_rules_with_other_origins_are_fine() {
    let rules = detect(
        "[[watch.prefix]]\nprefix = \"203.0.113.0/24\"\norigins = [64500]\n\
         [[watch.prefix]]\nprefix = \"203.0.113.0/25\"\norigins = [64501]\n",
    );
    assert_eq!(rules.prefixes.len(), 2);
}

#[test]
fn faults_of_included_files_have_their_own_places() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "[[watch.prefix]]\nprefix = \"203.0.113.0/24\"\norigins = [0]\n[router]\nasn = 64500\n[watch]\ninclude = []\n";
    let text = text.replace("[watch]\ninclude = []\n", "");
    fs::write(dir.path().join("rules.toml"), text).unwrap();
    let main = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[watch]\ninclude = [\"rules.toml\"]\n";
    let file = dir.path().join("f.toml");
    fs::write(&file, main).unwrap();
    let printed = Config::load(&file).unwrap_err().to_string();
    assert!(printed.contains("rules.toml:3:12: `origins`: expected an AS number"), "{printed}");
    assert!(printed.contains("rules.toml:4:2: unknown key `router` in an included file"), "{printed}");

    let rule = "[[watch.prefix]]\nprefix = \"203.0.113.0/24\"\norigins = [64500]\n";
    fs::write(dir.path().join("rules.toml"), rule).unwrap();
    fs::write(&file, format!("{main}{rule}")).unwrap();
    let printed = Config::load(&file).unwrap_err().to_string();
    assert!(
        printed
            .contains("rules.toml:2:10: a second [[watch.prefix]] is about 203.0.113.0/24, the first is in this file")
    );
}

#[test]
fn broken_lines_of_a_relationship_file_are_named_and_the_rest_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let broken = (0..7).map(|_| "x|y\n").collect::<String>();
    fs::write(dir.path().join("rel.txt"), format!("# made\n64496|64500|-1\n64496|64497|0|bgp\n{broken}")).unwrap();
    let text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[detect.leak]\nrelations = \"rel.txt\"\n";
    fs::write(dir.path().join("f.toml"), text).unwrap();
    let config = Config::load(&dir.path().join("f.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.detect.paths.leak.relations.len(), 2);
    let advice = config.advice().join("\n");
    assert!(advice.contains("rel.txt:4, rel.txt:5") && advice.contains("and 2 more lines"), "{advice}");
    fs::write(dir.path().join("rel.txt"), &broken).unwrap();
    assert!(Config::load(&dir.path().join("f.toml")).unwrap_err().to_string().contains("rel.txt holds no relation"));
}
