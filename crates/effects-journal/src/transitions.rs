//! The writes to a row, each within a transaction: [`write()`] an entry, [`settle`] its end, [`land`] a
//! picture, [`resolve`], [`import`] and others. `RowLease` and `Store` hand them to the writer thread;
//! the writer threads themselves call [`take_in`] for ids from the spill file.

use std::path::Path;

use effects_core::journal::{Admission, Entry, Fact, JournalError, RowNumber, RowOutcome};
use effects_core::{Origin, ServiceCode, Size, TaskId, Time};
use effects_jobs::{Attempt, Budget, Identity, Resolution, Row, RowName, RowState, SavedContent};
use rust_decimal::Decimal;

use crate::budget;
use crate::database::values;
use crate::reservation::{note_reservation, reserve};
use crate::row_line::{KnownTask, RowHold, RowLine, RowStage, json};
use crate::rows;
use crate::spill::Spilled;
use crate::transaction::{Fail, Transaction};

/// What an entry came to: durable, over a budget, or not for this run to write.
pub(crate) type EntryResult = Result<Admission, JournalError>;

/// Makes an entry of a run durable, if it fits into its budgets. Saying the same again changes
/// nothing.
pub(crate) fn write(
    tx: &Transaction<'_>,
    claim: &RowHold,
    budgets: &[Budget],
    entry: &Entry,
) -> Result<EntryResult, Fail> {
    // The run has its machine's clock; leases and budgets go by the store's.
    let at = tx.translate(entry.at);
    match &entry.fact {
        Fact::Intent { request_id, idempotency_key, .. } => {
            let (request_id, idempotency_key) = (request_id.clone(), idempotency_key.clone());
            let attempt = Attempt { request_id, idempotency_key, at };
            intend(tx, claim, budgets, attempt)
        }
        Fact::Created { task_id, request_id } => {
            create(tx, tx.me.id, claim, task_id, request_id.as_deref(), at)
        }
        Fact::Released { reason } => release(tx, claim, reason),
    }
}

/// Takes an intent back whose writing failed: nothing was sent on it, so if it is in the database all
/// the same, it is wrong.
pub(crate) fn withdraw(
    tx: &Transaction<'_>,
    claim: &RowHold,
    request_id: &str,
) -> Result<(), Fail> {
    let Some(line) = RowLine::find(tx, &claim.row.identity)? else {
        return Ok(());
    };
    // Another run has the row by now, or it went on to another state: this intent is
    // not there any more.
    if !line.is_of(tx, claim) || line.state != RowStage::Intent {
        return Ok(());
    }
    let mut open = line.attempts()?;
    // Earlier attempts of unknown outcome stay: only this one certainly did not leave.
    open.retain(|attempt| attempt.request_id != request_id);
    if open.is_empty() {
        return unmake(tx, &line, "its intent could not be confirmed, so nothing was sent");
    }
    let sql = "UPDATE rows SET attempts = ?2, changed = ?3 WHERE number = ?1";
    tx.later(sql, values![line.number, json(&open), tx.now.as_millis()])?;
    note_reservation(tx, line.number)
}

/// Records how a run ended.
pub(crate) fn settle(tx: &Transaction<'_>, claim: &RowHold, end: &RowOutcome) -> Result<(), Fail> {
    match end {
        RowOutcome::Completed { task, cost, pictures } => {
            let verdict =
                StepVerdict { state: "completed", cost: *cost, code: None, message: None };
            // Without a row of its own there is no task here to keep pictures of.
            let Some(task) = conclude(tx, claim, task, &verdict)? else {
                return Ok(());
            };
            for (place, url) in (0_u32..).zip(pictures) {
                // Settled again, the newer link counts, and the path of a saved picture stays.
                let sql = "INSERT INTO pictures (task, place, url) VALUES (?1, ?2, ?3)
                    ON CONFLICT (task, place) DO UPDATE SET url = excluded.url";
                tx.later(sql, values![task, place, url.as_str()])?;
            }
            Ok(())
        }
        RowOutcome::Failed { task, code, message, cost } => {
            let (code, message) = (code.as_ref(), Some(message.as_str()));
            let verdict = StepVerdict { state: "failed", cost: *cost, code, message };
            conclude(tx, claim, task, &verdict).map(drop)
        }
        RowOutcome::Unknown { reason } => doubt(tx, claim, reason),
        RowOutcome::Abandoned => let_go(tx, claim),
    }
}

