//! Who is connected, and who has to go when there are too many.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;

/// All connections that are open.
///
/// Whoever comes is let in, also when there are too many: refused, an honest peer would wait until
/// all those that mean no good had used up their time, and they would be back before it. Instead
/// one goes that its peer keeps waiting, for a head or for the rest of a body; of the address that
/// has the most, so that nobody can push out others by coming more often; and of these the one
/// that has been waited for longest. An honest request is there within milliseconds, and is gone
/// before it is the longest.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    all: RefCell<HashMap<u64, Rc<Visitor>>>,
    next: Cell<u64>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Visitor {
    pub peer: SocketAddr,
    /// Since when its peer is waited for; none while the peer waits.
    awaited: Cell<Option<Instant>>,
    leaves: Notify,
}

/// The stay of a connection, until it is dropped.
pub(super) struct Visit {
    visitors: Rc<Visitors>,
    number: u64,
    pub visitor: Rc<Visitor>,
}

impl Visitors {
    pub fn len(&self) -> usize {
        self.all.borrow().len()
    }

    pub fn enter(self: &Rc<Self>, peer: SocketAddr) -> Visit {
        let number = self.next.replace(self.next.get() + 1);
        let awaited = Cell::new(Some(Instant::now()));
        let visitor = Rc::new(Visitor { peer, awaited, leaves: Notify::new() });
        self.all.borrow_mut().insert(number, visitor.clone());
        Visit { visitors: self.clone(), number, visitor }
    }

    /// Sends one away to make room; false when all of them wait themselves.
    pub fn make_room(&self) -> bool {
        let mut all = self.all.borrow_mut();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for visitor in all.values() {
            *counts.entry(visitor.peer.ip()).or_default() += 1;
        }
        let awaited = all.iter().filter_map(|(&number, visitor)| {
            let since = visitor.awaited.get()?;
            Some((counts[&visitor.peer.ip()], Reverse((since, number))))
        });
        let Some((_, Reverse((_, number)))) = awaited.max() else { return false };
        if let Some(visitor) = all.remove(&number) {
            visitor.leaves.notify_one();
        }
        true
    }
}

impl Visitor {
    /// Its peer is waited for from now on.
    pub fn is_awaited(&self) {
        self.awaited.set(Some(Instant::now()));
    }

    /// Its peer waits.
    pub fn waits(&self) {
        self.awaited.set(None);
    }

    /// Ready when it has to go.
    pub async fn leaves(&self) {
        self.leaves.notified().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visitors.all.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_awaited_of_the_address_with_the_most_goes_first() {
        let visitors = Rc::new(Visitors::default());
        let from = |host| visitors.enter(SocketAddr::from(([10, 0, 0, host], 1000)));
        let honest = from(1);
        let many: Vec<_> = (0..3).map(|_| from(2)).collect();
        many[0].visitor.waits();
        many[1].visitor.is_awaited();
        let left =
            || visitors.all.borrow().keys().copied().collect::<std::collections::BTreeSet<_>>();
        assert!(visitors.make_room());
        assert_eq!(left(), [0, 1, 2].into(), "the second was asked for something after the third");
        assert!(visitors.make_room());
        assert_eq!(left(), [0, 1].into());
        // One of each: the one that waits may stay.
        assert!(visitors.make_room());
        assert_eq!(left(), [1].into());
        assert!(!visitors.make_room(), "whoever waits is not sent away");
        drop((honest, many));
        assert_eq!(visitors.len(), 0);
    }
}
