//! The tables of a journal in Postgres, all in the schema `effects`: [`migrate`] makes them, or takes
//! the steps from an older format to today's; [`is_there`] tells whether a database has a journal.
//! `PreparedConnection::open` calls [`migrate`] on every connection, but makes nothing where it was
//! only to find a journal and [`is_there`] finds none.

use effects_core::journal::JournalError;
use tokio_postgres::error::Error;
use tokio_postgres::{Client, GenericClient};

use crate::postgres::settings::words;
use crate::random::random_number;

/// The schema that all tables of a journal are in: a database has one journal.
pub(crate) const SCHEMA: &str = "effects";

/// Makes the schema if it is not there, and takes every step from the format found to today's; the
/// journal's id. An advisory lock lets one process at a time do so: of many that start at once, the
/// others find nothing left to do.
pub(crate) async fn migrate(client: &mut Client) -> Result<String, JournalError> {
    let refuse = |error: Error| JournalError::Unreadable(words(&error));
    // Without the lock: nearly every opening finds today's format.
    if let Some((FORMAT, id)) = found(client).await.map_err(refuse)? {
        return Ok(id);
    }
    let random = || random_number().map_err(|error| JournalError::Unwritable(error.to_string()));
    let id = format!("{:016x}{:016x}", random()?, random()?);
    let transaction = client.transaction().await.map_err(refuse)?;
    transaction.execute(LOCK, &[&MIGRATION]).await.map_err(refuse)?;
    let (format, id) = match found(&transaction).await.map_err(refuse)? {
        Some(known) => known,
        None if has_table(&transaction, "%").await.map_err(refuse)? => {
            let why = format!("its schema \"{SCHEMA}\" is of something else");
            return Err(JournalError::Unreadable(why));
        }
        None => (0, id),
    };
    if format > FORMAT {
        let number = |format: i32| format.unsigned_abs();
        return Err(JournalError::Newer { found: number(format), known: number(FORMAT) });
    }
    for step in &STEPS[usize::try_from(format).unwrap_or_default()..] {
        transaction.batch_execute(step).await.map_err(|error| {
            JournalError::Unwritable(format!(
                "the schema \"{SCHEMA}\" cannot be made: {}; its user needs the right to create it \
                 (GRANT CREATE ON DATABASE …), once",
                words(&error)
            ))
        })?;
    }
    let named = "INSERT INTO effects.journal (id, format) VALUES ($1, $2)
        ON CONFLICT (one) DO UPDATE SET format = excluded.format";
    transaction.execute(named, &[&id, &FORMAT]).await.map_err(refuse)?;
    transaction.commit().await.map_err(refuse)?;
    Ok(id)
}

/// Whether the database has a journal.
pub(crate) async fn is_there(client: &Client) -> Result<bool, Error> {
    has_table(client, "journal").await
}

/// The format and the id of the journal that is there.
async fn found(client: &impl GenericClient) -> Result<Option<(i32, String)>, Error> {
    if !has_table(client, "journal").await? {
        return Ok(None);
    }
    let row = client.query_opt("SELECT format, id FROM effects.journal", &[]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

/// Whether a table with a name like this is in the schema: read from the catalog as it is committed
/// now, which `to_regclass` need not do within a transaction.
async fn has_table(client: &impl GenericClient, like: &str) -> Result<bool, Error> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname::text LIKE $2)";
    Ok(client.query_one(sql, &[&SCHEMA, &like]).await?.get(0))
}

/// "EFFJ", and a number for each of the locks.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
const MIGRATION: i64 = 0x4546_464a_0001;

/// Today's format: a journal of format N has taken the first N steps.
const FORMAT: i32 = 5;

/// The steps from format to format. None is ever changed once it was published.
const STEPS: [&str; 5] = [FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5];

