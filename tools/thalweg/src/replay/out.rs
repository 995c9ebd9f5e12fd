//! Records on their way from the log to the target.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use thalweg::time::Timestamp;

/// Records that are to be sent together, and those that are held back.
#[derive(Debug, Default)]
pub struct Out {
    /// As they are written, one after the other.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// Their event times.
    pub events: Vec<Timestamp>,
    /// When each is due; none where they are at once.
    pub dues: Vec<Duration>,
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// Those that were held back.
    pub held: Held,
    /// The latest time at which one was due so far.
    pub latest: Duration,
    /// Records that were passed over.
    pub over: u64,
    /// Records that were sent, and their bytes.
    pub sent: (u64, u64),
    /// Whether something was not sent, and nothing that comes behind it is to be either.
    pub is_cut: bool,
    /// The numbers of what was not sent then.
    pub cut: Vec<u64>,
}

impl Out {
    /// The record that was written last is to be sent.
    pub fn add(&mut self, event: Timestamp, due: Option<Duration>, number: u64) {
        self.events.push(event);
        self.ends.push(self.bytes.len());
        self.dues.extend(due);
        self.numbers.push(number);
    }

    /// Takes back the last one.
    pub fn take_back(&mut self) {
        self.ends.pop();
        self.events.pop();
        self.dues.pop();
        self.numbers.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// They are gone.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.events.clear();
        self.dues.clear();
        self.numbers.clear();
    }
}

/// A record that is held back: when it is due, its number, event time and bytes.
type Row = (Duration, u64, Timestamp, Vec<u8>);

/// Records that others go by.
#[derive(Debug, Default)]
pub struct Held {
    /// By when they are due.
    rows: BinaryHeap<Reverse<Row>>,
    /// Their numbers in the order in which they came, which is theirs; and whether each is gone.
    numbers: VecDeque<(u64, bool)>,
}

impl Held {
    /// Holds one back, which comes behind all others in the log.
    pub fn push(&mut self, row: Row) {
        self.numbers.push_back((row.1, false));
        self.rows.push(Reverse(row));
    }

    /// When the next one is due.
    pub fn due(&self) -> Option<Duration> {
        self.rows.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Row> {
        let Reverse(row) = self.rows.pop()?;
        if let Ok(place) = self.numbers.binary_search_by_key(&row.1, |(number, _)| *number) {
            self.numbers[place].1 = true;
        }
        while self.numbers.front().is_some_and(|(_, is_gone)| *is_gone) {
            self.numbers.pop_front();
        }
        Some(row)
    }

    /// The least number of all that are held.
    pub fn least(&self) -> Option<u64> {
        self.numbers.front().map(|(number, _)| *number)
    }

    /// When each is due, and its number.
    pub fn all(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.rows.iter().map(|Reverse((due, number, ..))| (*due, *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_goes_by_its_time_and_the_least_number_is_known() {
        let mut held = Held::default();
        for (number, due) in [(3, 30), (5, 10), (6, 40), (9, 20)] {
            held.push((Duration::from_millis(due), number, Timestamp::MIN, vec![number as u8]));
        }
        let mut least = Vec::new();
        let mut order = Vec::new();
        while let Some(number) = held.least() {
            least.push(number);
            order.extend(held.pop().map(|(_, number, _, row)| (number, row[0])));
        }
        assert_eq!(order, [(5, 5), (9, 9), (3, 3), (6, 6)]);
        assert_eq!(least, [3, 3, 3, 6]);
        assert!(held.due().is_none() && held.numbers.is_empty());
    }

    #[test]
    fn the_last_one_is_taken_back() {
        let mut out = Out::default();
        for number in 0..2 {
            out.bytes.extend_from_slice(b"row\n");
            out.add(Timestamp::MIN, Some(Duration::ZERO), number);
        }
        out.take_back();
        assert_eq!((out.bytes.len(), out.ends.len(), out.numbers.len()), (4, 1, 1));
        out.take_back();
        assert!(out.bytes.is_empty() && out.dues.is_empty() && out.events.is_empty());
    }
}
