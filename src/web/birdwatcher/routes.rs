//! Which routes: the words of birdwatcher's addresses as questions to the tables. BIRD's table holds what import accepted of
//! everybody; what import rejected is `filtered`, what a neighbour is not told of the best routes is `noexport`.

use std::io;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{PIPE, Protocol, Refused, TABLE, answer, envelope, route::Printer};
use crate::{
    types::{Family, PeerId},
    view::{
        Backend, NeighborView, Nlri, Refusal, RouteRow, Table,
        filter::{Relation, RouteFilter, Words},
        scan::Scan,
    },
    web::Site,
    wire::bgp::attribute::AttrSet,
};

/// Octets that are handed to the connection at once.
const CHUNK: usize = 64 << 10;

/// What of Adj-RIB-In is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pick {
    /// What import accepted.
    Accepted,
    /// What it rejected.
    Filtered,
    /// Whatever stands in the table: that is not Adj-RIB-In.
    Any,
    /// What is the best of its prefix.
    Best,
}

impl Pick {
    fn fits(self, row: &RouteRow) -> bool {
        let is_prefix = matches!(row.nlri, Nlri::Prefix(_)) && row.family.safi == Family::IPV4_UNICAST.safi;
        is_prefix
            && match self {
                Self::Accepted => row.rejected_by.is_none(),
                Self::Filtered => row.rejected_by.is_some(),
                Self::Any => true,
                Self::Best => row.best && row.rejected_by.is_none(),
            }
    }
}

/// A question: a list, and which of its routes.
struct Question {
    scan: Scan,
    pick: Pick,
    /// Of all routes those that this neighbour is not told; those that came from itself are not meant.
    unless_told: Option<(PeerId, Scan)>,
}

type Answer = Result<Response, Refused>;

pub(super) async fn of_protocol(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    by_neighbor(&site, &protocol, Table::AdjIn, Pick::Accepted)
}

pub(super) async fn filtered(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    by_neighbor(&site, &protocol, Table::AdjIn, Pick::Filtered)
}

pub(super) async fn exported(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    by_neighbor(&site, &protocol, Table::AdjOut, Pick::Any)
}

pub(super) async fn not_exported(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    let neighbors = site.backend.neighbors();
    let view = find(&protocol, &neighbors)?;
    let told =
        scan(&Words { table: Table::AdjOut, neighbor: &view.address.to_string(), ..Words::default() }, &neighbors)?;
    let scan = scan(&Words::default(), &neighbors)?;
    let question = Question { scan, pick: Pick::Any, unless_told: Some((view.peer, told)) };
    Ok(stream(&site, question, &neighbors))
}

pub(super) async fn of_table(State(site): State<Site>, Path(table): Path<String>) -> Answer {
    match table.strip_prefix(TABLE) {
        Some(protocol) => by_neighbor(&site, protocol, Table::AdjIn, Pick::Accepted),
        None => by_words(&site, Words { family: family(&table)?, ..adj_in() }, Pick::Accepted),
    }
}

pub(super) async fn of_table_filtered(State(site): State<Site>, Path(table): Path<String>) -> Answer {
    match table.strip_prefix(TABLE) {
        Some(protocol) => by_neighbor(&site, protocol, Table::AdjIn, Pick::Filtered),
        None => by_words(&site, Words { family: family(&table)?, ..adj_in() }, Pick::Filtered),
    }
}

pub(super) async fn of_table_and_peer(State(site): State<Site>, Path((table, peer)): Path<(String, String)>) -> Answer {
    if table.starts_with(TABLE) {
        // Nobody but this neighbour has routes there.
        return by_neighbor(&site, &peer, Table::AdjIn, Pick::Accepted);
    }
    let neighbors = site.backend.neighbors();
    let address = find(&peer, &neighbors)?.address.to_string();
    let words = Words { neighbor: &address, family: family(&table)?, ..adj_in() };
    Ok(stream(&site, Question { scan: scan(&words, &neighbors)?, pick: Pick::Accepted, unless_told: None }, &neighbors))
}

/// `?prefix=192.0.2.0/24`: this prefix only; of an address the longest match.
pub(super) async fn of_prefix(State(site): State<Site>, Query(pairs): Query<Vec<(String, String)>>) -> Answer {
    let Some((_, prefix)) = pairs.iter().find(|(name, _)| name == "prefix") else {
        return Err(Refusal::Invalid("need a prefix as single query parameter".to_owned()).into());
    };
    by_words(&site, Words { prefix, ..adj_in() }, Pick::Accepted)
}

