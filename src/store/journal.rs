//! An append-only file of small records, and the map that they add up to.
//!
//! ```text
//! file    "ribwatch", version (4), then records
//! record  length of the body (4), CRC-32 of the body (4), body
//! body    1 put | 2 remove, kind (1), length of the key (2), key, value (put only)
//! ```
//! Numbers are big-endian.
//!
//! # Promises
//! 1. When `put` or `remove` returns, the change is on the disk (`fdatasync`); when it fails, nothing changed.
//! 2. After a crash the map is what all whole records add up to: reading stops at the first one that is cut off or fails
//!    its check, the rest is cut away and its size told. A file of a later version is not touched.
//! 3. One process at a time: the file is locked while it is open.
//! 4. What `write` is given is on the disk as a whole or not at all when it returns; after a crash, the first records of it
//!    may be there.
//! 5. The file stays below twice its content and a margin: it is then written anew beside itself and renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use flate2::Crc;

/// What a record is about. Numbers are never used again for something else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A route that is originated by command (`local_routes`).
    LocalRoute = 1,
    /// A change of an alert (`alerts`).
    AlertChange = 10,
    /// An alert (`alerts`).
    Alert = 11,
    /// A mute of alerts (`alerts`).
    Mute = 12,
    /// Up to which change alerts are written (`alerts`).
    AlertMark = 13,
    /// What waits to be told by a sink, and what its receiver knows (`sink`).
    SinkQueue = 16,
}

/// One of several changes that are written together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Keep a value under a key.
    Put(Kind, Vec<u8>, Vec<u8>),
    /// Forget what is under a key.
    Remove(Kind, Vec<u8>),
}

const MAGIC: &[u8; 8] = b"ribwatch";
const VERSION: u32 = 1;
const FILE_HEAD: usize = MAGIC.len() + 4;
const RECORD_HEAD: usize = 8;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// Longest body: far above any record, far below what would hurt to allocate for a damaged length.
const BODY_MAX: usize = 1 << 24;
/// Octets of outdated records that are never worth a new file.
const GARBAGE_MARGIN: u64 = 64 * 1024;

type Map = BTreeMap<(u8, Box<[u8]>), Box<[u8]>>;

/// A journal that is open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Records of kinds that this version does not know are kept as they are.
    map: Map,
    /// Octets of the file.
    len: u64,
    /// Octets that the map alone would take.
    live: u64,
}

/// What `Journal::open` found.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Octets at the end that were no whole record, and are gone.
    pub lost: u64,
}

