//! What people do about alerts: take one, give it back, write something, mute. Only the routes resolve one.

use std::{fmt, sync::Arc, time::Duration};

use super::Desk;
use crate::{
    alert::{Alert, Change, Comment, Mute, Scope, State, Why, id::id},
    types::Timestamp,
    view::Refusal,
};

/// Mutes at one time.
const MUTES_MAX: usize = 1000;
/// Comments of one alert.
const COMMENTS_MAX: usize = 200;
/// Characters of what somebody writes.
const TEXT_MAX: usize = 4000;
/// Characters of a name.
const AUTHOR_MAX: usize = 100;
/// The longest mute: who needs more wants another rule.
const MUTE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Characters from which on the beginning of an id may stand for it.
const ID_MIN: usize = 4;

/// Something to do. Alerts are named by their id or a beginning of it that no other has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Somebody looks at it: it is not told again until it gets worse or comes back.
    Acknowledge {
        /// Which alert.
        id: String,
        /// Who.
        author: String,
        /// A comment; empty: none.
        note: String,
    },
    /// Nobody looks at it after all.
    Unacknowledge {
        /// Which alert.
        id: String,
        /// Who.
        author: String,
        /// A comment; empty: none.
        note: String,
    },
    /// Write something about it.
    Comment {
        /// Which alert.
        id: String,
        /// Who.
        author: String,
        /// What.
        text: String,
    },
    /// Tell nobody for a time.
    Mute {
        /// Of what; not of everything. An alert may be named by the beginning of its id.
        scope: Scope,
        /// Why.
        reason: String,
        /// Who.
        author: String,
        /// For how long.
        length: Duration,
    },
    /// End a mute, or all mutes of one alert alone.
    Unmute {
        /// Of the mute, or of the alert.
        id: String,
    },
}

impl fmt::Display for Command {
    /// What it asks for, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledge { id, author, note } | Self::Unacknowledge { id, author, note } => {
                write!(f, "alert {id}, by {author}: {note}")
            }
            Self::Comment { id, author, text } => write!(f, "alert {id}, by {author}: {text}"),
            Self::Mute { scope, reason, author, length } => {
                let Scope { kinds, prefixes, asns, neighbors, alert } = scope;
                if let Some(id) = alert {
                    write!(f, "alert {id}, ")?;
                }
                kinds.iter().try_for_each(|kind| write!(f, "{kind}, "))?;
                prefixes.iter().try_for_each(|prefix| write!(f, "{prefix}, "))?;
                asns.iter().try_for_each(|asn| write!(f, "AS{}, ", asn.0))?;
                neighbors.iter().try_for_each(|neighbor| write!(f, "neighbor {neighbor}, "))?;
                write!(f, "for {}s, by {author}: {reason}", length.as_secs())
            }
            Self::Unmute { id } => write!(f, "mute {id}"),
        }
    }
}

/// What was done.
#[derive(Clone, PartialEq, Debug)]
pub enum Done {
    /// The alert after it.
    Alert(Arc<Alert>),
    /// The mute that holds now.
    Muted(Mute),
    /// So many mutes ended.
    Unmuted(usize),
}

impl Desk {
    /// Carries out what somebody asks for at `now`; what changed is appended to `out`.
    ///
    /// # Errors
    /// `NotFound`: no such alert or mute. `Invalid`: a word is missing or too long. `NotNow`: the alert is over, or there
    /// are too many mutes. Nothing was done then.
    pub fn command(&mut self, now: Timestamp, command: Command, out: &mut Vec<Change>) -> Result<Done, Refusal> {
        self.run_timers(now, out);
        match command {
            Command::Acknowledge { id, author, note } => self.acknowledge(&id, author, note, out),
            Command::Unacknowledge { id, author, note } => self.unacknowledge(&id, author, note, out),
            Command::Comment { id, author, text } => {
                let (id, author) = (self.find(&id)?, name(author)?);
                let comment = self.comment(&id, author, text)?;
                self.edit(&id, |alert, _| alert.comments.push(comment));
                self.emit(&id, Why::Commented, None, out);
                self.done(&id)
            }
            Command::Mute { scope, reason, author, length } => self.mute(scope, reason, author, length, out),
            Command::Unmute { id } => self.unmute(&id, out),
        }
    }

    fn acknowledge(&mut self, id: &str, author: String, note: String, out: &mut Vec<Change>) -> Result<Done, Refusal> {
        let (id, author) = (self.find(id)?, name(author)?);
        let alert = self.live_alert(&id)?;
        if alert.acknowledged_by.as_ref() == Some(&author) && note.is_empty() {
            return self.done(&id);
        }
        let comment = if note.is_empty() { None } else { Some(self.comment(&id, author.clone(), note)?) };
        self.edit(&id, |alert, _| {
            alert.state = State::Acknowledged;
            alert.acknowledged_by = Some(author);
            alert.comments.extend(comment);
        });
        self.emit(&id, Why::Acknowledged, None, out);
        self.done(&id)
    }

