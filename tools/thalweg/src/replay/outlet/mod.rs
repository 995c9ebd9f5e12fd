//! Where records are sent.

mod apart;
mod file;
mod http;
mod job;
mod log;
mod socket;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use thalweg::time::Timestamp;

use self::apart::{Apart, unless_stopped};
use super::args::{Form, Sending};
use super::stop::Stop;
use super::tape::Reel;
use crate::args::query;

/// A target, as it was named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `udp://HOST:PORT`: a datagram for each record.
    Udp(String),
    /// `unix:PATH`
    Unix(PathBuf),
    /// `http://HOST:PORT/PATH`: a POST for several records.
    Http(String),
    /// `job:nexmark-q5`: a query in this process.
    Job(String),
    /// A file.
    File(PathBuf),
    /// A new record log: a file whose name ends in `.tlog`.
    Log(PathBuf),
    /// Standard output.
    Stdout,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let with_port = |rest: &str| match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(rest.to_owned())
            }
            _ => Err(format!("{text} names no host and port, such as {text}:9000")),
        };
        match text.split_once(':') {
            Some(("tcp", rest)) => with_port(rest.trim_start_matches("//")).map(Address::Tcp),
            Some(("udp", rest)) => with_port(rest.trim_start_matches("//")).map(Address::Udp),
            Some(("unix", rest)) => {
                // unix:///a/path and unix:a/path
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    return Err("unix: is followed by the socket's path".into());
                }
                Ok(Address::Unix(path.into()))
            }
            Some(("job", name)) => {
                let query = name.strip_prefix("nexmark-").and_then(|name| query(name).ok());
                query.map(Address::Job).ok_or_else(|| "there are job:nexmark-q0 to q22".into())
            }
            Some(("http", _)) => Ok(Address::Http(text.to_owned())),
            Some(("https", _)) => Err("there is no TLS here; put a proxy before the target and \
                                       use http://"
                .into()),
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(format!("{scheme}:// is unknown; there are tcp, udp, unix and http"))
            }
            _ if text == "-" => Ok(Address::Stdout),
            _ if text.is_empty() => Err("a target is missing".into()),
            _ if text.ends_with(".tlog") => Ok(Address::Log(text.into())),
            _ => Ok(Address::File(text.into())),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(to) => write!(f, "tcp://{to}"),
            Address::Udp(to) => write!(f, "udp://{to}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Http(url) => f.write_str(url),
            Address::Job(query) => write!(f, "job:nexmark-{query}"),
            Address::File(path) | Address::Log(path) => write!(f, "{}", path.display()),
            Address::Stdout => f.write_str("standard output"),
        }
    }
}

/// Why records were not sent.
#[derive(Debug)]
pub struct Unsent {
    /// What went wrong.
    pub cause: String,
    /// Whether there is no use in sending more.
    pub over: bool,
    /// How many of all records that it was given the target has, where that is known; else all but
    /// those of the last batch.
    pub has: Option<u64>,
}

impl Unsent {
    /// The next records may be sent.
    pub fn now(cause: String) -> Unsent {
        Unsent { cause, over: false, has: None }
    }

    /// There is no use in sending more.
    pub fn over(cause: String) -> Unsent {
        Unsent { cause, over: true, has: None }
    }
}

/// Records that are sent together, as they are written.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// One after the other.
    pub bytes: &'a [u8],
    /// Where each ends.
    pub ends: &'a [usize],
    /// Their event times.
    pub events: &'a [Timestamp],
}

impl<'a> Batch<'a> {
    /// Each by itself.
    pub fn records(self) -> impl Iterator<Item = (Timestamp, &'a [u8])> {
        let begins = std::iter::once(&0).chain(self.ends);
        let bytes = begins.zip(self.ends).map(move |(from, end)| &self.bytes[*from..*end]);
        self.events.iter().copied().zip(bytes)
    }
}

/// One connection to a target.
pub trait Outlet: Send {
    /// Sends records; blocks while the target takes none, until it is stopped.
    ///
    /// # Errors
    /// When it is not known that all of them were sent.
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent>;

    /// All was sent.
    ///
    /// # Errors
    /// When some of it was not.
    fn finish(&mut self) -> Result<(), Unsent> {
        Ok(())
    }
}

/// Connects; where a replay goes on, to what is there.
///
/// # Errors
/// When nobody is there.
pub fn connect(
    to: &Address,
    reel: &Reel,
    sending: &Sending,
    header: Option<Vec<u8>>,
    go_on: bool,
    stop: &Arc<Stop>,
) -> anyhow::Result<Box<dyn Outlet>> {
    let (retry, stop) = (sending.retry, stop.clone());
    let apart = |outlet: Box<dyn Outlet>| -> anyhow::Result<Box<dyn Outlet>> {
        Ok(Box::new(Apart::new(to.to_string(), outlet, stop.clone())?))
    };
    Ok(match to {
        Address::Tcp(to) => Box::new(socket::Stream::tcp(to, retry, stop.clone())?),
        Address::Unix(path) => Box::new(socket::Stream::unix(path, retry, stop.clone())?),
        Address::Udp(to) => Box::new(socket::Datagrams::connect(to, stop.clone())?),
        Address::Http(url) => {
            let content = match sending.format {
                Form::Json => "application/x-ndjson",
                Form::Csv => "text/csv",
                Form::Raw => "application/octet-stream",
            };
            let posts = Box::new(http::Posts::new(url, content, retry, stop.clone()));
            apart(posts)?
        }
        Address::Job(query) => Box::new(job::Query::start(query, &reel.shape)?),
        Address::File(path) => {
            // To open a pipe is to wait for somebody who reads it.
            let (blocks, own) = (file::may_block(path), path.clone());
            let open = move || file::Written::create(&own, header, go_on);
            if blocks {
                apart(Box::new(unless_stopped(&stop, &to.to_string(), open)?))?
            } else {
                Box::new(open()?)
            }
        }
        Address::Log(path) => Box::new(log::Recorded::create(path, &reel.shape)?),
        Address::Stdout => {
            let stdout: Box<dyn Outlet> = Box::new(file::Written::stdout(header));
            if file::stdout_may_block() { apart(stdout)? } else { stdout }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_names() {
        for (text, is) in [
            ("tcp://localhost:9000", Address::Tcp("localhost:9000".into())),
            ("tcp:[::1]:9000", Address::Tcp("[::1]:9000".into())),
            ("udp://10.0.0.1:53", Address::Udp("10.0.0.1:53".into())),
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("unix:x.sock", Address::Unix("x.sock".into())),
            ("http://h/p", Address::Http("http://h/p".into())),
            ("job:nexmark-q5", Address::Job("q5".into())),
            ("-", Address::Stdout),
            ("out/x.json", Address::File("out/x.json".into())),
            ("out/x.tlog", Address::Log("out/x.tlog".into())),
        ] {
            assert_eq!(text.parse(), Ok(is), "{text}");
        }
        for bad in [
            "",
            "tcp://localhost",
            "tcp://:9000",
            "udp://h:99999",
            "unix:",
            "https://h/",
            "ftp://h/",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
