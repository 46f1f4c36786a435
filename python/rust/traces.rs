//! [`ParentContext`]: the OpenTelemetry context of a Python call, under which `_tracing.py` puts a span for
//! each exchange of the call. A `SubmissionNote` registers it under the request id of its submission and
//! the id of its task; the `HookCaller` of `hooks.rs` finds it by the id in a request. Without a traced
//! call nothing is registered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use effects_core::gateway::RequestExcerpt;
use pyo3::prelude::*;

/// The context of a call that is traced.
pub type ParentContext = Arc<Py<PyAny>>;

static PARENTS: LazyLock<Mutex<HashMap<String, ParentContext>>> = LazyLock::new(Mutex::default);

/// How many are registered, to be asked for each exchange.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether any call is traced.
pub fn is_on() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// What has this name, a submission's `X-Request-Id` or a task's id, belongs to this call from now on.
pub fn register(name: &str, parent: &ParentContext) {
    let mut parents = parents();
    parents.insert(name.to_owned(), Arc::clone(parent));
    // Kept beside the map, so that an exchange of a program that traces nothing takes no lock.
    COUNT.store(parents.len(), Ordering::Relaxed);
}

/// The call is over, for what has this name.
pub fn forget(name: &str, parent: &ParentContext) {
    let mut parents = parents();
    // Another call may follow the same task by now.
    if parents.get(name).is_some_and(|known| Arc::ptr_eq(known, parent)) {
        parents.remove(name);
    }
    COUNT.store(parents.len(), Ordering::Relaxed);
}

/// The call that makes a request.
pub fn parent_of(request: &RequestExcerpt) -> Option<ParentContext> {
    let task = request.task_id.as_ref().map(effects_core::TaskId::as_str);
    // A submission has no task yet and is known by its `X-Request-Id`.
    let name = task.or_else(|| request.header("x-request-id"))?;
    parents().get(name).cloned()
}

fn parents() -> MutexGuard<'static, HashMap<String, ParentContext>> {
    PARENTS.lock().unwrap_or_else(PoisonError::into_inner)
}
