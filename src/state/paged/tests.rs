use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::beside::MOST;
use super::*;
use crate::key::hash;
use crate::state::Scratch;

/// A key of each number, or one for all.
pub(super) trait Numbered: Key + Ord + Default + std::fmt::Debug {
    fn of(number: u64) -> Self;
}

impl Numbered for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

impl Numbered for () {
    fn of(_: u64) -> Self {}
}

/// What a table must be equal to, and what its saves must give.
#[derive(Default)]
pub(super) struct Twin<K, V> {
    pub table: PagedTable<K, V>,
    map: HashMap<K, V>,
    /// What the saves so far come to.
    kept: HashMap<K, V>,
    /// What the table was when the save began, and the changes that were shown.
    pub saving: Option<(HashMap<K, V>, Vec<Prefix>, Vec<(K, V)>)>,
}

impl<K: Numbered, V: Held + PartialEq + std::fmt::Debug> Twin<K, V> {
    pub fn put(&mut self, number: u64, value: V) {
        let key = K::of(number);
        let is = |other: &K| *other == key;
        if number.is_multiple_of(3) {
            let mut known = false;
            self.table.change(hash(&key), is, |kept| {
                (known, *kept) = (true, value.clone());
                true
            });
            assert_eq!(known, self.map.contains_key(&key));
        }
        *self.table.entry(hash(&key), is, || (key.clone(), value.clone())) = value.clone();
        self.map.insert(key, value);
    }

    /// Puts values of keys, the last ones twice, at once.
    fn put_all(&mut self, numbers: std::ops::Range<u64>, value: &V) {
        let keys: Vec<K> = numbers.clone().chain(numbers.rev().take(20)).map(K::of).collect();
        let hashes: Vec<u64> = keys.iter().map(hash).collect();
        let mut seen = Vec::new();
        self.table.each_entry(
            &hashes,
            |number, key| keys[number] == *key,
            |number| (keys[number].clone(), value.clone()),
            |number, kept| {
                seen.push(number);
                *kept = value.clone();
            },
        );
        assert!(seen.into_iter().eq(0..keys.len()), "each key once, in turn");
        self.map.extend(keys.into_iter().map(|key| (key, value.clone())));
    }

    pub fn remove(&mut self, number: u64) {
        let key = K::of(number);
        let is = |other: &K| *other == key;
        let mut taken = None;
        if number.is_multiple_of(2) {
            self.table.change(hash(&key), is, |value| {
                taken = Some(value.clone());
                false
            });
        } else {
            taken = self.table.remove(hash(&key), is).map(|(_, value)| value);
        }
        assert_eq!(taken, self.map.remove(&key));
    }

    /// Takes out every second key of those whose hashes begin as one does.
    fn clear(&mut self, number: u64, bits: u32) {
        let prefix = Prefix::of(hash(&K::of(number)), bits);
        let goes = |hash: u64| prefix.holds(hash) && hash.is_multiple_of(2);
        self.table.clear(prefix, |hash| hash.is_multiple_of(2));
        self.map.retain(|key, _| !goes(hash(key)));
    }

    fn drain(&mut self) {
        let mut all: Vec<K> = self.table.drain().map(|(key, _)| key).collect();
        let mut own: Vec<K> = self.map.drain().map(|(key, _)| key).collect();
        all.sort_unstable();
        own.sort_unstable();
        assert_eq!(all, own);
    }

    pub fn begin(&mut self, full: bool) {
        while self.saving.is_some() {
            self.save(100);
        }
        if full {
            self.kept.clear();
        }
        self.table.begin_save(full);
        self.saving = Some((self.map.clone(), Vec::new(), Vec::new()));
    }

    pub fn save(&mut self, pages: usize) {
        let Some((_, cleared, put)) = &mut self.saving else { return };
        let done = self.table.save_some(pages, |change| match change {
            Change::Cleared(prefix) => cleared.push(prefix),
            Change::Put(key, value) => put.push((key.clone(), value.clone())),
        });
        if let Some((was, cleared, put)) = self.saving.take_if(|_| done) {
            self.kept.retain(|key, _| !cleared.iter().any(|prefix| prefix.holds(hash(key))));
            let keys = put.len();
            self.kept.extend(put);
            assert_eq!(self.kept, was, "{keys} keys put");
        }
    }

