//! How far a replay has come, in a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// A replay that was begun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// What is replayed, and how.
    pub what: String,
    /// When the next record was due after the start, in seconds.
    pub due: f64,
    /// How many records each connection has passed.
    pub passed: Vec<u64>,
    /// The numbers of those among them that are still to be sent, of each connection.
    #[serde(default)]
    pub held: Vec<Vec<u64>>,
    /// By how much times within records were moved, in microseconds.
    pub shift: i64,
    /// Whether nothing is left.
    pub done: bool,
}

/// The file.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    what: String,
}

impl Resume {
    /// Reads what an earlier replay has left, if it has.
    ///
    /// # Errors
    /// When the file is of another replay, or of one that has ended, or can't be read.
    pub fn open(path: &Path, what: String) -> anyhow::Result<(Resume, Option<Position>)> {
        let shown = path.display();
        let before = match fs::read(path) {
            Ok(bytes) => {
                let position: Position = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{shown} was not written by thalweg replay"))?;
                ensure!(
                    position.what == what,
                    "{shown} is of another replay ({}); remove it to begin this one",
                    position.what
                );
                let due = (0.0..1e12).contains(&position.due);
                ensure!(due, "{shown} has been changed; remove it to begin anew");
                ensure!(!position.done, "all was sent, says {shown}; remove it to begin anew");
                Some(position)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("reading {shown}")),
        };
        Ok((Resume { path: path.to_owned(), what }, before))
    }

    /// Notes how far it has come: the file is replaced as a whole.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, position: Position) -> anyhow::Result<()> {
        let position = Position { what: self.what.clone(), ..position };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.path.with_file_name(format!(".{name}.new"));
        let written = fs::write(&beside, serde_json::to_vec(&position)?)
            .and_then(|()| fs::rename(&beside, &self.path));
        written.with_context(|| format!("writing {}", self.path.display()))
    }
}
