//! The tables of a journal in SQLite. [`migrate`] creates them in a new file and brings an older format to
//! today's, step by step in one transaction; [`check`] refuses a database of another program or of a newer
//! version ([`Refusal`]). `file.rs` calls both whenever it opens a journal's database. The tables in
//! Postgres are in `postgres/schema.rs`.

use std::io;

use rusqlite::{Connection, TransactionBehavior};

use crate::random::random_number;

/// Why a database is not one of a journal, or not to be opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A newer version wrote it.
    Newer { found: u32 },
    /// It is a database of something else.
    Foreign,
    /// The file system refused.
    File(io::Error),
    /// SQLite refused.
    Sql(rusqlite::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Whether it is a journal's, or nothing yet: asked before anything is written into it.
pub(crate) fn check(database: &mut Connection) -> Result<(), Refusal> {
    // In one transaction, for another process may be at its first step.
    format(&*database.transaction()?).map(drop)
}

/// Takes every step from the format found to today's, in one transaction: two processes that open
/// an old file at once take them one after the other, and the second finds nothing left to do.
pub(crate) fn migrate(database: &mut Connection) -> Result<(), Refusal> {
    // No version takes a file back to an older format, so that a file of today's format needs no lock.
    if format(&*database.transaction()?)? == FORMAT {
        return Ok(());
    }
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the lock: another process may have taken the steps meanwhile.
    let found = format(&transaction)?;
    for step in &STEPS[found as usize..] {
        transaction.execute_batch(step)?;
    }
    // From the operating system, as everything is that must be unique.
    let id = format!("{:016x}{:016x}", random_number()?, random_number()?);
    let named = "INSERT INTO journal (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM journal)";
    transaction.execute(named, [id])?;
    // In the transaction of the steps, so that a crash leaves the old format whole.
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// The format of a database; it is read in several statements, and so within a transaction.
fn format(transaction: &Connection) -> Result<u32, Refusal> {
    let number =
        |pragma: &str| transaction.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let (owner, found) = (number("application_id")?, number("user_version")?);
    if owner != APPLICATION {
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: u32 = transaction.query_row(tables, [], |row| row.get(0))?;
        // A new file has none of these yet: it is one to make a journal in.
        if owner != 0 || found != 0 || tables != 0 {
            return Err(Refusal::Foreign);
        }
    }
    if found > FORMAT { Err(Refusal::Newer { found }) } else { Ok(found) }
}

/// "EFFJ": tells a journal from any other database.
const APPLICATION: u32 = 0x4546_464a;

/// Today's format: a file of format N has taken the first N steps.
pub(crate) const FORMAT: u32 = STEPS.len() as u32;

/// The steps from format to format. None is ever changed once it was published.
const STEPS: [&str; 7] = [FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5, FORMAT_6, FORMAT_7];

/// Times are milliseconds since the epoch, costs decimal texts. A row's `owner` and `claim` say in
/// whose hands it is; its `task` is the current one, its `former` the one with a verdict that
/// a renewal or a new order under way would replace.
const FORMAT_1: &str = "
    CREATE TABLE owners (
        id INTEGER PRIMARY KEY,
        host TEXT NOT NULL,
        place TEXT NOT NULL,
        process INTEGER NOT NULL,
        started TEXT NOT NULL,
        lease INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE rows (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        identity BLOB NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        image TEXT NOT NULL,
        likeness BLOB NOT NULL,
        key TEXT,
        tag TEXT,
        target ANY,
        state TEXT NOT NULL CHECK
            (state IN ('intent', 'doubtful', 'created', 'completed', 'failed', 'released')),
        attempts TEXT,
        reason TEXT,
        task INTEGER,
        former INTEGER,
        renewals INTEGER NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        owner INTEGER,
        claim INTEGER
    ) STRICT;
    CREATE INDEX rows_held ON rows (owner) WHERE owner IS NOT NULL;
    CREATE TABLE tasks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        row INTEGER NOT NULL REFERENCES rows (number),
        id TEXT NOT NULL,
        submitted INTEGER NOT NULL,
        finished INTEGER,
        cost TEXT,
        code TEXT,
        message TEXT
    ) STRICT;
    CREATE INDEX tasks_by_id ON tasks (id);
    CREATE TABLE pictures (
        task INTEGER NOT NULL REFERENCES tasks (number),
        place INTEGER NOT NULL,
        url TEXT NOT NULL,
        path ANY,
        PRIMARY KEY (task, place)
    ) STRICT, WITHOUT ROWID;
";

/// What the file itself is to remember: when it was last compacted.
const FORMAT_2: &str = "
    CREATE TABLE notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// Money: scopes with what their rows have paid, the highest cost seen of each template and size, and
/// for each row how many tasks it holds a reservation for, at what price each. Costs that no picture
/// has, which were written down as the service sent them, are not known. `attempts` are from now on
/// those of unknown outcome alone, also beside a task. A picture's size and hash tell whether
/// a file is the one that was saved; the journal's id tells it from another.
const FORMAT_3: &str = "
    ALTER TABLE rows ADD COLUMN open_tasks INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rows ADD COLUMN reserved TEXT;
    ALTER TABLE pictures ADD COLUMN size INTEGER;
    ALTER TABLE pictures ADD COLUMN digest BLOB;
    CREATE INDEX tasks_by_row ON tasks (row);
    CREATE TABLE scopes (
        number INTEGER PRIMARY KEY,
        name TEXT UNIQUE,
        owner INTEGER,
        paid TEXT NOT NULL DEFAULT '0',
        costs_seen INTEGER NOT NULL DEFAULT 0,
        highest_seen TEXT,
        unreadable INTEGER NOT NULL DEFAULT 0,
        unreadable_row INTEGER
    ) STRICT;
    CREATE TABLE scope_rows (
        identity BLOB NOT NULL,
        scope INTEGER NOT NULL REFERENCES scopes (number),
        PRIMARY KEY (identity, scope)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX scope_rows_by_scope ON scope_rows (scope);
    CREATE TABLE prices (
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        highest TEXT NOT NULL,
        PRIMARY KEY (origin, template, width, height)
    ) STRICT, WITHOUT ROWID;
    UPDATE tasks SET cost = NULL WHERE CAST(cost AS REAL) NOT BETWEEN 0 AND 10000;
    INSERT INTO prices
        SELECT origin, template, width, height, cost FROM (
            SELECT r.origin, r.template, coalesce(r.width, 0) AS width,
                coalesce(r.height, 0) AS height, t.cost, max(CAST(t.cost AS REAL)) AS highest
            FROM tasks t JOIN rows r ON r.number = t.row WHERE t.cost IS NOT NULL
            GROUP BY 1, 2, 3, 4
        ) WHERE highest > 0;
    UPDATE rows SET attempts = NULL WHERE state IN ('created', 'completed', 'failed');
    UPDATE rows SET open_tasks = 1 WHERE state = 'created';
    UPDATE rows SET open_tasks = json_array_length(coalesce(attempts, '[]'))
        WHERE state IN ('intent', 'doubtful');
    CREATE INDEX rows_reserving ON rows (number) WHERE open_tasks > 0;
    CREATE TABLE journal (id TEXT NOT NULL) STRICT;
";

/// When the file of a picture was last modified, so that a file of the same size and time need not be
/// hashed; and which row's picture a file is.
const FORMAT_4: &str = "
    ALTER TABLE pictures ADD COLUMN modified INTEGER;
    CREATE INDEX pictures_by_path ON pictures (path) WHERE path IS NOT NULL;
";

/// Whether the `former` task of a row was completed, and not failed: then a new one was ordered on purpose.
const FORMAT_5: &str = "
    ALTER TABLE rows ADD COLUMN former_completed INTEGER NOT NULL DEFAULT 0;
";

/// The parameters of a row that this program does not know, as a JSON object; none without.
const FORMAT_6: &str = "
    ALTER TABLE rows ADD COLUMN params TEXT;
";

/// What a scope has counted of a row whose tasks were forgotten since, in USD: these do not count once more
/// where they are taken in again.
const FORMAT_7: &str = "
    ALTER TABLE scope_rows ADD COLUMN forgotten TEXT;
";