    /// What holds after every call.
    fn is_whole(&self) {
        let table = &self.table;
        assert_eq!(table.len(), self.map.len());
        assert!(!table.open || table.is_small(), "open, with {} pages", table.pages.pages());
        assert!(!(table.open && matches!(table.save, Some(Save::Small { .. }))), "open and saved");
        assert!(K::SINGLE || table.single.is_none());
    }

    pub fn check(&self) {
        let mut all: HashMap<K, V> = HashMap::new();
        let shown =
            self.table.try_for_each(|key, value| match all.insert(key.clone(), value.clone()) {
                None => Ok(()),
                Some(_) => Err(key.clone()),
            });
        assert_eq!((shown, &all), (Ok(()), &self.map));
        for (key, value) in self.map.iter().filter(|(key, _)| hash(*key).is_multiple_of(2)) {
            assert_eq!(self.table.get(hash(key), |other| other == key), Some(value));
        }
        let all: HashMap<K, V> = self.table.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(all, self.map);
    }
}

#[derive(Clone, Debug)]
enum Act {
    Put(u64, u32),
    Range(u64, u32),
    Batch(u64, u32),
    Remove(u64),
    RemoveRange(u64),
    Clear(u64, u32),
    Reserve(usize),
    Begin(bool),
    Save(usize),
    Drain,
    Tend,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..4000_u64, any::<u32>()).prop_map(|(key, value)| Act::Put(key, value)),
        4 => (0..4000_u64, any::<u32>()).prop_map(|(key, value)| Act::Range(key, value)),
        4 => (0..4000_u64, any::<u32>()).prop_map(|(key, value)| Act::Batch(key, value)),
        2 => (0..4000_u64).prop_map(Act::Remove),
        2 => (0..4000_u64).prop_map(Act::RemoveRange),
        1 => (0..4000_u64, 0..8_u32).prop_map(|(key, bits)| Act::Clear(key, bits)),
        1 => (0..4000_usize).prop_map(Act::Reserve),
        2 => any::<bool>().prop_map(Act::Begin),
        4 => (0..6_usize).prop_map(Act::Save),
        1 => Just(Act::Drain),
        2 => Just(Act::Tend),
    ];
    proptest::collection::vec(act, 1..60)
}

fn run<V: Held + PartialEq + std::fmt::Debug + Default>(
    acts: &[Act],
    bits: u32,
    of: impl Fn(u32) -> V,
) {
    run_on::<u64, V>(Backend::Memory, acts, bits, of);
}

/// A file in which all that has not been used just now is packed.
pub(super) fn packing() -> Backend {
    let directory = tempfile::tempdir().unwrap();
    Backend::Disk(Arc::new(Scratch::within(directory.path(), 0).unwrap()))
}

fn run_on<K: Numbered, V: Held + PartialEq + std::fmt::Debug + Default>(
    backend: Backend,
    acts: &[Act],
    bits: u32,
    of: impl Fn(u32) -> V,
) {
    let mut twin: Twin<K, V> = Twin { table: PagedTable::of(backend), ..Twin::default() };
    twin.table.pages.limit(bits);
    // Some begin with room.
    if acts.len().is_multiple_of(3) {
        twin.table.reserve(acts.len() * 100);
    }
    for act in acts {
        match act {
            Act::Put(key, value) => twin.put(*key, of(*value)),
            Act::Range(key, value) => (*key..key + 500).for_each(|key| twin.put(key, of(*value))),
            Act::Batch(key, value) => twin.put_all(*key..key + 500, &of(*value)),
            Act::Remove(key) => twin.remove(*key),
            Act::RemoveRange(key) => (*key..key + 300).for_each(|key| twin.remove(key)),
            Act::Clear(key, bits) => twin.clear(*key, *bits),
            Act::Reserve(keys) => twin.table.reserve(*keys),
            Act::Begin(full) => twin.begin(*full),
            Act::Save(pages) => twin.save(*pages),
            Act::Drain => twin.drain(),
            Act::Tend => twin.table.tend(),
        }
        twin.is_whole();
    }
    twin.begin(false);
    twin.begin(true);
    twin.save(1000);
    twin.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_is_a_map_and_its_saves_come_to_it(acts in acts()) {
        run(&acts, 28, u64::from);
    }

    #[test]
    fn few_entries_are_in_one_map(acts in acts()) {
        let few = |act: &Act| match act {
            Act::Range(key, value) | Act::Batch(key, value) => Act::Put(*key % 800, *value),
            Act::Put(key, value) => Act::Put(*key % 800, *value),
            Act::Reserve(keys) => Act::Reserve(*keys % 800),
            Act::RemoveRange(key) | Act::Remove(key) => Act::Remove(*key % 800),
            other => other.clone(),
        };
        let acts: Vec<Act> = acts.iter().map(few).collect();
        run_on::<u64, _>(Backend::Memory, &acts, 28, u64::from);
    }

    #[test]
    fn all_keys_may_be_one(acts in acts()) {
        run_on::<(), _>(Backend::Memory, &acts, 28, u64::from);
        run_on::<(), _>(packing(), &acts, 28, |value| vec![value.to_string(); value as usize % 3]);
    }

    #[test]
    fn few_entries_may_be_on_pages(acts in acts()) {
        run_on::<u64, _>(Backend::Pages, &acts, 28, u64::from);
    }

    #[test]
    fn values_with_memory_of_their_own(acts in acts()) {
        run(&acts, 28, |value| vec![value.to_string(); value as usize % 3]);
    }

    #[test]
    fn text_and_lists_that_are_packed(acts in acts()) {
        run_on::<u64, _>(packing(), &acts, 28, |value| vec![value.to_string(); value as usize % 3]);
    }

    #[test]
    fn lists_that_take_many_blocks(acts in acts()) {
        run_on::<u64, _>(packing(), &acts[..acts.len().min(12)], 28, |value| {
            vec![u64::from(value); value as usize % 300]
        });
    }

    #[test]
    fn what_finds_no_room_is_kept_beside_the_pages(acts in acts()) {
        run(&acts, 2, u64::from);
    }
}

