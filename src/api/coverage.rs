//! `RpkiService.Coverage` and `DiffSources`: what RPKI data make of routes, and where sources of them differ. Both answer
//! with counts first and lists behind, in messages that are made as the client takes them.

use std::{sync::Arc, vec};

use ribwatch_proto::v1::{self, coverage_response::Event, diff_sources_response::Event as DiffEvent};
use tokio::sync::mpsc;
use tonic::Status;

use super::{MESSAGE_ROUTES, rpki::covering, status};
use crate::{
    types::{Asn, Family, Prefix},
    validation::Vrp,
    view::{
        Backend, PrefixMatch, Refusal, Table,
        coverage::{AspaCoverage, Collector, CoveredRoute, Scope},
        filter::RouteFilter,
        rpki::{Difference, Differences, InForce, Payload},
        scan::Scan,
    },
};

/// An answer in messages.
pub(super) type Answers<T> = mpsc::Receiver<Result<T, Status>>;

/// Begins to answer about coverage.
pub(super) fn start(
    request: &v1::CoverageRequest,
    backend: Arc<dyn Backend>,
) -> Result<Answers<v1::CoverageResponse>, Status> {
    let prefixes: Result<Vec<Prefix>, _> = request.prefixes.iter().map(|text| text.parse()).collect();
    let prefixes = prefixes.map_err(|error: crate::types::PrefixError| Status::invalid_argument(error.to_string()))?;
    let asns: Vec<Asn> = request.asns.iter().map(|asn| Asn(*asn)).collect();
    let scope = match Scope::new(prefixes, asns) {
        named if !named.is_empty() => named,
        _ => declared(&*backend),
    };
    let limit = limit(request.limit);
    let (client, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(refusal) = tell(scope, limit, &*backend, &client).await {
            // The client may have left.
            let _ = client.send(Err(status(refusal))).await;
        }
    });
    Ok(answers)
}

/// What the configuration declares to be ours; or else our own AS.
fn declared(backend: &dyn Backend) -> Scope {
    let (prefixes, asns) = backend.declared();
    match Scope::new(prefixes, asns) {
        declared if !declared.is_empty() => declared,
        _ => Scope::new(Vec::new(), vec![backend.info().asn]),
    }
}

fn limit(asked: u64) -> usize {
    if asked == 0 { usize::MAX } else { usize::try_from(asked).unwrap_or(usize::MAX) }
}

