//! The functions that write a journal's row within a transaction, most of them only if its state and holder
//! allow it: [`write()`] makes an entry of a run durable, [`withdraw`] takes an intent back, [`take_over`]
//! gives a created row without a holder to this owner, [`replace`] lets a row ask for something else,
//! [`resolve`] settles a doubtful one with what a person found out. `RowLease` and `Store` hand them to the
//! writer thread. Three files build on these functions: `settle.rs` records how a run ended, `import.rs`
//! takes in rows of another journal, and `spilled_tasks.rs` ids from the spill file.

use std::path::Path;

use effects_core::journal::{Admission, Entry, Fact, JournalError, RowNumber};
use effects_core::{Origin, Size, TaskId, Time};
use effects_jobs::{Attempt, Budget, Identity, Resolution, Row};
use rust_decimal::Decimal;

use crate::budget;
use crate::database::values;
use crate::reservation::{note_reservation, reserve};
use crate::row_snapshot::{RowHold, RowSnapshot, RowStage, json};
use crate::transaction::{Fail, Transaction};

/// What an entry came to: durable, over a budget, or not for this run to write. With it goes the number of
/// the row, where the entry is its intent.
pub(crate) type EntryResult = Result<(Admission, Option<RowNumber>), JournalError>;

/// Makes an entry of a run durable, if it fits into its budgets. Saying the same again changes
/// nothing.
pub(crate) fn write(
    tx: &Transaction<'_>,
    hold: &RowHold,
    budgets: &[Budget],
    entry: &Entry,
) -> Result<EntryResult, Fail> {
    // The run has its machine's clock; leases and budgets go by the store's.
    let at = tx.translate(entry.at);
    match &entry.fact {
        Fact::Intent { request_id, idempotency_key, .. } => {
            let (request_id, idempotency_key) = (request_id.clone(), idempotency_key.clone());
            let attempt = Attempt { request_id, idempotency_key, at };
            intend(tx, hold, budgets, attempt)
        }
        Fact::Created { task_id, request_id } => {
            create(tx, tx.me.id, hold, task_id, request_id.as_deref(), at)
        }
        Fact::Released { reason } => release(tx, hold, reason),
    }
}

/// Takes an intent back whose writing failed: nothing was sent on it, so if it is in the database all
/// the same, it is wrong.
pub(crate) fn withdraw(tx: &Transaction<'_>, hold: &RowHold, request_id: &str) -> Result<(), Fail> {
    let Some(snapshot) = RowSnapshot::find(tx, &hold.row.identity)? else {
        return Ok(());
    };
    // Another run has the row by now, or it went on to another state: this intent is
    // not there any more.
    if !snapshot.is_of(tx, hold) || snapshot.state != RowStage::Intent {
        return Ok(());
    }
    let mut open = snapshot.attempts()?;
    // Earlier attempts of unknown outcome stay: only this one certainly did not leave.
    open.retain(|attempt| attempt.request_id != request_id);
    if open.is_empty() {
        return revert_intent(
            tx,
            &snapshot,
            "its intent could not be confirmed, so nothing was sent",
        );
    }
    let sql = "UPDATE rows SET attempts = ?2, changed = ?3 WHERE number = ?1";
    tx.later(sql, values![snapshot.number, json(&open), tx.now.as_millis()])?;
    note_reservation(tx, snapshot.number)
}

/// Takes over a created row that no owner holds; whether that is still so.
pub(crate) fn take_over(
    tx: &Transaction<'_>,
    identity: &Identity,
    hold: i64,
) -> Result<bool, Fail> {
    let Some(snapshot) = RowSnapshot::find(tx, identity)? else {
        return Ok(false);
    };
    // An intent is not taken over: what became of it is known to its owner alone, or to none.
    if snapshot.state != RowStage::Created || tx.holder(snapshot.owner)?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE rows SET owner = ?2, claim = ?3 WHERE number = ?1";
    tx.later(sql, values![snapshot.number, tx.me.id, hold])?;
    Ok(true)
}

