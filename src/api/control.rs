//! `LocalRouteService` and `DaemonService`: routes of our own, facts about the daemon, and its reload.

use std::sync::Arc;

use ribwatch_proto::v1::{self, daemon_service_server::DaemonService, local_route_service_server::LocalRouteService};
use tonic::{Request, Response, Status};

use super::{
    MESSAGE_OCTETS, MESSAGE_ROUTES,
    guard::say,
    originate::{local_route, read_nlri},
    render::{self, Renderer},
    status,
};
use crate::view::{
    Answer, Backend, Cursor, Query,
    reload::{ChangeView, ReloadRequest},
    scan::{read_cursor_token, write_cursor_token},
};

pub(super) struct LocalRoutes(pub(super) Arc<dyn Backend>);

pub(super) struct Daemon(pub(super) Arc<dyn Backend>);

#[tonic::async_trait]
impl LocalRouteService for LocalRoutes {
    async fn originate(
        &self,
        request: Request<v1::OriginateRequest>,
    ) -> Result<Response<v1::OriginateResponse>, Status> {
        say(&request, |asked| format!("{} {}", asked.prefix, asked.family));
        let route = local_route(request.get_ref())?;
        self.0.query(Query::Originate(route)).await.map_err(status)?;
        Ok(Response::new(v1::OriginateResponse {}))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        say(&request, |asked| format!("{} {}", asked.prefix, asked.family));
        let request = request.get_ref();
        let (family, nlri) = read_nlri(&request.prefix, &request.family)?;
        let text = nlri.display(family);
        match self.0.query(Query::Withdraw { family, nlri }).await.map_err(status)? {
            Answer::Done(true) => Ok(Response::new(v1::WithdrawResponse {})),
            _ => Err(Status::not_found(format!("no route of our own for {text} in {family}"))),
        }
    }

    async fn list_local_routes(
        &self,
        request: Request<v1::ListLocalRoutesRequest>,
    ) -> Result<Response<v1::ListLocalRoutesResponse>, Status> {
        let request = request.get_ref();
        let limit = match request.page_size as usize {
            0 => MESSAGE_ROUTES,
            size => size.min(MESSAGE_ROUTES),
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(read_cursor_token(token).map_err(status)?),
        };
        let answer = self.0.query(Query::LocalRoutes { after, limit }).await.map_err(status)?;
        let Answer::Routes(page) = answer else {
            return Err(Status::internal("the engine did not answer a question about routes with routes"));
        };
        let (mut renderer, now) = (Renderer::default(), self.0.now());
        let (mut routes, mut octets, mut next) = (Vec::new(), 0, page.next.clone());
        for row in &page.rows {
            if octets >= MESSAGE_OCTETS {
                break;
            }
            let route = renderer.route(&*self.0, row, page.attrs(row), now);
            octets += render::octets(&route);
            routes.push(route);
        }
        if let Some(last) =
            page.rows.get(..routes.len()).and_then(<[_]>::last).filter(|_| routes.len() < page.rows.len())
        {
            next = Some(Cursor { family: last.family, after: last.nlri.clone() });
        }
        let next_page_token = next.map(|cursor| write_cursor_token(&cursor)).unwrap_or_default();
        Ok(Response::new(v1::ListLocalRoutesResponse { routes, next_page_token }))
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
        say(&request, |asked| format!("dry_run={} no_reset={}", asked.dry_run, asked.no_reset));
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