/// The tables are those of the file (`schema.rs` beside this folder has what they mean), with two more
/// columns. An owner's `commits` numbers its transactions, so that one whose answer was lost is found
/// again. Paths are bytes, and the functions are those of SQLite's that the shared statements use.
// A row is changed six times on its way: the fill factors leave room for that within its page.
const FORMAT_1: &str = "
    CREATE SCHEMA IF NOT EXISTS effects;
    SET LOCAL search_path TO effects;
    CREATE TABLE journal (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
        id TEXT NOT NULL,
        format INTEGER NOT NULL
    );
    CREATE FUNCTION json_array_length(list TEXT) RETURNS BIGINT
        LANGUAGE SQL IMMUTABLE RETURN pg_catalog.json_array_length(list::json);
    CREATE FUNCTION max(one BIGINT, other BIGINT) RETURNS BIGINT
        LANGUAGE SQL IMMUTABLE RETURN greatest(one, other);
    CREATE TABLE owners (
        id BIGINT PRIMARY KEY,
        host TEXT NOT NULL,
        place TEXT NOT NULL,
        process BIGINT NOT NULL,
        started TEXT NOT NULL,
        lease BIGINT NOT NULL,
        commits BIGINT NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE TABLE rows (
        number BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        identity BYTEA NOT NULL UNIQUE,
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width BIGINT,
        height BIGINT,
        image TEXT NOT NULL,
        likeness BYTEA NOT NULL,
        key TEXT,
        tag TEXT,
        target BYTEA,
        state TEXT NOT NULL CHECK
            (state IN ('intent', 'doubtful', 'created', 'completed', 'failed', 'released')),
        attempts TEXT,
        reason TEXT,
        task BIGINT,
        former BIGINT,
        renewals BIGINT NOT NULL DEFAULT 0,
        begun BIGINT NOT NULL,
        changed BIGINT NOT NULL,
        owner BIGINT,
        claim BIGINT,
        open_tasks BIGINT NOT NULL DEFAULT 0,
        reserved TEXT
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
    CREATE INDEX rows_held ON rows (owner) WHERE owner IS NOT NULL;
    CREATE INDEX rows_reserving ON rows (number) WHERE open_tasks > 0;
    CREATE TABLE tasks (
        number BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        row BIGINT NOT NULL REFERENCES rows (number),
        id TEXT NOT NULL,
        submitted BIGINT NOT NULL,
        finished BIGINT,
        cost TEXT,
        code TEXT,
        message TEXT
    ) WITH (fillfactor = 80);
    CREATE INDEX tasks_by_id ON tasks (id);
    CREATE INDEX tasks_by_row ON tasks (row);
    CREATE TABLE pictures (
        task BIGINT NOT NULL REFERENCES tasks (number),
        place BIGINT NOT NULL,
        url TEXT NOT NULL,
        path BYTEA,
        size BIGINT,
        modified BIGINT,
        digest BYTEA,
        PRIMARY KEY (task, place)
    );
    CREATE INDEX pictures_by_path ON pictures USING hash (path) WHERE path IS NOT NULL;
    CREATE TABLE scopes (
        number BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        name TEXT UNIQUE,
        owner BIGINT,
        paid TEXT NOT NULL DEFAULT '0',
        costs_seen BIGINT NOT NULL DEFAULT 0,
        highest_seen TEXT,
        unreadable BIGINT NOT NULL DEFAULT 0,
        unreadable_row BIGINT
    ) WITH (fillfactor = 50);
    CREATE TABLE scope_rows (
        identity BYTEA NOT NULL,
        scope BIGINT NOT NULL REFERENCES scopes (number),
        PRIMARY KEY (identity, scope)
    );
    CREATE INDEX scope_rows_by_scope ON scope_rows (scope);
    CREATE TABLE prices (
        origin TEXT NOT NULL,
        template TEXT NOT NULL,
        width BIGINT NOT NULL,
        height BIGINT NOT NULL,
        highest TEXT NOT NULL,
        PRIMARY KEY (origin, template, width, height)
    );
";

/// What the file's format 5 has.
const FORMAT_2: &str = "
    ALTER TABLE effects.rows ADD COLUMN former_completed BIGINT NOT NULL DEFAULT 0;
";

/// What the file's format 6 has.
const FORMAT_3: &str = "
    ALTER TABLE effects.rows ADD COLUMN params TEXT;
";

/// For millions of rows. What may be pruned is found by when it began, which never changes, so that the
/// index costs an update nothing; pictures that were not saved have an index of their own. Tables that
/// only grow are vacuumed by what came in, and the planner learns soon how few of many rows are under way.
const FORMAT_4: &str = "
    CREATE INDEX rows_by_begun ON effects.rows (begun, number);
    CREATE INDEX pictures_unsaved ON effects.pictures (task) WHERE path IS NULL;
    ALTER TABLE effects.rows SET (autovacuum_analyze_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.05);
    ALTER TABLE effects.tasks SET (autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
    ALTER TABLE effects.pictures SET (autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.05);
    ALTER TABLE effects.scope_rows SET (autovacuum_vacuum_insert_scale_factor = 0.05);
";

/// What the file's format 7 has.
const FORMAT_5: &str = "
    ALTER TABLE effects.scope_rows ADD COLUMN forgotten TEXT;
";
