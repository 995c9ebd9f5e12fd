//! What is kept of a key that mostly has one record.

use super::Held;
use crate::record::Record;

/// Values in the order in which they came; the first one lies in place, so that keeping one value
/// allocates nothing. It holds what a `(Option<T>, Vec<T>)` holds.
///
/// ```
/// use thalweg::state::Few;
///
/// let mut few = Few::default();
/// few.push("a");
/// few.push("b");
/// assert_eq!(few.iter().copied().collect::<String>(), "ab");
/// assert_eq!(few.len(), 2);
/// ```
#[derive(Debug)]
pub struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T: Record> Clone for Few<T> {
    fn clone(&self) -> Self {
        let mut few = Few::default();
        self.iter().for_each(|value| few.push(value.lend(T::own)));
        few
    }
}

impl<T: Record> Held for Few<T> {
    type As = Vec<T>;
    fn lend_as<X>(&self, look: impl FnOnce(<Vec<T> as Record>::View<'_>) -> X) -> X {
        self.iter().map(|value| value.lend(T::own)).collect::<Vec<T>>().lend(look)
    }
    fn own_as(view: <Vec<T> as Record>::View<'_>) -> Self {
        let mut few = Few::default();
        view.iter().for_each(|value| few.push(T::own(value)));
        few
    }
}

impl<T> Default for Few<T> {
    #[inline(always)]
    fn default() -> Self {
        Few { first: None, rest: Vec::new() }
    }
}

impl<T> Few<T> {
    /// Appends a value.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    /// Appends all values of another.
    pub fn append(&mut self, other: Few<T>) {
        other.first.into_iter().chain(other.rest).for_each(|value| self.push(value));
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The values, oldest first.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}
