//! MRT files: opening them, packed or not, and reading them record by record in bounded memory. What records mean
//! is `wire::mrt`.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::wire::mrt::{Damage, Framer, RawRecord, Step};

/// Octets asked of the source at once. Unpacking is the work; larger reads win nothing.
const CHUNK: usize = 256 << 10;
/// Octets that tell how a file is packed.
const MAGIC_LEN: usize = 10;

/// How a file is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// bzip2, one stream or several.
    Bzip2,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
    /// xz: recognised, not unpacked here.
    Xz,
}

impl Packing {
    /// Tells by the first octets. All of the magic counts, because a plain file begins with a time: "BZh9" alone
    /// would be a day in April 2005.
    pub fn of(magic: &[u8]) -> Self {
        let is_bzip2 = |rest: &[u8]| {
            rest.first().is_some_and(u8::is_ascii_digit)
                && rest.get(1..).is_some_and(|block| {
                    block.starts_with(b"\x31\x41\x59\x26\x53\x59") || block.starts_with(b"\x17\x72\x45\x38\x50\x90")
                })
        };
        match magic {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', rest @ ..] if is_bzip2(rest) => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }
}

/// Why a file gives no further records, or not all.
#[derive(Debug)]
pub enum ReadFault {
    /// Octets that are no records; reading goes on behind them.
    Damage(Damage),
    /// The source failed, or its packing is broken; octets of the unpacked file that could be used. Nothing follows.
    Source(u64, io::Error),
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => damage.fmt(f),
            Self::Source(at, error) => write!(f, "cannot be read beyond octet {at}: {error}"),
        }
    }
}

impl std::error::Error for ReadFault {}

/// A source of unpacked octets.
pub type Source = Box<dyn Read + Send>;

/// Octets read from the file so far, as it lies on disk; shared with whoever shows progress.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Octets read so far.
    pub fn octets(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted<R> {
    source: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buf)?;
        self.progress.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Opens `path`, or standard input for `-`, and unpacks it by what its first octets say.
///
/// # Errors
/// It cannot be opened or read, is a folder, or is packed with xz.
pub fn open(path: &Path) -> io::Result<(MrtReader<Source>, Progress)> {
    let file: Source = if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(open_file(path)?) };
    let progress = Progress::default();
    let source = unpack(Counted { source: file, progress: progress.clone() })?;
    Ok((MrtReader::new(source), progress))
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder"));
    }
    Ok(file)
}

/// Unpacks `source` by what its first octets say.
///
/// # Errors
/// It cannot be read, or is packed with xz.
pub fn unpack(mut source: impl Read + Send + 'static) -> io::Result<Source> {
    let mut magic = Vec::with_capacity(MAGIC_LEN);
    source.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut magic)?;
    let packing = Packing::of(&magic);
    let whole = Cursor::new(magic).chain(source);
    let buffered = |whole| BufReader::with_capacity(CHUNK, whole);
    Ok(match packing {
        Packing::Plain => Box::new(whole),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(whole))),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(whole))?),
        Packing::Xz => {
            let what = "packed with xz, which is not read here; unpack it first: xz -dc FILE | ribwatch mrt -";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
    })
}

/// Reads records off a source of unpacked octets. Memory: the longest record and one chunk.
pub struct MrtReader<R> {
    source: R,
    framer: Framer,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not yet taken.
    start: usize,
    end: usize,
    at_end: bool,
    failure: Option<io::Error>,
}

impl<R: Read> MrtReader<R> {
    /// Reads from where `source` stands.
    pub fn new(source: R) -> Self {
        Self { source, framer: Framer::default(), buffer: Vec::new(), start: 0, end: 0, at_end: false, failure: None }
    }

