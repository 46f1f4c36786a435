//! Moves ids of paid tasks between the rows and the spill file: [`insert_spilled`] writes one from the file
//! into its row, and [`held_tasks`] lists those of this process's open tasks, which `WriterThread` writes
//! to the file if someone deletes, moves or replaces the database file. `WriterThread` calls both, the
//! Postgres `Writer` the first.

use effects_core::journal::RowNumber;
use effects_jobs::{RowName, RowState};

use crate::database::values;
use crate::row_snapshot::RowHold;
use crate::rows;
use crate::spill::Spilled;
use crate::transaction::{Fail, Transaction};
use crate::transitions::create;

/// The id of a task that could not be written when it came; whether it has a row now. The row of its
/// run may be in another journal.
pub(crate) fn insert_spilled(tx: &Transaction<'_>, spilled: &Spilled) -> Result<bool, Fail> {
    // One spill file may serve several journals.
    let Some(record) = rows::find(tx, &RowName::Identity(spilled.identity))? else {
        return Ok(false);
    };
    let Spilled { owner, hold, task_id, request_id, at, .. } = spilled;
    let hold = RowHold { row: record.row, number: *hold, renews: None };
    // Where its row was given away meanwhile, it has one of its own.
    let _kept = create(tx, *owner, &hold, task_id, request_id.as_deref(), *at)?;
    Ok(true)
}

/// The tasks that this owner follows, as the spill file keeps them.
pub(crate) fn held_tasks(tx: &Transaction<'_>) -> Result<Vec<Spilled>, Fail> {
    let sql = "SELECT r.number, r.claim FROM rows r WHERE r.owner = ?1 AND r.state = 'created'";
    let mut tasks = Vec::new();
    for held in tx.database.query(sql, values![tx.me.id])? {
        let (number, hold) = (held.get(0)?, held.get(1)?);
        let record = rows::get(tx, RowNumber(number))?;
        if let RowState::Created { task, submitted } = record.state {
            let (identity, owner) = (record.row.identity, tx.me.id);
            // The attempt that made the task left the row when its id was written.
            let (task_id, request_id, at) = (task, None, submitted);
            tasks.push(Spilled { identity, owner, hold, task_id, request_id, at });
        }
    }
    Ok(tasks)
}
