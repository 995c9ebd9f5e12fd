//! The I/O thread of a sink of sockets: writes blocks to a peer, whichever is there.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::address::{Address, Listener, Listening, Stream, resolve};
use super::retry::Retry;
use crate::connector::Traffic;
use crate::connector::delivery::{Block, Inbox};
use crate::error::{Error, Kind, Result};
use crate::limits::RETRY;

/// To whom, and with what patience.
pub(super) struct Terms {
    pub address: Address,
    /// How long the peer may be away, or take nothing.
    pub away: Duration,
    /// What every connection begins with.
    pub greeting: Vec<u8>,
    pub traffic: Traffic,
}

/// Writes all blocks to a connection, that it makes or that comes to it.
///
/// # Errors
/// That there was no peer for too long.
pub(super) async fn stream(mut inbox: Inbox, bound: Option<Listening>, terms: Terms) -> Result {
    let listener = bound.map(Listening::open).transpose()?;
    let mut line = Line { connected: None, listener, retry: Retry::new(terms.away), terms };
    while let Some(block) = line.next(&mut inbox).await {
        line.write(&block, &inbox).await?;
        inbox.delivered(&block);
    }
    if let Some(stream) = line.connected {
        stream.finish();
    }
    Ok(())
}

/// A peer that is there or not. The listener goes last: whoever waits for it finds nothing left.
struct Line {
    connected: Option<Stream>,
    listener: Option<Listener>,
    retry: Retry,
    terms: Terms,
}

impl Line {
    /// Waits for the next block, and sees meanwhile whether the peer goes.
    async fn next(&mut self, inbox: &mut Inbox) -> Option<Block> {
        while let Some(stream) = &self.connected {
            tokio::select! {
                biased;
                block = inbox.next() => return block,
                gone = is_gone(stream) => if gone {
                    self.lost("the peer has closed it");
                },
            }
        }
        inbox.next().await
    }

    /// Writes a block, on as many connections as it takes until one has taken all of it.
    async fn write(&mut self, block: &Block, inbox: &Inbox) -> Result {
        loop {
            let stream = match self.connected.take() {
                Some(stream) => stream,
                None => self.connect(inbox).await?,
            };
            match write_all(&stream, &block.bytes, self.terms.away).await {
                Ok(()) => {
                    self.terms.traffic.carry(block.bytes.len());
                    self.connected = Some(stream);
                    self.retry.reached(true);
                    inbox.set_alone(false);
                    return Ok(());
                }
                Err(failed) => {
                    self.lost(&failed);
                    self.try_again(failed, inbox).await?;
                }
            }
        }
    }

    /// Waits before another attempt, if there is a point in one. One that listens tries for as long
    /// as the job runs: whoever comes must not be able to end it. It does not wait for long,
    /// either: whoever comes and goes must not keep others waiting.
    ///
    /// # Errors
    /// That there is none.
    async fn try_again(&mut self, failed: Failed, inbox: &Inbox) -> Result {
        let listens = self.listener.is_some();
        let waits = listens && !inbox.is_finishing();
        let over = match &failed {
            Failed::Stopped => true,
            Failed::Late => !waits,
            Failed::Io(_) => {
                let since = self.retry.since();
                !waits && (self.retry.is_over() || inbox.has_waited(since))
            }
        };
        if over {
            return Err(self.gone(failed, inbox));
        }
        if listens {
            sleep(RETRY.0.min(self.terms.away)).await;
            return Ok(());
        }
        let since = self.retry.since();
        tokio::select! {
            () = self.retry.pause() => Ok(()),
            // What it would find out now it knows.
            () = inbox.waited(since) => Err(self.gone(failed, inbox)),
        }
    }

    fn lost(&mut self, why: impl fmt::Display) {
        self.connected = None;
        self.terms.traffic.fail();
        warn!(target: "thalweg", address = %self.terms.address, %why, "connection lost");
    }

    /// The next connection, that begins as each one does.
    async fn connect(&mut self, inbox: &Inbox) -> Result<Stream> {
        loop {
            let stream = match &self.listener {
                Some(listener) => accept(listener, &mut self.retry, inbox).await,
                None => {
                    let since = self.retry.since();
                    tokio::select! {
                        biased;
                        stream = Stream::connect(&self.terms.address) => stream.map_err(Failed::Io),
                        () = inbox.waited(since) => Err(Failed::Io(ErrorKind::TimedOut.into())),
                    }
                }
            };
            let greeted = match stream {
                Ok(stream) => {
                    let greeting = &self.terms.greeting;
                    write_all(&stream, greeting, self.terms.away).await.map(|()| stream)
                }
                Err(failed) => Err(failed),
            };
            match greeted {
                Ok(stream) => {
                    info!(target: "thalweg", address = %self.terms.address, "connected");
                    self.terms.traffic.accept();
                    return Ok(stream);
                }
                Err(failed) => {
                    self.terms.traffic.fail();
                    let address = &self.terms.address;
                    warn!(target: "thalweg", %address, error = %failed, "not connected");
                    self.try_again(failed, inbox).await?;
                }
            }
        }
    }

    /// That there is no point in another attempt: why, how much that leaves, and what to do.
    fn gone(&mut self, failed: Failed, inbox: &Inbox) -> Error {
        let left = format!("{} records are not delivered", inbox.under_way());
        let (address, listens) = (&self.terms.address, self.listener.is_some());
        let stopped = if inbox.is_stopped() { " and the job is stopped" } else { "" };
        let away = self.retry.since().elapsed();
        match failed {
            Failed::Stopped => {
                let what = format!(
                    "there was no peer at {address} when the job was stopped, {left}; let one \
                     connect before"
                );
                Error::new(Kind::Io, what)
            }
            Failed::Late => {
                // One that was there takes nothing for as long as it may, since it last did.
                let away = away.max(self.terms.away);
                let step = "give_up_after allows it longer";
                let what = format!(
                    "no peer at {address} has taken anything for {away:.1?}, {left}; {step}"
                );
                Error::new(Kind::Io, what)
            }
            Failed::Io(cause) => {
                let step = if listens { "let a peer stay" } else { "start the peer" };
                let so = format!("has taken anything for {away:.1?}{stopped}, {left}; {step}");
                Error::led_to(&cause, format_args!("no peer at {address} {so}"))
            }
        }
    }
}

