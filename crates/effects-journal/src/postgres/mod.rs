//! [`PostgresStore`]: a journal in a Postgres database, for many machines, with the promises of
//! `SqliteJournal`; [`PostgresBuilder`] connects one and starts its thread (`writer.rs`). The command
//! and the Python package open one where a `postgres://` URL names the journal, and Rust programs can.
//! `connection.rs`, `settings.rs` and `tls.rs` reach the database, and `schema.rs` makes its tables.

mod connection;
mod schema;
mod settings;
mod tls;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use effects_core::journal::JournalError;

use crate::fork::ForkHandle;
use crate::postgres::connection::PreparedConnection;
use crate::postgres::settings::DatabaseSettings;
use crate::postgres::writer::Writer;
use crate::process::Process;
use crate::spill::Spill;
use crate::store::{Store, journal_store};
use crate::transaction::Owner;
use crate::writer_handle::WriterHandle;
use crate::writer_thread::{Counters, Stats};

/// A journal in a Postgres database, for any number of processes of any number of machines at once.
///
/// All of it is in the schema `effects`, which the first process makes; a database has one journal.
/// Its promises are those of [`SqliteJournal`](crate::SqliteJournal), and:
///
/// * **Time is the server's.** The clocks of the machines need not agree.
/// * **A process that is gone is found gone**: at once on its own machine, elsewhere once its lease
///   of 30 seconds ends, which it renews three times in that time. While the server was away, none ends.
/// * **A lost connection loses nothing.** What was confirmed is there, and a transaction whose answer
///   was lost is looked up before it is done again. A server that is away is waited for, a minute long.
/// * **One decides at a time.** A transaction that writes holds the journal's one lock, for a few
///   milliseconds; what waited meanwhile goes into the next one together.
///
/// Dropping the last of it and of its rows writes what is left to write and leaves the database.
///
/// ```no_run
/// use effects_jobs::{Filter, JournalStore};
/// use effects_journal::PostgresStore;
///
/// let journal = PostgresStore::connect("postgres://studio@db.example/photos")?;
/// for record in journal.list(&Filter::default())? {
///     println!("{}: {}", record.number, record.state.name());
/// }
/// # Ok::<(), effects_core::journal::JournalError>(())
/// ```
pub struct PostgresStore {
    pub(crate) store: Store,
    counters: Arc<Counters>,
    shown: String,
}

/// Connects a [`PostgresStore`] otherwise than usual.
#[must_use = "a builder connects when `connect` is called"]
pub struct PostgresBuilder {
    process: Process,
    lease: Duration,
    patience: Duration,
    spill: Option<PathBuf>,
}

impl PostgresStore {
    /// Connects to the database of a URL, and makes the journal in it if it has none.
    ///
    /// The URL is libpq's: `postgres://user:password@host:port/database?sslmode=verify-full`. What it
    /// leaves out is read from `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`, `PGPASSWORD`, `PGPASSFILE`
    /// or `~/.pgpass`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGOPTIONS`, `PGAPPNAME` and `PGCONNECT_TIMEOUT`.
    ///
    /// A server on another machine is spoken to in TLS unless `sslmode=disable` says otherwise, and
    /// its certificate and name are always verified: by the system's certificates, or those in the
    /// file of `sslrootcert`. Certificates of clients (`sslcert`) are not supported.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unreadable`] when the URL or the database cannot be used;
    /// [`JournalError::Unwritable`] when the schema cannot be made; [`JournalError::Newer`].
    pub fn connect(url: &str) -> Result<Self, JournalError> {
        Self::builder().connect(url)
    }

    /// Connects like [`connect`](Self::connect) where the database has a journal; `None` where it has
    /// none, and nothing is made.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStore::connect`].
    pub fn find(url: &str) -> Result<Option<Self>, JournalError> {
        Self::builder().find(url)
    }

    /// Connects otherwise than usual.
    pub fn builder() -> PostgresBuilder {
        let (process, lease, patience) = (Process::current(), LEASE, PATIENCE);
        PostgresBuilder { process, lease, patience, spill: None }
    }

    /// Its URL, without the password.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// Its [`ForkHandle`], with which the Python package closes it before a fork.
    pub fn fork_handle(&self) -> ForkHandle {
        self.store.writer.fork_handle()
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}

journal_store!(PostgresStore);

impl PostgresBuilder {
    /// The process that writes, instead of this one: for a place where this one cannot be told from
    /// others.
    pub fn process(self, process: Process) -> Self {
        Self { process, ..self }
    }