/// Lets a row ask for something else from now on, if nothing was ever made for it; whether that is
/// so.
pub(crate) fn replace(tx: &Transaction<'_>, row: &Row) -> Result<bool, Fail> {
    let snapshot = RowSnapshot::find(tx, &row.identity)?;
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.state == RowStage::Released) else {
        return Ok(false);
    };
    // A live process has the row in hand, and may be about to submit what it asks for now.
    if tx.holder(snapshot.owner)?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE rows SET template = ?2, width = ?3, height = ?4, image = ?5, likeness = ?6,
        tag = ?7, params = ?8 WHERE number = ?1";
    let Size { width, height } = row.size;
    let (image, likeness, tag) = (row.image.as_str(), row.likeness.as_bytes(), row.tag.as_deref());
    let params = params(row);
    let values = values![
        snapshot.number,
        row.template.id(),
        width,
        height,
        image,
        likeness,
        tag,
        params.as_deref()
    ];
    tx.later(sql, values)?;
    Ok(true)
}

/// Sets where the pictures of a row are to be saved.
pub(crate) fn set_target(
    tx: &Transaction<'_>,
    identity: &Identity,
    target: &Path,
) -> Result<(), Fail> {
    let sql = "UPDATE rows SET target = ?2 WHERE identity = ?1";
    tx.later(sql, values![identity.as_bytes(), target])?;
    Ok(())
}

/// Settles a doubtful row with what a person found out.
pub(crate) fn resolve(
    tx: &Transaction<'_>,
    row: &Row,
    number: RowNumber,
    found: &Resolution,
) -> Result<(), Fail> {
    let Some(snapshot) = RowSnapshot::find(tx, &row.identity)? else {
        return Err(JournalError::NoSuchRow(number).into());
    };
    let Resolution::Task(task) = found else {
        // A doubtful row is still its owner's. Freed, any run may submit it again.
        revert_intent(tx, &snapshot, "a person found that nothing was billed")?;
        return snapshot.free(tx);
    };
    // A task in two rows would be booked twice.
    refuse_known_task(tx, &row.origin, task)?;
    // The person does not say which attempt made the task, so the last one gives the time.
    let submitted = snapshot.attempts()?.last().map_or(tx.now, |attempt| attempt.at);
    // The answer is for the whole row: none of its attempts stays in doubt.
    snapshot.give_task(tx, task, submitted, &[], None)
}

/// A task is one row's alone.
pub(crate) fn refuse_known_task(
    tx: &Transaction<'_>,
    origin: &Origin,
    task: &TaskId,
) -> Result<(), Fail> {
    // An id belongs to one gateway. Another gateway may give the same id to a task of its own.
    let sql = "SELECT row FROM tasks JOIN rows r ON r.number = row WHERE id = ?1 AND r.origin = ?2";
    match tx.database.find(sql, values![task.as_str(), origin.to_string()])? {
        None => Ok(()),
        Some(row) => Err(JournalError::TaskOfAnotherRow { row: RowNumber(row.get(0)?) }.into()),
    }
}

/// The number of a row's current task.
pub(crate) fn current_task(tx: &Transaction<'_>, identity: &Identity) -> Result<Option<i64>, Fail> {
    Ok(RowSnapshot::find(tx, identity)?.and_then(|snapshot| snapshot.task))
}

