//! The owner of the RIB: applies import, decision and export in order. One `Engine` per shard of the prefix
//! space, each the sole owner of its slice; deterministic, no clock, no I/O.
//!
//! The vocabulary between the engine and its driver stands here, with the engine itself. A route meets the files
//! in this order:
//!
//! ```text
//! import      an UPDATE, judged once per attribute set; max_prefix counts          } sessions: who is who
//! local       routes of our own                                                    } background: who went
//! retention   what is kept of a session that was lost; deferral: our own restart; hold: RPKI data at start
//! desk        the one place where a path is filed or taken out, best path chosen   } refresh: who sends again
//! events      what changed, numbered; observe: the same for those who watch every change
//! groups      who is sent the same, and what they were told (update_group)
//! export      what is dirty goes out: transform (attributes), filters (what neighbours want), stream (octets)
//! query       answers, with rows, explain, what_if
//! ```
//!
//! # Time
//! The engine reads no clock. It must be called at `next_deadline` (`flush` will do) even when nothing happens.
//!
//! # The way out
//! `Action::Send` hands octets to the driver, which queues them behind its control lane. The engine counts them
//! per neighbour and stops above [`SEND_QUEUE_HIGH`]; nothing is dropped, changes stay dirty. The driver sends
//! [`Input::Writable`] each time when it has taken at least a quarter of the limit since the last `Writable` and
//! less than a quarter of the limit is left unwritten.

mod background;
mod deferral;
mod desk;
mod events;
mod explain;
mod export;
mod filters;
mod flows;
mod groups;
mod hold;
mod import;
mod local;
mod max_prefix;
mod observe;
mod query;
mod refresh;
mod retention;
mod rows;
mod sessions;
mod settings;
mod stream;
mod summary;
pub mod transform;
mod update_group;
mod what_if;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    policy::{Library, PolicyChain},
    rib::{Knobs, NlriRef, Rib, SessionFacts, SetId, Source},
    session::negotiate::Negotiated,
    types::{Family, PeerId, PeerKind, Prefix, Timestamp},
    validation,
    view::{EventBatch, Nlri, observed::Observation},
    wire::bgp::{RouteRefresh, notification::Notification, orf::OrfRefresh},
};

pub use self::import::{Sender, Validator, Validity};
pub use self::settings::{
    AddPathSelect, Confederation, EngineSettings, ExportOptions, FILTER_ENTRIES_MAX, ImportOptions, LocalAs, MaxPrefix,
    NextHopRule, Owned, PeerSettings, RemovePrivate, Retention,
};
use self::{
    background::{Background, Job},
    deferral::Deferral,
    events::Events,
    flows::Flows,
    groups::Groups,
    hold::Hold,
    import::{Ahead, ImportRules, Judge},
    observe::Watched,
    sessions::{LOCAL, Session, Sessions, Slot},
    stream::Stream,
    update_group::GroupKey,
};

/// Octets handed out to one neighbour and not known to be written, above which it is sent nothing more.
pub const SEND_QUEUE_HIGH: usize = 1 << 20;

