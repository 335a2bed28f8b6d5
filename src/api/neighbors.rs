//! `NeighborService`: what may be asked of and done to neighbours.

use std::{net::IpAddr, sync::Arc, time::Duration};

use prost::Message as _;
use ribwatch_proto::v1::{self, neighbor_service_server::NeighborService};
use tonic::{Request, Response, Status};

use super::{MESSAGE_OCTETS, guard::say, render, status};
use crate::{
    types::PeerId,
    view::{Backend, Command, NeighborView, Refusal, SessionState, filter::find_neighbor},
};

/// Longest shutdown text in octets (RFC 9003 §2).
const SHUTDOWN_TEXT_MAX: usize = 255;
/// Commands wait for the session's task; one that does not answer must not hold the client for ever.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Neighbors(pub(super) Arc<dyn Backend>);

impl Neighbors {
    fn find(&self, word: &str) -> Result<PeerId, Status> {
        if word.is_empty() {
            return Err(Status::invalid_argument("name a neighbor: its address or its configured name"));
        }
        Ok(find_neighbor(word, &self.0.neighbors()).map_err(status)?.peer)
    }

    async fn command(&self, command: Command) -> Result<(), Status> {
        match tokio::time::timeout(COMMAND_TIMEOUT, self.0.command(command)).await {
            Ok(done) => done.map_err(status),
            Err(_) => Err(Status::deadline_exceeded("the session did not answer within 10 seconds; try again")),
        }
    }
}

/// Where a neighbour stands in the list.
fn place(view: &NeighborView) -> (IpAddr, PeerId) {
    (view.address, view.peer)
}

/// Reads a page token: the place of the neighbour it stands behind; empty is the beginning.
fn read_place(token: &str) -> Result<Option<(IpAddr, PeerId)>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = |(address, peer): (&str, &str)| Some((address.parse().ok()?, PeerId(peer.parse().ok()?)));
    match token.split_once(' ').and_then(read) {
        Some(place) => Ok(Some(place)),
        None => Err(Status::invalid_argument("the page token is not one of ours: start again without it")),
    }
}

/// # Errors
/// Longer than a NOTIFICATION can carry.
fn shutdown_text(text: String) -> Result<String, Status> {
    if text.len() > SHUTDOWN_TEXT_MAX {
        let octets = text.len();
        let limit = format!("the text has {octets} octets; RFC 9003 allows {SHUTDOWN_TEXT_MAX}: shorten it");
        return Err(Status::invalid_argument(limit));
    }
    Ok(text)
}

/// Which neighbour the keys of one are about. There may be a password among the others.
fn identity(toml: &str) -> String {
    let keys: toml::Table = toml.parse().unwrap_or_default();
    let told = ["address", "range", "name", "remote_asn"];
    let words = told.iter().filter_map(|key| keys.get(*key).map(|value| format!("{key}={value}")));
    words.collect::<Vec<_>>().join(" ")
}

#[tonic::async_trait]
impl NeighborService for Neighbors {
    async fn list_neighbors(
        &self,
        request: Request<v1::ListNeighborsRequest>,
    ) -> Result<Response<v1::ListNeighborsResponse>, Status> {
        let after = read_place(&request.get_ref().page_token)?;
        let (now, mut views) = (self.0.now(), self.0.neighbors());
        views.sort_by_key(place);
        let from = views.partition_point(|view| after.is_some_and(|after| place(view) <= after));
        let (mut neighbors, mut octets) = (Vec::new(), 0);
        let mut left = views.get(from..).unwrap_or_default().iter();
        let mut last = None;
        while octets < MESSAGE_OCTETS {
            let Some(view) = left.next() else { break };
            let neighbor = render::neighbor(view, now);
            octets += neighbor.encoded_len();
            neighbors.push(neighbor);
            last = Some(view);
        }
        let more = last.filter(|_| left.len() > 0);
        let next_page_token = more.map(|view| format!("{} {}", view.address, view.peer.0)).unwrap_or_default();
        Ok(Response::new(v1::ListNeighborsResponse { neighbors, next_page_token }))
    }

    async fn get_neighbor(
        &self,
        request: Request<v1::GetNeighborRequest>,
    ) -> Result<Response<v1::GetNeighborResponse>, Status> {
        let views = self.0.neighbors();
        let view = find_neighbor(&request.get_ref().neighbor, &views).map_err(status)?;
        let neighbor = Some(render::neighbor(view, self.0.now()));
        Ok(Response::new(v1::GetNeighborResponse { neighbor }))
    }

    async fn reset_neighbor(
        &self,
        request: Request<v1::ResetNeighborRequest>,
    ) -> Result<Response<v1::ResetNeighborResponse>, Status> {
        say(&request, |asked| format!("{} soft={} {}", asked.neighbor, asked.soft, asked.text));
        let request = request.into_inner();
        let views = self.0.neighbors();
        let view = find_neighbor(&request.neighbor, &views).map_err(status)?;
        if request.soft && view.state != SessionState::Established {
            let text = format!("{} is {}: a soft reset needs an established session", view.address, view.state.name());
            return Err(status(Refusal::NotNow(text)));
        }
        let text = shutdown_text(request.text)?;
        self.command(Command::Reset { peer: view.peer, hard: !request.soft, text }).await?;
        Ok(Response::new(v1::ResetNeighborResponse {}))
    }

    async fn enable_neighbor(
        &self,
        request: Request<v1::EnableNeighborRequest>,
    ) -> Result<Response<v1::EnableNeighborResponse>, Status> {
        say(&request, |asked| asked.neighbor.clone());
        let peer = self.find(&request.get_ref().neighbor)?;
        self.command(Command::Enable { peer }).await?;
        Ok(Response::new(v1::EnableNeighborResponse {}))
    }

    async fn disable_neighbor(
        &self,
        request: Request<v1::DisableNeighborRequest>,
    ) -> Result<Response<v1::DisableNeighborResponse>, Status> {
        say(&request, |asked| format!("{} {}", asked.neighbor, asked.text));
        let request = request.into_inner();
        let peer = self.find(&request.neighbor)?;
        self.command(Command::Disable { peer, text: shutdown_text(request.text)? }).await?;
        Ok(Response::new(v1::DisableNeighborResponse {}))
    }

    async fn add_neighbor(
        &self,
        request: Request<v1::AddNeighborRequest>,
    ) -> Result<Response<v1::AddNeighborResponse>, Status> {
        say(&request, |asked| identity(&asked.toml));
        self.command(Command::Add { toml: request.into_inner().toml }).await?;
        Ok(Response::new(v1::AddNeighborResponse {}))
    }

    async fn remove_neighbor(
        &self,
        request: Request<v1::RemoveNeighborRequest>,
    ) -> Result<Response<v1::RemoveNeighborResponse>, Status> {
        say(&request, |asked| asked.neighbor.clone());
        let peer = self.find(&request.get_ref().neighbor)?;
        self.command(Command::Remove { peer }).await?;
        Ok(Response::new(v1::RemoveNeighborResponse {}))
    }
}
