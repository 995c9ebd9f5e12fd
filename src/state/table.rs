//! Keyed tables. Every operator keeps what it remembers in these and nowhere else.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::key;
use crate::record::Key;

/// A value for each key. The caller hashes the key once, for the partitioner and for the table.
///
/// ```
/// use thalweg::key::hash;
/// use thalweg::state::Table;
///
/// let mut words: Table<String, u64> = Table::new();
/// for word in ["a", "b", "a"] {
///     *words.entry(hash(word), |key| key == word, || (word.to_owned(), 0)) += 1;
/// }
/// assert_eq!(words.get(hash("a"), |key| key == "a"), Some(&2));
/// assert_eq!(words.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    map: HashTable<(K, V)>,
    /// The only entry when the type of the key has only one value.
    single: Option<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { map: HashTable::new(), single: None }
    }
}

impl<K: Key, V> Table<K, V> {
    /// An empty table; takes no memory until the first entry.
    pub fn new() -> Self {
        Table::default()
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.map.len() + usize::from(self.single.is_some())
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes its entries take, and the room for more.
    pub fn bytes(&self) -> usize {
        self.map.allocation_size() + size_of::<Option<(K, V)>>()
    }

    /// The value of the key that has this hash and for which `is` holds.
    #[inline(always)]
    pub fn get(&self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&V> {
        if K::SINGLE {
            return self.single.as_ref().map(|(_, value)| value);
        }
        self.map.find(hash, |(key, _)| is(key)).map(|(_, value)| value)
    }

    /// The value to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<&mut V> {
        if K::SINGLE {
            return self.single.as_mut().map(|(_, value)| value);
        }
        self.map.find_mut(hash, |(key, _)| is(key)).map(|(_, value)| value)
    }

    /// The value, which `make` makes together with the key when there is none.
    #[inline(always)]
    pub fn entry(
        &mut self,
        hash: u64,
        is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> &mut V {
        self.entry_pair(hash, is, make).1
    }

    /// The key as it is kept, and its value; `make` makes both when there is none.
    #[inline(always)]
    pub fn entry_pair(
        &mut self,
        hash: u64,
        mut is: impl FnMut(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> (&K, &mut V) {
        let (key, value) = if K::SINGLE {
            self.single.get_or_insert_with(make)
        } else {
            match self.map.entry(hash, |(key, _)| is(key), |(key, _)| key::hash(key)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(make()).into_mut(),
            }
        };
        (key, value)
    }

    /// Puts a value; gives the key and value that were there.
    pub fn insert(&mut self, hash: u64, key: K, value: V) -> Option<(K, V)> {
        if K::SINGLE {
            return self.single.replace((key, value));
        }
        match self.map.entry(hash, |(other, _)| *other == key, |(key, _)| key::hash(key)) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), (key, value))),
            Entry::Vacant(entry) => {
                entry.insert((key, value));
                None
            }
        }
    }

    /// Puts the value of a key that has none: a lookup less than [`Table::insert`].
    #[inline]
    pub fn insert_new(&mut self, hash: u64, key: K, value: V) {
        if K::SINGLE {
            self.single = Some((key, value));
        } else {
            self.map.insert_unique(hash, (key, value), |(key, _)| key::hash(key));
        }
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, hash: u64, mut is: impl FnMut(&K) -> bool) -> Option<(K, V)> {
        if K::SINGLE {
            return self.single.take();
        }
        let entry = self.map.find_entry(hash, |(key, _)| is(key)).ok()?;
        Some(entry.remove().0)
    }

    /// All keys and values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter().chain(&self.single).map(|(key, value)| (key, value))
    }

    /// All keys and values, the values to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.map.iter_mut().chain(&mut self.single).map(|(key, value)| (&*key, value))
    }

    /// Takes all entries out and keeps the memory; O(capacity).
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> + '_ {
        self.map.drain().chain(self.single.take())
    }

    /// Keeps the entries for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.map.retain(|(key, value)| keep(key, value));
        if self.single.as_mut().is_some_and(|(key, value)| !keep(key, value)) {
            self.single = None;
        }
    }

    /// Forgets all entries and keeps the memory; O(capacity).
    pub fn clear(&mut self) {
        self.map.clear();
        self.single = None;
    }
}
