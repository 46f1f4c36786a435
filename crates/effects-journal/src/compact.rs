//! [`forget`]: clears the bulky parts of rows that finished long ago (submissions' names, reasons,
//! links of saved pictures) in an SQLite journal, and keeps every row, task and cost; [`shrink`] gives
//! the room back to the file system. `SqliteJournal::compact` does both, and so does opening a file of
//! 4 MB or more, at most once a day ([`forget_when_due`]); `SqliteJournal::prune` shrinks the file,
//! too.

use std::time::Duration;

use effects_core::Time;
use rusqlite::Connection;

use crate::database::values;
use crate::transaction::{Fail, Transaction};

/// Forgets what only an unfinished row needs, of rows that are finished for at least so long; how
/// many rows that were.
pub(crate) fn forget(tx: &Transaction<'_>, age: Duration) -> Result<usize, Fail> {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let before = tx.now.as_millis().saturating_sub(age);
    // A link is needed until its picture is saved.
    let sql = "UPDATE pictures SET url = '' WHERE url <> '' AND path IS NOT NULL AND task IN
        (SELECT task FROM rows WHERE state = 'completed' AND changed <= ?1)";
    tx.run(sql, values![before])?;
    // Attempts of unknown outcome beside the task are money that may have been spent.
    let sql = "UPDATE rows SET attempts = CASE WHEN open_tasks > 0 THEN attempts END, reason = NULL
        WHERE state IN ('completed', 'failed') AND changed <= ?1
        AND (attempts IS NOT NULL AND open_tasks = 0 OR reason IS NOT NULL)";
    Ok(tx.run(sql, values![before])?)
}

/// Forgets like [`forget`], if the file is of some size and that was not done today; whether it
/// did.
pub(crate) fn forget_when_due(tx: &Transaction<'_>, age: Duration) -> Result<bool, Fail> {
    let sql = "SELECT (SELECT page_count FROM pragma_page_count)
            * (SELECT page_size FROM pragma_page_size),
        coalesce((SELECT value FROM notes WHERE name = 'compacted'), 0)";
    let notes = tx.database.get(sql, values![])?;
    let (size, last): (u64, u64) = (notes.get(0)?, notes.get(1)?);
    if size < WORTH_A_LOOK || tx.now.since(Time::from_millis(last)) < A_DAY {
        return Ok(false);
    }
    forget(tx, age)?;
    let sql = "INSERT OR REPLACE INTO notes (name, value) VALUES ('compacted', ?1)";
    tx.run(sql, values![tx.now.as_millis()])?;
    Ok(true)
}

/// Gives room back to the file system, if there is enough of it: a quarter of the file, and a
/// megabyte; whether it did.
pub(crate) fn shrink(database: &Connection) -> rusqlite::Result<bool> {
    let number =
        |pragma: &str| database.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    let (free, pages, size) =
        (number("freelist_count")?, number("page_count")?, number("page_size")?);
    let worth_while = free * size >= LEAST && free * 4 >= pages;
    if worth_while {
        database.execute_batch("VACUUM")?;
    }
    // A reader of an old state keeps the log from being emptied; the next checkpoint empties it.
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(worth_while)
}

const LEAST: u64 = 1024 * 1024;
const WORTH_A_LOOK: u64 = 4 * 1024 * 1024;
const A_DAY: Duration = Duration::from_secs(24 * 3600);
