//! `thalweg inspect`: what is in a directory of checkpoints.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Table, presets};
use thalweg::runtime::{CheckpointView, StateDirectory};

use crate::args;

/// Prints what is in a directory; the exit code is 1 when something in it is damaged.
///
/// # Errors
///
/// If the directory holds no checkpoints, or standard output cannot be written.
pub fn run(args: &args::Inspect) -> anyhow::Result<ExitCode> {
    let directory = StateDirectory::read(&args.directory)?;
    let text = match (args.json, args.verify) {
        (true, _) => serde_json::to_string_pretty(&directory)? + "\n",
        (false, true) => verdicts(&directory),
        (false, false) => words(&directory),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error).context("cannot write to standard output");
        }
        _ => {}
    }
    let damaged = directory.checkpoints.iter().any(|checkpoint| checkpoint.damage.is_some());
    Ok(ExitCode::from(u8::from(damaged)))
}

/// One line a checkpoint: whether all its checksums are right.
fn verdicts(directory: &StateDirectory) -> String {
    let verdict = |checkpoint: &CheckpointView| {
        let CheckpointView { epoch, bytes, damage, shards, .. } = checkpoint;
        match damage {
            None => format!("checkpoint {epoch}: ok, {shards} files, {bytes} bytes\n"),
            Some(damage) => format!("checkpoint {epoch}: DAMAGED: {damage}\n"),
        }
    };
    directory.checkpoints.iter().map(verdict).collect()
}

fn words(directory: &StateDirectory) -> String {
    let StateDirectory { job, key_groups, checkpoints } = directory;
    let mut text = format!("job {job}, keys in {key_groups} groups\n");
    for (n, checkpoint) in checkpoints.iter().enumerate() {
        let CheckpointView { epoch, term, finished, shards, began_on, bytes, .. } = checkpoint;
        let newest = if n == 0 { " (the newest)" } else { "" };
        let ended = if *finished { ", the job had ended" } else { "" };
        let _ = writeln!(
            text,
            "\ncheckpoint {epoch}{newest}: term {term}, {shards} shards (begun on {began_on}), \
             {bytes} bytes{ended}"
        );
        if let Some(damage) = &checkpoint.damage {
            let _ = writeln!(text, "DAMAGED: {damage}");
        }
        let _ = write!(text, "{}", details(checkpoint));
    }
    text
}

fn details(checkpoint: &CheckpointView) -> String {
    let mut splits = table(["source", "split", "offset", "state", "reads"]);
    for split in &checkpoint.splits {
        let state = if split.ended { "ended" } else { "open" };
        splits.add_row([
            Cell::new(&split.source),
            Cell::new(split.number),
            Cell::new(split.offset),
            Cell::new(state),
            Cell::new(&split.name),
        ]);
    }
    let mut parts = table(["operator", "part", "records", "bytes"]);
    for part in &checkpoint.parts {
        parts.add_row([
            Cell::new(&part.operator),
            Cell::new(&part.part),
            Cell::new(part.records).set_alignment(CellAlignment::Right),
            Cell::new(part.bytes).set_alignment(CellAlignment::Right),
        ]);
    }
    let mut prepared = table(["prepared file", "shown"]);
    for file in &checkpoint.prepared {
        prepared.add_row([Cell::new(&file.to), Cell::new(if file.shown { "yes" } else { "no" })]);
    }
    let tables = [splits, parts, prepared];
    let filled = tables.iter().filter(|table| table.row_count() > 0);
    filled.map(|table| table.trim_fmt() + "\n").collect()
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head);
    table
}
