//! What is said on one connection to a cache, from the first query until something goes wrong (RFC 8210 §7, §8).

use std::{io, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Known, Reporter, until,
    update::{Refused, Update},
};
use crate::{
    io::rpki::line::{Broken, Line},
    validation::SourceSet,
    wire::rtr::{self, Fault, Header, Intervals, Pdu, Session, code, kind},
};

/// How long to wait for the first word of an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// A cache that stops in the middle of its data for so long has failed.
const STALL: Duration = Duration::from_secs(30);

const NOT_CONFIRMED: &str = "it did not confirm its data in time";

/// When to connect again.
pub(super) enum Again {
    /// After the wait that failures have.
    Later,
    /// At once: only the session is at an end, and everything is asked for.
    Now,
    /// At once and without ASPAs, for the reason given.
    WithoutAspas(String),
}

/// How a connection ended.
pub(super) struct Ended {
    /// In words.
    pub(super) why: String,
    /// What the connection itself said, where it failed.
    pub(super) error: Option<io::Error>,
    pub(super) again: Again,
}

impl Ended {
    fn new(why: impl Into<String>, again: Again) -> Self {
        Self { why: why.into(), error: None, again }
    }
}

/// What comes next on the connection.
enum Next {
    Pdu(Header),
    /// What comes cannot be a PDU.
    Garbled(Fault),
    /// The connection went; `None`: the cache closed it.
    Lost(Option<io::Error>),
    /// The data expired and were dropped.
    Expired,
    /// Nothing came in time.
    Due,
}

impl From<Result<Header, Broken>> for Next {
    fn from(next: Result<Header, Broken>) -> Self {
        match next {
            Ok(header) => Self::Pdu(header),
            Err(Broken::Closed) => Self::Lost(None),
            Err(Broken::Failed(error)) => Self::Lost(Some(error)),
            Err(Broken::Garbled(fault)) => Self::Garbled(fault),
        }
    }
}

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Query {
    /// For all there is.
    Reset,
    /// For what changed since.
    Serial(Session),
}

