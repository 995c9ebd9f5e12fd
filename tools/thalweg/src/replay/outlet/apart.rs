//! An outlet that may not come back, on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use thalweg::time::Timestamp;

use super::{Batch, Outlet, Unsent};
use crate::replay::stop::Stop;

/// How often it is looked whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long what is under way may take when it shall.
const LEAVE: Duration = Duration::from_secs(1);

/// What this gives, unless it shall stop first: then it is left behind.
///
/// # Errors
/// When it is, or when there is no thread to be had.
pub fn unless_stopped<T: Send + 'static>(
    stop: &Stop,
    name: &str,
    run: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (answer, back) = sync_channel(1);
    let run = move || drop(answer.send(run()));
    Builder::new().name("replay-opens".into()).spawn(run).context("cannot start a thread")?;
    loop {
        match back.recv_timeout(LOOK) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Timeout) if !stop.is_asked() => {}
            Err(_) => bail!("{name} was not there until the end"),
        }
    }
}

/// Records of its own.
#[derive(Debug, Default)]
struct Own {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    events: Vec<Timestamp>,
}

impl Own {
    fn take(&mut self, Batch { bytes, ends, events }: Batch<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.ends.clear();
        self.ends.extend_from_slice(ends);
        self.events.clear();
        self.events.extend_from_slice(events);
    }
}

/// Waits for an outlet that blocks, and leaves it behind when it shall stop.
pub struct Apart {
    name: String,
    stop: Arc<Stop>,
    /// To the thread: records, or none at the end.
    to: SyncSender<Option<Own>>,
    back: Receiver<(Own, Result<(), Unsent>)>,
    spare: Own,
    /// It did not come back.
    is_left: bool,
}

impl Apart {
    /// Messages call the outlet so.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn new(
        name: String,
        mut outlet: Box<dyn Outlet>,
        stop: Arc<Stop>,
    ) -> anyhow::Result<Apart> {
        let (to, asked) = sync_channel::<Option<Own>>(1);
        let (answer, back) = sync_channel(1);
        let run = move || {
            for own in asked {
                let done = match &own {
                    Some(Own { bytes, ends, events }) => outlet.send(Batch { bytes, ends, events }),
                    None => outlet.finish(),
                };
                if answer.send((own.unwrap_or_default(), done)).is_err() {
                    return;
                }
            }
        };
        Builder::new().name("replay-apart".into()).spawn(run).context("cannot start a thread")?;
        Ok(Apart { name, stop, to, back, spare: Own::default(), is_left: false })
    }

    fn ask(&mut self, own: Option<Own>) -> Result<(), Unsent> {
        let left = || Unsent::over(format!("{} gave no answer until the end", self.name));
        if self.is_left || self.to.send(own).is_err() {
            return Err(left());
        }
        let mut asked = None;
        loop {
            match self.back.recv_timeout(LOOK) {
                Ok((own, done)) => {
                    self.spare = own;
                    return done;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(left()),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_asked() => {}
                Err(RecvTimeoutError::Timeout) => {
                    if asked.get_or_insert_with(Instant::now).elapsed() >= LEAVE {
                        let left = left();
                        self.is_left = true;
                        return Err(left);
                    }
                }
            }
        }
    }
}

impl Outlet for Apart {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let mut own = std::mem::take(&mut self.spare);
        own.take(batch);
        self.ask(Some(own))
    }

    fn finish(&mut self) -> Result<(), Unsent> {
        if self.is_left { Ok(()) } else { self.ask(None) }
    }
}
