//! Reads the rows of a journal from its database, SQLite or Postgres: [`find`] (by number, identity, task
//! or file) and [`get`] (by number) give a [`Record`], with all that is known of the row; an intent whose
//! owner is gone is read as doubtful. `Store`, `import.rs` and `spilled_tasks.rs` call them, and `queries.rs`
//! reads pages of rows with [`SELECT`] and [`Columns`]; `budget.rs`, `prune.rs` and `row_snapshot.rs` use its
//! readers of costs and attempts.

use std::collections::HashMap;
use std::path::PathBuf;

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Size, Template, Time};
use effects_jobs::{
    Attempt, Identity, PictureRecord, Record, Row, RowName, RowState, SavedContent,
};
use rust_decimal::Decimal;

use crate::database::{DatabaseError, Fields, SqlValue, values};
use crate::transaction::{Fail, Transaction};

/// A row with all there is to know of it; whether it is free to be taken is in its record's holder.
pub(crate) fn find(tx: &Transaction<'_>, name: &RowName) -> Result<Option<Record>, Fail> {
    let read = |condition: &str, values: &[SqlValue<'_>]| -> Result<Option<Record>, Fail> {
        let found = tx.database.find(&format!("{SELECT} WHERE {condition}"), values)?;
        found.map(|row| Columns::read(&row)?.record(tx, None)).transpose()
    };
    match name {
        RowName::Number(number) => read("r.number = ?1", values![number.0]),
        RowName::Identity(identity) => read("r.identity = ?1", values![identity.as_bytes()]),
        // A row's former task names it as well.
        RowName::Task(origin, task) => read(
            "r.number IN (SELECT row FROM tasks WHERE id = ?1) AND r.origin = ?2
             ORDER BY r.number DESC LIMIT 1",
            values![task.as_str(), origin.to_string()],
        ),
        // A later row may have been saved over the file: what is in it is the last one's picture.
        RowName::Picture(path) => read(
            "r.number = (SELECT t.row FROM pictures p JOIN tasks t ON t.number = p.task
             WHERE p.path = ?1 ORDER BY p.modified DESC NULLS LAST, p.task DESC LIMIT 1)",
            values![path.as_path()],
        ),
    }
}

/// The row with this number.
pub(crate) fn get(tx: &Transaction<'_>, number: RowNumber) -> Result<Record, Fail> {
    let found = find(tx, &RowName::Number(number))?;
    found.ok_or(Fail::Known(JournalError::NoSuchRow(number)))
}

/// The pictures of tasks, by the tasks' numbers.
pub(crate) type PicturesByTask = HashMap<i64, Vec<PictureRecord>>;

/// The pictures of the current tasks of the rows that a condition on `rows r` names.
pub(crate) fn pictures_of(
    tx: &Transaction<'_>,
    condition: &str,
    values: &[SqlValue<'_>],
) -> Result<PicturesByTask, Fail> {
    let sql = format!(
        "SELECT {PICTURE}, p.task FROM rows r JOIN pictures p ON p.task = r.task
         WHERE {condition} ORDER BY p.task, p.place"
    );
    let mut pictures = PicturesByTask::new();
    tx.database.each(&sql, values, &mut |row| {
        pictures.entry(row.get(5)?).or_default().push(read_picture(&row)?);
        Ok(())
    })?;
    Ok(pictures)
}

/// What [`read_picture`] reads.
const PICTURE: &str = "url, path, size, modified, digest";

fn read_picture(row: &Fields) -> Result<PictureRecord, DatabaseError> {
    let content = saved_content(row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(PictureRecord { url: row.get(0)?, path: row.get(1)?, content })
}

/// The columns of a row and its current task, as the database has them.
pub(crate) struct Columns {
    number: u64,
    identity: [u8; 32],
    origin: String,
    template: String,
    size: Size,
    image: String,
    likeness: [u8; 32],
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
    /// The completed task of a row whose new order has no end yet.
    paid_picture: Option<TaskColumns>,
    failed_order: Option<TaskColumns>,
    /// The parameters that this program does not know, as a JSON object.
    params: Option<String>,
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
    pub(crate) fn read(row: &Fields) -> Result<Self, DatabaseError> {
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
            target: row.get(10)?,
            state: row.get(11)?,
            attempts: row.get(12)?,
            reason: row.get(13)?,
            renewals: row.get(14)?,
            begun: row.get(15)?,
            changed: row.get(16)?,
            owner: row.get(17)?,
            task: TaskColumns::read(row, 18)?,
            costs: row.get(25)?,
            failed_order: TaskColumns::read(row, 26)?,
            paid_picture: TaskColumns::read(row, 33)?,
            params: row.get(40)?,
        })
    }

    pub(crate) fn number(&self) -> RowNumber {
        RowNumber(self.number)
    }

    /// The record; `pictures` are those of its page, if they are read already.
    pub(crate) fn record(
        self,
        tx: &Transaction<'_>,
        pictures: Option<&PicturesByTask>,
    ) -> Result<Record, Fail> {
        let held = matches!(self.state.as_str(), "intent" | "created" | "released");
        let holder = if held { tx.holder(self.owner)? } else { None };
        let state = self.state(tx, holder.is_some(), pictures)?;
        let failed_order = self.failed_order.as_ref().map(TaskColumns::failed).transpose()?;
        let paid_picture = self.paid_picture.as_ref();
        let paid_picture = paid_picture.map(|task| task.completed(tx, None)).transpose()?;
        let costs = self.costs.as_deref().unwrap_or_default().split_whitespace();
        // Added as decimals: a sum in SQLite would be one of binary fractions.
        let paid = costs.map(decimal).sum::<Result<_, _>>()?;
        let template = self.template.parse().or_else(|_| Template::unlisted(&self.template));
        let params = self.params.as_deref().map(str::parse).transpose();
        let row = Row {
            identity: Identity::from_bytes(self.identity),
            origin: self.origin.try_into().map_err(|error| Fail::unreadable("origin", &error))?,
            template: template.map_err(|error| Fail::unreadable("template", &error))?,
            size: self.size,
            params: params.map_err(|error| Fail::unreadable("params", &error))?.unwrap_or_default(),
            image: self.image,
            likeness: Identity::from_bytes(self.likeness),
            key: self.key,
            tag: self.tag,
            target: self.target,
        };
        Ok(Record {
            number: RowNumber(self.number),
            row,
            state,
            begun: Time::from_millis(self.begun),
            changed: Time::from_millis(self.changed),
            renewals: self.renewals,
            paid,
            holder,
            paid_picture: paid_picture.map(Box::new),
            failed_order: failed_order.map(Box::new),
        })
    }

    /// Where the row stands. An intent whose owner is gone is doubtful from the first look on.
    fn state(
        &self,
        tx: &Transaction<'_>,
        held: bool,
        pictures: Option<&PicturesByTask>,
    ) -> Result<RowState, Fail> {
        let reason = || self.reason.clone().unwrap_or_default();
        let task = || self.task.as_ref().ok_or_else(|| Fail::unreadable("task", &"it has none"));
        Ok(match self.state.as_str() {
            "intent" if held => RowState::Intent { attempts: attempts(self.attempts.as_deref())? },
            "intent" => RowState::Doubtful {
                attempts: attempts(self.attempts.as_deref())?,
                reason: OWNER_GONE.to_owned(),
            },
            "doubtful" => RowState::Doubtful {
                attempts: attempts(self.attempts.as_deref())?,
                reason: reason(),
            },
            "created" => task()?.created()?,
            "completed" => task()?.completed(tx, pictures)?,
            "failed" => task()?.failed()?,
            _ => RowState::Released { reason: reason() },
        })
    }
}

