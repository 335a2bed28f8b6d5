//! Who is let in: every RPC and every address of HTTP with every role, and what is written down of it.

mod matrix;
mod process;
mod rules;
mod tls;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use ribwatch::{
    access::{Entry, Gate, Role, Rules, Token, TokenHash},
    alert::Nobody,
    io::door::{self, Entrance},
    types::Timestamp,
    view::Backend,
    web::{Rooms, Settings},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use crate::fake::{Fake, NOW};

/// The token of a name, long enough to be one.
pub fn token_of(name: &str) -> String {
    format!("{name}-0123456789abcdef01234567")
}

fn token(name: &str, role: Role, expires: Option<Timestamp>) -> Token {
    Token { name: name.into(), role, hash: TokenHash::of(&token_of(name)), expires }
}

/// Tokens for each role, and one that was for everything until yesterday.
pub fn rules() -> Rules {
    let yesterday = Timestamp(NOW.0 - 86_400_000_000);
    let tokens = vec![
        token("view", Role::View, None),
        token("operate", Role::Operate, Some(Timestamp(NOW.0 * 2))),
        token("admin", Role::Admin, None),
        token("late", Role::Admin, Some(yesterday)),
    ];
    Rules { tokens, ..Rules::default() }
}

/// gRPC and HTTP behind one gate, over loopback.
pub struct House {
    pub gate: Arc<Gate>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    written: Arc<Mutex<Vec<Entry>>>,
}

impl House {
    pub async fn new(rules: Rules) -> Self {
        Self::with(rules, Settings::default()).await
    }

    pub async fn with(rules: Rules, settings: Settings) -> Self {
        let written: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let (writer, clock) = (Arc::clone(&written), AtomicU64::new(NOW.0));
        // Whoever is refused has time to breathe: that there may be too many has a test of its own.
        let now = move || Timestamp(clock.fetch_add(3_000_000, Ordering::Relaxed));
        let gate = Arc::new(Gate::new(rules, now, move |entry| writer.lock().unwrap().push(entry.clone())));
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (api, web) = (bind().await.unwrap(), bind().await.unwrap());
        let (grpc, http) = (api.local_addr().unwrap(), web.local_addr().unwrap());
        let backend: Arc<dyn Backend> = Fake::new(16);
        let rooms = Rooms {
            backend: Arc::clone(&backend),
            alerts: Arc::new(Nobody),
            metrics: Arc::new(|| "ribwatch_up 1\n".to_owned()),
        };
        let arrivals = door::open(vec![Entrance::Tcp(api, None)], &gate);
        let never = std::future::pending::<()>;
        tokio::spawn(ribwatch::api::serve(arrivals, backend, Arc::new(Nobody), Arc::clone(&gate), never()));
        let arrivals = door::open(vec![Entrance::Tcp(web, None)], &gate);
        tokio::spawn(ribwatch::web::serve(arrivals, rooms, Arc::clone(&gate), settings, never()));
        Self { gate, grpc, http, written }
    }

    /// What was written down since this was asked the last time.
    pub fn written(&self) -> Vec<Entry> {
        std::mem::take(&mut self.written.lock().unwrap())
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    /// Status line and headers in lower case, and the body as far as it came, of a request to HTTP.
    pub async fn http(&self, method: &str, path: &str, headers: &[String], body: &str) -> Answer {
        let mut connection = TcpStream::connect(self.http).await.unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let host = if headers.contains("Host: ") { String::new() } else { format!("Host: {}\r\n", self.http) };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\n{headers}\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        Answer::read(&mut connection, path == "/api/v1/events").await
    }
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads to the end, or to that of the head where the body has none.
    pub async fn read(connection: &mut (impl tokio::io::AsyncRead + Unpin), endless: bool) -> Self {
        let mut octets = Vec::new();
        while connection.read_buf(&mut octets).await.unwrap() > 0 {
            if endless && octets.windows(4).any(|four| four == b"\r\n\r\n") {
                break;
            }
        }
        let text = String::from_utf8(octets).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// Calls `path` with an empty message and `token`; only whether it was let in, and with what status, is looked at.
pub async fn call(channel: &Channel, path: &str, token: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = PathAndQuery::try_from(path).unwrap();
    grpc.server_streaming(request, path, codec).await.map(drop)
}
