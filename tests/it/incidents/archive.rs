//! Archives of the corpus as a story needs them: read whole, moved in time, laid over each other, and played through the
//! rooms of the daemon without a process.

use std::{
    io::{Cursor, Read},
    path::Path,
    time::Duration,
};

use ribwatch::{
    app::replay::Replay,
    io::mrt::{self, MrtReader},
    types::Timestamp,
    wire::mrt::{Event, Header, Interpreter, RawRecord},
};

use crate::corpus;

/// Records of one or several files, in the order of their time.
#[derive(Default)]
pub struct Archive {
    records: Vec<Kept>,
    files: usize,
}

struct Kept {
    header: Header,
    body: Vec<u8>,
    /// Which file it is from: peers are named by an index of their file.
    file: usize,
}

impl Archive {
    /// All records of a file that can be read.
    pub fn open(path: &Path) -> Self {
        if path.extension().is_some_and(|ext| ext == "xz") {
            return Self::read(MrtReader::new(Cursor::new(corpus::unxz(path))));
        }
        Self::read(mrt::open(path).expect("a corpus file can be opened").0)
    }

    fn read(mut reader: MrtReader<impl Read>) -> Self {
        let mut records = Vec::new();
        while let Some(next) = reader.next_record() {
            // A truncated file is used as far as it goes.
            let Ok(record) = next else { continue };
            records.push(Kept { header: record.header, body: record.body.to_vec(), file: 0 });
        }
        Self { records, files: 1 }
    }

    /// When the first record was taken.
    pub fn begins(&self) -> Timestamp {
        self.records.first().expect("an archive has records").header.time
    }

    /// When the last record was taken.
    pub fn ends(&self) -> Timestamp {
        self.records.iter().map(|record| record.header.time).max().expect("an archive has records")
    }

    /// The same, beginning at another time.
    pub fn moved_to(mut self, at: Timestamp) -> Self {
        let before = self.begins();
        for record in &mut self.records {
            record.header.time = at + record.header.time.since(before);
        }
        self
    }

    /// Both together, each record at its time.
    pub fn over(mut self, other: Self) -> Self {
        let files = self.files;
        self.records.extend(other.records.into_iter().map(|record| Kept { file: record.file + files, ..record }));
        self.records.sort_by_key(|record| record.header.time);
        Self { records: self.records, files: files + other.files }
    }

    /// Hands every event to `on`, with its time.
    pub fn each(&self, mut on: impl FnMut(Timestamp, &Event<'_>)) {
        let mut interpreters: Vec<Interpreter> = (0..self.files).map(|_| Interpreter::new()).collect();
        for Kept { header, body, file } in &self.records {
            let record = RawRecord { at: 0, header: *header, body };
            // A fault of one record costs that record: archives of the real world have some.
            let _ = interpreters[*file].interpret(&record, |event| on(header.time, &event));
        }
    }

    /// Plays all of it, and lets time pass for a while after the end.
    pub fn play(&self, replay: &mut Replay, after: Duration) {
        self.each(|time, event| replay.take(time, event));
        replay.pass(self.ends() + after);
        replay.finish();
    }
}