impl Journal {
    /// Opens the journal `name` in `dir`; makes both where they are missing.
    ///
    /// # Errors
    /// The file cannot be had, is in use by another process, or is of another kind or later version.
    pub fn open(dir: &Path, name: &str) -> io::Result<Opened> {
        fs::create_dir_all(dir)?;
        let path = dir.join(name);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("it is in use by another ribwatch")),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)?;
        let (map, whole) = read(&octets)?;
        let lost = (octets.len() - whole) as u64;
        let live = map.iter().map(|(key, value)| record_len(key, value)).sum::<u64>() + FILE_HEAD as u64;
        let mut journal = Self { path, file, map, len: whole as u64, live };
        if whole < FILE_HEAD {
            journal.begin()?;
        } else if lost > 0 {
            journal.file.set_len(journal.len)?;
            journal.file.sync_data()?;
        }
        journal.file.seek(SeekFrom::Start(journal.len))?;
        Ok(Opened { journal, lost })
    }

    /// Writes the head of a new file.
    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&head())?;
        self.file.sync_data()?;
        sync_dir(&self.path)?;
        self.len = FILE_HEAD as u64;
        Ok(())
    }

    /// The value under `key`.
    pub fn get(&self, kind: Kind, key: &[u8]) -> Option<&[u8]> {
        self.map.get(&(kind as u8, key.into())).map(|value| &**value)
    }

    /// All records of a kind, by key.
    pub fn iter(&self, kind: Kind) -> impl Iterator<Item = (&[u8], &[u8])> {
        let of_kind = self.map.range((kind as u8, Box::default())..).take_while(move |((of, _), _)| *of == kind as u8);
        of_kind.map(|((_, key), value)| (&**key, &**value))
    }

    /// Keeps `value` under `key`, replacing what was there.
    ///
    /// # Errors
    /// The disk; nothing changed then.
    pub fn put(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.get(kind, key) == Some(value) {
            return Ok(());
        }
        self.append(&record(PUT, kind as u8, key, value)?)?;
        let key = (kind as u8, key.into());
        self.live += record_len(&key, value);
        if let Some(old) = self.map.insert(key.clone(), value.into()) {
            self.live -= record_len(&key, &old);
        }
        self.compact_if_due();
        Ok(())
    }

    /// Forgets what is under `key`; false when there was nothing.
    ///
    /// # Errors
    /// The disk; nothing changed then.
    pub fn remove(&mut self, kind: Kind, key: &[u8]) -> io::Result<bool> {
        if self.get(kind, key).is_none() {
            return Ok(false);
        }
        self.append(&record(REMOVE, kind as u8, key, &[])?)?;
        let key = (kind as u8, key.into());
        if let Some(old) = self.map.remove(&key) {
            self.live -= record_len(&key, &old);
        }
        self.compact_if_due();
        Ok(true)
    }

    /// Several changes at the cost of one. A crash meanwhile may leave the first ones of them.
    ///
    /// # Errors
    /// The disk; nothing changed then.
    pub fn write(&mut self, edits: &[Edit]) -> io::Result<()> {
        let mut records = Vec::new();
        for edit in edits {
            records.extend(match edit {
                Edit::Put(kind, key, value) => record(PUT, *kind as u8, key, value)?,
                Edit::Remove(kind, key) => record(REMOVE, *kind as u8, key, &[])?,
            });
        }
        self.append(&records)?;
        for edit in edits {
            let (key, new) = match edit {
                Edit::Put(kind, key, value) => ((*kind as u8, key.as_slice().into()), Some(value)),
                Edit::Remove(kind, key) => ((*kind as u8, key.as_slice().into()), None),
            };
            self.live += new.map_or(0, |value| record_len(&key, value));
            let old = match new {
                Some(value) => self.map.insert(key.clone(), value.as_slice().into()),
                None => self.map.remove(&key),
            };
            self.live -= old.map_or(0, |old| record_len(&key, &old));
        }
        self.compact_if_due();
        Ok(())
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(record).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a record must not stand in front of the next one. If that fails too, the check finds it at the
            // next start.
            let _ = self.file.set_len(self.len).and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            return Err(error);
        }
        self.len += record.len() as u64;
        Ok(())
    }

    /// Writes the map to a new file once most of the old one is outdated. A failure costs room and nothing else: the old
    /// file is whole, and the next change tries again.
    fn compact_if_due(&mut self) {
        if self.len > self.live * 2 + GARBAGE_MARGIN {
            let _ = self.compact();
        }
    }

    fn compact(&mut self) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        // Before it has the name that others look for.
        file.try_lock().map_err(|_| io::Error::other("the new file is locked"))?;
        let mut octets = head();
        for ((kind, key), value) in &self.map {
            octets.extend(record(PUT, *kind, key, value)?);
        }
        file.write_all(&octets)?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)?;
        sync_dir(&self.path)?;
        self.len = octets.len() as u64;
        self.file = file;
        Ok(())
    }
}

fn head() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_be_bytes()].concat()
}

/// A new name in a folder is only sure once the folder is written.
fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn record_len(key: &(u8, Box<[u8]>), value: &[u8]) -> u64 {
    (RECORD_HEAD + 4 + key.1.len() + value.len()) as u64
}

fn record(operation: u8, kind: u8, key: &[u8], value: &[u8]) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a record is too long for the journal");
    let key_len = u16::try_from(key.len()).map_err(|_| too_long())?;
    let mut body = vec![operation, kind];
    body.extend_from_slice(&key_len.to_be_bytes());
    body.extend_from_slice(key);
    body.extend_from_slice(value);
    let len = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_MAX).ok_or_else(too_long)?;
    Ok([&len.to_be_bytes()[..], &checksum(&body).to_be_bytes(), &body].concat())
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