pub(super) async fn for_net(State(site): State<Site>, Path(net): Path<String>) -> Answer {
    by_words(&site, Words { prefix: &net, relation: Some(Relation::Longest), ..adj_in() }, Pick::Accepted)
}

pub(super) async fn for_net_in_table(State(site): State<Site>, Path((net, table)): Path<(String, String)>) -> Answer {
    family(&table)?;
    for_net(State(site), Path(net)).await
}

pub(super) async fn for_masked_net(State(site): State<Site>, Path((net, mask)): Path<(String, String)>) -> Answer {
    for_net(State(site), Path(format!("{net}/{mask}"))).await
}

pub(super) async fn for_masked_net_in_table(
    State(site): State<Site>,
    Path((net, mask, table)): Path<(String, String, String)>,
) -> Answer {
    family(&table)?;
    for_net(State(site), Path(format!("{net}/{mask}"))).await
}

/// Pipes let all through.
pub(super) async fn nothing(State(site): State<Site>) -> Response {
    answer(&site, "routes", json!([]))
}

pub(super) async fn no_count(State(site): State<Site>) -> Response {
    answer(&site, "routes", json!(0))
}

pub(super) async fn count_of_protocol(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    let neighbors = site.backend.neighbors();
    let counts = &find(&protocol, &neighbors)?.counts;
    let accepted: u64 = counts.iter().filter(|counts| counts.family.safi == 1).map(|counts| counts.accepted).sum();
    Ok(answer(&site, "routes", accepted.into()))
}

pub(super) async fn count_of_table(State(site): State<Site>, Path(table): Path<String>) -> Answer {
    let wanted = family(&table)?;
    let neighbors = site.backend.neighbors();
    let counts = neighbors.iter().flat_map(|view| &view.counts);
    let counts = counts.filter(|counts| counts.family.safi == 1);
    let counts = counts.filter(|counts| wanted.is_empty() || counts.family.to_string() == wanted);
    Ok(answer(&site, "routes", counts.map(|counts| counts.accepted).sum::<u64>().into()))
}

/// How many best routes came from a neighbour. Nobody counts them, so they are walked.
pub(super) async fn count_of_primary(State(site): State<Site>, Path(protocol): Path<String>) -> Answer {
    let neighbors = site.backend.neighbors();
    let address = find(&protocol, &neighbors)?.address.to_string();
    let mut scan = scan(&Words { neighbor: &address, ..adj_in() }, &neighbors)?;
    let mut count = 0_u64;
    while scan.load(&*site.backend).await? {
        while let Some((row, _)) = scan.next_route() {
            count += u64::from(Pick::Best.fits(row));
        }
    }
    Ok(answer(&site, "routes", count.into()))
}

fn adj_in() -> Words<'static> {
    Words { table: Table::AdjIn, ..Words::default() }
}

/// The family that a table holds; all of them in `master`.
fn family(table: &str) -> Result<&'static str, Refusal> {
    match table {
        "master" => Ok(""),
        "master4" => Ok("ipv4-unicast"),
        "master6" => Ok("ipv6-unicast"),
        _ => Err(Refusal::NotFound(format!(
            "no table `{table}`: there are master, master4, master6 and T… of a neighbor"
        ))),
    }
}

/// A neighbour by the name of its protocol, by its address, or by the name of its pipe.
fn find<'a>(word: &str, neighbors: &'a [NeighborView]) -> Result<&'a NeighborView, Refusal> {
    let named = |word: &str| {
        neighbors.iter().find(|view| {
            let protocol = Protocol::of(view);
            *protocol.id == *word || *protocol.address == *word
        })
    };
    let found = named(word).or_else(|| word.strip_prefix(PIPE).and_then(named));
    found.ok_or_else(|| Refusal::NotFound(format!("no protocol or peer `{word}`")))
}

fn scan(words: &Words<'_>, neighbors: &[NeighborView]) -> Result<Scan, Refusal> {
    Ok(Scan::new(RouteFilter::parse(words, neighbors)?))
}

fn by_neighbor(site: &Site, protocol: &str, table: Table, pick: Pick) -> Answer {
    let neighbors = site.backend.neighbors();
    let address = find(protocol, &neighbors)?.address.to_string();
    let scan = scan(&Words { table, neighbor: &address, ..Words::default() }, &neighbors)?;
    Ok(stream(site, Question { scan, pick, unless_told: None }, &neighbors))
}

