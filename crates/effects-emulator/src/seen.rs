//! Tasks as the control API tells them.

use serde::Serialize;

use crate::gateway::Gateway;
use crate::task::{Standing, Task};

/// A task the emulator has accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SeenTask {
    /// Its id.
    pub id: String,
    /// The surface that accepted it: `generation` or `queue`.
    pub surface: &'static str,
    /// The id of its template, when the request named a listed one.
    pub template_id: Option<String>,
    /// The width asked for; 0 if the request did not hold.
    pub width: u32,
    /// The height asked for; 0 if the request did not hold.
    pub height: u32,
    /// When it was accepted, in milliseconds since the epoch by the emulator's clock.
    pub created: u64,
    /// The earliest time it may be seen finished.
    pub due: u64,
    /// `in_progress`, `completed` or `failed`.
    pub status: &'static str,
    /// How often it was looked at.
    pub looks: u32,
    /// The fault it has.
    pub fault: Option<crate::Fault>,
    /// Why it failed.
    pub error: Option<SeenFailure>,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SeenFailure {
    /// The service's code.
    pub code: String,
    /// The words beside it.
    pub message: String,
}

/// The newest tasks, at most so many, newest first.
pub(crate) fn tasks(gateway: &Gateway, most: usize) -> Vec<SeenTask> {
    let now = gateway.clock.now();
    let mut known = Vec::with_capacity(gateway.tasks.count());
    gateway.tasks.for_each(|id, task| known.push((task.created, id.to_owned())));
    known.sort_unstable_by(|one, other| other.cmp(one));
    known.truncate(most);
    let tell = |(_, id): &(u64, String)| gateway.tasks.with(id, |task| tell(id, task, now));
    known.iter().filter_map(tell).collect()
}

fn tell(id: &str, task: &Task, now: u64) -> SeenTask {
    let (status, error) = match task.standing(now) {
        Standing::Running(_) => ("in_progress", None),
        Standing::Completed(_) => ("completed", None),
        Standing::Failed(failure) => {
            let (code, message) = (failure.code.to_string(), failure.message.to_string());
            ("failed", Some(SeenFailure { code, message }))
        }
    };
    SeenTask {
        id: id.to_owned(),
        surface: task.surface.name(),
        template_id: task.template.as_ref().map(|template| template.id().to_owned()),
        width: task.width,
        height: task.height,
        created: task.created,
        due: task.due,
        status,
        looks: task.looks,
        fault: task.fault.as_deref().cloned(),
        error,
    }
}
