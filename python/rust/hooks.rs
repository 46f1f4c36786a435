//! [`HookCaller`]: reports a client's exchanges and events to Python: it calls the client's [`Hooks`]
//! (`on_request`, `on_response`, `on_event`) through `_hooks.py`, and for traced calls makes OpenTelemetry
//! spans through `_tracing.py`. `Setup` gives one to each client as its observer.
//!
//! It is called on the runtime's thread, which never asks for the interpreter's lock: its calls wait,
//! as warnings do, for a thread or an event loop that waits for a result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use effects_core::gateway::{CallResult, ExchangeObserver, ObserveEnd, RequestExcerpt};
use effects_core::{Event, TaskId, printable};
use pyo3::prelude::*;

use crate::traces::{self, ParentContext};
use crate::warnings;

/// The functions of a client, as Python gives them: on a request, a response, an event.
#[derive(FromPyObject)]
pub(crate) struct Hooks(Option<Py<PyAny>>, Option<Py<PyAny>>, Option<Py<PyAny>>);

impl Hooks {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        // A `Py` is counted by the interpreter, so that cloning one takes its lock.
        let clone = |hook: &Option<Py<PyAny>>| hook.as_ref().map(|hook| hook.clone_ref(py));
        Self(clone(&self.0), clone(&self.1), clone(&self.2))
    }

    /// Whether an event is of interest.
    pub(crate) fn wants_events(&self) -> bool {
        self.2.is_some()
    }
}

/// Reports to a client's hooks and the traces of its calls.
#[derive(Clone)]
pub(crate) struct HookCaller(Option<Arc<Hooks>>);

impl HookCaller {
    pub(crate) fn new(hooks: Option<Hooks>) -> Self {
        Self(hooks.map(Arc::new))
    }

    /// Has the hook called with an event.
    pub(crate) fn on_event(&self, event: &Event) {
        let Some(hooks) = self.0.clone().filter(|hooks| hooks.wants_events()) else { return };
        // As text, which needs no interpreter: Python makes its `Event` of it when the hook is
        // called.
        let facts = (serde_json::to_string(event).unwrap_or_default(), event.to_string());
        warnings::queue_call(move |py| call_hook(py, hooks.2.as_ref(), "event", facts));
    }
}

impl ExchangeObserver for HookCaller {
    fn is_watching(&self) -> bool {
        traces::is_on()
            || self.0.as_ref().is_some_and(|hooks| hooks.0.is_some() || hooks.1.is_some())
    }

    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let (hooks, parent) = (self.0.clone(), traces::parent_of(&request));
        let request = Arc::new(SentRequest::new(request));
        if let Some(hooks) = hooks.clone().filter(|hooks| hooks.0.is_some()) {
            let request = Arc::clone(&request);
            warnings::queue_call(move |py| {
                call_hook(py, hooks.0.as_ref(), "request", request.facts())
            });
        }
        let hooks = hooks.filter(|hooks| hooks.1.is_some());
        if hooks.is_none() && parent.is_none() {
            return None;
        }
        Some(Box::new(move |result| {
            let received = Arc::new(ReceivedResponse::new(&request, result));
            if let Some(parent) = parent {
                let (request, received) = (Arc::clone(&request), Arc::clone(&received));
                warnings::queue_call(move |py| trace(py, &parent, &request, &received));
            }
            if let Some(hooks) = hooks {
                warnings::queue_call(move |py| {
                    let facts = (request.facts(), received.facts());
                    call_hook(py, hooks.1.as_ref(), "response", facts)
                });
            }
        }))
    }
}

/// A request that left, and when.
struct SentRequest {
    number: u64,
    excerpt: RequestExcerpt,
    begun: Instant,
    at: SystemTime,
}

type SentFacts<'a> = (u64, &'a str, &'a str, &'a [(String, String)], Option<&'a str>, usize);

impl SentRequest {
    fn new(excerpt: RequestExcerpt) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Two clocks: a span is placed by the wall clock, and its length is measured by one that is
        // never set.
        Self { number, excerpt, begun: Instant::now(), at: SystemTime::now() }
    }

    fn facts(&self) -> SentFacts<'_> {
        let RequestExcerpt { method, url, headers, task_id, body_length, .. } = &self.excerpt;
        let task = task_id.as_ref().map(TaskId::as_str);
        (self.number, method.as_str(), url, headers, task, *body_length)
    }
}

/// What became of it.
struct ReceivedResponse {
    response: Option<Box<effects_core::wire::ResponseExcerpt>>,
    error: Option<String>,
    elapsed: Duration,
}

type ReceivedFacts<'a> =
    (Option<u16>, Option<&'a str>, &'a [(String, String)], Option<&'a str>, Option<&'a str>, f64);

impl ReceivedResponse {
    fn new(request: &SentRequest, result: &CallResult) -> Self {
        let error = result.arrived().err();
        Self {
            response: result.response(),
            error: error.map(|error| printable(&error.to_string()).into_owned()),
            elapsed: request.begun.elapsed(),
        }
    }

    fn facts(&self) -> ReceivedFacts<'_> {
        let response = self.response.as_deref();
        (
            response.map(|response| response.status),
            response.and_then(|response| response.request_id.as_deref()),
            response.map_or(&[], |response| &response.headers),
            response.and_then(|response| response.body.as_deref()),
            self.error.as_deref(),
            self.elapsed.as_secs_f64(),
        )
    }
}

/// Calls a hook with a record of these facts. What it raises is logged there, but for a Ctrl-C.
fn call_hook<'py>(
    py: Python<'py>,
    hook: Option<&Py<PyAny>>,
    kind: &str,
    facts: impl IntoPyObject<'py>,
) -> PyResult<()> {
    let Some(hook) = hook else { return Ok(()) };
    py.import("spark_effects._hooks")?.call_method1("call_hook", (hook, kind, facts)).map(drop)
}

/// Makes the span of an exchange.
fn trace(
    py: Python<'_>,
    parent: &ParentContext,
    request: &SentRequest,
    received: &ReceivedResponse,
) -> PyResult<()> {
    let begin = request.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let end = begin + received.elapsed.as_nanos();
    let facts = (&**parent, request.facts(), received.facts(), begin, end);
    py.import("spark_effects._tracing")?.call_method1("exchange", facts).map(drop)
}
