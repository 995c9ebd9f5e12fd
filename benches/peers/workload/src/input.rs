//! The input: generated once, kept in a file, read into one slice per worker.

use crate::event::{Auction, Bid, EVENT_BYTES, Event, Person, Str16};
use crate::run::Args;
use crate::{BASE_TIME, EVENTS_MAX};
use nexmark::event::Event as Generated;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

/// Events read from the file at once.
const READ_EVENTS: usize = 1024;

/// Memory of so many events, in MiB, rounded to the nearest.
pub fn input_mib(events: usize) -> u64 {
    let bytes = (events * EVENT_BYTES) as u64;
    (bytes + (1 << 19)) >> 20
}

/// The input of each worker: event `i` belongs to worker `i % workers`.
///
/// With a cache folder, the events are read from the file there, which is generated first when it
/// is missing. Generating takes more memory than reading: have the file [prepared](prepare) when
/// the peak of this process matters.
///
/// # Panics
///
/// When the file cannot be written or read, or does not hold that many events.
pub fn load(args: &Args) -> Vec<&'static [Event]> {
    let (n, w) = (args.events, args.workers);
    let mut parts: Vec<Vec<Event>> =
        (0..w).map(|i| Vec::with_capacity(n / w + usize::from(i < n % w))).collect();
    let mut i = 0;
    let mut deal = |event| {
        parts[i % w].push(event);
        i += 1;
    };
    match &args.cache {
        None => generate_all(n).into_iter().flatten().for_each(&mut deal),
        Some(folder) => prepare(folder, n)
            .and_then(|path| read(&path, n, &mut deal))
            .unwrap_or_else(|e| panic!("input of {n} events in {}: {e}", folder.display())),
    }
    parts.into_iter().map(|p| &*p.leak()).collect()
}

/// Generates the input file of so many events, unless the folder holds it; its path.
///
/// # Errors
///
/// When the folder or the file cannot be written, or for more than [`EVENTS_MAX`] events.
pub fn prepare(folder: &Path, events: usize) -> io::Result<PathBuf> {
    if events > EVENTS_MAX {
        let message = format!("more than {EVENTS_MAX} events: the generator's clock gets coarse");
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    let path = folder.join(format!("nexmark-{events}.events"));
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(folder)?;
    // Whoever finds the file finds it whole: it gets its name last.
    let part = folder.join(format!("nexmark-{events}.{}.tmp", std::process::id()));
    let mut file = BufWriter::new(File::create(&part)?);
    for event in generate_all(events).iter().flatten() {
        file.write_all(&event.encode())?;
    }
    file.flush()?;
    fs::rename(&part, &path)?;
    Ok(path)
}

fn read(path: &Path, events: usize, mut deal: impl FnMut(Event)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![[0; EVENT_BYTES]; READ_EVENTS];
    let mut left = events;
    while left > 0 {
        let now = &mut buffer[..left.min(READ_EVENTS)];
        file.read_exact(now.as_flattened_mut())?;
        for bytes in &*now {
            deal(Event::decode(bytes).ok_or(ErrorKind::InvalidData)?);
        }
        left -= now.len();
    }
    Ok(())
}

/// The events in order, in one piece per core.
fn generate_all(events: usize) -> Vec<Vec<Event>> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    let step = events.div_ceil(threads).max(1);
    thread::scope(|scope| {
        let pieces: Vec<_> = (0..events)
            .step_by(step)
            .map(|from| scope.spawn(move || generate(from, events.min(from + step)).collect()))
            .collect();
        pieces.into_iter().map(|p| p.join().expect("the generator panicked")).collect()
    })
}

fn generate(from: usize, to: usize) -> impl Iterator<Item = Event> {
    let config = nexmark::config::NexmarkConfig { base_time: BASE_TIME, ..Default::default() };
    nexmark::EventGenerator::new(config).with_offset(from as u64).take(to - from).map(compact)
}

fn compact(event: Generated) -> Event {
    match event {
        Generated::Person(p) => Event::Person(Person {
            id: p.id as u64,
            date_time: p.date_time,
            name: str16(&p.name),
            city: str16(&p.city),
            state: p.state.as_bytes().try_into().expect("a state has two letters"),
        }),
        Generated::Auction(a) => Event::Auction(Auction {
            id: a.id as u64,
            seller: a.seller as u64,
            category: a.category as u64,
            initial_bid: a.initial_bid as u64,
            reserve: a.reserve as u64,
            date_time: a.date_time,
            expires: a.expires,
        }),
        Generated::Bid(b) => Event::Bid(Bid {
            auction: b.auction as u64,
            bidder: b.bidder as u64,
            price: b.price as u64,
            date_time: b.date_time,
        }),
    }
}

fn str16(s: &str) -> Str16 {
    let mut out = [0; 16];
    out[..s.len()].copy_from_slice(s.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gives_back_what_was_generated() {
        let folder = tempfile::tempdir().expect("a folder");
        // An odd number, and more than one piece of reading.
        let n = 5 * READ_EVENTS + 7;
        let path = prepare(folder.path(), n).expect("written");
        let mut read_back = Vec::new();
        read(&path, n, |e| read_back.push(e)).expect("read");
        let generated: Vec<Event> = generate_all(n).into_iter().flatten().collect();
        assert_eq!(read_back, generated);
        assert!(read(&path, n + 1, |_| ()).is_err(), "a short file is refused");
    }

    #[test]
    fn workers_get_events_in_turn() {
        let args = Args {
            query: "q0".into(),
            workers: 3,
            events: 100,
            cache: None,
            batch: None,
            variant: None,
            executor: None,
        };
        let parts = load(&args);
        let all: Vec<Event> = generate(0, 100).collect();
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [34, 33, 33]);
        assert_eq!(parts[2][1], all[5]);
    }
}
