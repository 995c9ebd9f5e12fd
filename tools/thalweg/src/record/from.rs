//! Where rows come from.

use std::fs::File;
use std::io::{self, Chain, Cursor, Read, stdin};
use std::mem;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use flate2::read::MultiGzDecoder;

use super::rows::{Came, Reading, Rows};
use crate::args::Text;

/// Rows that wait to be written.
const WAITING: usize = 4_096;
/// A server that does not answer for so long is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// Peers that are read at the same time.
const PEERS_MAX: usize = 256;

/// One place that rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A file of CSV or JSON lines, which gzip may have packed.
    File(PathBuf),
    /// Standard input, which gzip may have packed.
    Stdin,
    /// A server, by its address, that sends rows.
    Tcp(String),
    /// Whoever connects to this address.
    TcpListen(String),
    /// Datagrams to this address, one or more rows each.
    Udp(String),
    /// A server's socket.
    Unix(PathBuf),
    /// Whoever connects to a socket of this path.
    UnixListen(PathBuf),
    /// The numbers from 0.
    Counter,
    /// The events of an auction house.
    Nexmark,
    /// Records with skewed keys.
    Generate,
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        Ok(match text.split_once("://") {
            Some(("tcp", address)) => From::Tcp(address.to_owned()),
            Some(("tcp-listen", address)) => From::TcpListen(address.to_owned()),
            Some(("udp", address)) => From::Udp(address.to_owned()),
            Some(("unix", path)) => From::Unix(path.into()),
            Some(("unix-listen", path)) => From::UnixListen(path.into()),
            Some((scheme, _)) if !scheme.contains('/') => {
                return Err(format!(
                    "{scheme}:// is not known; there are tcp://HOST:PORT, tcp-listen://HOST:PORT, \
                     udp://HOST:PORT, unix:PATH, unix-listen:PATH"
                ));
            }
            _ => match text {
                "-" => From::Stdin,
                "counter" => From::Counter,
                "nexmark" => From::Nexmark,
                "generate" => From::Generate,
                path => match path.split_once(':') {
                    Some(("unix", path)) => From::Unix(path.into()),
                    Some(("unix-listen", path)) => From::UnixListen(path.into()),
                    _ => From::File(path.into()),
                },
            },
        })
    }
}

impl From {
    /// Whether records are made, and not read.
    pub fn is_generator(&self) -> bool {
        matches!(self, From::Counter | From::Nexmark | From::Generate)
    }

    /// The format that a file's name tells.
    fn format(&self) -> Option<Text> {
        let From::File(path) = self else { return None };
        let name = path.file_name()?.to_str()?.trim_end_matches(".gz");
        match name.rsplit_once('.')?.1 {
            "csv" | "tsv" => Some(Text::Csv),
            "json" | "jsonl" | "ndjson" => Some(Text::Json),
            _ => None,
        }
    }
}

/// Reads rows on a thread of its own, place after place. What it does not find out before the first
/// row comes as [`Came::Failed`].
///
/// # Errors
///
/// If a file or a socket can't be opened.
pub fn read(places: &[From], how: &Reading) -> anyhow::Result<Receiver<Came>> {
    let (to, rows) = sync_channel(WAITING);
    let mut inputs = Vec::new();
    for place in places {
        let how = Reading { format: how.format.or(place.format()), ..how.clone() };
        inputs.push(open(place, how)?);
    }
    let read = move || {
        for input in inputs {
            if let Err(error) = input(&to) {
                // Nobody waits for it where nobody listens any more.
                let _ = to.send(Came::Failed(format!("{error:#}")));
                return;
            }
        }
    };
    thread::Builder::new().name("rows".to_owned()).spawn(read).context("starting a thread")?;
    Ok(rows)
}

type Input = Box<dyn FnOnce(&SyncSender<Came>) -> anyhow::Result<()> + Send>;

fn open(place: &From, how: Reading) -> anyhow::Result<Input> {
    Ok(match place.clone() {
        From::File(path) => {
            let shown = path.display().to_string();
            let file = File::open(&path).with_context(|| format!("opening {shown}"))?;
            ensure!(!path.is_dir(), "{shown} is a directory; name its files");
            stream(Unpacked::of(file), how, shown)
        }
        From::Stdin => stream(Unpacked::of(stdin()), how, "standard input".to_owned()),
        From::Tcp(address) => {
            let connecting = || format!("connecting to {address}; does it listen there?");
            stream(connect(&address).with_context(connecting)?, how, address)
        }
        From::Unix(path) => {
            let shown = path.display().to_string();
            let connecting = || format!("connecting to {shown}; does somebody listen there?");
            stream(UnixStream::connect(&path).with_context(connecting)?, how, shown)
        }
        From::TcpListen(address) => {
            let listening = || format!("listening on {address}");
            let listener = TcpListener::bind(&address).with_context(listening)?;
            eprintln!("thalweg: listening on {}", listener.local_addr().with_context(listening)?);
            Box::new(move |to| {
                serve(to, &how, || {
                    let (stream, peer) = listener.accept().with_context(|| address.clone())?;
                    Ok((stream, peer.to_string()))
                })
            })
        }
        From::UnixListen(path) => {
            let shown = path.display().to_string();
            let listening = || format!("listening on {shown}; is it there already?");
            let listener = UnixListener::bind(&path).with_context(listening)?;
            eprintln!("thalweg: listening on {shown}");
            Box::new(move |to| {
                serve(to, &how, || {
                    let (stream, _) = listener.accept().with_context(|| shown.clone())?;
                    Ok((stream, shown.clone()))
                })
            })
        }
        From::Udp(address) => {
            let listening = || format!("listening on {address}");
            let socket = UdpSocket::bind(&address).with_context(listening)?;
            eprintln!("thalweg: listening on {}", socket.local_addr().with_context(listening)?);
            Box::new(move |to| datagrams(&socket, how, address, to))
        }
        From::Counter | From::Nexmark | From::Generate => {
            anyhow::bail!("a generator is recorded alone: name nothing else to record from")
        }
    })
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let mut last = None;
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow!("the name stands for no address"), Into::into))
}

