//! The SQLite implementation of the trait [`Database`], for rusqlite's [`Connection`]: it runs statements
//! with [`SqlValue`]s and reads the rows of queries as [`Fields`]. `WriterThread` (`writer_thread.rs`)
//! hands its connection to each `Transaction`, by which all rules of a row (`transitions.rs` and others)
//! read and write the journal's file.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::database::{Database, DatabaseError, Fields, SqlValue};

impl Database for Connection {
    fn run(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<usize, DatabaseError> {
        // Every row runs the same few statements, so they are parsed once.
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn each(
        &self,
        sql: &str,
        values: &[SqlValue<'_>],
        take: &mut dyn FnMut(Fields) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut query = self.prepare_cached(sql)?;
        let columns = query.column_count();
        let mut rows = query.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let read = |column| row.get_ref(column).map(owned);
            take(Fields((0..columns).map(read).collect::<Result<_, _>>()?))?;
        }
        Ok(())
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error)
    }
}

impl ToSql for SqlValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn owned(value: ValueRef<'_>) -> SqlValue<'static> {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        // No column of a journal holds one.
        ValueRef::Real(number) => SqlValue::Text(number.to_string().into()),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into_owned().into()),
        ValueRef::Blob(bytes) => SqlValue::Bytes(bytes.to_vec().into()),
    }
}
