//! `thalweg bench state`: tables of state against a hash map, counts by `u64` keys in random order.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use comfy_table::{CellAlignment, Table, presets};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thalweg::key;
use thalweg::limits::STATE_MEMORY;
use thalweg::state::{Backend, PagedTable, Scratch};

use crate::args;

/// Updates of a turn.
const UPDATES: usize = 1 << 22;
/// Keys that an operator would have at hand at a time.
const BATCH: usize = 4096;

/// How the updates are made.
#[derive(Clone, Copy)]
enum Way {
    Hashbrown,
    OneByOne,
    Batches,
    DiskOneByOne,
    DiskBatches,
}

const WAYS: [(Way, &str); 5] = [
    (Way::Hashbrown, "hashbrown"),
    (Way::OneByOne, "Memory, one by one"),
    (Way::Batches, "Memory, in batches"),
    (Way::DiskOneByOne, "Disk, one by one"),
    (Way::DiskBatches, "Disk, in batches"),
];

type Counts = PagedTable<u64, u64>;

/// What is measured.
struct Bench {
    map: HashMap<u64, u64, FixedState>,
    memory: Counts,
    disk: Counts,
}

impl Bench {
    /// All hold the same keys, with a count of 1.
    fn of(keys: usize, directory: &Path) -> anyhow::Result<Bench> {
        let scratch = Scratch::within(directory, STATE_MEMORY)
            .with_context(|| format!("making a file in {}", directory.display()))?;
        let mut bench = Bench {
            map: HashMap::default(),
            memory: PagedTable::of(Backend::Memory),
            disk: PagedTable::of(Backend::Disk(Arc::new(scratch))),
        };
        for key in (0..keys as u64).map(|key| key * 100) {
            bench.map.insert(key, 1);
            bench.memory.insert_new(key::hash(&key), key, 1);
            bench.disk.insert_new(key::hash(&key), key, 1);
        }
        Ok(bench)
    }

    fn run(&mut self, way: Way, keys: &[u64], hashes: &mut Vec<u64>) {
        match way {
            Way::Hashbrown => keys.iter().for_each(|key| *self.map.entry(*key).or_insert(0) += 1),
            Way::OneByOne => one_by_one(&mut self.memory, keys),
            Way::Batches => in_batches(&mut self.memory, keys, hashes),
            Way::DiskOneByOne => one_by_one(&mut self.disk, keys),
            Way::DiskBatches => in_batches(&mut self.disk, keys, hashes),
        }
    }

    /// That every update of every way is there; each table took two ways' updates.
    fn check(&self) -> anyhow::Result<()> {
        let mut sum = 0;
        for (key, count) in &self.map {
            for table in [&self.memory, &self.disk] {
                let counted = table.get(key::hash(key), |other| other == key);
                let right = counted.is_some_and(|counted| counted - 1 == 2 * (count - 1));
                ensure!(right, "key {key} was counted {counted:?}, and {count} by hashbrown");
            }
            sum += count;
        }
        black_box(sum);
        Ok(())
    }
}

fn one_by_one(table: &mut Counts, keys: &[u64]) {
    for key in keys {
        *table.entry(key::hash(key), |other| other == key, || (*key, 0)) += 1;
    }
}

fn in_batches(table: &mut Counts, keys: &[u64], hashes: &mut Vec<u64>) {
    for keys in keys.chunks(BATCH) {
        hashes.clear();
        hashes.extend(keys.iter().map(key::hash));
        let is = |number: usize, other: &u64| keys[number] == *other;
        table.each_entry(hashes, is, |number| (keys[number], 0), |_, count| *count += 1);
    }
}

/// The best time of each way for all updates; all take turns, and another one begins each time.
fn measure(bench: &mut Bench, updates: &[u64], turns: u32) -> [Duration; WAYS.len()] {
    let (mut best, mut hashes) = ([Duration::MAX; WAYS.len()], Vec::new());
    for turn in 0..turns as usize {
        for at in (0..WAYS.len()).map(|way| (way + turn) % WAYS.len()) {
            let begin = Instant::now();
            bench.run(WAYS[at].0, updates, &mut hashes);
            best[at] = best[at].min(begin.elapsed());
        }
    }
    best
}

/// Measures tables of several sizes and prints how they compare.
///
/// # Errors
/// When there is no room for them, or a count is wrong.
pub fn run(args: &args::State) -> anyhow::Result<ExitCode> {
    let directory = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["keys"].into_iter().chain(WAYS.map(|(_, name)| name)));
    for keys in args.keys.iter().map(|keys| keys.get()) {
        eprintln!("{keys} keys …");
        let mut bench = Bench::of(usize::try_from(keys)?, &directory)?;
        let updates = random(keys);
        let times = measure(&mut bench, &updates, args.runs.get());
        bench.check()?;
        let rates = times.map(|time| UPDATES as f64 / time.as_secs_f64() / 1e6);
        let shown = rates.iter().map(|rate| format!("{rate:.1} ({:.2})", rate / rates[0]));
        table.add_row([keys.to_string()].into_iter().chain(shown));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!(
        "Million updates/s of one thread, u64 to u64, in random order: the best of {} turns (and \
         how often that of hashbrown with foldhash).",
        args.runs,
    );
    super::print_machine();
    Ok(ExitCode::SUCCESS)
}

/// Keys in random order: xorshift (Marsaglia, 2003).
fn random(keys: u64) -> Vec<u64> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % keys * 100
    };
    (0..UPDATES).map(|_| next()).collect()
}
