//! Threads of a job: its own, and those that are lent to it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A thread that works for a job.
pub enum Thread {
    /// One that ends with its work.
    Own(JoinHandle<()>),
    /// One that does something else afterwards.
    Lent(Lent),
}

/// Waits for work that a lent thread does.
pub struct Lent {
    /// Nothing comes, but its end does. Locked, so that any thread may look at a job.
    working: Mutex<Receiver<()>>,
    done: Arc<AtomicBool>,
}

/// Held by who does the work.
pub struct Work {
    done: Arc<AtomicBool>,
    _working: Sender<()>,
}

/// A piece of work for a lent thread, and how to wait for it.
pub fn lent() -> (Work, Thread) {
    let ((sender, working), done) = (channel(), Arc::new(AtomicBool::new(false)));
    let working = Mutex::new(working);
    (Work { done: done.clone(), _working: sender }, Thread::Lent(Lent { working, done }))
}

impl Work {
    /// The work is done; without this it has failed.
    pub fn done(self) {
        self.done.store(true, Release);
    }
}

impl Thread {
    /// Whether the work is over, well or not.
    pub fn is_finished(&self) -> bool {
        match self {
            Thread::Own(thread) => thread.is_finished(),
            Thread::Lent(lent) => {
                let working = lent.working.lock().unwrap_or_else(PoisonError::into_inner);
                working.try_recv() == Err(TryRecvError::Disconnected)
            }
        }
    }

    /// Waits until the work is over; false when it panicked.
    pub fn join(self) -> bool {
        match self {
            Thread::Own(thread) => thread.join().is_ok(),
            Thread::Lent(Lent { working, done }) => {
                // It ends with an error in any case.
                let _ = working.into_inner().unwrap_or_else(PoisonError::into_inner).recv();
                done.load(Acquire)
            }
        }
    }
}
