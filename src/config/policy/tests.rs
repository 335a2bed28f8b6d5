//! Tables of what `[policy]` may say and how its faults are told.

use std::fmt::Write as _;

use crate::{
    config::{Config, ConfigError},
    policy::PolicyChain,
    types::PeerKind,
};

const ROUTER: &str = "[router]\nasn = 64511\nrouter_id = \"198.51.100.1\"\n";

fn parse(rest: &str) -> Result<Config, ConfigError> {
    Config::parse("f.toml", &format!("{ROUTER}{rest}"))
}

/// A policy of one statement with these lines.
fn statement(lines: &str) -> String {
    format!("[[policy.policy]]\nname = \"p\"\n[[policy.policy.statement]]\n{lines}\n")
}

fn faults(rest: &str) -> String {
    match parse(rest) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_fault_names_the_line_and_what_would_be_accepted() {
    let accept = |matches: &str| statement(&format!("match = {{ {matches} }}\nverdict = \"accept\""));
    let set = |set: &str| statement(&format!("set = {{ {set} }}\nverdict = \"accept\""));
    let list = |set: &str| format!("[[policy.{set}]]\nname = \"s\"\n");
    // (text, line of the fault, words that must be told)
    let rows: &[(String, usize, &[&str])] = &[
        // Sets and their members.
        (list("prefix_set") + "prefixes = [\"10.0.0.0/8 ge 7\"]", 6, &["impossible range", "ge 9 le 24"]),
        (list("prefix_set") + "prefixes = [\"10.0.0.0/8 ge 25 le 24\"]", 6, &["impossible range"]),
        (list("prefix_set") + "prefixes = []", 6, &["empty", "192.0.2.0/24"]),
        (list("prefix_set"), 4, &["lacks `prefixes`"]),
        (list("prefix_set") + "file = \"/nowhere/at-all\"", 6, &["cannot be read", "one member per line"]),
        (list("as_set") + "asns = [\"9-3\"]", 6, &["expected an AS number", "64512-65534"]),
        (list("as_path_set") + "paths = [\"^1_\", \"(2\"]", 6, &["`(2` is refused", "unclosed", "_64500$"]),
        (list("as_path_set") + "paths = [\"1[0-9 ]{30}$\"]", 6, &["too large"]),
        (list("community_set") + "communities = [\"64500\"]", 6, &["not a community", "64500:*"]),
        (list("neighbor_set") + "neighbors = [\"192.0.2.1/24\"]", 6, &["did you mean 192.0.2.0/24"]),
        ("[[policy.as_set]]\nname = \"1st\"\nasns = [1]".into(), 5, &["cannot be called", "begins with a letter"]),
        ("[[policy.as_set]]\nname = \"no-export\"\nasns = [1]".into(), 5, &["well-known community"]),
        (format!("{0}asns = [1]\n{0}asns = [2]", list("as_set")), 8, &["a second as_set is called \"s\""]),
        // Names.
        (
            accept("prefix = \"custmers\"")
                + &list("prefix_set").replace("\"s\"", "\"customers\"")
                + "prefixes = [\"::/0\"]",
            7,
            &["no prefix_set is called \"custmers\"", "did you mean \"customers\"?"],
        ),
        (accept("as_path = \"s\""), 7, &["no as_path_set is called \"s\"", "none is defined"]),
        (accept("neighbor = [\"s\"]"), 7, &["no neighbor_set"]),
        (set("remove_communities = \"s\""), 7, &["no community_set"]),
        (accept("prefx = \"s\""), 7, &["unknown key `prefx` in match", "did you mean `prefix`"]),
        (statement("verdict = \"acept\""), 7, &["expected one of a few words", "next-policy"]),
        (
            "[[policy.policy]]\nname = \"accept-all\"\n".to_owned()
                + "[[policy.policy.statement]]\nverdict = \"reject\"",
            5,
            &["is built in"],
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nimport = [\"q\"]\n".to_owned()
                + &statement("verdict = \"accept\""),
            7,
            &["no policy is called \"q\"", "accept-all, reject-all, p"],
        ),
        // Chains.
        (
            "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nimport = [\"accept-all\", \"p\"]\n".to_owned()
                + &statement("match = { origin = \"igp\" }\nverdict = \"accept\""),
            7,
            &["\"p\" is never asked: \"accept-all\" before it decides", "\"accept-all\" stands last"],
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nexport = [\"p\", \"reject-all\"]\n".to_owned()
                + &statement("match = { origin = \"igp\" }\nverdict = \"accept\"\n[[policy.policy.statement]]\nverdict = \"reject\""),
            7,
            &["\"reject-all\" is never asked: \"p\" before it decides"],
        ),
        (
            "[[neighbor_group]]\nname = \"g\"\nimport = [\"reject-all\", \"accept-all\"]\n[[neighbor]]\ngroup = \"g\"\n\
             address = \"192.0.2.1\"\nremote_asn = 64496\n"
                .to_owned(),
            6,
            &["\"accept-all\" is never asked"],
        ),
        // Numbers.
        (accept("as_path_length = \"5-3\""), 7, &["impossible range `5-3`"]),
        (accept("med = \"many\""), 7, &["no range of numbers", "3-10"]),
        (set("prepend = 11"), 7, &["from 1 to 10"]),
        (set("med = \"*2\""), 7, &["\"+10\""]),
        (set("weight = 65536"), 7, &["from 0 to 65535"]),
        (set("next_hop = \"0.0.0.0\""), 7, &["\"self\", \"unchanged\""]),
        (set("communities = [\"64500:*\"]"), 7, &["is not a community"]),
        // What makes no sense.
        (statement("match = { origin = \"igp\" }"), 6, &["does nothing"]),
        (statement("set = { med = 1 }\nverdict = \"reject\""), 7, &["`set` has no effect"]),
        (
            statement("verdict = \"accept\"\n[[policy.policy.statement]]\nverdict = \"reject\""),
            8,
            &["never reached: statement 1 decides"],
        ),
        (
            statement("verdict = \"next-policy\"\n[[policy.policy.statement]]\nset = { med = 1 }"),
            8,
            &["leaves the policy"],
        ),
        (statement("name = \"7\"\nverdict = \"accept\""), 7, &["cannot be called \"7\""]),
        ("[[policy.policy]]\nname = \"p\"".into(), 4, &["without statements"]),
        (accept("origin = \"igp\", not = { origin = \"igp\" }"), 7, &["can never match", "`not` excludes"]),
        (accept("as_path_length = \"3-5\", not = { as_path_length = [\"<= 4\", \">= 5\"] }"), 7, &["every number"]),
        (accept("med = [\"none\", 5], not = { med = [\"none\", \"<= 9\"] }"), 7, &["every number"]),
        (
            accept("not = { validation = [\"valid\", \"invalid\", \"not_found\", \"not_checked\"] }"),
            7,
            &["every value"],
        ),
        (accept("community_any = \"64500:1\", community_none = [\"64500:2\", \"64500:1\"]"), 7, &["can never match"]),
        (accept("community_all = [\"64500:1\", \"64500:3\"], community_none = \"64500:1\""), 7, &["can never match"]),
        (
            accept("family = \"ipv6-unicast\", prefix = \"192.0.2.0/24\""),
            7,
            &["no prefix in `prefix` is of the `family`"],
        ),
        (accept("route_type = \"local\", from_role = \"customer\""), 7, &["comes from no neighbor"]),
        (accept("as_path_length = 0, origin_as = 64500"), 7, &["can never match"]),
        (
            accept("validation = \"valid\", not = { validation = [\"invalid\", \"valid\"] }"),
            7,
            &["can never match", "`not` excludes all"],
        ),
        (accept("origin_as = [2, 1], not = { origin_as = [1, 2, 3] }"), 7, &["can never match"]),
        (
            accept("prefix = \"s\", not = { prefix = [\"::/0\", \"s\"] }")
                + &list("prefix_set")
                + "prefixes = [\"192.0.2.0/24\"]",
            7,
            &["can never match"],
        ),
        (
            accept("prefix = \"s\", family = \"ipv6-unicast\"")
                + &list("prefix_set")
                + "prefixes = [\"192.0.2.0/24\"]",
            7,
            &["no prefix in `prefix` is of the `family`"],
        ),
        (accept("family = \"vpnv4-unicast\", prefix = \"192.0.2.0/24\""), 7, &["can never match"]),
        (accept("family = \"vpnv4-unicast\", validation = \"invalid\""), 7, &["only unicast routes"]),
        (accept("family = \"vpnv4-unicast\", aspa = [\"valid\", \"unknown\"]"), 7, &["only unicast routes"]),
        // Empty and impossible.
        (accept("prefix = []"), 7, &["the list is empty"]),
        (accept("prefix = \"192.0.2.0/24 ge 25 le 24\""), 7, &["impossible range", "ge 9 le 24"]),
        (accept("origin_as = \"9-3\""), 7, &["expected an AS number"]),
        (accept("as_path = \"1[0-9 ]{30}$\""), 7, &["too large", "4 MiB"]),
        (accept("community_any = \"64500:9-3\""), 7, &["not a community"]),
        (list("community_set") + "communities = []", 6, &["the list is empty"]),
        (list("neighbor_set") + "neighbors = []", 6, &["the list is empty"]),
        (list("as_path_set") + "paths = []", 6, &["the list is empty"]),
    ];
    let wrong = rows.iter().filter_map(|(text, line, words)| {
        let told = faults(text);
        let placed = told.starts_with(&format!("f.toml:{line}:")) && told.matches("f.toml:").count() == 1;
        let right = placed && words.iter().all(|word| told.contains(word));
        (!right).then(|| format!("line {line} and {words:?} wanted:\n{told}\n"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "one slip is one fault, told at its place with the fix:\n{}", wrong.join("\n"));
}

#[test]
fn what_might_match_is_not_refused() {
    for matches in [
        "as_path_length = \"3-5\", not = { as_path_length = \"<= 4\" }",
        "med = [\"none\", 5], not = { med = \"<= 9\" }",
        "community_any = [\"64500:1\", \"64500:3\"], community_none = \"64500:1\"",
        "family = [\"ipv6-unicast\", \"ipv4-unicast\"], prefix = \"192.0.2.0/24\"",
        "route_type = [\"local\", \"external\"], from_role = \"customer\"",
        "not = { family = \"ipv6-unicast\", prefix = \"192.0.2.0/24\" }",
        "origin = [\"igp\", \"egp\", \"incomplete\"]",
        "validation = [\"valid\", \"invalid\"], not = { validation = \"valid\" }",
        "origin_as = [\"1-9\"], not = { origin_as = [1, 2, 3] }",
        "family = \"vpnv4-unicast\", validation = [\"invalid\", \"not_checked\"]",
        "family = [\"vpnv4-unicast\", \"ipv6-unicast\"], validation = \"invalid\"",
    ] {
        assert_eq!(
            faults(&statement(&format!("match = {{ {matches} }}\nverdict = \"accept\""))),
            "accepted",
            "{matches}"
        );
    }
}

#[test]
fn a_chain_goes_on_where_a_policy_may_leave_a_route_undecided() {
    let chain = |names: &str, policy: &str| {
        let text = format!("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nimport = [{names}]\n{policy}");
        faults(&text)
    };
    for lines in [
        "match = { origin = \"igp\" }\nverdict = \"reject\"",
        "set = { med = 1 }",
        "match = { origin = \"igp\" }\nverdict = \"next-policy\"\n[[policy.policy.statement]]\nverdict = \"reject\"",
    ] {
        assert_eq!(chain("\"p\", \"accept-all\"", &statement(lines)), "accepted", "{lines}");
    }
    // What a faulty policy decides is not known: one slip is one fault.
    let told = chain("\"p\", \"accept-all\"", &statement("verdict = \"acept\""));
    assert_eq!(told.matches("f.toml:").count(), 1, "{told}");
}

#[test]
fn a_set_takes_the_lines_of_a_file_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let mut lines = String::from("# from the registry\n\n  192.0.2.0/24  # ours\n");
    (0..=255).for_each(|i| writeln!(lines, "10.{i}.0.0/16 le 24").unwrap());
    write("space.txt", &lines);
    write("asns.txt", "AS64496\n64500-64502\n");
    let sets = "[[policy.prefix_set]]\nname = \"space\"\nfile = \"space.txt\"\n\
                [[policy.as_set]]\nname = \"asns\"\nasns = [64511]\nfile = \"asns.txt\"\n";
    let text = format!(
        "{ROUTER}{sets}{}",
        statement("match = { prefix = \"space\", origin_as = \"asns\" }\nverdict = \"accept\"")
    );
    let test = |prefix: &str, origin: u32, expect: &str| {
        format!(
            "[[policy.test]]\nname = \"{prefix}\"\npolicies = \"p\"\nexpect = \"{expect}\"\n\
             route = {{ prefix = \"{prefix}\", as_path = \"64499 {origin}\" }}\n"
        )
    };
    let tests = test("192.0.2.0/24", 64501, "accept") + &test("10.7.9.0/24", 64511, "accept");
    let tests = tests + &test("10.7.9.0/25", 64511, "reject") + &test("192.0.2.0/24", 64503, "reject");
    write("f.toml", &format!("{text}{tests}"));
    let path = dir.path().join("f.toml");
    assert!(Config::load_and_test(&path).is_ok_and(|config| config.policy.tests.len() == 4));

    write("space.txt", "192.0.2.0/24\n192.0.2.1/24\n");
    let told = Config::load(&path).unwrap_err().to_string();
    assert!(told.contains("space.txt:2: ") && told.contains("did you mean 192.0.2.0/24"), "{told}");
    write("space.txt", "# nothing\n");
    let told = Config::load(&path).unwrap_err().to_string();
    assert!(told.contains("the set \"space\" is empty"), "{told}");
}

#[test]
fn a_test_that_fails_is_told_with_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.toml");
    let policy = statement(
        "name = \"lp\"\nset = { local_pref = 200 }\n[[policy.policy.statement]]\nmatch = { origin_as = 64500 }\nverdict = \"accept\"",
    );
    let told = |test: &str| {
        let test = format!(
            "[[policy.test]]\nname = \"t\"\npolicies = \"p\"\nroute = {{ prefix = \"192.0.2.0/24\", as_path = \"64496 64500\" }}\n{test}"
        );
        std::fs::write(&path, format!("{ROUTER}{policy}{test}")).unwrap();
        Config::load_and_test(&path).map_or_else(|error| error.to_string(), |_| "passed".to_owned())
    };
    assert_eq!(
        told("expect = \"accept\"\nby = \"p/2\"\nexpect_set = { local_pref = 200, med = \"none\", communities = [] }"),
        "passed"
    );
    let rows: &[(&str, &[&str])] = &[
        ("expect = \"reject\"", &["expected to be rejected, is accepted by p/2"]),
        (
            "expect = \"accept\"\nby = \"p/lp\"",
            &["expected p/lp to decide, p/2 did", "p/lp: local_pref none -> 200, goes on"],
        ),
        ("expect = \"accept\"\nexpect_set = { local_pref = 100 }", &["expected local_pref 100, got 200"]),
        (
            "expect = \"accept\"\nexpect_set = { communities = [\"64500:1\"] }",
            &["expected communities 64500:1, got none"],
        ),
        ("expect = \"accept\"\nexpect_set = { as_path = \"64500\" }", &["expected as_path `64500`, got `64496 64500`"]),
        (
            "expect = \"accept\"\nexpect_set = { weight = 1, next_hop = \"self\" }",
            &["weight 1, got none", "next_hop self, got as without"],
        ),
    ];
    for (test, words) in rows {
        let told = told(test);
        assert!(told.contains("f.toml:12:1: policy test \"t\" fails"), "{told}");
        words.iter().for_each(|word| assert!(told.contains(word), "{word:?} is not told: {told}"));
    }
}

#[test]
fn a_neighbor_uses_what_is_defined_and_a_reload_knows_whether_it_changed() {
    let with = |lp: u32| {
        let text = statement(&format!("set = {{ local_pref = {lp} }}\nverdict = \"accept\""));
        parse(&(text + "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nimport = [\"p\"]\n")).unwrap()
    };
    let (old, same, new) = (with(1), with(1), with(2));
    let chain = |config: &Config| {
        let names: Vec<_> = config.neighbors[0].import.iter().map(|name| name.as_str().into()).collect();
        PolicyChain::new(&config.policy.library, &names, PeerKind::External)
    };
    assert_eq!(chain(&old), chain(&same));
    assert_ne!(chain(&old), chain(&new));
    assert!(crate::config::diff(&old, &same).is_empty());
    assert!(!crate::config::diff(&old, &new).is_empty());
}
