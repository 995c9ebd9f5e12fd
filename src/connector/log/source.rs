//! Reading logs.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::EXTENSION;
use super::segment::Segment;
use crate::connector::files::{matching, place};
use crate::error::{Error, Kind, Result};
use crate::operator::{Feed, OnBadRecord, Progress, Source, Split};
use crate::record::{Batch, Record};

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
        let split = |files| LogSplit::open(files).map(|split| Box::new(split) as Box<dyn Split<R>>);
        by_split(matching(&self.pattern)?).into_iter().map(split).collect()
    }

    fn on_bad_record(&self) -> OnBadRecord {
        self.policy
    }
}

/// The files that one shard wrote, in their order; others one by one.
fn by_split(files: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    let mut splits: BTreeMap<(PathBuf, usize, PathBuf), Vec<(u64, PathBuf)>> = BTreeMap::new();
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (of, number) = match place::part(name, EXTENSION) {
            Some((shard, epoch)) => {
                let directory = path.parent().unwrap_or(Path::new("")).to_owned();
                ((directory, shard, PathBuf::new()), epoch)
            }
            None => ((PathBuf::new(), 0, path.clone()), 0),
        };
        splits.entry(of).or_default().push((number, path));
    }
    let paths = |mut files: Vec<(u64, PathBuf)>| {
        files.sort_unstable();
        files.into_iter().map(|(_, path)| path).collect()
    };
    splits.into_values().map(paths).collect()
}

/// Of an offset, the bits that say a place in a file; those above say which file.
const PLACE_BITS: u32 = 44;

struct LogSplit<R> {
    files: Vec<PathBuf>,
    /// Which of them is open.
    number: usize,
    log: Segment,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> LogSplit<R> {
    fn open(files: Vec<PathBuf>) -> Result<LogSplit<R>> {
        // What can't be read is said before the job starts. The first one stays open.
        for path in files.iter().skip(1) {
            open::<R>(path)?;
        }
        let none = || Error::new(Kind::Internal, "a split of a log has no file");
        let log = open::<R>(files.first().ok_or_else(none)?)?;
        Ok(LogSplit { files, number: 0, log, record: PhantomData })
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

fn open<R: Record>(path: &Path) -> Result<Segment> {
    let log = Segment::open(path)?;
    log.head().holds::<R>(path)?;
    Ok(log)
}

impl<R: Record> Split<R> for LogSplit<R> {
    fn poll(&mut self, feed: &mut Feed<'_, R>) -> Result<Progress> {
        while feed.room() > 0 {
            let place = self.log.place();
            if let Some(frame) = self.log.next()? {
                match Batch::restored::<R>(frame.encoded(), frame.times()) {
                    Some(batch) => feed.lend_batch(batch)?,
                    None => {
                        let path = self.log.path().display();
                        let what = "the records are not what the schema says";
                        let what = Error::new(Kind::Data, what);
                        return Err(what.within(format_args!("{path}, frame at byte {place}")));
                    }
                }
                continue;
            }
            if self.log.is_torn() {
                self.tear(feed)?;
            }
            let Some(next) = self.files.get(self.number + 1) else { return Ok(Progress::Done) };
            self.log = open::<R>(next)?;
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
        let Some(path) = self.files.get(number) else {
            let (path, files) = (self.log.path().display(), self.files.len());
            let what =
                format!("{path}: {} files of it were read, and {files} are there", number + 1);
            return Err(Error::new(Kind::Data, what));
        };
        (self.log, self.number) = (open::<R>(path)?, number);
        self.log.seek(offset & ((1 << PLACE_BITS) - 1))
    }
}
