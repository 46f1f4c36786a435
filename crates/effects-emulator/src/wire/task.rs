//! [`TaskAnswer`]: the JSON of a task on the generation surface, running, completed or failed.
//! `surfaces/generation.rs` answers a create with [`created`], and a poll, or a create whose fault is
//! `finished`, with [`task_answer`], given the [`AnswerContext`] that `state.rs` makes. `wire/queue.rs`
//! shares [`link`], [`reported_size`] and [`STAND_IN`] with it; `inspection.rs` takes [`link`], too, and
//! the control API [`STAND_IN`].

use std::time::Duration;

use effects_core::model::MODEL;
use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use crate::clock::millis;
use crate::faults::Fault;
use crate::options::Dialect;
use crate::task::{EmulatedTask, TaskFailure, TaskPicture, VisibleState};

/// A task in the wire's words: the answer to a create or to a poll, running, completed or failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskAnswer<'a> {
    id: &'a str,
    model: &'static str,
    /// Whole seconds since the epoch.
    created_at: u64,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<OutputGroup<'_>>>)]
    output: Option<[OutputGroup<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<TaskUsage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TaskError<'a>>,
}

/// What an answer needs beside the task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerContext<'a> {
    pub(crate) now: u64,
    pub(crate) dialect: Dialect,
    /// Scheme, host and port that pictures are fetched from.
    pub(crate) origin: &'a str,
    /// The price of a picture, as text.
    pub(crate) cost: &'a str,
}

/// The answer to a create: the task runs, whatever is known of it already.
pub(crate) fn created(id: &str, created: u64) -> Vec<u8> {
    // In the SDKs' tests the answer to a create has no `progress`.
    json(&TaskAnswer { progress: None, ..running(id, created, 0.0) })
}

/// The answer to a look; `look_fault` is the fault that this look meets.
pub(crate) fn task_answer(
    id: &str,
    task: &EmulatedTask,
    context: AnswerContext<'_>,
    look_fault: Option<&Fault>,
) -> Vec<u8> {
    let visible_state = match look_fault {
        Some(Fault::Stale) => VisibleState::Running(0.99),
        _ => task.visible_state(context.now),
    };
    let word = match look_fault {
        Some(Fault::Word { status }) => Some(status.as_str()),
        _ => None,
    };
    match visible_state {
        VisibleState::Running(progress) => {
            let answer = running(id, task.created, progress);
            json(&TaskAnswer { status: word.unwrap_or(answer.status), ..answer })
        }
        VisibleState::Completed(picture) => {
            let url = link(task, picture, context.origin);
            // The service has the id of a remote job here; the prefix says that this one has none.
            let job_id = format!("local-{id}");
            let content = Content {
                kind: "image",
                url: url.as_deref(),
                size: reported_size(task, picture),
                job_id: &job_id,
            };
            json(&TaskAnswer {
                status: word.unwrap_or("completed"),
                progress: Some(1.0),
                // A list of groups, even of one: sea-sdk-go and the command lines cannot read a
                // single object.
                output: Some([OutputGroup { content: [content] }]),
                // Whether `discount` is an amount or a factor is not known; as a factor, 1 is none.
                usage: Some(TaskUsage { cost: context.cost, discount: 1 }),
                metadata: Some(Metadata::new(task, context.dialect)),
                ..running(id, task.created, 1.0)
            })
        }
        VisibleState::Failed(failure) => json(&TaskAnswer {
            status: word.unwrap_or("failed"),
            error: Some(TaskError::new(failure, context.dialect)),
            ..running(id, task.created, 0.0)
        }),
    }
}

/// The URL of a picture, unless its fault leaves it out. A link that expires carries its end with it, as
/// signed links of object stores do.
pub(crate) fn link(task: &EmulatedTask, picture: &TaskPicture, origin: &str) -> Option<String> {
    let file = &picture.file;
    match task.fault.as_deref() {
        Some(Fault::NoUrl) => None,
        Some(Fault::ExpiredLink { seconds }) => {
            let end = task.due + millis(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
            Some(format!("{origin}/files/{file}?expires={end}"))
        }
        _ => Some(format!("{origin}/files/{file}")),
    }
}

/// The size that the answer gives for a picture.
pub(crate) fn reported_size(task: &EmulatedTask, picture: &TaskPicture) -> u64 {
    match task.fault.as_deref() {
        // Another number for every file of more than two bytes, as each PNG is.
        Some(Fault::WrongSize) => picture.size / 2 + 1,
        _ => picture.size,
    }
}

fn running(id: &str, created: u64, progress: f64) -> TaskAnswer<'_> {
    TaskAnswer {
        id,
        model: MODEL,
        // An integer: sea-sdk-go and the command lines decode nothing else.
        created_at: created / 1000,
        status: "in_progress",
        progress: Some(progress),
        output: None,
        usage: None,
        metadata: None,
        error: None,
    }
}

fn json(answer: &TaskAnswer<'_>) -> Vec<u8> {
    // Plain structs of texts and numbers always have a JSON form.
    serde_json::to_vec(answer).expect("a task answer is plain data")
}

#[derive(Serialize, ToSchema)]
#[schema(as = Group)]
pub(crate) struct OutputGroup<'a> {
    #[schema(value_type = Vec<Content<'_>>)]
    content: [Content<'a>; 1],
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Content<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    size: u64,
    #[serde(rename = "jobId")]
    job_id: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct TaskUsage<'a> {
    cost: &'a str,
    discount: u32,
}

/// Where the emulator says what it is.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Metadata {
    Words {
        local_stand_in: &'static str,
    },
    /// Clients that read `metadata` want numbers alone.
    Numbers {
        local_stand_in: u8,
        in_queue_at: f64,
        completed_at: f64,
    },
}

impl Metadata {
    fn new(task: &EmulatedTask, dialect: Dialect) -> Self {
        match dialect {
            Dialect::Spec => Self::Words { local_stand_in: STAND_IN },
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of a date fit exactly")]
            Dialect::Sdk => Self::Numbers {
                local_stand_in: 1,
                in_queue_at: task.created as f64 / 1000.0,
                completed_at: task.due as f64 / 1000.0,
            },
        }
    }
}

/// Says, wherever there is room for words, what a picture of this machine is.
pub(crate) const STAND_IN: &str =
    "painted by effects-emulator on this machine: a local stand-in, not the generative model";

#[derive(Serialize, ToSchema)]
pub(crate) struct TaskError<'a> {
    code: Code<'a>,
    error_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<'a> TaskError<'a> {
    fn new(failure: &'a TaskFailure, dialect: Dialect) -> Self {
        let message = match dialect {
            // The service's page has `error_message` alone.
            Dialect::Spec => None,
            // Part of the clients read `message` and not `error_message`.
            Dialect::Sdk => Some(&*failure.message),
        };
        Self { code: Code::of(&failure.code, dialect), error_message: &failure.message, message }
    }
}
