//! `thalweg record`: rows from files, sockets and generators into a record log.

mod from;
mod generate;
mod infer;
mod progress;
mod rows;
mod schema;
mod take;
mod times;
mod wide;

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use thalweg::connector::log::Recorder;
use thalweg::record::{Shape, Type};

pub use from::From;
pub use generate::Generated;
pub use times::TimeColumn;

use crate::args;
use progress::Progress;
use rows::{Came, Reading};
use take::Taking;

/// How long nothing comes before what has gathered is written, so that others can read it.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the first rows may let the schema wait for more of them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records what is asked for.
///
/// # Errors
///
/// If the arguments do not fit, a place can't be read, a row does not fit the schema and is not to
/// be passed over, or the log can't be written. What was written up to then is a whole log.
pub fn run(args: &args::Record) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&stop);
    let handler = move || {
        // Whoever asks twice wants no clean end.
        if came.swap(true, SeqCst) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot take over Ctrl-C")?;
    match &args.from[..] {
        [kind @ (From::Counter | From::Nexmark | From::Generate)] => made(kind, args, &stop)?,
        places => {
            let given = args.generate.given();
            if let Some(option) = given.filter(|_| !places.iter().any(From::is_generator)) {
                bail!("{option} is for generators: counter, nexmark, generate");
            }
            read(places, args, &stop)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The log file: one that is named, or the first of a directory.
fn create(args: &args::Record, shape: &Shape) -> anyhow::Result<Recorder> {
    let to = &args.to;
    let no_stream =
        "a log can't go to standard output; name a file that ends in .tlog, or a directory";
    ensure!(to != Path::new("-"), no_stream);
    let is_file = to.extension().is_some_and(|extension| extension == "tlog");
    let path: PathBuf = if is_file { to.clone() } else { to.join("part-0.tlog") };
    let directory = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    Ok(Recorder::create(&path, shape)?.compression(args.compress.0))
}

fn made(kind: &From, args: &args::Record, stop: &AtomicBool) -> anyhow::Result<()> {
    let has_schema = args.schema.is_some() || args.schema_file.is_some();
    ensure!(!has_schema, "a generator has a schema of its own; leave --schema out");
    let has_times = args.event_time.is_some() || args.arrival_time.is_some();
    let what = "a generator has times of its own; leave --event-time and --arrival-time out";
    ensure!(!has_times, what);
    let shape = generate::shape(kind).context("records without a shape")?;
    let mut taking = Taking::new(create(args, &shape)?, shape, args);
    let progress = Progress::start(args.events);
    let made = generate::generate(kind, &args.generate, |(at, arrival, encoded)| {
        if stop.load(SeqCst) || taking.is_done() {
            return Ok(false);
        }
        taking.put(at, arrival, encoded)?;
        progress.show(taking.rows());
        Ok(true)
    });
    drop(progress);
    taking.finish(made)
}

fn read(places: &[From], args: &args::Record, stop: &AtomicBool) -> anyhow::Result<()> {
    let given = given(args)?;
    let names = match (&given, args.no_header) {
        (_, false) => None,
        (Some(shape), true) => Some(shape.data_type().header()),
        (None, true) => bail!("--no-header needs --schema or --schema-file, for the names"),
    };
    let wanted = given.iter().flat_map(|shape| columns(shape, |of| !matches!(of, Type::Option(_))));
    let wanted = wanted.map(str::to_owned).collect();
    let reading = Reading { format: args.format, delimiter: args.delimiter as u8, names, wanted };
    if let Some(shape) = &given {
        check_times(shape, args)?;
    }
    let from = from::read(places, &reading)?;
    let mut first = Vec::new();
    let shape = match given {
        Some(shape) => shape,
        None => {
            first = first_rows(&from, args.infer_rows, stop);
            let rows = first.iter().filter_map(|came| match came {
                Came::Row(row) => Some(&row.value),
                Came::Bad(_) | Came::Failed(_) => None,
            });
            let fields = match infer::infer(rows) {
                Err(_) if first.iter().any(|came| !matches!(came, Came::Row(_))) => Vec::new(),
                inferred => inferred?,
            };
            shown(fields, &first)?
        }
    };
    check_times(&shape, args)?;
    let mut taking = Taking::new(create(args, &shape)?, shape, args);
    let progress = Progress::start(args.events);
    let all = take_all(&mut taking, first, &from, stop, &progress);
    drop(progress);
    taking.finish(all)
}

/// The schema that was asked for.
fn given(args: &args::Record) -> anyhow::Result<Option<Shape>> {
    let shape = match (&args.schema, &args.schema_file) {
        (Some(text), _) => schema::parse(text)?,
        (None, Some(path)) => {
            let shown = path.display();
            let text = fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
            schema::parse(&text).with_context(|| format!("schema in {shown}"))?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(shape))
}

/// The columns of such types.
fn columns(shape: &Shape, is: impl Fn(&Type) -> bool) -> Vec<&'static str> {
    let Type::Struct(schema) = shape.data_type() else { return Vec::new() };
    let such = schema.columns.iter().filter(|column| is(&column.data_type));
    such.map(|column| column.name).collect()
}

/// Whether rows have the columns of the times that were asked for.
fn check_times(shape: &Shape, args: &args::Record) -> anyhow::Result<()> {
    let columns = columns(shape, |_| true);
    for time in [&args.event_time, &args.arrival_time].into_iter().flatten() {
        let (name, all) = (&time.name, columns.join(", "));
        ensure!(columns.contains(&&**name), "the schema has no column {name}; it has {all}");
    }
    Ok(())
}

/// The schema that was inferred, which is shown.
fn shown(fields: Vec<thalweg::record::Part>, first: &[Came]) -> anyhow::Result<Shape> {
    if fields.is_empty() {
        for came in first {
            match came {
                Came::Failed(what) => bail!("{what}"),
                Came::Bad(bad) => bail!("{} line {}: {}", bad.place.0, bad.place.1, bad.what),
                Came::Row(_) => {}
            }
        }
    }
    let shape = schema::shape_of(fields)?;
    eprintln!("thalweg: --schema \'{}\'", schema::print(&shape.data_type()));
    Ok(shape)
}

/// The first rows: as many as are wanted, all that come, or those that come before a pause.
fn first_rows(from: &Receiver<Came>, wanted: NonZeroU64, stop: &AtomicBool) -> Vec<Came> {
    let (mut first, mut last) = (Vec::new(), Instant::now());
    while (first.len() as u64) < wanted.get() && !stop.load(SeqCst) {
        match from.recv_timeout(PAUSE) {
            Ok(came) => {
                last = Instant::now();
                first.push(came);
            }
            Err(RecvTimeoutError::Timeout) if first.is_empty() || last.elapsed() < PATIENCE => {}
            Err(_) => break,
        }
    }
    first
}

fn take_all(
    taking: &mut Taking,
    first: Vec<Came>,
    from: &Receiver<Came>,
    stop: &AtomicBool,
    progress: &Progress,
) -> anyhow::Result<()> {
    for came in first {
        if taking.is_done() {
            return Ok(());
        }
        taking.take(came)?;
    }
    while !taking.is_done() && !stop.load(SeqCst) {
        match from.recv_timeout(PAUSE) {
            Ok(came) => taking.take(came)?,
            Err(RecvTimeoutError::Timeout) => taking.flush()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        progress.show(taking.rows());
    }
    Ok(())
}
