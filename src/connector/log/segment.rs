//! A log file, whatever its records are.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::compress::Unpacker;
use super::frame::{Found, FrameHead, find, glance};
use super::head::Head;
use super::index::{Index, Latest};
use crate::error::{Error, Kind, Result};
use crate::sys::fs::{Readable, hold};
use crate::sys::map::Map;
use crate::time::Timestamp;

/// A log file that is read, from a mapping. What a crash has cut off, or is still being written, is
/// not there: [`is_torn`](Segment::is_torn).
///
/// ```no_run
/// use thalweg::connector::log::Segment;
/// use thalweg::format::JsonText;
///
/// let mut log = Segment::open("recorded/part-0.tlog".as_ref())?;
/// println!("{}", log.head().data_type);
/// if let Some(shape) = log.head().shape.clone() {
///     let mut json = JsonText::of(&shape.data_type());
///     while let Some(frame) = log.next()? {
///         let mut bytes = frame.encoded();
///         while let Some(size) = json.show(|to| shape.show(bytes, to)).filter(|size| *size > 0) {
///             bytes = &bytes[size..];
///         }
///     }
/// }
/// # Ok::<(), thalweg::prelude::Error>(())
/// ```
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    map: Map,
    /// Keeps a sink from cutting the file, which is mapped, under the reader.
    #[expect(dead_code, reason = "it is the lock that counts")]
    held: Option<File>,
    head: Head,
    /// Where the first frame starts, and the next one to be read.
    first: usize,
    place: usize,
    /// Where the frames end: at the index, if there is one.
    end: usize,
    unpacker: Unpacker,
}

/// A frame of a log: records one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    head: FrameHead,
    times: &'a [u8],
    arrivals: Option<&'a [u8]>,
    records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.head.records as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records of the file are before it.
    pub fn before(&self) -> u64 {
        self.head.before
    }

    /// Least and greatest event time.
    pub fn event_times(&self) -> (Timestamp, Timestamp) {
        let FrameHead { least, greatest, .. } = self.head;
        (Timestamp::from_micros(least), Timestamp::from_micros(greatest))
    }

    /// The event time of a record.
    pub fn event_time(&self, record: usize) -> Option<Timestamp> {
        let at = *self.times.get(record * 8..)?.first_chunk()?;
        Some(Timestamp::from_micros(i64::from_ne_bytes(at)))
    }

    /// When a record arrived.
    pub fn arrival(&self, record: usize) -> Option<Timestamp> {
        let behind = match self.arrivals {
            None if record < self.len() => 0,
            None => return None,
            Some(all) => u32::from_ne_bytes(*all.get(record * 4..)?.first_chunk()?),
        };
        Some(Timestamp::from_micros(self.head.from.saturating_add(behind.into())))
    }

    /// When the first record arrived, and the latest one.
    pub fn arrivals(&self) -> (Timestamp, Timestamp) {
        let FrameHead { from, to, .. } = self.head;
        (Timestamp::from_micros(from), Timestamp::from_micros(to))
    }

    /// The records' encodings, one after the other.
    pub fn encoded(&self) -> &'a [u8] {
        self.records
    }

    /// The event times, 8 bytes each.
    pub(super) fn times(&self) -> &'a [u8] {
        self.times
    }
}

impl Segment {
    /// Opens a file.
    ///
    /// # Errors
    /// When it can't be read, is no log, or its head is damaged.
    pub fn open(path: &Path) -> Result<Segment> {
        let failed = |cause| Error::io(format_args!("reading {}", path.display()), &cause);
        // Before it is mapped: what is there then stays.
        let (map, held) = mapped(path, hold(path)).map_err(failed)?;
        let (head, first) = Head::read(&map, path)?;
        let end = Index::place(&map).unwrap_or(map.len());
        Ok(Segment {
            path: path.to_owned(),
            map,
            held,
            head,
            first,
            place: first,
            end,
            unpacker: Unpacker::default(),
        })
    }

