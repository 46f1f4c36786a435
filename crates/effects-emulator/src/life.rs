//! The life of a task: accepted, then failed at once, painted at once, or put before a painter.

use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::Gateway;
use crate::ids;
use crate::options::{Pictures, Validation};
use crate::painter::STUB;
use crate::studio::{self, Job};
use crate::task::{Failure, Picture, Stage, Surface, Task};
use crate::wire::create::Params;
use crate::wire::refusal::Refusal;

/// A task that was just accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) created: u64,
}

/// Accepts a task, unless there is no room, or its parameters do not hold and the gateway refuses
/// such requests outright.
pub(crate) fn accept(
    gateway: &Arc<Gateway>,
    surface: Surface,
    checked: Result<Params, Failure>,
) -> Result<Accepted, Refusal> {
    if gateway.tasks.is_full() {
        return Err(Refusal::busy("too many unfinished tasks"));
    }
    match checked {
        Ok(params) => accept_valid(gateway, surface, params),
        Err(failure) if gateway.options.validation == Validation::Http => {
            Err(Refusal::of_parameters(failure.code, failure.message))
        }
        Err(failure) => Ok(accept_failed(gateway, surface, failure)),
    }
}

fn accept_valid(
    gateway: &Arc<Gateway>,
    surface: Surface,
    params: Params,
) -> Result<Accepted, Refusal> {
    let created = gateway.clock.now();
    let due = gateway.due(&params.template, created);
    let id = ids::fresh(20);
    let Params { image, template, width, height } = params;
    let task = |stage| Task {
        surface,
        template: Some(template.clone()),
        width,
        height,
        created,
        due,
        stage,
    };
    if gateway.options.pictures == Pictures::Stub {
        let file = gateway.vault.keep(Bytes::from_static(STUB), created);
        let picture = Picture { file, size: STUB.len() as u64 };
        remember(gateway, &id, task(Stage::Painted(picture)));
        return Ok(Accepted { id, created });
    }
    let place = gateway.studio.take_place(image.len())?;
    remember(gateway, &id, task(Stage::Queued));
    studio::employ(gateway, place, Job { id: id.clone().into(), image, template, width, height });
    Ok(Accepted { id, created })
}

fn accept_failed(gateway: &Gateway, surface: Surface, failure: Failure) -> Accepted {
    let created = gateway.clock.now();
    let id = ids::fresh(20);
    let stage = Stage::Failed(failure);
    let task = Task { surface, template: None, width: 0, height: 0, created, due: created, stage };
    remember(gateway, &id, task);
    Accepted { id, created }
}

/// Keeps a task, and lets go of the pictures of those forgotten for it.
fn remember(gateway: &Gateway, id: &str, task: Task) {
    gateway.tasks.insert(id, task);
}

/// Ends the work on a task with its picture or its failure.
pub(crate) fn settle(gateway: &Gateway, id: &str, result: Result<Bytes, Failure>) {
    let stage = match result {
        Ok(png) => {
            let size = png.len() as u64;
            Stage::Painted(Picture { file: gateway.vault.keep(png, gateway.clock.now()), size })
        }
        Err(failure) => Stage::Failed(failure),
    };
    let orphan = match &stage {
        Stage::Painted(picture) => Some(picture.file.clone()),
        _ => None,
    };
    let known = gateway.tasks.with(id, |task| task.stage = stage);
    if let (None, Some(file)) = (known, orphan) {
        gateway.vault.remove(&file);
    }
}