impl TaskColumns {
    /// The task whose columns begin at this place, if there is one.
    fn read(row: &Fields, first: usize) -> Result<Option<Self>, DatabaseError> {
        let Some(number) = row.get(first)? else { return Ok(None) };
        Ok(Some(Self {
            number,
            id: row.get(first + 1)?,
            submitted: row.get(first + 2)?,
            finished: row.get(first + 3)?,
            cost: row.get(first + 4)?,
            code: row.get(first + 5)?,
            message: row.get(first + 6)?,
        }))
    }

    fn created(&self) -> Result<RowState, Fail> {
        let (task, submitted) = (self.id()?, Time::from_millis(self.submitted));
        Ok(RowState::Created { task, submitted })
    }

    fn completed(
        &self,
        tx: &Transaction<'_>,
        pictures: Option<&PicturesByTask>,
    ) -> Result<RowState, Fail> {
        let pictures = match pictures {
            Some(known) => known.get(&self.number).cloned().unwrap_or_default(),
            None => {
                let sql = format!("SELECT {PICTURE} FROM pictures WHERE task = ?1 ORDER BY place");
                let pictures = tx.database.query(&sql, values![self.number])?;
                pictures.iter().map(read_picture).collect::<Result<_, _>>()?
            }
        };
        Ok(RowState::Completed {
            task: self.id()?,
            submitted: Time::from_millis(self.submitted),
            finished: self.finished(),
            cost: self.cost.as_deref().map(decimal).transpose()?,
            pictures,
        })
    }

    fn failed(&self) -> Result<RowState, Fail> {
        Ok(RowState::Failed {
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

fn saved_content(
    size: Option<u64>,
    modified: Option<u64>,
    digest: Option<[u8; 32]>,
) -> Option<SavedContent> {
    Some(SavedContent { size: size?, modified: Time::from_millis(modified?), digest: digest? })
}

/// All there is to know of a row but its pictures, in the order [`Columns`] reads it. A later task than
/// a completed row's is of a new order that failed, unless it is the sum that an import booked for several
/// (`queries::SUM_OF_TASKS`).
pub(crate) const SELECT: &str = "
    SELECT r.number, r.identity, r.origin, r.template, r.width, r.height, r.image, r.likeness,
        r.key, r.tag, r.target, r.state, r.attempts, r.reason, r.renewals, r.begun, r.changed,
        r.owner, t.number, t.id, t.submitted, t.finished, t.cost, t.code, t.message,
        (SELECT string_agg(cost, ' ') FROM tasks WHERE row = r.number) AS costs,
        f.number, f.id, f.submitted, f.finished, f.cost, f.code, f.message,
        k.number, k.id, k.submitted, k.finished, k.cost, k.code, k.message, r.params
    FROM rows r LEFT JOIN tasks t ON t.number = r.task
    LEFT JOIN tasks k ON r.former_completed = 1 AND k.number = r.former
    LEFT JOIN tasks f ON r.state = 'completed'
        AND f.number = (SELECT max(number) FROM tasks WHERE row = r.number AND number > r.task
            AND (length(id) <> 64 OR finished IS DISTINCT FROM submitted))";

const OWNER_GONE: &str = "its process is gone, and left no answer behind";
