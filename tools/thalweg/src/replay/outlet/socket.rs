//! TCP and Unix sockets.

use std::io::ErrorKind;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::apart::unless_stopped;
use super::peer::{CONNECT, Connection, Peer};
use super::{Batch, Outlet, Terms, Unsent};

/// How long it waits before it connects again, the first time; then twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked at what a peer has taken at the end.
const LOOK: Duration = Duration::from_millis(20);
/// How long a peer has for the rest when somebody ends the replay.
const LEAVE: Duration = Duration::from_secs(1);

/// A connection that bytes flow through.
pub struct Stream {
    peer: Peer,
    connection: Connection,
    terms: Terms,
    /// Whether the connection has its header.
    is_begun: bool,
    /// It took nothing until the end: what comes next might be behind half a record.
    is_stuck: bool,
    /// The peer went away and did not come back.
    is_gone: bool,
    /// Records that the system has taken, of all connections; bytes of this one, records of the
    /// last batch.
    records: u64,
    bytes: u64,
    of_this: u64,
    last: u64,
}

impl Stream {
    /// To whoever listens.
    ///
    /// # Errors
    /// When nobody does.
    pub fn connect(peer: Peer, terms: Terms) -> anyhow::Result<Stream> {
        let begin = Instant::now();
        let connection = loop {
            match connected(&peer, &terms)? {
                // Those who came before are to be accepted first.
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && begin.elapsed() < CONNECT
                        && !terms.stop.is_asked() =>
                {
                    sleep(PAUSE);
                }
                connection => break connection,
            }
        };
        let connection = connection
            .with_context(|| format!("cannot connect to {peer}: is somebody listening there?"))?;
        let (is_begun, is_stuck, is_gone) = (false, false, false);
        let (records, bytes, of_this, last) = (0, 0, 0, 0);
        Ok(Stream {
            peer,
            connection,
            terms,
            is_begun,
            is_stuck,
            is_gone,
            records,
            bytes,
            of_this,
            last,
        })
    }

    /// Connects again; says for how long it has tried in vain.
    fn again(&mut self) -> Result<(), String> {
        let (begin, mut pause) = (Instant::now(), PAUSE);
        loop {
            let cause = match connected(&self.peer, &self.terms) {
                Ok(Ok(connection)) => {
                    (self.connection, self.is_begun) = (connection, false);
                    (self.bytes, self.of_this) = (0, 0);
                    self.terms.stop.again.connected.fetch_add(1, Relaxed);
                    return Ok(());
                }
                Ok(Err(cause)) => cause.to_string(),
                Err(cause) => cause.to_string(),
            };
            if begin.elapsed() >= self.terms.retry || self.terms.stop.is_asked() {
                let tried = begin.elapsed();
                return Err(format!("and not back within {tried:.1?} (--retry): {cause}"));
            }
            self.terms.stop.pause(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Writes all of it, or says why not.
    fn write(&mut self, mut left: &[u8]) -> Result<(), String> {
        while !left.is_empty() {
            if self.is_stuck {
                return Err("it took nothing until the end".into());
            }
            match self.connection.write(left) {
                Ok(0) => return Err("it takes no more".into()),
                Ok(written) => {
                    left = &left[written..];
                    self.terms.stop.moves();
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        self.is_stuck = self.terms.stop.is_asked();
                    }
                    _ => return Err(error.to_string()),
                },
            }
        }
        Ok(())
    }

    /// Waits until the peer has read all and closed, too, as long as it moves. How many bytes are
    /// lost and why; none where nobody knows how many.
    fn drained(&self) -> Result<(), (Option<u64>, String)> {
        let stop = &self.terms.stop;
        let (mut moved, mut asked, mut before) = (Instant::now(), None, None);
        let mut left = None;
        loop {
            let now = self.connection.under_way();
            match self.connection.end() {
                Some(Some(cause)) => {
                    return Err((left, format!("broke the connection at the end ({cause})")));
                }
                Some(None) if now.is_none_or(|bytes| bytes == 0) => return Ok(()),
                Some(None) | None => {}
            }
            let state = (now, self.connection.heard());
            if before != Some(state) {
                (before, moved) = (Some(state), Instant::now());
                stop.moves();
            }
            left = now.or(left);
            if stop.is_asked() {
                asked.get_or_insert_with(Instant::now);
            }
            let is_left = asked.is_some_and(|asked| asked.elapsed() >= LEAVE);
            if is_left || moved.elapsed() >= self.terms.patience {
                // What the peer's system has is not lost when this side closes.
                return match now {
                    Some(0) | None => Ok(()),
                    left => Err((left, "had not taken all until the end".into())),
                };
            }
            sleep(LOOK);
        }
    }
}

/// Connects, once, unless it shall stop: then there is an outer error.
fn connected(peer: &Peer, terms: &Terms) -> anyhow::Result<std::io::Result<Connection>> {
    let own = peer.clone();
    unless_stopped(&terms.stop, &peer.to_string(), move || Ok(own.connect()))
}

impl Outlet for Stream {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let records = batch.ends.len() as u64;
        let begun = if self.is_begun {
            Ok(())
        } else {
            let header = std::mem::take(&mut self.terms.header);
            let begun = self.write(&header);
            self.terms.header = header;
            begun
        };
        self.is_begun = true;
        let Err(cause) = begun.and_then(|()| self.write(batch.bytes)) else {
            self.records += records;
            self.of_this += records;
            self.bytes += batch.bytes.len() as u64;
            self.last = records;
            return Ok(());
        };
        if self.is_stuck {
            return Err(Unsent::over(format!("{} took nothing until the end", self.peer)));
        }
        let (over, how) = match self.again() {
            Ok(()) => (false, "connected again".to_owned()),
            Err(how) => (true, how),
        };
        self.is_gone = over;
        let cause = format!("{} went away ({cause}); {how}", self.peer);
        Err(Unsent { cause, over, has: None })
    }

    fn finish(&mut self) -> Result<(), Unsent> {
        if self.is_gone {
            return Ok(());
        }
        let ended = self.connection.ends().map_err(|error| (None, error.to_string()));
        let Err((left, how)) = ended.and_then(|()| self.drained()) else { return Ok(()) };
        // All records of the connection are taken to be as long; those of the last batch, at
        // least, may not be there.
        let mean = (self.bytes / self.of_this.max(1)).max(1);
        let lost = left.map_or(0, |left| left.div_ceil(mean)).max(self.last).min(self.of_this);
        let has = Some(self.records - lost);
        let cause = format!("{} {how}: {lost} records or more are lost", self.peer);
        // When somebody ends the replay, it is not the peer that does.
        Err(Unsent { cause, over: !self.terms.stop.is_asked(), has })
    }
}
