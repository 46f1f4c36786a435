//! The life of a task: accepted, then failed at once, painted at once, or put before a painter;
//! settled in the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use http::StatusCode;
use rust_decimal::Decimal;

use crate::clock::millis;
use crate::faults::{ErrorBody, Fault};
use crate::gateway::Gateway;
use crate::ids;
use crate::options::{Pictures, Validation};
use crate::painter::{STUB, STUB_SIDES};
use crate::painting::{self, Job};
use crate::settle::settle;
use crate::spending::Movement;
use crate::store::{Entry, RestoredTask};
use crate::studio::Place;
use crate::task::{Failure, Picture, Stage, Standing, Surface, Task};
use crate::wire::code::CANCELLED;
use crate::wire::create::Params;
use crate::wire::refusal::Refusal;

/// A task that was just accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) created: u64,
}

/// Accepts a task, unless there is no room or no credit, or its parameters do not hold and the
/// gateway refuses such requests outright. `fault` is what is to go wrong with it.
pub(crate) async fn accept(
    gateway: &Arc<Gateway>,
    surface: Surface,
    checked: Result<Params, Failure>,
    fault: Option<Fault>,
) -> Result<Accepted, Refusal> {
    if gateway.tasks.is_full() {
        return Err(Refusal::busy("too many unfinished tasks"));
    }
    match checked {
        Ok(params) => accept_valid(gateway, surface, params, fault).await,
        Err(failure) if gateway.options.validation == Validation::Http => {
            Err(Refusal::of_parameters(failure.code, failure.message))
        }
        Err(failure) => {
            let task = new_task(gateway, surface, None, (0, 0), None);
            let id = new_id(surface);
            let created = task.created;
            let task = Task { stage: Stage::Failed(failure), ..task };
            remember(gateway, &id, task, None, Decimal::ZERO).await?;
            Ok(Accepted { id, created })
        }
    }
}

async fn accept_valid(
    gateway: &Arc<Gateway>,
    surface: Surface,
    params: Params,
    fault: Option<Fault>,
) -> Result<Accepted, Refusal> {
    let Params { image, template, width, height } = params;
    let new_task = |fault| {
        (
            new_id(surface),
            new_task(gateway, surface, Some(template.clone()), (width, height), fault),
        )
    };
    if let Some(failure) = told_to_fail(fault.as_ref()) {
        let (id, task) = new_task(fault);
        let created = task.created;
        let task = Task { stage: Stage::Failed(failure), ..task };
        remember(gateway, &id, task, None, Decimal::ZERO).await?;
        return Ok(Accepted { id, created });
    }
    let place = match gateway.options.pictures {
        Pictures::Stub => None,
        Pictures::Painted => Some(gateway.studio.take_place(image.len())?),
    };
    let balance = gateway.faults.plan().balance;
    gateway.spending.book(Movement::Reserve(balance)).ok_or_else(no_credit)?;
    // Its duration is drawn now, and not before: a create that is refused draws none.
    let (id, task) = new_task(fault);
    let created = task.created;
    let Some(place) = place else {
        let accepted = accept_painted(gateway, &id, task).await;
        gateway.spending.book(if accepted.is_ok() { Movement::Pay } else { Movement::Release });
        return accepted.map(|()| Accepted { id, created });
    };
    let (sides, due) = (task.painted_sides(), task.due);
    let reference = gateway.store.is_some().then(|| image.clone());
    if let Err(refusal) = remember(gateway, &id, task, reference, Decimal::ZERO).await {
        gateway.spending.book(Movement::Release);
        return Err(refusal);
    }
    let job = Job { id: id.clone().into(), image, template, sides, due };
    painting::start(gateway, place, job);
    Ok(Accepted { id, created })
}

/// Accepts a task that has its constant picture from the start.
async fn accept_painted(gateway: &Gateway, id: &str, task: Task) -> Result<(), Refusal> {
    let kept = gateway.keep(Bytes::from_static(STUB)).await.map_err(no_disk)?.kept;
    gateway.vault.belongs(&kept.name, id);
    let stage =
        Stage::Painted(Picture { file: kept.name, size: kept.size, sides: Some(STUB_SIDES) });
    remember(gateway, id, Task { stage, ..task }, None, gateway.options.price).await
}

/// Starts the work on such a task again.
pub(crate) async fn resume(gateway: &Arc<Gateway>, restored: RestoredTask) {
    let RestoredTask { id, task, image } = restored;
    let (template, sides, due) = (task.template.clone(), task.painted_sides(), task.due);
    match (template, image) {
        (Some(template), Some(image)) => {
            let place: Place = gateway.studio.wait_for_place(image.len()).await;
            painting::start(gateway, place, Job { id: id.into(), image, template, sides, due });
        }
        _ => {
            let words = "Internal generation error: the task was kept without its reference";
            settle(gateway, &id, Err(Failure::new(ServiceCode::Generation, words))).await;
            gateway.studio.done(&id);
        }
    }
}

