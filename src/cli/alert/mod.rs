//! `ribwatch alert`: the list, one of them in full, what people do about them, and changes as they happen. `print` is how
//! they look.

pub(super) mod print;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use ribwatch_proto::v1::{self, watch_alerts_response::Event};
use serde_json::json;

use super::{
    alert_test::TestArgs,
    client::{Client, Failure},
    output::{Colour, Output, plural},
};
use crate::{
    alert::{Alert, Comment, MuteView, Scope, State, json as fields},
    config::{parse_duration, print_duration},
    detect::{Fingerprint, Kind, Severity},
    types::{Asn, Prefix, Timestamp},
};

/// Alerts asked for at once.
const PAGE: u32 = 500;

#[derive(Args, Debug)]
pub(super) struct AlertArgs {
    #[command(subcommand)]
    pub(super) verb: Option<AlertVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand, Debug)]
pub(super) enum AlertVerb {
    /// Those that are not over first, then the latest first
    List(ListArgs),
    /// One alert in full: why, the evidence, members, comments
    Show {
        /// Its id, or a beginning of at least four characters
        id: String,
    },
    /// Says that you look at it: it is not told again until it gets worse or comes back
    Ack {
        /// Its id, or a beginning of at least four characters
        id: String,
        /// A comment
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        #[command(flatten)]
        author: Author,
    },
    /// Takes an acknowledgement back
    Unack {
        /// Its id, or a beginning of at least four characters
        id: String,
        /// A comment
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        #[command(flatten)]
        author: Author,
    },
    /// Writes something about it
    Comment {
        /// Its id, or a beginning of at least four characters
        id: String,
        /// What to write
        text: String,
        #[command(flatten)]
        author: Author,
    },
    /// Tells nobody for a time: of one alert, or of all that fit
    Mute(MuteArgs),
    /// Ends a mute by its id, or all mutes of one alert by the id of the alert
    Unmute {
        /// The id
        id: String,
    },
    /// Mutes and maintenance windows
    Mutes,
    /// Changes as they happen, one line each, until interrupted
    Watch(WatchArgs),
    /// Sends a test alert to a sink, and its end, and prints what the receiver answered
    Test(TestArgs),
}

#[derive(Args, Debug)]
pub(super) struct Author {
    /// Who you are
    #[arg(long = "author", value_name = "NAME", default_value_t = login_name())]
    name: String,
}

