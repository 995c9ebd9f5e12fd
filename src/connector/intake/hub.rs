//! What a source's I/O thread and its splits share: queues, doors and the word that it is over.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::{Limits, Parcel, Traffic};
use crate::connector::cord::Cord;
use crate::error::{Error, Kind, Result};

/// What all splits of a source and its thread share.
#[derive(Debug)]
pub(in crate::connector) struct Hub {
    /// Whether nothing is to be read any more.
    closed: watch::Sender<bool>,
    /// How the thread has ended.
    outcome: OnceLock<Result>,
    pub traffic: Traffic,
}

impl Hub {
    /// Reads nothing any more.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// How the thread has ended, once its queues are empty and closed.
    pub fn outcome(&self) -> Result {
        match self.outcome.get() {
            Some(outcome) => outcome.clone(),
            // The split has closed its queue itself.
            None if *self.closed.borrow() => Ok(()),
            None => Err(Error::new(Kind::Internal, "the thread of its sockets has panicked")),
        }
    }
}

/// A split's hold on the hub: when the last one is gone, the thread ends.
#[derive(Debug)]
struct Hold(Arc<Hub>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where parcels come to a split.
pub(in crate::connector) struct Door {
    pub queue: Receiver<Parcel>,
    pub cord: Arc<Cord>,
    hold: Arc<Hold>,
}

impl Door {
    pub fn hub(&self) -> &Hub {
        &self.hold.0
    }
}

/// The thread's end of a split's queue.
pub(in crate::connector) struct Gate {
    /// None when it is dropped: the split is rung after that.
    queue: Option<Sender<Parcel>>,
    cord: Arc<Cord>,
    /// Connections that belong to the split.
    pub load: Cell<usize>,
}

impl Gate {
    fn queue(&self) -> &Sender<Parcel> {
        self.queue.as_ref().expect("it is there until the gate is dropped")
    }

    /// Waits for a place in the queue; none when the split reads no more.
    pub async fn place(&self) -> Option<Place<'_>> {
        let place = self.queue().reserve().await.ok()?;
        Some(Place { place, cord: &self.cord })
    }

    /// A place in the queue, if there is one now.
    pub fn try_place(&self) -> Option<Place<'_>> {
        let place = self.queue().try_reserve().ok()?;
        Some(Place { place, cord: &self.cord })
    }

    /// How many places are free.
    pub fn room(&self) -> usize {
        self.queue().capacity()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.queue = None;
        self.cord.ring();
    }
}

/// A place in a split's queue.
pub(in crate::connector) struct Place<'a> {
    place: mpsc::Permit<'a, Parcel>,
    cord: &'a Cord,
}

impl Place<'_> {
    /// Puts a parcel there and wakes the shard.
    pub fn put(self, parcel: Parcel) {
        self.place.send(parcel);
        self.cord.ring();
    }
}

/// What the tasks of a source's thread share.
pub(in crate::connector) struct Site {
    pub hub: Arc<Hub>,
    pub gates: Vec<Gate>,
    /// Connections so far.
    next: Cell<u64>,
}

impl Site {
    /// Ready when nothing is to be read any more.
    pub async fn closed(&self) {
        let mut closed = self.hub.closed.subscribe();
        // The hub, and with it what sends, is held by the site.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Whether nothing is to be read any more.
    pub fn is_closed(&self) -> bool {
        *self.hub.closed.borrow()
    }

    async fn closed_for(&self, linger: Duration) {
        self.closed().await;
        sleep(linger).await;
    }

    pub fn traffic(&self) -> &Traffic {
        &self.hub.traffic
    }

    /// The gate of a split with the fewest connections.
    pub fn idlest(&self) -> &Gate {
        let gate = self.gates.iter().min_by_key(|gate| gate.load.get());
        gate.expect("a source has a split")
    }

    /// The gate of a split with the most room.
    pub fn roomiest(&self) -> &Gate {
        let gate = self.gates.iter().max_by_key(|gate| gate.room());
        gate.expect("a source has a split")
    }

    /// A number that no other connection has.
    pub fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }
}

/// Starts the thread of a source that is read by so many splits, and gives their doors. The thread
/// runs what `run` gives until that ends, with or without an error. When nothing is to be read any
/// more, it has as long as `linger` says.
///
/// # Errors
/// That there is no thread to be had.
pub(in crate::connector) fn start<F: Future<Output = Result> + 'static>(
    name: &str,
    splits: usize,
    limits: Limits,
    (traffic, linger): (Traffic, Duration),
    run: impl FnOnce(Rc<Site>) -> F + Send + 'static,
) -> Result<Vec<Door>> {
    let (closed, outcome) = (watch::Sender::new(false), OnceLock::new());
    let hub = Arc::new(Hub { closed, outcome, traffic });
    let hold = Arc::new(Hold(hub.clone()));
    let (mut gates, mut doors) = (Vec::new(), Vec::new());
    for _ in 0..splits {
        let (sender, queue) = mpsc::channel(limits.blocks.max(1));
        let cord = Arc::new(Cord::default());
        gates.push((sender, cord.clone()));
        doors.push(Door { queue, cord, hold: hold.clone() });
    }
    let main = move || {
        let gate = |(queue, cord)| Gate { queue: Some(queue), cord, load: Cell::new(0) };
        let gates = gates.into_iter().map(gate).collect();
        let site = Rc::new(Site { hub: hub.clone(), gates, next: Cell::new(0) });
        let ended = block_on(async move {
            let result = tokio::select! {
                result = run(site.clone()) => result,
                () = site.closed_for(linger) => Ok(()),
            };
            // Before the gates go: whoever finds them closed looks here.
            let _ = site.hub.outcome.set(result);
            Ok(())
        });
        if ended.is_err() {
            let _ = hub.outcome.set(ended);
        }
    };
    on_thread(name, main)?;
    Ok(doors)
}

/// Runs a future, and what it spawns, on this thread.
pub(in crate::connector) fn block_on(run: impl Future<Output = Result>) -> Result {
    let failed = |cause| Error::io("making a runtime for sockets", &cause);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let ended = LocalSet::new().block_on(&runtime, run);
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    ended
}

/// Starts a thread.
///
/// # Errors
/// That there is none to be had.
pub(in crate::connector) fn on_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result {
    let started = thread::Builder::new().name(name.into()).spawn(run);
    let failed = |cause: std::io::Error| {
        Error::new(Kind::Limit, format!("no thread for {name}: {cause}; allow more threads"))
    };
    started.map(drop).map_err(failed)
}
