//! Indexes for logs that have none.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use thalweg::connector::log::{Mended, mend};

use super::{files, unless_closed};
use crate::args;

/// Gives each log that has no index one; the exit code is 1 when one could not be mended.
///
/// # Errors
///
/// If a directory holds no log, or standard output cannot be written.
pub fn index(args: &args::Index) -> anyhow::Result<ExitCode> {
    let (mut text, mut failed) = (String::new(), false);
    for path in files(&args.logs.files)? {
        let shown = path.display();
        // A string takes whatever is written.
        let _ = match mend(&path, args.cut) {
            Ok(Mended { records, had_index: true, .. }) => {
                writeln!(text, "{shown}: has an index, {records} records")
            }
            Ok(Mended { records, cut: 0, .. }) => {
                writeln!(text, "{shown}: indexed, {records} records")
            }
            Ok(Mended { records, cut, .. }) => {
                writeln!(text, "{shown}: indexed, {records} records; {cut} bytes were cut off")
            }
            Err(error) => {
                failed = true;
                let hint = if args.cut { "" } else { " (--cut cuts off what is behind)" };
                let hint = if error.to_string().contains("cut off") { hint } else { "" };
                writeln!(text, "{error}{hint}")
            }
        };
    }
    unless_closed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::from(u8::from(failed)))
}
