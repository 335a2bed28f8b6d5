//! The connection to a daemon, and what can go wrong with it, in words and exit codes.

use std::{error::Error, io, time::Duration};

use ribwatch_proto::v1::{
    alert_service_client::AlertServiceClient, daemon_service_client::DaemonServiceClient,
    local_route_service_client::LocalRouteServiceClient, neighbor_service_client::NeighborServiceClient,
    route_service_client::RouteServiceClient, rpki_service_client::RpkiServiceClient,
};
use tonic::{
    Code, Status,
    service::interceptor::InterceptedService,
    transport::{self, Endpoint},
};

use super::way::{Bearer, Way};

/// A connection on which every question shows what there is to show.
pub(super) type Channel = InterceptedService<transport::Channel, Bearer>;

/// A daemon on this machine answers in microseconds; this is for one across the world.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Octets that may be on their way to us: lets a full table flow without waiting for acknowledgements.
const WINDOW_OCTETS: u32 = 4 << 20;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers at this address.
    Unreachable { api: String, why: String },
    /// The daemon refused, or went away.
    Refused { api: String, status: Box<Status> },
    /// The answer is no.
    No(String),
    /// The question makes no sense.
    Usage(String),
    /// What was printed could not be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// The exit code of the contract.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 3,
            Self::Refused { status, .. } => match status.code() {
                Code::Unavailable | Code::Cancelled => 3,
                // A connection that ended before there was an answer.
                Code::Unknown | Code::Internal if status.source().is_some() => 3,
                Code::InvalidArgument | Code::Unimplemented => 2,
                _ => 1,
            },
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            // Whoever closed the pipe had enough: `ribwatch rib | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 1,
        }
    }

    /// One line for people; `None` where there is nothing to say.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Unreachable { api, why } => Some(format!(
                "no daemon answers at {api} ({why}): start one with `ribwatch run -c FILE`, or name another with \
                 --api ADDRESS or RIBWATCH_API"
            )),
            Self::Refused { api, status } => Some(match status.code() {
                Code::Unavailable | Code::Cancelled => format!("the daemon at {api} went away: {}", cause(status)),
                // As when our certificate is not taken, or there is TLS at one end alone.
                Code::Unknown | Code::Internal if status.source().is_some() => {
                    let hint =
                        if api.contains("https://") { "" } else { "; where it speaks TLS, write https://HOST:PORT" };
                    format!("the daemon at {api} ended the connection: {}{hint}", cause(status))
                }
                Code::Unauthenticated => format!(
                    "{}: show a token with --token-file FILE or RIBWATCH_TOKEN (`ribwatch token new` makes one), or a \
                     certificate with --cert and --key",
                    status.message()
                ),
                Code::Unimplemented => format!("the daemon at {api} is too old for this: {}", status.message()),
                _ => status.message().to_owned(),
            }),
            Self::No(text) | Self::Usage(text) => Some(text.clone()),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("cannot write: {error}")),
        }
    }
}

/// A connected client.
pub(super) struct Client {
    api: String,
    channel: Channel,
}

impl Client {
    /// Connects by `way`.
    ///
    /// # Errors
    /// Nobody answers there, or what is to be shown cannot be.
    pub(super) async fn connect(way: &Way) -> Result<Self, Failure> {
        let bearer = way.bearer()?;
        let prepare = |endpoint: Endpoint| {
            endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .initial_stream_window_size(WINDOW_OCTETS)
                .initial_connection_window_size(WINDOW_OCTETS)
        };
        let channel = way.connect(prepare).await?;
        Ok(Self { api: way.to_string(), channel: Channel::new(channel, bearer) })
    }

    pub(super) fn neighbors(&self) -> NeighborServiceClient<Channel> {
        NeighborServiceClient::new(self.channel.clone())
    }

    pub(super) fn routes(&self) -> RouteServiceClient<Channel> {
        RouteServiceClient::new(self.channel.clone())
    }

    pub(super) fn daemon(&self) -> DaemonServiceClient<Channel> {
        DaemonServiceClient::new(self.channel.clone())
    }

    pub(super) fn rpki(&self) -> RpkiServiceClient<Channel> {
        RpkiServiceClient::new(self.channel.clone())
    }

    pub(super) fn alerts(&self) -> AlertServiceClient<Channel> {
        AlertServiceClient::new(self.channel.clone())
    }

    pub(super) fn local_routes(&self) -> LocalRouteServiceClient<Channel> {
        LocalRouteServiceClient::new(self.channel.clone())
    }

    /// What a refusal of this daemon means for the verb.
    pub(super) fn refused(&self, status: Status) -> Failure {
        Failure::Refused { api: self.api.clone(), status: Box::new(status) }
    }
}

/// What a status says, or what is behind it.
fn cause(status: &Status) -> String {
    status.source().map_or_else(|| status.message().to_owned(), innermost)
}

/// The cause at the end of the chain: "connection refused" rather than "transport error".
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    // The number behind it, "(os error 111)", says nothing to people.
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
