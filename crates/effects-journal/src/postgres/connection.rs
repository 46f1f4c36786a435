//! [`PreparedConnection`]: one connection to Postgres with its prepared statements: the [`Database`] on
//! which a journal in Postgres runs the SQL that it shares with SQLite. Opening it makes or migrates the
//! tables, or fails with an [`OpenError`]. Each transaction begins with the server's clock and the owner's
//! lease ([`TransactionStart`]), and under the journal's one lock where it writes. `PostgresBuilder` opens
//! the first; `Writer` runs each transaction on it, and opens another when it is lost.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use effects_core::Time;
use effects_core::journal::JournalError;
use futures_util::TryStreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement};

use crate::database::{Database, DatabaseError, Fields, SqlValue};
use crate::postgres::schema;
use crate::postgres::settings::{DatabaseSettings, words};
use crate::writer_thread::Durability;

/// A connection, and the statements it has prepared.
pub(crate) struct PreparedConnection {
    /// Of the writer's thread alone; it reads and writes the connection while a statement is waited for.
    runtime: Runtime,
    /// Moves the bytes until the client is dropped.
    driver: JoinHandle<()>,
    /// `None` only while this is dropped.
    client: Option<Client>,
    statements: RefCell<HashMap<String, Statement>>,
    /// Statements that go with the next one that is waited for.
    queued: RefCell<Vec<Queued>>,
}

/// A statement that is to be sent, and its values.
struct Queued {
    statement: Statement,
    values: Vec<SqlValue<'static>>,
}

/// What a transaction that has begun found.
pub(crate) struct TransactionStart {
    /// The server's clock.
    pub(crate) now: Time,
    /// When the server started.
    pub(crate) server_started: Time,
    /// The number of the last transaction that the owner committed, and until when its lease has run since,
    /// if the owner is known.
    pub(crate) committed: Option<(i64, Time)>,
}

