//! Files and folders that only their owner may read: [`make_folder`] and [`open_file`] make them so,
//! and [`take_from_others`] takes the rights of others from those that exist. `store.rs` calls all
//! three, since its database holds the key; `file_store.rs` the last two, since the name of a file that it
//! keeps is enough to fetch it. `Emulator::warnings` warns of what [`is_open_to_others`] finds open.
//!
//! Where the system has no such rights, all users of the machine may read them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder, with those above it. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    // Made with these rights: if they were set afterwards, the folder would be open for a moment.
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Opens a file in the way the options say, and makes it if they do.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Takes the rights of all others at a file or folder that is there already.
#[cfg(unix)]
pub(crate) fn take_from_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = std::fs::metadata(path)?.permissions();
    // The rights of another user's file cannot be changed, and need not be if it is closed already.
    if permissions.mode() & OTHERS == 0 {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() & !OTHERS);
    std::fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
pub(crate) fn take_from_others(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether others have rights at a file or folder.
#[cfg(unix)]
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // A file that is not there is not open.
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_open_to_others(_: &Path) -> bool {
    false
}

/// The rights of the group and of everybody else.
#[cfg(unix)]
const OTHERS: u32 = 0o077;
