//! [`EmulatorStore`]: an SQLite database in the emulator's folder, which outlives the process: tasks,
//! what was spent, the key, the clock and the names of the files; `file_store.rs` has the files
//! themselves. `EmulatorState` opens it where `Options::data_dir` is set and takes over what was stored
//! ([`Restored`]); `lifecycle.rs`, `settle.rs` and `EmulatorState` write each change to it as a
//! [`StoreEntry`].
//!
//! One thread owns the database and commits in groups: all that has come in while the last commit
//! ran goes into the next. A create is answered only after its task is committed, so a process
//! killed at any moment has forgotten nothing it ever promised.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rust_decimal::Decimal;
use tokio::sync::oneshot;

use crate::file_store::KeptFile;
use crate::private;
use crate::task::EmulatedTask;

/// The store of a gateway.
#[derive(Debug)]
pub(crate) struct EmulatorStore {
    sender: Option<Sender<StoreEntry>>,
    thread: Option<JoinHandle<()>>,
    process: u32,
    /// Why nothing is remembered any more.
    broken: Arc<OnceLock<String>>,
}

/// What was there when the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) tasks: Vec<RestoredTask>,
    pub(crate) files: Vec<KeptFile>,
    pub(crate) api_key: Option<String>,
    pub(crate) clock: u64,
    pub(crate) spent: Decimal,
}

/// A task, with its reference while it is still to be painted.
#[derive(Debug)]
pub(crate) struct RestoredTask {
    pub(crate) id: String,
    pub(crate) task: EmulatedTask,
    pub(crate) image: Option<String>,
}

/// Something to remember.
#[derive(Debug)]
pub(crate) enum StoreEntry {
    /// A task was accepted, with its reference while it is still to be painted.
    Accepted { id: String, task: EmulatedTask, image: Option<String>, paid: Decimal },
    /// A task is settled, and so much paid, or, below zero, paid back.
    Settled { id: String, task: EmulatedTask, paid: Decimal },
    /// Tasks were forgotten.
    Forgotten(Vec<Box<str>>),
    /// A file was kept.
    Kept(KeptFile),
    /// Files are gone.
    Gone(Vec<Box<str>>),
    /// Something small by its name.
    Note(&'static str, String),
    /// Everything but the key and the clock was forgotten.
    Cleared,
    /// Answered once all before it is committed.
    Wait(oneshot::Sender<()>),
}

impl EmulatorStore {
    /// Opens the folder, makes it if it is not there, and reads what it remembers.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Restored), StoreError> {
        private::make_folder(&files(folder))?;
        let path = database(folder);
        // SQLite gives the files beside it the same rights.
        private::open_file(OpenOptions::new().append(true).create(true), &path)?;
        for end in ["", "-wal", "-shm"] {
            // Errors are ignored: the emulator warns of a database that stays open to others, and
            // the last two may not exist.
            let _ = private::take_from_others(&folder.join(format!("{DATABASE}{end}")));
        }
        let mut database = Connection::open(path)?;
        prepare(&database)?;
        let restored = restore(&mut database)?;
        let spent = restored.spent;
        // Unbounded: ends of tasks are sent under the lock of the tasks, which must not wait for
        // the disk.
        let (sender, receiver) = channel();
        let broken = Arc::new(OnceLock::new());
        let broken_reason = Arc::clone(&broken);
        let thread = std::thread::Builder::new()
            .name("effects-emulator-store".to_owned())
            .spawn(move || commit_entries(&mut database, &receiver, spent, &broken_reason))?;
        let (sender, thread, process) = (Some(sender), Some(thread), std::process::id());
        Ok((Self { sender, thread, process, broken }, restored))
    }

    /// Remembers something, soon.
    pub(crate) fn write(&self, entry: StoreEntry) {
        if let Some(sender) = &self.sender {
            // The thread is gone only when a commit failed: then creates are refused, and what is
            // lost here belongs to tasks that start again when the folder is opened anew.
            let _ = sender.send(entry);
        }
    }

    /// Returns once everything written so far is safe; the reason if it never will be.
    pub(crate) async fn wait_for_commit(&self) -> Result<(), String> {
        let (committed, committed_signal) = oneshot::channel();
        self.write(StoreEntry::Wait(committed));
        let reason = |_| self.broken.get().cloned().unwrap_or_else(|| "it is closed".to_owned());
        committed_signal.await.map_err(reason)
    }
}

