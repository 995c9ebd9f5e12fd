//! Events that are made once and read in place by many jobs.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Event, Reader};
use crate::error::{Error, Kind, Result};
use crate::limits::FRAME_BYTES;
use crate::operator::{Feed, Progress, Source, Split};
use crate::record::{Block, Record};

/// Nexmark events in memory, in the engine's own encoding: a source that costs next to nothing. A
/// clone shares the memory.
///
/// ```
/// use thalweg::connector::nexmark::Nexmark;
///
/// let input = Nexmark::events(10_000).record(8)?;
/// let again = input.clone();
/// assert_eq!(again.events(), 10_000);
/// assert!(again.bytes() < 10_000 * 300);
/// # Ok::<(), thalweg::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recorded(Arc<[Blocks]>);

/// What one split gives, frame by frame.
type Blocks = Arc<[Block<Event>]>;

impl Recorded {
    /// Makes all events of these readers.
    pub(super) fn make(readers: Vec<Reader>) -> Recorded {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(readers.len());
        let todo = Mutex::new(readers.into_iter().enumerate());
        let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Vec<(usize, Blocks)> {
            let made = |(split, reader)| (split, encode(reader));
            std::iter::from_fn(next).map(made).collect()
        };
        let mut made = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            running.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        made.sort_unstable_by_key(|&(split, _)| split);
        Recorded(made.into_iter().map(|(_, blocks)| blocks).collect())
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.blocks().map(|block| block.len() as u64).sum()
    }

    /// Bytes of memory that the events take.
    pub fn bytes(&self) -> u64 {
        self.blocks().map(|block| block.memory() as u64).sum()
    }

    fn blocks(&self) -> impl Iterator<Item = &Block<Event>> {
        self.0.iter().flat_map(|blocks| blocks.iter())
    }
}

/// All events of a reader, due or not, in blocks that never outgrow the size of a frame.
fn encode(mut reader: Reader) -> Blocks {
    let mut blocks = Vec::new();
    let mut block = Block::new();
    while let Some(event) = reader.take(reader.end) {
        event.lend(|view| {
            if !block.is_empty() && block.bytes() + Event::size(view) > FRAME_BYTES {
                block.shrink();
                blocks.push(std::mem::take(&mut block));
            }
            block.push(view.date_time(), view);
        });
    }
    block.shrink();
    blocks.push(block);
    blocks.into()
}

impl Source for Recorded {
    type Record = Event;

    fn name(&self) -> String {
        "recorded nexmark events".into()
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, _: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        let replay = |(split, blocks): (usize, &Blocks)| -> Box<dyn Split<Event>> {
            let splits = self.0.len();
            Box::new(Replay { blocks: Arc::clone(blocks), split, splits, next: 0, done: 0 })
        };
        Ok(self.0.iter().enumerate().map(replay).collect())
    }
}

/// Hands on the blocks of one split.
struct Replay {
    blocks: Blocks,
    split: usize,
    splits: usize,
    /// The next block.
    next: usize,
    /// Events given.
    done: u64,
}

impl Split<Event> for Replay {
    fn poll(&mut self, feed: &mut Feed<'_, Event>) -> Result<Progress> {
        while feed.room() > 0 {
            let Some(block) = self.blocks.get(self.next) else {
                return Ok(Progress::Done);
            };
            feed.batch(&block.batch())?;
            self.next += 1;
            self.done += block.len() as u64;
        }
        Ok(Progress::Busy)
    }

    fn offset(&self) -> u64 {
        self.done
    }

    fn name(&self) -> String {
        let events: usize = self.blocks.iter().map(Block::len).sum();
        format!("recorded events, split {} of {}, {events} events", self.split, self.splits)
    }

    fn seek(&mut self, offset: u64) -> Result {
        (self.next, self.done) = (0, 0);
        while let Some(block) = self.blocks.get(self.next).filter(|_| self.done < offset) {
            self.next += 1;
            self.done += block.len() as u64;
        }
        if self.done == offset {
            return Ok(());
        }
        let what = format!("no block of the recording begins at event {offset}; it is another one");
        Err(Error::new(Kind::Data, what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nexmark;
    use super::*;
    use crate::operator::{Downstream, OnBadRecord};
    use crate::record::Batch;
    use crate::time::Timestamp;

    /// Keeps what a source gives, with the batches' sizes.
    #[derive(Default)]
    struct Kept {
        events: Vec<(Timestamp, Event)>,
        batches: usize,
    }

    impl Downstream for Kept {
        fn take(&mut self, _: usize, batch: &Batch<'_>) -> Result {
            self.batches += 1;
            batch.records::<Event>().for_each(|(at, event)| self.events.push((at, event.own())));
            Ok(())
        }
    }

    fn drained(mut split: Box<dyn Split<Event>>) -> Kept {
        let (mut kept, mut bad) = (Kept::default(), 0);
        let mut block = Block::new();
        loop {
            let mut feed = Feed::new(0, &mut block, &mut bad, OnBadRecord::Fail, &mut kept);
            let progress = split.poll(&mut feed).unwrap();
            feed.flush().unwrap();
            match progress {
                Progress::Busy => {}
                Progress::Idle | Progress::Parked => thread::yield_now(),
                Progress::Done => break,
            }
        }
        kept
    }

    #[test]
    fn a_recording_replays_what_the_source_gives_in_every_split() {
        let source = Nexmark::events(10_007).splits(3);
        let recorded = source.clone().record(3).unwrap();
        let (live, replayed) = (Source::splits(&source, 1).unwrap(), recorded.splits(1).unwrap());
        assert_eq!(live.len(), 3);
        for (number, (live, replayed)) in live.into_iter().zip(replayed).enumerate() {
            let (live, replayed) = (drained(live).events, drained(replayed).events);
            let expected: Vec<_> = Nexmark::generate(0..10_007).skip(number).step_by(3).collect();
            assert!(live.iter().map(|(_, event)| event).eq(&expected));
            assert!(live.iter().all(|(at, event)| *at == event.date_time()));
            assert!(live.is_sorted_by_key(|&(at, _)| at));
            assert_eq!(live, replayed);
        }
        assert_eq!(recorded.events(), 10_007);
    }

    #[test]
    fn recorded_blocks_fit_a_frame_and_are_full() {
        let recorded = Nexmark::events(10_000).record(1).unwrap();
        let sizes: Vec<_> = recorded.blocks().map(Block::bytes).collect();
        assert!(sizes.iter().all(|&size| size <= FRAME_BYTES));
        let all = &sizes[..sizes.len() - 1];
        assert!(all.iter().all(|&size| size > FRAME_BYTES - 1024));
        assert!(recorded.bytes() < 10_000 * 300, "{}", recorded.bytes());
    }

    #[test]
    fn a_rate_spreads_the_events_over_time() {
        let source = Nexmark::events(400).rate(10_000).splits(2);
        let began = std::time::Instant::now();
        for split in Source::splits(&source, 1).unwrap() {
            assert_eq!(drained(split).events.len(), 200);
        }
        assert!(began.elapsed().as_millis() >= 40);
    }

    #[test]
    fn no_splits_is_an_error_in_words() {
        let error = Nexmark::events(5).record(0).unwrap_err();
        assert!(error.to_string().contains("use at least 1"), "{error}");
    }
}
