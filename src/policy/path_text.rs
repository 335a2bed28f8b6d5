//! AS_PATH from text, as routers print it: `64496 64497 {64500,64501}`, confederations as `(64512 64513)` and
//! `[64514,64515]`. The inverse of how `AsPath` is printed.

use crate::wire::bgp::as_path::SegmentKind;

/// The value of AS_PATH for a text.
///
/// # Errors
/// The text is no path; the error says what would be.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{text}` is not an AS path: write \"64496 64500\", a set as \"{{64500,64501}}\"");
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, close) = match first {
            '{' => (SegmentKind::Set, "}"),
            '(' => (SegmentKind::ConfedSequence, ")"),
            '[' => (SegmentKind::ConfedSet, "]"),
            _ => (SegmentKind::Sequence, ""),
        };
        let inner = if close.is_empty() {
            let end = rest.find(['{', '(', '[']).unwrap_or(rest.len());
            let (inner, tail) = rest.split_at(end);
            rest = tail;
            inner
        } else {
            let (inner, tail) = rest.get(1..).and_then(|rest| rest.split_once(close)).ok_or_else(wrong)?;
            rest = tail;
            inner
        };
        let separator = if kind.is_set() { ',' } else { ' ' };
        let asns: Vec<u32> = inner
            .split(separator)
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        if asns.is_empty() && !close.is_empty() {
            return Err(wrong());
        }
        for segment in asns.chunks(255) {
            out.extend_from_slice(&[kind as u8, segment.len() as u8]); // at most 255
            segment.iter().for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::as_path::AsPath;

    #[test]
    fn what_is_printed_can_be_read() {
        for text in ["", "64496", "64496 64500", "64496 {64500,64501}", "(64512 64513) 64496", "[64514] {1} 2"] {
            assert_eq!(AsPath::new(&parse(text).unwrap()).to_string(), text);
        }
        for wrong in ["x", "64496,64500", "{64500", "{}", "64496}", "4294967296", "(1,2)"] {
            assert!(parse(wrong).unwrap_err().contains("64496 64500"), "{wrong}");
        }
    }
}