/// One connection.
pub(super) struct Talk<'a> {
    reporter: &'a Reporter,
    known: &'a mut Known,
    line: Line,
    /// What we ask in; the cache may answer in a lower one (§7).
    version: u8,
    /// Whether the cache has answered, which settles the version.
    settled: bool,
    /// A Serial Notify came while an answer was under way.
    notified: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn new(reporter: &'a Reporter, known: &'a mut Known, line: Line) -> Self {
        let version = known.session.map_or(known.begin_with, |(version, _)| version);
        Self { reporter, known, line, version, settled: false, notified: false }
    }

    /// Asks, and asks again, until something goes wrong.
    pub(super) async fn run(mut self) -> Ended {
        loop {
            if let Err(ended) = self.turn().await {
                return ended;
            }
        }
    }

    /// One query, its answer, and the wait for the next.
    async fn turn(&mut self) -> Result<(), Ended> {
        let session = self.known.session.filter(|(version, _)| *version == self.version && self.known.held.is_some());
        let query = session.map_or(Query::Reset, |(_, session)| Query::Serial(session));
        let octets = match query {
            Query::Reset => rtr::reset_query(self.version),
            Query::Serial(session) => rtr::serial_query(self.version, session),
        };
        self.notified = false;
        if let Err(error) = self.line.send(&octets).await {
            return Err(self.unanswered(query, Some(error)));
        }
        let Some(id) = self.begin(query).await? else { return Ok(()) };
        let session = self.take(query, id).await?;
        self.known.session = Some((self.version, session));
        self.reporter.note_session(session.id, session.serial, self.version);
        if self.notified { Ok(()) } else { self.wait(session.id).await }
    }

    /// Waits for the beginning of the answer: its session id. `None`: it is to be asked otherwise.
    async fn begin(&mut self, query: Query) -> Result<Option<u16>, Ended> {
        let due = Instant::now() + ANSWER;
        loop {
            let header = match self.next(due).await {
                Next::Pdu(header) => header,
                Next::Expired if query == Query::Reset => continue,
                Next::Expired => return Err(Ended::new(NOT_CONFIRMED, Again::Now)),
                Next::Due => {
                    self.known.session = None;
                    return Err(Ended::new("it did not answer in time", Again::Later));
                }
                Next::Garbled(fault) => return Err(self.refuse(fault, None).await),
                Next::Lost(lost) => return Err(self.unanswered(query, lost)),
            };
            // §7: a notification before the versions are settled says nothing, whatever its version is.
            if header.kind == kind::SERIAL_NOTIFY && !self.settled {
                continue;
            }
            if self.is_downgrade(header) {
                (self.version, self.known.session) = (header.version, None);
                return Ok(None);
            }
            match self.read(header).await? {
                Pdu::SerialNotify(_) => {} // it crossed our query
                Pdu::CacheReset if query != Query::Reset => {
                    self.settle(header);
                    self.known.session = None;
                    return Ok(None);
                }
                Pdu::CacheResponse(id) => {
                    self.settle(header);
                    if let Query::Serial(ours) = query
                        && (ours.id, self.known.session.map(|(version, _)| version)) != (id, Some(self.version))
                    {
                        let what = format!("it answers for session {id} where {} goes on", ours.id);
                        return Err(self.session_over(what).await);
                    }
                    return Ok(Some(id));
                }
                Pdu::ErrorReport { code, text } => return Err(self.reported(query, code, &text)),
                _ => return Err(self.unexpected(header, "where an answer begins").await),
            }
        }
    }

    /// An answer to versions that the cache does not know (§7): it names one of its own in the header.
    fn is_downgrade(&self, header: Header) -> bool {
        let unknown = (header.kind, header.field) == (kind::ERROR_REPORT, code::UNSUPPORTED_VERSION);
        !self.settled && unknown && header.version < self.version
    }

    fn settle(&mut self, header: Header) {
        (self.version, self.settled) = (header.version, true);
    }

    /// Takes the records of an answer, and puts them in force when all are there.
    async fn take(&mut self, query: Query, id: u16) -> Result<Session, Ended> {
        let mut update = Update::new(query == Query::Reset);
        loop {
            let header = self.next_record(query, &update).await?;
            let pdu = self.read(header).await?;
            let pdu = match update.push(pdu) {
                Ok(None) => continue,
                Ok(Some(other)) => other,
                Err(refused) => return Err(self.refuse_update(refused, true).await),
            };
            match pdu {
                Pdu::SerialNotify(_) => self.notified = true,
                Pdu::EndOfData(session, _) if session.id != id => {
                    let what = format!("its answer begins in session {id} and ends in {}", session.id);
                    return Err(self.session_over(what).await);
                }
                Pdu::EndOfData(session, intervals) => {
                    self.put_in_force(update, intervals.unwrap_or_default()).await?;
                    return Ok(session);
                }
                Pdu::ErrorReport { code, text } => return Err(self.reported(query, code, &text)),
                _ => return Err(self.unexpected(header, "in the middle of its data, before End of Data").await),
            }
        }
    }

    /// The next PDU of an answer.
    async fn next_record(&mut self, query: Query, update: &Update) -> Result<Header, Ended> {
        let due = Instant::now() + STALL;
        let so_far = || format!("in the middle of its data, after {} records and before End of Data", update.records());
        loop {
            return match self.next(due).await {
                Next::Pdu(header) => Ok(header),
                Next::Expired if query == Query::Reset => continue,
                Next::Expired => Err(Ended::new(NOT_CONFIRMED, Again::Now)),
                Next::Due => Err(Ended::new(format!("it stopped {}", so_far()), Again::Later)),
                Next::Garbled(fault) => Err(self.refuse(fault, None).await),
                Next::Lost(lost) => Err(self.lost(lost, &so_far())),
            };
        }
    }

    /// Waits until the cache is to be asked again: it has news, its refresh interval or ours is over, or what it said has
    /// expired.
    async fn wait(&mut self, id: u16) -> Result<(), Ended> {
        let refresh = Duration::from_secs(self.known.intervals.refresh_secs.max(1).into());
        let refresh = self.reporter.ask_every().map_or(refresh, |ours| ours.min(refresh));
        let header = match self.next(Instant::now() + refresh).await {
            Next::Pdu(header) => header,
            Next::Expired | Next::Due => return Ok(()),
            Next::Garbled(fault) => return Err(self.refuse(fault, None).await),
            Next::Lost(lost) => return Err(self.lost(lost, "")),
        };
        match self.read(header).await? {
            Pdu::SerialNotify(session) if session.id == id => Ok(()),
            Pdu::SerialNotify(session) => {
                let what = format!("it has news of session {} where {id} goes on", session.id);
                Err(self.session_over(what).await)
            }
            Pdu::ErrorReport { code, text } => Err(self.reported(Query::Reset, code, &text)),
            _ => Err(self.unexpected(header, "that nobody asked for").await),
        }
    }

    /// The next PDU, unless there is none until `due`, or the data expire and are dropped before.
    async fn next(&mut self, due: Instant) -> Next {
        // Most records of a large set are there already, and need no timers.
        if let Some(next) = self.line.buffered() {
            return next.into();
        }
        loop {
            let expiry = self.reporter.expiry();
            return tokio::select! {
                next = self.line.next() => next.into(),
                () = tokio::time::sleep_until(due) => Next::Due,
                () = until(expiry) => {
                    if !self.reporter.expire() {
                        continue;
                    }
                    self.known.forget();
                    Next::Expired
                }
            };
        }
    }

    /// Decodes the PDU of this header, whose version must be the one that is spoken (§7).
    async fn read(&mut self, header: Header) -> Result<Pdu, Ended> {
        let fits = if self.settled { header.version == self.version } else { header.version <= self.version };
        if !fits && header.kind != kind::ERROR_REPORT {
            let what = format!("{} is of version {} where {} is spoken", header.name(), header.version, self.version);
            return Err(self.refuse(Fault { code: code::UNEXPECTED_VERSION, what }, None).await);
        }
        match rtr::decode(self.line.octets()) {
            Ok(pdu) => Ok(pdu),
            Err(fault) => Err(self.refuse(fault, Some(header)).await),
        }
    }

    async fn put_in_force(&mut self, update: Update, intervals: Intervals) -> Result<(), Ended> {
        let source = SourceSet::one(self.reporter.id);
        match update.apply(self.known.held.as_ref(), source) {
            Ok(snapshot) => {
                self.known.held = Some(Arc::clone(&snapshot));
                self.known.intervals = intervals;
                let expire = Duration::from_secs(intervals.expire_secs.into());
                let expire = self.reporter.expire_after().unwrap_or(expire);
                let with_aspas = self.version > super::WITHOUT_ASPAS;
                self.reporter.synced(&snapshot, expire, |view| {
                    if with_aspas {
                        view.without_aspas = None;
                    }
                });
                Ok(())
            }
            Err(refused) => Err(self.refuse_update(refused, false).await),
        }
    }

    /// Tells the cache what is wrong with the PDU that was just read, and ends. One that went wrong in what was asked
    /// begins anew, or the same would come again.
    async fn refuse(&mut self, fault: Fault, header: Option<Header>) -> Ended {
        let of_aspas = header.is_some_and(|header| header.kind == kind::ASPA);
        self.refuse_update(Refused { fault, of_aspas }, true).await
    }

    /// The same for what an answer says; `pdu`: the fault is in the PDU that was just read.
    async fn refuse_update(&mut self, refused: Refused, pdu: bool) -> Ended {
        let Refused { fault: Fault { code, what }, of_aspas } = refused;
        let faulty = if pdu { self.line.octets() } else { &[] };
        // §5.11: nothing is reported about a report.
        if Header::decode(faulty).is_none_or(|header| header.kind != kind::ERROR_REPORT) {
            let report = rtr::error_report_on(self.version, code, faulty, &what);
            // It may be gone already, and then it does not miss the report.
            let _ = self.line.send(&report).await;
        }
        let was_serial = self.known.session.take().is_some();
        let again = match (of_aspas, was_serial) {
            (true, _) if self.version > super::WITHOUT_ASPAS => Again::WithoutAspas(what.clone()),
            (_, true) => Again::Now,
            (_, false) => Again::Later,
        };
        Ended::new(format!("what it sent was refused: {what}"), again)
    }

    async fn unexpected(&mut self, header: Header, place: &str) -> Ended {
        let fault = Fault { code: code::CORRUPT_DATA, what: format!("it sent {} {place}", header.name()) };
        self.refuse(fault, None).await
    }

    /// Session ids differ: the session is at an end for both (§5.1).
    async fn session_over(&mut self, what: String) -> Ended {
        let fault = Fault { code: code::CORRUPT_DATA, what: format!("{what}, so everything is asked for anew") };
        self.refuse(fault, None).await
    }

    /// The cache says that something is wrong.
    fn reported(&mut self, query: Query, code: u16, text: &str) -> Ended {
        let name = rtr::code_name(code);
        let mut why = match text {
            "" => format!("it reports error {code} ({name})"),
            text => format!("it reports error {code} ({name}): {text}"),
        };
        // §8.4: a cache without data has not forgotten the session.
        if code == code::NO_DATA_AVAILABLE || query == Query::Reset {
            return Ended::new(why, Again::Later);
        }
        self.known.session = None;
        why.push_str(", so everything is asked for anew");
        Ended::new(why, Again::Now)
    }

    /// The connection went before the answer came. Some caches do so with a session of their last life, without the Error
    /// Report of §5.1.
    fn unanswered(&mut self, query: Query, lost: Option<io::Error>) -> Ended {
        match query {
            Query::Reset => self.lost(lost, "without an answer"),
            Query::Serial(session) => {
                self.known.session = None;
                let what = format!("without an answer for session {}, so everything is asked for anew", session.id);
                Ended { again: Again::Now, ..self.lost(lost, &what) }
            }
        }
    }

    /// The connection went; `None`: the cache closed it.
    fn lost(&self, error: Option<io::Error>, when: &str) -> Ended {
        let gap = if when.is_empty() { "" } else { " " };
        let cut = if self.line.is_inside() { ", inside a PDU" } else { "" };
        let why = match &error {
            Some(error) => format!("the connection failed{gap}{when}{cut}: {error}"),
            None => format!("it closed the connection{gap}{when}{cut}"),
        };
        Ended { why, error, again: Again::Later }
    }
}
