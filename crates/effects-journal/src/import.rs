//! Takes in rows as another journal knows them, within a transaction: [`import`] writes a row with its
//! state, what its tasks cost and where its pictures are, and [`import_order`] an unfinished new order of a
//! completed row. `Store` has the writer thread call them for `JournalStore::import` and
//! `JournalStore::import_order`; the command uses those to import lines of `manifest.jsonl`, in batches and
//! `effects journal rebuild`.

use effects_core::journal::{JournalError, RowNumber, RowOutcome};
use effects_core::{TaskId, Time};
use effects_jobs::{Attempt, Identity, Record, Row, RowState};
use rust_decimal::Decimal;

use crate::database::values;
use crate::reservation::note_reservation;
use crate::row_snapshot::{KnownTask, RowHold, RowSnapshot, RowStage, json};
use crate::settle::{record_saved_picture, settle};
use crate::transaction::{Fail, Transaction};
use crate::transitions::{insert, refuse_known_task, replace};
use crate::{budget, rows};

/// Takes in a row as another journal knows it; whether it did. Of a row that this journal knows, only what
/// its tasks cost is taken in.
pub(crate) fn import(
    tx: &Transaction<'_>,
    row: &Row,
    state: &RowState,
    earlier: Decimal,
) -> Result<bool, Fail> {
    // Nothing was made of a released row.
    if matches!(state, RowState::Released { .. }) {
        return Ok(false);
    }
    let known = RowSnapshot::find(tx, &row.identity)?;
    if let Some(snapshot) = &known
        && !replace(tx, row)?
    {
        // How the row stands, this journal knows better.
        import_costs(tx, snapshot, state, earlier)?;
        return Ok(false);
    }
    if let Some(task) = state.task() {
        refuse_known_task(tx, &row.origin, task)?;
    }
    if known.is_none() {
        // Begun as released, it goes on by the same steps as a row of this journal.
        insert(tx, row, "released", &[], None, None)?;
    }
    let inserted = RowSnapshot::find(tx, &row.identity)?;
    let snapshot = inserted.ok_or_else(|| Fail::unreadable("row", &"it is gone again"))?;
    import_earlier(tx, row, &snapshot, submitted_at(tx, state), earlier)?;
    match state {
        RowState::Intent { attempts } => {
            import_doubt(tx, &snapshot, attempts, ITS_OWNER_IS_ELSEWHERE)?;
        }
        RowState::Doubtful { attempts, reason } => import_doubt(tx, &snapshot, attempts, reason)?,
        other => {
            let (Some(task), Some(submitted)) = (other.task(), other.submitted()) else {
                return Ok(false);
            };
            snapshot.give_task(tx, task, submitted, &[], None)?;
        }
    }
    if let Some(end) = state.row_outcome() {
        import_end(tx, row, state, &end)?;
    }
    note_reservation(tx, snapshot.number)?;
    Ok(true)
}

/// Takes in a new order of a completed row as another journal knows it; whether it did.
pub(crate) fn import_order(
    tx: &Transaction<'_>,
    row: &Identity,
    paid: &TaskId,
    order: &RowState,
) -> Result<bool, Fail> {
    // Only over the very task that is paid for: a row that went another way since is left alone.
    let Some((snapshot, known)) = RowSnapshot::find_with(tx, row, paid)? else { return Ok(false) };
    let is_paid = known.is_some_and(|known| snapshot.task == Some(known.number));
    if snapshot.state != RowStage::Completed || !is_paid {
        return Ok(false);
    }
    let origin = rows::get(tx, RowNumber(snapshot.number))?.row.origin;
    match order {
        RowState::Intent { .. } | RowState::Doubtful { .. } => {}
        RowState::Created { task, .. } => match refuse_known_task(tx, &origin, task) {
            // The row has this very task already: it was taken in before.
            Err(Fail::Known(JournalError::TaskOfAnotherRow { row }))
                if row.0 == snapshot.number =>
            {
                return Ok(false);
            }
            checked => checked?,
        },
        _ => return Ok(false),
    }
    let sql = "UPDATE rows SET former = task, task = NULL, former_completed = 1 WHERE number = ?1";
    tx.later(sql, values![snapshot.number])?;
    match order {
        RowState::Intent { attempts } => {
            import_doubt(tx, &snapshot, attempts, ITS_OWNER_IS_ELSEWHERE)?;
        }
        RowState::Doubtful { attempts, reason } => import_doubt(tx, &snapshot, attempts, reason)?,
        RowState::Created { task, submitted } => {
            snapshot.give_task(tx, task, *submitted, &[], None)?;
        }
        _ => {}
    }
    note_reservation(tx, snapshot.number)?;
    Ok(true)
}

