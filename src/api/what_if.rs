//! `RpkiService.WhatIf`: changes in words become a hypothesis, its pages counts and then routes.
//!
//! The table is read twice, once to count and once to list, so that no list waits in memory for its counts. Each page is
//! a bounded question to the engine, asked only when the client took the message before.

use std::sync::Arc;

use ribwatch_proto::v1::{self, what_if_response::Event};
use tokio::sync::mpsc;
use tonic::Status;

use super::{MESSAGE_ROUTES, status};
use crate::{
    validation::hypothesis::{ChangeWords, Changes, Hypothesis},
    view::{
        Answer, Backend, Cursor, Query, Refusal,
        scan::PeerNames,
        what_if::{Then, WhatIfCounts, WhatIfPage, WhatIfQuery, WhatIfRow, WhatIfTold},
    },
    wire::bgp::attribute::AttrSet,
};

/// Prefixes that one question looks at: a few milliseconds of the engine where each must be judged.
const SCAN_LIMIT: usize = 2048;

type Answers = mpsc::Receiver<Result<v1::WhatIfResponse, Status>>;

/// Begins to answer.
pub(super) async fn start(request: &v1::WhatIfRequest, backend: Arc<dyn Backend>) -> Result<Answers, Status> {
    let words = ChangeWords {
        add_vrps: &request.add_vrps,
        remove_vrps: &request.remove_vrps,
        add_aspas: &request.add_aspas,
        remove_aspas: &request.remove_aspas,
        slurm: &request.slurm,
    };
    let changes = Changes::parse(&words).map_err(Status::invalid_argument)?;
    let asked = Arc::clone(&backend);
    // Hundreds of thousands of VRPs are copied.
    let hypothesis = tokio::task::spawn_blocking(move || asked.hypothesis(&changes)).await;
    let hypothesis = hypothesis.map_err(|_| status(Refusal::Stopping))?.map_err(status)?;
    let (client, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(refusal) = tell(Arc::new(hypothesis), &*backend, &client).await {
            // The client may have left.
            let _ = client.send(Err(status(refusal))).await;
        }
    });
    Ok(answers)
}

/// Counts, then lists. Ends early where the client left.
async fn tell(
    hypothesis: Arc<Hypothesis>,
    backend: &dyn Backend,
    client: &mpsc::Sender<Result<v1::WhatIfResponse, Status>>,
) -> Result<(), Refusal> {
    let mut counts = WhatIfCounts::default();
    let mut cursor = None;
    loop {
        let page = page(&hypothesis, cursor, backend).await?;
        page.rows.iter().for_each(|row| counts.add(row));
        page.told.iter().for_each(|told| counts.add_told(told));
        cursor = page.next;
        if cursor.is_none() || client.is_closed() {
            break;
        }
    }
    let first = v1::WhatIfResponse { event: Some(Event::Counts(counted(&counts))) };
    if client.send(Ok(first)).await.is_err() || counts.is_empty() {
        return Ok(());
    }
    let (mut cursor, mut names) = (None, PeerNames::default());
    loop {
        let page = page(&hypothesis, cursor, backend).await?;
        let routes: Vec<_> = page.rows.iter().map(|row| route(row, &page.attrs, backend, &mut names)).collect();
        let told: Vec<_> = page.told.iter().map(|told| told_row(told, backend, &mut names)).collect();
        if !routes.is_empty() || !told.is_empty() {
            let message = v1::WhatIfResponse { event: Some(Event::Routes(v1::WhatIfRoutes { routes, told })) };
            if client.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn page(
    hypothesis: &Arc<Hypothesis>,
    cursor: Option<Cursor>,
    backend: &dyn Backend,
) -> Result<WhatIfPage, Refusal> {
    let hypothesis = Arc::clone(hypothesis);
    let query = WhatIfQuery { hypothesis, cursor, limit: MESSAGE_ROUTES, scan_limit: SCAN_LIMIT };
    match backend.query(Query::WhatIf(query)).await? {
        Answer::WhatIf(page) => Ok(page),
        _ => Err(Refusal::NotNow("the engine answered another question".to_owned())),
    }
}

fn counted(counts: &WhatIfCounts) -> v1::WhatIfCounts {
    let word = |answer: Option<&str>| answer.unwrap_or_default().to_owned();
    let validation = counts.validation_moves();
    let aspa = counts.aspa_moves();
    v1::WhatIfCounts {
        routes: counts.routes,
        validation: validation
            .map(|(from, to, routes)| v1::WhatIfMove { from: word(from.answer()), to: word(to.answer()), routes })
            .collect(),
        aspa: aspa
            .map(|(from, to, routes)| v1::WhatIfMove { from: word(from.answer()), to: word(to.answer()), routes })
            .collect(),
        rejected: counts.rejected,
        accepted: counts.accepted,
        no_longer_best: counts.no_longer_best,
        becoming_best: counts.becoming_best,
        withdrawn: counts.withdrawn,
        announced: counts.announced,
    }
}

fn told_row(told: &WhatIfTold, backend: &dyn Backend, names: &mut PeerNames) -> v1::WhatIfTold {
    v1::WhatIfTold {
        prefix: told.nlri.display(told.family),
        neighbor: names.get(backend, Some(told.peer)).to_string(),
        told: told.told,
    }
}

fn route(row: &WhatIfRow, attrs: &[u8], backend: &dyn Backend, names: &mut PeerNames) -> v1::WhatIfRoute {
    let WhatIfRow { now, then } = row;
    let set = AttrSet::new(attrs.get(now.attrs.start as usize..now.attrs.end as usize).unwrap_or_default());
    let current =
        Then { validation: now.validation, aspa: now.aspa, rejected_by: now.rejected_by.clone(), best: now.best };
    v1::WhatIfRoute {
        prefix: now.nlri.display(now.family),
        neighbor: names.get(backend, now.peer).to_string(),
        path_id: now.path_id,
        as_path: set.as_path().to_string(),
        now: Some(state(&current)),
        then: Some(state(then)),
    }
}

fn state(then: &Then) -> v1::WhatIfState {
    v1::WhatIfState {
        validation: then.validation.answer().unwrap_or_default().to_owned(),
        aspa: then.aspa.answer().unwrap_or_default().to_owned(),
        accepted: then.rejected_by.is_none(),
        rejected_by: then.rejected_by.as_deref().unwrap_or_default().to_owned(),
        best: then.best,
    }
}
