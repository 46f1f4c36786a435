//! [`layer`]: the middleware of every route: checks the key and reads the body. Of requests to the
//! gateway's endpoints, not the control API and the page, it also records request and answer, and applies
//! rate limits and faults. `routes.rs` puts it before each handler. Handlers of tasks find the fault of
//! their request in [`InjectedFault`]; `server.rs` notes for the connection, by [`AnsweredRequest`],
//! whether a request had a key and whether its body is still unread.
//!
//! The key comes first, and of a request without an accepted one nothing but its head is read: where
//! a key is needed it is answered 401 at once, and elsewhere it is answered as if it had no body. So a
//! client without a key holds a connection and nothing else.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use effects_core::Template;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;
use http_body_util::{BodyExt, Collected};
use serde_json::Value;

use crate::auth::{self, Bearer};
use crate::body::{self, BufferedBody};
use crate::endpoint::Endpoint;
use crate::faults::{Cut, Fault, answer_instead, apply};
use crate::ids;
use crate::seen_request::{RecordedRequest, RequestArrival, TaskOfAnswer};
use crate::session::CookieCheck;
use crate::state::EmulatorState;
use crate::wire::create::Create;
use crate::wire::refusal::ApiRefusal;

/// What the middleware knows before a request: the emulator, and the endpoint of the route.
#[derive(Clone)]
pub(crate) struct EndpointContext {
    pub(crate) state: Arc<EmulatorState>,
    pub(crate) endpoint: Endpoint,
}

/// The fault that a request meets, for the handler whose task or look it concerns.
#[derive(Clone, Debug, Default)]
pub(crate) struct InjectedFault(pub(crate) Option<Fault>);

/// What the connection has to know of a request that was answered. Most answers have none: they
/// came with an accepted key, and were read to their ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AnsweredRequest {
    /// No accepted key came with it.
    pub(crate) is_keyless: bool,
    /// A part of its body is still on its way.
    pub(crate) is_unread: bool,
}

