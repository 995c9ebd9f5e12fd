//! Whether logs are whole.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use thalweg::connector::log::{Segment, none_missing, splits};
use thalweg::error::{Error, Kind};
use thalweg::format::JsonText;

use super::{files, unless_closed};
use crate::args;

/// Reads all of the logs and says of each whether it is whole; the exit code is 1 when one is not:
/// damaged, cut off, without its end, or missing between others.
///
/// # Errors
///
/// If a directory holds no log, or standard output cannot be written.
pub fn verify(args: &args::Logs) -> anyhow::Result<ExitCode> {
    let (mut text, mut whole) = (String::new(), true);
    let files = files(&args.files)?;
    for path in &files {
        let (is_whole, said) = verdict(path).unwrap_or_else(|error| {
            let cause = error.downcast_ref::<Error>().map(Error::kind);
            let verdict = if cause == Some(Kind::Io) { "NOT READ" } else { "DAMAGED" };
            (false, format!("{verdict}: {error:#}"))
        });
        whole &= is_whole;
        text += &format!("{}: {said}\n", path.display());
    }
    if let Err(missing) = none_missing(&splits(files)) {
        whole = false;
        text += &format!("MISSING: {missing}\n");
    }
    unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::from(u8::from(!whole)))
}

/// Whether a log is whole, and what is in it.
fn verdict(path: &Path) -> anyhow::Result<(bool, String)> {
    let mut log = Segment::open(path)?;
    let shape = log.head().shape.clone();
    let mut json = shape.as_ref().map(|shape| JsonText::of(&shape.data_type()));
    let (mut records, mut frames) = (0, 0);
    while let Some(frame) = log.next()? {
        let mut bytes = frame.encoded();
        if let (Some(shape), Some(json)) = (&shape, &mut json) {
            for number in 0..frame.len() {
                json.clear();
                let Some(size) = json.show(|to| shape.show(bytes, to)) else {
                    let what = "is not what the schema says";
                    anyhow::bail!("record {} {what}", records + number);
                };
                bytes = &bytes[size..];
            }
        }
        (records, frames) = (records + frame.len(), frames + 1);
    }
    let whole = format!("{records} records in {frames} frames");
    Ok(if log.has_index() || records == 0 && !log.is_torn() {
        (true, format!("ok, {whole}"))
    } else if log.is_torn() {
        let cut = log.bytes() - log.place();
        let mend = "thalweg index --cut cuts them off";
        let what = "of a frame that was cut off, or is being written";
        (false, format!("CUT OFF: {whole}, then {cut} bytes {what}; {mend}"))
    } else {
        let mend = "thalweg index ends it";
        let what = "is being written, or its writer was killed";
        (false, format!("NOT FINISHED: {whole}, no index: it {what}; {mend}"))
    })
}
