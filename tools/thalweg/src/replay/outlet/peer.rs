//! Whoever is at the other end of a stream, and the connection to it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// How often a connection that takes nothing looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(200);
/// A host that does not answer is given up.
pub const CONNECT: Duration = Duration::from_secs(5);
/// Bytes that are read at once of what nobody looks at.
const HEARD: usize = 16 << 10;

/// Where somebody listens.
#[derive(Clone)]
pub enum Peer {
    /// `HOST:PORT`
    Tcp(String),
    /// At a path.
    Unix(PathBuf),
}

impl Peer {
    /// Connects, once; a Unix socket whose listener is busy would block.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn connect(&self) -> Result<Connection> {
        match self {
            Peer::Tcp(to) => {
                let mut last = ErrorKind::NotFound.into();
                for address in to.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => {
                            // What is due goes now.
                            stream.set_nodelay(true)?;
                            stream.set_write_timeout(Some(LOOK))?;
                            return Connection::new(Socket::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Peer::Unix(path) => {
                let own = SocketAddrUnix::new(path)?;
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                rustix::net::connect(&socket, &own)?;
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(LOOK))?;
                Connection::new(Socket::Unix(stream))
            }
        }
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

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn try_clone(&self) -> Result<Socket> {
        Ok(match self {
            Socket::Tcp(stream) => Socket::Tcp(stream.try_clone()?),
            Socket::Unix(stream) => Socket::Unix(stream.try_clone()?),
        })
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(to),
            Socket::Unix(stream) => stream.read(to),
        }
    }
}

/// What a peer has said, which nobody looks at: a socket that is closed while something was not
/// read loses what was written to it, and a peer whose answers nobody reads takes nothing more.
#[derive(Default)]
struct Heard {
    bytes: AtomicU64,
    /// Why there is no more of it; nothing where the peer has closed in good order.
    end: OnceLock<Option<String>>,
}

/// A connection that bytes flow through, one way.
pub struct Connection {
    socket: Socket,
    heard: Arc<Heard>,
}

impl Connection {
    fn new(socket: Socket) -> Result<Connection> {
        let heard = Arc::<Heard>::default();
        let (mut other, told) = (socket.try_clone()?, heard.clone());
        let listen = move || {
            let mut bytes = vec![0; HEARD];
            loop {
                match other.read(&mut bytes) {
                    Ok(0) => break told.end.set(None).ok(),
                    Ok(read) => drop(told.bytes.fetch_add(read as u64, Relaxed)),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => break told.end.set(Some(error.to_string())).ok(),
                }
            }
        };
        Builder::new().name("replay-hears".into()).spawn(listen)?;
        Ok(Connection { socket, heard })
    }

    /// Writes some of it; would block when nothing is taken for a while.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    /// Nothing more is written.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn ends(&self) -> Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Why the peer says nothing more; none while it may, nothing where it has closed in good order
    /// and has not complained of what came behind.
    pub fn end(&self) -> Option<Option<String>> {
        let end = self.heard.end.get()?.clone();
        let later = match &self.socket {
            Socket::Tcp(stream) => stream.take_error(),
            Socket::Unix(stream) => stream.take_error(),
        };
        Some(end.or_else(|| later.ok().flatten().map(|error| error.to_string())))
    }

    /// How many bytes it has said.
    pub fn heard(&self) -> u64 {
        self.heard.bytes.load(Relaxed)
    }

    /// Bytes that were written and that the peer's system has not confirmed, of TCP, where the
    /// system tells.
    pub fn under_way(&self) -> Option<u64> {
        let Socket::Tcp(stream) = &self.socket else { return None };
        let inode = File::from(stream.as_fd().try_clone_to_owned().ok()?).metadata().ok()?.ino();
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].iter().find_map(|table| {
            fs::read_to_string(table).ok()?.lines().find_map(|line| queued(line, inode))
        })
    }
}

/// What a line of the system's table of TCP says of what is not confirmed, if it is of this socket.
fn queued(line: &str, inode: u64) -> Option<u64> {
    // Number, local and remote address, state, what is to be sent and read, …: the tenth is the
    // inode.
    let mut cells = line.split_ascii_whitespace();
    let queues = cells.nth(4)?;
    (cells.nth(4)?.parse() == Ok(inode)).then_some(())?;
    u64::from_str_radix(queues.split_once(':')?.0, 16).ok()
}

impl Drop for Connection {
    fn drop(&mut self) {
        // So that whoever listens ends, too.
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_under_way_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let mut connection = Peer::Tcp(address).connect().expect("it connects");
        let (mut peer, _) = listener.accept().expect("it comes");
        let mut written = 0;
        while let Ok(some) = connection.write(&[0; 1 << 16]) {
            written += some as u64;
        }
        let under_way = connection.under_way().expect("the system tells");
        assert!(under_way > 0 && under_way < written, "{under_way} of {written}");
        let read = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|bytes| bytes as u64).expect("bytes")
        });
        connection.ends().expect("it is there");
        while connection.end().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((read.join().expect("it reads"), connection.end()), (written, Some(None)));
    }
}
