//! Reading logs.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::head::Reading;
use super::segment::Segment;
use super::segments::{From, behind, none_missing, splits};
use crate::connector::files::matching;
use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, OnBadRecord, Progress, Source, Split};
use crate::record::{Batch, Record};
use crate::sys::clock;
use crate::time::Timestamp;

/// A source of the records of logs; made by [`RecordLog::read`](super::RecordLog::read).
#[derive(Debug)]
pub struct LogSource<R> {
    pattern: String,
    policy: OnBadRecord,
    from: Option<From>,
    follows: bool,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> LogSource<R> {
    pub(super) fn new(pattern: String) -> LogSource<R> {
        let policy = OnBadRecord::Skip;
        LogSource { pattern, policy, from: None, follows: false, record: PhantomData }
    }

    /// Begins, in each split, at the last place that its index has before which no record has this
    /// event time or a later one: some earlier records come, too. The place is found in a time that
    /// grows as the logarithm of the number of files and records does.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// record! { struct Bid { auction: u64, at: Timestamp } }
    /// let noon = Timestamp::parse("2026-01-01T12:00:00Z").expect("a time");
    /// let source = RecordLog::read::<Bid>("recorded/*.tlog").from_event_time(noon);
    /// ```
    #[must_use]
    pub fn from_event_time(mut self, at: Timestamp) -> Self {
        self.from = Some(From::Event(at));
        self
    }

    /// As [`from_event_time`](LogSource::from_event_time), by when records arrived.
    #[must_use]
    pub fn from_arrival(mut self, at: Timestamp) -> Self {
        self.from = Some(From::Arrival(at));
        self
    }

    /// Reads on as files grow, and as the next segments of their splits come, until the job is
    /// stopped. What is written is seen within some 10 ms, a new file within 100. A split to which
    /// nothing comes counts as idle like any other; a shard's first file must be there when the job
    /// starts.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// record! { struct Bid { auction: u64, at: Timestamp } }
    /// let source = RecordLog::read::<Bid>("recorded/*.tlog").follow();
    /// ```
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follows = true;
        self
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
        let split = |files| -> Result<Box<dyn Split<R>>> {
            let mut split = LogSplit::open(files, self.from)?;
            split.follow = self.follows.then(Follow::default);
            Ok(Box::new(split))
        };
        let splits = splits(matching(&self.pattern)?);
        none_missing(&splits)?;
        splits.into_iter().map(split).collect()
    }

    fn on_bad_record(&self) -> OnBadRecord {
        self.policy
    }
}

/// Of an offset, the bits that say a place in a file; those above say which file.
const PLACE_BITS: u32 = 44;

struct LogSplit<R> {
    files: Vec<PathBuf>,
    /// Which of them is open.
    number: usize,
    log: Segment,
    reading: Reading,
    /// Records that are made anew.
    words: Vec<u64>,
    /// Set when it waits for more at the end.
    follow: Option<Follow>,
    record: PhantomData<fn() -> R>,
}

/// A file that may grow is looked at no more often, and so is the directory of a split.
const LOOK: Duration = Duration::from_millis(10);
const LIST: Duration = Duration::from_millis(100);

/// When it was looked for more.
#[derive(Default)]
struct Follow {
    looked: Option<Instant>,
    listed: Option<Instant>,
}

/// Whether it is time to look again; then that is noted.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| clock::since(last) >= every);
    if due {
        *last = Some(clock::now());
    }
    due
}

impl<R: Record> LogSplit<R> {
    fn open(files: Vec<PathBuf>, from: Option<From>) -> Result<LogSplit<R>> {
        // What can't be read is said before the job starts.
        files.iter().try_for_each(|path| open::<R>(path).map(drop))?;
        let number = from.map_or(Ok(0), |from| from.first(&files))?;
        let none = || Error::new(Kind::Internal, "a split of a log has no file");
        let (mut log, reading) = open::<R>(files.get(number).ok_or_else(none)?)?;
        if let Some(from) = from {
            from.seek(&mut log)?;
        }
        let (words, record) = (Vec::new(), PhantomData);
        Ok(LogSplit { files, number, log, reading, words, follow: None, record })
    }

