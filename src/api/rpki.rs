//! `RpkiService`: sources of validated payloads, and why a route has the state it has.

use std::sync::Arc;

use ribwatch_proto::v1::{self, rpki_service_server::RpkiService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{coverage, what_if};
use crate::{
    types::{Asn, Prefix, Timestamp},
    validation::rov::Fit,
    view::{
        Backend,
        rpki::{CoveringVrp, SourceView},
    },
};

pub(super) struct Rpki(pub(super) Arc<dyn Backend>);

#[tonic::async_trait]
impl RpkiService for Rpki {
    type WhatIfStream = ReceiverStream<Result<v1::WhatIfResponse, Status>>;

    async fn what_if(&self, request: Request<v1::WhatIfRequest>) -> Result<Response<Self::WhatIfStream>, Status> {
        let answers = what_if::start(request.get_ref(), Arc::clone(&self.0)).await?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type CoverageStream = ReceiverStream<Result<v1::CoverageResponse, Status>>;

    async fn coverage(&self, request: Request<v1::CoverageRequest>) -> Result<Response<Self::CoverageStream>, Status> {
        let answers = coverage::start(request.get_ref(), Arc::clone(&self.0))?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type DiffSourcesStream = ReceiverStream<Result<v1::DiffSourcesResponse, Status>>;

    async fn diff_sources(
        &self,
        request: Request<v1::DiffSourcesRequest>,
    ) -> Result<Response<Self::DiffSourcesStream>, Status> {
        let answers = coverage::diff(request.into_inner(), Arc::clone(&self.0)).await?;
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn list_sources(
        &self,
        _: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        let (now, view) = (self.0.now(), self.0.rpki());
        Ok(Response::new(v1::ListSourcesResponse {
            sources: view.sources.into_iter().map(|source| message(source, now)).collect(),
            vrps_v4: view.vrps.0,
            vrps_v6: view.vrps.1,
            aspas: view.aspas,
        }))
    }

    async fn check_origin(
        &self,
        request: Request<v1::CheckOriginRequest>,
    ) -> Result<Response<v1::CheckOriginResponse>, Status> {
        let request = request.get_ref();
        let prefix: Prefix = request
            .prefix
            .parse()
            .map_err(|error: crate::types::PrefixError| Status::invalid_argument(error.to_string()))?;
        let check = self.0.check_origin(prefix, Asn(request.asn));
        Ok(Response::new(v1::CheckOriginResponse {
            state: check.state.answer().unwrap_or_default().to_owned(),
            why: check.why(),
            covering: check.covering.iter().map(covering).collect(),
        }))
    }
}

/// A VRP that covers a prefix.
pub(super) fn covering(vrp: &CoveringVrp) -> v1::CoveringVrp {
    let fit = match vrp.fit {
        Fit::Matches => "matches",
        Fit::OtherOrigin => "other_origin",
        Fit::TooLong => "too_long",
    };
    v1::CoveringVrp {
        prefix: vrp.prefix.to_string(),
        max_length: vrp.max_len.into(),
        asn: vrp.asn.0,
        fit: fit.to_owned(),
        sources: vrp.sources.clone(),
    }
}

fn message(source: SourceView, now: Timestamp) -> v1::RpkiSource {
    v1::RpkiSource {
        name: source.name,
        place: source.place,
        kind: source.kind.to_owned(),
        state: source.state.name().to_owned(),
        in_use: source.in_use,
        session_id: source.session_id.map(u32::from),
        serial: source.serial,
        vrps_v4: source.vrps.0,
        vrps_v6: source.vrps.1,
        aspas: source.aspas,
        age_s: source.updated_at.map(|at| now.since(at).as_secs()),
        expires_in_s: source.expires_at.map(|at| at.since(now).as_secs()),
        last_error: source.last_error.unwrap_or_default(),
        version: source.version.map(u32::from),
        without_aspas: source.without_aspas.unwrap_or_default(),
        trust_anchors: source.anchors.into_iter().map(|(name, roas)| v1::TrustAnchorCount { name, roas }).collect(),
    }
}
