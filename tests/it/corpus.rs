//! Where the shared corpus (real MRT files, vectors, captures) is found, and how its files are read. A test that
//! needs it says `SKIPPED` where it is absent, so that nobody takes silence for a pass.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// The folder with `vectors/` and `mrt/`: `RIBWATCH_CORPUS`, else `../shared/data` beside the checkout, or beside
/// the folder that holds it (a git worktree). `None`, and a line that says so, where there is none.
pub fn folder() -> Option<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = checkout.ancestors().skip(1).take(3).map(|folder| folder.join("shared/data"));
    let found = std::env::var_os("RIBWATCH_CORPUS").map(PathBuf::from).into_iter().chain(beside).find(|at| at.is_dir());
    if found.is_none() {
        // Not `eprintln!`, which the test harness shows for failing tests only.
        let line = "SKIPPED: corpus absent; set RIBWATCH_CORPUS to the folder with vectors/ and mrt/\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    found
}

/// The path of one corpus file; `None` as in [`folder`].
pub fn path(name: &str) -> Option<PathBuf> {
    folder().map(|folder| folder.join(name))
}

/// One JSON value per line of a corpus file, such as `vectors/malformed-rfc7606.jsonl`.
pub fn json_lines(name: &str) -> Option<Vec<serde_json::Value>> {
    let text = fs::read_to_string(path(name)?).expect("a corpus file can be read");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a corpus line is JSON")).collect())
}

/// The octets of an `.xz` file of the corpus, unpacked.
pub fn unxz(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).expect("a corpus file can be opened");
    let mut octets = Vec::new();
    liblzma::read::XzDecoder::new_multi_decoder(file).read_to_end(&mut octets).expect("a corpus file unpacks");
    octets
}

/// Octets from hexadecimal digits; anything else between them is passed over.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit)).collect()
}
