//! Whether logs are whole.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use thalweg::connector::log::Segment;
use thalweg::format::JsonText;

use super::{files, unless_closed};
use crate::args;

/// Reads all of the logs and says of each whether it is whole; the exit code is 1 when one is
/// damaged.
///
/// # Errors
///
/// If a directory holds no log, or standard output cannot be written.
pub fn verify(args: &args::Logs) -> anyhow::Result<ExitCode> {
    let (mut text, mut damaged) = (String::new(), false);
    for path in files(&args.files)? {
        let said = verdict(&path).unwrap_or_else(|error| {
            damaged = true;
            format!("DAMAGED: {error:#}")
        });
        text += &format!("{}: {said}\n", path.display());
    }
    unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::from(u8::from(damaged)))
}

fn verdict(path: &Path) -> anyhow::Result<String> {
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
    let end = if log.has_index() {
        String::new()
    } else if log.is_torn() {
        format!(", then {} bytes of a frame that was cut off", log.bytes() - log.place())
    } else {
        ", not finished".to_owned()
    };
    Ok(format!("ok, {records} records in {frames} frames{end}"))
}
