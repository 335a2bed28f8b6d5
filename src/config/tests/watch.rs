//! `[watch]` and `[detect]`: defaults, keys, included files, and what is wrong with them at which line and column.

use std::{fs, path::Path};

use super::{faults, with_router as parse};
use crate::{
    config::Config,
    detect::{Kind, Settings, paths::leak::Relation},
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
    assert_eq!(read.paths.path_rule.denied[0].expression.as_deref(), Some("_64505_ 64500$"));
    let relation = |of, other| read.paths.leak.relations.get(Asn(of), Asn(other)).map(|(relation, _)| relation);
    assert_eq!(relation(64500, 64496), Some(Relation::Provider));
    assert_eq!(relation(64497, 64496), Some(Relation::Peer));
}

#[test]
fn each_detector_can_be_turned_off() {
    let names = "origin first_hop covering validity visibility otc leak aspa peerlock bogon path_rule new_neighbor new_prefix \
                 blackhole session silence flap prefix_count rpki_data roa_expiry moas";
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
        ("[detect.first_hop]\nhold = 60\n".into(), "f.toml:5:8: `hold`: expected a duration"),
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

/// What BGPalerter's own documents show of a file, with entries of several makers and faults between them.
const PREFIXES_YML: &str = r#"165.254.255.0/24:
  description: Rome peering
  asn: 2914
  ignoreMorespecifics: false
  ignore: false,
  excludeMonitors:
    - withdrawal-detection
  path:
    match: ".*2194,1234$"
    notMatch: ".*5054.*"
    matchDescription: detected scrubbing center
    maxLength: 128
    minLength: 2

192.147.168.0/24:
  description: Job's home
  asn:
    - 15562
    - 3333
  group: default
  ignoreMorespecifics: true
2a00:5884::/32:
  description: delegated
  asn: [204092]
  ignore: true
  ignoreMorespecifics: true
# a comment
203.0.113.0/33:
  asn: 64500
198.51.100.0/24:
  description: "no origin
options:
  monitorASns:
    2914:
      group: noc
      upstreams:
        - 99
        - 98
      downstreams:
  generate:
    options: {}
"#;

#[test]
fn files_of_bgpalerter_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("prefixes.yml"), PREFIXES_YML).unwrap();
    let text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[watch]\nbgpalerter = [\"prefixes.yml\"]\n";
    fs::write(dir.path().join("f.toml"), text).unwrap();
    let config = Config::load(&dir.path().join("f.toml")).unwrap_or_else(|error| panic!("{error}"));
    let detect = &config.detect;

    let rule = |prefix: &str| {
        let prefix = prefix.parse().unwrap();
        detect.prefixes.iter().find(|rule| rule.prefix == prefix).unwrap_or_else(|| panic!("no rule for {prefix}"))
    };
    assert_eq!(detect.prefixes.len(), 3);
    let rome = rule("165.254.255.0/24");
    assert_eq!((rome.origins.as_slice(), rome.more_specifics), (&[Asn(2914)][..], true));
    assert_eq!(rome.description.as_deref(), Some("Rome peering"));
    assert_eq!(rome.ignore, [Kind::Visibility]);
    let home = rule("192.147.168.0/24");
    assert_eq!((home.origins.as_slice(), home.more_specifics), (&[Asn(15562), Asn(3333)][..], false));
    let delegated = rule("2a00:5884::/32");
    assert_eq!((delegated.ignore.as_slice(), delegated.more_specifics), (Kind::ALL, false));

    let [denied] = detect.paths.path_rule.denied.as_slice() else { panic!("{:?}", detect.paths.path_rule.denied) };
    assert_eq!(denied.name, "detected scrubbing center (165.254.255.0/24)");
    assert_eq!(denied.prefix, Some(rome.prefix));
    assert_eq!((denied.expression.as_deref(), denied.unless.as_deref()), (Some(".*2194,1234$"), Some(".*5054.*")));
    assert_eq!((denied.length_min, denied.length_max, denied.commas), (Some(2), Some(128), true));

    let [asn] = detect.asns.as_slice() else { panic!("{:?}", detect.asns) };
    assert_eq!(asn.upstreams.as_deref(), Some(&[Asn(99), Asn(98)][..]));
    assert_eq!(asn.downstreams.as_deref(), Some(&[][..]), "an empty list is nobody");

    let advice = config.advice().join("\n");
    for said in [
        "prefixes.yml:5: `ignore` is neither true nor false, taken for false",
        "prefixes.yml:28: `203.0.113.0/33` is no prefix",
        "no YAML",
    ] {
        assert!(advice.contains(said), "{said} in\n{advice}");
    }
}

#[test]
fn rules_that_are_written_here_come_before_those_of_bgpalerter() {
    let dir = tempfile::tempdir().unwrap();
    let yml = "203.0.113.0/24: {description: x, asn: 64501, ignoreMorespecifics: false}\n\
               198.51.100.0/24: {description: y, asn: [64501], includeMonitors: [basic-hijack-detection, made-by-us]}\n\
               192.0.2.0/24: {description: z, asn: 64501, includeMonitors: [basic-hijack-detection], group: [a, b]}\n\
               100.64.0.0/10: {asn: one}\n\
               options: {monitorASns: {64501: {upstreams: [0]}}, other: 1}\n";
    fs::write(dir.path().join("p.yml"), yml).unwrap();
    let text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[watch]\nbgpalerter = [\"p.yml\"]\n\
                [[watch.prefix]]\nprefix = \"203.0.113.0/24\"\norigins = [64500]\n";
    let file = dir.path().join("f.toml");
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let of = |at: usize| &config.detect.prefixes[at];
    assert_eq!(of(0).origins, [Asn(64500)]);
    assert!(of(1).ignore.is_empty(), "a name that means nothing here makes us look for more and not for less");
    let looked_for: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| of(2).looks_for(*kind)).collect();
    assert!(looked_for.contains(&Kind::OriginHijack) && !looked_for.contains(&Kind::Visibility), "{looked_for:?}");
    let advice = config.advice().join("\n");
    for said in [
        "p.yml:1: there is a rule for 203.0.113.0/24 already",
        "the monitor `made-by-us`",
        "p.yml:4: 100.64.0.0/10 has an `asn` that is no AS number",
        "p.yml:5: `upstreams` of AS64501 is not understood",
        "p.yml:5: `other` is not known",
    ] {
        assert!(advice.contains(said), "{said} in\n{advice}");
    }

    fs::write(dir.path().join("p.yml"), "- no\n").unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("p.yml holds no rule"));
    fs::remove_file(dir.path().join("p.yml")).unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("p.yml cannot be read"));
}

#[test]
fn a_rule_about_paths_must_say_something_that_can_be_broken() {
    let all = "[[watch.path]]\nname = \"short\"\nprefix = \"203.0.113.0/24\"\nunless = \"_64500_\"\nlength_max = 9\nlength_min = 2\n";
    let read = detect(all).paths.path_rule.denied;
    assert_eq!((read[0].length_min, read[0].length_max), (Some(2), Some(9)));
    let printed = parse("[[watch.path]]\nname = \"nothing\"\nunless = \"_1_\"\n").unwrap_err().to_string();
    assert!(printed.contains("says of no path that it is wrong"), "{printed}");
    let printed = parse("[[watch.path]]\nname = \"none\"\nlength_min = 5\nlength_max = 4\n").unwrap_err().to_string();
    assert!(printed.contains("no path is at least 5 and at most 4"), "{printed}");
}