/// Everything written so far is committed before the store is gone.
impl Drop for EmulatorStore {
    fn drop(&mut self) {
        // Without a sender the thread ends, after it has committed all that was sent.
        drop(self.sender.take());
        // A forked process has no copy of the thread, and would wait for it for ever.
        if let Some(thread) = self.thread.take().filter(|_| self.process == std::process::id()) {
            // A panic of the thread's was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Where the key, the tasks and the spend lie.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

/// Where pictures and uploads lie.
pub(crate) fn files(folder: &Path) -> PathBuf {
    folder.join("files")
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] io::Error),
    /// SQLite refused: another emulator uses the folder, say, or the file is not ours.
    #[error("emulator.db: {0}")]
    Database(#[from] rusqlite::Error),
    /// The folder was written by a later version.
    #[error("emulator.db has format {found}; this version knows {known}")]
    Format {
        /// The format found.
        found: u32,
        /// The format this version reads and writes.
        known: u32,
    },
}

fn prepare(database: &Connection) -> Result<(), StoreError> {
    // The lock is taken with the first read and kept: two emulators in one folder would each
    // believe in tasks of their own. A killed process gives it back.
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    database.busy_timeout(DATABASE_WAIT)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A killed process loses nothing that was handed to the system; only a power cut could.
    database.pragma_update(None, "synchronous", "NORMAL")?;
    let found: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Looked at before the tables are made, so that none is made in a later version's file.
    if found > FORMAT {
        return Err(StoreError::Format { found, known: FORMAT });
    }
    database.execute_batch(TABLES)?;
    // Last: a file that a kill has left without it is prepared again by the next start.
    database.pragma_update(None, "user_version", FORMAT)?;
    Ok(())
}

fn restore(database: &mut Connection) -> Result<Restored, StoreError> {
    let note = |name: &str| -> rusqlite::Result<Option<String>> {
        let query = "SELECT value FROM notes WHERE name = ?1";
        database.query_row(query, [name], |row| row.get(0)).optional()
    };
    let api_key = note(API_KEY)?;
    let spent = note(SPENT)?.and_then(|spent| spent.parse().ok()).unwrap_or_default();
    let clock = note(CLOCK)?.and_then(|clock| clock.parse().ok()).unwrap_or(0);
    let mut query = database.prepare("SELECT id, task, image FROM tasks")?;
    let rows =
        query.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    let mut tasks = Vec::new();
    for row in rows {
        let (id, task, image) = row?;
        // The folder is refused: without this task, a client that has its id would be answered 404.
        let task = serde_json::from_str(&task).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
        })?;
        tasks.push(RestoredTask { id, task, image });
    }
    drop(query);
    let mut query = database.prepare("SELECT name, size, kept_at FROM files")?;
    let files = query.query_map([], |row| {
        let name: String = row.get(0)?;
        Ok(KeptFile { name: name.into(), size: row.get(1)?, kept_at: row.get(2)? })
    })?;
    let files = files.collect::<Result<_, _>>()?;
    drop(query);
    Ok(Restored { tasks, files, api_key, clock, spent })
}

/// The thread's loop: take the entries that have come, commit them, answer those that wait. It ends at
/// the first error, which it leaves in `broken`: on a full disk all further creates are refused.
fn commit_entries(
    database: &mut Connection,
    entries: &Receiver<StoreEntry>,
    mut spent: Decimal,
    broken: &OnceLock<String>,
) {
    while let Ok(first) = entries.recv() {
        // `try_iter` ends when nothing else has come, so a lone entry waits for no others.
        let group = std::iter::once(first).chain(entries.try_iter().take(MAX_COMMIT_ENTRIES));
        let mut waiting = Vec::new();
        if let Err(error) = commit(database, group, &mut spent, &mut waiting) {
            // Before those that wait are refused, which is when their senders are dropped: they then look
            // for the reason. It is set only here and only once, so this cannot fail.
            let _ = broken.set(error.to_string());
            return;
        }
        for waiting in waiting {
            // The receiver may be gone (a client that hung up); the task is safe all the same.
            let _ = waiting.send(());
        }
    }
}

