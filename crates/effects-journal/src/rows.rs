//! Rows as they are read: what is wanted, and where it stands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Size, Template, Time};
use effects_jobs::{
    Attempt, Identity, PictureRecord, Record, Row, RowName, SavedContent, Standing,
};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{OptionalExtension, ToSql, params};
use rust_decimal::Decimal;

use crate::desk::{Desk, Fail};

/// A row with all there is to know of it; whether it is free to be taken is in its record's holder.
pub(crate) fn find(desk: &Desk<'_>, name: &RowName) -> Result<Option<Record>, Fail> {
    let read = |condition: &str, values: &[&dyn ToSql]| -> Result<Option<Record>, Fail> {
        let sql = format!("{SELECT} WHERE {condition}");
        let mut query = desk.database.prepare_cached(&sql)?;
        let columns = query.query_row(values, Columns::read).optional()?;
        columns.map(|columns| columns.record(desk)).transpose()
    };
    match name {
        RowName::Number(number) => read("r.number = ?1", params![number.0]),
        RowName::Identity(identity) => read("r.identity = ?1", params![identity.as_bytes()]),
        // A row's former task names it as well.
        RowName::Task(origin, task) => read(
            "r.number IN (SELECT row FROM tasks WHERE id = ?1) AND r.origin = ?2
             ORDER BY r.number DESC LIMIT 1",
            params![task.as_str(), origin.to_string()],
        ),
        RowName::Picture(path) => read(
            "r.number = (SELECT t.row FROM pictures p JOIN tasks t ON t.number = p.task
             WHERE p.path = ?1 ORDER BY p.modified DESC, p.task DESC LIMIT 1)",
            params![PathColumn(path)],
        ),
    }
}

/// The row with this number.
pub(crate) fn get(desk: &Desk<'_>, number: RowNumber) -> Result<Record, Fail> {
    let found = find(desk, &RowName::Number(number))?;
    found.ok_or(Fail::Known(JournalError::NoSuchRow(number)))
}

/// The columns of a row and its current task, as SQLite has them.
pub(crate) struct Columns {
    number: u64,
    identity: Vec<u8>,
    origin: String,
    template: String,
    size: Size,
    image: String,
    likeness: Vec<u8>,
    key: Option<String>,
    tag: Option<String>,
    target: Option<PathBuf>,
    state: String,
    attempts: Option<String>,
    reason: Option<String>,
    renewals: u32,
    begun: u64,
    changed: u64,
    owner: Option<i64>,
    task: Option<TaskColumns>,
    /// The costs of all its tasks.
    costs: Option<String>,
}

struct TaskColumns {
    number: i64,
    id: String,
    submitted: u64,
    finished: Option<u64>,
    cost: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl Columns {
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let number: Option<i64> = row.get(18)?;
        let task = match number {
            None => None,
            Some(number) => Some(TaskColumns {
                number,
                id: row.get(19)?,
                submitted: row.get(20)?,
                finished: row.get(21)?,
                cost: row.get(22)?,
                code: row.get(23)?,
                message: row.get(24)?,
            }),
        };
        Ok(Self {
            number: row.get(0)?,
            identity: row.get(1)?,
            origin: row.get(2)?,
            template: row.get(3)?,
            size: Size { width: row.get(4)?, height: row.get(5)? },
            image: row.get(6)?,
            likeness: row.get(7)?,
            key: row.get(8)?,
            tag: row.get(9)?,
            target: path(row.get_ref(10)?),
            state: row.get(11)?,
            attempts: row.get(12)?,
            reason: row.get(13)?,
            renewals: row.get(14)?,
            begun: row.get(15)?,
            changed: row.get(16)?,
            owner: row.get(17)?,
            task,
            costs: row.get("costs")?,
        })
    }

    pub(crate) fn number(&self) -> RowNumber {
        RowNumber(self.number)
    }

    pub(crate) fn record(self, desk: &Desk<'_>) -> Result<Record, Fail> {
        let held = matches!(self.state.as_str(), "intent" | "created" | "released");
        let holder = if held { desk.holder(self.owner)? } else { None };
        let standing = self.standing(desk, holder.is_some())?;
        let costs = self.costs.as_deref().unwrap_or_default().split_whitespace();
        let paid = costs.map(decimal).sum::<Result<_, _>>()?;
        let template = self.template.parse().or_else(|_| Template::unlisted(&self.template));
        let row = Row {
            identity: identity(&self.identity)?,
            origin: self.origin.try_into().map_err(|error| Fail::unreadable("origin", &error))?,
            template: template.map_err(|error| Fail::unreadable("template", &error))?,
            size: self.size,
            image: self.image,
            likeness: identity(&self.likeness)?,
            key: self.key,
            tag: self.tag,
            target: self.target,
        };
        Ok(Record {
            number: RowNumber(self.number),
            row,
            standing,
            begun: Time::from_millis(self.begun),
            changed: Time::from_millis(self.changed),
            renewals: self.renewals,
            paid,
            holder,
        })
    }

