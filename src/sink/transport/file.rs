//! Lines at the end of a file, or on standard output. A line that could not be written as a whole is taken back, so that
//! the next attempt does not stand behind a half.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
};

use crate::sink::{Outcome, jsonl::Settings};

pub(super) async fn append(settings: Settings, octets: Vec<u8>) -> Outcome {
    // Disks may take their time, and are waited for elsewhere.
    let written = tokio::task::spawn_blocking(move || match &settings.path {
        Some(path) => append_to(path, &octets).map_err(|error| format!("{}: {error}", path.display())),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(&octets).and_then(|()| out.flush()).map_err(|error| error.to_string())
        }
    });
    match written.await {
        Ok(Ok(())) => Outcome::Accepted { answer: "written".to_owned() },
        Ok(Err(why)) => Outcome::later(why),
        Err(_) => Outcome::later("the writer was stopped"),
    }
}

fn append_to(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let metadata = file.metadata()?;
    let written = file.write_all(octets);
    if written.is_err() && metadata.is_file() {
        // If that fails too, half a line is the least of the operator's worries.
        let _ = file.set_len(metadata.len());
    }
    written
}
