//! The records of logs, as one stream.

use std::path::PathBuf;
use std::vec::IntoIter;

use anyhow::{Context, ensure};
use thalweg::connector::log::Segment;
use thalweg::record::{Shape, Visitor};
use thalweg::time::Timestamp;

use super::args::{By, Choice};

/// Which files there are and how they are read.
#[derive(Clone, Debug)]
pub struct Reel {
    /// Files, those of one split in their order.
    splits: Vec<Vec<PathBuf>>,
    /// How the records lie.
    pub shape: Shape,
    /// The times that the replay goes by.
    pub by: By,
    /// The first record's time that it goes by, and its event time.
    pub first: (i64, Timestamp),
    /// Files that nobody has finished: they are being written, or were when something broke.
    pub unfinished: Vec<PathBuf>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Reel {
    /// Looks into all files.
    ///
    /// # Errors
    /// When one can't be read, when they hold different records, when there is none to replay.
    pub fn open(
        splits: Vec<Vec<PathBuf>>,
        by: Option<By>,
        choice: &Choice,
    ) -> anyhow::Result<Reel> {
        let mut shape: Option<Shape> = None;
        let mut unfinished = Vec::new();
        for path in splits.iter().flatten() {
            let mut log = Segment::open(path)?;
            if is_unfinished(&mut log) {
                unfinished.push(path.clone());
            }
            let (shown, data_type) = (path.display(), &log.head().data_type);
            let own = log.head().shape.clone().with_context(|| {
                format!("{shown} does not say how its records lie; they are {data_type}")
            })?;
            let same = shape.as_ref().is_none_or(|shape| *shape == own);
            ensure!(same, "{shown} holds {data_type}: other records than the files before it");
            shape = Some(own);
        }
        let shape = shape.context("there is no log")?;
        let (from, to) = (choice.from_time, choice.to_time);
        let by_event = By::Event;
        let first = (0, Timestamp::MIN);
        let by_first = by.unwrap_or(by_event);
        let mut reel = Reel { splits, shape, by: by_first, first, unfinished, from, to };
        let Some(event) = reel.tape(true)?.peek().map(|times| times.event) else {
            anyhow::bail!(
                "no record is to be replayed: the log is empty, or --from-time and \
                           --to-time leave nothing of it (thalweg info shows its times)"
            );
        };
        if event == Timestamp::MIN {
            ensure!(by != Some(By::Event), "the log has no event times; use --by arrival");
            reel.by = By::Arrival;
        }
        let first = reel.tape(true)?.peek().map(|times| (times.time, times.event));
        reel.first = first.context("the log was changed meanwhile")?;
        Ok(reel)
    }

    /// What is to be said of files that nobody has finished.
    pub fn doubt(&self) -> Option<String> {
        let first = self.unfinished.first()?.display();
        let what = match self.unfinished.len() {
            1 => format!("{first} is not finished"),
            files => format!("{first} and {} more files are not finished", files - 1),
        };
        let how = "being written, or its writer was killed: there may have been more";
        Some(format!("{what}: {how} (thalweg verify)"))
    }

    /// From the start; a silent one says nothing of files that were cut off.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn tape(&self, silent: bool) -> anyhow::Result<Tape<'_>> {
        let open = |files: &Vec<PathBuf>| {
            let mut track = Track {
                files: files.clone().into_iter(),
                log: None,
                chunk: Chunk::default(),
                greatest: i64::MIN,
                next: None,
                silent,
            };
            track.find(self)?;
            Ok(track)
        };
        let tracks = self.splits.iter().map(open).collect::<anyhow::Result<_>>()?;
        Ok(Tape { reel: self, tracks, at: 0 })
    }
}

/// Whether it has no end although it has begun; one without records has none.
fn is_unfinished(log: &mut Segment) -> bool {
    !log.has_index() && (!matches!(log.next(), Ok(None)) || log.is_torn())
}

/// The records of a reel in the order of the times that it goes by: the order of each split stays,
/// and a record whose time is behind counts as of the time of the one before it.
pub struct Tape<'a> {
    reel: &'a Reel,
    tracks: Vec<Track>,
    /// Which of them has the record that was looked at.
    at: usize,
}

/// A record's times, as recorded.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The one that the replay goes by, in microseconds.
    pub time: i64,
    /// Its event time.
    pub event: Timestamp,
}

