//! Records to the standard output.

use std::io::Write;

use super::files::{Csv, Json, Lines};
use super::text::{Encode, Encoder, Target, TextWriter, failed};
use crate::error::Result;
use crate::operator::Sink;
use crate::record::Record;

/// A sink that prints. Shards take turns: lines are whole, those of one shard keep their order.
///
/// ```
/// use thalweg::connector::Stdout;
/// let sink = Stdout::csv();
/// ```
#[derive(Debug)]
pub struct Stdout<E>(E);

impl Stdout<()> {
    /// Prints a header and rows of CSV; see [`format`](crate::format).
    pub fn csv() -> Stdout<Csv<()>> {
        Stdout(Csv::new())
    }

    /// Prints JSON lines.
    pub fn json() -> Stdout<Json<()>> {
        Stdout(Json::new())
    }

    /// Prints records that have a `Display`, text and numbers, each on a line.
    pub fn lines() -> Stdout<Lines> {
        Stdout(Lines)
    }
}

impl<R: Record, E: Encode<R>> Sink<R> for Stdout<E> {
    type Writer = TextWriter<R, E::Encoder, Terminal>;

    fn name(&self) -> String {
        "standard output".into()
    }

    /// The first shard's header is printed at once: it must come before the others' rows.
    fn open(&mut self, shard: usize, _: usize) -> Result<Self::Writer> {
        let mut encoder = self.0.encoder();
        if shard == 0 {
            encoder.header();
            Terminal.write(encoder.text())?;
            encoder.clear();
        }
        Ok(TextWriter::new(encoder, Terminal))
    }
}

/// The standard output.
#[derive(Debug)]
pub struct Terminal;

impl Target for Terminal {
    fn write(&mut self, text: &[u8]) -> Result {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text).and_then(|()| out.flush());
        written.map_err(|cause| failed("the standard output", &cause))
    }
}
