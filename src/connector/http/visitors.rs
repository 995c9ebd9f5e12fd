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
/// one goes that its peer keeps waiting, for a head or for the rest of a body; of the [`place`]
/// that has the most, and of these the one that has been waited for longest. An honest request is
/// there within milliseconds, and is gone before it is the longest.
///
/// So nobody at one place can push out others who have fewer connections. Whoever has many places
/// can: a few connections from each of them, and a peer goes first that keeps more open and has
/// nothing to say at the moment.
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

/// Whose connection it is, as far as an address tells: of IPv6 whoever has one address has the
/// other ones of its network of 64 bits as well, mostly.
fn place(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        ip => ip,
    }
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
            *counts.entry(place(visitor.peer)).or_default() += 1;
        }
        let awaited = all.iter().filter_map(|(&number, visitor)| {
            let since = visitor.awaited.get()?;
            Some((counts[&place(visitor.peer)], Reverse((since, number))))
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

    #[test]
    fn addresses_of_one_network_count_together() {
        let left = |honest: &str, many: &dyn Fn(u16) -> String| {
            let visitors = Rc::new(Visitors::default());
            let enter = |ip: &str| visitors.enter((ip.parse::<IpAddr>().unwrap(), 1000).into());
            let honest: Vec<_> = (0..2).map(|_| enter(honest)).collect();
            let many: Vec<_> = (0..3).map(|number| enter(&many(number))).collect();
            assert!(visitors.make_room());
            let all = visitors.all.borrow();
            let of =
                |visits: &[Visit]| visits.iter().filter(|v| all.contains_key(&v.number)).count();
            (of(&honest), of(&many))
        };
        // A new address for each connection, of a network that one host has.
        assert_eq!(left("2001:db8::1", &|n| format!("2001:db8:0:1:{n}::9")), (2, 2));
        // As a socket for both protocols names the addresses of IPv4, each is one.
        assert_eq!(left("::ffff:10.0.0.1", &|n| format!("::ffff:10.0.1.{n}")), (1, 3));
        assert_eq!(left("::ffff:10.0.0.1", &|_| "10.0.0.2".into()), (2, 2));
    }
}
