//! How a fault of the operator is told: `file:line:column`, the line, a marker under the fault, and what would
//! be accepted. Knows nothing about keys; `read` finds the faults.

use std::{fmt, ops::Range, path::PathBuf};

/// One fault in a configuration text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Problem {
    /// Octets of the text that are at fault.
    pub span: Range<usize>,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What would be accepted, or what to do; empty when `what` says it all.
    pub help: String,
}

/// Why a configuration cannot be used.
pub enum ConfigError {
    /// The file could not be read at all.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text has faults; all that were found, in the order of the text, at least one.
    Faults {
        /// Name of the file, as it is printed.
        file: String,
        /// The whole text.
        text: String,
        /// The faults.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The faults of `text`, in the order of the text.
    pub(super) fn faults(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        // What many neighbours inherit is read for each of them, and told once.
        let mut told = std::collections::HashSet::new();
        problems.retain(|problem| told.insert(problem.clone()));
        Self::Faults { file: file.to_owned(), text: text.to_owned(), problems }
    }

    /// The faults of a file that another one names: each as `file:line:column: what`, and its help.
    pub(super) fn places(file: &str, text: &str, problems: Vec<Problem>) -> Vec<(String, String)> {
        let told = |problem: Problem| {
            let place = locate(text, &problem.span);
            (format!("{file}:{}:{}: {}", place.line, place.column, problem.what), problem.help)
        };
        problems.into_iter().map(told).collect()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "{}: cannot be read: {source}", path.display()),
            Self::Faults { file, text, problems } => {
                for (index, problem) in problems.iter().enumerate() {
                    if index > 0 {
                        writeln!(f)?;
                    }
                    render(f, file, text, problem)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    /// As it is told: the text as a whole has secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Faults { .. } => None,
        }
    }
}

/// A line of the text and where in it a fault stands.
struct Place<'a> {
    /// Counted from 1.
    line: usize,
    /// In characters, counted from 1.
    column: usize,
    content: &'a str,
    before: &'a str,
    marked_chars: usize,
}

fn locate<'a>(text: &'a str, span: &Range<usize>) -> Place<'a> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let (head, tail) = text.split_at(start);
    let line_start = head.rfind('\n').map_or(0, |at| at + 1);
    let before = head.get(line_start..).unwrap_or_default();
    let rest = tail.split(['\n', '\r']).next().unwrap_or_default();
    let content = text.get(line_start..start + rest.len()).unwrap_or_default();
    let mut marked_len = span.end.saturating_sub(start).min(rest.len());
    while !rest.is_char_boundary(marked_len) {
        marked_len -= 1;
    }
    Place {
        line: head.matches('\n').count() + 1,
        column: before.chars().count() + 1,
        content,
        before,
        marked_chars: rest.get(..marked_len).unwrap_or_default().chars().count().max(1),
    }
}

fn render(f: &mut fmt::Formatter<'_>, file: &str, text: &str, problem: &Problem) -> fmt::Result {
    let place = locate(text, &problem.span);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let (mut content, mut before, mut marked) = (place.content.to_owned(), place.before, place.marked_chars);
    if let Some(shown) = before_secret(place.content) {
        content = format!("{shown} ***");
        if before.len() > shown.len() {
            (before, marked) = (&content, 3);
            before = before.get(..=shown.len()).unwrap_or_default();
        }
        marked = marked.min(content.chars().count().saturating_sub(before.chars().count())).max(1);
    }
    // Tabs are kept, so that the marker stands under the fault whatever the terminal's tab width is.
    let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    writeln!(f, "{file}:{}:{}: {}", place.line, place.column, problem.what)?;
    writeln!(f, "{gutter} |")?;
    writeln!(f, "{number} | {content}")?;
    write!(f, "{gutter} | {indent}{}", "^".repeat(marked))?;
    if !problem.help.is_empty() {
        write!(f, "\n{gutter} = {}", problem.help)?;
    }
    Ok(())
}

/// Keys whose values are never told back. An address that receivers give out may be a secret as a whole.
pub(super) const SECRET_KEYS: [&str; 7] = ["password", "secret", "token", "hash", "routing_key", "url", "headers"];

/// What may be shown of a line: everything up to the `=` of the first key that is one of a secret, or nearly; `None`: all of it.
fn before_secret(line: &str) -> Option<&str> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let secret = |at: &usize| {
        let key = line.get(..*at)?.trim_end().trim_end_matches(['"', '\'']);
        let key = key.get(key.rfind(|c| !is_key(c)).map_or(0, |at| at + 1)..)?;
        SECRET_KEYS.contains(&key).then_some(key).or_else(|| nearest(key, SECRET_KEYS))
    };
    // In a comment, an example may be given.
    let code = line.trim_start().strip_prefix('#').map_or(line, |_| "");
    let at = code.match_indices('=').map(|(at, _)| at).find(|at| secret(at).is_some())?;
    line.get(..=at)
}

/// The candidate that `word` most likely stands for: at most a third of its characters are wrong.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance; the words are keys of a configuration, so a few dozen characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = (*cell + 1).min(left + 1).min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(cell, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_stands_under_the_fault_whatever_is_before_it() {
        let text = "a = 1\n\tname = \"Zürich\" # x\r\n";
        let cases = [
            // (octets at fault, what is printed)
            (0..1, "f:1:1: w\n  |\n1 | a = 1\n  | ^\n  = h"),
            (14..23, "f:2:9: w\n  |\n2 | \tname = \"Zürich\" # x\n  | \t       ^^^^^^^^\n  = h"),
            // Beyond the end of a line, and beyond the text: one marker where it would go on.
            (5..9, "f:1:6: w\n  |\n1 | a = 1\n  |      ^\n  = h"),
            (900..901, "f:3:1: w\n  |\n3 | \n  | ^\n  = h"),
        ];
        for (span, expected) in cases {
            let problem = Problem { span, what: "w".into(), help: "h".into() };
            assert_eq!(ConfigError::faults("f", text, vec![problem]).to_string(), expected);
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_key_and_a_foreign_word_does_not() {
        let keys = ["hold_time", "min_hold_time", "port"];
        assert_eq!(nearest("holdtime", keys), Some("hold_time"));
        assert_eq!(nearest("prot", keys), Some("port"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