/// Records where a picture of the row's task was saved.
pub(crate) fn land(
    tx: &Transaction<'_>,
    claim: &RowHold,
    place: u32,
    path: &Path,
    content: Option<SavedContent>,
) -> Result<(), Fail> {
    // The URL stays as it was seen: landing a picture does not make its link known.
    let sql = "INSERT INTO pictures (task, place, url, path, size, modified, digest)
        SELECT task, ?2, '', ?3, ?4, ?5, ?6 FROM rows WHERE identity = ?1 AND task IS NOT NULL
        ON CONFLICT (task, place) DO UPDATE SET path = excluded.path, size = excluded.size,
            modified = excluded.modified, digest = excluded.digest";
    let values = values![
        claim.row.identity.as_bytes(),
        place,
        path,
        content.map(|content| content.size),
        content.map(|content| content.modified.as_millis()),
        content.map(|content| content.digest),
    ];
    tx.later(sql, values)?;
    Ok(())
}

/// Takes over a created row that no owner holds; whether that is still so.
pub(crate) fn take_over(
    tx: &Transaction<'_>,
    identity: &Identity,
    claim: i64,
) -> Result<bool, Fail> {
    let Some(line) = RowLine::find(tx, identity)? else {
        return Ok(false);
    };
    // An intent is not taken over: what became of it is known to its owner alone, or to none.
    if line.state != RowStage::Created || tx.holder(line.owner)?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE rows SET owner = ?2, claim = ?3 WHERE number = ?1";
    tx.later(sql, values![line.number, tx.me.id, claim])?;
    Ok(true)
}