    /// Whether a file that is being written can be opened yet.
    pub(super) fn is_begun(path: &Path) -> Result<bool> {
        let failed = |cause| Error::io(format_args!("reading {}", path.display()), &cause);
        // Not from a mapping: whoever begins the file may empty it first.
        let file = Readable::open(path).map_err(failed)?;
        let mut fixed = [0; Head::FIXED];
        match file.read_at(0, &mut fixed) {
            Ok(()) => Ok(Head::is_there(&fixed, file.len())),
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// What it says of its records.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// Whether it was finished: nothing more comes.
    pub fn has_index(&self) -> bool {
        self.end < self.map.len()
    }

    /// Where the next frame starts, in bytes.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Goes to a place where a frame starts. A frame's head tells its place: where none starts,
    /// reading fails.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn seek(&mut self, place: u64) -> Result {
        let places = self.first..=self.map.len();
        match usize::try_from(place).ok().filter(|place| places.contains(place)) {
            Some(place) => self.place = place,
            None => {
                let (path, len) = (self.path.display(), self.map.len());
                let what = format!("{path} was read up to byte {place} and has only {len} now");
                return Err(Error::new(Kind::Data, what));
            }
        }
        Ok(())
    }

    /// Goes to a frame before which no record has an event time of `at` or later: the last one that
    /// the index has, or the file's first.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn seek_event(&mut self, at: Timestamp) -> Result {
        let (index, end) = self.index()?;
        self.place = index.at_event(at.micros()).map_or(end, |place| place as usize);
        Ok(())
    }

    /// As [`seek_event`](Segment::seek_event), for arrivals.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn seek_arrival(&mut self, at: Timestamp) -> Result {
        let (index, end) = self.index()?;
        self.place = index.at_arrival(at.micros()).map_or(end, |place| place as usize);
        Ok(())
    }

    /// Goes to the frame that holds a record of this number, the first of the file being 0; or to
    /// the end.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn seek_record(&mut self, number: u64) -> Result {
        self.place = self.index()?.0.at_record(number).map_or(self.first, |place| place as usize);
        let holds = |head: &FrameHead| number < head.before + u64::from(head.records);
        while let Some(head) = glance(&self.map[..self.end], self.place).filter(|h| !holds(h)) {
            self.place += head.len();
        }
        Ok(())
    }

    /// The greatest times of the file, and of those before it in its split.
    pub(super) fn latest(&self) -> Result<Latest> {
        self.index().map(|(index, _)| index.latest())
    }

    /// The index of the file, or one that is made of the frames' heads; and where these end.
    fn index(&self) -> Result<(Index, usize)> {
        if self.has_index() {
            return match find(&self.map, self.end) {
                Found::Frame(_, body) => Ok((Index::read(body), self.end)),
                _ => Err(self.error("the index is damaged")),
            };
        }
        let (mut index, mut place) = (Index::behind(Latest::NONE), self.first);
        while let Some(head) = glance(&self.map, place) {
            index.note(place as u64, &head);
            place += head.len();
        }
        match find(&self.map, place) {
            Found::Damaged(what) => {
                let path = self.path.display();
                let what = Error::new(Kind::Data, what);
                Err(what.within(format_args!("{path}, frame at byte {place}")))
            }
            _ => Ok((index, place)),
        }
    }

    /// The next frame; none at the end, or where a frame begins that was cut off.
    ///
    /// # Errors
    /// When it is damaged.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let (head, kept) = match find(&self.map[..self.end], self.place) {
            Found::End => return self.check_end().map(|()| None),
            // A file that was finished was not cut off.
            Found::Torn if self.has_index() => return Err(self.error("the checksum is wrong")),
            Found::Torn => return Ok(None),
            Found::Damaged(what) => return Err(self.error(what)),
            // What stands behind it was cut off.
            Found::Frame(head, _) if head.is_index() => {
                let whole = self.map.len() - self.place >= head.len() + Index::TRAILER;
                self.end = self.place;
                return if whole { Err(self.error("the index is damaged")) } else { Ok(None) };
            }
            Found::Frame(head, kept) => (head, kept),
        };
        let place = self.place;
        self.place += head.len();
        let parts = head.unpack(kept, &mut self.unpacker).and_then(|body| head.split(body));
        match parts {
            Some((times, arrivals, records)) => Ok(Some(Frame { head, times, arrivals, records })),
            None => {
                let (path, what) = (self.path.display(), "the body is not what its head says");
                let what = Error::new(Kind::Data, what);
                Err(what.within(format_args!("{path}, frame at byte {place}")))
            }
        }
    }

    fn check_end(&self) -> Result {
        if self.has_index() && !matches!(find(&self.map, self.end), Found::Frame(..)) {
            return Err(self.error("the index is damaged"));
        }
        Ok(())
    }

    /// Whether what comes next is the rest of a frame that was cut off, or is being written.
    pub fn is_torn(&self) -> bool {
        matches!(find(&self.map[..self.end], self.place), Found::Torn)
    }

    /// Takes up what was written since it was opened; true where that is something.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn grow(&mut self) -> Result<bool> {
        let failed = |cause| Error::io(format_args!("reading {}", self.path.display()), &cause);
        let len = std::fs::metadata(&self.path).map_err(failed)?.len();
        if self.has_index() || len <= self.map.len() as u64 {
            return Ok(false);
        }
        self.map = Map::open(&self.path).map_err(failed)?;
        self.end = Index::place(&self.map).unwrap_or(self.map.len());
        Ok(true)
    }

    /// Frames before the next one, counted when a message must name one.
    #[cold]
    pub(super) fn frames_before(&self) -> u64 {
        let (mut at, mut frames) = (self.first, 0);
        while let Some(head) = glance(&self.map, at).filter(|_| at < self.place) {
            at += head.len();
            frames += 1;
        }
        frames
    }

    /// Passes over what was cut off; gives how many bytes that was.
    pub(super) fn skip_rest(&mut self) -> usize {
        self.end - std::mem::replace(&mut self.place, self.end)
    }

    pub(super) fn error(&self, what: &str) -> Error {
        let (path, place) = (self.path.display(), self.place);
        Error::new(Kind::Data, what).within(format_args!("{path}, frame at byte {place}"))
    }
}