/// What happens to the engine. Batches of UPDATEs have a call of their own, `Engine::apply`.
#[derive(Debug)]
pub enum Input {
    /// A session is established; its routes follow.
    PeerUp {
        /// Which neighbour.
        peer: PeerId,
        /// Its settings.
        settings: Arc<PeerSettings>,
        /// What both OPENs agreed on.
        negotiated: Arc<Negotiated>,
    },
    /// The session ended, or what was kept of it is not to be kept any more; its routes go, in the background.
    PeerDown {
        /// Which neighbour.
        peer: PeerId,
    },
    /// The session was lost in a way that the neighbour may return from (RFC 4724 §4.2): its routes are kept as both
    /// sides agreed, else they go as with `PeerDown`.
    PeerLost {
        /// Which neighbour.
        peer: PeerId,
    },
    /// The neighbour was taken out of the configuration, and its session has ended.
    PeerGone {
        /// What it was called.
        name: Arc<str>,
    },
    /// We restarted (RFC 4724 §4.1): to be told before any session is up.
    Restarted {
        /// Nothing is sent to anybody until these neighbours are up and have sent End-of-RIB,
        expected: Vec<IpAddr>,
        /// or until then.
        until: Timestamp,
    },
    /// All policies and sets that neighbours' settings can name, from now on. Sessions whose policies mean something
    /// else are judged again and sent the difference; none ends.
    Policies(Arc<Library>),
    /// The decision process has other settings; best paths are chosen again in the background.
    Decision(Knobs),
    /// The subnets that our interfaces are on now; what `next_hop_check = "connected"` asks for.
    Connected(Vec<Prefix>),
    /// What RPKI says is something else now.
    Rpki(Box<validation::Update>),
    /// We started: what neighbours send is neither judged by policy nor selected, and nothing is sent,
    HoldImport {
        /// until these sources of RPKI data have answered,
        sources: Vec<String>,
        /// or until then.
        until: Timestamp,
    },
    /// A source of RPKI data has answered for the first time (its data were told before), or is not asked any more.
    SourceAnswered(String),
    /// What may be originated by command from now on. Routes of our own that are there stay until they are withdrawn; how
    /// many of them lie outside is noted.
    Owned(Owned),
    /// Its settings are others now, and its session goes on: what it sent is judged again where that matters, and it is
    /// sent the difference. Not for what OPEN says, or for `monitor_only`.
    Reconfigure {
        /// Which neighbour.
        peer: PeerId,
        /// What holds from now on.
        settings: Arc<PeerSettings>,
    },
    /// The neighbour sent ROUTE-REFRESH (RFC 2918, RFC 7313).
    Refresh {
        /// Which neighbour.
        peer: PeerId,
        /// The message.
        refresh: RouteRefresh,
    },
    /// The neighbour sent ROUTE-REFRESH about the filter of what it wants to be sent (RFC 5291).
    Filter {
        /// Which neighbour.
        peer: PeerId,
        /// The message.
        filter: OrfRefresh,
    },
    /// The neighbour's outbound queue has room again.
    Writable {
        /// Which neighbour.
        peer: PeerId,
    },
    /// Whether anybody listens to events; without a listener none are made.
    EventsWanted(bool),
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Write these whole messages to the neighbour, behind what is queued already.
    Send {
        /// To whom.
        peer: PeerId,
        /// Whole BGP messages.
        messages: Bytes,
        /// How many messages there are.
        count: u32,
    },
    /// End the neighbour's session with this NOTIFICATION.
    Notify {
        /// Whose session.
        peer: PeerId,
        /// What to send.
        notification: Notification,
        /// When the session may come back; `None`: when an operator enables it.
        restart_after: Option<Duration>,
    },
    /// Changes for those who listen.
    Events(Arc<EventBatch>),
    /// One line for the log, about a neighbour.
    Warn {
        /// About whom.
        peer: PeerId,
        /// What happened.
        text: String,
    },
    /// One line for the log, about no neighbour.
    Note(String),
}

/// How far into a batch `Engine::apply` has come. Begin with the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchProgress {
    item: usize,
    routes: usize,
}

/// The tables of one shard and everything that works on them.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    /// Policies by name.
    library: Arc<Library>,
    rib: Rib,
    /// By slot; what the decision process asks about sessions.
    facts: Vec<SessionFacts>,
    sessions: Sessions,
    groups: Groups,
    events: Events,
    /// What observers have not seen.
    watched: Watched,
    background: Background,
    /// Routes of our own, for those who ask for a list of them.
    locals: BTreeSet<(Family, Nlri)>,
    /// Refreshes of neighbours that are under way; most of the time none.
    refreshing: Vec<(Slot, Family)>,
    /// Sessions of which something is kept over their loss, lost or back; most of the time none.
    retaining: Vec<Slot>,
    /// What is sent to neighbours waits for what comes from them.
    deferral: Deferral,
    /// Import waits for RPKI data.
    hold: Hold,
    /// Sessions whose queue is full.
    blocked: Vec<Slot>,
    /// Sessions whose update group may have to be another one; most of the time none.
    regrouping: Vec<Slot>,
    /// The attributes of the default route that neighbours are sent with `default_originate`; while an export goes on.
    default_set: Option<SetId>,
    /// Buffers of `export`, kept between pages.
    stream: Stream,
    /// Buffers of `import`.
    judge: Judge,
    /// What warming up said of the next routes of the batch in hand.
    ahead: Ahead,
    flows: Flows,
}

