//! What `[[neighbor_group]]` gives to neighbours, and how its faults are told.

use super::*;

fn neighbors(text: &str) -> Vec<Neighbor> {
    with_router(text).unwrap_or_else(|error| panic!("{error}")).neighbors
}

#[test]
fn a_neighbour_says_what_its_group_does_not_and_its_own_word_is_last() {
    let all = neighbors(
        r#"
[[neighbor_group]]
name       = "members"
group      = "everybody"
remote_asn = 64496
import     = ["accept-all"]
families   = ["ipv4-unicast"]
max_prefix = { limit = 1000, warning = 50 }
multihop   = 2

[[neighbor_group]]
name      = "everybody"
hold_time = "30s"
import    = ["reject-all"]
password  = "s3cret"
passive   = true

[[neighbor]]
address = "192.0.2.1"
group   = "members"

[[neighbor]]
address      = "192.0.2.2"
group        = "members"
remote_asn   = 64497
import       = []
max_prefix   = { limit = 9 }
ttl_security = true
passive      = false

[[neighbor]]
address    = "192.0.2.3"
remote_asn = 64498

[[neighbor]]
range = "198.51.100.0/24"
group = "members"
"#,
    );
    let [plain, own, outside, range] = all.as_slice() else { panic!("four neighbours, not {}", all.len()) };

    assert_eq!(plain.group.as_deref(), Some("members"));
    assert_eq!(plain.remote_asn, RemoteAsn::Exact(Asn(64496)));
    assert_eq!(plain.import, ["accept-all"], "the nearer group's");
    assert_eq!((plain.hold_time, plain.passive), (Duration::from_secs(30), true), "from the group of the group");
    assert_eq!(plain.password.as_ref().map(|password| password.0.as_str()), Some("s3cret"));
    assert_eq!(plain.distance, Distance::Multihop(2));

    assert_eq!((own.remote_asn.known(), own.passive), (Some(Asn(64497)), false));
    assert_eq!(own.import, [""; 0], "a list replaces the group's, it is not added to it");
    let limits: Vec<(u64, u8)> = own.max_prefix.iter().map(|(_, max)| (max.limit, max.warning_percent)).collect();
    assert_eq!(limits, [(9, 80)], "a table replaces the group's as a whole");
    assert_eq!(own.distance, Distance::Security(1), "another way to say it leaves the group's out");

    assert_eq!((outside.group.as_deref(), outside.hold_time), (None, Duration::from_secs(90)));
    // A range is a template: what it has, every speaker in it has.
    assert_eq!(range.password, plain.password);
    assert_eq!(range.families, [Family::IPV4_UNICAST]);
    let engine = range.settings(&with_router("").unwrap().router).engine;
    assert_eq!(engine.group.as_deref(), Some("members"), "policies can ask for it");
}

#[test]
fn each_key_that_says_the_same_in_another_way_leaves_the_groups_out() {
    let rows = [
        // (the group, the neighbour, what holds)
        ("password = \"a\"", "password = \"b\"", "b Default Standard"),
        ("next_hop_self = true", "next_hop_unchanged = true", "- Default Unchanged"),
        ("next_hop_self = true", "", "- Default OwnAddress"),
        ("multihop = 3", "ttl_security = 2", "- Security(2) Standard"),
        // Switching the one off does not switch the other off.
        ("multihop = 3", "ttl_security = false", "- Multihop(3) Standard"),
        ("ttl_security = 2", "ttl_security = false", "- Default Standard"),
    ];
    for (group, own, expected) in rows {
        let all = neighbors(&format!(
            "[[neighbor_group]]\nname = \"g\"\n{group}\n[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\n\
             group = \"g\"\n{own}\n"
        ));
        let neighbor = &all[0];
        let password = neighbor.password.as_ref().map_or("-", |password| &password.0);
        let holds = format!("{password} {:?} {:?}", neighbor.distance, neighbor.next_hop);
        assert_eq!(holds, expected, "{group} / {own}");
    }
}

