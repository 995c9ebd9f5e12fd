//! Sockets: TCP, UDP and Unix, listening and connecting, as sources and as sinks.

mod address;
mod retry;
mod send;
mod serve;
mod sink;
mod source;

pub use sink::SocketSink;
pub use source::SocketSource;

use std::path::PathBuf;

pub(super) use address::{Address, Bound, Listener, Stream};
pub(super) use retry::Retry;
pub(super) use serve::ACCEPT_PAUSE;

use super::{Csv, Decode, Json, Lines, Messages};
use crate::format::FromText;

/// Sockets of TCP as sources and as sinks.
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
///
/// let source = Tcp::listen("127.0.0.1:0").json::<Bid>().ends_after(1);
/// let address = source.local_addr()?; // listens from now on
/// let job = Job::new("highest").shards(2);
/// let (sink, highest) = Collect::new();
/// job.source(source)
///     .key_by(|bid| bid.auction)
///     .aggregate_final(|bids| bids.max(|bid| bid.price))
///     .sink(sink);
/// let running = job.start()?;
///
/// let mut peer = TcpStream::connect(address)?;
/// peer.write_all(b"{\"auction\": 1, \"price\": 3}\n{\"auction\": 1, \"price\": 20}\n")?;
/// drop(peer); // the one connection after which it ends
/// running.join()?;
/// assert_eq!(highest.sorted(), [(1, 20)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Tcp;

/// Datagrams as sources and as sinks: each holds one row or several, and none goes on in the next
/// one. What the system drops, because nobody reads fast enough, is not missed.
///
/// ```
/// use thalweg::prelude::*;
///
/// record! { struct Reading { sensor: u64, value: f64 } }
/// let readings = Udp::listen("127.0.0.1:0").json::<Reading>();
/// ```
#[derive(Debug)]
pub struct Udp;

/// Stream sockets at a path of the file system as sources and as sinks.
///
/// ```
/// use thalweg::prelude::*;
///
/// let lines = Unix::listen("words.sock").lines();
/// ```
#[derive(Debug)]
pub struct Unix;

impl Tcp {
    /// Listens on a host and port, `0.0.0.0:9000`, and takes connections.
    pub fn listen(address: impl Into<String>) -> Socket {
        Socket { address: Address::Tcp(address.into()), role: Role::Listens }
    }

    /// Connects to a host and port, and again when the connection is lost.
    pub fn connect(address: impl Into<String>) -> Socket {
        Socket { address: Address::Tcp(address.into()), role: Role::Connects }
    }
}

impl Udp {
    /// Reads datagrams that are sent to a host and port.
    pub fn listen(address: impl Into<String>) -> Socket {
        Socket { address: Address::Udp(address.into()), role: Role::Listens }
    }

    /// Sends datagrams to a host and port.
    pub fn connect(address: impl Into<String>) -> Socket {
        Socket { address: Address::Udp(address.into()), role: Role::Connects }
    }
}

impl Unix {
    /// Listens at a path. What a process that is gone has left there is removed; when the source is
    /// gone, so is the path.
    pub fn listen(path: impl Into<PathBuf>) -> Socket {
        Socket { address: Address::Unix(path.into()), role: Role::Listens }
    }

    /// Connects to a path, and again when the connection is lost.
    pub fn connect(path: impl Into<PathBuf>) -> Socket {
        Socket { address: Address::Unix(path.into()), role: Role::Connects }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Listens,
    Connects,
}

/// An address and which side calls; what is read or written there is to be said.
#[derive(Clone, Debug)]
pub struct Socket {
    address: Address,
    role: Role,
}

impl Socket {
    /// A source of lines, without their ends.
    pub fn lines(self) -> SocketSource<Lines> {
        SocketSource::new(self, Lines)
    }

    /// A source of JSON lines; see [`read_json`](crate::format::read_json).
    pub fn json<R: FromText>(self) -> SocketSource<Json<R>> {
        SocketSource::new(self, Json::new())
    }

    /// A source of rows of CSV; every connection, every datagram begins with a header. See
    /// [`CsvReader`](crate::format::CsvReader).
    pub fn csv<R: FromText>(self) -> SocketSource<Csv<R>> {
        SocketSource::new(self, Csv::new())
    }

    /// A source of bytes, as they are, with their length before them; see
    /// [`length_prefixed`](SocketSource::length_prefixed). A record is a
    /// [`Message`](crate::connector::Message), whose `bytes` a closure reads as a slice:
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let job = Job::new("lengths").shards(1);
    /// job.source(Tcp::listen("127.0.0.1:0").messages())
    ///     .filter(|message| message.bytes.starts_with(b"GET "))
    ///     .map(|message| message.bytes.len() as u64)
    ///     .sink(Discard);
    /// ```
    pub fn messages(self) -> SocketSource<Messages> {
        SocketSource::new(self, Messages).length_prefixed()
    }

    /// A source of rows in a format of your own.
    pub fn with<D: Decode>(self, decode: D) -> SocketSource<D> {
        SocketSource::new(self, decode)
    }

    /// A sink of lines: of records that have a `Display`, text and numbers.
    pub fn to_lines(self) -> SocketSink<Lines> {
        SocketSink::new(self, Lines)
    }

    /// A sink of JSON lines.
    pub fn to_json(self) -> SocketSink<Json<()>> {
        SocketSink::new(self, Json::new())
    }

    /// A sink of rows of CSV; every connection begins with a header, datagrams do not.
    pub fn to_csv(self) -> SocketSink<Csv<()>> {
        SocketSink::new(self, Csv::new())
    }
}
