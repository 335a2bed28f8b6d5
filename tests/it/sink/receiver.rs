//! A receiver over HTTP that remembers what it got and answers what a story says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};

/// A request.
pub struct Got {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the content is JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("ASCII")
    }
}

/// What is answered.
#[derive(Clone)]
pub enum Answer {
    Status(u16, &'static str),
    RetryAfter(u16, u64),
    Never,
}

#[derive(Clone)]
struct Shared {
    got: mpsc::UnboundedSender<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

/// A receiver; it answers 200 when the story says nothing else.
pub struct Receiver {
    pub address: SocketAddr,
    got: mpsc::UnboundedReceiver<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    /// Listens on a port that the kernel chooses.
    pub async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    /// Serves what connects to `listener`.
    pub fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("bound");
        let (sender, got) = mpsc::unbounded_channel();
        let answers = Arc::<Mutex<VecDeque<Answer>>>::default();
        let shared = Shared { got: sender, answers: Arc::clone(&answers) };
        let app = Router::new().fallback(take).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, got, answers }
    }

    /// What the next requests are answered.
    pub fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().expect("no panic").extend(answers);
    }

    /// The next request.
    pub async fn next(&mut self) -> Got {
        self.got.recv().await.expect("the receiver lives")
    }

    /// The address of `path` here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn take(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let answer = shared.answers.lock().expect("no panic").pop_front();
    // A story that has seen enough has dropped its end.
    let _ = shared.got.send(Got { method: method.to_string(), path: uri.path().to_owned(), headers, body });
    match answer.unwrap_or(Answer::Status(200, "ok")) {
        Answer::Status(status, body) => (StatusCode::from_u16(status).expect("a status"), body).into_response(),
        Answer::RetryAfter(status, secs) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [("retry-after", secs.to_string())], "").into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}
