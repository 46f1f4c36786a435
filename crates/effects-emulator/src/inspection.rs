//! [`SeenTask`]: a task as tests and the page see it, with [`SeenFailure`], why it failed. [`tasks`],
//! [`task`] and [`some`] make them from the emulator's state: all of them, one, or those of some ids, for
//! `control/tasks.rs`, `control/events.rs` and [`Emulator::tasks`](crate::Emulator::tasks), which Rust
//! tests call.

use serde::Serialize;

use crate::faults::Fault;
use crate::state::EmulatorState;
use crate::task::{EmulatedTask, VisibleState};
use crate::wire::task::link;

/// A task the emulator has accepted.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
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
    /// When it was finished.
    pub finished: Option<u64>,
    /// `in_progress`, `completed` or `failed`.
    pub status: &'static str,
    /// How often it was looked at.
    pub looks: u32,
    /// The fault it has.
    pub fault: Option<Fault>,
    /// Why it failed.
    pub error: Option<SeenFailure>,
    /// Where its picture is, once it is completed.
    pub picture: Option<String>,
    /// What it has cost, in USD, once it is completed.
    pub cost: Option<String>,
    /// The numbers of the requests that created it, looked at it, cancelled it or asked for its
    /// picture, oldest first, as far as they are remembered.
    pub requests: Vec<u64>,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct SeenFailure {
    /// The service's code.
    pub code: String,
    /// The words beside it.
    pub message: String,
}

/// All tasks, newest first.
pub(crate) fn tasks(state: &EmulatorState) -> Vec<SeenTask> {
    let mut known = Vec::with_capacity(state.tasks.count());
    // Only ids are copied under this hold of the lock; each task is read under one of its own.
    state.tasks.for_each(|id, task| known.push((task.created, id.to_owned())));
    // The ids decide between tasks of one millisecond, so that the order is the same each time.
    known.sort_unstable_by(|one, other| other.cmp(one));
    some(state, known.iter().map(|(_, id)| id.as_str()))
}

/// The task of this id.
pub(crate) fn task(state: &EmulatorState, id: &str) -> Option<SeenTask> {
    some(state, [id].into_iter()).pop()
}

/// The tasks of these ids, as far as there are such.
pub(crate) fn some<'a>(state: &EmulatorState, ids: impl Iterator<Item = &'a str>) -> Vec<SeenTask> {
    let mut ids = ids.peekable();
    // The numbers below are gathered from the whole record, which is not done for nothing.
    if ids.peek().is_none() {
        return Vec::new();
    }
    let mut requests = state.record.numbers_by_task();
    let seen = |id: &str| {
        let requests = requests.remove(id).unwrap_or_default();
        state.tasks.with(id, |task| seen_task(state, id, task, requests))
    };
    ids.filter_map(seen).collect()
}

fn seen_task(state: &EmulatorState, id: &str, task: &EmulatedTask, requests: Vec<u64>) -> SeenTask {
    let mut seen = SeenTask {
        id: id.to_owned(),
        surface: task.surface.name(),
        template_id: task.template.as_ref().map(|template| template.id().to_owned()),
        width: task.width,
        height: task.height,
        created: task.created,
        due: task.due,
        finished: task.finished(state.clock.now()),
        status: "in_progress",
        looks: task.looks,
        fault: task.fault.as_deref().cloned(),
        error: None,
        picture: None,
        cost: None,
        requests,
    };
    match task.visible_state(state.clock.now()) {
        VisibleState::Running(_) => {}
        VisibleState::Completed(picture) => {
            seen.status = "completed";
            // No request's host is at hand here, so the link has the emulator's own address.
            seen.picture = link(task, picture, state.origin());
            seen.cost = Some(state.cost().to_owned());
        }
        VisibleState::Failed(failure) => {
            let (code, message) = (failure.code.to_string(), failure.message.to_string());
            seen.status = "failed";
            seen.error = Some(SeenFailure { code, message });
        }
    }
    seen
}
