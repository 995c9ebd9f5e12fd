//! Reading logs.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::{FRAME_HEAD_BYTES, HEAD_BYTES, MAGIC, VERSION, frame_head, head};
use crate::connector::files::matching;
use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, OnBadRecord, Progress, Source, Split};
use crate::record::{Batch, Record};
use crate::sys::fs::hold;
use crate::sys::map::Map;

/// A source of the records of logs; made by [`RecordLog::read`](super::RecordLog::read).
#[derive(Debug)]
pub struct LogSource<R> {
    pattern: String,
    policy: OnBadRecord,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> LogSource<R> {
    pub(super) fn new(pattern: String) -> LogSource<R> {
        LogSource { pattern, policy: OnBadRecord::Skip, record: PhantomData }
    }

    /// What is done about a file that ends within a frame, after what is whole was read; it is
    /// counted and nothing more unless set.
    #[must_use]
    pub fn on_bad_record(mut self, policy: OnBadRecord) -> Self {
        self.policy = policy;
        self
    }
}

impl<R: Record> Source for LogSource<R> {
    type Record = R;

    fn name(&self) -> String {
        format!("log {}", self.pattern)
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<R>>>> {
        let split = |path| LogSplit::open(path).map(|split| Box::new(split) as Box<dyn Split<R>>);
        matching(&self.pattern)?.into_iter().map(split).collect()
    }

    fn on_bad_record(&self) -> OnBadRecord {
        self.policy
    }
}

struct LogSplit<R> {
    path: PathBuf,
    map: Map,
    /// Keeps a sink from cutting the file, which is mapped, under the reader.
    #[expect(dead_code, reason = "it is the lock that counts")]
    held: Option<File>,
    /// Where the first frame starts.
    first: usize,
    /// Where the next frame starts.
    place: usize,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> LogSplit<R> {
    fn open(path: PathBuf) -> Result<LogSplit<R>> {
        let failed = |cause| Error::io(format_args!("reading {}", path.display()), &cause);
        let map = Map::open(&path).map_err(failed)?;
        let first = check_head::<R>(&map, &path)?;
        let held = hold(&path);
        Ok(LogSplit { path, map, held, first, place: first, record: PhantomData })
    }

    /// Frames before the next one, counted when a message must name one.
    #[cold]
    fn frames_before(&self) -> u64 {
        let (mut at, mut frames) = (self.first, 0);
        while at < self.place {
            let (bytes, records) = (number(&self.map, at), number(&self.map, at + 4));
            at += FRAME_HEAD_BYTES + records as usize * 8 + bytes as usize;
            frames += 1;
        }
        frames
    }

    fn error(&self, what: &str) -> Error {
        let (path, place) = (self.path.display(), self.place);
        Error::new(Kind::Data, what).within(format_args!("{path}, frame at byte {place}"))
    }
}

/// What stands at a place in the file.
enum Next<'a> {
    Frame {
        batch: Batch<'a>,
        bytes: usize,
    },
    /// The rest of a frame that a crash cut off.
    Torn,
    End,
}

impl<R: Record> LogSplit<R> {
    fn next(&self) -> Result<Next<'_>> {
        let rest = self.map.get(self.place..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Next::End);
        }
        let Some((head, rest)) = rest.split_first_chunk::<FRAME_HEAD_BYTES>() else {
            return Ok(Next::Torn);
        };
        let [bytes, records, body] = [number(head, 0), number(head, 4), number(head, 8)];
        if *head != frame_head(self.place as u64, bytes, records, body) {
            // A file system may leave zeros where the end of a file was not written in time.
            let blank = head.iter().chain(rest).all(|&byte| byte == 0);
            let what = "the frame's head is damaged";
            return if blank { Ok(Next::Torn) } else { Err(self.error(what)) };
        }
        let times = records as usize * 8;
        let len = times + bytes as usize;
        let Some(frame) = rest.get(..len) else {
            return Ok(Next::Torn);
        };
        if crc32fast::hash(frame) != body {
            let last = len == rest.len();
            return if last { Ok(Next::Torn) } else { Err(self.error("the checksum is wrong")) };
        }
        let (times, records) = frame.split_at(times);
        let Some(batch) = Batch::restored::<R>(records, times) else {
            return Err(self.error("the records are not what the schema says"));
        };
        Ok(Next::Frame { batch, bytes: FRAME_HEAD_BYTES + len })
    }
}

impl<R: Record> Split<R> for LogSplit<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        while feed.room() > 0 {
            let bytes = match self.next()? {
                Next::End => return Ok(Progress::Done),
                Next::Frame { batch, bytes } => {
                    feed.lend_batch(batch)?;
                    bytes
                }
                Next::Torn => {
                    let left = self.map.len() - self.place;
                    let what = format!("the file ends within a frame, {left} bytes are cut off");
                    let frame = self.frames_before() + 1;
                    self.place = self.map.len();
                    let origin = format!("{}, frame", self.path.display());
                    feed.bad(&origin, frame, &what, "")?;
                    return Ok(Progress::Done);
                }
            };
            self.place += bytes;
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        self.place as u64
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// A frame's head tells its place: where none starts, reading fails.
    fn seek(&mut self, offset: u64) -> Result {
        let places = self.first..=self.map.len();
        let Some(place) = usize::try_from(offset).ok().filter(|place| places.contains(place))
        else {
            let (path, len) = (self.path.display(), self.map.len());
            let what = format!("{path} was read up to byte {offset} and has only {len} now");
            return Err(Error::new(Kind::Data, what));
        };
        self.place = place;
        Ok(())
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

/// Looks over a file's head; gives where its first frame starts.
fn check_head<R: Record>(file: &[u8], path: &Path) -> Result<usize> {
    let wanted = head::<R>()?;
    if file.starts_with(&wanted) {
        return Ok(wanted.len());
    }
    let refuse = |what: String| {
        Err(Error::new(Kind::Data, what).within(format_args!("log {}", path.display())))
    };
    if !file.starts_with(MAGIC) || file.len() < HEAD_BYTES {
        return refuse("it is no record log".into());
    }
    let version = number(file, 8);
    if version != VERSION {
        return refuse(format!("it has version {version}, this engine reads {VERSION}"));
    }
    let schema_end = HEAD_BYTES.saturating_add(number(file, 12) as usize);
    let end = schema_end.next_multiple_of(8);
    let schema = file.get(HEAD_BYTES..schema_end).and_then(|text| std::str::from_utf8(text).ok());
    let whole = file.get(..end).is_some_and(|head| crc32fast::hash(head) == number(file, end));
    let Some(schema) = schema.filter(|_| whole) else {
        return refuse("its head is damaged".into());
    };
    let own = R::data_type().to_string();
    if schema != own {
        return refuse(format!("it holds {schema}, the job reads {own}"));
    }
    refuse(format!("it holds {schema} laid out in another way; record it again with this build"))
}
