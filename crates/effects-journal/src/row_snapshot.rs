//! [`RowSnapshot`]: the columns of a row that decide on its next step, with its [`RowStage`] (its
//! state), and the updates that several steps share. `transitions.rs`, `settle.rs` and `import.rs` read one
//! before most of their writes, and the first passes it to `budget.rs`. [`RowHold`]: identifies a run within
//! its owner, so that a write is refused where another run has the row; `Store` makes one for each
//! `RowLease`.

use effects_core::{TaskId, Time};
use effects_jobs::{Attempt, Identity, Row};
use rust_decimal::Decimal;

use crate::database::{Fields, values};
use crate::reservation::note_reservation;
use crate::rows::{attempts, decimal};
use crate::transaction::{Fail, Transaction};

/// Identifies one run within its owner: the owner's number for it, and the row that it holds.
#[derive(Clone, Debug)]
pub(crate) struct RowHold {
    pub(crate) row: Row,
    pub(crate) number: i64,
    /// The task with a verdict that a new one is to replace, and what its row was when it was taken in hand.
    pub(crate) renews: Option<(i64, RowStage)>,
}

/// The columns of a row that decide on its next step.
pub(crate) struct RowSnapshot {
    pub(crate) number: u64,
    pub(crate) state: RowStage,
    pub(crate) owner: Option<i64>,
    pub(crate) hold: Option<i64>,
    pub(crate) task: Option<i64>,
    /// How many tasks it holds a reservation for.
    pub(crate) open_tasks: u64,
    attempts: Option<String>,
}

/// A task that a row has.
pub(crate) struct KnownTask {
    pub(crate) number: i64,
    /// What it cost, as far as is known, in USD.
    pub(crate) cost: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RowStage {
    Intent,
    Doubtful,
    Created,
    Completed,
    Failed,
    Released,
}

impl RowSnapshot {
    pub(crate) fn find(tx: &Transaction<'_>, identity: &Identity) -> Result<Option<Self>, Fail> {
        let sql = "SELECT number, state, owner, claim, task, attempts, open_tasks FROM rows
             WHERE identity = ?1";
        let found = tx.database.find(sql, values![identity.as_bytes()])?;
        found.map(|row| Self::read(&row)).transpose()
    }

    /// The row, and this task if it is one of its tasks.
    pub(crate) fn find_with(
        tx: &Transaction<'_>,
        identity: &Identity,
        task: &TaskId,
    ) -> Result<Option<(Self, Option<KnownTask>)>, Fail> {
        let sql = "SELECT r.number, r.state, r.owner, r.claim, r.task, r.attempts, r.open_tasks,
                t.number, t.cost
            FROM rows r LEFT JOIN tasks t ON t.row = r.number AND t.id = ?2 WHERE r.identity = ?1";
        let values = values![identity.as_bytes(), task.as_str()];
        let Some(row) = tx.database.find(sql, values)? else { return Ok(None) };
        let cost: Option<String> = row.get(8)?;
        let cost = cost.as_deref().map(decimal).transpose()?;
        let number: Option<i64> = row.get(7)?;
        Ok(Some((Self::read(&row)?, number.map(|number| KnownTask { number, cost }))))
    }

    fn read(row: &Fields) -> Result<Self, Fail> {
        let state: String = row.get(1)?;
        Ok(Self {
            number: row.get(0)?,
            state: match state.as_str() {
                "intent" => RowStage::Intent,
                "doubtful" => RowStage::Doubtful,
                "created" => RowStage::Created,
                "completed" => RowStage::Completed,
                "failed" => RowStage::Failed,
                // The table admits no other.
                _ => RowStage::Released,
            },
            owner: row.get(2)?,
            hold: row.get(3)?,
            task: row.get(4)?,
            attempts: row.get(5)?,
            open_tasks: row.get(6)?,
        })
    }

    pub(crate) fn is_of(&self, tx: &Transaction<'_>, hold: &RowHold) -> bool {
        self.is_held_by(tx.me.id, hold)
    }

    pub(crate) fn is_held_by(&self, owner: i64, hold: &RowHold) -> bool {
        self.owner == Some(owner) && self.hold == Some(hold.number)
    }

    /// Whether a task may still come of what was sent for it.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, RowStage::Intent | RowStage::Doubtful | RowStage::Released)
    }

    pub(crate) fn attempts(&self) -> Result<Vec<Attempt>, Fail> {
        attempts(self.attempts.as_deref())
    }

    /// Whether a run may write an intent for it.
    pub(crate) fn may_intend(&self, tx: &Transaction<'_>, hold: &RowHold) -> Result<bool, Fail> {
        let mine = self.is_of(tx, hold);
        Ok(match self.state {
            RowStage::Intent => mine,
            // The run that released it may submit it again while it lives.
            RowStage::Released => mine || tx.holder(self.owner)?.is_none(),
            // A verdict that was told otherwise since is another one.
            RowStage::Failed | RowStage::Completed => {
                hold.renews.is_some() && hold.renews == self.task.map(|task| (task, self.state))
            }
            RowStage::Doubtful | RowStage::Created => false,
        })
    }

    pub(crate) fn submit(
        &self,
        tx: &Transaction<'_>,
        hold: &RowHold,
        open: &[Attempt],
    ) -> Result<(), Fail> {
        let sql = "UPDATE rows SET state = 'intent', attempts = ?2, reason = NULL, changed = ?3,
            owner = ?4, claim = ?5 WHERE number = ?1";
        let now = tx.now.as_millis();
        tx.later(sql, values![self.number, json(open), now, tx.me.id, hold.number])?;
        Ok(())
    }

    /// `open` are the attempts that are still of unknown outcome; `holder` is the owner, and the number of
    /// its run, that follows the task.
    pub(crate) fn give_task(
        &self,
        tx: &Transaction<'_>,
        task: &TaskId,
        at: Time,
        open: &[Attempt],
        holder: Option<(i64, i64)>,
    ) -> Result<(), Fail> {
        let sql = "INSERT INTO tasks (row, id, submitted) VALUES (?1, ?2, ?3) RETURNING number";
        let made = values![self.number, task.as_str(), at.as_millis()];
        let number: i64 = tx.database.get(sql, made)?.get(0)?;
        // A completed task is the row's again where the new one fails.
        let sql = "UPDATE rows SET state = 'created', task = ?2, reason = NULL,
            former = CASE WHEN former_completed = 1 THEN former END, changed = ?3, attempts = ?4,
            owner = ?5, claim = ?6, open_tasks = ?7
                + (SELECT count(*) FROM tasks WHERE row = ?1 AND finished IS NULL)
            WHERE number = ?1";
        let attempts = (!open.is_empty()).then(|| json(open));
        let (owner, claim) = holder.unzip();
        let (now, open) = (tx.now.as_millis(), open.len() as u64);
        tx.later(sql, values![self.number, number, now, attempts, owner, claim, open])?;
        Ok(())
    }

    pub(crate) fn free(&self, tx: &Transaction<'_>) -> Result<(), Fail> {
        let sql = "UPDATE rows SET owner = NULL, claim = NULL WHERE number = ?1";
        tx.later(sql, values![self.number])?;
        // A released row without a run keeps no reservation.
        note_reservation(tx, self.number)
    }
}

/// Open attempts, as they are kept.
pub(crate) fn json(attempts: &[Attempt]) -> String {
    // Plain texts and numbers always have a JSON form.
    serde_json::to_string(attempts).unwrap_or_default()
}