/// The login user name.
pub(super) fn login_name() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Which alerts.
#[derive(Args, Clone, Debug)]
pub(super) struct FilterArgs {
    /// Of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// In this state: open, acknowledged or resolved; may be repeated
    #[arg(long, value_name = "STATE")]
    state: Vec<State>,
    /// At least as grave: info, warning or critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// About this prefix, one in it or one around it
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<Prefix>,
    /// This AS plays a part
    #[arg(long, value_name = "ASN")]
    asn: Option<Asn>,
    /// This neighbor showed it: its name, or address where it has none
    #[arg(long, value_name = "NEIGHBOR")]
    neighbor: Option<String>,
    /// Stands in the id, subject, summary or why
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

impl FilterArgs {
    fn filter(&self) -> v1::AlertFilter {
        v1::AlertFilter {
            kinds: self.kind.iter().map(ToString::to_string).collect(),
            states: self.state.iter().map(|state| state.name().to_owned()).collect(),
            severity: self.severity.map(|severity| severity.to_string()).unwrap_or_default(),
            prefix: self.prefix.map(|prefix| prefix.to_string()).unwrap_or_default(),
            asn: self.asn.map(|asn| asn.0),
            neighbor: self.neighbor.clone().unwrap_or_default(),
            text: self.text.clone().unwrap_or_default(),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(Args, Debug)]
pub(super) struct MuteArgs {
    /// One alert: its id, or a beginning of at least four characters
    id: Option<String>,
    /// Of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// About this prefix or one in it; may be repeated
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<Prefix>,
    /// In which this AS plays a part; may be repeated
    #[arg(long, value_name = "ASN")]
    asn: Vec<Asn>,
    /// Shown by this neighbor alone; may be repeated
    #[arg(long, value_name = "NEIGHBOR")]
    neighbor: Vec<String>,
    /// For how long, such as 2h or 1d12h
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    length: Duration,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    author: Author,
}

fn length(word: &str) -> Result<Duration, String> {
    let whole = |length: &Duration| length.as_secs() > 0;
    parse_duration(word).filter(whole).ok_or_else(|| format!("`{word}` is no duration: write 90s, 15m, 2h or 1d12h"))
}

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Begin behind the change with this number; without it, with what comes
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// End after this many changes
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) async fn run(args: AlertArgs, client: Client, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.verb {
        None => list(&args.list, &client, out).await,
        Some(AlertVerb::List(args)) => list(&args, &client, out).await,
        Some(AlertVerb::Show { id }) => {
            let answer = client.alerts().get_alert(v1::GetAlertRequest { id }).await;
            print::one(&read(answer.map_err(|status| client.refused(status))?.into_inner())?, out)
        }
        Some(AlertVerb::Watch(args)) => watch(args, &client, out).await,
        Some(AlertVerb::Mutes) => mutes(&client, out).await,
        Some(verb) => act(verb, &client, out).await,
    }
}

async fn list(args: &ListArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut printer = print::List::default();
    let (mut left, mut page_token) = (args.limit.unwrap_or(u32::MAX), String::new());
    loop {
        let request = v1::ListAlertsRequest { filter: Some(args.filter.filter()), limit: left.min(PAGE), page_token };
        let answer = client.alerts().list_alerts(request).await;
        let page = answer.map_err(|status| client.refused(status))?.into_inner();
        left = left.saturating_sub(u32::try_from(page.alerts.len()).unwrap_or(u32::MAX));
        for alert in page.alerts {
            printer.print(&read(alert)?, out)?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            return printer.finish(!page_token.is_empty(), out);
        }
    }
}

/// What changes something, and prints what it made of it.
async fn act(verb: AlertVerb, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let refused = |status| client.refused(status);
    let mut service = client.alerts();
    let (answer, done) = match verb {
        AlertVerb::Ack { id, note, author } => {
            let note = note.unwrap_or_default();
            let request = v1::AcknowledgeAlertRequest { id, author: author.name, note };
            (service.acknowledge_alert(request).await, "acknowledged")
        }
        AlertVerb::Unack { id, note, author } => {
            let note = note.unwrap_or_default();
            let request = v1::UnacknowledgeAlertRequest { id, author: author.name, note };
            (service.unacknowledge_alert(request).await, "open again")
        }
        AlertVerb::Comment { id, text, author } => {
            let request = v1::CommentAlertRequest { id, author: author.name, text };
            (service.comment_alert(request).await, "commented")
        }
        AlertVerb::Mute(args) => {
            let length = args.length;
            let answer = service.mute_alerts(mute_request(args)).await.map_err(refused)?.into_inner();
            let mute = read_mute(answer)?;
            if out.json() {
                return Ok(out.json_line(&fields::mute(&mute))?);
            }
            let (id, scope, until) = (&mute.id, &mute.scope, mute.until.unwrap_or_default());
            let line = format!("{id}: {scope} muted for {}, until {}", print_duration(length), print::seconds(until));
            return Ok(out.line(&line)?);
        }
        AlertVerb::Unmute { id } => {
            let answer = service.unmute_alerts(v1::UnmuteAlertsRequest { id }).await.map_err(refused)?.into_inner();
            if out.json() {
                return Ok(out.json_line(&json!({ "ended": answer.ended }))?);
            }
            return Ok(out.line(&format!("{} ended", plural(answer.ended.into(), "mute")))?);
        }
        // `run` has these.
        AlertVerb::List(_) | AlertVerb::Show { .. } | AlertVerb::Mutes | AlertVerb::Watch(_) | AlertVerb::Test(_) => {
            return Ok(());
        }
    };
    let alert = read(answer.map_err(refused)?.into_inner())?;
    if out.json() {
        return Ok(out.json_line(&fields::alert(&alert))?);
    }
    Ok(out.line(&format!("{} {done}: {}", alert.id, alert.summary))?)
}

fn mute_request(args: MuteArgs) -> v1::MuteAlertsRequest {
    let scope = v1::MuteScope {
        kinds: args.kind.iter().map(ToString::to_string).collect(),
        prefixes: args.prefix.iter().map(ToString::to_string).collect(),
        asns: args.asn.iter().map(|asn| asn.0).collect(),
        neighbors: args.neighbor,
        alert: args.id.unwrap_or_default(),
    };
    let length_s = args.length.as_secs();
    v1::MuteAlertsRequest { scope: Some(scope), reason: args.reason, author: args.author.name, length_s }
}

async fn mutes(client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let answer = client.alerts().list_mutes(v1::ListMutesRequest {}).await;
    let answer = answer.map_err(|status| client.refused(status))?.into_inner();
    let mutes = answer.mutes.into_iter().map(read_mute).collect::<Result<Vec<_>, _>>()?;
    print::mutes(&mutes, out)
}

async fn watch(args: WatchArgs, client: &Client, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = v1::WatchAlertsRequest { filter: Some(args.filter.filter()), after_seq: args.from };
    let refused = |status| client.refused(status);
    let mut stream = client.alerts().watch_alerts(request).await.map_err(refused)?.into_inner();
    let mut left = args.count;
    while left != Some(0)
        && let Some(message) = stream.message().await.map_err(refused)?
    {
        match message.event {
            Some(Event::Change(change)) => {
                let alert = read(change.alert.clone().unwrap_or_default())?;
                print::change(&change, &alert, out)?;
                left = left.map(|left| left - 1);
            }
            Some(Event::Gap(gap)) if out.json() => {
                out.json_line(&json!({ "event": "gap", "missed": gap.missed_seq, "next": gap.next_seq }))?;
            }
            Some(Event::Gap(gap)) => {
                let text = format!(
                    "──── GAP: changes from {} to before {} cannot be heard of any more ────",
                    gap.missed_seq, gap.next_seq
                );
                out.line(&out.paint(&text, Colour::Bold))?;
            }
            Some(Event::Heartbeat(_)) | None => {}
        }
        out.flush()?;
    }
    Ok(())
}

/// An alert as the daemon sent it, in the words of all rooms.
pub(super) fn read(message: v1::Alert) -> Result<Alert, Failure> {
    let comments = message.comments.into_iter();
    let asns = message.asns.into_iter();
    let prefix = message.prefix.as_str();
    let evidence: Option<serde_json::Value> = serde_json::from_str(&message.evidence_json).ok();
    Ok(Alert {
        id: message.id.into(),
        key: Fingerprint::new(message.kind.parse().map_err(Failure::No)?, message.subject),
        severity: message.severity.parse().map_err(Failure::No)?,
        state: message.state.parse().map_err(Failure::No)?,
        prefix: if prefix.is_empty() { None } else { prefix.parse().ok() },
        asns: asns
            .map(|part| (part.part.into(), part.asns.into_iter().map(Asn).collect()))
            .collect::<BTreeMap<Arc<str>, Vec<Asn>>>(),
        neighbors: message.neighbors.into_iter().map(Arc::from).collect(),
        first_seen: Timestamp(message.first_seen_us),
        last_seen: Timestamp(message.last_seen_us),
        resolved_at: message.resolved_at_us.map(Timestamp),
        summary: message.summary,
        why: message.why,
        evidence: evidence.as_ref().and_then(fields::read_evidence).unwrap_or_default(),
        members: message.members,
        member_count: message.member_count,
        reopened: message.reopened,
        acknowledged_by: (!message.acknowledged_by.is_empty()).then_some(message.acknowledged_by),
        comments: comments
            .map(|comment| Comment { at: Timestamp(comment.at_us), author: comment.author, text: comment.text })
            .collect(),
        muted: message.muted,
    })
}

fn read_mute(message: v1::Mute) -> Result<MuteView, Failure> {
    let scope = message.scope.unwrap_or_default();
    let kinds = scope.kinds.iter().map(|kind| kind.parse().map_err(Failure::No));
    Ok(MuteView {
        id: message.id.into(),
        scope: Scope {
            kinds: kinds.collect::<Result<_, _>>()?,
            prefixes: scope.prefixes.iter().filter_map(|prefix| prefix.parse().ok()).collect(),
            asns: scope.asns.into_iter().map(Asn).collect(),
            neighbors: scope.neighbors,
            alert: (!scope.alert.is_empty()).then(|| scope.alert.into()),
        },
        reason: message.reason,
        author: message.author,
        created_at: message.created_at_us.map(Timestamp),
        until: message.until_us.map(Timestamp),
        active: message.active,
    })
}