async fn tell(
    scope: Scope,
    limit: usize,
    backend: &dyn Backend,
    client: &mpsc::Sender<Result<v1::CoverageResponse, Status>>,
) -> Result<(), Refusal> {
    let own = backend.info().asn;
    let mut collector = Collector::new(scope.clone(), own);
    for &prefix in &scope.prefixes {
        let family = if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
        collect(&mut collector, (family, Some(prefix), None), backend).await?;
    }
    for &asn in &scope.asns {
        for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
            collect(&mut collector, (family, None, Some(asn)), backend).await?;
        }
    }
    let rpki = backend.rpki_in_force();
    let in_force = rpki.clone();
    // A million routes beside half a million VRPs.
    let done = tokio::task::spawn_blocking(move || collector.finish(&in_force)).await;
    let coverage = done.map_err(|_| Refusal::Stopping)?;
    let [not_checked, not_found, valid, invalid] = coverage.states;
    let counts = v1::CoverageCounts {
        prefixes: scope.prefixes.iter().map(ToString::to_string).collect(),
        asns: scope.asns.iter().map(|asn| asn.0).collect(),
        routes: coverage.routes.len() as u64,
        valid,
        invalid,
        not_found,
        not_checked,
        unused_vrps: coverage.unused.len() as u64,
    };
    let send = async |event| client.send(Ok(v1::CoverageResponse { event: Some(event) })).await.is_ok();
    if !send(Event::Counts(counts)).await {
        return Ok(());
    }
    for routes in pages(coverage.routes, limit) {
        let routes = routes.iter().map(|found| route(found, &rpki)).collect();
        if !send(Event::Routes(v1::CoverageRoutes { routes })).await {
            return Ok(());
        }
    }
    for vrps in pages(coverage.unused, limit) {
        let vrps = vrps.iter().map(vrp).collect();
        if !send(Event::Unused(v1::CoverageVrps { vrps })).await {
            return Ok(());
        }
    }
    for found in coverage.aspas {
        if !send(Event::Aspa(aspa(found))).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Hands all paths of a prefix or an origin to the collector. Those of our own AS have paths that do not name it, so all
/// are looked at.
async fn collect(
    collector: &mut Collector,
    (family, prefix, asked): (Family, Option<Prefix>, Option<Asn>),
    backend: &dyn Backend,
) -> Result<(), Refusal> {
    let filter = RouteFilter {
        table: Table::AdjIn,
        family: Some(family),
        prefix: prefix.map(PrefixMatch::Longer),
        origin: asked.filter(|asn| *asn != backend.info().asn),
        ..RouteFilter::default()
    };
    let mut scan = Scan::new(filter);
    while scan.load(backend).await? {
        while let Some((row, attrs)) = scan.next_route() {
            collector.add(asked, row, attrs.as_path())?;
        }
    }
    Ok(())
}

/// The first `limit` items in messages.
fn pages<T>(items: Vec<T>, limit: usize) -> impl Iterator<Item = Vec<T>> {
    let mut items: std::iter::Take<vec::IntoIter<T>> = items.into_iter().take(limit);
    std::iter::from_fn(move || {
        let page: Vec<T> = items.by_ref().take(MESSAGE_ROUTES).collect();
        (!page.is_empty()).then_some(page)
    })
}

fn route(found: &CoveredRoute, rpki: &InForce) -> v1::CoverageRoute {
    v1::CoverageRoute {
        prefix: found.prefix.to_string(),
        origin_as: found.origin.map(|asn| asn.0),
        validation: found.validation.answer().unwrap_or_default().to_owned(),
        paths: found.paths,
        covering: rpki.covering(found.prefix, found.origin).iter().map(covering).collect(),
    }
}

fn vrp(vrp: &Vrp) -> v1::Vrp {
    v1::Vrp { prefix: vrp.prefix.to_string(), max_length: vrp.max_len.into(), asn: vrp.asn.0 }
}

fn aspa(found: AspaCoverage) -> v1::CoverageAspa {
    let upstreams = found.upstreams.iter();
    v1::CoverageAspa {
        asn: found.asn.0,
        present: found.providers.is_some(),
        providers: found.providers.unwrap_or_default().iter().map(|asn| asn.0).collect(),
        upstreams: upstreams
            .map(|next| v1::CoverageUpstream { asn: next.asn.0, paths: next.paths, attested: next.attested })
            .collect(),
    }
}

/// Begins to answer about differences.
pub(super) async fn diff(
    request: v1::DiffSourcesRequest,
    backend: Arc<dyn Backend>,
) -> Result<Answers<v1::DiffSourcesResponse>, Status> {
    // Hundreds of thousands of records are compared.
    let compared = tokio::task::spawn_blocking(move || backend.rpki_differences(&request.sources)).await;
    let Differences { sources, records } = compared.map_err(|_| status(Refusal::Stopping))?.map_err(status)?;
    let (client, answers) = mpsc::channel(1);
    let limit = limit(request.limit);
    tokio::spawn(async move {
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        let counted = sources.into_iter().map(|source| v1::DiffSource {
            name: source.name,
            vrps: source.vrps,
            aspas: source.aspas,
            vrps_not_everywhere: source.vrps_not_everywhere,
            aspas_not_everywhere: source.aspas_not_everywhere,
            vrps_missing: source.vrps_missing,
            aspas_missing: source.aspas_missing,
        });
        let counts = v1::DiffCounts { sources: counted.collect(), differences: records.len() as u64 };
        // The client may have left, then nobody misses the rest.
        if client.send(Ok(v1::DiffSourcesResponse { event: Some(DiffEvent::Counts(counts)) })).await.is_err() {
            return;
        }
        for page in pages(records, limit) {
            let records = page.into_iter().map(|record| difference(record, &names)).collect();
            let event = Some(DiffEvent::Records(v1::DiffRecords { records }));
            if client.send(Ok(v1::DiffSourcesResponse { event })).await.is_err() {
                return;
            }
        }
    });
    Ok(answers)
}

fn difference(record: Difference, names: &[String]) -> v1::DiffRecord {
    let has = |at: usize| record.held_by & 1 << at != 0;
    let named = |having: bool| names.iter().enumerate().filter(move |(at, _)| has(*at) == having);
    let (r#in, not_in) =
        (named(true).map(|(_, name)| name.clone()).collect(), named(false).map(|(_, name)| name.clone()).collect());
    let (vrp, aspa) = match &record.payload {
        Payload::Vrp(found) => (Some(vrp(found)), None),
        Payload::Aspa(found) => {
            let providers = found.providers.iter().map(|asn| asn.0).collect();
            (None, Some(v1::Aspa { customer: found.customer.0, providers }))
        }
    };
    v1::DiffRecord { vrp, aspa, r#in, not_in }
}
