//! Writing a log of records whose type is known by its shape only.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::compress::Compression;
use super::frame::{Records, SPAN_MAX};
use super::head::Head;
use super::tail::Tail;
use crate::error::{Error, Kind, Result};
use crate::limits::{FRAME_BYTES, FRAME_RECORDS};
use crate::record::Shape;
use crate::time::Timestamp;

/// Writes a log file outside of any job: records that were made by [`Shape::write`], each with its
/// event time and the time of its arrival.
///
/// It may be read meanwhile. As long as somebody does, the file is never made shorter: after a
/// write that failed it may then end within a frame, and be left without an index.
///
/// Dropped without [`finish`](Recorder::finish), it leaves a log without an index, up to the last
/// frame that was written.
///
/// ```
/// use thalweg::connector::log::Recorder;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
/// # fn main() -> Result {
/// # let directory = tempfile::tempdir().map_err(|error| Error::io("a directory", &error))?;
/// # let path = directory.path().join("bids.tlog");
/// let shape = Bid::shape().expect("a shape");
/// let mut log = Recorder::create(&path, &shape)?;
/// let value = serde_json::from_str(r#"{"auction":1,"price":7}"#).expect("JSON");
/// let mut bytes = Vec::new();
/// shape.write(&value, &mut bytes).expect("a bid");
/// log.write(Timestamp::from_seconds(1), Timestamp::now(), &bytes)?;
/// assert_eq!(log.finish()?, 1);
///
/// let job = Job::new("read").shards(1);
/// let (sink, bids) = Collect::new();
/// job.source(RecordLog::read::<Bid>(path.display().to_string())).sink(sink);
/// job.run()?;
/// assert_eq!(bids.take(), [Bid { auction: 1, price: 7 }]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: File,
    head: Head,
    tail: Tail,
    /// Bytes of the file up to the end of its last whole frame.
    whole: u64,
    /// Whether something stands behind that, which could not be cut off.
    is_torn: bool,
    times: Vec<Timestamp>,
    arrivals: Vec<i64>,
    encoded: Vec<u8>,
}

impl Recorder {
    /// Makes a file, which must not be there yet or be empty, for records of a shape.
    ///
    /// # Errors
    /// When it can't be made, is there, or another process writes it.
    pub fn create(path: &Path, shape: &Shape) -> Result<Recorder> {
        let failed = |cause| failed(path, &cause);
        let options = File::options().read(true).append(true).create(true).clone();
        let file = options.open(path).map_err(failed)?;
        let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if taken || file.metadata().map_err(failed)?.len() > 0 {
            let what = format!("{} is there already; name another file", path.display());
            return Err(Error::new(Kind::Io, what));
        }
        let head = Head::of_shape(shape);
        let mut log = Recorder {
            path: path.to_owned(),
            file,
            tail: Tail::new(&head, Compression::None),
            head,
            whole: 0,
            is_torn: false,
            times: Vec::new(),
            arrivals: Vec::new(),
            encoded: Vec::new(),
        };
        log.file.write_all(log.tail.head()).map_err(failed)?;
        log.tail.begun();
        log.whole = log.tail.place();
        log.share();
        Ok(log)
    }