    /// The next record, or what is there instead of one; `None` at the end. After a fault reading may go on.
    pub fn next_record(&mut self) -> Option<Result<RawRecord<'_>, ReadFault>> {
        // The record borrows the buffer, so it is taken out only behind the loop that fills it.
        let (at, header, body_len) = loop {
            let ready = self.buffer.get(self.start..self.end).unwrap_or_default();
            match self.framer.next(ready, self.at_end) {
                Step::Record(record, len) => {
                    self.start += len;
                    break (record.at, record.header, record.body.len());
                }
                Step::More(wanted) => self.fill(wanted),
                Step::Noise(len) => self.start += len,
                // Where the source failed, a record that is not all there is no second fault.
                Step::Damage(damage) => match self.failure.take_if(|_| damage.at_end) {
                    Some(error) => return Some(Err(ReadFault::Source(damage.at, error))),
                    None => return Some(Err(ReadFault::Damage(damage))),
                },
                Step::End => {
                    let error = self.failure.take()?;
                    return Some(Err(ReadFault::Source(self.framer.position(), error)));
                }
            }
        };
        let body = self.buffer.get(self.start.saturating_sub(body_len)..self.start).unwrap_or_default();
        Some(Ok(RawRecord { at, header, body }))
    }

    /// Reads until `wanted` octets are ready or the source has ended.
    fn fill(&mut self, wanted: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.buffer.resize(self.buffer.len().max(wanted + CHUNK), 0);
        while self.end < wanted && !self.at_end {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    self.at_end = true;
                }
            }
        }
    }
}

impl<R> fmt::Debug for MrtReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MrtReader").field("position", &self.framer.position()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Two KEEPALIVEs of a type-5 archive.
    fn records() -> Vec<u8> {
        let mut out = Vec::new();
        for secs in [936_348_099u32, 936_348_100] {
            out.extend(secs.to_be_bytes());
            out.extend([0, 5, 0, 7, 0, 0, 0, 12]);
            out.extend([0xfb, 0xf0, 192, 0, 2, 1, 0xfc, 0, 192, 0, 2, 2]);
        }
        out
    }

    fn read_all(source: impl Read) -> (usize, Vec<String>) {
        let mut reader = MrtReader::new(source);
        let (mut records, mut faults) = (0, Vec::new());
        while let Some(next) = reader.next_record() {
            match next {
                Ok(_) => records += 1,
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        (records, faults)
    }

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(octets: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(octets: &[u8]) -> Vec<u8> {
        zstd::encode_all(octets, 1).unwrap()
    }

    #[test]
    fn every_packing_is_recognised_and_several_members_are_one_file() {
        let plain: fn(&[u8]) -> Vec<u8> = <[u8]>::to_vec;
        for pack in [plain, gzip, bzip2, zstd] {
            let two_members = [pack(&records()), pack(&records())].concat();
            let source = unpack(Cursor::new(two_members)).unwrap();
            assert_eq!(read_all(source), (4, vec![]));
        }
    }

    #[test]
    fn a_time_that_looks_like_bzip2_is_a_time() {
        assert_eq!(Packing::of(b"BZh9\x00\x10\x00\x04\x00\x00"), Packing::Plain);
        assert_eq!(Packing::of(b"BZh91AY&SY"), Packing::Bzip2);
        assert_eq!(Packing::of(b""), Packing::Plain);
    }

    #[test]
    fn xz_is_refused_with_the_way_out() {
        let error = unpack(Cursor::new(b"\xfd7zXZ\0....".to_vec())).err().unwrap();
        assert!(error.to_string().contains("xz -dc"), "{error}");
    }

    #[test]
    fn a_file_cut_off_gives_what_it_has_and_says_where_it_ends() {
        for cut in [25, 35, 47] {
            let (count, faults) = read_all(&records()[..cut]);
            assert_eq!(count, 1, "cut at {cut}");
            assert!(faults[0].contains("octet 24"), "{faults:?}");
            assert_eq!(faults.len(), 1);
        }
        assert_eq!(read_all(&[][..]), (0, vec![]));
    }

    #[test]
    fn broken_packing_gives_what_was_unpacked_before() {
        let mut packed = gzip(&records());
        let len = packed.len();
        packed.truncate(len - 4);
        let (count, faults) = read_all(unpack(Cursor::new(packed)).unwrap());
        assert_eq!(count, 2);
        assert!(faults[0].starts_with("cannot be read beyond octet 48"), "{faults:?}");
    }

    /// Gives one octet at a time, with interruptions between.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = buf.len().min(1);
            self.0.read(&mut buf[..n])
        }
    }

    #[test]
    fn the_size_of_reads_makes_no_difference() {
        assert_eq!(read_all(Trickle(&records(), false)), (2, vec![]));
    }
}
