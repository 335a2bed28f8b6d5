//! Slack incoming webhooks (docs.slack.dev, "Sending messages using incoming webhooks" and "Block Kit"): one message for
//! each change. `text` is what notifications show, `blocks` what people read.

use serde_json::{Value, json};

use super::{Context, HttpRequest, text, text::Secret};
use crate::{
    alert::{Change, State, Why},
    detect::Severity,
};

/// Characters of a header, of a section and of a field, as the reference of Block Kit gives them.
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 3000;
const FIELD_CHARS_MAX: usize = 2000;

/// A channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The address that Slack made for it; who has it may write.
    pub url: Secret,
}

/// The request that tells `change`.
pub fn request(settings: &Settings, change: &Change, context: &Context<'_>) -> HttpRequest {
    let alert = &*change.alert;
    let headline = format!("{} {}: {}", text::shout(change), alert.kind(), alert.key.subject);
    let said = match (change.why, alert.comments.last()) {
        (Why::Commented, Some(comment)) => format!("{}: {}", comment.author, comment.text),
        _ => alert.why.clone(),
    };
    let mut fields = Vec::new();
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            let name = format!("*{name}*\n");
            let value = escaped(&value, FIELD_CHARS_MAX - name.len());
            fields.push(json!({"type": "mrkdwn", "text": name + &value}));
        }
    };
    field("Prefix", alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default());
    field("ASes", text::asns(alert));
    field("Seen by", text::neighbors(alert));
    field("Since", alert.first_seen.to_string());
    field("Until", alert.resolved_at.map(|at| at.to_string()).unwrap_or_default());
    field("Acknowledged by", alert.acknowledged_by.clone().unwrap_or_default());
    if alert.member_count > 0 {
        let sample: Vec<&str> = alert.members.iter().take(5).map(String::as_str).collect();
        field("Members", format!("{}, such as {}", alert.member_count, sample.join(", ")));
    }
    let summary = escaped(&alert.summary, SECTION_CHARS_MAX / 2 - 10);
    let said = escaped(&said, SECTION_CHARS_MAX / 2 - 10);
    let mut blocks = vec![
        json!({"type": "header", "text": {
            "type": "plain_text", "emoji": true,
            "text": format!("{} {}", symbol(change), escaped(&text::one_line(&headline), HEADER_CHARS_MAX - 20)),
        }}),
        json!({"type": "section", "text": {"type": "mrkdwn", "text": format!("*{summary}*\n{said}")}}),
    ];
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    let mut foot = format!("{} · {} · {}", context.source, alert.id, change.why.name());
    foot = escaped(&foot, FIELD_CHARS_MAX / 2);
    if let Some(link) = context.link(change) {
        // `<`, `>` and `|` are escaped in the address, so it cannot end early.
        foot.push_str(&format!(" · <{}|open>", escaped(&link, FIELD_CHARS_MAX / 2).replace('|', "%7C")));
    }
    blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]}));
    let body: Value = json!({
        "text": escaped(&format!("{headline}. {}", alert.summary), SECTION_CHARS_MAX),
        "blocks": blocks,
    });
    HttpRequest::post_json(&settings.url, &body)
}

fn symbol(change: &Change) -> &'static str {
    match (change.alert.state, change.alert.severity) {
        (State::Resolved, _) => ":white_check_mark:",
        (State::Acknowledged, _) => ":eyes:",
        (State::Open, Severity::Critical) => ":rotating_light:",
        (State::Open, Severity::Warning) => ":warning:",
        (State::Open, Severity::Info) => ":information_source:",
    }
}

/// `&`, `<` and `>` as Slack wants them, at most `chars_max` characters, never half of an escape.
fn escaped(text: &str, chars_max: usize) -> String {
    let (mut out, mut count) = (String::new(), 0);
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        let len = piece.len().max(1);
        // One is kept for the mark that something is missing.
        if count + len >= chars_max {
            out.push('…');
            return out;
        }
        count += len;
        if piece.is_empty() { out.push(c) } else { out.push_str(piece) }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{sink::sample, types::Timestamp};

    fn body(change: &Change) -> Value {
        let settings = Settings { url: Secret("https://hooks.slack.example/services/T/B/X".into()) };
        let request = request(&settings, change, &Context::plain("rtr-1"));
        assert_eq!((request.method, request.header("content-type")), ("POST", Some("application/json")));
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn a_message_has_a_text_for_notifications_and_blocks_for_people() {
        let (opened, resolved) = sample::pair(Timestamp::from_secs(1_764_000_000), 1);
        let message = body(&opened);
        let text = message["text"].as_str().unwrap();
        assert!(
            text.starts_with("CRITICAL subprefix-hijack: 203.0.113.128/25 AS64511 (test). TEST: AS64511"),
            "{text}"
        );
        let blocks = message["blocks"].as_array().unwrap();
        let types: Vec<&Value> = blocks.iter().map(|block| &block["type"]).collect();
        assert_eq!(types, ["header", "section", "section", "context"]);
        assert_eq!(
            blocks[0]["text"]["text"],
            ":rotating_light: CRITICAL subprefix-hijack: 203.0.113.128/25 AS64511 (test)"
        );
        assert_eq!(blocks[0]["text"]["type"], "plain_text");
        let fields: Vec<&str> =
            blocks[2]["fields"].as_array().unwrap().iter().map(|field| field["text"].as_str().unwrap()).collect();
        assert_eq!(
            fields,
            [
                "*Prefix*\n203.0.113.128/25",
                "*ASes*\nexpected AS64500; observed AS64511",
                "*Seen by*\nedge-1",
                "*Since*\n2025-11-24T16:00:00Z",
            ]
        );
        assert_eq!(blocks[3]["elements"][0]["text"], "rtr-1 · test-1 · opened");

        let message = body(&resolved);
        assert!(message["text"].as_str().unwrap().starts_with("RESOLVED "), "{message}");
        assert!(message["blocks"][0]["text"]["text"].as_str().unwrap().starts_with(":white_check_mark: RESOLVED"));
        assert!(message["blocks"][1]["text"]["text"].as_str().unwrap().ends_with("\nThe test is over."));
    }

    #[test]
    fn nothing_from_a_route_can_mention_or_link_and_limits_hold() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let mut alert = (*opened.alert).clone();
        alert.summary = "<!channel> & ".repeat(1000);
        alert.why = "<https://evil.example|click>".repeat(1000);
        alert.key.subject = "<>&".repeat(200).into();
        alert.neighbors = vec!["&".repeat(5000).into()];
        let message = body(&Change { alert: Arc::new(alert), ..opened });
        let text = message.to_string();
        assert!(!text.contains("<!channel>") && !text.contains("<https"), "escaped");
        let chars = |value: &Value| value.as_str().unwrap().chars().count();
        assert!(chars(&message["blocks"][0]["text"]["text"]) <= 150);
        assert!(chars(&message["blocks"][1]["text"]["text"]) <= 3000);
        assert!(message["blocks"][2]["fields"].as_array().unwrap().iter().all(|field| chars(&field["text"]) <= 2000));
        assert!(chars(&message["text"]) <= 4000);
    }

    #[test]
    fn an_escape_is_whole_or_not_there() {
        assert_eq!(escaped("a<b", 10), "a&lt;b");
        assert_eq!(escaped("a<b", 5), "a…");
        assert_eq!(escaped("ab", 2), "a…");
    }
}
