//! What may be written where, found out without writing.

use std::io;
use std::path::Path;

use rustix::fs::{Access, PROC_SUPER_MAGIC, access, statfs};

/// As `SYSFS_MAGIC` of linux/magic.h.
const SYSFS_MAGIC: i64 = 0x6265_6572;

/// Whether this user may make files in a directory.
///
/// # Errors
/// Why not.
pub fn may_make_files(directory: &Path) -> io::Result<()> {
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether a directory shows the kernel (`/proc`, `/sys`): nobody can make files there, whatever
/// its permissions say.
pub fn is_kernels_own(directory: &Path) -> bool {
    let own = [i64::from(PROC_SUPER_MAGIC), SYSFS_MAGIC];
    statfs(directory).is_ok_and(|found| own.contains(&i64::from(found.f_type)))
}
