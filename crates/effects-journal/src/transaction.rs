//! [`Transaction`]: a database transaction as a journal's commands see it: the database, the time, and
//! which [`Owner`]s (open journals) are alive, judged by their process and lease. [`Fail`]: why a command
//! failed. The writer threads (`writer_thread.rs`, `postgres/writer.rs`) make one for each group of
//! commands; all functions that read or write rows take it (`transitions.rs`, `budget.rs`, `rows.rs`,
//! `queries.rs` and others).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crate::database::{Database, DatabaseError, Fields, SqlValue, values};
use crate::open_owners;
use crate::process::Process;
use crate::random::random_number;
use effects_core::Time;
use effects_core::journal::JournalError;
use effects_jobs::Holder;

/// A process at work on a file: an open journal is one.
#[derive(Debug)]
pub(crate) struct Owner {
    /// Drawn by lot, so that none is ever given again.
    pub(crate) id: i64,
    pub(crate) process: Process,
}

impl Owner {
    pub(crate) fn new(process: Process) -> io::Result<Self> {
        // Positive, since its column is signed, and never 0, which `open_owners.rs` takes
        // for a free slot.
        let id = (random_number()? >> 1).cast_signed().max(1);
        open_owners::add(id);
        Ok(Self { id, process })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        open_owners::remove(self.id);
    }
}

/// Why a command did not go well.
#[derive(Debug)]
pub(crate) enum Fail {
    /// For a reason the caller is told of.
    Known(JournalError),
    /// The database refused.
    Database(DatabaseError),
    /// The spill file could not be read or written.
    File(io::Error),
}

impl Fail {
    /// The row holds what this version cannot read.
    pub(crate) fn unreadable(what: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Known(JournalError::Unreadable(format!("{what}: {error}")))
    }

    pub(crate) fn into_error(self, reading: bool) -> JournalError {
        match self {
            Self::Known(error) => error,
            Self::Database(error) if reading => JournalError::Unreadable(error.to_string()),
            Self::Database(error) => JournalError::Unwritable(error.to_string()),
            Self::File(error) => JournalError::Unwritable(error.to_string()),
        }
    }
}

impl From<JournalError> for Fail {
    fn from(error: JournalError) -> Self {
        Self::Known(error)
    }
}

