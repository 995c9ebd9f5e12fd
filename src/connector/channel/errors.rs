//! What a channel says when it does not take or give a record.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, Kind};

const ENDED: &str = "the job has ended and takes no more records";
const FULL: &str = "the channel is full: the job has not read what was sent before";
const EMPTY: &str = "nothing has come yet";

/// The job has ended, by itself, by a stop or by a failure, or it never began.
/// [`Running::join`](../runtime/struct.Running.html#method.join) says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// A record that can't be sent, because the job has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<R>(pub R);

/// A record that can't be sent now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<R> {
    /// The job has not read what was sent before. Later there may be room.
    Full(R),
    /// The job has ended: there will never be room.
    Ended(R),
}

/// Why there is nothing to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing has come yet.
    Empty,
    /// The job has ended, and all is received.
    Ended,
}

impl<R> TrySendError<R> {
    /// The record.
    pub fn into_record(self) -> R {
        let (TrySendError::Full(record) | TrySendError::Ended(record)) = self;
        record
    }

    fn said(&self) -> &'static str {
        match self {
            TrySendError::Full(_) => FULL,
            TrySendError::Ended(_) => ENDED,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ENDED)
    }
}

impl<R> fmt::Display for SendError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ENDED)
    }
}

impl<R> fmt::Debug for SendError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<R> fmt::Display for TrySendError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said())
    }
}

impl<R> fmt::Debug for TrySendError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Ended(_) => "Ended(..)",
        })
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => EMPTY,
            TryRecvError::Ended => "the job has ended and gives no more records",
        })
    }
}

impl StdError for Ended {}
impl<R> StdError for SendError<R> {}
impl<R> StdError for TrySendError<R> {}
impl StdError for TryRecvError {}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Error {
        Error::new(Kind::Io, ended)
    }
}

impl<R> From<SendError<R>> for Error {
    fn from(error: SendError<R>) -> Error {
        Error::new(Kind::Io, error)
    }
}

impl<R> From<TrySendError<R>> for Error {
    fn from(error: TrySendError<R>) -> Error {
        let kind = match error {
            TrySendError::Full(_) => Kind::Limit,
            TrySendError::Ended(_) => Kind::Io,
        };
        Error::new(kind, error)
    }
}

impl From<TryRecvError> for Error {
    fn from(error: TryRecvError) -> Error {
        Error::new(Kind::Io, error)
    }
}
