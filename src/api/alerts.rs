//! `AlertService`: what is wrong, and what people do about it.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use ribwatch_proto::v1::{self, alert_service_server::AlertService, watch_alerts_response::Event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{MESSAGE_OCTETS, guard::note, status};
use crate::{
    access::Note,
    alert::{self, Change, ChangeSource, Command, Delivery, Done, Filter, MuteView, Scope, Service, json},
    types::Asn,
    view::{Backend, Refusal, served::Stream},
};

/// Alerts in a page unless asked otherwise.
const LIMIT_DEFAULT: u32 = 100;
/// Most alerts in a page.
const LIMIT_MAX: u32 = 1000;
/// Silence after which a watcher gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) struct Alerts(pub(super) Arc<dyn Service>, pub(super) Arc<dyn Backend>);

impl Alerts {
    async fn change(&self, audit: &Note, command: Command) -> Result<Response<v1::Alert>, Status> {
        audit.say(command.to_string());
        match self.0.command(command).await.map_err(status)? {
            Done::Alert(alert) => Ok(Response::new(message(&alert))),
            _ => Err(Status::internal("the desk did not answer with an alert")),
        }
    }
}

#[tonic::async_trait]
impl AlertService for Alerts {
    type WatchAlertsStream = ReceiverStream<Result<v1::WatchAlertsResponse, Status>>;

    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let request = request.into_inner();
        let filter = read_filter(request.filter.unwrap_or_default()).map_err(status)?;
        let limit = if request.limit == 0 { LIMIT_DEFAULT } else { request.limit.min(LIMIT_MAX) };
        let mut page = self.0.list(&filter, &request.page_token, limit as usize).map_err(status)?;
        let (mut alerts, mut octets) = (Vec::with_capacity(page.alerts.len()), 0);
        for alert in &page.alerts {
            let alert = message(alert);
            octets += alert.encoded_len();
            if octets > MESSAGE_OCTETS && !alerts.is_empty() {
                // The token belongs to the last one that is sent.
                page = self.0.list(&filter, &request.page_token, alerts.len()).map_err(status)?;
                break;
            }
            alerts.push(alert);
        }
        Ok(Response::new(v1::ListAlertsResponse { alerts, next_page_token: page.next, seq: page.seq }))
    }

    async fn get_alert(&self, request: Request<v1::GetAlertRequest>) -> Result<Response<v1::Alert>, Status> {
        let alert = self.0.get(&request.get_ref().id).map_err(status)?;
        Ok(Response::new(message(&alert)))
    }

    async fn watch_alerts(
        &self,
        request: Request<v1::WatchAlertsRequest>,
    ) -> Result<Response<Self::WatchAlertsStream>, Status> {
        let request = request.into_inner();
        let filter = read_filter(request.filter.unwrap_or_default()).map_err(status)?;
        let source = self.0.watch(request.after_seq);
        // One: who does not read is told of a gap by the source, not remembered here.
        let (client, messages) = mpsc::channel(1);
        tokio::spawn(watch(source, filter, self.1.clone(), client));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn acknowledge_alert(
        &self,
        request: Request<v1::AcknowledgeAlertRequest>,
    ) -> Result<Response<v1::Alert>, Status> {
        let audit = note(&request);
        let v1::AcknowledgeAlertRequest { id, author, note } = request.into_inner();
        self.change(&audit, Command::Acknowledge { id, author, note }).await
    }

    async fn unacknowledge_alert(
        &self,
        request: Request<v1::UnacknowledgeAlertRequest>,
    ) -> Result<Response<v1::Alert>, Status> {
        let audit = note(&request);
        let v1::UnacknowledgeAlertRequest { id, author, note } = request.into_inner();
        self.change(&audit, Command::Unacknowledge { id, author, note }).await
    }

    async fn comment_alert(&self, request: Request<v1::CommentAlertRequest>) -> Result<Response<v1::Alert>, Status> {
        let audit = note(&request);
        let v1::CommentAlertRequest { id, author, text } = request.into_inner();
        self.change(&audit, Command::Comment { id, author, text }).await
    }

    async fn mute_alerts(&self, request: Request<v1::MuteAlertsRequest>) -> Result<Response<v1::Mute>, Status> {
        let audit = note(&request);
        let request = request.into_inner();
        let scope = read_scope(request.scope.unwrap_or_default()).map_err(status)?;
        let length = Duration::from_secs(request.length_s);
        let command = Command::Mute { scope, reason: request.reason, author: request.author, length };
        audit.say(command.to_string());
        match self.0.command(command).await.map_err(status)? {
            Done::Muted(mute) => Ok(Response::new(v1::Mute {
                id: mute.id.to_string(),
                scope: Some(scope_message(&mute.scope)),
                reason: mute.reason,
                author: mute.author,
                created_at_us: Some(mute.created_at.0),
                until_us: Some(mute.until.0),
                active: true,
            })),
            _ => Err(Status::internal("the desk did not answer with a mute")),
        }
    }

    async fn unmute_alerts(
        &self,
        request: Request<v1::UnmuteAlertsRequest>,
    ) -> Result<Response<v1::UnmuteAlertsResponse>, Status> {
        let audit = note(&request);
        let command = Command::Unmute { id: request.into_inner().id };
        audit.say(command.to_string());
        match self.0.command(command).await.map_err(status)? {
            Done::Unmuted(ended) => {
                Ok(Response::new(v1::UnmuteAlertsResponse { ended: u32::try_from(ended).unwrap_or(u32::MAX) }))
            }
            _ => Err(Status::internal("the desk did not answer with a count")),
        }
    }

    async fn list_mutes(&self, _: Request<v1::ListMutesRequest>) -> Result<Response<v1::ListMutesResponse>, Status> {
        let mutes = self.0.mutes().into_iter().map(mute_message).collect();
        Ok(Response::new(v1::ListMutesResponse { mutes }))
    }
}

