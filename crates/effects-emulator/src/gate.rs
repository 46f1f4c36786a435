//! What every request passes on its way to a handler, and every answer on its way back.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::endpoint::Endpoint;
use crate::gateway::Gateway;
use crate::ids;
use crate::keys::Bearer;
use crate::options::Limits;
use crate::wire::refusal::Refusal;

/// Where a gate stands.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) endpoint: Endpoint,
}

/// Lets a request through to its handler: with its body read whole, if its key opens.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(REQUEST_ID).cloned();
    let response = match admit(&gate, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => return word(&gate.gateway, &refusal, asked.as_ref()),
    };
    match response.extensions().get::<Refusal>() {
        Some(refusal) => word(&gate.gateway, refusal, asked.as_ref()),
        None => echo(response, asked),
    }
}

async fn admit(gate: &Gate, request: Request) -> Result<Request, Refusal> {
    let limits = &gate.gateway.options.limits;
    if !gate.endpoint.is_public() && !opens(gate, request.headers()) {
        return Err(Refusal::unauthorized());
    }
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = read(body, most_bytes(gate.endpoint, limits), limits).await?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn opens(gate: &Gate, headers: &HeaderMap) -> bool {
    gate.gateway.keys.bearer(headers) == Bearer::Own
}

/// A photo may arrive as base64, which is a third longer, inside JSON or a form.
fn most_bytes(endpoint: Endpoint, limits: &Limits) -> usize {
    if endpoint.takes_photos() { limits.photo_bytes / 3 * 4 + SMALL } else { SMALL }
}

async fn read(body: Body, most_bytes: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, most_bytes).collect();
    match tokio::time::timeout(limits.request_time, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PAYLOAD_TOO_LARGE",
            format!("the body is larger than {most_bytes} bytes"),
        )),
        Ok(Err(_)) => Err(Refusal::bad_request("the body broke off")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            format!("the body did not arrive within {:?}", limits.request_time),
        )),
    }
}

/// Puts a refusal into the dialect's words, under the request's id or a fresh one.
fn word(gateway: &Gateway, refusal: &Refusal, asked: Option<&HeaderValue>) -> Response {
    let id = asked.and_then(|id| id.to_str().ok()).map(str::to_owned);
    let id = id.unwrap_or_else(|| ids::fresh(20));
    let response = refusal.answer(gateway.options.dialect, &id);
    echo(response, HeaderValue::from_str(&id).ok())
}

/// The caller's own request id comes back, so that both sides can speak of the same exchange.
fn echo(mut response: Response, asked: Option<HeaderValue>) -> Response {
    if let Some(id) = asked {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of a body without a photo in it.
const SMALL: usize = 64 * 1024;