#[test]
fn entries_are_cleared_of_a_page_that_becomes_two_meanwhile() {
    for value in [1_791_086_162, 299, 150] {
        for bits in 0..8 {
            let acts = [
                Act::Put(64, 0),
                Act::Begin(false),
                Act::Range(376, value),
                Act::Clear(1_896, bits),
            ];
            run_on::<u64, _>(packing(), &acts, 28, |value| {
                vec![u64::from(value); value as usize % 300]
            });
        }
    }
}

#[test]
fn little_of_a_large_table_is_in_memory() {
    let mut table: PagedTable<String, Vec<String>> = PagedTable::of(packing());
    let word = |n: u64| (n.to_string(), hash(n.to_string().as_str()));
    for n in (0..20_000).chain(0..20_000) {
        let (key, hash) = word(n);
        let value = table.entry(hash, |other| *other == key, || (key.clone(), Vec::new()));
        value.push("x".repeat(n as usize % 100));
    }
    let blocks = table.bytes();
    assert!(table.pages.loose() < 10, "{} of {} pages", table.pages.loose(), table.pages.pages());
    for n in (0..20_000).rev() {
        let (key, hash) = word(n);
        let text = "x".repeat(n as usize % 100);
        assert_eq!(
            table.remove(hash, |other| *other == key),
            Some((key, vec![text.clone(), text]))
        );
    }
    assert!(table.is_empty() && table.bytes() == blocks);
}

#[test]
fn blocks_are_used_again() {
    let mut table: PagedTable<u64, Vec<u64>> = PagedTable::of(packing());
    (0..2_000).for_each(|key| table.put(hash(&key), key, vec![key; 100]));
    let mut bytes = Vec::new();
    for _ in 0..20 {
        for key in 0..2_000 {
            let value = table.get_mut(hash(&key), |other| *other == key).unwrap();
            assert_eq!(*value, vec![key; 100]);
        }
        bytes.push(table.pages.bytes());
    }
    assert_eq!(bytes.first(), bytes.last(), "{bytes:?}");
    table.reset();
    (0..2_000).for_each(|key| table.put(hash(&key), key, vec![key; 100]));
    assert_eq!(bytes.last(), Some(&table.pages.bytes()));
}

#[test]
fn a_table_that_grows_in_place_is_packed_when_it_is_tended() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Arc::new(Scratch::within(directory.path(), 100_000).unwrap());
    let mut table: PagedTable<u64, Vec<u64>> = PagedTable::of(Backend::Disk(scratch));
    (0..2_000).for_each(|key| table.put(hash(&key), key, Vec::new()));
    let all = table.pages.loose();
    assert_eq!(all, table.pages.pages());
    for round in 0..100 {
        for key in 0..2_000 {
            let value = table.get_mut(hash(&key), |other| *other == key).unwrap();
            value.push(round);
        }
    }
    assert_eq!(table.pages.loose(), all, "nobody has looked");
    (0..2_000).for_each(|_| table.tend());
    let (loose, pages) = (table.pages.loose(), table.pages.pages());
    assert!(loose < pages / 2, "{loose} of {pages}, which were {all}");
    for key in 0..2_000 {
        assert!(table.get(hash(&key), |other| *other == key).unwrap().iter().copied().eq(0..100));
    }
}

