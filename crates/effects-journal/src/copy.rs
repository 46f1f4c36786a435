//! [`SqliteJournal::copy_to`]: copies a whole journal from its file, which no other process may use
//! meanwhile, into an empty Postgres journal, in one transaction, and reads the copy back: both hold
//! the same, or nothing was copied ([`Copied`] counts it). `effects journal copy` calls it, and Rust
//! programs can.
//!
//! Both have the same tables, so that each row of each table is copied as it is: task ids, costs,
//! attempts of unknown outcome, pictures, and the scopes that have a name.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use effects_core::count_of;
use effects_core::journal::JournalError;

use crate::database::{DatabaseError, Fields, SqlValue, values};
use crate::journal::SqliteJournal;
use crate::postgres::PostgresStore;
use crate::transaction::{Fail, Transaction};
use crate::writer_handle::WriterHandle;
use crate::writer_thread::{Durability, command_with_callback};

/// What was copied, and found again in the copy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// Rows of the journal.
    pub rows: u64,
    /// Their tasks.
    pub tasks: u64,
    /// The pictures of those.
    pub pictures: u64,
}

impl SqliteJournal {
    /// Copies the whole journal into a database whose journal is empty, in one transaction, and reads
    /// all of it back: what is in both is the same, or nothing was copied. The copy has the same
    /// [`id`](effects_jobs::JournalStore::id), so that folders know it again. Nothing may use the file
    /// meanwhile, nor afterwards.
    ///
    /// ```no_run
    /// use effects_journal::{PostgresStore, SqliteJournal};
    ///
    /// let journal = SqliteJournal::open("run.db")?;
    /// let copied = journal.copy_to(PostgresStore::connect("postgres://db.example/photos")?)?;
    /// println!("{} rows", copied.rows);
    /// # Ok::<(), effects_core::journal::JournalError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JournalError::NotCopied`] when a process uses the file, when the database has rows already, or
    /// what was read back differs; when either cannot be read or written.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the copy has another id than it was opened with"
    )]
    pub fn copy_to(&self, target: PostgresStore) -> Result<Copied, JournalError> {
        // Ids that are beside the journal belong into the copy.
        self.store.writer.take_spilled()?;
        let (source, url) = (Arc::clone(&self.store.writer), target.url().to_owned());
        target.store.writer.ask(Durability::Safety, move |tx| {
            copy(tx, &source).map_err(|fail| match fail {
                Fail::Known(JournalError::NotCopied { reason, .. }) => {
                    JournalError::NotCopied { target: url.clone().into(), reason }.into()
                }
                other => other,
            })
        })
    }
}

fn copy(tx: &Transaction<'_>, source: &Arc<WriterHandle>) -> Result<Copied, Fail> {
    let there = "SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM scopes)";
    if tx.database.get(there, values![])?.get::<u64>(0)? > 0 {
        return Err(refuse("it has rows already, and a copy is made into an empty journal alone"));
    }
    // The file's own thread reads while this one writes.
    let read = read(source)?;
    let mut counts = [0; TABLES.len()];
    let mut sums = [0; TABLES.len()];
    let insert = TABLES.map(|table| table.insert());
    for message in read {
        match message {
            Read::Row(table, row) => {
                tx.run(&insert[table], &row.0)?;
                counts[table] += 1;
                // A sum of hashes, since the copy may list its rows in another order.
                sums[table] = hash(&row).wrapping_add(sums[table]);
            }
            Read::Over(Ok(id)) => {
                tx.run("UPDATE journal SET id = ?1", values![id])?;
                check(tx, counts, sums)?;
                let [rows, tasks, pictures, ..] = counts;
                return Ok(Copied { rows, tasks, pictures });
            }
            Read::Over(Err(error)) => return Err(error.into()),
        }
    }
    Err(refuse("the file could not be read to its end"))
}

/// What is read of the file.
enum Read {
    /// A row of the table with this number.
    Row(usize, Fields),
    /// All of it was read: the journal's id; or why not.
    Over(Result<String, JournalError>),
}

