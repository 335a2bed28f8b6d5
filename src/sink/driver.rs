//! A sink at work: a task that feeds its `Courier` with changes, answers and time, and does what comes out. What is told
//! to a sink never waits for it: changes go into a bounded inbox, and when that is full the oldest is dropped and counted.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use super::{
    Outcome, Parcel, SinkSettings,
    courier::{Action, Courier},
    transport::Transport,
};
use crate::{alert::Change, detect::Report, types::Timestamp, view::sinks::SinkView};

/// Where a sink keeps what must outlive the process. Every function is called where it may wait for a disk.
pub trait Keeper: Send + 'static {
    /// All records.
    fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// Keeps a value under a key.
    ///
    /// # Errors
    /// The disk; nothing changed then.
    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()>;
    /// Forgets what is under a key.
    ///
    /// # Errors
    /// The disk; nothing changed then.
    fn remove(&mut self, key: &[u8]) -> io::Result<()>;
    /// Keeps a dead letter, one line without its end.
    ///
    /// # Errors
    /// The disk.
    fn bury(&mut self, line: &str) -> io::Result<()>;
}

/// What a sink has around it.
#[derive(Clone)]
pub struct Surroundings {
    /// The clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where a sink that is down is reported to; must not block.
    pub report: Arc<dyn Fn(Report) + Send + Sync>,
    /// Equal seeds make equal waiting times.
    pub seed: u64,
    /// The last change that the desk knows of; 0: none.
    pub last_seq: u64,
}

/// A sink at work.
pub struct Sink {
    name: String,
    inbox: Arc<Inbox>,
    view: Arc<Mutex<SinkView>>,
    taken: u64,
    stop: watch::Sender<bool>,
}

impl Sink {
    /// Starts a sink on the runtime that this is called in; without a keeper, what waits is lost with the process.
    ///
    /// # Errors
    /// One sentence: certificates cannot be read.
    pub fn start(
        settings: SinkSettings,
        keeper: Option<Box<dyn Keeper>>,
        around: Surroundings,
    ) -> Result<Self, String> {
        let name = settings.name.clone();
        let transport = Transport::new(&settings).map_err(|why| format!("[[sink]] {name}: {why}"))?;
        let settings = Arc::new(settings);
        let mut courier = Courier::new(Arc::clone(&settings), around.seed);
        if let Some(keeper) = &keeper {
            let unreadable = courier.restore((around.now)(), keeper.records(), around.last_seq);
            if unreadable > 0 {
                warn!("sink {name}: records that this version cannot read: {unreadable}");
            }
            if !courier.is_idle() {
                info!("sink {name}: {} deliveries waited for this start", courier.view().queue_len);
            }
        }
        let inbox = Arc::new(Inbox::new(settings.queue_max));
        let view = Arc::new(Mutex::new(courier.view()));
        let (stop, stopped) = watch::channel(false);
        let taken = courier.taken();
        let driver = Driver {
            courier,
            transport: Arc::new(transport),
            settings,
            keeper,
            keeper_troubled: false,
            around,
            inbox: Arc::clone(&inbox),
            attempts: JoinSet::new(),
            view: Arc::clone(&view),
        };
        tokio::spawn(driver.run(stopped));
        Ok(Self { name, inbox, view, taken, stop })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last change that was looked at before this start: the stream of changes goes on behind it. 0: none.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// A change happened. Never waits.
    pub fn tell(&self, change: &Arc<Change>) {
        self.inbox.push(Arc::clone(change));
    }

    /// Counts and state.
    pub fn view(&self) -> SinkView {
        lock(&self.view).clone()
    }

    /// Begins to end the sink: nothing new is sent, what waits stays on disk.
    pub fn stop(&self) {
        // The task may be gone already.
        let _ = self.stop.send(true);
    }

    /// Waits until what was under way when it was stopped has been answered, and all is on disk.
    pub async fn ended(&self) {
        self.stop.closed().await;
    }
}

/// Changes on their way to a sink.
struct Inbox {
    waiting: Mutex<(VecDeque<Arc<Change>>, u64)>,
    len_max: usize,
    filled: Notify,
}

impl Inbox {
    fn new(len_max: usize) -> Self {
        Self { waiting: Mutex::default(), len_max, filled: Notify::new() }
    }

    fn push(&self, change: Arc<Change>) {
        {
            let mut waiting = lock(&self.waiting);
            if waiting.0.len() >= self.len_max {
                waiting.0.pop_front();
                waiting.1 += 1;
            }
            waiting.0.push_back(change);
        }
        self.filled.notify_one();
    }