/// Maps a file that was to be held. One that was empty then was not, and may have been begun before
/// it was mapped: what is there counts when it is held.
fn mapped(path: &Path, held: Option<File>) -> io::Result<(Map, Option<File>)> {
    let map = Map::open(path)?;
    if held.is_some() || map.is_empty() {
        return Ok((map, held));
    }
    match hold(path) {
        Some(held) => Ok((Map::open(path)?, Some(held))),
        None => Ok((map, None)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use super::*;
    use crate::record::Shape;

    #[test]
    fn a_file_that_was_empty_when_it_was_to_be_held_is_held_when_it_is_mapped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part-0.tlog");
        let mut file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        assert!(hold(&path).is_none());
        let head = Head::of_shape(&Shape::Uint(64)).bytes();
        file.write_all(&head).unwrap();
        file.try_lock_shared().unwrap();
        let (map, held) = mapped(&path, None).unwrap();
        assert_eq!(&*map, head);
        drop(file);
        let other = File::open(&path).unwrap();
        assert!(other.try_lock().is_err(), "it is not held");
        drop(held);
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn whether_a_file_is_begun_can_be_asked_while_it_is_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part-0.tlog");
        let head = Head::of_shape(&Shape::Uint(64)).bytes();
        let is_begun = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Segment::is_begun(&path).unwrap()
        };
        assert!(is_begun(&head) && is_begun(b"no log, whatever it is"));
        assert!(!is_begun(b"") && !is_begun(&head[..8]) && !is_begun(&head[..head.len() - 1]));
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Relaxed) {
                    std::fs::write(&path, &head).unwrap();
                }
            });
            for _ in 0..20_000 {
                Segment::is_begun(&path).unwrap();
            }
            ended.store(true, Relaxed);
        });
    }
}