    fn unacknowledge(
        &mut self,
        id: &str,
        author: String,
        note: String,
        out: &mut Vec<Change>,
    ) -> Result<Done, Refusal> {
        let (id, author) = (self.find(id)?, name(author)?);
        let alert = self.live_alert(&id)?;
        if alert.state == State::Open {
            return Err(Refusal::NotNow(format!("alert {id} is not acknowledged")));
        }
        let note = if note.is_empty() { "acknowledgement taken back".to_owned() } else { note };
        let comment = self.comment(&id, author, note)?;
        self.edit(&id, |alert, _| {
            alert.state = State::Open;
            alert.acknowledged_by = None;
            alert.comments.push(comment);
        });
        self.emit(&id, Why::Changed, None, out);
        self.done(&id)
    }

    fn mute(
        &mut self,
        mut scope: Scope,
        reason: String,
        author: String,
        length: Duration,
        out: &mut Vec<Change>,
    ) -> Result<Done, Refusal> {
        let (reason, author) = (text("reason", reason, TEXT_MAX)?, name(author)?);
        if scope.is_everything() {
            return Err(Refusal::Invalid(
                "a mute needs an alert, kind, prefix, AS or neighbor: nothing mutes everything".to_owned(),
            ));
        }
        if length.is_zero() || length > MUTE_MAX {
            return Err(Refusal::Invalid("a mute ends: after more than nothing, and within a year".to_owned()));
        }
        if self.mutes.len() >= MUTES_MAX {
            return Err(Refusal::NotNow(format!("there are {MUTES_MAX} mutes already: end some")));
        }
        if let Some(alert) = &scope.alert {
            scope.alert = Some(self.find(alert)?);
        }
        let words = format!("mute {scope} {reason} {author}");
        let free = |salt: &u32| !self.mutes.contains_key(&id(&words, self.clock, *salt));
        let id = id(&words, self.clock, (0..).find(free).unwrap_or_default());
        let (created_at, until) = (self.clock, self.clock + length);
        let mute = Mute { id: Arc::clone(&id), scope, reason, author, created_at, until };
        self.mutes.insert(Arc::clone(&id), mute.clone());
        self.dirty.mute(&id);
        self.mutes_changed(out);
        Ok(Done::Muted(mute))
    }

    fn unmute(&mut self, word: &str, out: &mut Vec<Change>) -> Result<Done, Refusal> {
        let of_alert = self.find(word).ok();
        let meant = |mute: &&Mute| {
            begins(&mute.id, word) || mute.scope.alert.is_some() && mute.scope.alert.as_ref() == of_alert.as_ref()
        };
        let ids: Vec<Arc<str>> = self.mutes.values().filter(meant).map(|mute| Arc::clone(&mute.id)).collect();
        if ids.is_empty() {
            return Err(Refusal::NotFound(format!(
                "no mute has the id {word}, and no alert {word} is muted by itself"
            )));
        }
        for id in &ids {
            self.mutes.remove(id);
            self.dirty.mute(id);
        }
        self.mutes_changed(out);
        Ok(Done::Unmuted(ids.len()))
    }

    /// The whole id of an alert from the beginning of it.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`: several begin so.
    pub fn find(&self, word: &str) -> Result<Arc<str>, Refusal> {
        find_id(word, self.cases.keys())
    }

    fn live_alert(&self, id: &Arc<str>) -> Result<&Alert, Refusal> {
        let alert = self.cases.get(id).map(|case| &*case.alert).filter(|alert| alert.is_live());
        alert.ok_or_else(|| Refusal::NotNow(format!("alert {id} is over")))
    }

    /// A comment that fits.
    fn comment(&self, id: &Arc<str>, author: String, words: String) -> Result<Comment, Refusal> {
        let text = text("comment", words, TEXT_MAX)?;
        if self.cases.get(id).is_some_and(|case| case.alert.comments.len() >= COMMENTS_MAX) {
            return Err(Refusal::NotNow(format!("alert {id} has {COMMENTS_MAX} comments already")));
        }
        Ok(Comment { at: self.clock, author, text })
    }

    fn done(&self, id: &Arc<str>) -> Result<Done, Refusal> {
        let alert = self.cases.get(id).map(|case| Done::Alert(Arc::clone(&case.alert)));
        alert.ok_or_else(|| Refusal::NotFound(format!("no alert has the id {id}")))
    }
}

/// The id that begins with `word`, among those of alerts.
///
/// # Errors
/// `NotFound`; `Invalid`: several begin so.
pub fn find_id<'a>(word: &str, ids: impl Iterator<Item = &'a Arc<str>>) -> Result<Arc<str>, Refusal> {
    let mut found = None;
    for id in ids.filter(|id| begins(id, word)) {
        if **id == *word {
            return Ok(Arc::clone(id));
        }
        if found.replace(id).is_some() {
            return Err(Refusal::Invalid(format!("several alerts have ids that begin with {word}: write more of it")));
        }
    }
    found.cloned().ok_or_else(|| Refusal::NotFound(format!("no alert has the id {word}")))
}

fn begins(id: &str, word: &str) -> bool {
    word.len() >= ID_MIN && id.starts_with(word)
}

fn name(author: String) -> Result<String, Refusal> {
    text("author", author, AUTHOR_MAX)
}

/// Words of people: some, not too many, and nothing that does things to a terminal.
fn text(what: &str, words: String, max: usize) -> Result<String, Refusal> {
    let words = words.trim();
    if words.is_empty() {
        return Err(Refusal::Invalid(format!("the {what} is missing")));
    }
    if words.chars().count() > max || words.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Refusal::Invalid(format!(
            "the {what} must have at most {max} characters, none of them for control"
        )));
    }
    Ok(words.to_owned())
}
