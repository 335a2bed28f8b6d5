//! Lines of cells: what the screen is made of before a terminal sees it. Whatever neighbours or people wrote becomes
//! harmless here: characters that steer a terminal or turn the direction of text are written as `\u{1b}`.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::cli::output::Colour;

/// How a span looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Style {
    pub(super) colour: Colour,
    /// Foreground and background changed places.
    pub(super) reverse: bool,
}

impl From<Colour> for Style {
    fn from(colour: Colour) -> Self {
        Self { colour, reverse: false }
    }
}

/// Some characters in one style, harmless and without line ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) style: Style,
}

/// One line of the screen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Line {
    pub(super) spans: Vec<Span>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A line of one text.
    pub(super) fn of(text: impl AsRef<str>, style: impl Into<Style>) -> Self {
        let mut line = Self::new();
        line.push(text, style);
        line
    }

    /// Adds text at the end.
    pub(super) fn push(&mut self, text: impl AsRef<str>, style: impl Into<Style>) {
        self.spans.push(Span { text: harmless(text.as_ref()), style: style.into() });
    }

    /// Columns that it takes.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.width()).sum()
    }

    /// Cuts what stands beyond `columns`.
    pub(super) fn cut(mut self, columns: usize) -> Self {
        let mut left = columns;
        for span in &mut self.spans {
            if span.text.width() > left {
                span.text = shortened(&span.text, left);
            }
            left -= span.text.width();
        }
        self.spans.retain(|span| !span.text.is_empty());
        self
    }

    /// The same in reverse, to the end of `columns`.
    pub(super) fn reversed(mut self, columns: usize) -> Self {
        let padding = " ".repeat(columns.saturating_sub(self.width()));
        self.spans.push(Span { text: padding, style: Style::default() });
        self.spans.iter_mut().for_each(|span| span.style.reverse = true);
        self
    }

    /// The text alone.
    pub(super) fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect::<String>().trim_end().to_owned()
    }
}

/// Without anything that steers a terminal: controls, and what turns, joins or hides text.
pub(super) fn harmless(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.chars().any(steers) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// At most `columns` of a text; a longer one ends in `…`.
pub(super) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or_default();
        if used + 1 > columns {
            break;
        }
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A text over lines of at most `columns`, broken between words; what follows the first line stands under its text.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(20);
    let text = harmless(text);
    let indent = text.len() - text.trim_start().len();
    // "name        value" goes on under the value.
    let hanging = match text.trim_start().find("  ") {
        Some(gap) => text[indent + gap..].find(|c| c != ' ').map_or(indent, |blank| indent + gap + blank),
        None => indent + 2,
    };
    let hanging = if text[..hanging.min(text.len())].is_ascii() { hanging.min(columns / 2) } else { indent };
    let (mut lines, mut rest) = (Vec::new(), text.as_str());
    loop {
        let lead = if lines.is_empty() { 0 } else { hanging };
        let room = columns - lead;
        let padding = " ".repeat(lead);
        if rest.width() <= room {
            lines.push(format!("{padding}{rest}"));
            return lines;
        }
        let at = break_at(rest, room);
        lines.push(format!("{padding}{}", rest[..at].trim_end()));
        rest = rest[at..].trim_start();
    }
}

/// Where to break a text that is wider than `columns`: behind the last blank that fits, or inside a long word.
fn break_at(text: &str, columns: usize) -> usize {
    let (mut used, mut blank, mut end) = (0, None, text.len());
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or_default();
        if used > columns {
            end = at;
            break;
        }
        if c == ' ' && text[..at].trim_start() != "" {
            blank = Some(at + 1);
        }
    }
    // A word that is wider than half of the line is broken.
    let first = text.chars().next().map_or(1, char::len_utf8);
    blank.filter(|blank| *blank > columns / 2).unwrap_or(end).max(first)
}

/// A count in five columns: `99999`, `123k`, `1.23M`, `45.6M`, `1.23G`.
pub(super) fn count(number: u64) -> String {
    let scaled = |unit: u64, letter: char| {
        let hundredths = number / (unit / 100);
        match hundredths {
            0..1000 => format!("{}.{:02}{letter}", hundredths / 100, hundredths % 100),
            1000..10_000 => format!("{}.{}{letter}", hundredths / 100, hundredths / 10 % 10),
            _ => format!("{}{letter}", hundredths / 100),
        }
    };
    match number {
        0..100_000 => number.to_string(),
        100_000..1_000_000 => format!("{}k", number / 1000),
        1_000_000..1_000_000_000 => scaled(1_000_000, 'M'),
        _ => scaled(1_000_000_000, 'G'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let line = Line::of("a\x1b[2Jb\u{9b}c\r\nd\u{202e}e\u{7f}", Colour::Plain);
        assert_eq!(line.text(), "a\\u{1b}[2Jb\\u{9b}c\\r\\nd\\u{202e}e\\u{7f}");
        assert_eq!(harmless("Zürich 東京"), "Zürich 東京");
    }

    #[test]
    fn a_line_is_cut_by_columns_not_by_characters() {
        let mut line = Line::of("東京", Colour::Plain);
        line.push("abcdef", Colour::Red);
        assert_eq!((line.width(), line.clone().cut(7).text()), (10, "東京ab…".to_owned()));
        assert_eq!(line.cut(3).text(), "東…", "half of a wide character does not exist");
    }

    #[test]
    fn a_long_text_goes_on_under_its_words() {
        let text = "why         192.0.2.0/24 is announced by AS64511";
        let lines = wrapped(text, 32);
        assert_eq!(lines, ["why         192.0.2.0/24 is", "            announced by AS64511"]);
        let long = wrapped(&"x".repeat(50), 20);
        assert!(long.len() > 2 && long.iter().all(|line| line.width() <= 20), "{long:?}");
        assert_eq!(wrapped("", 40), [""]);
    }

    #[test]
    fn counts_take_five_columns() {
        for (number, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_000_000, "1.00M"),
            (12_345_678, "12.3M"),
            (999_999_999, "999M"),
            (2_500_000_000, "2.50G"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
