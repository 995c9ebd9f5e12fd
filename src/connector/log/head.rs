//! What stands at the beginning of a log file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frame::number;
use super::segment::Frame;
use crate::error::{Error, Kind, Result};
use crate::record::{Record, Shape, Value};

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
    /// [`Record::STORED`] of the program that wrote them; none where it knew no type of its own
    /// that lies so, but only the shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<u64>,
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
        let layout = R::STORED;
        if layout.is_none() {
            let what = "its encoding has padding or holds a fixed enum; reorder or widen the \
                        fields, or declare it `archived`";
            let what = format_args!("{data_type} can't be kept in a log: {what}");
            return Err(Error::new(Kind::Plan, what));
        }
        Ok(Head { data_type, layout, shape: R::shape() })
    }

    /// Of a file of records that lie so.
    pub(super) fn of_shape(shape: &Shape) -> Head {
        let data_type = shape.data_type().to_string();
        Head { data_type, layout: None, shape: Some(shape.clone()) }
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

    /// Bytes that every head begins with.
    pub(super) const FIXED: usize = FIXED;

    /// Whether a file that is being written holds its head, or what is none; of so many bytes, that
    /// begins so.
    pub(super) fn is_there(fixed: &[u8; FIXED], len: u64) -> bool {
        len >= FIXED as u64 + u64::from(number(fixed, 12)) + 8 || !fixed.starts_with(MAGIC)
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
        let head: Option<Head> = json.and_then(|json| serde_json::from_slice(json).ok());
        let Some(head) = head else { return refuse("its head is damaged".into()) };
        match head.shape.as_ref().and_then(Shape::impossible) {
            None => Ok((head, end + 8)),
            Some(what) => refuse(format!("its head tells of records that there can't be: {what}")),
        }
    }

    /// How records of type `R` are read.
    ///
    /// # Errors
    /// When the file holds others, or does not say how they lie.
    pub(super) fn holds<R: Record>(&self, path: &Path) -> Result<Reading> {
        let own = Head::of::<R>()?;
        if (&self.data_type, self.layout) == (&own.data_type, own.layout) {
            return Ok(Reading::InPlace);
        }
        let what = match (&self.shape, own.shape) {
            (Some(from), Some(to)) => match to.data_type().differs(&from.data_type()) {
                None if from.is_like(&to) => return Ok(Reading::InPlace),
                None if let Some(what) = to.other_bytes(from) => what,
                None => return Ok(Reading::Converted { from: from.clone(), to }),
                Some(what) => what,
            },
            _ if self.data_type == own.data_type => {
                "laid out in another way; record it again with this build".into()
            }
            _ => "they are not the same".into(),
        };
        let what = format!("it holds {}, the job reads {}: {what}", self.data_type, own.data_type);
        Err(Error::new(Kind::Data, what).within(format_args!("log {}", path.display())))
    }
}

/// How a job reads the records of a file.
pub(super) enum Reading {
    /// Where they lie.
    InPlace,
    /// Made anew, since they lie in another way.
    Converted {
        /// As in the file.
        from: Shape,
        /// As the job wants them.
        to: Shape,
    },
}

impl Reading {
    /// Makes a frame's records anew, in aligned words.
    ///
    /// # Errors
    /// Which record, by its place in the frame, is none, and why.
    pub(super) fn convert(
        (from, to): (&Shape, &Shape),
        frame: &Frame<'_>,
        words: &mut Vec<u64>,
    ) -> Result<(), String> {
        let (mut bytes, mut made) = (frame.encoded(), Vec::new());
        for number in 0..frame.len() {
            let Some((value, size)) = Value::shown(|to| from.show(bytes, to)) else {
                return Err(format!("record {number} is not what the schema says"));
            };
            to.write(&value, &mut made).map_err(|misfit| format!("record {number}: {misfit}"))?;
            bytes = &bytes[size..];
        }
        words.clear();
        words.resize(made.len() / 8, 0);
        bytemuck::cast_slice_mut(words).copy_from_slice(&made);
        Ok(())
    }
}
