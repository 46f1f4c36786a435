//! The JSON answers of the queue surface, which `surfaces/queue.rs` sends: [`QueueSubmitted`] to a
//! submission, [`QueueStatus`] and [`QueueResponse`] about a task, [`QueueCancelled`] to a cancel.
//! [`status`] and [`response`] make those about a task, from what a client may see of it now and the
//! fault that the request meets; [`response`] gives the status until the task has ended
//! ([`QueueAnswer`]).

use effects_core::Time;
use effects_core::model::MODEL;
use effects_core::wire::FaultSide as Whose;
use serde::Serialize;
use utoipa::ToSchema;

use super::code::CANCELLED;
use super::task::{AnswerContext, STAND_IN, link, reported_size};
use crate::faults::Fault;
use crate::options::Dialect;
use crate::task::{EmulatedTask, TaskFailure, TaskPicture, VisibleState, WorkStage};

/// The answer to a submission.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueSubmitted {
    pub(crate) request_id: String,
    pub(crate) status: &'static str,
    /// How many wait before it.
    pub(crate) queue_position: usize,
    pub(crate) status_url: String,
    pub(crate) response_url: String,
    pub(crate) cancel_url: String,
}

/// The answer of `/status`.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueStatus {
    request_id: String,
    response_url: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<QueueMetrics>,
    #[serde(flatten)]
    failure: QueueFailure,
    logs: Vec<QueueLog>,
}

/// The last answer of `/response`.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueResponse {
    request_id: String,
    status: String,
    outputs: Vec<QueueOutput>,
    #[serde(flatten)]
    failure: QueueFailure,
    metadata: QueueMetadata,
}

/// What `/response` answers: the status until the request has ended.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum QueueAnswer {
    Running(QueueStatus),
    Ended(QueueResponse),
}

/// The answer to a cancellation.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueCancelled {
    pub(crate) status: &'static str,
    pub(crate) request_id: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueueMetrics {
    /// Seconds.
    inference_time: f64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueueLog {
    message: String,
    timestamp: String,
}

/// Why a request has no picture; both are left out of one that has.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct QueueFailure {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<QueueError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueueError {
    /// Text in both dialects: the queue's clients print a number as a floating one.
    code: String,
    message: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueueOutput {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    content_type: &'static str,
    file_name: String,
    file_size: u64,
    width: u32,
    height: u32,
    #[serde(rename = "jobId")]
    job_id: String,
    task_id: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueueMetadata {
    local_stand_in: StandIn,
}

/// Words, or a number for clients that want numbers alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum StandIn {
    Words(&'static str),
    Number(u8),
}

/// The answer of `/status`; `look_fault` is the fault that this look meets, `position` the place in the
/// queue of a request that waits.
pub(crate) fn status(
    id: &str,
    task: &EmulatedTask,
    context: AnswerContext<'_>,
    look_fault: Option<&Fault>,
    position: usize,
) -> QueueStatus {
    let response_url = format!("{}/model/v1/queue/{MODEL}/requests/{id}/response", context.origin);
    let mut answer = QueueStatus {
        request_id: id.to_owned(),
        response_url,
        status: String::new(),
        queue_position: None,
        progress: None,
        metrics: None,
        failure: QueueFailure::default(),
        logs: logs(task, context.now),
    };
    match visible_state(task, context, look_fault) {
        VisibleState::Running(progress) => {
            let is_queued = matches!(task.stage, WorkStage::Queued);
            answer.status = if is_queued { "IN_QUEUE" } else { "IN_PROGRESS" }.to_owned();
            answer.queue_position = Some(if is_queued { position } else { 0 });
            answer.progress = Some(progress);
        }
        VisibleState::Completed(_) => finish(&mut answer, task, context.now),
        VisibleState::Failed(failure) => {
            // `COMPLETED` is the queue's only end, and a failure is in `error` alone. seacloud-cli
            // takes `CANCELED` for a task that still runs, and waits until its time is up.
            finish(&mut answer, task, context.now);
            answer.failure = QueueFailure::new(failure);
        }
    }
    answer.status = status_word(answer.status, look_fault);
    answer
}

/// The answer of `/response`.
pub(crate) fn response(
    id: &str,
    task: &EmulatedTask,
    context: AnswerContext<'_>,
    look_fault: Option<&Fault>,
    position: usize,
) -> QueueAnswer {
    let (outputs, failure) = match visible_state(task, context, look_fault) {
        VisibleState::Running(_) => {
            return QueueAnswer::Running(status(id, task, context, look_fault, position));
        }
        VisibleState::Completed(picture) => {
            (vec![output(id, task, picture, context)], QueueFailure::default())
        }
        VisibleState::Failed(failure) => (Vec::new(), QueueFailure::new(failure)),
    };
    let local_stand_in = match context.dialect {
        Dialect::Spec => StandIn::Words(STAND_IN),
        Dialect::Sdk => StandIn::Number(1),
    };
    QueueAnswer::Ended(QueueResponse {
        request_id: id.to_owned(),
        // seacloudai-sdk takes the outcome from here: without an error it reports success, and
        // without a status that of the submission.
        status: status_word("COMPLETED".to_owned(), look_fault),
        outputs,
        failure,
        metadata: QueueMetadata { local_stand_in },
    })
}

fn visible_state<'a>(
    task: &'a EmulatedTask,
    context: AnswerContext<'_>,
    look_fault: Option<&Fault>,
) -> VisibleState<'a> {
    match look_fault {
        Some(Fault::Stale) => VisibleState::Running(0.99),
        _ => task.visible_state(context.now),
    }
}