impl From<DatabaseError> for Fail {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// What a command works with inside a database transaction.
pub(crate) struct Transaction<'a> {
    pub(crate) database: &'a dyn Database,
    pub(crate) now: Time,
    pub(crate) me: &'a Owner,
    lease: Duration,
    /// Until then also owners are believed whose lease has ended: the database was away, and no one
    /// could renew it.
    pub(crate) believed_until: Time,
    /// The time that the clock of this machine tells, where `now` is another's.
    pub(crate) local: Time,
    /// How long an owner that is gone is remembered, should it come back.
    pub(crate) remembered: Duration,
    /// Whether each request waits for the answers to what it writes, to learn whose write failed.
    pub(crate) waits: Cell<bool>,
    /// Owners judged so far; `None` for those that are gone.
    judged: RefCell<HashMap<i64, Option<Holder>>>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        database: &'a dyn Database,
        now: Time,
        me: &'a Owner,
        lease: Duration,
    ) -> Self {
        let (believed_until, remembered) = (Time::default(), Duration::ZERO);
        let (local, waits, judged) = (now, Cell::default(), RefCell::default());
        Self { database, now, me, lease, believed_until, local, remembered, waits, judged }
    }

    /// A time that this machine's clock told, by the journal's.
    pub(crate) fn translate(&self, time: Time) -> Time {
        let apart = self.now.since(self.local).max(self.local.since(self.now));
        if apart < CLOCKS_AGREE {
            return time;
        }
        // Added before it is subtracted: a clock may be ahead or behind, and a number of
        // milliseconds has no sign.
        let millis = time.as_millis() + self.now.as_millis();
        Time::from_millis(millis.saturating_sub(self.local.as_millis()))
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) fn run(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<usize, DatabaseError> {
        self.database.run(sql, values)
    }

    /// Runs a statement whose answer is not waited for, as [`Database::later`] does.
    pub(crate) fn later(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<(), DatabaseError> {
        self.database.later(sql, values)
    }

    /// Waits for the answers of what was written [`later`](Self::later), where each request does.
    pub(crate) fn answered(&self) -> Result<(), DatabaseError> {
        if self.waits.get() { self.database.answered() } else { Ok(()) }
    }

    /// The owner, if it is alive: what it holds is still its own.
    pub(crate) fn holder(&self, owner: Option<i64>) -> Result<Option<Holder>, DatabaseError> {
        let Some(owner) = owner else {
            return Ok(None);
        };
        // Decided once per transaction, so that all rows of an owner are judged alike.
        if let Some(judged) = self.judged.borrow().get(&owner) {
            return Ok(judged.clone());
        }
        let sql = "SELECT host, place, process, started, lease FROM owners WHERE id = ?1";
        let found = self.database.find(sql, values![owner])?;
        let found = found.map(|row| read_owner(0, &row)).transpose()?;
        Ok(self.judge(owner, found))
    }

    /// Decides whether an owner is alive, from a query's row that has its `host, place, process, started,
    /// lease` from this column on, or NULL there for an owner that is not known.
    pub(crate) fn judge_owner(
        &self,
        owner: i64,
        column: usize,
        row: &Fields,
    ) -> Result<(), DatabaseError> {
        if self.judged.borrow().contains_key(&owner) {
            return Ok(());
        }
        let is_known = row.get::<Option<String>>(column)?.is_some();
        let found = is_known.then(|| read_owner(column, row)).transpose()?;
        self.judge(owner, found);
        Ok(())
    }

    fn judge(&self, owner: i64, found: Option<(Process, Time)>) -> Option<Holder> {
        let there = found.filter(|(process, lease)| self.is_alive(owner, process, *lease));
        let holder = there.map(|(process, _)| Holder {
            host: process.host,
            process: process.id,
            ours: owner == self.me.id,
        });
        self.judged.borrow_mut().insert(owner, holder.clone());
        holder
    }

    /// Joins the owners: fails where one of this id is there already.
    pub(crate) fn enter(&self) -> Result<(), DatabaseError> {
        let Process { host, place, id, started } = &self.me.process;
        let lease = (self.now + self.lease).as_millis();
        let sql = "INSERT INTO owners (id, host, place, process, started, lease)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.run(
            sql,
            values![self.me.id, host.as_str(), place.as_str(), *id, started.as_str(), lease],
        )
        .map(drop)
    }

    pub(crate) fn renew_lease(&self) -> Result<(), DatabaseError> {
        let sql = "UPDATE owners SET lease = ?2 WHERE id = ?1";
        let renewed = self.run(sql, values![self.me.id, (self.now + self.lease).as_millis()])?;
        // Others, for whom the lease had ended, took it for gone.
        if renewed == 0 { self.enter() } else { Ok(()) }
    }

    /// Forgets owners that are gone and hold nothing.
    pub(crate) fn delete_dead_owners(&self) -> Result<(), DatabaseError> {
        let idle = "SELECT id FROM owners WHERE lease <= ?1 AND id NOT IN
            (SELECT owner FROM rows WHERE owner IS NOT NULL)";
        // On one machine a process is known to be gone, whatever its lease says.
        let before = if self.remembered.is_zero() { u64::MAX } else { self.long_ago() };
        for idle in self.database.query(idle, values![before])? {
            let owner = idle.get(0)?;
            if owner != self.me.id && self.holder(Some(owner))?.is_none() {
                self.run("DELETE FROM owners WHERE id = ?1", values![owner])?;
            }
        }
        self.forget_scopes()
    }

    /// Forgets scopes without a name whose owner is gone.
    fn forget_scopes(&self) -> Result<(), DatabaseError> {
        let gone = "SELECT number FROM scopes WHERE owner IS NOT NULL
            AND owner NOT IN (SELECT id FROM owners)";
        self.run(&format!("DELETE FROM scope_rows WHERE scope IN ({gone})"), values![])?;
        self.run(&format!("DELETE FROM scopes WHERE number IN ({gone})"), values![]).map(drop)
    }

    /// Releases everything this owner holds, before it leaves. An intent it leaves behind is
    /// doubtful: no process is left that will learn its fate.
    pub(crate) fn release_all_holds(&self) -> Result<(), DatabaseError> {
        // A released row has a reservation only while its run may submit it again.
        let sql = "UPDATE rows SET owner = NULL, claim = NULL,
                open_tasks = CASE WHEN state = 'released' THEN 0 ELSE open_tasks END
            WHERE owner = ?1 AND state IN ('created', 'released')";
        self.run(sql, values![self.me.id]).map(drop)
    }

    pub(crate) fn leave(&self) -> Result<(), DatabaseError> {
        self.run("DELETE FROM owners WHERE id = ?1", values![self.me.id])?;
        self.forget_scopes()
    }

    /// Whether no other owner is there.
    pub(crate) fn is_alone(&self) -> Result<bool, DatabaseError> {
        let others = "SELECT id FROM owners WHERE id <> ?1";
        for other in self.database.query(others, values![self.me.id])? {
            if self.holder(Some(other.get(0)?))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn long_ago(&self) -> u64 {
        let remembered = u64::try_from(self.remembered.as_millis()).unwrap_or(u64::MAX);
        self.now.as_millis().saturating_sub(remembered)
    }

    fn is_alive(&self, owner: i64, process: &Process, lease: Time) -> bool {
        owner == self.me.id
            || match self.me.process.sees(process) {
                // Another journal of this very process: that it runs says nothing of whether that
                // journal is open.
                Some(true) if process.id == std::process::id() => open_owners::may_be_open(owner),
                Some(there) => there,
                None => self.now < lease || self.now < self.believed_until,
            }
    }
}

/// A process and its lease, from this column on.
fn read_owner(column: usize, row: &Fields) -> Result<(Process, Time), DatabaseError> {
    let process = Process {
        host: row.get(column)?,
        place: row.get(column + 1)?,
        id: row.get(column + 2)?,
        started: row.get(column + 3)?,
    };
    Ok((process, Time::from_millis(row.get(column + 4)?)))
}

/// Clocks that differ by less say the same.
const CLOCKS_AGREE: Duration = Duration::from_secs(1);
