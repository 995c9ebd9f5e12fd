//! A table of state on pages against a hash map: counts by `u64` keys, in random order.
//!
//! ```text
//! cargo bench --bench state                             a table of ratios, up to 1e7 keys
//! cargo bench --bench state -- --keys 1e3,5e7 --turns 9
//! ```
//!
//! The table here is the proof that comes before the state tables of checkpoints, no more: numbers
//! to numbers, nothing removed. It is extendible hashing (Fagin, Nievergelt, Pippenger, Strong,
//! 1979): a directory by the first bits of the hash, and behind it pages that split in two when
//! they are full, so nothing is ever rehashed at once. In a page it searches 16 tags at a time, as
//! hashbrown does. Every update marks its page, which is what an incremental checkpoint goes by.
//!
//! ```text
//! page of 4096 bytes: | 240 tags | the first 16 again | 240 slots of key and value |
//! ```
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_prefetch,
    _mm_set1_epi8,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thalweg::key;

const SLOTS: usize = 240;
/// Entries after which a page splits: searches get long in fuller ones.
const SLOTS_MAX: u16 = 208;
/// Updates that are looked up together.
const BATCH: usize = 64;
const UPDATES: usize = 1 << 22;

#[repr(C, align(4096))]
struct Page {
    /// 0: free; else the high bit and 7 bits of the hash.
    tags: [u8; SLOTS + 16],
    slots: [(u64, u64); SLOTS],
}

const _: () = assert!(size_of::<Page>() == 4096);

impl Page {
    const fn empty() -> Page {
        Page { tags: [0; SLOTS + 16], slots: [(0, 0); SLOTS] }
    }

    /// Where the search for a hash begins: 0 to 240, the last being the first again.
    #[inline(always)]
    fn home(hash: u64) -> usize {
        let byte = (hash >> 8) as usize & 0xff;
        byte - (byte >> 4)
    }

    #[inline(always)]
    fn tag(hash: u64) -> u8 {
        hash as u8 | 0x80
    }

    /// Of the 16 tags from `from` on those that are this one, and those that are taken.
    #[inline(always)]
    fn look(&self, from: usize, tag: u8) -> (u32, u32) {
        debug_assert!(from <= SLOTS);
        // SAFETY: 1. `from` is at most 240, and there are 256 tags. 2. any address will do.
        unsafe {
            let tags = _mm_loadu_si128(self.tags.as_ptr().add(from).cast::<__m128i>());
            let same = _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8)));
            (same as u32, _mm_movemask_epi8(tags) as u32)
        }
    }

    #[inline(always)]
    fn slot(from: usize, bit: u32) -> usize {
        let slot = from + bit as usize;
        if slot >= SLOTS { slot - SLOTS } else { slot }
    }

    #[inline(always)]
    fn next(from: usize) -> usize {
        Page::slot(from, 16)
    }

    #[inline(always)]
    fn find(&mut self, hash: u64, key: u64) -> Option<&mut u64> {
        let mut from = Page::home(hash);
        loop {
            let (mut same, taken) = self.look(from, Page::tag(hash));
            while same != 0 {
                let slot = Page::slot(from, same.trailing_zeros());
                if self.slots[slot].0 == key {
                    return Some(&mut self.slots[slot].1);
                }
                same &= same - 1;
            }
            if taken != 0xffff {
                return None;
            }
            from = Page::next(from);
        }
    }

    /// Puts a key that is not there; there must be room.
    fn put(&mut self, hash: u64, entry: (u64, u64)) {
        let mut from = Page::home(hash);
        loop {
            let free = !self.look(from, 0).1 & 0xffff;
            if free != 0 {
                let slot = Page::slot(from, free.trailing_zeros());
                self.tags[slot] = Page::tag(hash);
                if slot < 16 {
                    self.tags[SLOTS + slot] = Page::tag(hash);
                }
                self.slots[slot] = entry;
                return;
            }
            from = Page::next(from);
        }
    }
}

/// What is known of a page besides its content.
#[derive(Clone, Copy, Default)]
struct About {
    entries: u16,
    /// Bits of the hash that all its entries share.
    depth: u8,
}

struct Table {
    /// The page of each prefix of the hash; at least two.
    directory: Vec<u32>,
    /// Bits of the hash that are no part of the prefix.
    shift: u32,
    pages: Vec<Page>,
    about: Vec<About>,
    /// Whether a page has changed since the last checkpoint would have been.
    dirty: Vec<bool>,
}

impl Table {
    /// An empty table; address space for so many entries is reserved.
    fn new(entries: usize) -> Table {
        let mut pages = Vec::with_capacity(entries / 64 + 2);
        pages.push(Page::empty());
        let (about, dirty) = (vec![About::default()], vec![false]);
        Table { directory: vec![0; 2], shift: 63, pages, about, dirty }
    }

    #[inline(always)]
    fn page(&self, hash: u64) -> usize {
        self.directory[(hash >> self.shift) as usize] as usize
    }

    /// Adds 1 to the value of a key that lies in this page if anywhere.
    #[inline(always)]
    fn add_in(&mut self, page: usize, hash: u64, key: u64) {
        match self.pages[page].find(hash, key) {
            Some(count) => *count += 1,
            None => self.insert(hash, key),
        }
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64, key: u64) {
        let mut page = self.page(hash);
        while self.about[page].entries == SLOTS_MAX {
            self.split(page, hash);
            page = self.page(hash);
        }
        self.pages[page].put(hash, (key, 1));
        self.about[page].entries += 1;
        self.dirty[page] = true;
    }

