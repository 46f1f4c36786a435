//! What every request passes on its way to a handler, and every answer on its way back: the body
//! read whole, the record, the key, the rate, the faults.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use effects_core::Template;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::faults::{Cut, Fault, answer_instead, spoil};
use crate::gateway::Gateway;
use crate::ids;
use crate::keys::{self, Bearer};
use crate::options::Limits;
use crate::wire::create::Create;
use crate::wire::refusal::Refusal;

/// Where a gate stands.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) endpoint: Endpoint,
}

/// The fault that a request meets, for the handler whose task or look it concerns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met(pub(crate) Option<Fault>);

/// Lets a request through to its handler and its answer back to the client.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { gateway, endpoint } = &gate;
    let asked = request.headers().get(REQUEST_ID).cloned();
    let (parts, body) = request.into_parts();
    // What most requests have no need of is kept apart, so that it does not weigh on them.
    let read = if body.is_end_stream() {
        Ok(Bytes::new())
    } else {
        Box::pin(read(gateway, body, *endpoint)).await
    };
    let seen = read.as_deref().unwrap_or_default();
    let recorded = *endpoint != Endpoint::Control;
    let entry =
        recorded.then(|| gateway.record.arrived(gateway.clock.now(), *endpoint, &parts, seen));
    let (response, fault) = match read {
        Ok(body) => exchange(&gate, parts, body, next).await,
        Err(refusal) => (refusal.into_response(), None),
    };
    let response = word(gateway, response, asked);
    let response = match &fault {
        Some(fault) => Box::pin(spoil(gateway, fault, response)).await,
        None => response,
    };
    if let Some(entry) = entry {
        let went_out = response.extensions().get::<Cut>().is_none();
        let kind = fault.as_ref().map(Fault::kind);
        entry.answered(went_out.then(|| response.status()), kind);
    }
    response
}

/// The answer, and the fault that may spoil it yet.
async fn exchange(
    gate: &Gate,
    mut parts: Parts,
    body: Bytes,
    next: Next,
) -> (Response, Option<Fault>) {
    let Gate { gateway, endpoint } = gate;
    let bearer = match admit(gate, &parts.headers) {
        Ok(bearer) => bearer,
        Err(refusal) => return (refusal.into_response(), None),
    };
    let template = || template_of(gateway, *endpoint, &parts, &body);
    let fault = gateway.faults.decide(*endpoint, bearer.fault(), template);
    if let Some(fault) = &fault {
        if let Some(response) = Box::pin(answer_instead(gateway, fault)).await {
            return (response, Some(fault.clone()));
        }
        parts.extensions.insert(Met(Some(fault.clone())));
    }
    let response = if endpoint.creates() {
        Box::pin(create(Arc::clone(gateway), parts, body, next)).await
    } else {
        let body = if body.is_empty() { Body::empty() } else { Body::from(body) };
        next.run(Request::from_parts(parts, body)).await
    };
    (response, fault)
}

/// Runs a create to its end and counts it, even if the client hangs up meanwhile: what has begun
/// may be accepted, and what is accepted counts.
async fn create(gateway: Arc<Gateway>, parts: Parts, body: Bytes, next: Next) -> Response {
    let created = tokio::spawn(async move {
        let (headers, counted) = (parts.headers.clone(), body.clone());
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if response.status().is_success() {
            gateway.record.accepted(&headers, &counted);
        }
        response
    });
    // It ends early only if it breaks down or the runtime is let go of: no answer is the honest one.
    created.await.unwrap_or_else(|_| Cut::Close.into_response())
}

fn admit(gate: &Gate, headers: &HeaderMap) -> Result<Bearer, Refusal> {
    let Gate { gateway, endpoint } = gate;
    if endpoint.is_public() {
        return Ok(Bearer::Own);
    }
    let bearer = gateway.keys.bearer(headers);
    match (&bearer, endpoint) {
        (Bearer::Own, Endpoint::Control) => return Ok(bearer),
        (Bearer::Nobody, _) | (_, Endpoint::Control) => return Err(Refusal::unauthorized()),
        (Bearer::Own | Bearer::Test(_), _) => {}
    }
    let key = || keys::presented(headers).unwrap_or_default();
    match gateway.faults.wait(*endpoint, key, gateway.clock.now()) {
        None => Ok(bearer),
        Some(seconds) => Err(Refusal::too_many("rate limited by the fault plan", seconds)),
    }
}

/// The template a request is about, for rules that watch one.
fn template_of(gateway: &Gateway, on: Endpoint, parts: &Parts, body: &[u8]) -> Option<Template> {
    let named = |id: &Value| id.as_str()?.parse().ok();
    match on {
        Endpoint::Create => {
            named(Create::read(&parts.headers, body).ok()?.params.get("template_id")?)
        }
        Endpoint::QueueSubmit => {
            named(serde_json::from_slice::<Value>(body).ok()?.get("template_id")?)
        }
        _ => {
            let mut segments = parts.uri.path().split('/');
            let task = |id: &str| gateway.tasks.with(id, |task| task.template.clone());
            segments.find_map(|segment| task(segment).flatten())
        }
    }
}

/// A photo may arrive as base64, which is a third longer, inside JSON or a form.
fn most_bytes(endpoint: Endpoint, limits: &Limits) -> usize {
    if endpoint.takes_photos() { limits.photo_bytes / 3 * 4 + SMALL } else { SMALL }
}

async fn read(gateway: &Gateway, body: Body, endpoint: Endpoint) -> Result<Bytes, Refusal> {
    let limits = &gateway.options.limits;
    let most_bytes = most_bytes(endpoint, limits);
    let large = body.size_hint().upper().is_none_or(|bytes| bytes > LARGE);
    let whole = async {
        // Many may send a request at once, but only few of them a photo.
        let _room = if large { gateway.large_bodies.acquire().await.ok() } else { None };
        Limited::new(body, most_bytes).collect().await
    };
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

/// Puts a refusal into the dialect's words. The caller's own request id comes back, so that both
/// sides can speak of the same exchange; a refusal without one gets a fresh one.
fn word(gateway: &Gateway, response: Response, asked: Option<HeaderValue>) -> Response {
    let Some(refusal) = response.extensions().get::<Refusal>() else {
        return with_id(response, asked);
    };
    let id = asked.as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned);
    let id = id.unwrap_or_else(|| ids::fresh(20));
    let mut worded = refusal.answer(gateway.options.dialect, &id);
    // A fault may have added when to ask again, or where.
    for (name, value) in response.headers() {
        worded.headers_mut().insert(name, value.clone());
    }
    with_id(worded, HeaderValue::from_str(&id).ok())
}

fn with_id(mut response: Response, id: Option<HeaderValue>) -> Response {
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of a body from which on only few are read at once.
const LARGE: u64 = 1024 * 1024;

/// Bytes of a body without a photo in it.
const SMALL: usize = 64 * 1024;
