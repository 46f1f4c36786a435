//! Records how a run ended, within a transaction. [`settle`] writes a task's verdict, cost and links to
//! pictures (and its id, if the journal lacks it) and books the cost in budgets; or it notes that a
//! submission's outcome is not known, or lets go of an abandoned row. [`record_saved_picture`] writes where
//! a picture was saved. `RowLease` has the writer thread call both; `import.rs` calls them for imported
//! rows.

use std::path::Path;

use effects_core::journal::RowOutcome;
use effects_core::{ServiceCode, TaskId};
use effects_jobs::SavedContent;
use rust_decimal::Decimal;

use crate::budget;
use crate::database::values;
use crate::reservation::note_reservation;
use crate::row_snapshot::{KnownTask, RowHold, RowSnapshot, RowStage};
use crate::transaction::{Fail, Transaction};
use crate::transitions::create;

/// Records how a run ended.
pub(crate) fn settle(tx: &Transaction<'_>, hold: &RowHold, end: &RowOutcome) -> Result<(), Fail> {
    match end {
        RowOutcome::Completed { task, cost, pictures } => {
            let verdict =
                StepVerdict { state: "completed", cost: *cost, code: None, message: None };
            // Without a row of its own there is no task here to keep pictures of.
            let Some(task) = conclude(tx, hold, task, &verdict)? else {
                return Ok(());
            };
            for (index, url) in (0_u32..).zip(pictures) {
                // Settled again, the newer link counts, and the path of a saved picture stays.
                let sql = "INSERT INTO pictures (task, place, url) VALUES (?1, ?2, ?3)
                    ON CONFLICT (task, place) DO UPDATE SET url = excluded.url";
                tx.later(sql, values![task, index, url.as_str()])?;
            }
            Ok(())
        }
        RowOutcome::Failed { task, code, message, cost } => {
            let (code, message) = (code.as_ref(), Some(message.as_str()));
            let verdict = StepVerdict { state: "failed", cost: *cost, code, message };
            conclude(tx, hold, task, &verdict).map(drop)
        }
        RowOutcome::Unknown { reason } => doubt(tx, hold, reason),
        RowOutcome::Abandoned => release_hold(tx, hold),
    }
}

/// Records where a picture of the row's task was saved.
pub(crate) fn record_saved_picture(
    tx: &Transaction<'_>,
    hold: &RowHold,
    index: u32,
    path: &Path,
    content: Option<SavedContent>,
) -> Result<(), Fail> {
    // The URL stays as it was seen: saving a picture does not make its link known.
    let sql = "INSERT INTO pictures (task, place, url, path, size, modified, digest)
        SELECT task, ?2, '', ?3, ?4, ?5, ?6 FROM rows WHERE identity = ?1 AND task IS NOT NULL
        ON CONFLICT (task, place) DO UPDATE SET path = excluded.path, size = excluded.size,
            modified = excluded.modified, digest = excluded.digest";
    let values = values![
        hold.row.identity.as_bytes(),
        index,
        path,
        content.map(|content| content.size),
        content.map(|content| content.modified.as_millis()),
        content.map(|content| content.digest),
    ];
    tx.later(sql, values)?;
    Ok(())
}

struct StepVerdict<'a> {
    state: &'static str,
    cost: Option<Decimal>,
    code: Option<&'a ServiceCode>,
    message: Option<&'a str>,
}

/// A verdict is a fact about a task, whichever run saw it; the task's number. What is known already and
/// was not said again stays.
fn conclude(
    tx: &Transaction<'_>,
    hold: &RowHold,
    task: &TaskId,
    verdict: &StepVerdict<'_>,
) -> Result<Option<i64>, Fail> {
    let find = || RowSnapshot::find_with(tx, &hold.row.identity, task);
    let mut found = find()?;
    if let Some((_, None)) = found {
        // Its id never reached the journal, and this does.
        let written = create(tx, tx.me.id, hold, task, None, tx.now)?;
        // Given away meanwhile: its verdict is booked with the row that has it now.
        found = if written.is_ok() { find()? } else { None };
    }
    let Some((snapshot, Some(KnownTask { number, cost: before }))) = found else { return Ok(None) };
    let was_unreadable = snapshot.state == RowStage::Completed && before.is_none();
    // The first verdict sets the time. A later one may add a cost or a reason, and
    // takes neither away.
    let sql = "UPDATE tasks SET finished = coalesce(finished, ?2), cost = coalesce(?3, cost),
        code = coalesce(?4, code), message = coalesce(?5, message) WHERE number = ?1";
    let cost = verdict.cost.map(|cost| cost.to_string());
    let code = verdict.code.map(ServiceCode::as_str);
    tx.later(sql, values![number, tx.now.as_millis(), cost, code, verdict.message])?;
    // The verdict of an earlier task changes what that one cost, and not where the row stands.
    let is_current = snapshot.task == Some(number);
    if is_current {
        let is_unreadable =
            verdict.state == "completed" && verdict.cost.is_none() && before.is_none();
        budget::note_unreadable(tx, &hold.row, snapshot.number, was_unreadable, is_unreadable)?;
    }
    // The same verdict again books nothing: scopes hold sums, so each cost is added once.
    if let Some(cost) = verdict.cost.filter(|cost| before != Some(*cost)) {
        budget::book(tx, &hold.row, cost, before)?;
    }
    if !is_current {
        note_reservation(tx, snapshot.number)?;
        return Ok(Some(number));
    }
    // Where a new order of a completed row fails, the row is completed as it was.
    let sql = "UPDATE rows SET owner = NULL, claim = NULL, reason = NULL, changed = ?3,
            task = CASE WHEN ?2 = 'failed' THEN coalesce(former, task) ELSE task END,
            state = CASE WHEN ?2 = 'failed' AND former IS NOT NULL THEN 'completed' ELSE ?2 END,
            former = NULL,
            open_tasks = json_array_length(coalesce(attempts, '[]'))
                + (SELECT count(*) FROM tasks WHERE row = ?1 AND finished IS NULL)
        WHERE number = ?1";
    tx.later(sql, values![snapshot.number, verdict.state, tx.now.as_millis()])?;
    Ok(Some(number))
}

fn doubt(tx: &Transaction<'_>, hold: &RowHold, reason: &str) -> Result<(), Fail> {
    let snapshot = RowSnapshot::find(tx, &hold.row.identity)?;
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.is_of(tx, hold)) else {
        return Ok(());
    };
    if snapshot.state == RowStage::Intent {
        // It stays the owner's: should the answer come after all, it is the owner's to record.
        let sql = "UPDATE rows SET state = 'doubtful', reason = ?2, changed = ?3 WHERE number = ?1";
        tx.later(sql, values![snapshot.number, reason, tx.now.as_millis()])?;
    }
    Ok(())
}

fn release_hold(tx: &Transaction<'_>, hold: &RowHold) -> Result<(), Fail> {
    let snapshot = RowSnapshot::find(tx, &hold.row.identity)?;
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.is_of(tx, hold)) else {
        return Ok(());
    };
    match snapshot.state {
        RowStage::Intent => doubt(tx, hold, "its run ended, and said nothing of an answer"),
        RowStage::Created | RowStage::Released => snapshot.free(tx),
        RowStage::Doubtful | RowStage::Completed | RowStage::Failed => Ok(()),
    }
}
