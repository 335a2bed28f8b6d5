//! One JSON object per line, in a file or on standard output. The file is found by its name for each line, so one that
//! was moved away by a program that rotates logs is followed by a new one.

use std::path::PathBuf;

use super::{Context, json::Body};
use crate::alert::Change;

/// A file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `None`: standard output.
    pub path: Option<PathBuf>,
}

/// The line for `change`, with its end.
pub fn octets(change: &Change, context: &Context<'_>) -> Vec<u8> {
    let mut line = Body::new(change, context).octets();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sink::sample, types::Timestamp};

    #[test]
    fn a_line_is_one_object_with_the_contracts_fields() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let line = String::from_utf8(octets(&opened, &Context::plain("r"))).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        for field in ["id", "kind", "severity", "state", "prefix", "asns", "neighbors", "first_seen", "last_seen"] {
            assert!(!object[field].is_null(), "{field}");
        }
    }
}
