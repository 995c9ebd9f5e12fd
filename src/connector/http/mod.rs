//! HTTP: requests as a source, and as a sink.

mod client;
mod patient;
mod server;
mod sink;
mod source;
mod visitors;

pub use sink::HttpSink;
pub use source::HttpSource;

use super::{Csv, Decode, Json, Lines};
use crate::format::FromText;

/// HTTP/1.1, without encryption: a source that takes what others post, and a sink that posts. For
/// `https` put a proxy in between.
///
/// ```
/// use thalweg::prelude::*;
///
/// record! { struct Bid { auction: u64, price: u64 } }
///
/// let source = Http::ingest("127.0.0.1:0").path("/bids").json::<Bid>().ends_after(1);
/// let bids = format!("http://{}/bids", source.local_addr()?);
/// let job = Job::new("highest").shards(2);
/// let (sink, highest) = Collect::new();
/// job.source(source)
///     .key_by(|bid| bid.auction)
///     .aggregate_final(|bids| bids.max(|bid| bid.price))
///     .sink(sink);
/// let running = job.start()?;
///
/// // Another job posts; curl would do, too: `curl --data-binary @bids.jsonl http://…/bids`.
/// let other = Job::new("bids").shards(1);
/// other
///     .source(Memory::of([3_u64, 20]).splits(1))
///     .map(|price| Bid { auction: 1, price })
///     .sink(Http::post(bids).to_json());
/// other.run()?;
/// running.join()?;
/// assert_eq!(highest.sorted(), [(1, 20)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Http;

impl Http {
    /// Listens on a host and port, `0.0.0.0:8080`, for requests that post records.
    pub fn ingest(address: impl Into<String>) -> Ingest {
        Ingest { address: address.into(), path: "/".into() }
    }

    /// Posts records to a URL, `http://host:8080/path`.
    pub fn post(url: impl Into<String>) -> Post {
        Post { url: url.into() }
    }
}

/// Where requests come to; what is in them is to be said.
#[derive(Clone, Debug)]
pub struct Ingest {
    address: String,
    path: String,
}

impl Ingest {
    /// The path that is posted to, `/` unless said otherwise. Others are answered 404.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// A source of lines, without their ends.
    pub fn lines(self) -> HttpSource<Lines> {
        HttpSource::new(self, Lines)
    }

    /// A source of JSON lines; see [`read_json`](crate::format::read_json).
    pub fn json<R: FromText>(self) -> HttpSource<Json<R>> {
        HttpSource::new(self, Json::new())
    }

    /// A source of rows of CSV; every body begins with a header. See
    /// [`CsvReader`](crate::format::CsvReader).
    pub fn csv<R: FromText>(self) -> HttpSource<Csv<R>> {
        HttpSource::new(self, Csv::new())
    }

    /// A source of rows in a format of your own.
    pub fn with<D: Decode>(self, decode: D) -> HttpSource<D> {
        HttpSource::new(self, decode)
    }
}

/// Where records are posted to; how they are written is to be said.
#[derive(Clone, Debug)]
pub struct Post {
    url: String,
}

impl Post {
    /// A sink of lines, `text/plain`: of records that have a `Display`, text and numbers.
    pub fn to_lines(self) -> HttpSink<Lines> {
        HttpSink::new(self.url, Lines, "text/plain")
    }

    /// A sink of JSON lines, `application/x-ndjson`.
    pub fn to_json(self) -> HttpSink<Json<()>> {
        HttpSink::new(self.url, Json::new(), "application/x-ndjson")
    }

    /// A sink of rows of CSV, `text/csv`; every body begins with a header.
    pub fn to_csv(self) -> HttpSink<Csv<()>> {
        HttpSink::new(self.url, Csv::new(), "text/csv")
    }
}