/// Text whose drop panics as long as this says so.
#[derive(Clone)]
struct Bomb(String, Arc<AtomicUsize>);

thread_local! {
    static LIT: Arc<AtomicUsize> = Arc::default();
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 == "bomb" && self.1.load(Relaxed) > 0 {
            self.1.fetch_sub(1, Relaxed);
            panic!("a bomb");
        }
    }
}

impl Held for Bomb {
    type As = String;
    fn lend_as<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        look(&self.0)
    }
    fn own_as(text: &str) -> Self {
        Bomb(text.to_owned(), LIT.with(Arc::clone))
    }
}

#[test]
fn a_drop_that_panics_while_a_page_is_packed_leaves_it_whole() {
    let mut table: PagedTable<u64, Bomb> = PagedTable::of(packing());
    let lit = LIT.with(Arc::clone);
    let text = |key: u64| if key == 5 { "bomb".to_owned() } else { "x".repeat(key as usize % 90) };
    table.put(hash(&5), 5, Bomb::own_as("bomb"));
    lit.store(1, Relaxed);
    let mut next = 6;
    let mut put = || {
        while next < 5_000 {
            next += 1;
            table.put(hash(&(next - 1)), next - 1, Bomb::own_as(&text(next - 1)));
        }
    };
    std::panic::catch_unwind(AssertUnwindSafe(&mut put)).expect_err("it is packed");
    assert_eq!(lit.load(Relaxed), 0);
    put();
    let there = |key: u64| table.get(hash(&key), |other| *other == key).map(|bomb| bomb.0.clone());
    let missing: Vec<u64> = (5..5_000).filter(|key| there(*key) != Some(text(*key))).collect();
    // The one that was to be put when the panic came.
    assert!(missing.len() <= 1, "{missing:?}");
}

#[test]
fn one_large_value_among_many_small_ones_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Arc::new(Scratch::within(directory.path(), 1 << 20).unwrap());
    let mut table: PagedTable<u64, String> = PagedTable::of(Backend::Disk(scratch));
    for key in 0..50_000 {
        let text = table.entry(hash(&key), |other| *other == key, || (key, String::new()));
        *text = "x".repeat(if key % 1_000 == 0 { 100_000 } else { 10 });
    }
    let loose = table.pages.loose_bytes();
    assert!(loose < 2 << 20, "{loose} bytes of 5 MB are in memory where 1 MiB may be");
}

#[test]
fn a_silent_table_that_holds_much_leaves_others_their_part() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Arc::new(Scratch::within(directory.path(), 1 << 20).unwrap());
    let mut tables = [(); 2].map(|()| PagedTable::of(Backend::Disk(scratch.clone())));
    let mut fill = |table: usize, keys: u64, growth: usize| {
        let table: &mut PagedTable<u64, String> = &mut tables[table];
        for key in 0..keys {
            let text = table.entry(hash(&key), |other| *other == key, || (key, String::new()));
            text.push_str(&"x".repeat(growth));
            table.tend();
        }
        table.pages.loose_bytes()
    };
    let silent = fill(0, 20_000, 100);
    assert!((900_000..1_500_000).contains(&silent), "{silent}");
    for _ in 0..3 {
        let other = fill(1, 2_000, 50);
        assert!((100_000..700_000).contains(&other), "{other}");
    }
    let other = fill(1, 20_000, 100);
    assert!((300_000..900_000).contains(&other), "{other}");
}

#[test]
fn a_table_that_was_reset_is_empty_and_says_nothing_of_what_it_held() {
    fn of<V: Held + std::fmt::Debug>(keys: u64, value: impl Fn(u64) -> V) {
        let mut table: PagedTable<u64, V> = PagedTable::of(Backend::Memory);
        (0..keys).for_each(|key| table.put(hash(&key), key, value(key)));
        let bytes = table.bytes();
        table.remove(hash(&7_u64), |key| *key == 7);
        table.reset();
        assert_eq!((table.len(), table.iter().count(), table.bytes()), (0, 0, bytes));
        table.put(hash(&9_u64), 9, value(9));
        table.begin_save(false);
        let mut shown = Vec::new();
        let all = table.save_some(usize::MAX, |change| match change {
            Change::Put(key, _) => shown.push(*key),
            Change::Cleared(prefix) => panic!("{prefix:?} is cleared"),
        });
        assert!(all && shown == [9], "{shown:?}");
    }
    for keys in [20, 5_000] {
        of(keys, |key| key);
        of(keys, |key| vec![key]);
    }
}