    /// Where the row stands. An intent whose owner is gone is doubtful, whoever looks first.
    fn standing(&self, desk: &Desk<'_>, held: bool) -> Result<Standing, Fail> {
        let reason = || self.reason.clone().unwrap_or_default();
        let task = || self.task.as_ref().ok_or_else(|| Fail::unreadable("task", &"it has none"));
        Ok(match self.state.as_str() {
            "intent" if held => Standing::Intent { attempts: attempts(self.attempts.as_deref())? },
            "intent" => Standing::Doubtful {
                attempts: attempts(self.attempts.as_deref())?,
                trouble: OWNER_GONE.to_owned(),
            },
            "doubtful" => Standing::Doubtful {
                attempts: attempts(self.attempts.as_deref())?,
                trouble: reason(),
            },
            "created" => task()?.created()?,
            "completed" => task()?.completed(desk)?,
            "failed" => task()?.failed()?,
            _ => Standing::Released { reason: reason() },
        })
    }
}

impl TaskColumns {
    fn created(&self) -> Result<Standing, Fail> {
        let (task, submitted) = (self.id()?, Time::from_millis(self.submitted));
        Ok(Standing::Created { task, submitted })
    }

    fn completed(&self, desk: &Desk<'_>) -> Result<Standing, Fail> {
        let sql = "SELECT url, path, size, modified, digest FROM pictures WHERE task = ?1
            ORDER BY place";
        let mut query = desk.database.prepare_cached(sql)?;
        let pictures = query.query_map([self.number], |row| {
            let (size, modified, digest) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let content = saved_content(size, modified, digest);
            Ok(PictureRecord { url: row.get(0)?, path: path(row.get_ref(1)?), content })
        })?;
        Ok(Standing::Completed {
            task: self.id()?,
            submitted: Time::from_millis(self.submitted),
            finished: self.finished(),
            cost: self.cost.as_deref().map(decimal).transpose()?,
            pictures: pictures.collect::<Result<_, _>>()?,
        })
    }

    fn failed(&self) -> Result<Standing, Fail> {
        Ok(Standing::Failed {
            task: self.id()?,
            submitted: Time::from_millis(self.submitted),
            finished: self.finished(),
            code: self.code.as_deref().map(Into::into),
            message: self.message.clone().unwrap_or_default(),
            cost: self.cost.as_deref().map(decimal).transpose()?,
        })
    }

    fn id(&self) -> Result<effects_core::TaskId, Fail> {
        self.id.parse().map_err(|error| Fail::unreadable("task", &error))
    }

    fn finished(&self) -> Time {
        Time::from_millis(self.finished.unwrap_or(self.submitted))
    }
}

/// The open attempts of a row, as they are kept.
pub(crate) fn attempts(json: Option<&str>) -> Result<Vec<Attempt>, Fail> {
    let read = |json| serde_json::from_str(json);
    json.map_or(Ok(Vec::new()), read).map_err(|error| Fail::unreadable("attempts", &error))
}

pub(crate) fn decimal(text: &str) -> Result<Decimal, Fail> {
    text.parse().map_err(|error| Fail::unreadable("cost", &error))
}

fn identity(bytes: &[u8]) -> Result<Identity, Fail> {
    let bytes = bytes.try_into().map_err(|error| Fail::unreadable("identity", &error))?;
    Ok(Identity::from_bytes(bytes))
}

fn saved_content(
    size: Option<u64>,
    modified: Option<u64>,
    digest: Option<[u8; 32]>,
) -> Option<SavedContent> {
    Some(SavedContent { size: size?, modified: Time::from_millis(modified?), digest: digest? })
}

/// A path as a column holds it: text wherever it can be, else the system's bytes.
pub(crate) struct PathColumn<'a>(pub(crate) &'a Path);

impl ToSql for PathColumn<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0.to_str() {
            Some(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            None => ToSqlOutput::Owned(Value::Blob(self.0.as_os_str().as_encoded_bytes().to_vec())),
        })
    }
}

/// A path out of a column. Bytes of another system name nothing here: the picture is not there, and
/// is fetched again.
fn path(column: ValueRef<'_>) -> Option<PathBuf> {
    match column {
        ValueRef::Text(text) => Some(PathBuf::from(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Some(of_bytes(bytes).into()),
        _ => None,
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

/// All there is to know of a row but its pictures, in the order [`Columns`] reads it.
pub(crate) const SELECT: &str = "
    SELECT r.number, r.identity, r.origin, r.template, r.width, r.height, r.image, r.likeness,
        r.key, r.tag, r.target, r.state, r.attempts, r.reason, r.renewals, r.begun, r.changed,
        r.owner, t.number, t.id, t.submitted, t.finished, t.cost, t.code, t.message,
        (SELECT group_concat(cost, ' ') FROM tasks WHERE row = r.number) AS costs
    FROM rows r LEFT JOIN tasks t ON t.number = r.task";

const OWNER_GONE: &str = "its process is gone, and left no answer behind";
