//! `SqliteJournal::prune` and `PostgresStore::prune`: delete rows that ended long ago, with their tasks
//! and pictures, so that a journal does not grow for ever; rows without an end, with an unknown cost or
//! with a picture that was wanted and not saved stay. `effects journal prune` calls them, and Rust
//! programs can.

use std::time::Duration;

use effects_core::journal::JournalError;
use effects_jobs::Identity;

use crate::budget;
use crate::database::values;
use crate::journal::SqliteJournal;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::rows::decimal;
use crate::transaction::{Fail, Transaction};
use crate::writer_handle::WriterHandle;
use crate::writer_thread::Durability;

impl SqliteJournal {
    /// Forgets every row that ended at least `age` ago, with its tasks and pictures; how many rows.
    /// Then gives room back to the file system if that is worth while.
    ///
    /// A forgotten row is one that the journal never had: a batch that has it pays for it anew, unless
    /// the `manifest.jsonl` of its folder tells of it. What a scope with a name has paid stays counted, and
    /// once only where such a row is taken in again; the sums of [`spend`](effects_jobs::JournalStore::spend) lose what these rows cost. Kept are all
    /// rows without an end, those that may be billed still or whose cost is not known, and those whose
    /// pictures were wanted and never saved.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unwritable`].
    pub fn prune(&self, age: Duration) -> Result<u64, JournalError> {
        let pruned = prune(&self.store.writer, age)?;
        self.store.writer.shrink()?;
        Ok(pruned)
    }
}

#[cfg(feature = "postgres")]
impl PostgresStore {
    /// Forgets every row that ended at least `age` ago; how many rows. What that means is said at
    /// [`SqliteJournal::prune`]. It is done in short steps, and other hosts go on meanwhile; the room is
    /// used again once the server has vacuumed.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unwritable`].
    pub fn prune(&self, age: Duration) -> Result<u64, JournalError> {
        prune(&self.store.writer, age)
    }
}

fn prune(writer: &WriterHandle, age: Duration) -> Result<u64, JournalError> {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    // What began later is looked at by no step: in a large journal that is most of it.
    let until = move |tx: &Transaction<'_>| {
        let before = tx.now.as_millis().saturating_sub(age);
        // Not `max(number)`, for which Postgres would walk back over all rows that began later.
        let sql = "SELECT max(number + 0) FROM rows WHERE begun <= ?1";
        Ok(tx.database.get(sql, values![before])?.get::<Option<u64>>(0)?)
    };
    let Some(until) = writer.ask(Durability::Reading, until)? else { return Ok(0) };
    let (mut after, mut pruned) = (0, 0);
    loop {
        // A transaction for each step, so that other processes get the lock in between.
        match writer.ask(Durability::Safety, move |tx| step(tx, age, (after, until)))? {
            None => return Ok(pruned),
            Some((last, rows)) => (after, pruned) = (last, pruned + rows),
        }
    }
}

/// Forgets some of the rows after one number, up to another: the last of them, and how many; nothing if
/// none is left.
fn step(
    tx: &Transaction<'_>,
    age: u64,
    (after, until): (u64, u64),
) -> Result<Option<(u64, u64)>, Fail> {
    let before = tx.now.as_millis().saturating_sub(age);
    let sql = format!(
        "SELECT max(number) FROM (SELECT number FROM rows r
         WHERE {ENDED} AND r.number > ?2 AND r.number <= ?3
         ORDER BY r.number LIMIT {ROWS_AT_ONCE}) AS page"
    );
    let last: Option<u64> = tx.database.get(&sql, values![before, after, until])?.get(0)?;
    let Some(last) = last else { return Ok(None) };
    let these = format!("FROM rows r WHERE {ENDED} AND r.number > ?2 AND r.number <= ?3");
    let tasks = format!("SELECT number FROM tasks WHERE row IN (SELECT r.number {these})");
    // What scopes have counted of these rows is noted with their names, before the costs are gone.
    let costs = format!(
        "SELECT r.identity, (SELECT string_agg(cost, ' ') FROM tasks WHERE row = r.number) {these}
         AND EXISTS (SELECT 1 FROM scope_rows s WHERE s.identity = r.identity)"
    );
    for row in tx.database.query(&costs, values![before, after, last])? {
        let (identity, costs): ([u8; 32], Option<String>) = (row.get(0)?, row.get(1)?);
        let costs = costs.unwrap_or_default();
        let paid = costs.split_whitespace().map(decimal).sum::<Result<_, _>>()?;
        budget::note_forgotten(tx, &Identity::from_bytes(identity), paid)?;
    }
    // The rows last: by them the others are found.
    let mut rows = 0;
    for delete in [
        format!("DELETE FROM pictures WHERE task IN ({tasks})"),
        format!("DELETE FROM tasks WHERE row IN (SELECT r.number {these})"),
        format!("DELETE FROM rows WHERE number IN (SELECT r.number {these})"),
    ] {
        rows = tx.run(&delete, values![before, after, last])?;
    }
    Ok(Some((last, rows as u64)))
}

/// Ended before `?1`, and nothing more is to come of it. It is as true once the pictures and tasks of
/// these rows are gone.
const ENDED: &str = "r.state IN ('completed', 'failed', 'released') AND r.changed <= ?1
    AND r.open_tasks = 0 AND r.owner IS NULL AND NOT EXISTS (
        SELECT 1 FROM tasks t WHERE t.number = r.task AND r.state = 'completed' AND t.cost IS NULL)
    AND NOT EXISTS (
        SELECT 1 FROM pictures p WHERE p.task = r.task AND r.target IS NOT NULL AND p.path IS NULL)";
const ROWS_AT_ONCE: u32 = 1_000;
