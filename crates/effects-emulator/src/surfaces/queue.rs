//! [`submit`], [`status`], [`response`] and [`cancel`]: the HTTP handlers of the queue surface, which
//! create a task, show its state and its result, and cancel it; `sync` and `stream` always refuse.
//! `routes.rs` leads requests to them, and `openapi.rs` describes the four. Their answers are in
//! `wire/queue.rs`.
//!
//! Answers follow what the queue's clients were measured to need: `/response` repeats status and
//! error, a failure is HTTP 200, codes are text.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use effects_core::model::MODEL;
use http::{HeaderMap, StatusCode, Uri};

use crate::faults::ErrorBody;
use crate::lifecycle;
use crate::middleware::InjectedFault;
use crate::state::EmulatorState;
use crate::surfaces::{about, segment};
use crate::task::Surface;
use crate::wire::create::{CheckedParams, object};
use crate::wire::queue::{self, QueueAnswer, QueueCancelled, QueueStatus, QueueSubmitted};
use crate::wire::refusal::ApiRefusal;
use crate::wire::task::AnswerContext;

/// `POST /model/v1/queue/{model}`: the parameters are the whole body.
#[utoipa::path(post, path = "/model/v1/queue/{model}", tag = "queue",
    params(("model" = String, Path)), request_body = crate::wire::create::CreateParams,
    responses((status = 200, body = QueueSubmitted)))]
pub(crate) async fn submit(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    injected: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiRefusal> {
    check_model(&uri)?;
    let params = object(&body)?;
    // A photo in base64 is in the parameters now; the body would be a second copy of it.
    drop(body);
    // The queue refuses webhooks in these words, whatever the field for one is called.
    if params.keys().any(|name| name.contains("webhook")) {
        return Err(ApiRefusal::bad_request("webhook not supported").with_body(ErrorBody::Detail));
    }
    let fault = injected.and_then(|Extension(injected)| injected.0);
    let checked = CheckedParams::check(params);
    let accepted = lifecycle::accept(&state, Surface::Queue, checked, fault).await?;
    let base =
        format!("{}/model/v1/queue/{MODEL}/requests/{}", state.origin_for(&headers), accepted.id);
    let answer = Json(QueueSubmitted {
        status: "IN_QUEUE",
        queue_position: state.renders.position(&accepted.id),
        status_url: format!("{base}/status"),
        response_url: format!("{base}/response"),
        cancel_url: format!("{base}/cancel"),
        request_id: accepted.id.clone(),
    });
    Ok(about(&accepted.id, answer.into_response()))
}

/// `GET /model/v1/queue/{model}/requests/{id}/status`
#[utoipa::path(get, path = "/model/v1/queue/{model}/requests/{id}/status", tag = "queue",
    params(("model" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = QueueStatus)))]
pub(crate) async fn status(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    injected: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
) -> Result<Json<QueueStatus>, ApiRefusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    let look_fault = injected.as_ref().and_then(|Extension(injected)| injected.0.as_ref());
    let position = state.renders.position(id);
    let answer_for = |task: &_, context: AnswerContext<'_>| {
        queue::status(id, task, context, look_fault, position)
    };
    let answer = state.look(id, &headers, answer_for);
    answer.map(Json).ok_or_else(unknown)
}

/// `GET /model/v1/queue/{model}/requests/{id}/response`
#[utoipa::path(get, path = "/model/v1/queue/{model}/requests/{id}/response", tag = "queue",
    params(("model" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = queue::QueueResponse),
        (status = 202, body = QueueStatus, description = "It runs still")))]
pub(crate) async fn response(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    injected: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    let look_fault = injected.as_ref().and_then(|Extension(injected)| injected.0.as_ref());
    let position = state.renders.position(id);
    let answer_for = |task: &_, context: AnswerContext<'_>| {
        queue::response(id, task, context, look_fault, position)
    };
    let answer = state.look(id, &headers, answer_for).ok_or_else(unknown)?;
    let status = match answer {
        // The queue's documentation has 202 and the status here until the request has ended.
        QueueAnswer::Running(_) => StatusCode::ACCEPTED,
        QueueAnswer::Ended(_) => StatusCode::OK,
    };
    Ok((status, Json(answer)).into_response())
}

/// `PUT /model/v1/queue/{model}/requests/{id}/cancel`
#[utoipa::path(put, path = "/model/v1/queue/{model}/requests/{id}/cancel", tag = "queue",
    params(("model" = String, Path), ("id" = String, Path)),
    responses((status = 202, body = QueueCancelled), (status = 400, body = CancelRefused),
        (status = 404, body = CancelRefused)))]
pub(crate) async fn cancel(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
) -> Result<Response, ApiRefusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    // Statuses and words are those of the queue's documentation.
    let (status, word) = match lifecycle::cancel(&state, id).await {
        Some(true) => (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED"),
        Some(false) => (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED"),
        None => (StatusCode::NOT_FOUND, "NOT_FOUND"),
    };
    let answer = QueueCancelled { status: word, request_id: id.to_owned() };
    Ok((status, Json(answer)).into_response())
}

/// `POST /model/v1/queue/{model}/sync`: not offered: always 404, in the queue's form of an error.
pub(crate) async fn sync() -> ApiRefusal {
    ApiRefusal::not_found("Not Found").with_body(ErrorBody::Detail)
}

/// `GET /model/v1/queue/{model}/requests/{id}/status/stream`
pub(crate) async fn stream() -> ApiRefusal {
    ApiRefusal::bad_request("SSE streaming not supported").with_body(ErrorBody::Detail)
}

/// The body of a refused cancel. `Request`: it has ended (400) or does not exist (404). `Model`: a general
/// refusal, such as an unknown model.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes answers that are made elsewhere")]
pub(crate) enum CancelRefused {
    Request(QueueCancelled),
    Model(crate::wire::refusal::RefusalForms),
}

fn check_model(uri: &Uri) -> Result<(), ApiRefusal> {
    let model = segment(uri, MODEL_PLACE);
    if model == MODEL {
        return Ok(());
    }
    // The queue's own words and form for a model that it does not have.
    Err(ApiRefusal::not_found(format!("App not found: {model}")).with_body(ErrorBody::Detail))
}

/// Places among the segments of `/model/v1/queue/{model}/requests/{id}/…`, from 0.
const MODEL_PLACE: usize = 4;
const REQUEST_PLACE: usize = 6;

fn unknown() -> ApiRefusal {
    ApiRefusal::not_found("there is no request of this id")
}
