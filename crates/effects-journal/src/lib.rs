//! [`SqliteJournal`]: the durable record of paid tasks in an SQLite file; with the feature `postgres`,
//! `PostgresStore` in a database. Both implement `JournalStore` of `effects-jobs`; the command, the
//! Python package and Rust programs give one to their jobs and runs.
//!
//! A [`SqliteJournal`] is a [`JournalStore`](effects_jobs::JournalStore) in one file, for any number
//! of processes of one machine at once. (SQLite's log is shared memory: a file on a network drive
//! is for one machine at a time.) What it promises:
//!
//! * **Nothing confirmed is lost.** An intent, a task's id and a release are on the disk before
//!   [`write`](effects_core::journal::Journal::write) returns, whatever happens to the process or the
//!   machine.
//! * **A full disk costs no id.** The id of a task that the database does not take goes to a file
//!   beside it, `journal.db-spill`, where room for it is reserved before a submission may leave; the
//!   write fails all the same, and the next opening puts the id into its row.
//! * **A file that vanished takes no entry.** Where the database was deleted or replaced while it was
//!   open, the next write fails, and so nothing more is sent.
//! * **Nothing is paid twice.** An intent is inserted under a unique identity, by one process alone;
//!   the second one gets [`Taken`](effects_core::journal::JournalError::Taken) before anything
//!   was sent.
//! * **It is quick.** One thread has the database and commits in groups: all that came in while the
//!   last commit ran goes into the next, so that a hundred writers share one wait for the disk.
//! * **A dead process is found dead.** An owner is a process id with its start time, within one boot
//!   of one machine; one that cannot be seen from here is believed while its lease runs, which a live
//!   process renews.
//! * **Many machines** share a `PostgresStore`, which keeps the same promises in a database.
//! * **No secrets.** No key ever reaches it, nor a URL's query that could be a permission.
//!
//! ```
//! use effects_core::{BaseUrl, Size, Template};
//! use effects_jobs::{JournalStore, Opened, RowDraft, RowPhoto};
//! use effects_journal::SqliteJournal;
//!
//! let folder = tempfile::tempdir()?;
//! let journal = SqliteJournal::open(folder.path().join("journal.db"))?;
//! let row = RowDraft {
//!     origin: BaseUrl::parse(BaseUrl::DEFAULT, false)?.origin().clone(),
//!     template: Template::GlassBall,
//!     size: Size::DEFAULT,
//!     params: Default::default(),
//!     photo: RowPhoto::Url("https://example.com/cat.jpg".parse()?),
//!     key: None,
//!     tag: None,
//!     target: Some("out".into()),
//! }
//! .row(0)?;
//! // Give the row to a client's `with_journal`, or the journal to its `jobs()`.
//! assert!(matches!(journal.open(&row)?, Opened::Submit(_row)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod budget;
mod compact;
#[cfg(feature = "postgres")]
mod copy;
mod database;
mod database_url;
mod file;
mod fork;
mod import;
mod journal;
mod oneshot;
mod open_owners;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod prune;
mod queries;
mod random;
mod reservation;
mod row;
mod row_snapshot;
mod rows;
mod schema;
mod settle;
mod spill;
mod spilled_tasks;
mod sqlite;
mod store;
mod transaction;
mod transitions;
mod writer_handle;
mod writer_thread;

#[cfg(feature = "postgres")]
pub use copy::Copied;
pub use database_url::{is_database_url, without_password};
pub use fork::{ClosedForFork, ForkHandle};
pub use journal::{JournalBuilder, SqliteJournal};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresBuilder, PostgresStore};
pub use process::Process;
pub use writer_thread::Stats;
