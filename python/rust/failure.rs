//! [`exception`]: makes the exception of `spark_effects.errors` (its class, message and facts) for an
//! [`Error`] of the core. The native classes and functions of a client (`Engine`, `Operation`,
//! `CompletionQueue`, `NativePolicy`, `profile` and others) raise it; `value.rs` calls [`result_exception`]
//! for an error in a result of many jobs. The emulator's `Gateway` raises Python's own exceptions instead.

use effects_core::{Cause, Error, ErrorKind, TaskId, Usage, Violation, printable};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use rust_decimal::Decimal;

/// `spark_effects.errors.make`, which knows the classes.
static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `spark_effects.Usage`.
static USAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception of an error.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    match object(py, error) {
        Ok(object) => PyErr::from_value(object),
        Err(error) => error,
    }
}

/// The exception of an error, as an object that is not raised yet.
pub fn object<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    of_class(py, error, error.kind().row().python_class)
}

/// The exception of an error, as a part of a result: one of the package's own, which keeps the task of
/// what was stopped, too.
pub fn result_exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let class = match error.kind() {
        ErrorKind::Detached => "EffectsError",
        kind => kind.row().python_class,
    };
    of_class(py, error, class)
}

fn of_class<'py>(py: Python<'py>, error: &Error, class: &str) -> PyResult<Bound<'py, PyAny>> {
    let row = error.kind().row();
    let facts = PyDict::new(py);
    facts.set_item("kind", row.name)?;
    facts.set_item("code", error.code().map(effects_core::ServiceCode::as_str))?;
    facts.set_item("task_id", error.task_id().map(effects_core::TaskId::as_str))?;
    facts.set_item("status", error.status())?;
    facts.set_item("retry_after", error.retry_after().map(|wait| wait.as_secs_f64()))?;
    facts.set_item("request_id", error.request_id())?;
    facts.set_item("resume_line", error.resume_line())?;
    if let Some(usage) = error.usage() {
        let class = USAGE.get_or_try_init(py, || {
            py.import("spark_effects._answer")?.getattr("Usage").map(Bound::unbind)
        })?;
        facts.set_item("usage", class.bind(py).call1(plain_usage(usage))?)?;
    }
    if let Some(response) = error.response() {
        let headers = PyDict::new(py);
        for (name, value) in &response.headers {
            headers.set_item(name, value)?;
        }
        facts.set_item("headers", headers)?;
        facts.set_item("body", response.body.as_deref())?;
    }
    if let Cause::Invalid(invalid) = error.cause() {
        facts.set_item("violations", violations(py, invalid.violations())?)?;
    }
    let make = MAKE.get_or_try_init(py, || {
        py.import("spark_effects.errors")?.getattr("make").map(Bound::unbind)
    })?;
    make.bind(py).call1((class, words(error), facts))
}

/// What is read of an error.
fn words(error: &Error) -> String {
    match (error.resume_line(), error.task_id()) {
        (Some(line), Some(task)) => {
            // The cause alone, since an error's own words end with the line for a shell:
            // `resume_words` says that line and Python's way together.
            let cause = Error::from(error.cause().clone());
            printable(&format!("{cause}; {}", resume_words(task, line))).into_owned()
        }
        _ => match error.cause() {
            Cause::Invalid(invalid) => {
                let rules = invalid.violations().iter();
                let rule =
                    |rule: &Violation| format!("{} ({})", rule.message_with(TEMPLATES), rule.code);
                printable(&rules.map(rule).collect::<Vec<_>>().join("; ")).into_owned()
            }
            _ => error.to_string(),
        },
    }
}

/// What lists the templates in Python.
const TEMPLATES: &str = "spark_effects.templates()";

/// How a task is waited for: in a shell, which may not have this client's key yet, and in Python.
pub fn resume_words(task: &TaskId, line: &str) -> String {
    format!(
        "resume with: {line} in a shell that has the key, or with client.task({:?}).wait()",
        task.as_str()
    )
}

/// Cost and discount, as decimal text, and what the service sent for a cost that cannot be read.
pub fn plain_usage(usage: &Usage) -> (Option<String>, Option<String>, Option<&str>) {
    // As text, since a float would not keep the sum to the digit.
    let text = |number: Option<Decimal>| number.map(|number| number.to_string());
    (text(usage.cost), text(usage.discount), usage.unreadable_cost.as_deref())
}

/// Violations as tuples of code, field, value, message and suggested ids.
pub fn violations<'py>(py: Python<'py>, all: &[Violation]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let tuple = |violation: &Violation| {
        let suggestions: Vec<&str> =
            violation.suggestions.iter().map(effects_core::Template::id).collect();
        let tuple = (
            violation.code.as_str(),
            violation.field,
            violation.value.as_deref(),
            violation.message_with(TEMPLATES),
            suggestions,
        );
        tuple.into_pyobject(py).map(Bound::into_any)
    };
    all.iter().map(tuple).collect()
}