/// Reads the file as it is at one moment.
fn read(source: &WriterHandle) -> Result<Receiver<Read>, JournalError> {
    // Bounded, since a file may be read faster than the database is written.
    let (sender, receiver) = sync_channel(1_000);
    let (rows, over) = (sender.clone(), sender);
    let run = move |tx: &Transaction<'_>| {
        if !tx.is_alone()? {
            return Err(refuse("another process uses the file: let it end first"));
        }
        for (number, table) in TABLES.iter().enumerate() {
            tx.database.each(&table.select(), values![], &mut |row| {
                rows.send(Read::Row(number, row)).map_err(DatabaseError::new)
            })?;
        }
        Ok(tx.database.get("SELECT id FROM journal", values![])?.get(0)?)
    };
    // Where no one reads it any more, the other side has said why.
    let reply = move |read| drop(over.send(Read::Over(read)));
    source.send_command(command_with_callback(Durability::Reading, run, reply))?;
    Ok(receiver)
}

/// Whether the database has what was read of the file; and lets it number what comes next.
fn check(
    tx: &Transaction<'_>,
    counts: [u64; TABLES.len()],
    sums: [u64; TABLES.len()],
) -> Result<(), Fail> {
    for (number, table) in TABLES.iter().enumerate() {
        let (mut count, mut sum) = (0_u64, 0_u64);
        tx.database.each(&table.select(), values![], &mut |row| {
            (count, sum) = (count + 1, hash(&row).wrapping_add(sum));
            Ok(())
        })?;
        if (count, sum) != (counts[number], sums[number]) {
            return Err(refuse(&format!(
                "of the table {}, {} written and {count} read back, which differ",
                table.name,
                count_of(counts[number], "row")
            )));
        }
        if table.columns.starts_with("number,") {
            let name = table.name;
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('effects.{name}', 'number'), \
                 coalesce(max(number), 1), max(number) IS NOT NULL) FROM {name}"
            );
            tx.database.get(&sql, values![])?;
        }
    }
    Ok(())
}

/// A number for what a row holds. A path is text in the file and bytes in the database.
fn hash(row: &Fields) -> u64 {
    // Its keys are fixed, so that equal rows have equal hashes on both sides.
    let mut hasher = DefaultHasher::new();
    for value in &row.0 {
        match value {
            SqlValue::Null => 0.hash(&mut hasher),
            SqlValue::Integer(number) => (1, number).hash(&mut hasher),
            SqlValue::Text(text) => (2, text.as_bytes()).hash(&mut hasher),
            SqlValue::Bytes(bytes) => (2, bytes.as_ref()).hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// A table, and which of it is copied.
struct Table {
    name: &'static str,
    columns: &'static str,
    which: &'static str,
}

impl Table {
    fn select(&self) -> String {
        format!("SELECT {} FROM {} WHERE {}", self.columns, self.name, self.which)
    }

    fn insert(&self) -> String {
        let parameters: Vec<_> =
            (1..=self.columns.split(',').count()).map(|number| format!("?{number}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, self.columns, parameters.join(", "))
    }
}

/// All that outlives its owner, in an order in which nothing names what is not there yet. No process
/// has a row of the copy in hand: its open intents are doubtful, as they are once their owner is gone.
const TABLES: [Table; 6] = [
    Table {
        name: "rows",
        columns: "number, identity, origin, template, width, height, image, likeness, key, tag, \
                  target, state, attempts, reason, task, former, former_completed, renewals, begun, \
                  changed, open_tasks, reserved, params",
        which: "true",
    },
    Table {
        name: "tasks",
        columns: "number, row, id, submitted, finished, cost, code, message",
        which: "true",
    },
    Table {
        name: "pictures",
        columns: "task, place, url, path, size, digest, modified",
        which: "true",
    },
    Table {
        name: "scopes",
        columns: "number, name, paid, costs_seen, highest_seen, unreadable, unreadable_row",
        which: "name IS NOT NULL",
    },
    Table {
        name: "scope_rows",
        columns: "identity, scope, forgotten",
        which: "scope IN (SELECT number FROM scopes WHERE name IS NOT NULL)",
    },
    Table { name: "prices", columns: "origin, template, width, height, highest", which: "true" },
];

fn refuse(why: &str) -> Fail {
    JournalError::NotCopied { target: "the database".into(), reason: why.to_owned() }.into()
}