/// Takes a running task back at its client's wish; false if it has ended.
pub(crate) async fn cancel(gateway: &Gateway, id: &str) -> Option<bool> {
    let failure = Failure::new(CANCELLED.into(), "the task was cancelled");
    end_early(gateway, id, failure).await
}

/// Ends a running task with a failure; false if it has ended, `None` if there is none of this id. The
/// promise of its price ends with its work, and what was paid for a picture that was not seen is paid
/// back.
pub(crate) async fn end_early(gateway: &Gateway, id: &str, failure: Failure) -> Option<bool> {
    let now = gateway.clock.now();
    let unseen = gateway.tasks.with(id, |task| {
        if !matches!(task.standing(now), Standing::Running(_)) {
            return None;
        }
        let unseen = match std::mem::replace(&mut task.stage, Stage::Failed(failure)) {
            Stage::Painted(picture) => Some(picture.file),
            _ => None,
        };
        (task.due, task.settled) = (now, Some(now));
        let refund = unseen.as_ref().and_then(|_| gateway.spending.book(Movement::Refund));
        let (id, task, paid) = (id.to_owned(), task.clone(), refund.unwrap_or_default());
        gateway.write(|| Entry::Settled { id, task, paid });
        Some(unseen)
    })?;
    let Some(unseen) = unseen else { return Some(false) };
    if let Some(file) = unseen {
        gateway.vault.remove(&file);
        gateway.write(|| Entry::Gone(vec![file]));
    }
    gateway.written().await;
    gateway.changes.task(id);
    Some(true)
}

/// Makes a running task due now, and waits for its painting.
pub(crate) async fn finish(gateway: &Gateway, id: &str) {
    let now = gateway.clock.now();
    gateway.tasks.with(id, |task| {
        if task.due > now {
            task.due = now;
            // The end of one that is still to be painted is written when it comes.
            if task.is_settled() {
                let (id, task, paid) = (id.to_owned(), task.clone(), Decimal::ZERO);
                gateway.write(|| Entry::Settled { id, task, paid });
            }
        }
    });
    gateway.studio.easels_clear(|other, _| other == id).await;
    gateway.written().await;
    gateway.changes.task(id);
}

fn new_id(surface: Surface) -> String {
    match surface {
        Surface::Generation => ids::fresh(20),
        Surface::Queue => format!("mmsu_{}", ids::fresh(20)),
    }
}

fn new_task(
    gateway: &Gateway,
    surface: Surface,
    template: Option<Template>,
    (width, height): (u32, u32),
    fault: Option<Fault>,
) -> Task {
    let created = gateway.clock.now();
    let due = match (&fault, &template) {
        (Some(Fault::Take { seconds }), _) => {
            created + millis(Duration::try_from_secs_f64(*seconds).unwrap_or_default())
        }
        (Some(Fault::Finished), _) | (_, None) => created,
        (_, Some(template)) => gateway.due(template, created),
    };
    let fault = fault.map(Box::new);
    let stage = Stage::Queued;
    let (settled, looks) = (None, 0);
    Task { surface, template, width, height, created, due, stage, settled, fault, looks }
}

fn told_to_fail(fault: Option<&Fault>) -> Option<Failure> {
    let Some(Fault::Fail { code, message }) = fault else { return None };
    let message = message.as_deref().or_else(|| code.meaning()).unwrap_or("told to fail");
    Some(Failure::new(code.clone(), message))
}

/// Remembers a task, first where it is safe, then where it is seen.
async fn remember(
    gateway: &Gateway,
    id: &str,
    task: Task,
    image: Option<String>,
    paid: Decimal,
) -> Result<(), Refusal> {
    if let Some(store) = &gateway.store {
        store.write(Entry::Accepted { id: id.to_owned(), task: task.clone(), image, paid });
        store.settle().await.map_err(no_disk)?;
    }
    gateway.forget(gateway.tasks.insert(id, task, gateway.clock.now()));
    gateway.changes.task(id);
    Ok(())
}

fn no_credit() -> Refusal {
    let words = "Insufficient credits: the balance of the fault plan is spent";
    Refusal::new(StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE", words)
        .with_body(ErrorBody::Envelope)
}

/// The one refusal of 500 and above that nobody asked for: a promise that could not be kept is not
/// made.
pub(crate) fn no_disk(why: impl std::fmt::Display) -> Refusal {
    let words = format!("the emulator cannot write to its folder: {why}");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", words)
}
