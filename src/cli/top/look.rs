//! What one look at a daemon finds, and the task that looks again and again: it owns the connection, comes back by itself
//! when the daemon does, and hands on what people do from the screen.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ribwatch_proto::v1;
use tokio::{sync::mpsc, time};

use crate::{
    alert::Alert,
    cli::{
        Global, alert,
        client::{Client, Failure},
        neighbor,
    },
    types::Timestamp,
};

/// Alerts asked for: those that are not over come first.
const ALERTS: u32 = 500;
/// A daemon that does not answer for so long counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one look finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// When, since the program was started.
    pub(super) at: Duration,
    /// The time of day.
    pub(super) time: Timestamp,
    pub(super) info: v1::GetInfoResponse,
    pub(super) neighbors: Vec<v1::Neighbor>,
    pub(super) summary: v1::GetSummaryResponse,
    /// Those that are not over first, then the latest first.
    pub(super) alerts: Vec<Alert>,
    /// Whether there are more alerts than were asked for.
    pub(super) more_alerts: bool,
    pub(super) rpki: v1::ListSourcesResponse,
}

/// What people do to an alert from the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Deed {
    pub(super) alert: String,
    pub(super) note: String,
    /// Whether an acknowledgement is taken back.
    pub(super) undo: bool,
}

/// What the screen is told.
pub(super) enum News {
    Look(Box<Look>),
    /// Nobody answers, and why.
    Gone(String),
    /// What came of a deed, in words.
    Done(String),
}

/// Where to look, and how often.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    pub(super) global: Global,
    pub(super) interval: Duration,
    pub(super) started: Instant,
}

impl Watcher {
    /// One look.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub(super) async fn look(&self, client: &Client) -> Result<Look, Failure> {
        let refused = |status| client.refused(status);
        let info = client.daemon().get_info(v1::GetInfoRequest {}).await.map_err(refused)?.into_inner();
        let neighbors = neighbor::all(client).await?;
        let summary = client.routes().get_summary(v1::GetSummaryRequest {}).await.map_err(refused)?.into_inner();
        let request = v1::ListAlertsRequest { filter: None, limit: ALERTS, page_token: String::new() };
        let page = client.alerts().list_alerts(request).await.map_err(refused)?.into_inner();
        let alerts = page.alerts.into_iter().map(alert::read).collect::<Result<_, _>>()?;
        let rpki = client.rpki().list_sources(v1::ListSourcesRequest {}).await.map_err(refused)?.into_inner();
        let time = Timestamp::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let more_alerts = !page.next_page_token.is_empty();
        Ok(Look { at: self.started.elapsed(), time, info, neighbors, summary, alerts, more_alerts, rpki })
    }

    /// Looks until nobody listens any more.
    pub(super) async fn run(
        self,
        mut client: Option<Client>,
        mut deeds: mpsc::Receiver<Deed>,
        news: mpsc::Sender<News>,
    ) {
        let mut beat = time::interval(self.interval);
        beat.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                _ = beat.tick() => self.look_again(&mut client).await,
                deed = deeds.recv() => match deed {
                    Some(deed) => {
                        beat.reset_immediately();
                        self.act(client.as_ref(), deed).await
                    }
                    None => return,
                },
            };
            if news.send(told).await.is_err() {
                return;
            }
        }
    }

    async fn look_again(&self, client: &mut Option<Client>) -> News {
        let looked = patiently(async {
            if client.is_none() {
                *client = Some(Client::connect(&self.global.api).await?);
            }
            match client.as_ref() {
                Some(client) => self.look(client).await,
                None => Err(Failure::No("not connected".to_owned())),
            }
        });
        match looked.await {
            Ok(look) => News::Look(Box::new(look)),
            Err(why) => {
                // The next look connects anew.
                *client = None;
                News::Gone(why)
            }
        }
    }

    async fn act(&self, client: Option<&Client>, deed: Deed) -> News {
        let Some(client) = client else {
            return News::Done("not done: the daemon is gone".to_owned());
        };
        let Deed { alert: id, note, undo } = deed;
        let author = alert::login_name();
        let done = patiently(async {
            let mut service = client.alerts();
            let answer = if undo {
                service.unacknowledge_alert(v1::UnacknowledgeAlertRequest { id, author, note }).await
            } else {
                service.acknowledge_alert(v1::AcknowledgeAlertRequest { id, author, note }).await
            };
            answer.map_err(|status| client.refused(status))
        });
        News::Done(match done.await {
            Ok(answer) if undo => format!("{}: open again", answer.into_inner().id),
            Ok(answer) => format!("{}: acknowledged", answer.into_inner().id),
            Err(why) => format!("not done: {why}"),
        })
    }
}

/// What comes of `asking`, or why nothing does, in a few words.
async fn patiently<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, String> {
    match time::timeout(PATIENCE, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::Unreachable { why, .. })) => Err(why),
        Ok(Err(failure)) => Err(failure.text().unwrap_or_default()),
        Err(_) => Err(format!("no answer within {}s", PATIENCE.as_secs())),
    }
}