/// The middleware as a layer of a router: passes a request on to its handler, and its answer back to
/// the client.
pub(crate) async fn layer(
    State(context): State<EndpointContext>,
    request: Request,
    next: Next,
) -> Response {
    let context = &context;
    let EndpointContext { state, endpoint } = context;
    // Kept before the request is taken apart, so that every answer, refusals too, can name it.
    let request_id = request.headers().get(REQUEST_ID).cloned();
    let (parts, body) = request.into_parts();
    let (bearer, is_foreign) = bearer(context, &parts.headers);
    let is_keyless = matches!(bearer, Bearer::None);
    let is_refused = is_keyless && !endpoint.is_public();
    // Most requests have no body and take the first branch.
    let (read, is_unread) = if body.is_end_stream() {
        (Ok(BufferedBody::default()), false)
    } else if is_keyless {
        // Its handler sees no body. What is still on its way is read for nothing by the socket.
        (Ok(BufferedBody::default()), true)
    } else {
        let limits = &state.options.limits;
        let expects = parts.headers.contains_key(EXPECT);
        let read = body::read(&state.bodies, limits, *endpoint, expects, body);
        // Boxed, as other futures here that few requests need: each would make every request's
        // future as large as itself.
        let read = Box::pin(read).await;
        let is_unread = read.is_err();
        (read, is_unread)
    };
    // A test that lists requests must not find its own questions, or those of the page, among them.
    let entry = (!endpoint.is_own()).then(|| {
        let (at, endpoint) = (state.clock.now(), *endpoint);
        let body = read.as_ref().map_or(&[][..], |buffered| &buffered.body);
        let is_authorized = !is_refused;
        let arrival = RequestArrival { at, endpoint, is_keyless, is_authorized };
        let entry = state.record.arrived(&parts, body, arrival);
        if let Some(task) = task_in_path(state, endpoint, parts.uri.path()) {
            entry.set_task(&task);
        }
        // Shown at once, without its answer: a fault may delay that by an hour.
        state.changes.request(entry.number);
        entry
    });
    let (response, fault) = match read {
        // Before the key: such a request counts as one without a key, too, and 401 would be
        // misleading.
        _ if is_foreign => (ApiRefusal::foreign().into_response(), None),
        _ if is_refused => {
            let refusal = state.keys.refusal(&parts.headers, state.options.isolate_keys);
            (refusal.into_response(), None)
        }
        Ok(buffered) => exchange(context, &bearer, entry.as_ref(), parts, buffered, next).await,
        Err(refusal) => (refusal.into_response(), None),
    };
    let mut response = write_refusal(state, response, request_id);
    let mut body = None;
    // Answers that are not recorded stay as they are: the event stream is one, and has no end.
    if entry.is_some() {
        (response, body) = body_in_memory(response).await;
    }
    if let Some(fault) = &fault {
        response = Box::pin(apply(state, fault, response)).await;
        if entry.is_some() {
            let changed;
            (response, changed) = body_in_memory(response).await;
            // A body that a fault sends piece by piece is not at hand: the record shows it as it
            // was before.
            body = changed.or(body);
        }
    }
    if let Some(entry) = &entry {
        match response.extensions().get::<Cut>() {
            // The client sees no answer, so the record shows none.
            Some(_) => entry.set_unanswered(),
            None => entry.set_answer(&response, &body.unwrap_or_default()),
        }
        state.changes.request(entry.number);
    }
    if is_keyless || is_unread {
        response.extensions_mut().insert(AnsweredRequest { is_keyless, is_unread });
    }
    if is_unread {
        // On a connection that went on, the rest of the body would be taken for the next request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whose key came with a request, and whether its cookie came from another site's page. Of the keys
/// that choose an outcome none opens the control API; the cookie of the page stands for the key.
fn bearer(context: &EndpointContext, headers: &HeaderMap) -> (Bearer, bool) {
    match context.state.keys.bearer(headers) {
        Bearer::Test(_) if context.endpoint == Endpoint::Control => (Bearer::None, false),
        // A request that brings a key is judged by it alone: a wrong one is answered 401 beside a
        // good cookie too.
        Bearer::None if !headers.contains_key(AUTHORIZATION) => {
            match context.state.session.check_cookie(headers) {
                CookieCheck::Own => (Bearer::Own, false),
                CookieCheck::None => (Bearer::None, false),
                // What everybody may read without a key is refused to no page.
                CookieCheck::Foreign => (Bearer::None, !context.endpoint.is_public()),
            }
        }
        bearer => (bearer, false),
    }
}

/// The answer, and the fault that [`apply`] still has to carry out on it.
async fn exchange(
    context: &EndpointContext,
    bearer: &Bearer,
    entry: Option<&Arc<RecordedRequest>>,
    mut parts: Parts,
    buffered: BufferedBody,
    next: Next,
) -> (Response, Option<Fault>) {
    let EndpointContext { state, endpoint } = context;
    // Before faults are decided: a request that is throttled takes no fault off a script.
    if let Some(refusal) = rate_limited(context, &parts.headers) {
        return (refusal.into_response(), None);
    }
    // Closures, since neither is worked out while the plan and the scripts are empty.
    let template = || template_of(state, *endpoint, &parts, &buffered.body);
    let key = || auth::presented(&parts.headers).unwrap_or_default();
    let fault = state.faults.decide(*endpoint, key, bearer.fault(), template);
    if let Some(fault) = &fault {
        // Recorded before it happens: a client that gives up meanwhile ends this exchange.
        if let Some(entry) = entry {
            entry.set_fault(fault.kind());
        }
        if fault.answers_instead() {
            // An answer may be long in coming, and the body is not needed meanwhile.
            drop(buffered);
            return (Box::pin(answer_instead(state, fault)).await, Some(fault.clone()));
        }
        // Faults of tasks and looks are carried out by the handler, those of exchanges by `apply`
        // after it.
        parts.extensions.insert(InjectedFault(Some(fault.clone())));
    }
    let response = if let Some(entry) = entry.filter(|_| endpoint.creates()) {
        Box::pin(create(Arc::clone(state), Arc::clone(entry), parts, buffered, next)).await
    } else {
        // The name keeps the memory reserved until the handler has answered; `_` would give it back
        // here.
        let BufferedBody { body, memory: _memory } = buffered;
        let body = if body.is_empty() { Body::empty() } else { Body::from(body) };
        next.run(Request::from_parts(parts, body)).await
    };
    (response, fault)
}

/// Runs a create to its end and counts it, even if the client hangs up meanwhile: what has begun
/// may be accepted, and what is accepted counts.
async fn create(
    state: Arc<EmulatorState>,
    entry: Arc<RecordedRequest>,
    parts: Parts,
    buffered: BufferedBody,
    next: Next,
) -> Response {
    // hyper drops the middleware's future when the client hangs up; a spawned task goes on.
    let created = tokio::spawn(async move {
        let BufferedBody { body, memory: _memory } = buffered;
        let headers = parts.headers.clone();
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if response.status().is_success() {
            state.record.accepted(&headers, &entry);
        }
        if let Some(TaskOfAnswer(task)) = response.extensions().get() {
            entry.set_task(task);
        }
        response
    });
    // It fails only if the handler panics or the runtime ends. Whether a task was accepted is not
    // known then, so no answer is sent.
    created.await.unwrap_or_else(|_| Cut::Close.into_response())
}

/// An answer as it is, and its body unless that comes little by little.
async fn body_in_memory(response: Response) -> (Response, Option<Bytes>) {
    if response.body().size_hint().exact().is_none() {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    // Bodies of the gateway's own making are in memory and cannot fail.
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    (Response::from_parts(parts, Body::from(body.clone())), Some(body))
}

/// The refusal of a key that asks too often. The control API and what needs no key have no rate.
fn rate_limited(context: &EndpointContext, headers: &HeaderMap) -> Option<ApiRefusal> {
    let EndpointContext { state, endpoint } = context;
    if endpoint.is_public() || endpoint.is_own() {
        return None;
    }
    let key = || auth::presented(headers).unwrap_or_default();
    let seconds = state.faults.seconds_to_wait(*endpoint, key, state.clock.now())?;
    Some(ApiRefusal::too_many("rate limited by the fault plan", seconds))
}

/// The template a request is about, for rules that watch one.
fn template_of(
    state: &EmulatorState,
    on: Endpoint,
    parts: &Parts,
    body: &[u8],
) -> Option<Template> {
    let named = |id: &Value| id.as_str()?.parse().ok();
    match on {
        Endpoint::Create => {
            named(Create::read(&parts.headers, body).ok()?.params.get("template_id")?)
        }
        Endpoint::QueueSubmit => {
            named(serde_json::from_slice::<Value>(body).ok()?.get("template_id")?)
        }
        _ => {
            // Every other request names a task at most, and the template is that of the task.
            let id = task_in_path(state, on, parts.uri.path())?;
            state.tasks.with(&id, |task| task.template.clone()).flatten()
        }
    }
}

/// The id of the task that a path names, itself or its picture, if there is such a task.
fn task_in_path(state: &EmulatorState, on: Endpoint, path: &str) -> Option<Box<str>> {
    if on == Endpoint::File {
        return state.files.task_of(path.strip_prefix("/files/")?);
    }
    let names_a_task = on.looks() || on == Endpoint::QueueCancel;
    let mut segments = path.split('/').filter(|_| names_a_task);
    // Ids are 20 letters or begin with `mmsu_`, so no fixed segment of these paths is taken for
    // one.
    segments.find(|segment| state.tasks.with(segment, |_| ()).is_some()).map(Into::into)
}

/// Puts a refusal into the dialect's words. The caller's own request id comes back, so that both
/// sides can speak of the same exchange; a refusal without one gets a fresh one.
fn write_refusal(
    state: &EmulatorState,
    response: Response,
    request_id: Option<HeaderValue>,
) -> Response {
    let Some(refusal) = response.extensions().get::<ApiRefusal>() else {
        return with_id(response, request_id);
    };
    let id = request_id.as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned);
    let id = id.unwrap_or_else(|| ids::random_id(20));
    let mut written = refusal.answer(state.options.dialect, &id);
    // A fault may have added when to ask again, or where.
    for (name, value) in response.headers() {
        written.headers_mut().insert(name, value.clone());
    }
    with_id(written, HeaderValue::from_str(&id).ok())
}

fn with_id(mut response: Response, id: Option<HeaderValue>) -> Response {
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
