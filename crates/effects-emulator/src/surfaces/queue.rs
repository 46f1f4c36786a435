//! The queue surface: submit, status, response, cancel.
//!
//! Answers follow what the queue's clients were measured to need: `/response` repeats status and
//! error, a failure is HTTP 200, codes are text.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use effects_core::MODEL;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use crate::faults::ErrorBody;
use crate::gate::Met;
use crate::gateway::Gateway;
use crate::life;
use crate::surfaces::{about, segment};
use crate::task::Surface;
use crate::wire::create::{Params, object};
use crate::wire::queue;
use crate::wire::refusal::Refusal;

/// `POST /model/v1/queue/{model}`: the parameters are the whole body.
pub(crate) async fn submit(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    met: Option<Extension<Met>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_model(&uri)?;
    let params = object(&body)?;
    drop(body);
    if params.keys().any(|name| name.contains("webhook")) {
        return Err(Refusal::bad_request("webhook not supported").with_body(ErrorBody::Detail));
    }
    let fault = met.and_then(|Extension(met)| met.0);
    let checked = Params::check(params);
    let accepted = life::accept(&gateway, Surface::Queue, checked, fault).await?;
    let base =
        format!("{}/model/v1/queue/{MODEL}/requests/{}", gateway.origin_for(&headers), accepted.id);
    let answer = Json(json!({
        "request_id": accepted.id,
        "status": "IN_QUEUE",
        "queue_position": 0,
        "status_url": format!("{base}/status"),
        "response_url": format!("{base}/response"),
        "cancel_url": format!("{base}/cancel"),
    }));
    Ok(about(&accepted.id, answer.into_response()))
}

/// `GET /model/v1/queue/{model}/requests/{id}/status`
pub(crate) async fn status(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    met: Option<Extension<Met>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    let twist = met.as_ref().and_then(|Extension(met)| met.0.as_ref());
    let told = gateway.look(id, &headers, |task, telling| queue::status(id, task, telling, twist));
    told.map(Json).ok_or_else(unknown)
}

/// `GET /model/v1/queue/{model}/requests/{id}/response`
pub(crate) async fn response(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
    met: Option<Extension<Met>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    let twist = met.as_ref().and_then(|Extension(met)| met.0.as_ref());
    let told =
        gateway.look(id, &headers, |task, telling| queue::response(id, task, telling, twist));
    let (finished, body) = told.ok_or_else(unknown)?;
    let status = if finished { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(body)).into_response())
}

/// `PUT /model/v1/queue/{model}/requests/{id}/cancel`
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    check_model(&uri)?;
    let id = segment(&uri, REQUEST_PLACE);
    let (status, word) = match life::cancel(&gateway, id).await {
        Some(true) => (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED"),
        Some(false) => (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED"),
        None => (StatusCode::NOT_FOUND, "NOT_FOUND"),
    };
    Ok((status, Json(json!({"status": word, "request_id": id}))).into_response())
}

fn check_model(uri: &Uri) -> Result<(), Refusal> {
    let model = segment(uri, MODEL_PLACE);
    if model == MODEL {
        return Ok(());
    }
    Err(Refusal::not_found(format!("App not found: {model}")).with_body(ErrorBody::Detail))
}

/// Places among the segments of `/model/v1/queue/{model}/requests/{id}/…`, from 0.
const MODEL_PLACE: usize = 4;
const REQUEST_PLACE: usize = 6;

fn unknown() -> Refusal {
    Refusal::not_found("there is no request of this id")
}