#[test]
fn faults_of_groups_are_told_once_where_they_stand() {
    let member = |n: u8, keys: &str| {
        format!("[[neighbor]]\naddress = \"192.0.2.{n}\"\nremote_asn = 64496\ngroup = \"g\"\n{keys}")
    };
    let two = member(1, "") + &member(2, "");
    let rows: [(String, &[&str]); 9] = [
        (
            format!("[[neighbor_group]]\nname = \"g\"\nhold_time = \"2s\"\n{two}"),
            &["f.toml:6:13: `hold_time`: expected a hold time, found the string \"2s\""],
        ),
        // Told without anybody in it, too.
        (
            "[[neighbor_group]]\nname = \"g\"\nimport = [\"acept-all\"]\n".to_owned(),
            &["f.toml:6:11: `import`: no policy is called \"acept-all\"; did you mean \"accept-all\"?"],
        ),
        (
            format!("[[neighbor_group]]\nname = \"g\"\nhold_tme = \"9s\"\n{two}"),
            &["f.toml:6:1: unknown key `hold_tme` in [[neighbor_group]]"],
        ),
        (
            format!("[[neighbor_group]]\nname = \"g\"\naddress = \"192.0.2.1\"\n{two}"),
            &["f.toml:6:11: `address` is about one neighbor, and this is a group"],
        ),
        (
            format!("[[neighbor_group]]\nname = \"g\"\nstrict_role = true\n{two}"),
            &["f.toml:6:15: `strict_role` without `local_role` says nothing"],
        ),
        (
            // What is missing may stand in the group that was meant: nothing is said about it.
            "[[neighbor_group]]\nname = \"members\"\n[[neighbor]]\naddress = \"192.0.2.1\"\ngroup = \"member\"\n"
                .to_owned(),
            &["f.toml:8:9: `group`: no [[neighbor_group]] is called \"member\"; did you mean \"members\"?"],
        ),
        (
            format!("[[neighbor_group]]\nname = \"g\"\n[[neighbor_group]]\nname = \"g\"\n{two}"),
            &["f.toml:7:8: a second [[neighbor_group]] has the name \"g\""],
        ),
        (
            "[[neighbor_group]]\nname = \"a\"\ngroup = \"b\"\n[[neighbor_group]]\nname = \"b\"\ngroup = \"c\"\n\
             [[neighbor_group]]\nname = \"c\"\ngroup = \"b\"\n"
                .to_owned(),
            &[
                "f.toml:9:9: `group`: the group inherits from itself: b -> c -> b",
                "f.toml:12:9: `group`: the group inherits from itself: c -> b -> c",
            ],
        ),
        (
            "[[neighbor_group]]\nname = \"a\"\ngroup = \"a\"\n".to_owned(),
            &["f.toml:6:9: `group`: the group inherits from itself: a -> a"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(headlines(with_router(&text)), expected, "{text}");
    }
}

#[test]
fn the_group_of_a_neighbour_by_command_is_that_of_the_file() {
    let config = with_router(
        "[[neighbor_group]]\nname = \"g\"\nremote_asn = 64496\npassword = \"s3cret\"\n[neighbor_group.max_prefix]\n\
         limit = 7\n",
    )
    .unwrap();
    let neighbor = parse_neighbor("address = \"192.0.2.9\"\ngroup = \"g\"", &config).unwrap();
    assert_eq!((neighbor.remote_asn.known(), neighbor.max_prefix.len()), (Some(Asn(64496)), 1));
    assert!(!format!("{config:?}").contains("s3cret"));

    let told = |text: &str| parse_neighbor(text, &config).unwrap_err().to_string();
    let unknown = told("address = \"192.0.2.9\"\ngroup = \"h\"\n");
    assert!(unknown.starts_with("neighbor:2:9: `group`: no [[neighbor_group]] is called \"h\""), "{unknown}");
    let brought = told("address = \"192.0.2.9\"\n[[neighbor_group]]\nname = \"mine\"\n");
    assert!(brought.starts_with("neighbor:2:3: a neighbor that is added by command brings no groups"), "{brought}");
}
