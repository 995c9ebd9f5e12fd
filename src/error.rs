//! The one error of the library: a cause, what was being done, whose fault it is.

use std::fmt;
use std::sync::Arc;

/// The result of nearly everything here.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The job as it was put together can't run.
    Plan,
    /// The operating system refused or failed.
    Io,
    /// Bytes from outside are not what they should be.
    Data,
    /// The user's code panicked or returned an error.
    UserCode,
    /// A limit of the engine was reached.
    Limit,
    /// The engine broke a promise of its own.
    Internal,
}

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The user: the program or its parameters.
    User,
    /// The world outside: files, disks, peers, data.
    External,
    /// The engine: please report it.
    Internal,
}

/// What went wrong, in one line from the outside in: `job hot-auctions: source bids, shard 1:
/// bids.csv line 7: field price: expected a whole number`.
///
/// Cheap to clone. Contexts are added on the way up with [`Error::within`].
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Arc<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    /// Innermost first.
    contexts: Vec<String>,
    message: String,
    retry: bool,
}

impl Error {
    /// An error of `kind` that says `message`: what happened and what to do about it.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Error {
        let message = message.to_string();
        Error(Arc::new(Inner { kind, contexts: Vec::new(), message, retry: false }))
    }

    /// An error of the operating system while doing `what`.
    pub fn io(what: impl fmt::Display, cause: &std::io::Error) -> Error {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let mut error = Error::new(Kind::Io, format!("{what}: {cause}{}", advice(cause.kind())));
        let retry = matches!(cause.kind(), Interrupted | TimedOut | WouldBlock);
        Arc::make_mut(&mut error.0).retry = retry;
        error
    }

    /// What came of an error of the operating system, and what to do: the cause goes first.
    #[cfg(not(loom))]
    pub(crate) fn led_to(cause: &std::io::Error, what: impl fmt::Display) -> Error {
        let retry = Error::io("", cause).retry();
        let mut error = Error::new(Kind::Io, format!("{cause}: {what}"));
        Arc::make_mut(&mut error.0).retry = retry;
        error
    }

    /// Wraps the error in what was being done, outermost last.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Error {
        Arc::make_mut(&mut self.0).contexts.push(context.to_string());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Who can mend it.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            Kind::Plan | Kind::UserCode | Kind::Limit => Fault::User,
            Kind::Io | Kind::Data => Fault::External,
            Kind::Internal => Fault::Internal,
        }
    }

    /// Whether the same thing may succeed when it is done again.
    pub fn retry(&self) -> bool {
        self.0.retry
    }
}

/// So that `?` works on what the standard library gives. [`Error::io`] says besides what was being
/// done.
///
/// ```
/// # use thalweg::prelude::*;
/// fn words(path: &str) -> Result<Vec<String>> {
///     Ok(std::fs::read_to_string(path)?.split(' ').map(str::to_owned).collect())
/// }
/// let said = words("/no/such/file").unwrap_err().to_string();
/// assert_eq!(said, "No such file or directory (os error 2); check the path");
/// ```
impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Error {
        let mut error = Error::io("", &cause);
        let message = &mut Arc::make_mut(&mut error.0).message;
        message.drain(..2);
        error
    }
}

/// What can be done about a failure of input or output.
fn advice(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind::{
        AddrInUse, AddrNotAvailable, AlreadyExists, ConnectionRefused, IsADirectory, NotADirectory,
        NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match kind {
        NotFound => "; check the path",
        PermissionDenied => "; allow it to this user or choose another path",
        ReadOnlyFilesystem => "; choose a path that can be written",
        AlreadyExists | NotADirectory => "; something else is in the way, choose another path",
        IsADirectory => "; name a file in it",
        AddrInUse => "; another program listens there, stop it or choose another address",
        AddrNotAvailable => "; choose an address of this machine",
        ConnectionRefused => "; nothing listens there, check the address and start the peer",
        StorageFull | QuotaExceeded => "; make room there or choose another path",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.0.contexts.iter().rev() {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

/// The line that it prints: `fn main() -> Result` shows errors this way.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_from_the_outside_in() {
        let error = Error::new(Kind::Data, "expected a whole number, found \"12.5\"")
            .within("field price")
            .within("source bids, split 3, offset 18442")
            .within("job hot-auctions");
        assert_eq!(
            error.to_string(),
            "job hot-auctions: source bids, split 3, offset 18442: field price: \
             expected a whole number, found \"12.5\""
        );
        assert_eq!(error.fault(), Fault::External);
    }
}
