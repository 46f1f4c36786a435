//! [`accept`]: makes the task of a create, if there is room and credit, and draws how long it takes. Its
//! picture is the stub at once, or is painted in the background (`painting.rs`, `settle.rs`); a task with
//! wrong parameters or a planned failure has failed from the start. [`finish`], [`cancel`] and
//! [`end_early`] end a task before its time. The handlers in `surfaces/` and `control/tasks.rs` call these;
//! `runtime_thread.rs` calls [`resume`] for the tasks that a restart interrupted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use http::StatusCode;
use rust_decimal::Decimal;

use crate::clock::millis;
use crate::faults::{ErrorBody, Fault};
use crate::ids;
use crate::options::{Pictures, Validation};
use crate::painter::{STUB, STUB_SIDES};
use crate::painting::{self, PaintJob};
use crate::render_queue::QueuePlace;
use crate::settle::settle;
use crate::spending::Movement;
use crate::state::EmulatorState;
use crate::store::{RestoredTask, StoreEntry};
use crate::task::{EmulatedTask, Surface, TaskFailure, TaskPicture, VisibleState, WorkStage};
use crate::wire::code::CANCELLED;
use crate::wire::create::CheckedParams;
use crate::wire::refusal::ApiRefusal;

/// A task that was just accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) created: u64,
}

/// Accepts a task, unless there is no room or no credit, or its parameters do not hold and the
/// gateway refuses such requests outright. `fault` is what is to go wrong with it.
pub(crate) async fn accept(
    state: &Arc<EmulatorState>,
    surface: Surface,
    checked: Result<CheckedParams, TaskFailure>,
    fault: Option<Fault>,
) -> Result<Accepted, ApiRefusal> {
    if state.tasks.is_full() {
        return Err(ApiRefusal::busy("too many unfinished tasks"));
    }
    match checked {
        Ok(params) => accept_valid(state, surface, params, fault).await,
        Err(failure) if state.options.validation == Validation::Http => {
            Err(ApiRefusal::of_parameters(failure.code, failure.message))
        }
        Err(failure) => {
            // A task that is wrong from the start takes no place in the queue and no money.
            let task = new_task(state, surface, None, (0, 0), None);
            let id = new_id(surface);
            let created = task.created;
            let task = EmulatedTask { stage: WorkStage::Failed(failure), ..task };
            store_task(state, &id, task, None, Decimal::ZERO).await?;
            Ok(Accepted { id, created })
        }
    }
}

async fn accept_valid(
    state: &Arc<EmulatorState>,
    surface: Surface,
    params: CheckedParams,
    fault: Option<Fault>,
) -> Result<Accepted, ApiRefusal> {
    let CheckedParams { image, template, width, height } = params;
    let new_task = |fault| {
        (new_id(surface), new_task(state, surface, Some(template.clone()), (width, height), fault))
    };
    // Before a place and money are taken: such a task is never painted and costs nothing.
    if let Some(failure) = planned_failure(fault.as_ref()) {
        let (id, task) = new_task(fault);
        let created = task.created;
        let task = EmulatedTask { stage: WorkStage::Failed(failure), ..task };
        store_task(state, &id, task, None, Decimal::ZERO).await?;
        return Ok(Accepted { id, created });
    }
    let place = match state.options.pictures {
        Pictures::Stub => None,
        // Before the money: a place is given back when it is dropped, a reservation only by a
        // booking.
        Pictures::Painted => Some(state.renders.take_place(image.len())?),
    };
    // Read for each create, since the plan may be replaced at any time.
    let balance = state.faults.plan().balance;
    state.spending.book(Movement::Reserve(balance)).ok_or_else(no_credit)?;
    // Its duration is drawn now, and not before: a create that is refused draws none.
    let (id, task) = new_task(fault);
    let created = task.created;
    let Some(place) = place else {
        let accepted = accept_painted(state, &id, task).await;
        // A create that could not be written down is answered 503 and is not paid.
        state.spending.book(if accepted.is_ok() { Movement::Pay } else { Movement::Release });
        return accepted.map(|()| Accepted { id, created });
    };
    let (sides, due) = (task.painted_sides(), task.due);
    // It may be a photo of megabytes in base64: it is copied only where it is stored.
    let reference = state.store.is_some().then(|| image.clone());
    // Written down before the work begins: the end of a task is an update of a row that has to be
    // there.
    if let Err(refusal) = store_task(state, &id, task, reference, Decimal::ZERO).await {
        state.spending.book(Movement::Release);
        return Err(refusal);
    }
    let job = PaintJob { id: id.clone().into(), image, template, sides, due };
    painting::start(state, place, job);
    Ok(Accepted { id, created })
}

/// Accepts a task that has its constant picture from the start.
async fn accept_painted(
    state: &EmulatorState,
    id: &str,
    task: EmulatedTask,
) -> Result<(), ApiRefusal> {
    let kept = state.keep(Bytes::from_static(STUB)).await.map_err(storage_failed)?.kept;
    state.files.set_task(&kept.name, id);
    let stage = WorkStage::Painted(TaskPicture {
        file: kept.name,
        size: kept.size,
        sides: Some(STUB_SIDES),
    });
    store_task(state, id, EmulatedTask { stage, ..task }, None, state.options.price).await
}