fn finish(answer: &mut QueueStatus, task: &EmulatedTask, now: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a duration needs no exactness")]
    let seconds = now.min(task.due).saturating_sub(task.created) as f64 / 1000.0;
    "COMPLETED".clone_into(&mut answer.status);
    answer.metrics = Some(QueueMetrics { inference_time: seconds });
}

/// What has happened to a task, as far as this time sees it.
fn logs(task: &EmulatedTask, now: u64) -> Vec<QueueLog> {
    let log = |message: &str, at: u64| {
        let timestamp = Time::from_millis(at).to_string();
        QueueLog { message: message.to_owned(), timestamp }
    };
    let mut logs = vec![log("the request is queued", task.created)];
    match task.visible_state(now) {
        VisibleState::Running(_) if matches!(task.stage, WorkStage::Queued) => {}
        VisibleState::Running(_) => logs.push(log("the photo is being painted", now)),
        VisibleState::Completed(_) => {
            logs.push(log("the picture is painted", task.finished(now).unwrap_or(now)));
        }
        VisibleState::Failed(failure) => {
            let message = format!("failed with {}: {}", failure.code, failure.message);
            logs.push(log(&message, task.finished(now).unwrap_or(now)));
        }
    }
    logs
}

impl QueueFailure {
    fn new(failure: &TaskFailure) -> Self {
        let code = failure.code.as_str();
        // The words that the queue's documentation has for `error_type`.
        let kind = match (code, failure.code.fault()) {
            (CANCELLED, _) => "CANCELED",
            (_, Some(Whose::Caller)) => "REQUEST_INVALID",
            _ => "INFERENCE_FAILURE",
        };
        let error = QueueError { code: code.to_owned(), message: failure.message.to_string() };
        Self { error: Some(error), error_type: Some(kind) }
    }
}

fn status_word(status: String, look_fault: Option<&Fault>) -> String {
    match look_fault {
        Some(Fault::Word { status }) => status.clone(),
        _ => status,
    }
}

fn output(
    id: &str,
    task: &EmulatedTask,
    picture: &TaskPicture,
    context: AnswerContext<'_>,
) -> QueueOutput {
    let (width, height) = picture.sides.unwrap_or_else(|| task.painted_sides());
    QueueOutput {
        kind: "image",
        url: link(task, picture, context.origin),
        // Painters make PNG files (`Painter::paint`), and the stub is one.
        content_type: "image/png",
        file_name: picture.file.to_string(),
        file_size: reported_size(task, picture),
        width,
        height,
        job_id: format!("local-{id}"),
        task_id: id.to_owned(),
    }
}
