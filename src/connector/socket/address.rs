//! Addresses of sockets: to listen on, to connect to, and how messages name them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError::Timeout;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BufMut;
use rustix::io::ioctl_fionread;
use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::error::{Error, Kind, Result};
use crate::limits::{ANSWER, KEEPALIVE};

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Address {
    Tcp(String),
    Udp(String),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "tcp {address}"),
            Address::Udp(address) => write!(f, "udp {address}"),
            Address::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

/// A socket that was bound before the job's I/O thread has begun, and stays bound while the job
/// restarts. It is lent to one thread at a time: what comes must not come to one of an earlier run.
#[derive(Debug)]
pub(in crate::connector) struct Bound {
    socket: Held,
    /// Closed when the thread that it was lent to last has given it back.
    lent: Mutex<Option<Receiver<()>>>,
}

#[derive(Debug)]
enum Held {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
    Unix(std::os::unix::net::UnixListener, Arc<Place>),
}

/// What a thread gives back, by dropping it, that a socket was lent to.
#[derive(Debug)]
pub(in crate::connector) struct Lease(
    #[expect(dead_code, reason = "that it is dropped is what it says")] Sender<()>,
);

/// A path that is removed when nobody listens there any more.
#[derive(Debug)]
pub(in crate::connector) struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        // It may have been removed by hand.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// Listens on an address.
    ///
    /// # Errors
    /// That it is in use, or not to be had, or no address.
    pub fn new(address: &Address) -> Result<Bound> {
        let failed = |cause| Error::io(format_args!("listening on {address}"), &cause);
        let socket = match address {
            Address::Tcp(host) => {
                let listener = std::net::TcpListener::bind(resolve(host)?.as_slice());
                let listener = listener.map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Held::Tcp(listener)
            }
            Address::Udp(host) => {
                let socket = std::net::UdpSocket::bind(resolve(host)?.as_slice());
                let socket = socket.map_err(failed)?;
                socket.set_nonblocking(true).map_err(failed)?;
                Held::Udp(socket)
            }
            Address::Unix(path) => {
                remove_stale(path).map_err(failed)?;
                let listener = std::os::unix::net::UnixListener::bind(path).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Held::Unix(listener, Arc::new(Place(path.clone())))
            }
        };
        Ok(Bound { socket, lent: Mutex::default() })
    }

    /// The socket, for a thread; waits until the one before has given it back.
    ///
    /// # Errors
    /// That it has not, or that there is no file descriptor to be had.
    pub fn lend(&self) -> Result<Listening> {
        self.lend_within(ANSWER)
    }

    fn lend_within(&self, patience: Duration) -> Result<Listening> {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.as_ref().is_some_and(|before| before.recv_timeout(patience) == Err(Timeout)) {
            let what = "an earlier run of the job has not given back the socket that it listens on";
            return Err(Error::new(Kind::Internal, what));
        }
        let (lease, given_back) = mpsc::channel();
        *lent = Some(given_back);
        let cloned = match &self.socket {
            Held::Tcp(listener) => listener.try_clone().map(Held::Tcp),
            Held::Udp(socket) => socket.try_clone().map(Held::Udp),
            Held::Unix(listener, place) => {
                listener.try_clone().map(|listener| Held::Unix(listener, place.clone()))
            }
        };
        let cloned = cloned.map(|socket| Listening { socket, lease: Lease(lease) });
        cloned.map_err(|cause| Error::io("listening on a socket once more", &cause))
    }

    /// Where it listens; none for a path.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Held::Tcp(listener) => listener.local_addr().ok(),
            Held::Udp(socket) => socket.local_addr().ok(),
            Held::Unix(..) => None,
        }
    }
}