/// Lets a row ask for something else from now on, if nothing was ever made for it; whether that is
/// so.
pub(crate) fn replace(tx: &Transaction<'_>, row: &Row) -> Result<bool, Fail> {
    let line = RowLine::find(tx, &row.identity)?;
    let Some(line) = line.filter(|line| line.state == RowStage::Released) else {
        return Ok(false);
    };
    // A live process has the row in hand, and may be about to submit what it asks for now.
    if tx.holder(line.owner)?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE rows SET template = ?2, width = ?3, height = ?4, image = ?5, likeness = ?6,
        tag = ?7, params = ?8 WHERE number = ?1";
    let Size { width, height } = row.size;
    let (image, likeness, tag) = (row.image.as_str(), row.likeness.as_bytes(), row.tag.as_deref());
    let params = params(row);
    let values = values![
        line.number,
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
pub(crate) fn aim(tx: &Transaction<'_>, identity: &Identity, target: &Path) -> Result<(), Fail> {
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
    let Some(line) = RowLine::find(tx, &row.identity)? else {
        return Err(JournalError::NoSuchRow(number).into());
    };
    let Resolution::Task(task) = found else {
        // A doubtful row is still its owner's. Freed, any run may submit it again.
        unmake(tx, &line, "a person found that nothing was billed")?;
        return line.free(tx);
    };
    // A task in two rows would be booked twice.
    refuse_known_task(tx, &row.origin, task)?;
    // The person does not say which attempt made the task, so the last one gives the time.
    let submitted = line.attempts()?.last().map_or(tx.now, |attempt| attempt.at);
    // The answer is for the whole row: none of its attempts stays in doubt.
    line.give_task(tx, task, submitted, &[])?;
    line.free(tx)
}

/// A task is one row's alone.
fn refuse_known_task(tx: &Transaction<'_>, origin: &Origin, task: &TaskId) -> Result<(), Fail> {
    // An id belongs to one gateway. Another gateway may give the same id to a task of its own.
    let sql = "SELECT row FROM tasks JOIN rows r ON r.number = row WHERE id = ?1 AND r.origin = ?2";
    match tx.database.find(sql, values![task.as_str(), origin.to_string()])? {
        None => Ok(()),
        Some(row) => Err(JournalError::TaskOfAnotherRow { row: RowNumber(row.get(0)?) }.into()),
    }
}

/// Takes in a row as another journal knows it; whether it did.
pub(crate) fn import(
    tx: &Transaction<'_>,
    row: &Row,
    state: &RowState,
    earlier: Decimal,
) -> Result<bool, Fail> {
    let is_known = RowLine::find(tx, &row.identity)?.is_some();
    // Nothing was made of a released row, and what this journal knows itself is newer.
    if matches!(state, RowState::Released { .. }) || is_known && !replace(tx, row)? {
        return Ok(false);
    }
    if let Some(task) = state.task() {
        refuse_known_task(tx, &row.origin, task)?;
    }
    if !is_known {
        // Begun as released, it goes on by the same steps as a row of this journal.
        insert(tx, row, "released", &[], None)?;
    }
    let inserted = RowLine::find(tx, &row.identity)?;
    let line = inserted.ok_or_else(|| Fail::unreadable("row", &"it is gone again"))?;
    match state {
        RowState::Intent { attempts } => {
            import_doubt(tx, &line, attempts, ITS_OWNER_IS_ELSEWHERE)?;
        }
        RowState::Doubtful { attempts, reason } => import_doubt(tx, &line, attempts, reason)?,
        other => {
            let (Some(task), Some(submitted)) = (other.task(), other.submitted()) else {
                return Ok(false);
            };
            // First, so that its number is below the current task's: a task after that of a
            // completed row is read as an order that failed (`rows::SELECT`).
            import_earlier(tx, row, &line, task, submitted, earlier)?;
            line.give_task(tx, task, submitted, &[])?;
        }
    }
    if let Some(end) = state.row_outcome() {
        import_end(tx, row, state, &end)?;
    }
    note_reservation(tx, line.number)?;
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
    let Some((line, known)) = RowLine::find_with(tx, row, paid)? else { return Ok(false) };
    let is_paid = known.is_some_and(|known| line.task == Some(known.number));
    if line.state != RowStage::Completed || !is_paid {
        return Ok(false);
    }
    let origin = rows::get(tx, RowNumber(line.number))?.row.origin;
    match order {
        RowState::Intent { .. } | RowState::Doubtful { .. } => {}
        RowState::Created { task, .. } => match refuse_known_task(tx, &origin, task) {
            // The row has this very task already: it was taken in before.
            Err(Fail::Known(JournalError::TaskOfAnotherRow { row })) if row.0 == line.number => {
                return Ok(false);
            }
            checked => checked?,
        },
        _ => return Ok(false),
    }
    let sql = "UPDATE rows SET former = task, task = NULL, former_completed = 1 WHERE number = ?1";
    tx.later(sql, values![line.number])?;
    match order {
        RowState::Intent { attempts } => {
            import_doubt(tx, &line, attempts, ITS_OWNER_IS_ELSEWHERE)?;
        }
        RowState::Doubtful { attempts, reason } => import_doubt(tx, &line, attempts, reason)?,
        RowState::Created { task, submitted } => line.give_task(tx, task, *submitted, &[])?,
        _ => {}
    }
    note_reservation(tx, line.number)?;
    Ok(true)
}

/// A submission by another journal may have made a task.
fn import_doubt(
    tx: &Transaction<'_>,
    line: &RowLine,
    attempts: &[Attempt],
    reason: &str,
) -> Result<(), Fail> {
    let sql = "UPDATE rows SET state = 'doubtful', attempts = ?2, reason = ?3, changed = ?4
        WHERE number = ?1";
    let now = tx.now.as_millis();
    tx.later(sql, values![line.number, json(attempts), reason, now])?;
    Ok(())
}

/// Books what the tasks before an imported one cost, as one task that failed.
fn import_earlier(
    tx: &Transaction<'_>,
    row: &Row,
    line: &RowLine,
    task: &TaskId,
    at: Time,
    cost: Decimal,
) -> Result<(), Fail> {
    if cost.is_zero() {
        return Ok(());
    }
    // No task has such an id, and the same import again finds it.
    let id = Identity::of_task(&row.origin, task).to_string();
    let sql = "INSERT INTO tasks (row, id, submitted, finished, cost) VALUES (?1, ?2, ?3, ?3, ?4)";
    tx.later(sql, values![line.number, id, at.as_millis(), cost.to_string()])?;
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
    let claim = RowHold { row: row.clone(), number: 0, renews: None };
    settle(tx, &claim, end)?;
    let RowState::Completed { pictures, .. } = state else { return Ok(()) };
    for (place, picture) in (0_u32..).zip(pictures) {
        if let Some(path) = &picture.path {
            land(tx, &claim, place, path, picture.content)?;
        }
    }
    Ok(())
}

/// The number of a row's current task.
pub(crate) fn current_task(tx: &Transaction<'_>, identity: &Identity) -> Result<Option<i64>, Fail> {
    Ok(RowLine::find(tx, identity)?.and_then(|line| line.task))
}

/// Writes an intent, where this run may submit the row ([`RowLine::may_intend`]) and it fits into the
/// budgets; the price of its tasks is reserved.
fn intend(
    tx: &Transaction<'_>,
    claim: &RowHold,
    budgets: &[Budget],
    attempt: Attempt,
) -> Result<EntryResult, Fail> {
    let line = RowLine::find(tx, &claim.row.identity)?;
    if let Some(line) = &line
        && !line.may_intend(tx, claim)?
    {
        return Ok(Err(JournalError::Taken { row: RowNumber(line.number) }));
    }
    let mut open = line.as_ref().map_or(Ok(Vec::new()), RowLine::attempts)?;
    // Said again after an answer of the database was lost, it is the same attempt.
    if open.iter().all(|known| known.request_id != attempt.request_id) {
        open.push(attempt);
    }
    // Each attempt of unknown outcome may have made a task, so the budget has to bear them all.
    let tasks = open.len() as u64;
    // In the transaction that writes the intent: two processes at once cannot both have the last
    // of a budget.
    let price = match budget::ask(tx, &claim.row, budgets, tasks, line.as_ref())? {
        Ok(price) => price,
        Err(refused) => return Ok(Ok(refused)),
    };
    // An intent that is written again is for the same task, which pays for nothing new.
    if line.as_ref().is_none_or(|line| line.state != RowStage::Intent) {
        budget::pays_anew(tx, &claim.row.identity)?;
    }
    let number = match line {
        None => insert(tx, &claim.row, "intent", &open, Some(claim.number))?,
        Some(line) => {
            if matches!(line.state, RowStage::Failed | RowStage::Completed) {
                // The former task is what the row returns to if nothing comes of the new one. Only
                // a failed row's new task is a renewal; a completed row's is a new order.
                let sql = "UPDATE rows SET former = task, task = NULL,
                        former_completed = CASE WHEN state = 'completed' THEN 1 ELSE 0 END,
                        renewals = CASE WHEN state = 'completed' THEN renewals ELSE renewals + 1 END
                    WHERE number = ?1";
                tx.later(sql, values![line.number])?;
            }
            line.submit(tx, claim, &open)?;
            line.number
        }
    };
    // Last, since it counts the attempts that were just written.
    reserve(tx, number, price)?;
    Ok(Ok(Admission::Admitted))
}

/// The task exists, so it is kept whatever became of the row meanwhile: if the run of this owner lost
/// it, under a row of the task's own.
fn create(
    tx: &Transaction<'_>,
    owner: i64,
    claim: &RowHold,
    task: &TaskId,
    request_id: Option<&str>,
    at: Time,
) -> Result<EntryResult, Fail> {
    let Some((line, known)) = RowLine::find_with(tx, &claim.row.identity, task)? else {
        // The intent never reached this journal, and the task exists all the same.
        insert(tx, &claim.row, "intent", &[], Some(claim.number))?;
        return create(tx, owner, claim, task, request_id, at);
    };
    // Said before: a database that lost its answer is asked again.
    if known.is_some() {
        return Ok(Ok(Admission::Admitted));
    }
    // The attempt that made the task is in doubt no more; the others still are.
    let mut attempts = line.attempts()?;
    let named = attempts.iter().position(|open| Some(open.request_id.as_str()) == request_id);
    // A task whose request id is among the row's attempts is the row's, whichever
    // process holds it now.
    let mine = line.is_held_by(owner, claim) || named.is_some();
    // Where no attempt is named, one of them made the task, so one of them leaves the count.
    if let Some(place) = named.or((mine && !attempts.is_empty()).then_some(0)) {
        attempts.remove(place);
    }
    if line.is_open() && mine {
        line.give_task(tx, task, at, &attempts)?;
        let sql = "UPDATE rows SET owner = ?2, claim = ?3 WHERE number = ?1";
        tx.later(sql, values![line.number, owner, claim.number])?;
        note_reservation(tx, line.number)?;
        return Ok(Ok(Admission::Admitted));
    }
    let kept = stray(tx, claim, task, at)?;
    if mine {
        // A repeated submission made a second task: it is kept as a row of its own.
        let sql = "UPDATE rows SET attempts = ?2 WHERE number = ?1";
        tx.later(sql, values![line.number, json(&attempts)])?;
        note_reservation(tx, line.number)?;
        return Ok(Ok(Admission::Admitted));
    }
    Ok(Err(JournalError::GivenAway { row: RowNumber(line.number), kept: RowNumber(kept) }))
}

/// The id of a task that could not be written when it came; whether it has a row now. The row of its
/// run may be in another journal.
pub(crate) fn take_in(tx: &Transaction<'_>, spilled: &Spilled) -> Result<bool, Fail> {
    // One spill file may serve several journals.
    let Some(record) = rows::find(tx, &RowName::Identity(spilled.identity))? else {
        return Ok(false);
    };
    let Spilled { owner, claim, task_id, request_id, at, .. } = spilled;
    let claim = RowHold { row: record.row, number: *claim, renews: None };
    // Where its row was given away meanwhile, it has one of its own.
    let _kept = create(tx, *owner, &claim, task_id, request_id.as_deref(), *at)?;
    Ok(true)
}

/// The tasks that this owner follows, as the spill file keeps them.
pub(crate) fn held_tasks(tx: &Transaction<'_>) -> Result<Vec<Spilled>, Fail> {
    let sql = "SELECT r.number, r.claim FROM rows r WHERE r.owner = ?1 AND r.state = 'created'";
    let mut tasks = Vec::new();
    for held in tx.database.query(sql, values![tx.me.id])? {
        let (number, claim) = (held.get(0)?, held.get(1)?);
        let record = rows::get(tx, RowNumber(number))?;
        if let RowState::Created { task, submitted } = record.state {
            let (identity, owner) = (record.row.identity, tx.me.id);
            // The attempt that made the task left the row when its id was written.
            let (task_id, request_id, at) = (task, None, submitted);
            tasks.push(Spilled { identity, owner, claim, task_id, request_id, at });
        }
    }
    Ok(tasks)
}

/// The number of the row that is this task's alone. It counts in the scopes of the run's row.
fn stray(tx: &Transaction<'_>, claim: &RowHold, task: &TaskId, at: Time) -> Result<u64, Fail> {
    let identity = Identity::of_task(&claim.row.origin, task);
    // Without the key, which names one row alone: that of the run.
    let row = Row { identity, key: None, ..claim.row.clone() };
    if let Some(line) = RowLine::find(tx, &row.identity)? {
        return Ok(line.number);
    }
    // No run has it in hand, so that any run may take it over.
    insert(tx, &row, "intent", &[], None)?;
    let inserted = RowLine::find(tx, &row.identity)?;
    let line = inserted.ok_or_else(|| Fail::unreadable("row", &"it is gone again"))?;
    line.give_task(tx, task, at, &[])?;
    // A second task of the same request costs as much as the first.
    let sql = "UPDATE rows SET reserved = (SELECT reserved FROM rows WHERE identity = ?2)
        WHERE number = ?1";
    tx.later(sql, values![line.number, claim.row.identity.as_bytes()])?;
    // It was bought within the same budgets, so they pay for it.
    budget::share_scopes(tx, &claim.row.identity, &row.identity)?;
    note_reservation(tx, line.number)?;
    Ok(line.number)
}

fn release(tx: &Transaction<'_>, claim: &RowHold, reason: &str) -> Result<EntryResult, Fail> {
    match RowLine::find(tx, &claim.row.identity)? {
        Some(line) if line.is_of(tx, claim) && line.state == RowStage::Intent => {
            unmake(tx, &line, reason)?;
        }
        // Said before, or a person was faster: there is nothing left to release.
        _ => {}
    }
    Ok(Ok(Admission::Admitted))
}

/// Nothing was made of what was open: a new task's row is released, that of a renewal has failed as
/// it had before, and that of a new order is completed as it was.
fn unmake(tx: &Transaction<'_>, line: &RowLine, reason: &str) -> Result<(), Fail> {
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
    tx.later(sql, values![line.number, tx.now.as_millis(), reason])?;
    note_reservation(tx, line.number)
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
    claim: &RowHold,
    task: &TaskId,
    verdict: &StepVerdict<'_>,
) -> Result<Option<i64>, Fail> {
    let find = || RowLine::find_with(tx, &claim.row.identity, task);
    let mut found = find()?;
    if let Some((_, None)) = found {
        // Its id never reached the journal, and this does.
        let written = create(tx, tx.me.id, claim, task, None, tx.now)?;
        // Given away meanwhile: its verdict is booked with the row that has it now.
        found = if written.is_ok() { find()? } else { None };
    }
    let Some((line, Some(KnownTask { number, cost: before }))) = found else { return Ok(None) };
    let was_unreadable = line.state == RowStage::Completed && before.is_none();
    // The first verdict sets the time. A later one may add a cost or a reason, and
    // takes neither away.
    let sql = "UPDATE tasks SET finished = coalesce(finished, ?2), cost = coalesce(?3, cost),
        code = coalesce(?4, code), message = coalesce(?5, message) WHERE number = ?1";
    let cost = verdict.cost.map(|cost| cost.to_string());
    let code = verdict.code.map(ServiceCode::as_str);
    tx.later(sql, values![number, tx.now.as_millis(), cost, code, verdict.message])?;
    // The verdict of an earlier task changes what that one cost, and not where the row stands.
    if line.task == Some(number) {
        // Where a new order of a completed row fails, the row is completed as it was.
        let sql = "UPDATE rows SET owner = NULL, claim = NULL, reason = NULL, changed = ?3,
                task = CASE WHEN ?2 = 'failed' THEN coalesce(former, task) ELSE task END,
                state = CASE WHEN ?2 = 'failed' AND former IS NOT NULL THEN 'completed' ELSE ?2 END,
                former = NULL
            WHERE number = ?1";
        tx.later(sql, values![line.number, verdict.state, tx.now.as_millis()])?;
        let is_unreadable =
            verdict.state == "completed" && verdict.cost.is_none() && before.is_none();
        budget::note_unreadable(tx, &claim.row, line.number, was_unreadable, is_unreadable)?;
    }
    // The same verdict again books nothing: scopes hold sums, so each cost is added once.
    if let Some(cost) = verdict.cost.filter(|cost| before != Some(*cost)) {
        budget::book(tx, &claim.row, cost, before)?;
    }
    note_reservation(tx, line.number)?;
    Ok(Some(number))
}

fn doubt(tx: &Transaction<'_>, claim: &RowHold, reason: &str) -> Result<(), Fail> {
    let line = RowLine::find(tx, &claim.row.identity)?;
    let Some(line) = line.filter(|line| line.is_of(tx, claim)) else {
        return Ok(());
    };
    if line.state == RowStage::Intent {
        // It stays the owner's: should the answer come after all, it is the owner's to record.
        let sql = "UPDATE rows SET state = 'doubtful', reason = ?2, changed = ?3 WHERE number = ?1";
        tx.later(sql, values![line.number, reason, tx.now.as_millis()])?;
    }
    Ok(())
}

fn let_go(tx: &Transaction<'_>, claim: &RowHold) -> Result<(), Fail> {
    let line = RowLine::find(tx, &claim.row.identity)?;
    let Some(line) = line.filter(|line| line.is_of(tx, claim)) else {
        return Ok(());
    };
    match line.state {
        RowStage::Intent => doubt(tx, claim, "its run ended, and said nothing of an answer"),
        RowStage::Created | RowStage::Released => line.free(tx),
        RowStage::Doubtful | RowStage::Completed | RowStage::Failed => Ok(()),
    }
}

fn insert(
    tx: &Transaction<'_>,
    row: &Row,
    state: &str,
    open: &[Attempt],
    claim: Option<i64>,
) -> Result<u64, Fail> {
    let sql = "INSERT INTO rows (identity, origin, template, width, height, image, likeness, key,
            tag, target, state, attempts, begun, changed, owner, claim, params)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16)
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
        claim.map(|_| tx.me.id),
        claim,
        params.as_deref(),
    ];
    Ok(tx.database.get(sql, values)?.get(0)?)
}

/// The extra parameters of a row, as they are written down; none without.
fn params(row: &Row) -> Option<String> {
    (!row.params.is_empty()).then(|| row.params.to_string())
}

const ITS_OWNER_IS_ELSEWHERE: &str =
    "its submission left by another journal, and its answer is not known here";