/// A submission by another journal may have made a task.
fn import_doubt(
    tx: &Transaction<'_>,
    snapshot: &RowSnapshot,
    attempts: &[Attempt],
    reason: &str,
) -> Result<(), Fail> {
    let sql = "UPDATE rows SET state = 'doubtful', attempts = ?2, reason = ?3, changed = ?4
        WHERE number = ?1";
    let now = tx.now.as_millis();
    tx.later(sql, values![snapshot.number, json(attempts), reason, now])?;
    Ok(())
}

/// Books what another journal knows to be paid for a known row, and this one has not counted.
fn import_costs(
    tx: &Transaction<'_>,
    snapshot: &RowSnapshot,
    state: &RowState,
    earlier: Decimal,
) -> Result<(), Fail> {
    let Record { row, state: here, .. } = rows::get(tx, RowNumber(snapshot.number))?;
    if let Some(end) = here.outcome_with_cost_of(state) {
        // No run has this number: runs are counted from 1.
        let hold = RowHold { row: row.clone(), number: 0, renews: None };
        settle(tx, &hold, &end)?;
    }
    let cost = state.cost().unwrap_or_default();
    let last = match state.task() {
        None => Decimal::ZERO,
        Some(task) => match RowSnapshot::find_with(tx, &row.identity, task)? {
            // Without a cost it is under way here, and counts with its end.
            Some((_, Some(KnownTask { cost: known, .. }))) => {
                known.map_or(Decimal::ZERO, |known| known.max(cost))
            }
            // It may be the very task of a submission that is open or in doubt here, and counts with its end.
            _ if !here.is_final() => Decimal::ZERO,
            _ => match refuse_known_task(tx, &row.origin, task) {
                Err(Fail::Known(JournalError::TaskOfAnotherRow { .. })) => Decimal::ZERO,
                checked => checked.map(|()| cost)?,
            },
        },
    };
    import_earlier(tx, &row, snapshot, submitted_at(tx, state), earlier + last)
}

/// When the last task of an imported row was submitted, as far as is known.
fn submitted_at(tx: &Transaction<'_>, state: &RowState) -> Time {
    let attempted = || state.attempts().last().map(|attempt| attempt.at);
    state.submitted().or_else(attempted).unwrap_or(tx.now)
}

/// Books what was paid for a row, less what is counted for it already, as one task that failed: the ids of
/// the tasks that cost it are not known.
fn import_earlier(
    tx: &Transaction<'_>,
    row: &Row,
    snapshot: &RowSnapshot,
    at: Time,
    paid: Decimal,
) -> Result<(), Fail> {
    if paid.is_zero() {
        return Ok(());
    }
    // A row that is known, or was in doubt until a person settled that, has costs already.
    let cost = paid - budget::paid_for(tx, &row.identity)?;
    if cost <= Decimal::ZERO {
        return Ok(());
    }
    // No task has such an id.
    let id = row.identity.to_string();
    let sql = "INSERT INTO tasks (row, id, submitted, finished, cost) VALUES (?1, ?2, ?3, ?3, ?4)";
    tx.later(sql, values![snapshot.number, id, at.as_millis(), cost.to_string()])?;
    budget::pay(tx, row, cost)
}

/// The verdict of an imported task, and where its pictures are.
fn import_end(
    tx: &Transaction<'_>,
    row: &Row,
    state: &RowState,
    end: &RowOutcome,
) -> Result<(), Fail> {
    let (RowState::Completed { finished, .. } | RowState::Failed { finished, .. }) = state else {
        return Ok(());
    };
    // Before `settle`, which keeps a time that is there: the verdict is as old as the
    // other journal says.
    let sql = "UPDATE tasks SET finished = ?2
        WHERE number = (SELECT task FROM rows WHERE identity = ?1)";
    tx.later(sql, values![row.identity.as_bytes(), finished.as_millis()])?;
    // No run has this number: runs are counted from 1.
    let hold = RowHold { row: row.clone(), number: 0, renews: None };
    settle(tx, &hold, end)?;
    let RowState::Completed { pictures, .. } = state else { return Ok(()) };
    for (index, picture) in (0_u32..).zip(pictures) {
        if let Some(path) = &picture.path {
            record_saved_picture(tx, &hold, index, path, picture.content)?;
        }
    }
    Ok(())
}

const ITS_OWNER_IS_ELSEWHERE: &str =
    "its submission left by another journal, and its answer is not known here";