/// Writes an intent, where this run may submit the row ([`RowSnapshot::may_intend`]) and it fits into the
/// budgets; the price of its tasks is reserved.
fn intend(
    tx: &Transaction<'_>,
    hold: &RowHold,
    budgets: &[Budget],
    attempt: Attempt,
) -> Result<EntryResult, Fail> {
    let snapshot = RowSnapshot::find(tx, &hold.row.identity)?;
    if let Some(snapshot) = &snapshot
        && !snapshot.may_intend(tx, hold)?
    {
        return Ok(Err(JournalError::Taken { row: RowNumber(snapshot.number) }));
    }
    let mut open = snapshot.as_ref().map_or(Ok(Vec::new()), RowSnapshot::attempts)?;
    // Said again after an answer of the database was lost, it is the same attempt.
    if open.iter().all(|known| known.request_id != attempt.request_id) {
        open.push(attempt);
    }
    // Each attempt of unknown outcome may have made a task, so the budget has to bear them all.
    let tasks = open.len() as u64;
    // In the transaction that writes the intent: two processes at once cannot both have the last
    // of a budget.
    let price = match budget::ask(tx, &hold.row, budgets, tasks, snapshot.as_ref())? {
        Ok(price) => price,
        Err(refused) => return Ok(Ok((refused, None))),
    };
    // An intent that is written again is for the same task, which pays for nothing new.
    if snapshot.as_ref().is_none_or(|snapshot| snapshot.state != RowStage::Intent) {
        budget::pays_anew(tx, &hold.row.identity)?;
    }
    let number = match snapshot {
        None => insert(tx, &hold.row, "intent", &open, Some(hold.number), price)?,
        Some(snapshot) => {
            if matches!(snapshot.state, RowStage::Failed | RowStage::Completed) {
                // The former task is what the row returns to if nothing comes of the new one. Only
                // a failed row's new task is a renewal; a completed row's is a new order.
                let sql = "UPDATE rows SET former = task, task = NULL,
                        former_completed = CASE WHEN state = 'completed' THEN 1 ELSE 0 END,
                        renewals = CASE WHEN state = 'completed' THEN renewals ELSE renewals + 1 END
                    WHERE number = ?1";
                tx.later(sql, values![snapshot.number])?;
            }
            snapshot.submit(tx, hold, &open)?;
            // Last, since it counts the attempts that were just written.
            reserve(tx, snapshot.number, price)?;
            snapshot.number
        }
    };
    Ok(Ok((Admission::Admitted, Some(RowNumber(number)))))
}

/// The task exists, so it is kept whatever became of the row meanwhile: if the run of this owner lost
/// it, under a row of the task's own.
pub(crate) fn create(
    tx: &Transaction<'_>,
    owner: i64,
    hold: &RowHold,
    task: &TaskId,
    request_id: Option<&str>,
    at: Time,
) -> Result<EntryResult, Fail> {
    let Some((snapshot, known)) = RowSnapshot::find_with(tx, &hold.row.identity, task)? else {
        // The intent never reached this journal, and the task exists all the same.
        insert(tx, &hold.row, "intent", &[], Some(hold.number), None)?;
        return create(tx, owner, hold, task, request_id, at);
    };
    // Said before: a database that lost its answer is asked again.
    if known.is_some() {
        return Ok(WRITTEN);
    }
    // The attempt that made the task is in doubt no more; the others still are.
    let mut attempts = snapshot.attempts()?;
    let named = attempts.iter().position(|open| Some(open.request_id.as_str()) == request_id);
    // A task whose request id is among the row's attempts is the row's, whichever
    // process holds it now.
    let mine = snapshot.is_held_by(owner, hold) || named.is_some();
    // Where no attempt is named, one of them made the task, so one of them leaves the count.
    if let Some(position) = named.or((mine && !attempts.is_empty()).then_some(0)) {
        attempts.remove(position);
    }
    if snapshot.is_open() && mine {
        snapshot.give_task(tx, task, at, &attempts, Some((owner, hold.number)))?;
        return Ok(WRITTEN);
    }
    let kept = insert_row_of_task(tx, hold, task, at)?;
    if mine {
        // A repeated submission made a second task: it is kept as a row of its own.
        let sql = "UPDATE rows SET attempts = ?2 WHERE number = ?1";
        tx.later(sql, values![snapshot.number, json(&attempts)])?;
        note_reservation(tx, snapshot.number)?;
        return Ok(WRITTEN);
    }
    Ok(Err(JournalError::GivenAway { row: RowNumber(snapshot.number), kept: RowNumber(kept) }))
}

