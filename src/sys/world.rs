//! The machine that a thread is on: the real one, or one that a simulation makes up.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What stands under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link, a device, …
    Other,
}

/// A file of a [`World`] that is open.
pub type Handle = u64;

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// What was there is gone.
    Truncate,
    /// What was there stays.
    Keep,
    /// Nothing may be there.
    New,
}

/// A machine that is made up: its disk and its clock. Paths are taken as they are.
pub trait World {
    /// How much time has passed since it was switched on.
    fn elapsed(&self) -> Duration;

    /// The time since 1970 by its clock, which may be set.
    fn of_day(&self) -> Duration;

    /// What stands under a path, if anything does.
    fn kind(&self, path: &Path) -> Option<Kind>;

    /// Makes a directory and those that it is in.
    ///
    /// # Errors
    /// As the operating system.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// The paths in a directory.
    ///
    /// # Errors
    /// As the operating system.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Opens a file for reading; gives how many bytes it has, too.
    ///
    /// # Errors
    /// As the operating system.
    fn open_to_read(&self, path: &Path) -> io::Result<(Handle, u64)>;

    /// Reads from byte `at` of a file on: some of the bytes that are there, none at its end.
    ///
    /// # Errors
    /// As the operating system.
    fn read(&self, file: Handle, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Opens a file for writing.
    ///
    /// # Errors
    /// As the operating system.
    fn open(&self, path: &Path, how: Open) -> io::Result<Handle>;

    /// Appends to a file; some may be written when it fails.
    ///
    /// # Errors
    /// As the operating system.
    fn append(&self, file: Handle, bytes: &[u8]) -> io::Result<()>;

    /// Makes sure that a file's bytes stay.
    ///
    /// # Errors
    /// As the operating system.
    fn sync(&self, file: Handle) -> io::Result<()>;

    /// Makes sure that the names in a directory stay.
    ///
    /// # Errors
    /// As the operating system.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, that of another one if need be.
    ///
    /// # Errors
    /// As the operating system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// As the operating system.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away.
    ///
    /// # Errors
    /// As the operating system.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

thread_local! {
    static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
}

/// Puts this thread on a machine that is made up, until what this gives is dropped.
pub fn enter(world: Rc<dyn World>) -> Entered {
    Entered(WORLD.replace(Some(world)))
}

/// A thread's stay on a made-up machine.
#[must_use]
pub struct Entered(Option<Rc<dyn World>>);

impl Drop for Entered {
    fn drop(&mut self) {
        WORLD.set(self.0.take());
    }
}

/// The made-up machine that this thread is on, if it is on one.
pub fn current() -> Option<Rc<dyn World>> {
    WORLD.with_borrow(Option::clone)
}

/// Whether this thread is on a made-up machine.
pub fn is_made_up() -> bool {
    WORLD.with_borrow(Option::is_some)
}
