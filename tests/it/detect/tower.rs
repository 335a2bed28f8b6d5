//! A watchtower over the laboratory: all detectors watch, and what they report is kept as it stands.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
    time::Duration,
};

use ribwatch::{
    alert::{self, Alert, Desk},
    detect::{
        Detect, Finding, Fingerprint, Kind, News, Report, Settings, WatchPrefix,
        memory::{Archive, Memory},
    },
    types::{Asn, Prefix},
};

use crate::lab::{Lab, OUR_AS};

/// The laboratory, watched.
pub struct Tower {
    pub lab: Lab,
    reports: Arc<Mutex<Vec<Report>>>,
    standing: BTreeMap<Fingerprint, Finding>,
    /// What ended findings, in order.
    pub ended: Vec<(Fingerprint, String)>,
    /// How often each finding was raised.
    pub raised: BTreeMap<Fingerprint, usize>,
    /// How often it was said of anything that it stands.
    pub told: usize,
    pub settled: bool,
    archived: Archived,
    desk: Desk,
}

impl Deref for Tower {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DerefMut for Tower {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

/// What detectors keep for the next run.
#[derive(Clone, Default)]
struct Archived(Arc<Mutex<Memory>>);

impl Archive for Archived {
    fn recall(&mut self) -> Memory {
        self.0.lock().expect("not poisoned").clone()
    }

    fn keep(&mut self, memory: Memory) {
        *self.0.lock().expect("not poisoned") = memory;
    }
}

/// Settings that watch these prefixes with these origins. Numbers for documentation are not told of: the stories use them.
pub fn watching(rules: &[(&str, &[u32])]) -> Settings {
    let mut settings = Settings::new(Asn(OUR_AS));
    settings.prefixes = rules.iter().map(|(prefix, origins)| rule(prefix, origins)).collect();
    settings.paths.bogon.enabled = false;
    settings
}

/// A rule.
pub fn rule(prefix: &str, origins: &[u32]) -> WatchPrefix {
    let prefix: Prefix = prefix.parse().expect("a prefix");
    WatchPrefix::new(prefix, origins.iter().map(|asn| Asn(*asn)).collect())
}

impl Tower {
    pub fn new(settings: Settings) -> Self {
        Self::over(Lab::new(), settings)
    }

    pub fn over(lab: Lab, settings: Settings) -> Self {
        Self::knowing(lab, settings, Archived::default(), Desk::default())
    }

    /// The process ends, by order or (`crash`) without a word since the last minute, and another one begins a minute later
    /// with what the first left behind: memory of the detectors and alerts. No session is up.
    pub fn restarted(mut self, settings: Settings, crash: bool) -> Self {
        self.look();
        if !crash {
            self.lab.watched_no_more();
        }
        let now = self.lab.now + Duration::from_secs(60);
        let mut lab = Lab::new();
        lab.now = now;
        let text = serde_json::to_string(&*self.archived.0.lock().expect("not poisoned")).expect("JSON");
        let memory = Archived(Arc::new(Mutex::new(serde_json::from_str(&text).expect("JSON"))));
        let desk = Desk::restore(alert::Settings::default(), now, self.desk.kept());
        Self::knowing(lab, settings, memory, desk)
    }

    fn knowing(mut lab: Lab, settings: Settings, archived: Archived, desk: Desk) -> Self {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let into = Arc::clone(&reports);
        let reporter = Box::new(move |news: Vec<Report>| into.lock().expect("not poisoned").extend(news));
        lab.watched_by(Box::new(Detect::new(settings, reporter).with_archive(Box::new(archived.clone()))));
        Self {
            lab,
            reports,
            standing: BTreeMap::new(),
            ended: Vec::new(),
            raised: BTreeMap::new(),
            told: 0,
            settled: false,
            archived,
            desk,
        }
    }

    /// Takes what was reported since.
    pub fn look(&mut self) -> &BTreeMap<Fingerprint, Finding> {
        self.lab.settle();
        for report in std::mem::take(&mut *self.reports.lock().expect("not poisoned")) {
            self.desk.handle(report.at, alert::Input::Report(report.clone()), &mut Vec::new());
            match report.news {
                News::Stands(finding) => {
                    self.told += 1;
                    if self.standing.insert(finding.key.clone(), (*finding).clone()).is_none() {
                        *self.raised.entry(finding.key.clone()).or_default() += 1;
                    }
                }
                News::Cleared { key, how } => {
                    self.standing.remove(&key).expect("only what stands is cleared");
                    self.ended.push((key, how));
                }
                News::Settled => self.settled = true,
            }
        }
        self.desk.handle(self.lab.now, alert::Input::TimersDue, &mut Vec::new());
        &self.standing
    }

    /// Alerts that people have before them now, by kind and subject.
    pub fn alerts(&mut self) -> Vec<Arc<Alert>> {
        self.look();
        let mut live: Vec<Arc<Alert>> = self.desk.alerts().filter(|alert| alert.is_live()).cloned().collect();
        live.sort_by(|a, b| a.key.cmp(&b.key));
        live
    }

    /// The only alert that people have before them.
    pub fn only_alert(&mut self) -> Arc<Alert> {
        let alerts = self.alerts();
        let [alert] = alerts.as_slice() else { panic!("{} alerts: {alerts:#?}", alerts.len()) };
        Arc::clone(alert)
    }

    /// Everything that stands, as `kind subject`.
    pub fn stands(&mut self) -> Vec<String> {
        self.look().keys().map(ToString::to_string).collect()
    }

    /// What of these kinds stands, as `kind subject`.
    pub fn stands_of(&mut self, kinds: &[Kind]) -> Vec<String> {
        self.look().keys().filter(|key| kinds.contains(&key.kind)).map(ToString::to_string).collect()
    }

    /// The only finding of a kind that stands.
    pub fn the(&mut self, kind: Kind) -> Finding {
        let mut of_kind = self.look().values().filter(|finding| finding.key.kind == kind);
        let found = of_kind.next().unwrap_or_else(|| panic!("no {kind} stands")).clone();
        assert!(of_kind.next().is_none(), "several {kind} stand");
        found
    }
}