impl PreparedConnection {
    /// Connects, and brings the schema to today's format; the journal's id too. Where the database has
    /// no journal, one is made in it, unless it is only to be found.
    pub(crate) fn open(
        settings: &DatabaseSettings,
        makes: bool,
    ) -> Result<Option<(Self, String)>, OpenError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            OpenError::lasting(JournalError::Unreadable(format!("no runtime: {error}")))
        })?;
        let refused = |error: Error| OpenError::new(&error, settings);
        let connected = runtime.block_on(settings.config.connect(settings.tls.clone()));
        let (client, transport) = connected.map_err(refused)?;
        // How it ended is told by the statements that it ended.
        let driver = runtime.spawn(async move { drop(transport.await) });
        let (statements, queued) = (RefCell::default(), RefCell::default());
        let mut connection = Self { runtime, driver, client: Some(client), statements, queued };
        let Self { runtime, client: Some(client), .. } = &mut connection else { return Ok(None) };
        let id = runtime.block_on(async {
            client.batch_execute(SESSION).await.map_err(refused)?;
            if !makes && !schema::is_there(client).await.map_err(refused)? {
                return Ok(None);
            }
            schema::migrate(client).await.map(Some).map_err(OpenError::lasting)
        })?;
        Ok(id.map(|id| (connection, id)))
    }

    /// Begins a transaction.
    ///
    /// One that writes takes the journal's one lock first: a decision reads the sums of a scope, the
    /// reservations of other rows and prices, and writes what the next decision reads. With the lock
    /// the rules are those of SQLite, which has one writer at a time; `SERIALIZABLE` would find the
    /// same conflicts later, and make nearly every transaction begin anew. It reads what is committed
    /// when each statement begins, since a snapshot from before the lock would be too old.
    pub(crate) fn begin(
        &self,
        durability: Durability,
        owner: i64,
    ) -> Result<TransactionStart, DatabaseError> {
        let lock = format!("SELECT pg_advisory_xact_lock({WRITER})");
        let begin = match durability {
            // One snapshot for all of its statements: a page of rows and their pictures
            // are of one moment.
            Durability::Reading => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            // A crash of the server is not one of this process, which would never learn what it lost:
            // every commit waits for the disk.
            Durability::Writing | Durability::Safety => format!("BEGIN; {lock}"),
        };
        let asked = format!(
            // One message for the lock, the clock and the owner: one round trip. The clock is not
            // `now()`, which is when the transaction began, before its wait for the lock.
            "{begin}; SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
                floor(extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint,
                commits, lease FROM (SELECT) AS one LEFT JOIN owners ON id = {owner}"
        );
        let asking = async { self.client()?.simple_query(&asked).await.map_err(|e| fault(&e)) };
        let answers = self.runtime.block_on(asking)?;
        let last = answers.iter().rev().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let number = |column| last.and_then(|row| row.get(column)?.parse::<i64>().ok());
        let time = |column| {
            let millis = number(column).and_then(|it| u64::try_from(it).ok());
            millis.map(Time::from_millis).ok_or_else(|| DatabaseError::new("it tells no time"))
        };
        let committed = number(2).zip(time(3).ok());
        Ok(TransactionStart { now: time(0)?, server_started: time(1)?, committed })
    }

    /// Ends a transaction: with what these statements do, and committed.
    pub(crate) fn commit(&self, statements: &str) -> Result<(), DatabaseError> {
        let end = format!("{statements}; COMMIT");
        self.after_queued(async |client| client.batch_execute(&end).await)
    }

    pub(crate) fn roll_back(&self) -> Result<(), DatabaseError> {
        // What was queued was of the transaction that is undone.
        self.queued.borrow_mut().clear();
        self.after_queued(async |client| client.batch_execute("ROLLBACK").await)
    }

    fn client(&self) -> Result<&Client, DatabaseError> {
        self.client.as_ref().ok_or_else(|| DatabaseError::new("it is not connected"))
    }

    fn statement(&self, sql: &str) -> Result<Statement, DatabaseError> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let (client, dialect) = (self.client()?, in_its_dialect(sql));
        let prepared = self.runtime.block_on(client.prepare(&dialect));
        let prepared = prepared.map_err(|error| fault(&error))?;
        self.statements.borrow_mut().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Does something with the client, with all that is queued sent before it: one way to the server and
    /// back for all of it. The first error is that of the whole.
    fn after_queued<T>(
        &self,
        last: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, DatabaseError> {
        let (client, queued) = (self.client()?, self.queued.take());
        let mut writes: Vec<_> = queued
            .iter()
            .map(|write| Some(Box::pin(client.execute_raw(&write.statement, &write.values))))
            .collect();
        let done = self.runtime.block_on(async {
            let (mut last, mut answer) = (pin!(last(client)), None);
            // A statement is sent when it is first polled: this keeps their order.
            poll_fn(|context| {
                for write in &mut writes {
                    if let Some(waiting) = write
                        && let Poll::Ready(done) = waiting.as_mut().poll(context)
                    {
                        *write = None;
                        if let Err(error) = done {
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                if answer.is_none()
                    && let Poll::Ready(done) = last.as_mut().poll(context)
                {
                    answer = Some(done);
                }
                match answer.take_if(|_| writes.iter().all(Option::is_none)) {
                    Some(answer) => Poll::Ready(answer),
                    None => Poll::Pending,
                }
            })
            .await
        });
        done.map_err(|error| fault(&error))
    }
}

/// Ends the session in order, so that the server frees it at once.
impl Drop for PreparedConnection {
    fn drop(&mut self) {
        drop(self.client.take());
        let leaving = async { tokio::time::timeout(LEAVING, &mut self.driver).await };
        // One that is cut ends by itself.
        let _ = self.runtime.block_on(leaving);
    }
}

impl Database for PreparedConnection {
    fn run(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<usize, DatabaseError> {
        let statement = self.statement(sql)?;
        let changed =
            self.after_queued(async |client| client.execute_raw(&statement, values).await)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn later(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<(), DatabaseError> {
        let statement = self.statement(sql)?;
        let values = values.iter().cloned().map(SqlValue::into_owned).collect();
        self.queued.borrow_mut().push(Queued { statement, values });
        Ok(())
    }

    fn answered(&self) -> Result<(), DatabaseError> {
        if self.queued.borrow().is_empty() {
            return Ok(());
        }
        self.after_queued(async |_| Ok(()))
    }

    fn each(
        &self,
        sql: &str,
        values: &[SqlValue<'_>],
        take: &mut dyn FnMut(Fields) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let statement = self.statement(sql)?;
        let rows = self.after_queued(async |client| client.query_raw(&statement, values).await)?;
        let mut rows = pin!(rows);
        self.runtime.block_on(async {
            while let Some(row) = rows.try_next().await.map_err(|error| fault(&error))? {
                let read = |column| row.try_get::<_, Field>(column).map(|field| field.0);
                let fields = (0..row.len()).map(read).collect::<Result<_, _>>();
                take(Fields(fields.map_err(|error| fault(&error))?))?;
            }
            Ok(())
        })
    }
}

/// A statement of the shared rules as Postgres writes it: `$1` for `?1`, and without the hint that
/// SQLite's planner needs.
fn in_its_dialect(sql: &str) -> String {
    sql.replace('?', "$").replace(" INDEXED BY rows_reserving", "")
}

/// A value of whatever column it is for.
impl ToSql for SqlValue<'_> {
    fn to_sql(
        &self,
        column: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *column == Type::INT4 => {
                i32::try_from(*number)?.to_sql(column, out)
            }
            Self::Integer(number) if *column == Type::BOOL => (*number != 0).to_sql(column, out),
            Self::Integer(number) if *column == Type::INT8 => number.to_sql(column, out),
            Self::Text(text) if *column == Type::BYTEA => text.as_bytes().to_sql(column, out),
            // It stores every letter but this one, which no text needs.
            Self::Text(text) if text.contains('\0') => {
                text.replace('\0', "\u{fffd}").to_sql(column, out)
            }
            Self::Text(text) if *column == Type::TEXT => text.as_ref().to_sql(column, out),
            Self::Bytes(bytes) if *column == Type::BYTEA => bytes.as_ref().to_sql(column, out),
            other => Err(format!("a column of {column} cannot hold {other:?}").into()),
        }
    }

    fn accepts(_column: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column's value.
struct Field(SqlValue<'static>);

impl<'a> FromSql<'a> for Field {
    fn from_sql(
        column: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *column {
            Type::INT8 => SqlValue::Integer(i64::from_sql(column, raw)?),
            Type::INT4 => SqlValue::Integer(i32::from_sql(column, raw)?.into()),
            Type::BOOL => SqlValue::Integer(bool::from_sql(column, raw)?.into()),
            Type::BYTEA => SqlValue::Bytes(raw.to_vec().into()),
            _ => SqlValue::Text(String::from_sql(column, raw)?.into()),
        }))
    }

    fn from_sql_null(_column: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(SqlValue::Null))
    }

    fn accepts(_column: &Type) -> bool {
        true
    }
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) struct OpenError {
    pub(crate) error: JournalError,
    /// Whether it may pass by itself: the server is starting, or not to be reached.
    pub(crate) passes: bool,
}

impl OpenError {
    fn lasting(error: JournalError) -> Self {
        Self { error, passes: false }
    }

    fn new(error: &Error, settings: &DatabaseSettings) -> Self {
        let mut why = words(error);
        if let Some(note) = &settings.passed_over {
            why.push_str("; ");
            why.push_str(note);
        }
        if why.contains("server does not support TLS") {
            why.push_str("; say sslmode=disable in the URL to speak to it without");
        }
        let starting = [
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
        ];
        let passes = error.code().is_some_and(|code| starting.contains(code))
            || error.source().is_some_and(|cause| {
                let cause = cause.downcast_ref::<io::Error>();
                // What TLS finds wrong does not pass.
                cause.is_some_and(|cause| cause.kind() != io::ErrorKind::InvalidData)
            });
        Self { error: JournalError::Unreadable(why), passes }
    }
}

/// An error of a connection that was there. It passes where a new connection may do better.
fn fault(error: &Error) -> DatabaseError {
    let passes = error.is_closed()
        || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
        || error.as_db_error().is_some_and(|known| {
            matches!(known.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
                || PASSING.contains(known.code())
        });
    DatabaseError { reason: words(error), passes }
}

/// What a server refuses for reasons that pass: two transactions met, or it lacks room that its operator
/// makes. It is waited for then, as for a server that is away.
const PASSING: [SqlState; 5] = [
    SqlState::T_R_SERIALIZATION_FAILURE,
    SqlState::T_R_DEADLOCK_DETECTED,
    SqlState::DISK_FULL,
    SqlState::OUT_OF_MEMORY,
    SqlState::INSUFFICIENT_RESOURCES,
];

/// Said to the server of each connection: it ends a transaction whose client is gone, so that the lock
/// is free for the others.
// With `synchronous_commit` off, a commit that was confirmed may be lost when the server crashes.
const SESSION: &str = "
    SET search_path TO effects;
    SET client_min_messages TO warning;
    SET idle_in_transaction_session_timeout TO 15000;
    SET tcp_keepalives_idle TO 10;
    SET tcp_keepalives_interval TO 5;
    SET tcp_keepalives_count TO 3;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off';
";

/// How long a server may take to hear that its client leaves.
const LEAVING: Duration = Duration::from_secs(1);

/// "EFFJ", 2: the lock of a transaction that writes.
const WRITER: i64 = 0x4546_464a_0002;