fn by_words(site: &Site, words: Words<'_>, pick: Pick) -> Answer {
    let neighbors = site.backend.neighbors();
    let question = Question { scan: scan(&words, &neighbors)?, pick, unless_told: None };
    Ok(stream(site, question, &neighbors))
}

/// The routes as they are read, as fast as the client takes them.
fn stream(site: &Site, question: Question, neighbors: &[NeighborView]) -> Response {
    let head = Value::Object(envelope(site)).to_string();
    // The fields of the envelope first, then the list: a client that reads as it comes knows whom it reads.
    let head = format!("{},\"routes\":[", head.strip_suffix('}').unwrap_or(&head));
    let printer = Printer::new(neighbors);
    let (client, chunks) = mpsc::channel(1);
    let site = site.clone();
    tokio::spawn(async move {
        let writer = Writer { client, buffer: head.into_bytes(), printer, first: true };
        writer.write(question, &*site.backend).await;
    });
    let body = Body::from_stream(ReceiverStream::new(chunks));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Writes one answer.
struct Writer {
    client: mpsc::Sender<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    printer: Printer,
    first: bool,
}

/// The client left.
struct Gone;

impl Writer {
    async fn write(mut self, question: Question, backend: &dyn Backend) {
        match self.routes(question, backend).await {
            Ok(()) => {
                self.buffer.extend_from_slice(b"]}\n");
                let _ = self.flush().await;
            }
            Err(Some(refusal)) => {
                // The beginning has been sent already: an answer that breaks off is no whole one.
                let _ = self.client.send(Err(io::Error::other(refusal.to_string()))).await;
            }
            Err(None) => {}
        }
    }

    async fn routes(&mut self, question: Question, backend: &dyn Backend) -> Result<(), Option<Refusal>> {
        let Question { mut scan, pick, unless_told } = question;
        let mut told = match unless_told {
            Some((peer, scan)) => Some((peer, Told { scan, at: None, whole: false })),
            None => None,
        };
        while scan.load(backend).await.map_err(Some)? {
            if let Some((peer, told)) = &mut told {
                // Rows are taken out of the page: what the neighbour is told is asked for between them.
                let mut rows = Vec::new();
                while let Some((row, attrs)) = scan.next_route() {
                    if pick.fits(row) && row.peer != Some(*peer) {
                        rows.push((row.clone(), attrs.as_bytes().to_vec()));
                    }
                }
                for (row, attrs) in rows {
                    if !told.holds(&row, backend).await.map_err(Some)? {
                        self.route(&row, AttrSet::new(&attrs));
                    }
                }
            } else {
                while let Some((row, attrs)) = scan.next_route() {
                    if pick.fits(row) {
                        self.route(row, attrs);
                    }
                }
            }
            if self.buffer.len() >= CHUNK {
                self.flush().await.map_err(|Gone| None)?;
            }
        }
        Ok(())
    }

    fn route(&mut self, row: &RouteRow, attrs: AttrSet<'_>) {
        if !std::mem::take(&mut self.first) {
            self.buffer.push(b',');
        }
        self.printer.print(row, attrs, &mut self.buffer);
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.client.send(Ok(std::mem::take(&mut self.buffer))).await.map_err(|_| Gone)
    }
}

/// What a neighbour is told, read along with another list in the same order.
struct Told {
    scan: Scan,
    /// The route that was read last.
    at: Option<(Family, Nlri)>,
    whole: bool,
}

impl Told {
    /// Whether the neighbour is told of the prefix of `row`; rows must come in table order.
    async fn holds(&mut self, row: &RouteRow, backend: &dyn Backend) -> Result<bool, Refusal> {
        let wanted = (row.family, &row.nlri);
        loop {
            match &self.at {
                Some((family, nlri)) if (*family, nlri) == wanted => return Ok(true),
                Some((family, nlri)) if (*family, nlri) > wanted => return Ok(false),
                _ if self.whole => return Ok(false),
                _ => {}
            }
            self.at = match self.scan.next_route() {
                Some((row, _)) => Some((row.family, row.nlri.clone())),
                None => {
                    self.whole = !self.scan.load(backend).await?;
                    continue;
                }
            };
        }
    }
}
