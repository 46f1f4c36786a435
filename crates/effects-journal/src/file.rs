//! [`open`]: opens the database file of a `SqliteJournal`, makes it where it is missing, for its owner
//! alone, and brings it to today's format. `JournalBuilder::open` calls it, and `WriterThread` to
//! reopen a file that was closed for a fork. With [`check`] and [`FileNumber`] `WriterThread` notices
//! that the open file was deleted or replaced; `backup.rs` writes to an [`EmptyFile`].
//!
//! Several processes may open a file for the first time at once. A process that comes too early for
//! SQLite to answer tries again, so that [`open`] fails only for reasons that last.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::journal::JournalError;
use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::random::random_number;
use crate::schema::{self, FORMAT, Refusal};

/// Opens the database of a journal, makes it if it is not there, and brings it to today's format.
pub(crate) fn open(path: &Path) -> Result<Connection, JournalError> {
    let unusable =
        |error: &dyn fmt::Display| JournalError::Unreadable(format!("{}: {error}", path.display()));
    let until = Instant::now() + PATIENCE;
    loop {
        let error = match connect(path).and_then(ready) {
            Ok(database) => return Ok(database),
            Err(Refusal::Newer { found }) => {
                return Err(JournalError::Newer { found, known: FORMAT });
            }
            Err(Refusal::Foreign) => return Err(unusable(&"it is a database of something else")),
            Err(Refusal::File(error)) => return Err(unusable(&error)),
            Err(Refusal::Sql(error)) => error,
        };
        if !is_passing(&error) {
            return Err(unusable(&OpenFailure(&error)));
        }
        if Instant::now() >= until {
            return Err(unusable(&KEPT_LOCKED));
        }
        thread::sleep(RETRY_PAUSE);
    }
}

fn connect(path: &Path) -> Result<Connection, Refusal> {
    if in_file(path).is_none() {
        return Ok(Connection::open_in_memory()?);
    }
    // A file's name is never read as a URI: it may hold anything.
    let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_URI;
    // SQLite says of a folder only that it cannot open the file.
    if path.is_dir() {
        let why = "it is a folder: name the file of a journal in it";
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, why).into());
    }
    if path.try_exists()? {
        return Ok(Connection::open_with_flags(path, flags)?);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    // A journal names tasks, files and tags of its owner, so only the owner may read it. SQLite makes
    // the file itself, after a model: this code would have to close a file that it made, and closing a
    // database file gives up every lock this process holds on it.
    if cfg!(unix) {
        let model = EmptyFile::beside(path)?;
        return Ok(Connection::open_with_flags(
            uri(path, &model.0)?,
            flags | OpenFlags::SQLITE_OPEN_URI,
        )?);
    }
    Ok(Connection::open_with_flags(path, flags)?)
}

/// An empty file that only its owner may read and write, gone when it is dropped.
pub(crate) struct EmptyFile(pub(crate) PathBuf);

impl EmptyFile {
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // In the same folder, since a backup becomes its target by a link or a rename, which cross
        // no file system.
        name.push(format!(".{:016x}", random_number()?));
        let model = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&model)?;
        Ok(Self(model))
    }
}

impl Drop for EmptyFile {
    fn drop(&mut self) {
        // An empty file that stays does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// The URI by which SQLite makes a file with the mode of another one, and files beside it with the
/// same.
fn uri(file: &Path, model: &Path) -> io::Result<String> {
    let [file, model] = [path::absolute(file)?, path::absolute(model)?];
    Ok(format!("file://{}?modeof={}", Encoded(&file), Encoded(&model)))
}

/// A path in a URI.
struct Encoded<'a>(&'a Path);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_os_str().as_encoded_bytes().iter().try_for_each(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' => write!(f, "{}", char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(*byte)),
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

/// The path, if it is that of a file.
pub(crate) fn in_file(path: &Path) -> Option<&Path> {
    (path != Path::new(IN_MEMORY)).then_some(path)
}

/// Which file a path leads to: the device, and the file's number on it.
#[derive(Debug, Eq, PartialEq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "elsewhere files have no number to be told by"))]
pub(crate) struct FileNumber(u64, u64);

impl FileNumber {
    /// The file at this path; `None` where there is none, or where the system gives files no number.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().and_then(|found| Self::found(&found))
    }

    #[cfg(unix)]
    fn found(found: &fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self(found.dev(), found.ino()))
    }

    #[cfg(not(unix))]
    fn found(_found: &fs::Metadata) -> Option<Self> {
        None
    }
}