/// Starts the work on such a task again.
pub(crate) async fn resume(state: &Arc<EmulatorState>, restored: RestoredTask) {
    let RestoredTask { id, task, image } = restored;
    let (template, sides, due) = (task.template.clone(), task.painted_sides(), task.due);
    match (template, image) {
        (Some(template), Some(image)) => {
            // It was accepted in an earlier life of the process and cannot be refused now, so it
            // waits.
            let place: QueuePlace = state.renders.wait_for_place(image.len()).await;
            painting::start(state, place, PaintJob { id: id.into(), image, template, sides, due });
        }
        _ => {
            let message = "Internal generation error: the task was kept without its reference";
            settle(state, &id, Err(TaskFailure::new(ServiceCode::Generation, message))).await;
            state.renders.remove(&id);
        }
    }
}

/// Takes a running task back at its client's wish; false if it has ended.
pub(crate) async fn cancel(state: &EmulatorState, id: &str) -> Option<bool> {
    let failure = TaskFailure::new(CANCELLED.into(), "the task was cancelled");
    end_early(state, id, failure).await
}

/// Ends a running task with a failure; false if it has ended, `None` if there is none of this id. The
/// promise of its price ends with its work, and what was paid for a picture that was not seen is paid
/// back.
pub(crate) async fn end_early(
    state: &EmulatorState,
    id: &str,
    failure: TaskFailure,
) -> Option<bool> {
    let now = state.clock.now();
    let unseen = state.tasks.with(id, |task| {
        if !matches!(task.visible_state(now), VisibleState::Running(_)) {
            return None;
        }
        // Painted and not due: the picture is there and paid for, but no client has seen it.
        let unseen = match std::mem::replace(&mut task.stage, WorkStage::Failed(failure)) {
            WorkStage::Painted(picture) => Some(picture.file),
            _ => None,
        };
        // Due now, or the failure would stay hidden until the time that the task was to take.
        (task.due, task.settled) = (now, Some(now));
        let refund = unseen.as_ref().and_then(|_| state.spending.book(Movement::Refund));
        let (id, task, paid) = (id.to_owned(), task.clone(), refund.unwrap_or_default());
        // Sent under the lock of the tasks, so that the store has the changes of a task in their
        // order. What is only reserved is given back by `settle`, when the painting has ended.
        state.write(|| StoreEntry::Settled { id, task, paid });
        Some(unseen)
    })?;
    let Some(unseen) = unseen else { return Some(false) };
    if let Some(file) = unseen {
        state.files.remove(&file);
        state.write(|| StoreEntry::Gone(vec![file]));
    }
    state.wait_for_commit().await;
    state.changes.task(id);
    Some(true)
}

/// Makes a running task due now, and waits for its painting.
pub(crate) async fn finish(state: &EmulatorState, id: &str) {
    let now = state.clock.now();
    state.tasks.with(id, |task| {
        if task.due > now {
            task.due = now;
            // The end of one that is still to be painted is written when it comes.
            if task.is_settled() {
                let (id, task, paid) = (id.to_owned(), task.clone(), Decimal::ZERO);
                state.write(|| StoreEntry::Settled { id, task, paid });
            }
        }
    });
    state.renders.wait_until_painted(|other, _| other == id).await;
    state.wait_for_commit().await;
    state.changes.task(id);
}

fn new_id(surface: Surface) -> String {
    match surface {
        Surface::Generation => ids::random_id(20),
        // The queue's documentation shows its ids with this prefix.
        Surface::Queue => format!("mmsu_{}", ids::random_id(20)),
    }
}

fn new_task(
    state: &EmulatorState,
    surface: Surface,
    template: Option<Template>,
    (width, height): (u32, u32),
    fault: Option<Fault>,
) -> EmulatedTask {
    let created = state.clock.now();
    let due = match (&fault, &template) {
        (Some(Fault::Take { seconds }), _) => {
            created + millis(Duration::try_from_secs_f64(*seconds).unwrap_or_default())
        }
        (Some(Fault::Finished), _) | (_, None) => created,
        // The only arm that draws: a task that needs no latency must not change those of the tasks
        // after it.
        (_, Some(template)) => state.due(template, created),
    };
    let fault = fault.map(Box::new);
    let stage = WorkStage::Queued;
    let (settled, looks) = (None, 0);
    EmulatedTask { surface, template, width, height, created, due, stage, settled, fault, looks }
}

fn planned_failure(fault: Option<&Fault>) -> Option<TaskFailure> {
    let Some(Fault::Fail { code, message }) = fault else { return None };
    let message = message.as_deref().or_else(|| code.meaning()).unwrap_or("told to fail");
    Some(TaskFailure::new(code.clone(), message))
}

/// Remembers a task, first where it is safe, then where it is seen.
async fn store_task(
    state: &EmulatorState,
    id: &str,
    task: EmulatedTask,
    image: Option<String>,
    paid: Decimal,
) -> Result<(), ApiRefusal> {
    if let Some(store) = &state.store {
        store.write(StoreEntry::Accepted { id: id.to_owned(), task: task.clone(), image, paid });
        // Waited for before the answer: a client that has an id must find its task after a kill.
        store.wait_for_commit().await.map_err(storage_failed)?;
    }
    state.forget(state.tasks.insert(id, task, state.clock.now()));
    state.changes.task(id);
    Ok(())
}

fn no_credit() -> ApiRefusal {
    let message = "Insufficient credits: the balance of the fault plan is spent";
    // The status and the form in which SeaCloud's clients look for a balance that is spent.
    ApiRefusal::new(StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE", message)
        .with_body(ErrorBody::Envelope)
}

/// The one refusal of 500 and above that no fault plan asks for: a create that could not be kept is
/// refused.
pub(crate) fn storage_failed(why: impl std::fmt::Display) -> ApiRefusal {
    let message = format!("the emulator cannot write to its folder: {why}");
    ApiRefusal::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message)
}
