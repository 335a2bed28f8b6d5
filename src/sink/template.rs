//! Text with fields: `{{ summary }}` is the field as text, `{{ json evidence }}` as JSON. The fields are those of
//! [`Body`]. An unknown one is an error when the text is read, not when an alert is told.

use serde_json::Value;

use super::json::Body;

/// How a field's text is made to fit where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escape {
    /// Inside a JSON string.
    Json,
    /// Inside a URL: everything but unreserved characters (RFC 3986 §2.3) as `%XX`.
    Url,
    /// As it is.
    None,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Field { name: &'static str, as_json: bool },
}

/// A text with fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence: braces that do not close, or a field that does not exist.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or("`{{` is not closed by `}}`")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let inside = inside.trim();
            let (name, as_json) = match inside.strip_prefix("json ") {
                Some(name) => (name.trim(), true),
                None => (inside, false),
            };
            let known = Body::FIELDS.iter().find(|field| **field == name);
            let name = known.ok_or_else(|| {
                format!("there is no field `{name}`: {}; `json FIELD` writes one as JSON", Body::FIELDS.join(" "))
            })?;
            pieces.push(Piece::Field { name, as_json });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces, escape })
    }

    /// The text with the fields of `body`, a value made by [`Body::value`].
    pub fn fill(&self, body: &Value) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field { name, as_json: true } => out.push_str(&body[*name].to_string()),
                Piece::Field { name, as_json: false } => self.escape.push(&plain(name, &body[*name]), &mut out),
            }
        }
        out
    }

    /// Whether it names `field`.
    pub fn names(&self, field: &str) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Field { name, .. } if *name == field))
    }
}

/// The value of a field as a person writes it: lists with commas, ASes by their parts, nothing for null.
fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| plain("", item)).collect::<Vec<_>>().join(", "),
        Value::Object(parts) if name == "asns" => {
            let part = |(part, asns): (&String, &Value)| format!("{part} {}", plain("", asns));
            parts.iter().map(part).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

impl Escape {
    fn push(self, text: &str, out: &mut String) {
        match self {
            Self::None => out.push_str(text),
            Self::Json => {
                let quoted = Value::from(text).to_string();
                out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            }
            Self::Url => {
                for octet in text.bytes() {
                    if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                        out.push(octet.into());
                    } else {
                        out.push_str(&format!("%{octet:02X}"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_filled_in_and_fit_where_they_stand() {
        let body = json!({
            "summary": "he said \"no\"\nand left", "prefix": null, "neighbors": ["a", "b"],
            "asns": {"expected": [64500], "leaker": 64496, "observed": [64511, 64512]}, "member_count": 3, "evidence": {"x": 1},
        });
        let cases = [
            (Escape::Json, r#"{"t": "{{ summary }}"}"#, r#"{"t": "he said \"no\"\nand left"}"#),
            (Escape::Json, "{{summary}}", r#"he said \"no\"\nand left"#),
            (Escape::Json, r#"{"p": {{ json prefix }}, "e": {{json evidence}}}"#, r#"{"p": null, "e": {"x":1}}"#),
            (Escape::None, "{{ prefix }}|{{ neighbors }}|{{ member_count }}", "|a, b|3"),
            (Escape::Json, "{{ json asns }}", r#"{"expected":[64500],"leaker":64496,"observed":[64511,64512]}"#),
            (
                Escape::None,
                "{{ asns }} {{ evidence }}",
                "expected 64500; leaker 64496; observed 64511, 64512 {\"x\":1}",
            ),
            (Escape::Url, "https://n/{{ neighbors }}?q", "https://n/a%2C%20b?q"),
            (Escape::None, "no fields, } and { alone", "no fields, } and { alone"),
        ];
        for (escape, text, filled) in cases {
            assert_eq!(Template::parse(text, escape).unwrap().fill(&body), filled, "{text}");
        }
    }

    #[test]
    fn faults_are_told_when_the_text_is_read() {
        let fault = |text| Template::parse(text, Escape::None).unwrap_err();
        assert!(fault("{{ summry }}").starts_with("there is no field `summry`: acknowledged_by asns"));
        assert_eq!(fault("a {{ id"), "`{{` is not closed by `}}`");
    }
}