#[test]
fn a_small_table_takes_no_more_than_it_may() {
    let mut table: PagedTable<u64, u64> = PagedTable::default();
    // Those that were removed keep their places: the map grows with fewer entries in it.
    for key in 0..10_000_u64 {
        table.put(hash(&key), key, key);
        if key >= 600 {
            table.remove(hash(&(key - 600)), |other| *other == key - 600);
        }
        assert!(!table.is_small() || table.bytes() <= MOST, "{} bytes", table.bytes());
    }
    let table: PagedTable<u64, u64> = PagedTable::default();
    assert!(table.beside.may_hold(400) && !table.beside.may_hold(usize::MAX));
}

#[test]
fn room_that_is_made_while_a_small_table_is_saved_moves_nothing_that_is_to_be_shown() {
    let mut twin: Twin<u64, u64> = Twin::default();
    (0..400).for_each(|key| twin.put(key, key));
    twin.begin(false);
    twin.save(1);
    assert!(twin.saving.is_some(), "half of the places are shown");
    let before = twin.table.bytes();
    twin.table.reserve(800);
    assert!(twin.table.is_small() && twin.table.bytes() > before);
    twin.is_whole();
    twin.begin(false);
}

#[test]
fn small_tables_on_disk_take_half_of_what_is_allowed_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Arc::new(Scratch::within(directory.path(), 1 << 20).unwrap());
    let make = || {
        let mut table: PagedTable<u64, u64> = PagedTable::of(Backend::Disk(scratch.clone()));
        (0..400).for_each(|key| table.put(hash(&key), key, key));
        table
    };
    for _ in 0..3 {
        let tables: Vec<_> = (0..2_000).map(|_| make()).collect();
        let beside: usize = tables.iter().map(|table| table.beside.bytes()).sum();
        assert!((400_000..=1 << 19).contains(&beside), "{beside} bytes of small tables");
        // All that they take is given back with them: so it is three times.
    }
    assert!(make().is_small());
    let without = Scratch::within(directory.path(), 1 << 20).unwrap().without_small_tables();
    let mut table: PagedTable<u64, u64> = PagedTable::of(Backend::Disk(Arc::new(without)));
    table.put(hash(&1), 1, 1);
    assert!(!table.is_small());
}

#[test]
fn a_save_shows_what_has_changed_since_the_one_before_and_no_more() {
    let mut table: PagedTable<u64, u64> = PagedTable::default();
    let shown = |table: &mut PagedTable<u64, u64>, full| {
        table.begin_save(full);
        let mut shown = 0;
        while table.is_saving() {
            table.save_some(7, |_| shown += 1);
        }
        shown
    };
    (0..20_000).for_each(|key| table.put(hash(&key), key, 0));
    assert_eq!(shown(&mut table, true), 20_000);
    assert_eq!(shown(&mut table, false), 0);
    (0..100).for_each(|key| table.put(hash(&key), key, 1));
    assert_eq!(shown(&mut table, false), 100);
    assert_eq!(table.get(hash(&200_u64), |key| *key == 200), Some(&0));
    assert_eq!(shown(&mut table, false), 0);
    assert_eq!(shown(&mut table, true), 20_000);
    table.remove(hash(&5_u64), |key| *key == 5);
    let rest_of_the_page = shown(&mut table, false);
    assert!((1..256).contains(&rest_of_the_page), "{rest_of_the_page}");
}

#[test]
fn a_prefix_has_no_more_bits_than_a_hash() {
    let mut table: PagedTable<u64, u64> = PagedTable::default();
    (0..1_000_u64).for_each(|n| table.put(hash(&n), n, n));
    [64, 65, u32::MAX].into_iter().for_each(|bits| table.clear(Prefix::kept(1, bits), |_| true));
    assert_eq!(table.len(), 1_000);
    table.clear(Prefix::kept(0, 0), |_| true);
    assert!(table.is_empty());
}
