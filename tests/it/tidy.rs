//! The house rules that a machine can check: which way imports point, what pure rooms may not name, that every
//! file says what it is for, and that the map (`ARCHITECTURE.md`) shows every room.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Room and level. A room imports only from lower levels; rooms of one level do not know each other.
const ROOMS: &[(&str, u8)] = &[
    ("types", 0),
    ("wire", 1),
    ("session", 2),
    ("rib", 2),
    ("validation", 2),
    ("view", 3),
    ("access", 3),
    ("policy", 3),
    ("detect", 4),
    ("engine", 4),
    ("alert", 5),
    ("io", 6),
    ("api", 6),
    ("web", 6),
    ("metrics", 6),
    ("sink", 6),
    ("store", 6),
    ("config", 7),
    ("app", 8),
    ("demo", 9),
    ("cli", 10),
];

/// Rooms below this level think and do not touch the world.
const FIRST_WORLD_LEVEL: u8 = 6;

/// What a pure room may not name: runtimes, sockets, files, clocks, threads, unseeded randomness.
const WORLD_WORDS: &[&str] = &[
    "tokio::",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "SystemTime::now",
    "std::thread",
    "thread::spawn",
    "RandomState::new",
    "RandomState::default",
    "fastrand::",
    "rand::",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("folder is readable").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).expect("source is text"))).collect()
}

/// The room of a source file: the first name below `src/`.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn level_of(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, level)| *level)
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs") || {
        path.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("_tests"))
    }
}

/// The code that ships: without line comments and without what follows the unit tests' heading.
fn shipped(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// First names after `crate::`, those inside `crate::{ … }` included.
fn imported_rooms(code: &str) -> BTreeSet<String> {
    let name =
        |text: &str| -> String { text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        let Some(list) = after.strip_prefix('{') else {
            rooms.insert(name(after));
            continue;
        };
        let mut depth = 0_usize;
        let mut start = true;
        for (i, c) in list.char_indices() {
            if depth == 0 && start && c.is_alphabetic() {
                rooms.insert(name(&list[i..]));
                start = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                _ => {}
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn the_scanner_sees_nested_and_plain_imports() {
    let code = "use crate::{\n    types::{Asn, Family},\n    wire::bgp,\n};\nfn f() { crate::view::x() }";
    let rooms: Vec<String> = imported_rooms(code).into_iter().collect();
    assert_eq!(rooms, ["types", "view", "wire"]);
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room_of(&path);
        let Some(level) = level_of(&room) else {
            assert!(room == "lib" || room == "main", "{} is in no room of tests/it/tidy.rs", path.display());
            continue;
        };
        if is_test_file(&path) {
            continue;
        }
        for other in imported_rooms(&shipped(&text)) {
            let allowed = other == room || level_of(&other).is_some_and(|l| l < level);
            if !allowed {
                wrong.push(format!("{}: `{room}` may not import `{other}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the grain:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if is_test_file(&path) || level_of(&room_of(&path)).is_none_or(|level| level >= FIRST_WORLD_LEVEL) {
            continue;
        }
        let code = shipped(&text);
        for word in WORLD_WORDS.iter().filter(|word| code.contains(**word)) {
            wrong.push(format!("{} names `{word}`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "pure rooms that touch the world:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_sockopt() {
    for (path, text) in sources() {
        if !path.ends_with("io/sockopt.rs") {
            assert!(!shipped(&text).contains("unsafe "), "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "proto"] {
        rust_files(&root().join(folder), &mut files);
    }
    for path in files.iter().filter(|path| !path.components().any(|c| c.as_os_str() == "target")) {
        let text = fs::read_to_string(path).expect("source is text");
        assert!(text.starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

#[test]
fn every_file_is_reachable() {
    let all = sources();
    let stems: BTreeSet<PathBuf> = all.iter().map(|(path, _)| path.clone()).collect();
    for path in &stems {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if name == "lib" || name == "main" {
            continue;
        }
        let folder = path.parent().expect("a folder");
        let (module, parent_dir) = if name == "mod" {
            (folder.file_name().expect("a name").to_string_lossy().into_owned(), folder.parent().expect("a parent"))
        } else {
            (name, folder)
        };
        let as_folder = parent_dir.join("mod.rs");
        let as_file = parent_dir.with_extension("rs");
        let lib = parent_dir.join("lib.rs");
        let declared = [as_folder, as_file, lib].iter().filter(|p| stems.contains(*p)).any(|parent| {
            let text = fs::read_to_string(parent).expect("source is text");
            let declaration = format!("mod {module};");
            text.lines().map(str::trim).any(|line| {
                line == declaration || line.starts_with("pub") && line.ends_with(&format!(" {declaration}"))
            })
        });
        assert!(declared, "{} is compiled by nobody", path.display());
    }
}

#[test]
fn the_map_shows_every_room() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    for (room, _) in ROOMS {
        assert!(map.contains(&format!("`{room}`")), "ARCHITECTURE.md does not name `{room}`");
    }
}

#[test]
fn lib_lists_the_rooms_in_the_order_of_their_levels() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs is there");
    let listed: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known, "lib.rs and tidy.rs know the same rooms");
    let levels: Vec<u8> = listed.iter().filter_map(|room| level_of(room)).collect();
    assert!(levels.is_sorted(), "lib.rs lists a room before one that it imports: {listed:?}");
}

#[test]
fn each_detector_gives_an_account_of_its_settings_and_false_positives() {
    let mut files = Vec::new();
    rust_files(&root().join("src/detect"), &mut files);
    let detectors: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(&path).expect("source is text")))
        .filter(|(_, text)| {
            ["SceneRule", "PathRule", "FeedRule"].iter().any(|of| text.contains(&format!("impl {of} for")))
        })
        .collect();
    assert!(detectors.len() >= 20, "only {} detectors", detectors.len());
    for (path, text) in &detectors {
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for part in ["//! Settings", "//! # False positives"] {
            assert!(header.contains(part), "the first lines of {} lack {part}", path.display());
        }
    }
}

#[test]
fn the_list_of_detections_names_files_and_stories_that_exist() {
    let list = fs::read_to_string(root().join("docs/detections.md")).expect("the list is there");
    let mut tests = Vec::new();
    rust_files(&root().join("tests/it"), &mut tests);
    let stories: String = tests.iter().map(|path| fs::read_to_string(path).expect("source is text")).collect();
    let rows: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 26);
    for row in rows {
        let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        for file in names(row[4]) {
            assert!(root().join("src/detect").join(&file).exists(), "row {}: {file} is not there", row[1]);
        }
        for story in names(row[7]) {
            assert!(stories.contains(&format!("fn {story}(")), "row {}: no story {story}", row[1]);
        }
        assert!(!names(row[4]).is_empty() && !names(row[7]).is_empty(), "row {} lacks something", row[1]);
    }
}