fn stream(input: impl Read + Send + 'static, how: Reading, origin: String) -> Input {
    Box::new(move |to| Rows::new(how, origin).read(input, |came| to.send(came).is_ok()))
}

/// What an input holds, without the packing of gzip if it begins with the mark of that.
enum Unpacked<R: Read> {
    Unread(R),
    Plain(Chain<Cursor<Vec<u8>>, R>),
    Packed(Box<MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>>),
    /// The input failed before its first bytes.
    Nothing,
}

impl<R: Read> Unpacked<R> {
    fn of(input: R) -> Unpacked<R> {
        Unpacked::Unread(input)
    }
}

/// What gzip begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if let Unpacked::Unread(_) = self {
            let Unpacked::Unread(mut input) = mem::replace(self, Unpacked::Nothing) else {
                return Ok(0);
            };
            let mut first = Vec::new();
            (&mut input).take(GZIP.len() as u64).read_to_end(&mut first)?;
            let packed = first == GZIP;
            let whole = Cursor::new(first).chain(input);
            *self = match packed {
                true => Unpacked::Packed(Box::new(MultiGzDecoder::new(whole))),
                false => Unpacked::Plain(whole),
            };
        }
        match self {
            Unpacked::Plain(input) => input.read(to),
            Unpacked::Packed(input) => input.read(to),
            Unpacked::Unread(_) | Unpacked::Nothing => Ok(0),
        }
    }
}

/// Reads from all peers at once. It ends with the process.
fn serve<S: Read + Send + 'static>(
    to: &SyncSender<Came>,
    how: &Reading,
    accept: impl Fn() -> anyhow::Result<(S, String)>,
) -> anyhow::Result<()> {
    let mut peers: Vec<thread::JoinHandle<()>> = Vec::new();
    loop {
        let (stream, name) = accept()?;
        peers.retain(|peer| !peer.is_finished());
        if peers.len() >= PEERS_MAX {
            let what = format!("{PEERS_MAX} peers are read already; it is turned away");
            let bad = super::rows::Bad { place: (name.into(), 0), what };
            if to.send(Came::Bad(bad)).is_err() {
                return Ok(());
            }
            continue;
        }
        let (how, to) = (how.clone(), to.clone());
        let read = move || {
            let mut rows = Rows::new(how, name.clone());
            if let Err(error) = rows.read(stream, |came| to.send(came).is_ok()) {
                // A peer that is gone does not end what others send.
                let bad = super::rows::Bad { place: (name.into(), 0), what: format!("{error:#}") };
                let _ = to.send(Came::Bad(bad));
            }
        };
        let peer = thread::Builder::new().name("peer".to_owned()).spawn(read);
        peers.push(peer.context("starting a thread")?);
    }
}

fn datagrams(
    socket: &UdpSocket,
    how: Reading,
    address: String,
    to: &SyncSender<Came>,
) -> anyhow::Result<()> {
    let mut rows = Rows::new(how, address.clone());
    let mut room = vec![0; 64 << 10];
    loop {
        let len = socket.recv(&mut room).with_context(|| format!("receiving on {address}"))?;
        for (number, line) in room[..len].split(|byte| *byte == b'\n').enumerate() {
            // Each may have a header of its own, or the first one alone.
            if number == 0 && rows.repeats_header(line) {
                continue;
            }
            if rows.line(line).is_some_and(|came| to.send(came).is_err()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_their_scheme() {
        let of = |text: &str| text.parse::<From>();
        assert_eq!(of("-"), Ok(From::Stdin));
        assert_eq!(of("tcp://localhost:7"), Ok(From::Tcp("localhost:7".into())));
        assert_eq!(of("unix:///run/x"), Ok(From::Unix("/run/x".into())));
        assert_eq!(of("unix:/run/x"), Ok(From::Unix("/run/x".into())));
        assert_eq!(of("unix-listen:x"), Ok(From::UnixListen("x".into())));
        assert_eq!(of("./a://b"), Ok(From::File("./a://b".into())));
        assert_eq!(of("./counter"), Ok(From::File("./counter".into())));
        assert!(of("http://x").expect_err("unknown").contains("tcp-listen://HOST:PORT"));
        let format = |text: &str| of(text).expect("a place").format();
        assert_eq!(format("a/b.csv.gz"), Some(Text::Csv));
        assert_eq!((format("b.jsonl"), format("b"), format("-")), (Some(Text::Json), None, None));
    }
}