    /// Splits a page that holds what begins as `hash` does.
    fn split(&mut self, page: usize, hash: u64) {
        let depth = self.about[page].depth + 1;
        if u32::from(depth) > 64 - self.shift {
            self.directory = self.directory.iter().flat_map(|page| [*page; 2]).collect();
            self.shift -= 1;
        }
        let (other, half) = (self.pages.len(), 1 << (64 - self.shift - u32::from(depth)));
        let first = ((hash >> self.shift) as usize & !(2 * half - 1)) + half;
        self.directory[first..first + half].fill(other as u32);
        let full = std::mem::replace(&mut self.pages[page], Page::empty());
        self.pages.push(Page::empty());
        self.about.push(About::default());
        self.dirty.push(true);
        for to in [page, other] {
            self.about[to] = About { entries: 0, depth };
        }
        let taken = full.slots.into_iter().zip(&full.tags).filter(|(_, tag)| **tag != 0);
        for (entry, _) in taken {
            let hash = key::hash(&entry.0);
            let to = if hash << (depth - 1) >> 63 == 1 { other } else { page };
            self.pages[to].put(hash, entry);
            self.about[to].entries += 1;
        }
        self.dirty[page] = true;
    }

    fn one_by_one(&mut self, keys: &[u64]) {
        for key in keys {
            let hash = key::hash(key);
            let page = self.page(hash);
            self.dirty[page] = true;
            self.add_in(page, hash, *key);
        }
    }

    /// Looks the pages of a batch up first; `PREFETCH` brings tags, then slots into the cache.
    fn in_batches<const PREFETCH: bool>(&mut self, keys: &[u64]) {
        let mut found = [(0, 0); BATCH];
        for keys in keys.chunks_exact(BATCH) {
            let pages = self.pages.len();
            for (found, key) in found.iter_mut().zip(keys) {
                let hash = key::hash(key);
                *found = (self.page(hash), hash);
                if PREFETCH {
                    prefetch(&self.pages[found.0].tags[Page::home(hash)]);
                }
            }
            for (page, hash) in found {
                self.dirty[page] = true;
                if PREFETCH {
                    let (page, home) = (&self.pages[page], Page::home(hash));
                    let same = page.look(home, Page::tag(hash)).0 | 1 << 16;
                    prefetch(&page.slots[Page::slot(home, same.trailing_zeros())]);
                }
            }
            for ((page, hash), key) in found.into_iter().zip(keys) {
                // A key before it may have split the page.
                let page = if self.pages.len() == pages { page } else { self.page(hash) };
                self.add_in(page, hash, *key);
            }
        }
    }
}

#[inline(always)]
fn prefetch<T>(at: &T) {
    // SAFETY: a prefetch of any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *at).cast()) }
}

#[derive(Parser)]
struct Options {
    /// How many keys there are.
    #[arg(long, value_delimiter = ',', default_value = "1e3,1e4,1e5,1e6,1e7")]
    keys: Vec<f64>,
    /// How often all take their turn.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Only see that it works.
    #[arg(long)]
    test: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

const WAYS: [&str; 4] = ["hashbrown", "one by one", "in batches", "with prefetch"];

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// The best time of each way for as many updates as there are in `updates`.
fn measure(keys: usize, updates: &[u64], turns: usize) -> [Duration; 4] {
    let mut map: HashMap<u64, u64, FixedState> = HashMap::default();
    let mut table = Table::new(keys);
    for key in 0..keys as u64 {
        map.insert(key * 100, 1);
    }
    table.one_by_one(&(0..keys as u64).map(|key| key * 100).collect::<Vec<_>>());
    let mut best = [Duration::MAX; 4];
    for turn in 0..turns {
        for way in (0..4).map(|way| (way + turn) % 4) {
            let time = timed(|| match way {
                0 => updates.iter().for_each(|key| *map.entry(*key).or_default() += 1),
                1 => table.one_by_one(updates),
                2 => table.in_batches::<false>(updates),
                _ => table.in_batches::<true>(updates),
            });
            best[way] = best[way].min(time);
        }
    }
    let mut sum = 0;
    for (key, count) in &map {
        let hash = key::hash(key);
        let page = table.page(hash);
        let counted = table.pages[page].find(hash, *key).map_or(0, |count| *count);
        // Three ways of four went into the table.
        assert_eq!(counted - 1, 3 * (count - 1), "key {key}");
        sum += counted;
    }
    black_box(sum);
    best
}

fn main() {
    let options = Options::parse();
    let sizes = if options.test { vec![1e3, 1e5] } else { options.keys };
    let turns = if options.test { 1 } else { options.turns };
    println!("million updates/s, best of {turns} turns; ratio to hashbrown with foldhash");
    println!("{:>10} {:>10} {:>17} {:>17} {:>17}", "keys", WAYS[0], WAYS[1], WAYS[2], WAYS[3]);
    for keys in sizes.into_iter().map(|keys| keys as usize) {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = || {
            // Xorshift (Marsaglia, 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % keys as u64 * 100
        };
        let updates: Vec<u64> = (0..UPDATES).map(|_| random()).collect();
        let rates = measure(keys, &updates, turns).map(|t| UPDATES as f64 / t.as_secs_f64() / 1e6);
        let shown = rates[1..].iter().map(|rate| format!("{rate:9.1} ({:5.2})", rate / rates[0]));
        println!("{keys:>10} {:>10.1} {}", rates[0], shown.collect::<Vec<_>>().join("  "));
    }
}
