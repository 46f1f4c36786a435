//! [`Spill`]: the spill file of a journal, which keeps the ids of paid tasks that the database could not
//! take. It lies beside the SQLite file, or in the spill folder of a Postgres journal. `RowLease` reserves
//! its room before a submission and adds an id that could not be written; `WriterThread` adds the ids of
//! tasks under way when its database file vanished. `WriterThread` and the Postgres `Writer` move the ids
//! into their rows when the database takes them again. `backup.rs` uses [`sync_folder`].
//!
//! A task is paid for from the moment it is made, so a full disk must not cost its id. A [`Spill`]
//! reserves room before a submission may leave, and takes the id where the database does not; the
//! next opening of the journal, or the next renewal of an open one's lease, puts it into its row.
//! Each line is an object, and the rest of the file is empty lines.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::{TaskId, Time};
use effects_jobs::Identity;
use serde::{Deserialize, Serialize};

use crate::file;

/// The spill file of a journal; it need not be there.
#[derive(Debug)]
pub(crate) struct Spill {
    /// `None` for a journal in memory.
    path: Option<PathBuf>,
    /// Whether this process has made sure of the room.
    reserved: AtomicBool,
}

/// The id of a task, and the run it is of.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Spilled {
    #[serde(with = "hex")]
    pub(crate) identity: Identity,
    pub(crate) owner: i64,
    #[serde(rename = "claim")]
    pub(crate) hold: i64,
    pub(crate) task_id: TaskId,
    /// The attempt that made it.
    pub(crate) request_id: Option<String>,
    pub(crate) at: Time,
}

impl Spill {
    /// The one beside this database; none for a journal in memory.
    pub(crate) fn beside(database: Option<&Path>) -> Self {
        let path = database.map(|database| {
            let mut name = database.file_name().unwrap_or_default().to_owned();
            name.push("-spill");
            database.with_file_name(name)
        });
        Self { path, reserved: AtomicBool::new(false) }
    }

    /// Where it is; empty for a journal in memory.
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Makes sure that there is room for ids.
    pub(crate) fn reserve(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        // An owner that takes itself for the last one takes the file along.
        if self.reserved.load(Ordering::Relaxed) && path.exists() {
            return Ok(());
        }
        let locked = Locked::open(path, true, file::PATIENCE)?;
        let mut file = &locked.0;
        let length = file.seek(SeekFrom::End(0))?;
        // Written, since a hole takes no room. It need not be synced: what it takes is taken.
        let blank = vec![BLANK; usize::try_from(ROOM.saturating_sub(length)).unwrap_or_default()];
        file.write_all(&blank)?;
        self.reserved.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes an id; once this returns, it is on the disk.
    pub(crate) fn add(&self, spilled: &Spilled) -> io::Result<()> {
        let path = self.path.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let locked = Locked::open(path, true, file::PATIENCE)?;
        let mut file = &locked.0;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let used = text.iter().rposition(|byte| *byte != BLANK).map_or(0, |last| last + 1);
        // A line that was torn ends where this one begins.
        let line = [&[BLANK], serde_json::to_vec(spilled)?.as_slice(), &[BLANK]].concat();
        file.seek(SeekFrom::Start(used as u64))?;
        file.write_all(&line)?;
        file.sync_all()?;
        sync_folder(path)
    }

    /// Hands what it holds to `store`, which says of each whether it was taken, and keeps the rest.
    /// The file is locked meanwhile; if another process has the lock, waits for it this long.
    pub(crate) fn take<E: From<io::Error>>(
        &self,
        patience: Duration,
        store: impl FnOnce(&[Spilled]) -> Result<Vec<bool>, E>,
    ) -> Result<(), E> {
        let Some(path) = &self.path else { return Ok(()) };
        let locked = match Locked::open(path, false, patience) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            locked => locked?,
        };
        let mut file = &locked.0;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let lines = text.split(|byte| *byte == BLANK).filter(|line| !line.is_empty());
        // What cannot be read is kept: a later version may have written it, or a person may know.
        let (mut known, mut kept) = (Vec::new(), Vec::new());
        for line in lines {
            match serde_json::from_slice::<Spilled>(line) {
                Ok(spilled) => known.push((spilled, line)),
                Err(_) => kept.push(line),
            }
        }
        if known.is_empty() {
            return Ok(());
        }
        let (spilled, lines): (Vec<Spilled>, Vec<&[u8]>) = known.into_iter().unzip();
        let taken = store(&spilled)?;
        if !taken.contains(&true) {
            return Ok(());
        }
        kept.extend(lines.into_iter().zip(taken).filter(|(_, taken)| !taken).map(|(line, _)| line));
        let mut rest = kept.join(&BLANK);
        // Of the same length, so that the room stays reserved.
        rest.resize(text.len(), BLANK);
        file.rewind()?;
        file.write_all(&rest)?;
        file.sync_all()?;
        Ok(())
    }

    /// Takes the file away if it holds nothing: for the last owner of a journal.
    pub(crate) fn remove_if_empty(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let locked = Locked::open(path, false, Duration::ZERO)?;
        let mut text = Vec::new();
        (&locked.0).read_to_end(&mut text)?;
        if text.iter().all(|byte| *byte == BLANK) { fs::remove_file(path) } else { Ok(()) }
    }
}

/// The file, locked until this is dropped.
struct Locked(File);

impl Locked {
    /// Opens the file, which is for this user alone, and waits so long for another who has it.
    fn open(path: &Path, create: bool, patience: Duration) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let until = Instant::now() + patience;
        loop {
            // Tried, not waited for: a stopped process, or a fork with a copy of the file, may
            // never let go of it.
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(file::RETRY_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process has it"));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Unlocked by name: closing would not be enough where a fork has a copy of the file.
impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is so once the processes that have it end.
        let _ = self.0.unlock();
    }
}

/// Makes sure that the file's name is on the disk as well.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere a folder is no file, and names are the system's to keep.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// An identity as hexadecimal digits.
mod hex {
    use effects_jobs::Identity;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        it: &Identity,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(it)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Identity, D::Error> {
        let digits = String::deserialize(from)?;
        let mut bytes = [0; 32];
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).map_err(D::Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(D::Error::custom)
        });
        if digits.len() != 64 {
            return Err(D::Error::custom("an identity has 64 digits"));
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte = pair?;
        }
        Ok(Identity::from_bytes(bytes))
    }
}

/// What the file is filled with: an empty line.
const BLANK: u8 = b'\n';
/// Room for some hundreds of ids: more than submissions are out at once.
const ROOM: u64 = 64 * 1024;
