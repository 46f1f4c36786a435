//! Of a row, what decides on its next step, and the changes most steps are made of.

use effects_core::{Attempt, Identity, TaskId, Time};
use rusqlite::{OptionalExtension, params};

use crate::desk::{Desk, Fail};
use crate::rows::attempts;
use crate::steps::Claim;

/// Of a row, what decides on its next step.
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) state: State,
    pub(crate) owner: Option<i64>,
    pub(crate) claim: Option<i64>,
    pub(crate) task: Option<i64>,
    attempts: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Intent,
    Doubtful,
    Created,
    Completed,
    Failed,
    Released,
}

impl Line {
    pub(crate) fn find(desk: &Desk<'_>, identity: &Identity) -> Result<Option<Self>, Fail> {
        let sql =
            "SELECT number, state, owner, claim, task, attempts FROM rows WHERE identity = ?1";
        let mut query = desk.database.prepare_cached(sql)?;
        let line = query.query_row(params![identity.as_bytes()], |row| {
            let state: String = row.get(1)?;
            Ok(Self {
                number: row.get(0)?,
                state: match state.as_str() {
                    "intent" => State::Intent,
                    "doubtful" => State::Doubtful,
                    "created" => State::Created,
                    "completed" => State::Completed,
                    "failed" => State::Failed,
                    // The table admits no other.
                    _ => State::Released,
                },
                owner: row.get(2)?,
                claim: row.get(3)?,
                task: row.get(4)?,
                attempts: row.get(5)?,
            })
        });
        Ok(line.optional()?)
    }

    pub(crate) fn is_of(&self, desk: &Desk<'_>, claim: &Claim) -> bool {
        self.owner == Some(desk.me.id) && self.claim == Some(claim.number)
    }

    pub(crate) fn attempts(&self) -> Result<Vec<Attempt>, Fail> {
        attempts(self.attempts.as_deref())
    }

    /// The number of a task of this row.
    pub(crate) fn task_number(&self, desk: &Desk<'_>, task: &TaskId) -> Result<Option<i64>, Fail> {
        let sql = "SELECT number FROM tasks WHERE id = ?1 AND row = ?2";
        let mut query = desk.database.prepare_cached(sql)?;
        let values = params![task.as_str(), self.number];
        Ok(query.query_row(values, |row| row.get(0)).optional()?)
    }

    pub(crate) fn submit(
        &self,
        desk: &Desk<'_>,
        claim: &Claim,
        attempt: &Attempt,
    ) -> Result<(), Fail> {
        let sql = "UPDATE rows SET state = 'intent', attempts = ?2, reason = NULL, changed = ?3,
            owner = ?4, claim = ?5 WHERE number = ?1";
        let open = json(std::slice::from_ref(attempt));
        let now = desk.now.as_millis();
        desk.run(sql, params![self.number, open, now, desk.me.id, claim.number])?;
        Ok(())
    }

    pub(crate) fn give_task(&self, desk: &Desk<'_>, task: &TaskId, at: Time) -> Result<(), Fail> {
        let sql = "INSERT INTO tasks (row, id, submitted) VALUES (?1, ?2, ?3)";
        desk.run(sql, params![self.number, task.as_str(), at.as_millis()])?;
        let sql = "UPDATE rows SET state = 'created', task = ?2, former = NULL, reason = NULL,
            changed = ?3 WHERE number = ?1";
        let number = desk.database.last_insert_rowid();
        desk.run(sql, params![self.number, number, desk.now.as_millis()])?;
        Ok(())
    }

    pub(crate) fn free(&self, desk: &Desk<'_>) -> Result<(), Fail> {
        let sql = "UPDATE rows SET owner = NULL, claim = NULL WHERE number = ?1";
        desk.run(sql, params![self.number])?;
        Ok(())
    }
}

/// Open attempts, as they are kept.
pub(crate) fn json(attempts: &[Attempt]) -> String {
    // Plain texts and numbers always have a JSON form.
    serde_json::to_string(attempts).unwrap_or_default()
}
