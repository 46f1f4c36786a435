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
use tokio::sync::OwnedSemaphorePermit;

use crate::endpoint::Endpoint;
use crate::faults::{Cut, Fault, answer_instead, spoil};
use crate::gateway::Gateway;
use crate::ids;
use crate::keys::{self, Bearer};
use crate::options::Limits;
use crate::record::Entry;
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

/// The gate as a layer of a router.
pub(crate) async fn layer(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    pass(&gate, request, |request| next.run(request)).await
}

/// Lets a request through to its handler and its answer back to the client.
pub(crate) async fn pass<F: Future<Output = Response> + Send + 'static>(
    gate: &Gate,
    request: Request,
    handler: impl FnOnce(Request) -> F + Send + 'static,
) -> Response {
    let Gate { gateway, endpoint } = gate;
    let asked = request.headers().get(REQUEST_ID).cloned();
    let (parts, body) = request.into_parts();
    // What most requests have no need of is kept apart, so that it does not weigh on them.
    let read = if body.is_end_stream() {
        Ok(Load::default())
    } else {
        Box::pin(read(gateway, body, *endpoint)).await
    };
    let seen = read.as_ref().map_or(&[][..], |load| &load.body);
    let recorded = *endpoint != Endpoint::Control;
    let entry =
        recorded.then(|| gateway.record.arrived(gateway.clock.now(), *endpoint, &parts, seen));
    let (response, fault) = match read {
        Ok(load) => exchange(gate, entry.as_deref(), parts, load, handler).await,
        Err(refusal) => (refusal.into_response(), None),
    };
    let response = word(gateway, response, asked);
    let response = match &fault {
        Some(fault) => Box::pin(spoil(gateway, fault, response)).await,
        None => response,
    };
    if let Some(entry) = entry {
        let went_out = response.extensions().get::<Cut>().is_none();
        entry.answered(went_out.then(|| response.status()));
    }
    response
}

/// The answer, and the fault that may spoil it yet.
async fn exchange<F: Future<Output = Response> + Send + 'static>(
    gate: &Gate,
    entry: Option<&Entry>,
    mut parts: Parts,
    load: Load,
    handler: impl FnOnce(Request) -> F + Send + 'static,
) -> (Response, Option<Fault>) {
    let Gate { gateway, endpoint } = gate;
    let bearer = match admit(gate, &parts.headers) {
        Ok(bearer) => bearer,
        Err(refusal) => return (refusal.into_response(), None),
    };
    let template = || template_of(gateway, *endpoint, &parts, &load.body);
    let fault = gateway.faults.decide(*endpoint, bearer.fault(), template);
    if let Some(fault) = &fault {
        // Told before it happens: a client that loses its patience ends this exchange then.
        if let Some(entry) = entry {
            entry.met(fault.kind());
        }
        if fault.answers_instead() {
            // An answer may be long in coming, and nobody needs the body meanwhile.
            drop(load);
            return (Box::pin(answer_instead(gateway, fault)).await, Some(fault.clone()));
        }
        parts.extensions.insert(Met(Some(fault.clone())));
    }
    let response = if endpoint.creates() {
        Box::pin(create(Arc::clone(gateway), parts, load, handler)).await
    } else {
        let Load { body, room: _room } = load;
        let body = if body.is_empty() { Body::empty() } else { Body::from(body) };
        handler(Request::from_parts(parts, body)).await
    };
    (response, fault)
}

/// Runs a create to its end and counts it, even if the client hangs up meanwhile: what has begun
/// may be accepted, and what is accepted counts.
async fn create<F: Future<Output = Response> + Send + 'static>(
    gateway: Arc<Gateway>,
    parts: Parts,
    load: Load,
    handler: impl FnOnce(Request) -> F + Send + 'static,
) -> Response {
    let created = tokio::spawn(async move {
        let Load { body, room: _room } = load;
        let (headers, counted) = (parts.headers.clone(), body.clone());
        let response = handler(Request::from_parts(parts, Body::from(body))).await;
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

/// A body, and the room it takes until it is done with.
#[derive(Debug, Default)]
struct Load {
    body: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

async fn read(gateway: &Gateway, body: Body, endpoint: Endpoint) -> Result<Load, Refusal> {
    let limits = &gateway.options.limits;
    let most_bytes = most_bytes(endpoint, limits);
    let told = body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if told.is_some_and(|bytes| bytes > most_bytes) {
        return Err(too_large(most_bytes));
    }
    let bytes = told.unwrap_or(most_bytes);
    // Many may send a request at once, but only so many of them a photo.
    let room = if bytes > SMALL {
        let room = tokio::time::timeout(limits.request_time, room(gateway, bytes)).await;
        Some(room.map_err(|_| Refusal::busy("too many large bodies at once"))?)
    } else {
        None
    };
    let whole = Limited::new(body, most_bytes).collect();
    match tokio::time::timeout(limits.request_time, whole).await {
        Ok(Ok(body)) => Ok(Load { body: body.to_bytes(), room }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most_bytes)),
        Ok(Err(_)) => Err(Refusal::bad_request("the body broke off")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            format!("the body did not arrive within {:?}", limits.request_time),
        )),
    }
}

fn too_large(most_bytes: usize) -> Refusal {
    let words = format!("the body is larger than {most_bytes} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", words)
}

/// Waits for the room that so many bytes take. A body larger than all there is takes all there is.
async fn room(gateway: &Gateway, bytes: usize) -> OwnedSemaphorePermit {
    let most = gateway.options.limits.body_bytes / 1024 + 1;
    let kibibytes = u32::try_from((bytes / 1024 + 1).min(most)).unwrap_or(u32::MAX);
    let room = gateway.bodies.clone().acquire_many_owned(kibibytes).await;
    room.expect("it is never closed")
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

/// Bytes of a body without a photo in it; larger ones need room.
const SMALL: usize = 64 * 1024;