impl Engine {
    /// An engine without sessions and routes. Its hash tables are seeded with a fixed number: good for tests and
    /// tools; where neighbours choose the octets, use [`Self::seeded`].
    pub fn new(settings: EngineSettings) -> Self {
        Self::seeded(settings, 0)
    }

    /// As `new`, with hash tables whose order nobody outside can foresee. What the engine does never depends on
    /// the seed.
    pub fn seeded(settings: EngineSettings, seed: u64) -> Self {
        let local = SessionFacts {
            source: Source::Local,
            asn: settings.asn,
            weight: 0,
            router_id: settings.router_id,
            address: std::net::Ipv4Addr::from(settings.router_id.0).into(),
            usable: true,
        };
        Self {
            settings,
            library: Arc::default(),
            rib: Rib::new(seed),
            facts: vec![local],
            sessions: Sessions::default(),
            groups: Groups::default(),
            events: Events::default(),
            watched: Watched::default(),
            background: Background::default(),
            locals: BTreeSet::new(),
            refreshing: Vec::new(),
            retaining: Vec::new(),
            deferral: Deferral::default(),
            hold: Hold::default(),
            blocked: Vec::new(),
            regrouping: Vec::new(),
            default_set: None,
            stream: Stream::default(),
            judge: Judge::default(),
            ahead: Ahead::default(),
            flows: Flows::default(),
        }
    }

