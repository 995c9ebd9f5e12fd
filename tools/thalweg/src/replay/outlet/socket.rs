//! TCP, UDP and Unix sockets.

use std::io::{ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::{Batch, Outlet, Unsent};
use crate::replay::stop::Stop;

/// How often a connection that takes nothing looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(200);
/// A host that does not answer is given up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it waits before it connects again, the first time; then twice as long, up to a second.
const PAUSE: Duration = Duration::from_millis(10);

enum Peer {
    Tcp(String),
    Unix(PathBuf),
}

impl Peer {
    /// Connects, once; a Unix socket whose listener is busy would block.
    fn connect(&self) -> std::io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Peer::Tcp(to) => {
                let mut last = ErrorKind::NotFound.into();
                for address in to.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => {
                            // What is due goes now.
                            stream.set_nodelay(true)?;
                            stream.set_write_timeout(Some(LOOK))?;
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                return Err(last);
            }
            Peer::Unix(path) => {
                let own = SocketAddrUnix::new(path)?;
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                rustix::net::connect(&socket, &own)?;
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(LOOK))?;
                Box::new(stream)
            }
        })
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Tcp(to) => write!(f, "tcp://{to}"),
            Peer::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection that bytes flow through.
pub struct Stream {
    peer: Peer,
    connection: Box<dyn Write + Send>,
    retry: Duration,
    stop: Arc<Stop>,
    /// It took nothing until the end: what comes next might be behind half a record.
    is_stuck: bool,
}

impl Stream {
    /// Over TCP.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn tcp(to: &str, retry: Duration, stop: Arc<Stop>) -> anyhow::Result<Stream> {
        Stream::connect(Peer::Tcp(to.to_owned()), retry, stop)
    }

    /// Over a Unix socket.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn unix(path: &Path, retry: Duration, stop: Arc<Stop>) -> anyhow::Result<Stream> {
        Stream::connect(Peer::Unix(path.to_owned()), retry, stop)
    }

    fn connect(peer: Peer, retry: Duration, stop: Arc<Stop>) -> anyhow::Result<Stream> {
        let begin = Instant::now();
        let connection = loop {
            match peer.connect() {
                // Those who came before are to be accepted first.
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && begin.elapsed() < CONNECT
                        && !stop.is_asked() =>
                {
                    sleep(PAUSE);
                }
                connection => break connection,
            }
        };
        let connection = connection
            .with_context(|| format!("cannot connect to {peer}: is somebody listening there?"))?;
        Ok(Stream { peer, connection, retry, stop, is_stuck: false })
    }

    /// Connects again; says for how long it has tried in vain.
    fn again(&mut self) -> Result<(), String> {
        let (begin, mut pause) = (Instant::now(), PAUSE);
        loop {
            match self.peer.connect() {
                Ok(connection) => {
                    self.connection = connection;
                    return Ok(());
                }
                Err(cause) if begin.elapsed() >= self.retry || self.stop.is_asked() => {
                    let tried = begin.elapsed();
                    return Err(format!("and not back within {tried:.1?} (--retry): {cause}"));
                }
                Err(_) => self.stop.pause(pause),
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

impl Outlet for Stream {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let mut left = batch.bytes;
        while !left.is_empty() {
            if self.is_stuck {
                return Err(Unsent::over(format!("{} took nothing until the end", self.peer)));
            }
            let cause = match self.connection.write(left) {
                Ok(0) => "it takes no more".to_owned(),
                Ok(written) => {
                    left = &left[written..];
                    self.stop.moves();
                    continue;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        self.is_stuck = self.stop.is_asked();
                        continue;
                    }
                    _ => error.to_string(),
                },
            };
            let (over, how) = match self.again() {
                Ok(()) => (false, "connected again".to_owned()),
                Err(how) => (true, how),
            };
            let cause = format!("{} went away ({cause}); {how}", self.peer);
            return Err(Unsent { cause, over, has: None });
        }
        Ok(())
    }
}

/// A datagram for each record.
pub struct Datagrams {
    to: String,
    socket: UdpSocket,
    stop: Arc<Stop>,
    /// How many the system has taken.
    taken: u64,
}

impl Datagrams {
    /// To a host.
    ///
    /// # Errors
    /// When it has no address.
    pub fn connect(to: &str, stop: Arc<Stop>) -> anyhow::Result<Datagrams> {
        let unknown = || format!("cannot send to udp://{to}");
        let address = to.to_socket_addrs().with_context(unknown)?.next().with_context(unknown)?;
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).with_context(unknown)?;
        socket.connect(address).with_context(unknown)?;
        Ok(Datagrams { to: to.to_owned(), socket, stop, taken: 0 })
    }
}

impl Outlet for Datagrams {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let mut failed = None;
        for (_, record) in batch.records() {
            let sent = loop {
                match self.socket.send(record) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // The queue is full.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if self.stop.is_asked() {
                            break Err(error);
                        }
                    }
                    sent => break sent,
                }
            };
            match sent {
                Ok(_) => self.taken += 1,
                Err(error) => {
                    failed = Some(format!("udp://{}, {} bytes: {error}", self.to, record.len()));
                }
            }
        }
        let has = Some(self.taken);
        failed.map_or(Ok(()), |cause| Err(Unsent { cause, over: false, has }))
    }
}