/// Sends changes until the client leaves or the daemon stops.
async fn watch(
    mut source: Box<dyn ChangeSource>,
    filter: Filter,
    backend: Arc<dyn Backend>,
    client: mpsc::Sender<Result<v1::WatchAlertsResponse, Status>>,
) {
    let mut seq = 0;
    loop {
        let event = match tokio::time::timeout(HEARTBEAT, source.next()).await {
            Err(_) => Event::Heartbeat(v1::AlertHeartbeat { seq }),
            Ok(None) => {
                // Nobody may be left to hear it.
                let _ = client.send(Err(status(Refusal::Stopping))).await;
                return;
            }
            Ok(Some(Delivery::Gap { missed, next })) => {
                seq = next.saturating_sub(1);
                backend.served().gap(Stream::Alerts);
                Event::Gap(v1::AlertGap { missed_seq: missed, next_seq: next })
            }
            Ok(Some(Delivery::Change(change))) => {
                seq = change.seq;
                if !filter.admits(&change.alert) {
                    continue;
                }
                Event::Change(change_message(&change))
            }
        };
        if client.send(Ok(v1::WatchAlertsResponse { event: Some(event) })).await.is_err() {
            return;
        }
    }
}

fn invalid(why: impl ToString) -> Refusal {
    Refusal::Invalid(why.to_string())
}

fn words<T: std::str::FromStr<Err: ToString>>(words: &[String]) -> Result<Vec<T>, Refusal> {
    words.iter().map(|word| word.parse().map_err(|why: T::Err| invalid(why.to_string()))).collect()
}

fn word<T: std::str::FromStr<Err: ToString>>(word: &str) -> Result<Option<T>, Refusal> {
    if word.is_empty() { Ok(None) } else { word.parse().map(Some).map_err(|why: T::Err| invalid(why.to_string())) }
}

fn read_filter(filter: v1::AlertFilter) -> Result<Filter, Refusal> {
    Ok(Filter {
        kinds: words(&filter.kinds)?,
        states: words(&filter.states)?,
        severity: word(&filter.severity)?,
        prefix: word(&filter.prefix)?,
        asn: filter.asn.map(Asn),
        neighbor: filter.neighbor,
        text: filter.text,
    })
}

fn read_scope(scope: v1::MuteScope) -> Result<Scope, Refusal> {
    Ok(Scope {
        kinds: words(&scope.kinds)?,
        prefixes: words(&scope.prefixes)?,
        asns: scope.asns.into_iter().map(Asn).collect(),
        neighbors: scope.neighbors,
        alert: (!scope.alert.is_empty()).then(|| scope.alert.into()),
    })
}

fn change_message(change: &Change) -> v1::AlertChange {
    v1::AlertChange {
        seq: change.seq,
        at_us: change.at.0,
        why: change.why.name().to_owned(),
        tell: change.tell,
        observed_at_us: change.observed_at.map(|at| at.0),
        alert: Some(message(&change.alert)),
    }
}

fn message(alert: &alert::Alert) -> v1::Alert {
    v1::Alert {
        id: alert.id.to_string(),
        kind: alert.kind().name().to_owned(),
        severity: alert.severity.name().to_owned(),
        state: alert.state.name().to_owned(),
        prefix: alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default(),
        asns: alert
            .asns
            .iter()
            .map(|(part, asns)| v1::AlertAsns { part: part.to_string(), asns: asns.iter().map(|asn| asn.0).collect() })
            .collect(),
        neighbors: alert.neighbors.iter().map(ToString::to_string).collect(),
        first_seen_us: alert.first_seen.0,
        last_seen_us: alert.last_seen.0,
        resolved_at_us: alert.resolved_at.map(|at| at.0),
        summary: alert.summary.clone(),
        why: alert.why.clone(),
        evidence_json: json::evidence(alert).to_string(),
        subject: alert.key.subject.to_string(),
        members: alert.members.clone(),
        member_count: alert.member_count,
        reopened: alert.reopened,
        acknowledged_by: alert.acknowledged_by.clone().unwrap_or_default(),
        comments: alert
            .comments
            .iter()
            .map(|comment| v1::AlertComment {
                at_us: comment.at.0,
                author: comment.author.clone(),
                text: comment.text.clone(),
            })
            .collect(),
        muted: alert.muted.clone(),
    }
}

fn scope_message(scope: &Scope) -> v1::MuteScope {
    v1::MuteScope {
        kinds: scope.kinds.iter().map(ToString::to_string).collect(),
        prefixes: scope.prefixes.iter().map(ToString::to_string).collect(),
        asns: scope.asns.iter().map(|asn| asn.0).collect(),
        neighbors: scope.neighbors.clone(),
        alert: scope.alert.as_deref().unwrap_or_default().to_owned(),
    }
}

fn mute_message(mute: MuteView) -> v1::Mute {
    v1::Mute {
        id: mute.id.to_string(),
        scope: Some(scope_message(&mute.scope)),
        reason: mute.reason,
        author: mute.author,
        created_at_us: mute.created_at.map(|at| at.0),
        until_us: mute.until.map(|at| at.0),
        active: mute.active,
    }
}