/// The map that whole records add up to, and how many octets those take.
fn read(octets: &[u8]) -> io::Result<(Map, usize)> {
    let mut map = Map::new();
    let Some((start, mut rest)) = octets.split_at_checked(FILE_HEAD) else {
        // Cut off before anything was kept, or nothing of ours.
        return if head().starts_with(octets) { Ok((map, 0)) } else { Err(foreign()) };
    };
    match start.split_first_chunk::<8>() {
        Some((MAGIC, version)) if version == VERSION.to_be_bytes() => {}
        Some((MAGIC, _)) => return Err(io::Error::other("it was written by a later version of ribwatch")),
        _ => return Err(foreign()),
    }
    while let Some((body, behind)) = next_record(rest) {
        let Some((operation, key, value)) = parse_body(body) else { break };
        match operation {
            PUT => drop(map.insert(key, value.into())),
            REMOVE => drop(map.remove(&key)),
            _ => break,
        }
        rest = behind;
    }
    Ok((map, octets.len() - rest.len()))
}

fn foreign() -> io::Error {
    io::Error::other("it is no journal of ribwatch")
}

fn next_record(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = octets.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let (body, behind) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    (checksum(body) == u32::from_be_bytes(*check)).then_some((body, behind))
}

type Parsed<'a> = (u8, (u8, Box<[u8]>), &'a [u8]);