impl Tape<'_> {
    /// The times of the next record.
    pub fn peek(&mut self) -> Option<Times> {
        self.at = self.least()?;
        let Track { next, chunk, .. } = &self.tracks[self.at];
        let event = Timestamp::from_micros(chunk.events[chunk.record]);
        Some(Times { time: (*next)?, event })
    }

    /// The encoding of the record that was looked at last, and what comes behind it.
    pub fn bytes(&self) -> &[u8] {
        let chunk = &self.tracks[self.at].chunk;
        &chunk.bytes[chunk.place..]
    }

    /// Goes behind the record that was looked at last, which takes so many bytes.
    ///
    /// # Errors
    /// When a file can't be read or is damaged.
    pub fn pass(&mut self, bytes: usize) -> anyhow::Result<()> {
        let track = &mut self.tracks[self.at];
        track.chunk.record += 1;
        track.chunk.place += bytes;
        track.find(self.reel)
    }

    fn least(&self) -> Option<usize> {
        let times = self.tracks.iter().enumerate();
        times.filter_map(|(number, track)| Some((track.next?, number))).min().map(|(_, n)| n)
    }
}

/// The files of a split, one after the other.
struct Track {
    files: IntoIter<PathBuf>,
    log: Option<Segment>,
    chunk: Chunk,
    /// The greatest time so far.
    greatest: i64,
    /// The time of the next record, if there is one.
    next: Option<i64>,
    silent: bool,
}

/// The records of a frame.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    events: Vec<i64>,
    arrivals: Vec<i64>,
    /// The next record, and where it begins.
    record: usize,
    place: usize,
}

impl Track {
    /// Goes to the next record that is asked for.
    fn find(&mut self, reel: &Reel) -> anyhow::Result<()> {
        loop {
            while self.chunk.record == self.chunk.events.len() {
                if !self.fill(reel)? {
                    self.next = None;
                    return Ok(());
                }
            }
            let chunk = &mut self.chunk;
            let event = Timestamp::from_micros(chunk.events[chunk.record]);
            let early = reel.from.is_some_and(|from| event < from);
            if !early && reel.to.is_none_or(|to| event < to) {
                let times = if reel.by == By::Event { &chunk.events } else { &chunk.arrivals };
                self.greatest = self.greatest.max(times[chunk.record]);
                self.next = Some(self.greatest);
                return Ok(());
            }
            let size = size(&reel.shape, &chunk.bytes[chunk.place..]).context(NO_RECORD)?;
            chunk.record += 1;
            chunk.place += size;
        }
    }

    /// Takes up the next frame that may hold something that is asked for.
    fn fill(&mut self, reel: &Reel) -> anyhow::Result<bool> {
        loop {
            let Some(log) = &mut self.log else {
                let Some(path) = self.files.next() else { return Ok(false) };
                let mut log = Segment::open(&path)?;
                if let Some(from) = reel.from {
                    log.seek_event(from)?;
                }
                self.log = Some(log);
                continue;
            };
            let Some(frame) = log.next()? else {
                if log.is_torn() && !self.silent {
                    let path = log.path().display();
                    eprintln!(
                        "thalweg: {path} ends within a frame: what comes behind is not there"
                    );
                }
                self.log = None;
                continue;
            };
            let (least, greatest) = frame.event_times();
            let none = reel.from.is_some_and(|from| greatest < from)
                || reel.to.is_some_and(|to| least >= to);
            if none || frame.is_empty() {
                continue;
            }
            let chunk = &mut self.chunk;
            chunk.bytes.clear();
            chunk.bytes.extend_from_slice(frame.encoded());
            let micros = |time: Option<Timestamp>| time.unwrap_or(Timestamp::MIN).micros();
            chunk.events.clear();
            chunk.events.extend((0..frame.len()).map(|n| micros(frame.event_time(n))));
            chunk.arrivals.clear();
            chunk.arrivals.extend((0..frame.len()).map(|n| micros(frame.arrival(n))));
            (chunk.record, chunk.place) = (0, 0);
            return Ok(true);
        }
    }
}

/// What is said of bytes that are not what they should be.
pub const NO_RECORD: &str = "a record is not what the log's schema says (thalweg verify checks it)";

/// How many bytes the record takes that is at the start of these.
pub fn size(shape: &Shape, bytes: &[u8]) -> Option<usize> {
    match shape.size() {
        Some(size) => (size <= bytes.len()).then_some(size),
        None => shape.show(bytes, &mut Nothing),
    }
}

/// Looks at nothing.
struct Nothing;

impl Visitor for Nothing {
    fn null(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn int(&mut self, _: i128) {}
    fn uint(&mut self, _: u128) {}
    fn float(&mut self, _: f64) {}
    fn text(&mut self, _: &str) {}
    fn bytes(&mut self, _: &[u8]) {}
    fn time(&mut self, _: Timestamp) {}
    fn list(&mut self) {}
    fn fields(&mut self) {}
    fn field(&mut self, _: &'static str) {}
    fn variant(&mut self, _: &'static str) {}
    fn end(&mut self) {}
}
