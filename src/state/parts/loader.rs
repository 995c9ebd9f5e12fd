//! Parts on their way back to operators.

use super::{Owner, Saved};
use crate::error::Result;
use crate::key;
use crate::record::Record;
use crate::time::Timestamp;

/// What all shards have saved, to be taken up by one.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'a> {
    /// In the order of the shards that saved it: the files of each, oldest first.
    saved: &'a [Vec<Saved>],
    /// The one shard of which files are read by themselves, if it is one.
    only: Option<usize>,
    owner: Option<&'a Owner>,
    shard: usize,
    shards: usize,
}

impl<'a> Loader<'a> {
    /// For one of so many shards.
    pub fn new(saved: &'a [Vec<Saved>], shard: usize, shards: usize) -> Loader<'a> {
        Loader { saved, only: None, owner: None, shard, shards }
    }

    /// What is loaded is of this operator, as in [`Saver::enter`](super::Saver::enter).
    #[must_use]
    pub fn entered<'b>(&self, owner: &'b Owner) -> Loader<'b>
    where
        'a: 'b,
    {
        Loader { owner: Some(owner), ..*self }
    }

    /// Only what this shard has saved, of tables.
    #[must_use]
    pub fn of(&self, shard: usize) -> Self {
        Loader { only: Some(shard), ..*self }
    }

    /// As [`Saver::input`](super::Saver::input).
    pub fn input(&self, port: usize) -> usize {
        self.owner.map_or(0, |owner| owner.input) + port
    }

    /// How many shards saved it.
    pub fn were(&self) -> usize {
        self.saved.len()
    }

    /// How many shards load it.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// This shard's number.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Whether this shard owns the key of a hash.
    pub fn owns(&self, hash: u64) -> bool {
        key::owner(key::group(hash), self.shards) == self.shard
    }

    /// The files of each shard that saved any, oldest first.
    pub(in crate::state) fn files(&self) -> impl Iterator<Item = &'a [Saved]> {
        self.saved.iter().map(Vec::as_slice)
    }

    /// The files that are read of what may be this shard's, oldest first, with the shard that saved
    /// them: what is dealt out to as many shards as before is where it was.
    pub(in crate::state) fn own_files(&self) -> impl Iterator<Item = (usize, &'a [Saved])> {
        let (own, only, same) = (self.shard, self.only, self.were() == self.shards);
        let counts = move |shard| only.unwrap_or(shard) == shard && (!same || shard == own);
        self.files().enumerate().filter(move |(shard, _)| counts(*shard))
    }

    pub(in crate::state) fn owner(&self) -> Option<&'a Owner> {
        self.owner
    }

    /// Whether any shard has saved a part as records of this type.
    pub fn is<R: Record>(&self, part: &str) -> bool {
        let schema = R::data_type().to_string();
        let mut files = self.saved.iter().flatten();
        files.any(|saved| saved.is(self.owner, part, &schema))
    }

    /// Shows all records of a part, those of all shards: who shows them, at what time.
    ///
    /// # Errors
    /// When they were saved as another type, or are damaged.
    pub fn part<R: Record>(
        &self,
        part: &str,
        mut show: impl FnMut(usize, Timestamp, R::View<'_>),
    ) -> Result {
        let newest = |(shard, files): (usize, &'a Vec<Saved>)| Some((shard, files.last()?));
        for (shard, saved) in self.saved.iter().enumerate().filter_map(newest) {
            saved.each::<R>(self.owner, part, &mut |_, at, record| show(shard, at, record))?;
        }
        Ok(())
    }
}