/// The number of the row that is this task's alone. It counts in the scopes of the run's row.
fn insert_row_of_task(
    tx: &Transaction<'_>,
    hold: &RowHold,
    task: &TaskId,
    at: Time,
) -> Result<u64, Fail> {
    let identity = Identity::of_task(&hold.row.origin, task);
    // Without the key, which names one row alone: that of the run.
    let row = Row { identity, key: None, ..hold.row.clone() };
    if let Some(snapshot) = RowSnapshot::find(tx, &row.identity)? {
        return Ok(snapshot.number);
    }
    // No run has it in hand, so that any run may take it over.
    insert(tx, &row, "intent", &[], None, None)?;
    let inserted = RowSnapshot::find(tx, &row.identity)?;
    let snapshot = inserted.ok_or_else(|| Fail::unreadable("row", &"it is gone again"))?;
    snapshot.give_task(tx, task, at, &[], None)?;
    // A second task of the same request costs as much as the first.
    let sql = "UPDATE rows SET reserved = (SELECT reserved FROM rows WHERE identity = ?2)
        WHERE number = ?1";
    tx.later(sql, values![snapshot.number, hold.row.identity.as_bytes()])?;
    // It was bought within the same budgets, so they pay for it.
    budget::share_scopes(tx, &hold.row.identity, &row.identity)?;
    Ok(snapshot.number)
}

fn release(tx: &Transaction<'_>, hold: &RowHold, reason: &str) -> Result<EntryResult, Fail> {
    match RowSnapshot::find(tx, &hold.row.identity)? {
        Some(snapshot) if snapshot.is_of(tx, hold) && snapshot.state == RowStage::Intent => {
            revert_intent(tx, &snapshot, reason)?;
        }
        // Said before, or a person was faster: there is nothing left to release.
        _ => {}
    }
    Ok(WRITTEN)
}

/// Nothing was made of what was open: a new task's row is released, that of a renewal has failed as
/// it had before, and that of a new order is completed as it was.
fn revert_intent(tx: &Transaction<'_>, snapshot: &RowSnapshot, reason: &str) -> Result<(), Fail> {
    // A new row stays its run's, which may submit it again. A row with an earlier verdict goes back
    // to that verdict, and to no run.
    let sql = "UPDATE rows SET attempts = NULL, changed = ?2, reason = ?3, former = NULL,
            state = CASE WHEN former IS NULL THEN 'released'
                WHEN former_completed = 1 THEN 'completed' ELSE 'failed' END,
            task = former,
            renewals = CASE WHEN former IS NULL OR former_completed = 1 THEN renewals
                ELSE renewals - 1 END,
            owner = CASE WHEN former IS NULL THEN owner END,
            claim = CASE WHEN former IS NULL THEN claim END
        WHERE number = ?1";
    tx.later(sql, values![snapshot.number, tx.now.as_millis(), reason])?;
    note_reservation(tx, snapshot.number)
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    row: &Row,
    state: &str,
    open: &[Attempt],
    hold: Option<i64>,
    price: Option<Decimal>,
) -> Result<u64, Fail> {
    let sql = "INSERT INTO rows (identity, origin, template, width, height, image, likeness, key,
            tag, target, state, attempts, begun, changed, owner, claim, params, open_tasks, reserved)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?18)
        RETURNING number";
    let params = params(row);
    let values = values![
        row.identity.as_bytes(),
        row.origin.to_string(),
        row.template.id(),
        row.size.width,
        row.size.height,
        row.image.as_str(),
        row.likeness.as_bytes(),
        row.key.as_deref(),
        row.tag.as_deref(),
        row.target.as_deref(),
        state,
        json(open),
        tx.now.as_millis(),
        hold.map(|_| tx.me.id),
        hold,
        params.as_deref(),
        open.len() as u64,
        price.map(|price| price.to_string()),
    ];
    Ok(tx.database.get(sql, values)?.get(0)?)
}

/// An entry that was written, or is there already, and is no intent.
const WRITTEN: EntryResult = Ok((Admission::Admitted, None));

/// The extra parameters of a row, as they are written down; none without.
fn params(row: &Row) -> Option<String> {
    (!row.params.is_empty()).then(|| row.params.to_string())
}
