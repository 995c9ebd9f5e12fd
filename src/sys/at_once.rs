//! Work on several threads that is waited for.

use std::panic::resume_unwind;
use std::thread::scope;

use super::world::is_made_up;

/// Does the work of each item on a thread of its own, and gives the results in their order. On a
/// made-up machine one item comes after the other.
///
/// # Panics
/// When the work of an item does.
pub fn at_once<T: Send, O: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> O + Sync,
) -> Vec<O> {
    let (items, work) = (items.into_iter(), &work);
    if is_made_up() {
        return items.map(work).collect();
    }
    scope(|scope| {
        let threads: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let join = threads.into_iter().map(|thread| thread.join());
        join.map(|done| done.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        assert_eq!(at_once(0..5, |n| n * n), [0, 1, 4, 9, 16]);
    }
}