/// Waits for a peer: for as long as the job runs and has more to say, and until one may be away no
/// longer otherwise. Whether that has come is looked at before it waits, too, as is whether one has
/// come meanwhile: the time may have passed with a peer that took nothing.
async fn accept(
    listener: &Listener,
    retry: &mut Retry,
    inbox: &Inbox,
) -> std::result::Result<Stream, Failed> {
    let mut looked = false;
    loop {
        let left = retry.left();
        tokio::select! {
            biased;
            accepted = listener.accept() => {
                return accepted.map(|(stream, _)| stream).map_err(Failed::Io);
            }
            () = yield_now(), if !looked => looked = true,
            () = inbox.told() => {}
            () = sleep(left), if !left.is_zero() => {}
        }
        if inbox.is_stopped() {
            return Err(Failed::Stopped);
        }
        if retry.is_over() {
            if inbox.is_finishing() {
                return Err(Failed::Late);
            }
            inbox.set_alone(true);
        }
    }
}

/// Waits until the peer has said something, which is of no interest, or is gone: whether it is.
async fn is_gone(stream: &Stream) -> bool {
    let mut said = Vec::with_capacity(4 << 10);
    if stream.readable().await.is_err() {
        return true;
    }
    match stream.try_read(&mut said) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Why a peer did not take something.
#[derive(Debug)]
enum Failed {
    /// It has taken nothing for as long as it may, or nobody came. That the system has given up a
    /// connection is another matter.
    Late,
    /// There was none when the job was stopped.
    Stopped,
    Io(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Late => f.write_str("the peer takes nothing"),
            Failed::Stopped => f.write_str("the job is stopped"),
            Failed::Io(error) => error.fmt(f),
        }
    }
}

/// Writes all of it, unless the peer takes nothing for too long.
async fn write_all(
    stream: &Stream,
    mut bytes: &[u8],
    away: Duration,
) -> std::result::Result<(), Failed> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let waited = timeout(away, stream.writable()).await;
                waited.map_err(|_| Failed::Late)?.map_err(Failed::Io)?;
            }
            Err(error) => return Err(Failed::Io(error)),
        }
    }
    Ok(())
}

/// Whether a datagram is lost and the next one may not be: the way there is down, or there was no
/// memory for it.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable};
    let kinds = [HostUnreachable, NetworkDown, NetworkUnreachable];
    kinds.contains(&error.kind()) || Errno::from_io_error(error) == Some(Errno::NOBUFS)
}

/// Sends every record of all blocks as a datagram.
///
/// # Errors
/// That none can be sent from here.
pub(super) async fn datagrams(mut inbox: Inbox, terms: Terms) -> Result {
    let Address::Udp(host) = &terms.address else {
        return Err(Error::new(Kind::Internal, "datagrams are for UDP"));
    };
    let failed = |cause| Error::io(format_args!("sending to {}", terms.address), &cause);
    let peer = resolve(host)?[0];
    let own = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(own).await.map_err(failed)?;
    socket.connect(peer).await.map_err(failed)?;
    let line = Datagrams { socket, traffic: &terms.traffic };
    while let Some(block) = line.next(&mut inbox).await {
        let mut at = 0;
        for &end in &block.ends {
            line.send(&block.bytes[at..end]).await.map_err(failed)?;
            at = end;
        }
        inbox.delivered(&block);
    }
    line.hear();
    Ok(())
}

/// How often a datagram is tried when what is said of it may be said of one before.
const DATAGRAM_TRIES: usize = 4;

/// A socket that sends datagrams to one peer.
///
/// That nobody took a datagram is heard later, and the system says so instead of sending another
/// one. So what is heard counts as refused, and the other one is sent again.
struct Datagrams<'a> {
    socket: UdpSocket,
    traffic: &'a Traffic,
}

impl Datagrams<'_> {
    /// Waits for the next block, and hears meanwhile what became of those before.
    async fn next(&self, inbox: &mut Inbox) -> Option<Block> {
        loop {
            tokio::select! {
                biased;
                block = inbox.next() => return block,
                heard = self.socket.ready(Interest::ERROR | Interest::READABLE) => {
                    if heard.is_err() {
                        return inbox.next().await;
                    }
                    self.hear();
                }
            }
        }
    }

    /// Counts those of which it is known that nobody took them. What the peer says is of no
    /// interest.
    fn hear(&self) {
        let error = || match self.socket.take_error()? {
            Some(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.traffic.refuse();
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(ErrorKind::WouldBlock.into()),
        };
        // Also where the runtime does not know of it yet.
        while error().is_ok() {}
        let _: io::Result<()> = self.socket.try_io(Interest::ERROR, error);
        // As much as may be there, and not for ever.
        for _ in 0..1024 {
            if self.socket.try_recv(&mut [0; 16]).is_err() {
                return;
            }
        }
    }

    /// Sends a datagram, that is lost where it can't go now.
    ///
    /// # Errors
    /// That none can be sent from here.
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        for _ in 0..DATAGRAM_TRIES {
            match self.socket.send(datagram).await {
                Ok(sent) => {
                    self.traffic.carry(sent);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.traffic.refuse(),
                Err(error) if is_passing(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.traffic.fail();
        Ok(())
    }
}
