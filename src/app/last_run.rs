//! What is known of the run before this one: when it lived last, and with whom it had sessions. One small file in
//! `[state] dir`, written now and then, so that a crash leaves it behind as well as an orderly end does.
//!
//! RFC 4724 §4.1 asks a speaker that restarted to say so (R bit) and to hear its peers out before it speaks; after a
//! first start neither is true. The file tells the two apart.

use std::{fs, io, net::IpAddr, path::Path, time::Duration};

use crate::types::Timestamp;

/// Name of the file.
const FILE: &str = "last-run";

/// How often it is written.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// A run of this daemon that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LastRun {
    /// It may have lived until then.
    pub(super) alive_until: Timestamp,
    /// Neighbours with a session that was established.
    pub(super) established: Vec<IpAddr>,
}

impl LastRun {
    /// Reads the file; `None` when there was no run, or none that left a file that can be understood.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(FILE)).ok()?;
        let mut lines = text.lines();
        let written_at = Timestamp::from_secs(lines.next()?.parse().ok()?);
        let established = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { alive_until: written_at + INTERVAL, established })
    }

    /// Writes the file: this run lives, and has sessions with `established`. A reader finds the old one or the new one,
    /// never half of it.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub(super) fn write(dir: &Path, now: Timestamp, established: &[IpAddr]) -> io::Result<()> {
        let mut text = format!("{}\n", now.secs());
        for address in established {
            text.push_str(&format!("{address}\n"));
        }
        fs::create_dir_all(dir)?;
        let new = dir.join(format!("{FILE}.new"));
        fs::write(&new, text)?;
        fs::rename(new, dir.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_writes_the_next_one_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        assert_eq!(LastRun::read(&state), None, "a first start");
        let established = vec![IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().expect("an address")];
        for (secs, established) in [(1_700_000_000, established), (1_700_000_010, Vec::new())] {
            let now = Timestamp::from_secs(secs);
            LastRun::write(&state, now, &established).expect("written");
            assert_eq!(LastRun::read(&state), Some(LastRun { alive_until: now + INTERVAL, established }));
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_is_no_run() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in ["", "soon\n", "1700000000\n192.0.2\n"] {
            fs::write(dir.path().join(FILE), text).expect("written");
            assert_eq!(LastRun::read(dir.path()), None, "{text:?}");
        }
    }
}
