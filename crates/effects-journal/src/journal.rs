//! [`SqliteJournal`]: a journal in an SQLite file, for any number of processes of one machine;
//! [`JournalBuilder`] opens one with another process, lease or clock. Opening one starts the writer
//! thread (`writer_thread.rs`), which does all its reads and writes. The command, the Python package
//! and Rust programs use it as their `JournalStore` where the journal is a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effects_core::Time;
use effects_core::journal::JournalError;
use rusqlite::Connection;

use crate::fork::ForkHandle;
use crate::process::Process;
use crate::spill::Spill;
use crate::store::{Store, journal_store};
use crate::transaction::{Owner, Transaction};
use crate::writer_handle::WriterHandle;
use crate::writer_thread::{Counters, Durability, Stats, WriterThread};
use crate::{compact, file};

/// A journal in a file of SQLite's. The crate's front page says what it promises.
///
/// When the journal and all its rows are dropped, the rest is written and the file is closed.
pub struct SqliteJournal {
    pub(crate) store: Store,
    counters: Arc<Counters>,
    path: PathBuf,
}

/// Opens a [`SqliteJournal`] with another process, lease or clock.
#[must_use = "a builder opens a journal when `open` is called"]
pub struct JournalBuilder {
    process: Process,
    lease: Duration,
    now: Arc<dyn Fn() -> Time + Send + Sync>,
}

impl SqliteJournal {
    /// Opens a journal, and makes it if it is not there: for this user alone, with its folder.
    /// `:memory:` is one that is gone with the process.
    ///
    /// # Errors
    ///
    /// [`JournalError::Newer`]; [`JournalError::Unreadable`] when the file cannot be opened or is
    /// no journal; [`JournalError::Unwritable`] when it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::builder().open(path)
    }

    /// Opens a journal with another process, lease or clock.
    pub fn builder() -> JournalBuilder {
        JournalBuilder { process: Process::current(), lease: LEASE, now: Arc::new(wall) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its [`ForkHandle`], with which the Python package closes it before a fork.
    pub fn fork_handle(&self) -> ForkHandle {
        self.store.writer.fork_handle()
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Writes a whole copy of the journal to `target`, a file for this user alone, while other
    /// processes may write the journal. Once this returns, the copy is on the disk. The copy is the
    /// same journal, with the same [`id`](effects_jobs::JournalStore::id). (A plain copy of the file misses what
    /// is still in the log beside it, `journal.db-wal`.)
    ///
    /// ```
    /// use effects_journal::SqliteJournal;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let journal = SqliteJournal::open(folder.path().join("journal.db"))?;
    /// journal.backup(folder.path().join("copy.db"))?;
    /// // What is there is never replaced.
    /// assert!(journal.backup(folder.path().join("copy.db")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JournalError::NotCopied`] when `target` exists, is a file of the journal itself, or cannot be
    /// written; [`JournalError::Unwritable`] when the journal's own file vanished.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<(), JournalError> {
        // Ids that are beside the journal belong into the copy.
        self.store.writer.take_spilled()?;
        self.store.writer.backup(target.as_ref())
    }

    /// Forgets the bulky parts of rows finished at least `age` ago: the names of their submissions,
    /// reasons, and links to pictures that were downloaded. What was paid for, when, and where it
    /// went is never forgotten. Then gives room back to the file system if that is worth while.
    ///
    /// Opening a journal of more than 4 MB does this once a day, with an age of 30 days.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unwritable`].
    pub fn compact(&self, age: Duration) -> Result<(), JournalError> {
        self.store.writer.ask(Durability::Writing, move |tx| compact::forget(tx, age))?;
        self.store.writer.shrink().map(drop)
    }
}

journal_store!(SqliteJournal);

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl JournalBuilder {
    /// The identity of this process in the journal, instead of the one that the system gives; for a
    /// system that gives another process the same.
    pub fn process(self, process: Process) -> Self {
        Self { process, ..self }
    }

    /// How long processes that cannot see this one (those on another machine) take it to be alive after
    /// its last renewal; 30 seconds unless set. It renews three times in that time.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The clock, instead of the machine's: what it tells is compared with what other processes
    /// wrote by theirs.
    pub fn clock(self, now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), ..self }
    }

    /// Opens the journal.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteJournal::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteJournal, JournalError> {
        let path = path.as_ref().to_owned();
        let unwritable = |error: &dyn fmt::Display| {
            JournalError::Unwritable(format!("{}: {error}", path.display()))
        };
        let owner = Owner::new(self.process).map_err(|error| unwritable(&error))?;
        let database = file::open(&path)?;
        let counters = Arc::<Counters>::default();
        // The process may change its working folder later.
        let whole = match file::in_file(&path) {
            Some(path) => Some(std::path::absolute(path).map_err(|error| unwritable(&error))?),
            None => None,
        };
        let stand_in = whole.as_ref().map(|_| Connection::open_in_memory()).transpose();
        let stand_in = stand_in.map_err(|error| unwritable(&error))?;
        let (spill, id) = (Arc::new(Spill::beside(whole.as_deref())), owner.id);
        let mut writer = WriterThread {
            database,
            file: whole.as_deref().and_then(file::FileNumber::of),
            path: whole,
            kept_tasks: None,
            is_closed: false,
            stand_in,
            owner,
            spill: Arc::clone(&spill),
            lease: self.lease,
            now: self.now,
            counters: Arc::clone(&counters),
            // `enter` sets it, with the lease that it begins.
            renew_at: Time::MAX,
            has_other_owners: false,
            synced: false,
        };
        writer.enter().map_err(|error| unwritable(&error))?;
        // Task ids that the database still refuses stay in the spill file; the next renewal tries again.
        let _ = writer.take_spilled(file::PATIENCE);
        let (sender, commands) = channel();
        // The thread holds it until it ends: fork handles see by it whether the journal is closed.
        let here = Arc::new(());
        let there = Arc::downgrade(&here);
        let thread = thread::Builder::new()
            .name("effects-journal".to_owned())
            .spawn(move || {
                writer.work(&commands);
                drop(here);
            })
            .map_err(|error| unwritable(&error))?;
        let writer = Arc::new(WriterHandle::new(sender, thread, there, spill, id));
        let forget = |tx: &Transaction<'_>| compact::forget_when_due(tx, A_MONTH);
        if writer.ask(Durability::Writing, forget)? {
            // Another process may hold the file; the next day's opening tries again.
            let _ = writer.shrink();
        }
        Ok(SqliteJournal { store: Store::new(writer), counters, path })
    }
}

impl fmt::Debug for JournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, lease) = (&self.process, self.lease);
        f.debug_struct("JournalBuilder")
            .field("process", process)
            .field("lease", &lease)
            .finish_non_exhaustive()
    }
}

/// The time of this machine.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

const LEASE: Duration = Duration::from_secs(30);
const A_MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
