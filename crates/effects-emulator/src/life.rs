//! The life of a task: accepted, then failed at once, painted at once, or put before a painter;
//! settled in the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use http::StatusCode;

use crate::clock::millis;
use crate::faults::{ErrorBody, Fault};
use crate::gateway::Gateway;
use crate::ids;
use crate::options::{Pictures, Validation};
use crate::painter::STUB;
use crate::store::{Entry, RestoredTask};
use crate::studio::{self, Job, Place};
use crate::task::{Failure, Picture, Stage, Surface, Task};
use crate::vault::Change;
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
            remember(gateway, &id, Task { stage: Stage::Failed(failure), ..task }, None).await?;
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
    let task = new_task(gateway, surface, Some(template.clone()), (width, height), fault);
    let (id, created) = (new_id(surface), task.created);
    if let Some(failure) = told_to_fail(&task) {
        remember(gateway, &id, Task { stage: Stage::Failed(failure), ..task }, None).await?;
        return Ok(Accepted { id, created });
    }
    let place = match gateway.options.pictures {
        Pictures::Stub => None,
        Pictures::Painted => Some(gateway.studio.take_place(image.len())?),
    };
    if !gateway.purse.promise(gateway.options.price, gateway.faults.plan().balance) {
        return Err(no_credit());
    }
    match place {
        None => {
            let kept = keep(gateway, Bytes::from_static(STUB)).await;
            let size = STUB.len() as u64;
            let stage = kept.map(|change| Picture { file: change.kept.name, size });
            let stage = Stage::Painted(stage.map_err(no_disk)?);
            remember(gateway, &id, Task { stage, ..task }, None).await?;
            let spent = gateway.purse.settle(gateway.options.price, true);
            gateway.write(|| Entry::Note(crate::store::SPENT, spent.to_string()));
        }
        Some(place) => {
            let sides = task.painted_sides();
            let due = task.due;
            let reference = gateway.store.is_some().then(|| image.clone());
            remember(gateway, &id, task, reference).await?;
            let job = Job { id: id.clone().into(), image, template, sides, due };
            studio::employ(gateway, place, job);
        }
    }
    Ok(Accepted { id, created })
}

/// Starts a task again that was not finished when the folder was last in use.
pub(crate) async fn resume(gateway: &Arc<Gateway>, restored: RestoredTask) {
    let RestoredTask { id, task, image } = restored;
    let (template, sides, due) = (task.template.clone(), task.painted_sides(), task.due);
    gateway.tasks.insert(&id, Task { stage: Stage::Queued, ..task });
    // What was promised is promised still, whatever the balance is now.
    gateway.purse.promise(gateway.options.price, None);
    match (template, image) {
        (Some(template), Some(image)) => {
            let place: Place = gateway.studio.wait_for_place(image.len()).await;
            studio::employ(gateway, place, Job { id: id.into(), image, template, sides, due });
        }
        _ => {
            let words = "Internal generation error: the task was kept without its reference";
            settle(gateway, &id, Err(Failure::new(ServiceCode::Generation, words))).await;
        }
    }
}

/// Ends the work on a task with its picture or its failure, unless it has ended already.
pub(crate) async fn settle(gateway: &Gateway, id: &str, result: Result<Bytes, Failure>) {
    let stage = match result {
        Ok(png) => {
            let size = png.len() as u64;
            match keep(gateway, png).await {
                Ok(Change { kept, .. }) => Stage::Painted(Picture { file: kept.name, size }),
                Err(error) => Stage::Failed(Failure::new(
                    ServiceCode::Generation,
                    format!("Internal generation error: the picture cannot be kept: {error}"),
                )),
            }
        }
        Err(failure) => Stage::Failed(failure),
    };
    let file = match &stage {
        Stage::Painted(picture) => Some(picture.file.clone()),
        _ => None,
    };
    let settled = gateway.tasks.with(id, |task| {
        if task.is_settled() {
            return None;
        }
        task.stage = stage;
        Some(task.clone())
    });
    let settled = settled.flatten();
    // A task that was cancelled or forgotten meanwhile has no use for its picture.
    if let (None, Some(file)) = (&settled, &file) {
        gateway.vault.remove(file);
        gateway.write(|| Entry::Gone(vec![file.clone()]));
    }
    let spent = gateway.purse.settle(gateway.options.price, settled.is_some() && file.is_some());
    if let Some(task) = settled {
        let (id, spent) = (id.to_owned(), spent.to_string());
        gateway.write(|| Entry::Settled { id, task, spent });
    }
}

/// Takes a running task back; false if it has ended. The promise of its price ends with its work.
pub(crate) fn cancel(gateway: &Gateway, id: &str) -> Option<bool> {
    let now = gateway.clock.now();
    let cancelled = gateway.tasks.with(id, |task| {
        let running = matches!(task.standing(now), crate::task::Standing::Running(_));
        if running {
            task.stage = Stage::Failed(Failure::new(CANCELLED.into(), "the task was cancelled"));
            task.due = now;
        }
        running.then(|| task.clone())
    })?;
    if let Some(task) = &cancelled {
        let (id, spent) = (id.to_owned(), gateway.purse.spent().to_string());
        gateway.write(|| Entry::Settled { id, task: task.clone(), spent });
    }
    Some(cancelled.is_some())
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
    Task { surface, template, width, height, created, due, stage, fault, looks: 0 }
}

fn told_to_fail(task: &Task) -> Option<Failure> {
    let Some(Fault::Fail { code, message }) = task.fault.as_deref() else { return None };
    let message = message.as_deref().or_else(|| code.meaning()).unwrap_or("told to fail");
    Some(Failure::new(code.clone(), message))
}

/// Remembers a task, first where it is safe, then where it is seen.
async fn remember(
    gateway: &Gateway,
    id: &str,
    task: Task,
    image: Option<String>,
) -> Result<(), Refusal> {
    if let Some(store) = &gateway.store {
        store.accept(id, task.clone(), image).await.map_err(no_disk)?;
    }
    let forgotten = gateway.tasks.insert(id, task);
    if !forgotten.is_empty() {
        forget(gateway, forgotten);
    }
    Ok(())
}

/// Lets go of what belonged to forgotten tasks.
fn forget(gateway: &Gateway, forgotten: Vec<(Box<str>, Task)>) {
    let mut files = Vec::new();
    let mut ids = Vec::new();
    for (id, task) in forgotten {
        ids.push(id);
        if let Stage::Painted(picture) = task.stage {
            gateway.vault.remove(&picture.file);
            files.push(picture.file);
        }
    }
    gateway.write(|| Entry::Forgotten(ids));
    gateway.write(|| Entry::Gone(files));
}

/// Keeps a file, and remembers what is kept and what had to go.
pub(crate) async fn keep(gateway: &Gateway, bytes: Bytes) -> std::io::Result<Change> {
    let change = gateway.vault.keep(bytes, gateway.clock.now()).await?;
    gateway.write(|| Entry::Kept(change.kept.clone()));
    if !change.gone.is_empty() {
        gateway.write(|| Entry::Gone(change.gone.clone()));
    }
    Ok(change)
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

/// The code of a task its own client has cancelled.
pub(crate) const CANCELLED: &str = "CANCELED";
