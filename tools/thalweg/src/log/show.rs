//! The records of logs as text.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::process::ExitCode;

use thalweg::connector::log::{Frame, Segment};
use thalweg::format::{CsvText, JsonText, Untyped};
use thalweg::record::Shape;
use thalweg::time::Timestamp;

use super::{files, unless_closed};
use crate::args::{self, Text};

/// Prints the records of logs.
///
/// # Errors
///
/// If a file is no log, is damaged, or does not say how its records lie; if standard output cannot
/// be written.
pub fn cat(args: &args::Cat) -> anyhow::Result<ExitCode> {
    print(args, args.limit.map_or(u64::MAX, NonZeroU64::get))
}

/// Prints the first records of logs, ten unless said otherwise.
///
/// # Errors
///
/// As [`cat`].
pub fn head(args: &args::Cat) -> anyhow::Result<ExitCode> {
    print(args, args.limit.map_or(10, NonZeroU64::get))
}

fn print(args: &args::Cat, mut limit: u64) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut before: Option<Shape> = None;
    for path in files(&args.files)? {
        let mut log = Segment::open(&path)?;
        let Some(shape) = log.head().shape.clone() else {
            let (path, data_type) = (path.display(), &log.head().data_type);
            anyhow::bail!("{path} does not say how its records lie; they are {data_type}");
        };
        let same = before.as_ref().is_some_and(|before| before.data_type() == shape.data_type());
        let mut rows = Rows::new(&shape, args, !same);
        if let Some(from) = args.from {
            log.seek_event(from)?;
        }
        if let Err(error) = rows.copy(&mut log, &shape, args, &mut limit, &mut out)? {
            unless_closed(Err(error))?;
            return Ok(ExitCode::SUCCESS);
        }
        if log.is_torn() {
            let path = path.display();
            eprintln!("thalweg: {path} ends within a frame: what comes behind is not there");
        }
        before = Some(shape);
    }
    unless_closed(out.flush())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes rows.
enum Writer {
    Json(JsonText<Untyped>),
    Csv(CsvText<Untyped>),
}

struct Rows {
    writer: Writer,
    times: bool,
    /// The row of names is still to come.
    begins: bool,
}

impl Rows {
    fn new(shape: &Shape, args: &args::Cat, begins: bool) -> Rows {
        let data_type = shape.data_type();
        let writer = match args.format {
            Text::Json => Writer::Json(JsonText::of(&data_type)),
            Text::Csv => Writer::Csv(CsvText::of(&data_type, b',')),
        };
        Rows { writer, times: args.times, begins }
    }

    /// Copies what is asked for; what the output said, if it is closed.
    fn copy(
        &mut self,
        log: &mut Segment,
        shape: &Shape,
        args: &args::Cat,
        limit: &mut u64,
        out: &mut impl Write,
    ) -> anyhow::Result<io::Result<()>> {
        let path = log.path().to_owned();
        if self.begins
            && let Err(error) = self.names(out)
        {
            return Ok(Err(error));
        }
        while *limit > 0
            && let Some(frame) = log.next()?
        {
            let mut bytes = frame.encoded();
            for number in 0..frame.len() {
                let Some(size) = self.fill(shape, bytes) else {
                    let (path, record) = (path.display(), frame.before() + number as u64);
                    anyhow::bail!("{path}: record {record} is not what the schema says");
                };
                bytes = &bytes[size..];
                let at = frame.event_time(number).unwrap_or(Timestamp::MIN);
                let early = args.from.is_some_and(|from| at < from);
                if early || args.to.is_some_and(|to| at >= to) || *limit == 0 {
                    continue;
                }
                *limit -= 1;
                if let Err(error) = self.row(&frame, number, out) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    fn names(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Writer::Csv(csv) = &mut self.writer else { return Ok(()) };
        if self.times {
            out.write_all(b"event_time,arrival,")?;
        }
        csv.clear();
        csv.header();
        out.write_all(csv.text())
    }

    fn fill(&mut self, shape: &Shape, bytes: &[u8]) -> Option<usize> {
        match &mut self.writer {
            Writer::Json(json) => {
                json.clear();
                json.show(|to| shape.show(bytes, to))
            }
            Writer::Csv(csv) => {
                csv.clear();
                csv.show(|to| shape.show(bytes, to))
            }
        }
    }

    fn row(&self, frame: &Frame<'_>, number: usize, out: &mut impl Write) -> io::Result<()> {
        let text = match &self.writer {
            Writer::Json(json) => json.text(),
            Writer::Csv(csv) => csv.text(),
        };
        let times = (frame.event_time(number), frame.arrival(number));
        let (Some(at), Some(arrival)) = times else { return out.write_all(text) };
        match &self.writer {
            _ if !self.times => out.write_all(text),
            Writer::Json(_) => {
                write!(out, "{{\"event_time\":\"{at}\",\"arrival\":\"{arrival}\",\"record\":")?;
                out.write_all(text.trim_ascii_end())?;
                out.write_all(b"}\n")
            }
            Writer::Csv(_) => {
                write!(out, "{at},{arrival},")?;
                out.write_all(text)
            }
        }
    }
}
