//! [`create`] and [`look`]: the HTTP handlers of `POST /model/v1/generation` and `GET …/task/{id}`, the
//! first of the gateway's two ways to make a task (`queue.rs` is the other). [`create`] checks a request
//! and has `lifecycle.rs` accept it; [`look`] answers a task's status and, once it has ended, its picture
//! or failure. `routes.rs` leads requests to them, and `openapi.rs` describes them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use effects_core::model::MODEL;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};

use crate::faults::Fault;
use crate::lifecycle;
use crate::middleware::InjectedFault;
use crate::state::EmulatorState;
use crate::surfaces::{about, segment};
use crate::task::Surface;
use crate::wire::create::{CheckedParams, Create};
use crate::wire::refusal::ApiRefusal;
use crate::wire::task;

/// `POST /model/v1/generation`
#[utoipa::path(post, path = "/model/v1/generation", tag = "generation",
    request_body = crate::wire::create::CreateRequest,
    responses((status = 200, body = task::TaskAnswer<'_>)))]
pub(crate) async fn create(
    State(state): State<Arc<EmulatorState>>,
    injected: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiRefusal> {
    let create = Create::read(&headers, &body)?;
    // A photo in base64 is in the parameters now; the body would be a second copy of it.
    drop(body);
    match create.model.as_deref() {
        Some(MODEL) => {}
        Some(other) => {
            return Err(ApiRefusal::bad_request(format!(
                "model: `{other}` is not served here; it is `{MODEL}`"
            )));
        }
        None => {
            return Err(ApiRefusal::bad_request(format!(
                "model: missing from the body and from X-Model; it is `{MODEL}`"
            )));
        }
    }
    let fault = injected.and_then(|Extension(injected)| injected.0);
    let finished = fault == Some(Fault::Finished);
    let checked = CheckedParams::check(create.params);
    let accepted = lifecycle::accept(&state, Surface::Generation, checked, fault).await?;
    if finished {
        // The answer has to show the end of the task, so it waits for the painting.
        state.renders.wait_until_painted(|id, _| id == accepted.id).await;
        let answer_for = |task: &_, context: task::AnswerContext<'_>| {
            task::task_answer(&accepted.id, task, context, None)
        };
        // A task that a reset has forgotten meanwhile is answered like any other create.
        if let Some(task_answer) = state.look(&accepted.id, &headers, answer_for) {
            return Ok(about(&accepted.id, json(task_answer)));
        }
    }
    let created = json(task::created(&accepted.id, accepted.created));
    Ok(about(&accepted.id, created))
}

/// `GET /model/v1/generation/task/{id}`
#[utoipa::path(get, path = "/model/v1/generation/task/{id}", tag = "generation",
    params(("id" = String, Path)), responses((status = 200, body = task::TaskAnswer<'_>)))]
pub(crate) async fn look(
    State(state): State<Arc<EmulatorState>>,
    uri: Uri,
    injected: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
) -> Result<Response, ApiRefusal> {
    let id = segment(&uri, TASK_PLACE);
    let look_fault = injected.as_ref().and_then(|Extension(injected)| injected.0.as_ref());
    let answer_for = |task: &_, context: task::AnswerContext<'_>| {
        task::task_answer(id, task, context, look_fault)
    };
    let task_answer = state.look(id, &headers, answer_for);
    task_answer.map(json).ok_or_else(|| ApiRefusal::not_found("there is no task of this id"))
}

/// The id's place among the segments of `/model/v1/generation/task/{id}`.
const TASK_PLACE: usize = 5;

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