/// Writes a group, and adds those that wait for it. The sum of what was paid is kept here, since sums from several threads could
/// overtake each other, and it is committed with what was paid for.
fn commit(
    database: &mut Connection,
    group: impl Iterator<Item = StoreEntry>,
    spent: &mut Decimal,
    waiting: &mut Vec<oneshot::Sender<()>>,
) -> rusqlite::Result<()> {
    // An error below drops the transaction, which rolls all of the group back.
    let transaction = database.transaction()?;
    let before = *spent;
    for entry in group {
        match &entry {
            StoreEntry::Accepted { paid, .. } | StoreEntry::Settled { paid, .. } => *spent += paid,
            StoreEntry::Cleared => *spent = Decimal::ZERO,
            _ => {}
        }
        match entry {
            StoreEntry::Wait(committed) => waiting.push(committed),
            other => write(&transaction, other)?,
        }
    }
    if *spent != before {
        write(&transaction, StoreEntry::Note(SPENT, spent.to_string()))?;
    }
    transaction.commit()
}

fn write(to: &Transaction<'_>, entry: StoreEntry) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<()> {
        to.prepare_cached(sql)?.execute(values).map(drop)
    };
    match entry {
        StoreEntry::Accepted { id, task, image, .. } => {
            let sql = "INSERT OR REPLACE INTO tasks (id, task, image) VALUES (?1, ?2, ?3)";
            run(sql, params![id, json(&task), image])?;
        }
        StoreEntry::Settled { id, task, .. } => {
            // An update, so that a task which was forgotten meanwhile stays forgotten. Its
            // reference, perhaps megabytes of base64, is needed no longer.
            let sql = "UPDATE tasks SET task = ?2, image = NULL WHERE id = ?1";
            run(sql, params![id, json(&task)])?;
        }
        StoreEntry::Forgotten(ids) => {
            for id in ids {
                run("DELETE FROM tasks WHERE id = ?1", params![id])?;
            }
        }
        StoreEntry::Kept(KeptFile { name, size, kept_at }) => {
            let sql = "INSERT OR REPLACE INTO files (name, size, kept_at) VALUES (?1, ?2, ?3)";
            run(sql, params![name, size, kept_at])?;
        }
        StoreEntry::Gone(names) => {
            for name in names {
                run("DELETE FROM files WHERE name = ?1", params![name])?;
            }
        }
        StoreEntry::Note(name, value) => run(NOTE, params![name, value])?,
        StoreEntry::Cleared => {
            run("DELETE FROM tasks", &[])?;
            run("DELETE FROM files", &[])?;
        }
        // It is not a row: `commit` takes it out of the group.
        StoreEntry::Wait(_) => {}
    }
    Ok(())
}

fn json(task: &EmulatedTask) -> String {
    // Plain structs of texts and numbers always have a JSON form.
    serde_json::to_string(task).expect("a task is plain data")
}

const DATABASE: &str = "emulator.db";

/// The notes' names.
pub(crate) const API_KEY: &str = "api_key";
pub(crate) const CLOCK: &str = "clock";
const SPENT: &str = "spent";

const NOTE: &str = "INSERT OR REPLACE INTO notes (name, value) VALUES (?1, ?2)";

// Without rowids the text key orders the table itself, so that a row is written to one tree and not
// to two.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, task TEXT NOT NULL, image TEXT)
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, size INTEGER NOT NULL,
        kept_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// Of the database; later versions read all earlier ones.
const FORMAT: u32 = 1;

/// Entries of one commit.
const MAX_COMMIT_ENTRIES: usize = 1_000;

/// How long a folder in use is waited for: long enough for an emulator that is just ending.
const DATABASE_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_for_a_commit_that_fails_hear_why() {
        // Once is not enough: what is looked for is a matter of which thread is faster.
        for _ in 0..200 {
            let (sender, entries) = channel();
            let (committed, committed_signal) = oneshot::channel();
            sender.send(StoreEntry::Wait(committed)).unwrap();
            sender.send(StoreEntry::Note(CLOCK, "1".to_owned())).unwrap();
            let broken = &OnceLock::new();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    // Without its tables it takes nothing.
                    let mut database = Connection::open_in_memory().unwrap();
                    commit_entries(&mut database, &entries, Decimal::ZERO, broken);
                });
                assert!(committed_signal.blocking_recv().is_err());
                let reason = broken.get().expect("there is a reason by now");
                assert!(reason.contains("no such table"), "{reason}");
            });
        }
    }
}