    /// Compresses each frame; before the first record.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Recorder {
        self.tail = Tail::new(&self.head, compression);
        self.tail.begun();
        self
    }

    /// Appends a record; it is in the file when its frame is full, or after
    /// [`flush`](Recorder::flush).
    ///
    /// # Errors
    /// When the file can't be written. It may be [finished](Recorder::finish) all the same.
    pub fn write(&mut self, at: Timestamp, arrival: Timestamp, encoded: &[u8]) -> Result {
        let arrival = arrival.micros();
        let first = self.arrivals.first().copied().unwrap_or(arrival);
        let fits = arrival.checked_sub(first).is_some_and(|span| (0..=SPAN_MAX).contains(&span));
        if !fits {
            self.flush()?;
        }
        self.times.push(at);
        self.arrivals.push(arrival);
        self.encoded.extend_from_slice(encoded);
        if self.encoded.len() >= FRAME_BYTES || self.times.len() >= FRAME_RECORDS {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// As for [`write`](Recorder::write), and when the file has been
    /// [finished](Recorder::finish): what has gathered is lost then.
    pub fn flush(&mut self) -> Result {
        if self.times.is_empty() {
            return Ok(());
        }
        // The index is the end of the file.
        if self.tail.has_ended() {
            self.clear();
            let what = format!("{} has been finished, and takes no more", self.path.display());
            return Err(Error::new(Kind::Io, what));
        }
        self.untear()?;
        let (times, arrivals, encoded) = (&self.times, &self.arrivals, &self.encoded);
        let (file, path) = (&mut self.file, &self.path);
        let put = self.tail.put(&Records { times, arrivals, encoded }, |bytes| {
            file.write_all(bytes).map_err(|cause| failed(path, &cause))
        });
        self.clear();
        match put {
            Ok(()) => self.whole = self.tail.place(),
            // What is there of the frame goes; while that can't be, a reader leaves it out.
            Err(_) => {
                self.is_torn = true;
                drop(self.untear());
            }
        }
        put
    }

    fn clear(&mut self) {
        self.times.clear();
        self.arrivals.clear();
        self.encoded.clear();
    }

    /// Cuts off what was not written whole.
    fn untear(&mut self) -> Result {
        if self.is_torn {
            self.alone(|log| {
                log.file.set_len(log.whole).map_err(|cause| failed(&log.path, &cause))
            })?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Does what makes the file shorter, while nobody reads it: a reader has mapped it, and is
    /// ended by SIGBUS where it looks at what is no longer there. Who opens it meanwhile waits.
    fn alone(&mut self, cut: impl FnOnce(&mut Recorder) -> Result) -> Result {
        let is_read = matches!(self.file.try_lock(), Err(TryLockError::WouldBlock));
        let cut = if is_read {
            let path = self.path.display();
            let what = "is being read, and its end, which was not written whole, stays";
            let mend = "thalweg index --cut cuts it off when nobody reads it";
            Err(Error::new(Kind::Io, format!("{path} {what}; {mend}")))
        } else {
            cut(self)
        };
        self.share();
        cut
    }

    /// Others may read the file, and none may write it.
    fn share(&self) {
        // Where there are no locks nobody misses it.
        drop(self.file.try_lock_shared());
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many records are in the file.
    pub fn records(&self) -> u64 {
        self.tail.written()
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.whole
    }

    /// Writes what has gathered and then the index, and syncs the file; gives how many records are
    /// in it. Where the disk has no room for the index, the last frames make some.
    ///
    /// # Errors
    /// When the file can't be written: also where it was closed all the same, but for what had
    /// gathered. [`records`](Recorder::records) says how many are in it.
    pub fn finish(&mut self) -> Result<u64> {
        let flushed = self.flush();
        self.close()?;
        flushed.map(|()| self.records())
    }

    fn close(&mut self) -> Result {
        self.untear()?;
        loop {
            let (file, path) = (&mut self.file, &self.path);
            let mut full = false;
            let ended = self.tail.end(|bytes| {
                file.write_all(bytes).map_err(|cause| {
                    full = is_full(cause.kind());
                    failed(path, &cause)
                })
            });
            let Err(error) = ended else {
                return self.file.sync_all().map_err(|cause| failed(&self.path, &cause));
            };
            self.is_torn = true;
            let mut goes_on = false;
            self.alone(|log| {
                if full && let Some(end) = log.tail.take_back() {
                    (log.whole, goes_on) = (end, true);
                }
                log.file.set_len(log.whole).map_err(|cause| failed(&log.path, &cause))
            })?;
            self.is_torn = false;
            if !goes_on {
                return Err(error);
            }
        }
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    Error::io(format_args!("writing {}", path.display()), cause)
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;

    #[test]
    fn a_file_that_is_read_is_not_made_shorter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tlog");
        let mut log = Recorder::create(&path, &Shape::Uint(64)).unwrap();
        let at = Timestamp::from_seconds(1);
        log.write(at, at, &7_u64.to_ne_bytes()).unwrap();
        log.flush().unwrap();
        let whole = log.bytes();
        // As a disk that runs full leaves it.
        log.file.write_all(&[1; 5_000]).unwrap();
        log.is_torn = true;
        let mut reader = Segment::open(&path).unwrap();
        let error = log.flush().and_then(|()| log.finish()).unwrap_err().to_string();
        assert!(error.contains("is being read") && error.contains("index --cut"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole + 5_000);
        assert_eq!(reader.next().unwrap().unwrap().len(), 1);
        assert!(!Segment::open(&path).unwrap().has_index());
        drop(reader);
        // It goes on where it was.
        log.write(at, at, &8_u64.to_ne_bytes()).unwrap();
        assert_eq!(log.finish().unwrap(), 2);
        let mut reader = Segment::open(&path).unwrap();
        assert!(reader.has_index());
        assert_eq!([1, 1], [(); 2].map(|()| reader.next().unwrap().unwrap().len()));
    }

    #[test]
    fn who_reads_a_file_that_is_written_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tlog");
        let log = Recorder::create(&path, &Shape::Uint(64)).unwrap();
        let reader = Segment::open(&path).unwrap();
        drop(log);
        let error = super::super::mend(&path, true).unwrap_err().to_string();
        assert!(error.contains("is being read"), "{error}");
        drop(reader);
        super::super::mend(&path, true).unwrap();
    }
}
