//! The handlers of `/_emulator/tasks`: [`tasks`] lists tasks, [`task`] shows one, and [`picture`] sends its
//! picture; [`finish`] makes a running task due at once, and [`fail`] ends it with a failure. Tests in any
//! language and the emulator's page call them over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use effects_core::{ServiceCode, Template};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{StatusCode, Uri};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{query, read_optional};
use crate::inspection::{self, SeenTask};
use crate::lifecycle;
use crate::state::EmulatorState;
use crate::task::{TaskFailure, VisibleState};
use crate::template_id::{self, TemplateId};
use crate::wire::refusal::ApiRefusal;

/// `GET /_emulator/tasks`
#[utoipa::path(get, path = "/_emulator/tasks", tag = "control", params(TasksQuery),
    responses((status = 200, body = Vec<SeenTask>)))]
pub(crate) async fn tasks(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
) -> Result<Json<Vec<SeenTask>>, ApiRefusal> {
    let TasksQuery { limit, status, template, since } = query(&uri)?;
    let wanted = |task: &SeenTask| {
        let of_template = |wanted: &Template| task.template_id.as_deref() == Some(wanted.id());
        status.is_none_or(|status| task.status == status.word())
            && template.as_ref().is_none_or(of_template)
            && since.is_none_or(|since| task.created >= since)
    };
    let tasks = inspection::tasks(&state).into_iter().filter(wanted);
    // Many more may be remembered (`Limits::tasks`); a list of all of them has to be asked for.
    Ok(Json(tasks.take(limit.unwrap_or(MAX_TASKS)).collect()))
}

/// `GET /_emulator/tasks/{id}`
#[utoipa::path(get, path = "/_emulator/tasks/{id}", tag = "control", params(("id" = String, Path)),
    responses((status = 200, body = SeenTask)))]
pub(crate) async fn task(
    State(state): State<Arc<EmulatorState>>,
    Path(id): Path<String>,
) -> Result<Json<SeenTask>, ApiRefusal> {
    inspection::task(&state, &id).map(Json).ok_or_else(unknown)
}

/// `GET /_emulator/tasks/{id}/picture`: its picture, without a request that a client could have made.
#[utoipa::path(get, path = "/_emulator/tasks/{id}/picture", tag = "control",
    params(("id" = String, Path)),
    responses((status = 200, description = "The picture", content_type = "image/png")))]
pub(crate) async fn picture(
    State(state): State<Arc<EmulatorState>>,
    Path(id): Path<String>,
) -> Result<Response, ApiRefusal> {
    let now = state.clock.now();
    let file = state.tasks.with(&id, |task| match task.visible_state(now) {
        VisibleState::Completed(picture) => Some(picture.file.clone()),
        _ => None,
    });
    let file = file.ok_or_else(unknown)?;
    let picture = match file {
        Some(file) => state.files.get(&file, now).await,
        None => None,
    };
    let picture =
        picture.ok_or_else(|| ApiRefusal::not_found("the task has no picture, or no longer"))?;
    // The picture of a task that was seen completed never changes.
    Ok(([(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "private, max-age=3600")], picture)
        .into_response())
}

/// `POST /_emulator/tasks/{id}/finish`: makes a task due now, and answers with it.
#[utoipa::path(post, path = "/_emulator/tasks/{id}/finish", tag = "control",
    params(("id" = String, Path)), responses((status = 200, body = SeenTask)))]
pub(crate) async fn finish(
    State(state): State<Arc<EmulatorState>>,
    Path(id): Path<String>,
) -> Result<Json<SeenTask>, ApiRefusal> {
    // A task that has ended stays as it is and is shown; only one that is not there is refused.
    lifecycle::finish(&state, &id).await;
    inspection::task(&state, &id).map(Json).ok_or_else(unknown)
}

/// `POST /_emulator/tasks/{id}/fail`: ends a running task with a failure.
#[utoipa::path(post, path = "/_emulator/tasks/{id}/fail", tag = "control",
    params(("id" = String, Path)), request_body = Option<TaskFailRequest>,
    responses((status = 200, body = SeenTask)))]
pub(crate) async fn fail(
    State(state): State<Arc<EmulatorState>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<SeenTask>, ApiRefusal> {
    let TaskFailRequest { code, message } = read_optional(&body)?;
    let code = code.unwrap_or(ServiceCode::Generation);
    let message = message.or_else(|| code.meaning().map(str::to_owned));
    let failure = TaskFailure::new(code, message.unwrap_or_else(|| "told to fail".to_owned()));
    match lifecycle::end_early(&state, &id, failure).await {
        Some(true) => inspection::task(&state, &id).map(Json).ok_or_else(unknown),
        Some(false) => {
            let message = "the task has ended already: its end was seen and cannot become another";
            Err(ApiRefusal::new(StatusCode::CONFLICT, "CONFLICT", message))
        }
        None => Err(unknown()),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TasksQuery {
    limit: Option<usize>,
    status: Option<TaskStatus>,
    #[serde(default, deserialize_with = "template_id::deserialize")]
    #[param(value_type = Option<TemplateId>)]
    template: Option<Template>,
    /// Tasks accepted at this time or later, in milliseconds since the epoch.
    since: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskStatus {
    InProgress,
    Completed,
    Failed,
}

impl TaskStatus {
    fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// How a task fails.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TaskEnd)]
pub(crate) struct TaskFailRequest {
    /// 3009095 if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<ServiceCode>,
    #[serde(default)]
    message: Option<String>,
}

fn unknown() -> ApiRefusal {
    ApiRefusal::not_found("there is no task of this id")
}

/// Tasks that are listed unless the query says how many.
const MAX_TASKS: usize = 1_000;