    /// Takes one input; what the driver must do is appended to `out`, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::PeerUp { peer, settings, negotiated } => self.peer_up(now, peer, settings, negotiated, out),
            Input::PeerDown { peer } => self.peer_down(peer),
            Input::PeerLost { peer } => self.peer_lost(now, peer),
            Input::PeerGone { name } => self.watched.note(|| Observation::Gone { name }),
            Input::Restarted { expected, until } => self.deferral = Deferral::new(expected, until),
            Input::Policies(library) => self.take_policies(library),
            Input::Decision(knobs) => self.take_knobs(knobs),
            Input::Connected(subnets) => self.take_connected(&subnets),
            Input::Rpki(update) => self.take_rpki(now, *update),
            Input::HoldImport { sources, until } => self.hold_import(sources, until),
            Input::SourceAnswered(name) => self.source_answered(&name, out),
            Input::Owned(owned) => self.take_owned(owned, out),
            Input::Reconfigure { peer, settings } => self.reconfigure(peer, settings, out),
            Input::Refresh { peer, refresh } => self.refresh(now, peer, refresh, out),
            Input::Filter { peer, filter } => self.take_filter(peer, filter, out),
            Input::Writable { peer } => self.writable(peer),
            Input::EventsWanted(wanted) => self.events.want(wanted),
        }
    }

    /// The end of a wake-up: goes on with background work, sends what is dirty to neighbours whose queue has room,
    /// hands out events. About `budget` prefixes are looked at per kind of work and update group. True: call again
    /// soon, there is more that can be done now.
    pub fn flush(&mut self, now: Timestamp, budget: usize, out: &mut Vec<Action>) -> bool {
        self.end_overdue_refreshes(now);
        self.retention_due(now);
        self.end_deferral(now);
        self.end_hold(now, out);
        let tidying = self.background_step(now, budget);
        self.settle_flows(now);
        self.end_silence();
        let sending = self.export(now, budget, out);
        self.events.publish(out);
        tidying || sending
    }

    /// When `flush` must be called at the latest though nothing happens; `None`: nothing is armed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.next_overdue_refresh(),
            self.next_ejection(),
            self.next_advertisement(),
            self.next_retention(),
            self.deferral.until(),
            self.hold.until(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn peer_up(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        settings: Arc<PeerSettings>,
        negotiated: Arc<Negotiated>,
        out: &mut Vec<Action>,
    ) {
        let monitor_only = settings.monitor_only;
        let facts = SessionFacts {
            source: self.kind_of(&negotiated),
            asn: negotiated.peer_asn,
            weight: settings.import_options.weight,
            router_id: negotiated.peer_router_id,
            address: negotiated.remote.ip().to_canonical(),
            usable: true,
        };
        let import = ImportRules::new(&self.settings, &self.library, &settings, &negotiated, facts.source);
        let export = PolicyChain::new(&self.library, &settings.export, negotiated.kind);
        let (known_as, agreed) = (Arc::clone(&settings), Arc::clone(&negotiated));
        let session = Session::new(peer, settings, negotiated, import, export);
        self.deferral.came_up(facts.address);
        let mut resumed = false;
        let slot = match self.may_take_over(&session, &facts) {
            Some(slot) => {
                self.take_over(now, slot, session);
                resumed = true;
                Some(slot)
            }
            None => {
                // What was kept is another speaker's; and a driver that lost the end of the last session must not leave
                // two.
                self.peer_down(peer);
                self.sessions.open(session)
            }
        };
        let Some(slot) = slot else {
            let notification = Notification::cease(OUT_OF_RESOURCES);
            out.push(Action::Warn { peer, text: "65,535 sessions have routes in the tables, no more fit".into() });
            out.push(Action::Notify { peer, notification, restart_after: Some(Duration::from_secs(60)) });
            return;
        };
        self.set_facts(slot, facts);
        self.set_vantage(slot, &known_as, &agreed, facts.source == Source::Internal);
        self.watched.note(|| Observation::Up { session: slot, resumed });
        if self.settings.best_path && !monitor_only {
            self.join_group(slot);
            let group = self.sessions.get(slot).and_then(|session| session.group).filter(|_| resumed);
            if let Some(group) = group.and_then(|at| self.groups.get_mut(at)) {
                group.member_has_paths();
            }
        }
    }

    fn set_facts(&mut self, slot: Slot, facts: SessionFacts) {
        let at = usize::from(slot);
        if at >= self.facts.len() {
            self.facts.resize(at + 1, SessionFacts { usable: false, ..facts });
        }
        self.facts[at] = facts;
    }

    fn join_group(&mut self, slot: Slot) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let key = GroupKey::of(session, &self.settings);
        let at = self.groups.join(slot, key);
        session.group = Some(at);
        self.mark_defaults(at);
    }

    /// Has the default route looked at where a group is sent one, or was: there may be no path of it in the tables.
    fn mark_defaults(&mut self, at: usize) {
        let Some(group) = self.groups.get_mut(at) else { return };
        for (index, family) in group.families_with_default() {
            let prefix = if family.afi == 1 { Prefix::v4(0, 0) } else { Prefix::v6(0, 0) };
            let table = self.rib.tables.open(family);
            if let (Some(id), Some(of)) = (table.find_or_insert(NlriRef::Prefix(prefix)), group.tables.get_mut(index)) {
                of.out.mark_dirty(id);
            }
        }
    }

    /// From here on the session's paths are no candidates; they are removed in the background.
    fn peer_down(&mut self, peer: PeerId) {
        let Some(slot) = self.sessions.end(peer) else { return };
        if let Some(facts) = self.facts.get_mut(usize::from(slot)) {
            facts.usable = false;
        }
        self.watched.note(|| Observation::Down { session: slot });
        self.leave(slot);
        self.retaining.retain(|retaining| *retaining != slot);
        self.background.add(Job::Purge(slot));
    }

    /// Nothing is sent to the session any more, and no refresh of it goes on.
    fn leave(&mut self, slot: Slot) {
        self.blocked.retain(|blocked| *blocked != slot);
        self.refreshing.retain(|(refreshing, _)| *refreshing != slot);
        self.regrouping.retain(|regrouping| *regrouping != slot);
        let group = self.sessions.get_mut(slot).and_then(|session| session.group.take());
        if let Some(at) = group {
            self.groups.leave(at, slot);
        }
    }

    /// Where the paths of a session come from (RFC 5065 §4 for members of our confederation).
    fn kind_of(&self, negotiated: &Negotiated) -> Source {
        let confederation = self.settings.confederation.as_ref();
        match negotiated.kind {
            PeerKind::Internal => Source::Internal,
            PeerKind::External if confederation.is_some_and(|c| c.members.contains(&negotiated.peer_asn)) => {
                Source::Confederation
            }
            PeerKind::External => Source::External,
        }
    }

    fn source_of(&self, slot: Slot) -> Source {
        self.facts.get(usize::from(slot)).map_or(Source::Local, |facts| facts.source)
    }
}

/// Cease subcode "Out of Resources" (RFC 4486 §3).
const OUT_OF_RESOURCES: u8 = 8;