    /// All that is there, and how many were dropped before it.
    fn take(&self) -> (VecDeque<Arc<Change>>, u64) {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

struct Driver {
    courier: Courier,
    transport: Arc<Transport>,
    settings: Arc<SinkSettings>,
    keeper: Option<Box<dyn Keeper>>,
    keeper_troubled: bool,
    around: Surroundings,
    inbox: Arc<Inbox>,
    attempts: JoinSet<(u64, Outcome)>,
    view: Arc<Mutex<SinkView>>,
}

impl Driver {
    /// Ends with `stopped`, which is dropped when everything is done.
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut actions = Vec::new();
        self.courier.due(self.now(), &mut actions);
        self.perform(&mut actions).await;
        loop {
            let wait = self.courier.next_deadline().map(|at| at.since(self.now()));
            tokio::select! {
                () = self.inbox.filled.notified() => self.take_all(&mut actions),
                Some(answer) = self.attempts.join_next() => self.answered(answer.ok(), &mut actions),
                () = sleep(wait) => self.courier.due(self.now(), &mut actions),
                // An error means that the handle is gone: the same.
                _ = stopped.wait_for(|stop| *stop) => break,
            }
            self.perform(&mut actions).await;
        }
        self.farewell(actions).await;
        // First the queue is let go of, then it is said that this one has ended: another may wait to open it.
        drop(self);
        drop(stopped);
    }

    fn now(&self) -> Timestamp {
        (self.around.now)()
    }

    fn take_all(&mut self, actions: &mut Vec<Action>) {
        let (changes, missed) = self.inbox.take();
        let now = self.now();
        self.courier.missed(missed, actions);
        for change in changes {
            self.courier.take(now, change, actions);
        }
    }

    fn answered(&mut self, answer: Option<(u64, Outcome)>, actions: &mut Vec<Action>) {
        if let Some((number, outcome)) = answer {
            self.courier.answered(self.now(), number, outcome, actions);
        }
    }

    /// Does what the courier says, in its order.
    async fn perform(&mut self, actions: &mut Vec<Action>) {
        let mut disk = Vec::new();
        for action in actions.drain(..) {
            match action {
                Action::Put(..) | Action::Remove(_) | Action::Bury(_) => disk.push(action),
                Action::Send { number, parcels } => {
                    write(&mut self.keeper, &mut disk, &mut self.keeper_troubled, &self.settings.name).await;
                    let (transport, settings) = (Arc::clone(&self.transport), Arc::clone(&self.settings));
                    let now = (self.around.now)();
                    self.attempts.spawn(attempt(transport, settings, number, parcels, now));
                }
                Action::Report(report) => (self.around.report)(*report),
                Action::Warn(line) => warn!("{line}"),
                Action::Info(line) => info!("{line}"),
            }
        }
        write(&mut self.keeper, &mut disk, &mut self.keeper_troubled, &self.settings.name).await;
        *lock(&self.view) = self.courier.view();
    }

    /// Takes what came last, so that it is on disk, and hears the answers of what is under way; starts nothing new.
    async fn farewell(&mut self, mut actions: Vec<Action>) {
        self.take_all(&mut actions);
        self.perform_without_sending(&mut actions).await;
        while let Some(answer) = self.attempts.join_next().await {
            self.answered(answer.ok(), &mut actions);
            self.perform_without_sending(&mut actions).await;
        }
    }

    async fn perform_without_sending(&mut self, actions: &mut Vec<Action>) {
        actions.retain(|action| !matches!(action, Action::Send { .. }));
        self.perform(actions).await;
    }
}

/// One attempt. A fault of ours in the middle of it is an answer, too: the courier waits for one.
async fn attempt(
    transport: Arc<Transport>,
    settings: Arc<SinkSettings>,
    number: u64,
    parcels: Vec<Parcel>,
    now: Timestamp,
) -> (u64, Outcome) {
    let delivery = tokio::spawn(async move { transport.deliver(&settings, &parcels, now).await });
    let outcome = delivery.await;
    (number, outcome.unwrap_or_else(|error| Outcome::later(format!("the attempt ended with a fault of ours: {error}"))))
}

/// Writes on a thread that may wait for the disk. Trouble is told once: what waits is in memory all the same.
async fn write(keeper: &mut Option<Box<dyn Keeper>>, disk: &mut Vec<Action>, troubled: &mut bool, name: &str) {
    let actions = std::mem::take(disk);
    if actions.is_empty() {
        return;
    }
    let Some(mut used) = keeper.take() else { return };
    let written = tokio::task::spawn_blocking(move || {
        let each = actions.iter().map(|action| match action {
            Action::Put(key, value) => used.put(key, value),
            Action::Remove(key) => used.remove(key),
            Action::Bury(line) => used.bury(line),
            _ => Ok(()),
        });
        // All are tried; the first that failed says why.
        let result: Result<(), _> = each.collect::<Vec<_>>().into_iter().collect();
        (used, result)
    });
    // Only a process that is ending stops a thread.
    let Ok((used, result)) = written.await else { return };
    *keeper = Some(used);
    match result {
        Ok(()) => *troubled = false,
        Err(error) if !*troubled => {
            *troubled = true;
            warn!("sink {name}: [state] dir cannot be written, so what waits is lost with this process: {error}");
        }
        Err(_) => {}
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked in here left whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