fn parse_body(body: &[u8]) -> Option<Parsed<'_>> {
    let (&[operation, kind, high, low], rest) = body.split_first_chunk()?;
    let (key, value) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    Some((operation, (kind, key.into()), value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: Kind = Kind::LocalRoute;

    fn open(dir: &Path) -> Opened {
        Journal::open(dir, "test.journal").expect("opens")
    }

    fn content(journal: &Journal) -> Vec<(Vec<u8>, Vec<u8>)> {
        journal.iter(KIND).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    fn pair(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (key.to_vec(), value.to_vec())
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path()).journal;
        journal.put(KIND, b"a", b"1").unwrap();
        journal.put(KIND, b"b", b"2").unwrap();
        journal.put(KIND, b"a", b"3").unwrap();
        assert!(journal.remove(KIND, b"b").unwrap());
        assert!(!journal.remove(KIND, b"b").unwrap());
        journal.put(KIND, b"", b"").unwrap();
        drop(journal);
        let opened = open(dir.path());
        assert_eq!((content(&opened.journal), opened.lost), (vec![pair(b"", b""), pair(b"a", b"3")], 0));
    }

    #[test]
    fn several_changes_are_written_together_and_what_they_replace_goes_with_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path()).journal;
        journal.put(KIND, b"a", b"1").unwrap();
        let put = |key: &[u8], value: &[u8]| Edit::Put(KIND, key.to_vec(), value.to_vec());
        let edits = [put(b"b", b"2"), put(b"a", b"3"), Edit::Remove(KIND, b"b".to_vec()), put(b"c", b"4")];
        journal.write(&edits).unwrap();
        let expected = vec![pair(b"a", b"3"), pair(b"c", b"4")];
        assert_eq!(content(&journal), expected);
        for n in 0..1000_u32 {
            journal.write(&[put(b"d", &[n as u8; 500]), Edit::Remove(KIND, b"d".to_vec())]).unwrap();
        }
        let octets = fs::metadata(dir.path().join("test.journal")).unwrap().len();
        assert!(octets < 3 * GARBAGE_MARGIN, "{octets}");
        drop(journal);
        assert_eq!(content(&open(dir.path()).journal), expected);
    }

    #[test]
    fn one_process_at_a_time_and_no_foreign_file_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path()).journal;
        let second = Journal::open(dir.path(), "test.journal").unwrap_err().to_string();
        assert!(second.contains("in use"), "{second}");
        drop(journal);
        let path = dir.path().join("test.journal");
        let later = [&MAGIC[..], &2_u32.to_be_bytes(), b"xyz"].concat();
        for (octets, words) in
            [(b"some other file".to_vec(), "no journal"), (later, "later version"), (b"x".to_vec(), "no journal")]
        {
            fs::write(&path, &octets).unwrap();
            let error = Journal::open(dir.path(), "test.journal").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(fs::read(&path).unwrap(), octets);
        }
    }

    #[test]
    fn the_file_does_not_grow_with_its_history() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path()).journal;
        journal.put(KIND, b"kept", b"yes").unwrap();
        // Written without waiting for the disk, so that the test does not take minutes: the same octets.
        for round in 0..3 {
            let value = vec![round; 60_000];
            for key in [&b"x"[..], b"y"] {
                journal.put(KIND, key, &value).unwrap();
            }
        }
        journal.remove(KIND, b"x").unwrap();
        journal.remove(KIND, b"y").unwrap();
        journal.put(KIND, b"after", b"").unwrap();
        let len = fs::metadata(dir.path().join("test.journal")).unwrap().len();
        assert!(len < 2 * GARBAGE_MARGIN, "{len}");
        assert_eq!(journal.len, len);
        drop(journal);
        let opened = open(dir.path());
        assert_eq!((content(&opened.journal), opened.lost), (vec![pair(b"after", b""), pair(b"kept", b"yes")], 0));
        let second = Journal::open(dir.path(), "test.journal");
        assert!(second.is_err(), "the new file is locked like the old one");
    }

    #[test]
    fn records_of_a_kind_that_is_not_known_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.journal");
        let foreign = record(PUT, 200, b"k", b"v").unwrap();
        fs::write(&path, [head(), foreign.clone()].concat()).unwrap();
        let mut journal = open(dir.path()).journal;
        assert!(content(&journal).is_empty());
        journal.put(KIND, b"a", b"1").unwrap();
        journal.compact().unwrap();
        drop(journal);
        let octets = fs::read(&path).unwrap();
        assert!(octets.windows(foreign.len()).any(|window| window == foreign));
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(u8, Vec<u8>),
        Remove(u8),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0_u8..6, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Change::Put(key, value)),
            (0_u8..6).prop_map(Change::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The whole file of a history is made in memory; then every prefix of it must read as the changes whose
        /// records are whole in it, and any damaged octet must cost nothing in front of it.
        #[test]
        fn a_file_cut_at_any_octet_keeps_every_whole_record(
            changes in prop::collection::vec(any_change(), 1..12), damage in any::<prop::sample::Index>(), by in 1_u8..,
        ) {
            let mut octets = head();
            let mut states = vec![(octets.len(), Map::new())];
            let mut map = Map::new();
            for change in &changes {
                let made = match change {
                    Change::Put(key, value) => {
                        map.insert((KIND as u8, Box::new([*key])), value.clone().into());
                        record(PUT, KIND as u8, &[*key], value).unwrap()
                    }
                    Change::Remove(key) => {
                        map.remove(&(KIND as u8, Box::new([*key]) as Box<[u8]>));
                        record(REMOVE, KIND as u8, &[*key], &[]).unwrap()
                    }
                };
                octets.extend(made);
                states.push((octets.len(), map.clone()));
            }
            let until = |cut: usize| states.iter().rev().find(|(len, _)| *len <= cut);
            for cut in 0..=octets.len() {
                let (read_map, whole) = read(&octets[..cut]).unwrap();
                let (len, expected) = until(cut).cloned().unwrap_or((0, Map::new()));
                prop_assert_eq!((read_map, whole), (expected, len), "cut at {}", cut);
            }
            let at = FILE_HEAD + damage.index(octets.len() - FILE_HEAD);
            octets[at] ^= by;
            let (read_map, whole) = read(&octets).unwrap();
            let (len, expected) = until(at).cloned().unwrap();
            prop_assert_eq!((read_map, whole), (expected, len), "damaged at {}", at);
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200), ours in any::<bool>()) {
            let octets = if ours { [head(), octets].concat() } else { octets };
            let _ = read(&octets);
        }
    }

    #[test]
    fn a_torn_file_goes_on_where_it_was_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.journal");
        let mut journal = open(dir.path()).journal;
        journal.put(KIND, b"a", b"1").unwrap();
        journal.put(KIND, b"b", b"2").unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let Opened { mut journal, lost } = open(dir.path());
        assert_eq!((content(&journal), lost), (vec![pair(b"a", b"1")], 11));
        journal.put(KIND, b"c", b"3").unwrap();
        drop(journal);
        let opened = open(dir.path());
        assert_eq!((content(&opened.journal), opened.lost), (vec![pair(b"a", b"1"), pair(b"c", b"3")], 0));
    }
}
