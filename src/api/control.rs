//! `LocalRouteService` and `DaemonService`: routes of our own, facts about the daemon, and its reload.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ribwatch_proto::v1::{self, daemon_service_server::DaemonService, local_route_service_server::LocalRouteService};
use tonic::{Request, Response, Status};

use super::status;
use crate::{
    types::{Asn, Family, Prefix},
    view::{
        Answer, Backend, LocalRoute, Query,
        filter::prefix_family,
        reload::{ChangeView, ReloadRequest},
    },
    wire::bgp::attribute::{AttrSetBuilder, NextHop, Origin},
};

/// AS numbers in the path of a route that is originated: one segment (RFC 4271 §4.3), which is also far more
/// than anyone accepts.
const PATH_LEN_MAX: usize = 255;
/// Communities of a route that is originated; keeps the attribute below a quarter of a message.
const COMMUNITIES_MAX: usize = 64;

pub(super) struct LocalRoutes(pub(super) Arc<dyn Backend>);

pub(super) struct Daemon(pub(super) Arc<dyn Backend>);

#[tonic::async_trait]
impl LocalRouteService for LocalRoutes {
    async fn originate(
        &self,
        request: Request<v1::OriginateRequest>,
    ) -> Result<Response<v1::OriginateResponse>, Status> {
        let route = local_route(request.get_ref())?;
        self.0.query(Query::Originate(route)).await.map_err(status)?;
        Ok(Response::new(v1::OriginateResponse {}))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        let request = request.get_ref();
        let prefix = read_prefix(&request.prefix)?;
        let family = prefix_family(&request.family, &prefix).map_err(status)?;
        match self.0.query(Query::Withdraw { family, prefix }).await.map_err(status)? {
            Answer::Done(true) => Ok(Response::new(v1::WithdrawResponse {})),
            _ => Err(Status::not_found(format!("no route of our own for {prefix} in {family}"))),
        }
    }
}

#[tonic::async_trait]
impl DaemonService for Daemon {
    async fn get_info(&self, _: Request<v1::GetInfoRequest>) -> Result<Response<v1::GetInfoResponse>, Status> {
        let info = self.0.info();
        Ok(Response::new(v1::GetInfoResponse {
            version: info.version.to_owned(),
            asn: info.asn.0,
            router_id: info.router_id.to_string(),
            uptime_s: self.0.now().since(info.started_at).as_secs(),
            listen: info.listen.iter().map(ToString::to_string).collect(),
            best_path: info.best_path,
            ready: self.0.is_ready(),
        }))
    }

    async fn reload(&self, request: Request<v1::ReloadRequest>) -> Result<Response<v1::ReloadResponse>, Status> {
        let v1::ReloadRequest { dry_run, no_reset } = *request.get_ref();
        let report = self.0.reload(ReloadRequest { dry_run, no_reset }).await.map_err(status)?;
        let summary = report.summary();
        let change = |change: ChangeView| v1::ReloadChange {
            kind: change.kind.to_owned(),
            subject: change.subject,
            keys: change.keys,
            cost: change.cost.word().to_owned(),
            text: change.text,
        };
        Ok(Response::new(v1::ReloadResponse {
            outcome: report.outcome.word().to_owned(),
            reason: report.reason.unwrap_or_default(),
            changes: report.changes.into_iter().map(change).collect(),
            summary,
        }))
    }
}

fn read_prefix(word: &str) -> Result<Prefix, Status> {
    word.parse::<Prefix>().map_err(|error| Status::invalid_argument(error.to_string()))
}

fn local_route(request: &v1::OriginateRequest) -> Result<LocalRoute, Status> {
    let prefix = read_prefix(&request.prefix)?;
    let family = prefix_family(&request.family, &prefix).map_err(status)?;
    let mut set = AttrSetBuilder::new();
    set.origin(read_origin(&request.origin)?);
    if request.as_path.len() > PATH_LEN_MAX {
        return Err(Status::invalid_argument(format!("the path is longer than {PATH_LEN_MAX} AS numbers")));
    }
    let path: Vec<Asn> = request.as_path.iter().copied().map(Asn).collect();
    set.as_path_sequence(&path);
    set.next_hop(family, NextHop { global: next_hop(&request.next_hop, family)?, link_local: None });
    if let Some(med) = request.med {
        set.med(med);
    }
    if let Some(local_pref) = request.local_pref {
        set.local_pref(local_pref);
    }
    communities(&request.communities, &mut set)?;
    Ok(LocalRoute { prefix, family, attrs: set.finish() })
}

fn read_origin(word: &str) -> Result<Origin, Status> {
    match word {
        "" | "igp" => Ok(Origin::Igp),
        "egp" => Ok(Origin::Egp),
        "incomplete" => Ok(Origin::Incomplete),
        _ => Err(Status::invalid_argument(format!("`{word}` is not an origin: igp, egp or incomplete"))),
    }
}

/// The unspecified address stands for our own towards each neighbour.
fn next_hop(word: &str, family: Family) -> Result<IpAddr, Status> {
    if word.is_empty() {
        let unspecified = if family.afi == 1 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        return Ok(unspecified);
    }
    let address: IpAddr =
        word.parse().map_err(|_| Status::invalid_argument(format!("the next hop `{word}` is not an address")))?;
    match (family.afi, address) {
        (2, IpAddr::V4(_)) => Err(Status::invalid_argument(format!("{family} needs an IPv6 next hop, not {word}"))),
        _ => Ok(address),
    }
}

fn communities(words: &[String], set: &mut AttrSetBuilder) -> Result<(), Status> {
    if words.len() > COMMUNITIES_MAX {
        return Err(Status::invalid_argument(format!("at most {COMMUNITIES_MAX} communities")));
    }
    let (mut standard, mut large, mut extended) = (Vec::new(), Vec::new(), Vec::new());
    for word in words {
        if let Ok(community) = word.parse() {
            standard.push(community);
        } else if let Ok(community) = word.parse() {
            large.push(community);
        } else if let Ok(community) = word.parse() {
            extended.push(community);
        } else {
            return Err(Status::invalid_argument(format!(
                "`{word}` is not a community: write 64500:1, no-export, 64500:1:2 (large) or rt:64500:1 (extended)"
            )));
        }
    }
    set.communities(&standard);
    set.large_communities(&large);
    set.ext_communities(&extended);
    Ok(())
}
