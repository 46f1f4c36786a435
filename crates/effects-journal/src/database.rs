//! [`Database`]: the trait by which the journal runs SQL, with [`SqlValue`]s as parameters and [`Fields`]
//! as rows; implemented by SQLite (`sqlite.rs`) and, with the feature `postgres`, by a connection to
//! Postgres (`postgres/connection.rs`). All that reads or changes rows (`transitions.rs`, `budget.rs`,
//! `rows.rs`, `queries.rs` and others) is written once, in SQL that both understand, and uses the database
//! of its `Transaction`; `writer_thread.rs` uses it, too.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A database within a transaction. Statements number their parameters `?1`, `?2`, ….
pub(crate) trait Database {
    /// Runs a statement; how many rows it changed.
    fn run(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<usize, DatabaseError>;

    /// Runs a statement whose answer is not waited for: it is sent with the next that is, or when the
    /// transaction ends, and in its place. Where it fails, what comes after it fails too.
    fn later(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<(), DatabaseError> {
        self.run(sql, values).map(drop)
    }

    /// Waits for the answers of all that [`later`](Self::later) took.
    fn answered(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Runs a query, and calls a function with each of its rows, which must not use the database.
    fn each(
        &self,
        sql: &str,
        values: &[SqlValue<'_>],
        take: &mut dyn FnMut(Fields) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError>;

    /// Runs a query; its rows.
    fn query(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<Vec<Fields>, DatabaseError> {
        let mut rows = Vec::new();
        self.each(sql, values, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a query; the first of its rows.
    fn find(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<Option<Fields>, DatabaseError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// Runs a query that has one row, or a statement that returns one.
    fn get(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<Fields, DatabaseError> {
        self.find(sql, values)?.ok_or_else(|| DatabaseError::new("a row that must be there is not"))
    }
}

/// Why a database refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DatabaseError {
    /// In its own words.
    pub(crate) reason: String,
    /// Whether the transaction may go well when it is begun anew.
    pub(crate) passes: bool,
}

impl DatabaseError {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), passes: false }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A value of a parameter or a column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SqlValue<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

#[cfg(feature = "postgres")]
impl SqlValue<'_> {
    /// The same, with what it borrows copied.
    pub(crate) fn into_owned(self) -> SqlValue<'static> {
        match self {
            Self::Null => SqlValue::Null,
            Self::Integer(number) => SqlValue::Integer(number),
            Self::Text(text) => SqlValue::Text(text.into_owned().into()),
            Self::Bytes(bytes) => SqlValue::Bytes(bytes.into_owned().into()),
        }
    }
}

/// The parameters of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::database::SqlValue::from($value)),*]
    };
}
pub(crate) use values;

impl<'a, T: Into<Self>> From<Option<T>> for SqlValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<i64> for SqlValue<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for SqlValue<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

/// Numbers of rows and times never reach what a column cannot hold; what a caller makes up names
/// nothing.
impl From<u64> for SqlValue<'_> {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for SqlValue<'_> {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl<'a> From<&'a str> for SqlValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for SqlValue<'_> {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<'a> From<&'a [u8; 32]> for SqlValue<'a> {
    fn from(value: &'a [u8; 32]) -> Self {
        Self::Bytes(value.as_slice().into())
    }
}

impl From<[u8; 32]> for SqlValue<'_> {
    fn from(value: [u8; 32]) -> Self {
        Self::Bytes(value.to_vec().into())
    }
}

/// A path is text wherever it can be, else the system's bytes.
impl<'a> From<&'a Path> for SqlValue<'a> {
    fn from(value: &'a Path) -> Self {
        match value.to_str() {
            Some(text) => text.into(),
            None => Self::Bytes(value.as_os_str().as_encoded_bytes().into()),
        }
    }
}

/// One row of an answer.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) Vec<SqlValue<'static>>);

impl Fields {
    /// The value of this column, counted from 0.
    pub(crate) fn get<T: FromField>(&self, column: usize) -> Result<T, DatabaseError> {
        let value = self.0.get(column);
        value.and_then(T::from_field).ok_or_else(|| {
            DatabaseError::new(format_args!("column {column} cannot hold {value:?}"))
        })
    }
}

/// What a column can be read as; `None` where it holds something else.
pub(crate) trait FromField: Sized {
    fn from_field(value: &SqlValue<'static>) -> Option<Self>;
}

impl<T: FromField> FromField for Option<T> {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        if *value == SqlValue::Null { Some(None) } else { T::from_field(value).map(Some) }
    }
}

impl FromField for i64 {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        if let SqlValue::Integer(number) = value { Some(*number) } else { None }
    }
}

impl FromField for u64 {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        i64::from_field(value)?.try_into().ok()
    }
}

impl FromField for u32 {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        i64::from_field(value)?.try_into().ok()
    }
}

impl FromField for bool {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        i64::from_field(value).map(|number| number != 0)
    }
}

impl FromField for String {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        if let SqlValue::Text(text) = value { Some(text.clone().into_owned()) } else { None }
    }
}

impl FromField for [u8; 32] {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        if let SqlValue::Bytes(bytes) = value { bytes.as_ref().try_into().ok() } else { None }
    }
}

/// Bytes of another system name nothing here: the picture is not there, and is fetched again.
impl FromField for PathBuf {
    fn from_field(value: &SqlValue<'static>) -> Option<Self> {
        match value {
            SqlValue::Text(text) => Some(Self::from(text.as_ref())),
            SqlValue::Bytes(bytes) => Some(of_bytes(bytes).into()),
            _ => None,
        }
    }
}

#[cfg(unix)]
fn of_bytes(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn of_bytes(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