/// Whether the file that was opened at this path is still there; why not, in words.
pub(crate) fn check(path: &Path, opened: Option<&FileNumber>) -> Result<(), String> {
    let what = match fs::metadata(path) {
        Ok(found) => match (FileNumber::found(&found), opened) {
            (Some(found), Some(opened)) if found != *opened => "replaced by another file",
            _ => return Ok(()),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            "deleted or moved"
        }
        // Where it cannot be looked at, the database itself tells whether it can be written.
        Err(_) => return Ok(()),
    };
    Err(format!("{} was {what} while it was open", path.display()))
}

/// Whether a path is the database's own, or that of a file beside it that belongs to it.
pub(crate) fn is_part_of(database: &Path, path: &Path) -> bool {
    let Some(name) = database.file_name() else { return false };
    // The folders are compared, since the target itself need not be there yet.
    let folder = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()
    };
    folder(database) == folder(path)
        && ["", "-wal", "-shm", "-journal", "-spill"].iter().any(|ending| {
            let mut name = name.to_owned();
            name.push(ending);
            path.file_name() == Some(&name)
        })
}

/// Makes a connection ready for use.
fn ready(mut database: Connection) -> Result<Connection, Refusal> {
    // SQLite's own handler sleeps up to 100 ms between two tries, in which many commits fit.
    database.busy_handler(Some(wait_for_others))?;
    // Before anything is written, so that a database of something else stays as it was.
    schema::check(&mut database)?;
    // A log written ahead lets others read while one writes, and makes a commit one append.
    database.pragma_update(None, "journal_mode", "WAL")?;
    // On macOS a plain fsync leaves the data in the drive's cache.
    database.pragma_update(None, "fullfsync", true)?;
    // More than the 16 of rusqlite's default: the rules of a row have dozens of statements.
    database.set_prepared_statement_cache_capacity(64);
    // A plan that may depend on what is bound is made anew at every use of its statement.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    schema::migrate(&mut database)?;
    Ok(database)
}

/// Waits for another process to finish its transaction, with short pauses.
fn wait_for_others(retries: i32) -> bool {
    thread::sleep(RETRY_PAUSE);
    retries < MAX_RETRIES
}

/// Whether an error is another process's doing, and over once that is done. SQLite does not always
/// ask its busy handler: when the log is switched on, or found after a crash, it fails at once.
fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// What SQLite says of a file that cannot be opened, and what it means where that is not plain.
struct OpenFailure<'a>(&'a rusqlite::Error);

impl fmt::Display for OpenFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.0.sqlite_extended_error_code() {
            Some(code) if LOCKING.contains(&code) => write!(f, "; {NO_LOCKS}"),
            _ => Ok(()),
        }
    }
}

/// The path of a journal that is gone with its process.
pub(crate) const IN_MEMORY: &str = ":memory:";

/// The ways in which SQLite says that a file system takes no lock, or shares no memory.
const LOCKING: [i32; 7] = [
    ffi::SQLITE_PERM,
    ffi::SQLITE_IOERR_LOCK,
    ffi::SQLITE_IOERR_RDLOCK,
    ffi::SQLITE_IOERR_UNLOCK,
    ffi::SQLITE_IOERR_CHECKRESERVEDLOCK,
    ffi::SQLITE_IOERR_SHMLOCK,
    ffi::SQLITE_IOERR_SHMMAP,
];
const NO_LOCKS: &str = "its file system has no file locks, without which two processes could pay for \
    one row: keep the journal on a local disk";
const KEPT_LOCKED: &str = "another process has kept it locked for half a minute, or its file system \
    has no file locks: then keep the journal on a local disk";

/// Between two looks whether another process is done.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(2);
/// Half a minute of pauses.
const MAX_RETRIES: i32 = 15_000;
/// How long another process is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_refused_with_the_way_out() {
        let said = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert!(!is_passing(&error));
            OpenFailure(&error).to_string()
        };
        for code in LOCKING {
            assert!(said(code).contains("keep the journal on a local disk"), "{}", said(code));
        }
        // None of these is about locks, so the advice about a local disk would mislead.
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_NOTADB] {
            assert!(!said(code).contains("local disk"), "{}", said(code));
        }
    }

    #[test]
    fn a_path_in_a_uri_is_that_path_whatever_it_holds() {
        let path = Path::new("/a b/c?d=e&f#g%h/é.db");
        assert_eq!(Encoded(path).to_string(), "/a%20b/c%3Fd%3De%26f%23g%25h/%C3%A9.db");
    }
}
