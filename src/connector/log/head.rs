//! What stands at the beginning of a log file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frame::number;
use crate::error::{Error, Kind, Result};
use crate::record::{Record, Shape};

const MAGIC: &[u8; 8] = b"thalwlog";
const VERSION: u32 = 2;
/// Up to the JSON.
const FIXED: usize = 16;
/// A schema is not longer than this.
const JSON_MAX: usize = 1 << 20;

/// What a log file says of its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Their type in words, as [`Type`](crate::record::Type) prints.
    #[serde(rename = "type")]
    pub data_type: String,
    /// [`Record::STORED`] of the program that wrote them.
    pub layout: u64,
    /// How they lie, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

impl Head {
    /// Of a file of records of type `R`.
    ///
    /// # Errors
    /// When they can't be kept outside the process.
    pub(super) fn of<R: Record>() -> Result<Head> {
        let data_type = R::data_type().to_string();
        let Some(layout) = R::STORED else {
            let what = "its encoding has padding or holds a fixed enum; reorder or widen the \
                        fields, or declare it `archived`";
            let what = format_args!("{data_type} can't be kept in a log: {what}");
            return Err(Error::new(Kind::Plan, what));
        };
        Ok(Head { data_type, layout, shape: R::shape() })
    }

    /// The bytes at the beginning of a file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a head can be written to memory");
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_ne_bytes());
        head.extend((json.len() as u32).to_ne_bytes());
        head.extend(json);
        head.extend(crc32fast::hash(&head).to_ne_bytes());
        head.extend([0; 4]);
        head
    }

    /// Looks over the beginning of a file; gives what it says and where the first frame starts.
    ///
    /// # Errors
    /// When it is no log, of another version, or damaged.
    pub(super) fn read(file: &[u8], path: &Path) -> Result<(Head, usize)> {
        let refuse = |what: String| {
            Err(Error::new(Kind::Data, what).within(format_args!("log {}", path.display())))
        };
        if !file.starts_with(MAGIC) || file.len() < FIXED {
            return refuse("it is no record log".into());
        }
        let version = number(file, 8);
        if version != VERSION {
            let what = format!("it has version {version}, this engine reads {VERSION}");
            return refuse(format!("{what}; record it again"));
        }
        let bytes = number(file, 12) as usize;
        let end = FIXED + bytes.min(JSON_MAX);
        let whole = file.get(..end).is_some_and(|head| crc32fast::hash(head) == number(file, end));
        let json = file.get(FIXED..end).filter(|_| whole && file.len() >= end + 8);
        match json.and_then(|json| serde_json::from_slice(json).ok()) {
            Some(head) => Ok((head, end + 8)),
            None => refuse("its head is damaged".into()),
        }
    }

    /// Whether records of type `R` can be read where they lie.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn holds<R: Record>(&self, path: &Path) -> Result {
        let own = Head::of::<R>()?;
        let Head { data_type, layout, .. } = self;
        if (data_type, layout) == (&own.data_type, &own.layout) {
            return Ok(());
        }
        let what = if *data_type == own.data_type {
            format!("it holds {data_type} laid out in another way; record it again with this build")
        } else {
            format!("it holds {data_type}, the job reads {}", own.data_type)
        };
        Err(Error::new(Kind::Data, what).within(format_args!("log {}", path.display())))
    }
}
