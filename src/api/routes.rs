//! `RouteService`: pages, streams, lookups, counts, explanations and (in `watch`) changes.

use std::{pin::Pin, sync::Arc};

use ribwatch_proto::v1::{self, route_service_server::RouteService};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{MESSAGE_OCTETS, MESSAGE_ROUTES, render, render::Renderer, status, watch};
use crate::view::{
    Backend, Refusal, Table,
    explain::{Explained, explain},
    filter::{Relation, RouteFilter, Words},
    scan::{PeerNames, Scan},
};

/// Pages of the engine that one unary call may read: about 250,000 prefixes, some tens of milliseconds. A page
/// of a sparse filter is then shorter than asked, and its token goes on.
const PAGES_PER_CALL: usize = 64;
/// Neighbours in a summary: with two families each, about 1 MiB.
const SUMMARY_NEIGHBORS: usize = 8192;
/// Messages that wait for the client besides what HTTP/2 buffers.
const MESSAGES_AHEAD: usize = 1;

pub(super) struct Routes(pub(super) Arc<dyn Backend>);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Routes {
    fn filter(&self, filter: Option<v1::RouteFilter>) -> Result<RouteFilter, Status> {
        read_filter(&filter.unwrap_or_default(), &*self.0)
    }
}

/// Understands a filter as it came over the wire.
pub(super) fn read_filter(filter: &v1::RouteFilter, backend: &dyn Backend) -> Result<RouteFilter, Status> {
    let words = Words {
        table: table(filter.table)?,
        neighbor: &filter.neighbor,
        family: &filter.family,
        prefix: &filter.prefix,
        relation: relation(filter.r#match)?,
        origin: filter.origin_as,
        as_path: &filter.as_path,
        communities: &filter.communities,
        rd: &filter.rd,
        validation: &filter.validation,
        aspa: &filter.aspa,
    };
    // Thousands of neighbours are not copied for a question that names none.
    let neighbors = if filter.neighbor.is_empty() { Vec::new() } else { backend.neighbors() };
    RouteFilter::parse(&words, &neighbors).map_err(status)
}

fn table(value: i32) -> Result<Table, Status> {
    match v1::Table::try_from(value) {
        Ok(v1::Table::Unspecified | v1::Table::Loc) => Ok(Table::Loc),
        Ok(v1::Table::AdjIn) => Ok(Table::AdjIn),
        Ok(v1::Table::AdjOut) => Ok(Table::AdjOut),
        Err(_) => Err(Status::invalid_argument(format!("no table has the number {value}: see enum Table"))),
    }
}

fn relation(value: i32) -> Result<Option<Relation>, Status> {
    match v1::PrefixMatch::try_from(value) {
        Ok(v1::PrefixMatch::Unspecified) => Ok(None),
        Ok(v1::PrefixMatch::Exact) => Ok(Some(Relation::Exact)),
        Ok(v1::PrefixMatch::Longest) => Ok(Some(Relation::Longest)),
        Ok(v1::PrefixMatch::Longer) => Ok(Some(Relation::Longer)),
        Ok(v1::PrefixMatch::Shorter) => Ok(Some(Relation::Shorter)),
        Err(_) => Err(Status::invalid_argument(format!("no match has the number {value}: see enum PrefixMatch"))),
    }
}

/// Routes for one message: until there are `limit`, the message is full, the list is complete, or `pages` pages
/// of the engine were read.
pub(super) async fn collect(
    scan: &mut Scan,
    renderer: &mut Renderer,
    backend: &dyn Backend,
    limit: usize,
    pages: usize,
) -> Result<Vec<v1::Route>, Refusal> {
    let (mut routes, mut octets, mut pages_left) = (Vec::new(), 0, pages);
    loop {
        let now = backend.now();
        while routes.len() < limit && octets < MESSAGE_OCTETS {
            let Some((row, attrs)) = scan.next_route() else { break };
            let route = renderer.route(backend, row, attrs, now);
            octets += render::octets(&route);
            routes.push(route);
        }
        let full = routes.len() >= limit || octets >= MESSAGE_OCTETS;
        if full || pages_left == 0 || !scan.load(backend).await? {
            return Ok(routes);
        }
        pages_left -= 1;
        routes.reserve(scan.page().rows.len().min(limit - routes.len()));
    }
}

/// Reads the table as fast as the client takes the messages.
async fn stream(
    mut scan: Scan,
    limit: u64,
    backend: Arc<dyn Backend>,
    client: mpsc::Sender<Result<v1::StreamRoutesResponse, Status>>,
) {
    let mut renderer = Renderer::default();
    let mut left = if limit == 0 { u64::MAX } else { limit };
    loop {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(MESSAGE_ROUTES);
        let batch = match collect(&mut scan, &mut renderer, &*backend, wanted, 1).await {
            Ok(routes) => {
                left -= routes.len() as u64;
                v1::StreamRoutesResponse { routes, next_page_token: scan.token(), seq: scan.seq() }
            }
            Err(refusal) => {
                // The client left: nobody to tell.
                let _ = client.send(Err(status(refusal))).await;
                return;
            }
        };
        let last = left == 0 || batch.next_page_token.is_empty();
        if (last || !batch.routes.is_empty()) && client.send(Ok(batch)).await.is_err() {
            return;
        }
        if last || client.is_closed() {
            return;
        }
    }
}

fn no_route(word: &str) -> Status {
    Status::not_found(format!("no route for {word}"))
}

#[tonic::async_trait]
impl RouteService for Routes {
    type StreamRoutesStream = Messages<v1::StreamRoutesResponse>;
    type WatchRoutesStream = Messages<v1::WatchRoutesResponse>;

    async fn list_routes(
        &self,
        request: Request<v1::ListRoutesRequest>,
    ) -> Result<Response<v1::ListRoutesResponse>, Status> {
        let request = request.into_inner();
        let filter = self.filter(request.filter)?;
        let limit = match request.page_size as usize {
            0 => MESSAGE_ROUTES,
            size => size.min(MESSAGE_ROUTES),
        };
        let mut scan = Scan::resume(filter, &request.page_token).map_err(status)?;
        let mut renderer = Renderer::default();
        let routes = collect(&mut scan, &mut renderer, &*self.0, limit, PAGES_PER_CALL).await.map_err(status)?;
        Ok(Response::new(v1::ListRoutesResponse { routes, next_page_token: scan.token(), seq: scan.seq() }))
    }

    async fn stream_routes(
        &self,
        request: Request<v1::StreamRoutesRequest>,
    ) -> Result<Response<Self::StreamRoutesStream>, Status> {
        let request = request.into_inner();
        let filter = self.filter(request.filter)?;
        let scan = Scan::resume(filter, &request.page_token).map_err(status)?;
        let (client, messages) = mpsc::channel(MESSAGES_AHEAD);
        tokio::spawn(stream(scan, request.limit, self.0.clone(), client));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn lookup_routes(
        &self,
        request: Request<v1::LookupRoutesRequest>,
    ) -> Result<Response<v1::LookupRoutesResponse>, Status> {
        let request = request.into_inner();
        if request.prefix.is_empty() {
            return Err(Status::invalid_argument("name a prefix (192.0.2.0/24) or an address (192.0.2.1)"));
        }
        let filter = v1::RouteFilter {
            table: request.table,
            neighbor: request.neighbor,
            family: request.family,
            prefix: request.prefix.clone(),
            ..v1::RouteFilter::default()
        };
        let mut scan = Scan::new(self.filter(Some(filter))?);
        let mut renderer = Renderer::default();
        let routes =
            collect(&mut scan, &mut renderer, &*self.0, MESSAGE_ROUTES, PAGES_PER_CALL).await.map_err(status)?;
        if routes.is_empty() {
            return Err(no_route(&request.prefix));
        }
        Ok(Response::new(v1::LookupRoutesResponse { routes, seq: scan.seq() }))
    }

    async fn get_summary(&self, _: Request<v1::GetSummaryRequest>) -> Result<Response<v1::GetSummaryResponse>, Status> {
        let (summary, mut names) = (self.0.summary(), PeerNames::default());
        let tables = summary.tables.iter().map(|counts| v1::TableCounts {
            family: counts.family.to_string(),
            prefixes: counts.prefixes,
            paths: counts.paths,
            best: counts.best,
        });
        let mut neighbors: Vec<v1::NeighborCounts> = Vec::new();
        let neighbors_cut = summary.neighbors.len() > SUMMARY_NEIGHBORS;
        for (peer, counts) in summary.neighbors.iter().take(SUMMARY_NEIGHBORS) {
            let neighbor = names.get(&*self.0, Some(*peer));
            neighbors.extend(counts.iter().map(|counts| v1::NeighborCounts {
                neighbor: neighbor.as_ref().to_owned(),
                family: counts.family.to_string(),
                received: counts.received,
                accepted: counts.accepted,
                advertised: counts.advertised,
                end_of_rib: counts.end_of_rib,
            }));
        }
        Ok(Response::new(v1::GetSummaryResponse {
            tables: tables.collect(),
            neighbors,
            attribute_sets: summary.attribute_sets,
            attribute_octets: summary.attribute_octets,
            seq: summary.seq,
            neighbors_cut,
        }))
    }

    async fn watch_routes(
        &self,
        request: Request<v1::WatchRoutesRequest>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let messages = watch::start(request.into_inner(), self.0.clone()).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn explain_route(
        &self,
        request: Request<v1::ExplainRouteRequest>,
    ) -> Result<Response<v1::ExplainRouteResponse>, Status> {
        let request = request.into_inner();
        let explained = explain(&request.prefix, &request.family, &*self.0).await.map_err(status)?;
        let Explained { family, name: prefix, explanation } = explained;
        let paths = explanation.candidates.len() as u64;
        let (mut renderer, now, page) = (Renderer::default(), self.0.now(), &explanation.page);
        let (mut candidates, mut octets) = (Vec::new(), 0);
        for candidate in explanation.candidates.into_iter().take(MESSAGE_ROUTES) {
            let Some(row) = page.rows.get(candidate.row) else { continue };
            let route = renderer.route(&*self.0, row, page.attrs(row), now);
            let candidate = render::candidate(candidate, route);
            octets += prost::Message::encoded_len(&candidate);
            candidates.push(candidate);
            if octets >= MESSAGE_OCTETS {
                break;
            }
        }
        let family = family.to_string();
        Ok(Response::new(v1::ExplainRouteResponse { prefix, family, candidates, paths }))
    }
}