    /// How long a process of another machine is believed to be there without a word of it; 30 seconds
    /// unless said otherwise. A submission leaves up to ten seconds after its record, and its record is
    /// confirmed within a third of the lease: 15 seconds are the least that keeps a row in one hand.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// How long a database that is lost is waited for before a write fails; 60 seconds unless said
    /// otherwise.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A folder of this machine for the ids of tasks that the database did not take: they are put into
    /// their rows once it takes them. Without one such an id is in the error alone.
    pub fn spill_folder(self, folder: impl AsRef<Path>) -> Self {
        Self { spill: Some(folder.as_ref().to_owned()), ..self }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStore::connect`].
    pub fn connect(self, url: &str) -> Result<PostgresStore, JournalError> {
        let none = || JournalError::Unwritable("its journal was not made".to_owned());
        self.begin(url, true)?.ok_or_else(none)
    }

    /// Connects where the database has a journal; `None` where it has none.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStore::connect`].
    pub fn find(self, url: &str) -> Result<Option<PostgresStore>, JournalError> {
        self.begin(url, false)
    }

    fn begin(self, url: &str, makes: bool) -> Result<Option<PostgresStore>, JournalError> {
        let settings = DatabaseSettings::read(url, &|name| std::env::var_os(name))?;
        let shown = settings.shown.clone();
        let named = |error: JournalError| match error {
            JournalError::Unreadable(why) => JournalError::Unreadable(format!("{shown}: {why}")),
            JournalError::Unwritable(why) => JournalError::Unwritable(format!("{shown}: {why}")),
            other => other,
        };
        let failed = |error: std::io::Error| JournalError::Unwritable(error.to_string());
        let owner = Owner::new(self.process).map_err(failed)?;
        // The driver brings a runtime of its own, which must not run within another: all of it is on
        // this thread.
        let Self { lease, patience, spill, .. } = self;
        let counters = Arc::<Counters>::default();
        let (sender, messages) = channel();
        // The thread holds `here` until it ends: fork handles see by it whether the
        // journal is closed.
        let (here, (outcome, first)) = (Arc::new(()), channel());
        let (there, counts, number) = (Arc::downgrade(&here), Arc::clone(&counters), owner.id);
        let thread = thread::Builder::new().name("effects-journal".to_owned()).spawn(move || {
            let opened = open(&settings, makes).and_then(|opened| {
                let Some((connection, id)) = opened else { return Ok(None) };
                let beside = spill.map(|folder| folder.join(format!("postgres-{id}")));
                let mut writer = Writer {
                    settings,
                    connection: Some(connection),
                    id,
                    owner,
                    lease,
                    patience,
                    spill: Arc::new(Spill::beside(beside.as_deref())),
                    counters: counts,
                    commits: 0,
                    renewed: Instant::now(),
                    reconnected: None,
                };
                writer.enter()?;
                // What the database does not take stays where it is safe.
                let _ = writer.take_spilled();
                Ok(Some(writer))
            });
            // A program that no longer waits has no journal to write.
            match opened {
                Err(error) => drop(outcome.send(Err(error))),
                Ok(None) => drop(outcome.send(Ok(None))),
                Ok(Some(writer)) => {
                    let spill = Arc::clone(&writer.spill);
                    if outcome.send(Ok(Some(spill))).is_ok() {
                        writer.work(&messages);
                    }
                }
            }
            drop(here);
        });
        let thread = thread.map_err(failed)?;
        let gone = || Err(JournalError::Unwritable("its thread is gone".to_owned()));
        let found = first.recv().unwrap_or_else(|_| gone()).map_err(named)?;
        let Some(spill) = found else { return Ok(None) };
        let writer = Arc::new(WriterHandle::new(sender, thread, there, spill, number));
        Ok(Some(PostgresStore { store: Store::new(writer), counters, shown }))
    }
}

/// The first connection. One to a server that is just starting is tried again for a moment.
fn open(
    settings: &DatabaseSettings,
    makes: bool,
) -> Result<Option<(PreparedConnection, String)>, JournalError> {
    let until = Instant::now() + OPENING;
    loop {
        match PreparedConnection::open(settings, makes) {
            Ok(opened) => return Ok(opened),
            Err(why) if !why.passes || Instant::now() >= until => return Err(why.error),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, lease) = (&self.process, self.lease);
        f.debug_struct("PostgresBuilder")
            .field("process", process)
            .field("lease", &lease)
            .finish_non_exhaustive()
    }
}

const LEASE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);
const OPENING: Duration = Duration::from_secs(2);
