//! Messages to NATS. A connection is kept, and given up with the first failure: what waits in the client of a connection
//! that is gone would be sent later beside our own next attempt.

use std::path::PathBuf;

use async_nats::{Client, ConnectOptions, HeaderMap, connection::State, jetstream};
use tokio::sync::Mutex;
use tokio_stream::StreamExt as _;

use super::explain;
use crate::sink::{
    Outcome,
    nats::{Login, Message, Settings},
};

/// The road to a cluster.
pub(super) struct Nats {
    settings: Settings,
    ca_file: Option<PathBuf>,
    client: Mutex<Option<Client>>,
}

impl Nats {
    pub(super) fn new(settings: Settings, ca_file: Option<PathBuf>) -> Self {
        Self { settings, ca_file, client: Mutex::new(None) }
    }

    pub(super) async fn send(&self, message: Message) -> Outcome {
        // Taken out while it is in use: an attempt that is given up in the middle leaves none behind.
        let mut kept = self.client.lock().await;
        let client = match kept.take().filter(|client| client.connection_state() == State::Connected) {
            Some(client) => client,
            None => match self.connect().await {
                Ok(client) => client,
                Err(why) => return Outcome::later(why),
            },
        };
        match self.publish(&client, message).await {
            Ok(answer) => {
                *kept = Some(client);
                Outcome::Accepted { answer }
            }
            Err(why) => Outcome::later(why),
        }
    }

    async fn connect(&self) -> Result<Client, String> {
        let options = match &self.settings.login {
            Login::None => ConnectOptions::new(),
            Login::Password { user, password } => {
                ConnectOptions::new().user_and_password(user.clone(), password.0.clone())
            }
            Login::Token(token) => ConnectOptions::new().token(token.0.clone()),
            Login::Credentials(text) => ConnectOptions::with_credentials(&text.0)
                .map_err(|error| format!("`credentials_file` holds no credentials: {}", explain(&error)))?,
        };
        let mut options = options.name("ribwatch").max_reconnects(1);
        if let Some(path) = &self.ca_file {
            options = options.add_root_certificates(path.clone());
        }
        let servers = &self.settings.servers;
        let connected = options.connect(servers.as_slice()).await;
        connected.map_err(|error| format!("{}: {}", servers.join(", "), explain(&error)))
    }

    async fn publish(&self, client: &Client, message: Message) -> Result<String, String> {
        let Message { subject, id, octets } = message;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id.as_str());
        headers.insert("Content-Type", "application/json");
        if !self.settings.jetstream {
            // What we tell ourselves behind it comes back when the server has read both.
            let echo = client.new_inbox();
            let mut echoes = client.subscribe(echo.clone()).await.map_err(|error| explain(&error))?;
            let sent = client.publish_with_headers(subject, headers, octets.into()).await;
            sent.map_err(|error| explain(&error))?;
            client.publish(echo, "".into()).await.map_err(|error| explain(&error))?;
            echoes.next().await.ok_or("the connection was lost before the server answered")?;
            return Ok("read by the server; without a stream nobody says who took it".to_owned());
        }
        let sent = jetstream::new(client.clone()).publish_with_headers(subject.clone(), headers, octets.into()).await;
        let taken = sent.map_err(|error| explain(&error))?.await;
        let taken = taken.map_err(|error| format!("no stream took {subject}: {}", explain(&error)))?;
        let again = if taken.duplicate { ", which had it already" } else { "" };
        Ok(format!("stream {} took it as number {}{again}", taken.stream, taken.sequence))
    }
}