/// Removes what a process that is gone has left at a path; leaves there what is no socket, and a
/// socket that somebody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(facts) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !facts.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// The addresses that a host and port stand for.
///
/// # Errors
/// That they stand for none.
pub(in crate::connector) fn resolve(host: &str) -> Result<Vec<SocketAddr>> {
    let why = match host.to_socket_addrs() {
        Ok(found) => {
            let found: Vec<_> = found.collect();
            if !found.is_empty() {
                return Ok(found);
            }
            "it stands for no address".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let what = format!("{host:?} is no host and port: {why}; write it as 127.0.0.1:9000");
    Err(Error::new(Kind::Plan, what))
}

/// A bound socket on its way to the I/O thread.
#[derive(Debug)]
pub(in crate::connector) struct Listening {
    socket: Held,
    lease: Lease,
}

impl Listening {
    /// To be called on the I/O thread: what connections come to, or datagrams.
    ///
    /// # Errors
    /// That the runtime can't watch it.
    pub fn open(self) -> io::Result<Listener> {
        let Listening { socket, lease } = self;
        Ok(match socket {
            Held::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?, lease),
            Held::Udp(socket) => Listener::Udp(UdpSocket::from_std(socket)?, lease),
            Held::Unix(listener, place) => {
                Listener::Unix(UnixListener::from_std(listener)?, place, lease)
            }
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(in crate::connector) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects to an address.
    ///
    /// # Errors
    /// What the system says; that it took too long.
    pub async fn connect(address: &Address) -> io::Result<Stream> {
        let connect = async {
            match address {
                Address::Tcp(host) => {
                    let stream = TcpStream::connect(host.as_str()).await?;
                    Ok(Stream::of_tcp(stream))
                }
                Address::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
                Address::Udp(_) => Err(ErrorKind::Unsupported.into()),
            }
        };
        timeout(ANSWER, connect).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Has the system ask now and then whether the peer is still there.
    fn of_tcp(stream: TcpStream) -> Stream {
        let socket = stream.as_fd();
        // Where one of them is not to be had, the connection does without.
        let _ = sockopt::set_socket_keepalive(socket, true);
        let _ = sockopt::set_tcp_keepidle(socket, KEEPALIVE);
        let _ = sockopt::set_tcp_keepintvl(socket, Duration::from_secs(10));
        let _ = sockopt::set_tcp_keepcnt(socket, 4);
        let _ = stream.set_nodelay(true);
        Stream::Tcp(stream)
    }

    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
        }
    }

    /// As [`readable`](Stream::readable), where somebody else reads: there is something, or an end
    /// to be found. Takes nothing: to read, and be it to look, would take an error away.
    ///
    /// # Errors
    /// That there is nothing any more ([`WouldBlock`](ErrorKind::WouldBlock)).
    pub async fn readable_by_others(&self) -> io::Result<()> {
        let ready = match self {
            Stream::Tcp(stream) => stream.ready(Interest::READABLE).await?,
            Stream::Unix(stream) => stream.ready(Interest::READABLE).await?,
        };
        if ready.is_read_closed() {
            return Ok(());
        }
        let look = || match ioctl_fionread(self)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        };
        match self {
            Stream::Tcp(stream) => stream.try_io(Interest::READABLE, look),
            Stream::Unix(stream) => stream.try_io(Interest::READABLE, look),
        }
    }

    pub fn try_read(&self, into: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read_buf(into),
            Stream::Unix(stream) => stream.try_read_buf(into),
        }
    }

    /// Closes it in good order. What the peer has said is read before: a connection that is closed
    /// with something unread is reset, and what the peer has not read of it is lost.
    pub fn finish(self) {
        let mut said = Vec::with_capacity(64 << 10);
        while said.len() < 1 << 20 && self.try_read(&mut said).is_ok_and(|read| read > 0) {}
        // It is closed in any case.
        let _ = shutdown(&self, Shutdown::Write);
    }

    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.writable().await,
            Stream::Unix(stream) => stream.writable().await,
        }
    }

    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// What connections or datagrams come to. The lease goes last: the socket is closed by then.
#[derive(Debug)]
#[expect(dead_code, reason = "the path stays for as long as it is held, and so does the lease")]
pub(in crate::connector) enum Listener {
    Tcp(TcpListener, Lease),
    Udp(UdpSocket, Lease),
    Unix(UnixListener, Arc<Place>, Lease),
}

impl Listener {
    /// Takes the next connection, and gives a name of the peer.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Listener::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::of_tcp(stream), Some(peer)))
            }
            Listener::Unix(listener, ..) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
            Listener::Udp(..) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_lent_to_one_at_a_time_however_often_it_is_asked_for() {
        let bound = Bound::new(&Address::Tcp("127.0.0.1:0".into())).unwrap();
        let lend = || bound.lend_within(Duration::from_millis(10));
        let first = lend().unwrap();
        for _ in 0..3 {
            assert!(lend().unwrap_err().to_string().contains("has not given back the socket"));
        }
        drop(first);
        let second = lend().unwrap();
        assert!(lend().is_err());
        drop(second);
        assert!(lend().is_ok());
    }
}
