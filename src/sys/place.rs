//! What may be written where, found out without writing.

use std::io;
use std::path::Path;

use super::world::is_made_up;
use rustix::fs::{Access, FsWord, PROC_SUPER_MAGIC, access, statfs};

/// As `SYSFS_MAGIC` of linux/magic.h.
const SYSFS_MAGIC: FsWord = 0x6265_6572;

/// Whether this user may make files in a directory.
///
/// # Errors
/// Why not.
pub fn may_make_files(directory: &Path) -> io::Result<()> {
    if is_made_up() {
        return Ok(());
    }
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether a directory shows the kernel (`/proc`, `/sys`): nobody can make files there, whatever
/// its permissions say.
pub fn is_kernels_own(directory: &Path) -> bool {
    let own = [PROC_SUPER_MAGIC, SYSFS_MAGIC];
    !is_made_up() && statfs(directory).is_ok_and(|found| own.contains(&found.f_type))
}
