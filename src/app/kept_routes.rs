//! Routes of our own and their journal, joined: the engine judges a change, the journal keeps it, then it is answered.
//! A change that cannot be kept is taken back, so that what is announced is what a restart would announce.

use std::{io, path::Path, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::{info, warn};

use crate::{
    io::shard::ShardHandle,
    store::{Journal, local_routes},
    types::Family,
    view::{Answer, LocalRoute, Nlri, Query, Refusal},
};

/// File in `[state] dir`.
const FILE: &str = "routes.journal";
/// Lines in the log about routes that are not originated again.
const WARNINGS_MAX: usize = 10;

/// The journal of our own routes. Clones lead to the same one.
#[derive(Clone)]
pub(super) struct KeptRoutes(Arc<Mutex<Journal>>);

impl KeptRoutes {
    /// Opens the journal in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        let opened = Journal::open(dir, FILE)
            .map_err(|error| format!("[state] dir: {} cannot be used: {error}", dir.join(FILE).display()))?;
        if opened.lost > 0 {
            warn!("[state] {FILE}: the last {} octets were no whole record and are gone", opened.lost);
        }
        Ok(Self(Arc::new(Mutex::new(opened.journal))))
    }

    /// Originates what is kept. What the configuration no longer allows stays kept and is not announced.
    pub(super) async fn originate_again(&self, shard: &ShardHandle) {
        let (routes, unreadable) = local_routes::load(&*self.0.lock().await);
        if unreadable > 0 {
            warn!("[state] {FILE}: routes that this version cannot read: {unreadable}");
        }
        let (mut originated, mut refused) = (0_usize, 0_usize);
        for route in routes {
            let text = route.nlri.display(route.family);
            match shard.query(Query::Originate(route)).await {
                Ok(_) => originated += 1,
                Err(refusal) => {
                    refused += 1;
                    if refused <= WARNINGS_MAX {
                        warn!("{text} is kept but not announced: {refusal}");
                    }
                }
            }
        }
        if originated + refused > 0 {
            info!("routes of our own from before the restart: {originated} announced, {refused} not");
        }
    }

    /// Carries out a change of our own routes. It runs to its end even when nobody waits for the answer any more.
    pub(super) async fn change(self, shard: ShardHandle, query: Query) -> Result<Answer, Refusal> {
        let change = tokio::spawn(async move {
            // One at a time: the order on the disk is that of the engine.
            let journal = self.0.lock_owned().await;
            match query {
                Query::Originate(route) => originate(journal, &shard, route).await,
                Query::Withdraw { family, nlri } => withdraw(journal, &shard, family, nlri).await,
                other => shard.query(other).await,
            }
        });
        change.await.unwrap_or(Err(Refusal::Stopping))
    }
}

type Held = OwnedMutexGuard<Journal>;

async fn originate(journal: Held, shard: &ShardHandle, route: LocalRoute) -> Result<Answer, Refusal> {
    let before = local_routes::get(&journal, route.family, &route.nlri);
    let (family, nlri) = (route.family, route.nlri.clone());
    let answer = shard.query(Query::Originate(route.clone())).await?;
    // The journal stays ours until everything is as the answer says.
    let (written, _journal) = write(journal, move |journal| local_routes::put(journal, &route)).await;
    let Err(error) = written else { return Ok(answer) };
    let undo = before.map_or(Query::Withdraw { family, nlri }, Query::Originate);
    Err(undone(shard, undo, &error).await)
}

async fn withdraw(journal: Held, shard: &ShardHandle, family: Family, nlri: Nlri) -> Result<Answer, Refusal> {
    let before = local_routes::get(&journal, family, &nlri);
    let answer = shard.query(Query::Withdraw { family, nlri: nlri.clone() }).await?;
    let (written, _journal) = write(journal, move |journal| local_routes::remove(journal, family, &nlri)).await;
    match written {
        // Kept but not announced, since the configuration changed: it was there.
        Ok(true) => Ok(Answer::Done(true)),
        Ok(false) => Ok(answer),
        Err(error) => match before {
            Some(route) => Err(undone(shard, Query::Originate(route), &error).await),
            None => Err(not_kept(&error)),
        },
    }
}

/// Writes on a thread that may wait for the disk. Gives the journal back, but for a process that is ending.
async fn write<T: Send + 'static>(
    mut journal: Held,
    write: impl FnOnce(&mut Journal) -> io::Result<T> + Send + 'static,
) -> (io::Result<T>, Option<Held>) {
    let task = tokio::task::spawn_blocking(move || (write(&mut journal), Some(journal)));
    task.await.unwrap_or_else(|_| (Err(io::Error::other("the writer was stopped")), None))
}

async fn undone(shard: &ShardHandle, undo: Query, error: &io::Error) -> Refusal {
    // It was accepted before, but `[router] owned` may have become smaller since.
    match shard.query(undo).await {
        Ok(_) => not_kept(error),
        Err(refusal) => Refusal::NotNow(format!(
            "{FILE} in [state] dir cannot be written: {error}; what is announced changed all the same, since that cannot \
             be taken back: {refusal}"
        )),
    }
}

fn not_kept(error: &io::Error) -> Refusal {
    Refusal::NotNow(format!("nothing changed: {FILE} in [state] dir cannot be written: {error}"))
}