    /// Takes up what has come since, at the end of a file; false when nothing has.
    fn grow(&mut self) -> Result<bool> {
        let Some(follow) = &mut self.follow else { return Ok(false) };
        if is_due(&mut follow.looked, LOOK) && self.log.grow()? {
            return Ok(true);
        }
        let is_last = self.number + 1 == self.files.len();
        if is_last
            && is_due(&mut follow.listed, LIST)
            && let Some(next) = behind(self.log.path())?
            && Segment::is_begun(&next)?
        {
            self.files.push(next);
            // What was written before the next file was made.
            return self.log.grow();
        }
        Ok(false)
    }

    /// Reads the next frame, if there is one.
    fn frame(&mut self, feed: &mut Feed<'_, R>) -> Result<bool> {
        let (place, path) = (self.log.place(), &self.files[self.number]);
        let Some(frame) = self.log.next()? else { return Ok(false) };
        let wrong = |what: String| {
            let path = path.display();
            let what = Error::new(Kind::Data, what);
            Err(what.within(format_args!("{path}, frame at byte {place}")))
        };
        let encoded = match &self.reading {
            Reading::InPlace => frame.encoded(),
            Reading::Converted { from, to } => {
                if let Err(what) = Reading::convert((from, to), &frame, &mut self.words) {
                    return wrong(what);
                }
                bytemuck::cast_slice(&self.words)
            }
        };
        match Batch::restored::<R>(encoded, frame.times()) {
            Some(batch) => feed.lend_batch(batch).map(|()| true),
            None => wrong("the records are not what the schema says".into()),
        }
    }

    /// What a crash has cut off is counted.
    fn tear(&mut self, feed: &mut Feed<'_, R>) -> Result {
        let frame = self.log.frames_before() + 1;
        let left = self.log.skip_rest();
        let what = format!("the file ends within a frame, {left} bytes are cut off");
        let origin = format!("{}, frame", self.log.path().display());
        feed.bad(&origin, frame, &what, "")
    }
}

fn open<R: Record>(path: &Path) -> Result<(Segment, Reading)> {
    let log = Segment::open(path)?;
    let reading = log.head().holds::<R>(path)?;
    Ok((log, reading))
}

impl<R: Record> Split<R> for LogSplit<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        while feed.room() > 0 {
            if self.frame(feed)? {
                continue;
            }
            if self.grow()? {
                continue;
            }
            let Some(next) = self.files.get(self.number + 1) else {
                if self.follow.is_some() {
                    return Ok(Progress::Idle);
                }
                if self.log.is_torn() {
                    self.tear(feed)?;
                }
                return Ok(Progress::Done);
            };
            let next = next.clone();
            if self.log.is_torn() {
                self.tear(feed)?;
            }
            (self.log, self.reading) = open::<R>(&next)?;
            self.number += 1;
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        (self.number as u64) << PLACE_BITS | self.log.place() as u64
    }

    fn name(&self) -> String {
        self.files.first().map(|path| path.display().to_string()).unwrap_or_default()
    }

    fn seek(&mut self, offset: u64) -> Result {
        let number = (offset >> PLACE_BITS) as usize;
        // A follower may have come to files that were not there when it began.
        while self.follow.is_some()
            && self.files.len() <= number
            && let Some(last) = self.files.last()
            && let Some(next) = behind(last)?
            && Segment::is_begun(&next)?
        {
            self.files.push(next);
        }
        let Some(path) = self.files.get(number) else {
            let (path, files) = (self.log.path().display(), self.files.len());
            let what =
                format!("{path}: {} files of it were read, and {files} are there", number + 1);
            return Err(Error::new(Kind::Data, what));
        };
        (self.log, self.reading) = open::<R>(path)?;
        self.number = number;
        self.log.seek(offset & ((1 << PLACE_BITS) - 1))
    }
}
