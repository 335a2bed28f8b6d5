//! Alerts in a journal: what was told is on the disk before it is told, whatever happens to the file.

use std::{collections::BTreeMap, fs, path::Path};

use ribwatch::{
    alert::{Kept, KeptAlert, Scope, Settings},
    store::{
        Journal,
        alerts::{AlertJournal, Loaded},
    },
};

use super::*;

const FILE: &str = "alerts.journal";

fn load(dir: &Path) -> (AlertJournal, Loaded) {
    AlertJournal::load(Journal::open(dir, FILE).expect("opens").journal)
}

/// A story whose every step is saved.
struct Saved {
    story: Story,
    journal: AlertJournal,
    keep: usize,
    saved: usize,
}

impl Saved {
    fn new(dir: &Path, keep: usize) -> Self {
        let (journal, loaded) = load(dir);
        assert_eq!(loaded.kept, Kept::default());
        Self { story: Story::new(), journal, keep, saved: 0 }
    }

    fn save(&mut self, quiet_too: bool) {
        let mut unsaved = self.story.desk.take_unsaved();
        if !quiet_too {
            unsaved.quiet.clear();
        }
        self.journal.save(&self.story.told[self.saved..], &unsaved, self.keep).expect("the disk takes it");
        self.saved = self.story.told.len();
    }

    /// Much of what can happen to alerts, saved after each step.
    fn play(&mut self) {
        for n in 0..4_u64 {
            self.story.stands(with(hijack("192.0.2.0/24"), |f| drop(f.evidence.insert("n", n.into()))));
            self.story.stands(leaked(n as u32));
            self.story.stands(hijack(&format!("198.51.{n}.0/24")));
            self.save(false);
            let id = self.story.live()[0].id.clone();
            self.story.acknowledge(&id);
            self.story.clears(&hijack("198.51.1.0/24"));
            self.story.advance(minutes(7));
            self.save(false);
            let scope = Scope { alert: Some(id), ..Scope::default() };
            let (reason, author) = ("r".to_owned(), "ann".to_owned());
            self.story.command(Command::Mute { scope, reason, author, length: minutes(10) }).unwrap();
            self.save(false);
            self.story.clears(&hijack("192.0.2.0/24"));
            self.story.advance(minutes(7));
            self.save(false);
        }
    }
}

#[test]
fn a_restart_finds_all_that_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut saved = Saved::new(dir.path(), 1000);
    saved.play();
    saved.story.stands(with(leaked(0), |f| drop(f.evidence.insert("n", 9.into()))));
    saved.save(true);
    let (kept, told) = (saved.story.desk.kept(), saved.story.told);
    drop(saved.journal);
    let (_, loaded) = load(dir.path());
    assert!(told.len() > 20, "{}", told.len());
    assert_eq!((loaded.kept, loaded.changes, loaded.unreadable), (kept, told, 0));
}

#[test]
fn old_changes_and_forgotten_alerts_leave_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut saved = Saved::new(dir.path(), 10);
    saved.story.desk = Desk::new(Settings { keep_resolved: 1, ..Settings::default() });
    saved.play();
    saved.save(true);
    let kept = saved.story.desk.kept();
    drop(saved.journal);
    let (_, loaded) = load(dir.path());
    assert_eq!((loaded.changes.len(), loaded.changes.last()), (10, saved.story.told.last()));
    assert_eq!(loaded.kept, kept);
    let over = kept.alerts.iter().filter(|kept| !kept.alert.is_live()).count();
    assert!(over == 1 && kept.alerts.len() < saved.story.told.len(), "{over}");
}

/// What is known after the first `seq` changes.
fn after(told: &[Change], seq: u64) -> BTreeMap<Arc<str>, KeptAlert> {
    let mut alerts: BTreeMap<Arc<str>, KeptAlert> = BTreeMap::new();
    for change in told.iter().filter(|change| change.seq <= seq) {
        let kept = KeptAlert::follow(alerts.get(&change.alert.id), change);
        alerts.insert(change.alert.id.clone(), kept);
    }
    alerts
}

/// Where a crash may leave a file: before, at and behind the end of each record, and inside it.
fn cuts(file: &[u8]) -> Vec<usize> {
    let (mut cuts, mut end) = (vec![0, 5], 12);
    while let Some(len) = file[end..].first_chunk::<4>() {
        cuts.extend([end, end + 1, end + 9]);
        end += 8 + u32::from_be_bytes(*len) as usize;
        cuts.push(end - 1);
    }
    assert_eq!(end, file.len(), "whole records");
    cuts.push(end);
    cuts
}

#[test]
fn a_journal_that_is_cut_off_at_any_octet_is_the_history_up_to_some_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut saved = Saved::new(dir.path(), 1000);
    saved.play();
    let told = saved.story.told;
    drop(saved.journal);
    let whole = fs::read(dir.path().join(FILE)).unwrap();
    let states: Vec<_> = (0..=told.len() as u64).map(|seq| after(&told, seq)).collect();
    let (mut reached, cut_dir) = (0, tempfile::tempdir().unwrap());
    for cut in cuts(&whole) {
        fs::write(cut_dir.path().join(FILE), &whole[..cut]).unwrap();
        let (_, loaded) = load(cut_dir.path());
        let seq = loaded.kept.seq;
        assert!(seq >= reached, "more octets, less history");
        reached = seq;
        assert_eq!(loaded.unreadable, 0);
        assert_eq!(loaded.changes, told[..seq as usize], "cut at {cut}");
        let alerts: BTreeMap<_, _> = loaded.kept.alerts.into_iter().map(|kept| (kept.alert.id.clone(), kept)).collect();
        assert_eq!(alerts, states[seq as usize], "cut at {cut}");
    }
    assert_eq!(reached, told.len() as u64);
}

#[test]
fn records_of_another_version_are_counted_and_do_no_harm() {
    use ribwatch::store::Kind;
    let dir = tempfile::tempdir().unwrap();
    let mut saved = Saved::new(dir.path(), 1000);
    saved.play();
    saved.save(true);
    let kept = saved.story.desk.kept();
    drop(saved.journal);
    let mut journal = Journal::open(dir.path(), FILE).unwrap().journal;
    journal.put(Kind::Alert, b"zzz", b"{}").unwrap();
    journal.put(Kind::Mute, b"zzz", b"[").unwrap();
    journal.put(Kind::AlertChange, b"short", b"{}").unwrap();
    journal.put(Kind::AlertChange, &7_u64.to_be_bytes(), b"{}").unwrap();
    let (_, loaded) = AlertJournal::load(journal);
    assert_eq!((loaded.unreadable, loaded.kept), (4, kept));
    assert_eq!(loaded.changes[0].seq, 8, "what stands before a hole is not told");
}
