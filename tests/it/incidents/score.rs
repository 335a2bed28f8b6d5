//! What came of events that were drawn: found under their own kind and culprit or not, and what was told beside.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use ribwatch::{
    alert::{Alert, Change, State, Why},
    detect::Kind,
    types::{Prefix, Timestamp},
};

use super::drawn::{Class, Drawn};

/// What came of the events of a class.
#[derive(Default)]
pub struct Score {
    pub drawn: usize,
    pub visible: usize,
    pub found: usize,
    pub ended: usize,
    pub delays: Vec<Duration>,
    pub hidden: BTreeMap<&'static str, usize>,
    pub missed: Vec<String>,
    /// Alerts about the event that are not its own.
    pub beside: BTreeMap<String, usize>,
    /// Information about the real updates.
    pub background: BTreeMap<String, usize>,
    /// Alerts about nothing that was done.
    pub wrong: BTreeMap<String, usize>,
}

impl Score {
    /// Takes what was told while an event had its time.
    pub fn judge(&mut self, event: &Drawn, at: Timestamp, changes: &[Change]) {
        self.drawn += 1;
        let opened: Vec<&Change> =
            changes.iter().filter(|change| matches!(change.why, Why::Opened | Why::Reopened)).collect();
        let own = opened.iter().find(|change| is_it(&change.alert, event));
        match event.hidden {
            Some(why) => *self.hidden.entry(why).or_default() += 1,
            None => {
                self.visible += 1;
                match own {
                    None => {
                        let told: Vec<String> = changes
                            .iter()
                            .filter(|change| change.why != Why::Reminder)
                            .map(|change| format!("{} {}: {}", change.why.name(), change.alert.key, change.alert.why))
                            .collect();
                        self.missed.push(format!("{}; told: {told:?}", describe(event)));
                    }
                    Some(change) => {
                        self.found += 1;
                        self.delays.push(change.at.since(at));
                        let last = changes.iter().rfind(|other| other.alert.id == change.alert.id);
                        self.ended += usize::from(last.is_some_and(|change| change.alert.state == State::Resolved));
                    }
                }
            }
        }
        for change in opened.iter().filter(|change| !is_it(&change.alert, event)) {
            let told = format!("{} {}", change.alert.severity, change.alert.kind());
            let under = match change.alert.kind() {
                _ if is_about(&change.alert, event) => &mut self.beside,
                // Of the real updates, and true: they have private numbers, long prepends and prefixes that flap.
                Kind::Bogon | Kind::PathRule | Kind::Flap => &mut self.background,
                _ => &mut self.wrong,
            };
            if is_about(&change.alert, event) || std::env::var_os("RIBWATCH_SHOW").is_some() {
                let at = change.at.since(at).as_secs();
                println!(
                    "  {:?} {}: after {at} s {}: {}",
                    event.class,
                    describe(event),
                    change.alert.key,
                    change.alert.why
                );
            }
            *under.entry(told).or_default() += 1;
        }
    }

    /// All in one line.
    pub fn line(&self, class: Class) -> String {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let median = delays.get(delays.len() / 2).map_or(0.0, Duration::as_secs_f32);
        let mut line = format!(
            "{class:?}: {} drawn, {} can be seen, found {}, ended {}, median delay {median} s; beside {:?}, false {:?}, background {:?}",
            self.drawn, self.visible, self.found, self.ended, self.beside, self.wrong, self.background
        );
        for (why, count) in &self.hidden {
            let _ = write!(line, "; {count}: {why}");
        }
        line
    }
}

fn describe(event: &Drawn) -> String {
    let culprit = event.culprit.map(|asn| format!(" by AS{asn}")).unwrap_or_default();
    let path =
        event.paths.first().and_then(|(_, hops)| hops.as_ref()).map(|hops| format!("{hops:?}")).unwrap_or_default();
    format!("{} of {}{culprit}, {} vantages {path}", event.announced, event.victim, event.paths.len())
}

/// Whether an alert is the one that an event must lead to.
fn is_it(alert: &Alert, event: &Drawn) -> bool {
    let part = if event.class == Class::Leak { "leaker" } else { "observed" };
    let culprit = event.culprit.is_none_or(|asn| alert.asns.get(part).is_some_and(|asns| asns.contains(&asn)));
    // What lies around one watched prefix may be a part of another.
    let other = event.class == Class::Covering && alert.kind() == Kind::SubprefixHijack;
    (alert.kind() == event.class.kind() || other) && culprit && names(alert, event.announced)
}

/// Whether an alert is about what an event does.
fn is_about(alert: &Alert, event: &Drawn) -> bool {
    let culprit = event.culprit.is_some_and(|asn| alert.asns.values().any(|asns| asns.contains(&asn)));
    culprit || names(alert, event.announced) || names(alert, event.victim)
}

fn names(alert: &Alert, prefix: Prefix) -> bool {
    alert.prefix == Some(prefix)
        || alert.members.iter().any(|member| member.parse() == Ok(prefix))
        || alert.key.subject.split(' ').any(|word| word.parse() == Ok(prefix))
}
