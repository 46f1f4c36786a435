//! What a client reports to `tracing`, never with a key: spans ([`task_span`], [`wait_span`],
//! [`exchange_span`], [`download_span`]), the events of a run ([`report`]), and warnings for a person
//! ([`warn`], [`OutageNotice`]). Both clients call them for their runs, HTTP exchanges and downloads;
//! settings, jobs, cassettes, the command's webhooks and the Python package's journal warn with them, too.
//! The command's `logging.rs` prints the warnings (with `-v`, the rest), and Python's `warnings.rs` logs
//! warnings and events.
//!
//! Nothing here can hold a key, and of a picture's URL, which may be a permission, only the host is
//! told.
//!
//! What a person should read comes under the target [`WARNINGS`], so that a program can show it
//! and drop the rest.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_core::gateway::Answer;
use effects_core::{Event, Picture, TaskId, Template};
use http::{Method, Request, Uri};
use tracing::{Span, field};

/// The target of warnings: what is odd about a setting or an answer, in a sentence for a person.
pub const WARNINGS: &str = "effects::warnings";

/// The target of what a run tells on its way: ids, looks, attempts that are repeated.
pub const EVENTS: &str = "effects::events";

/// Warns a person.
pub fn warn(message: &str) {
    tracing::warn!(target: WARNINGS, "{message}");
}

/// Warns that nothing reaches a place: at once, and once a minute as long as that lasts. Runs repeat what
/// never left for as long as their wait lasts, and the caller who waits should know.
#[derive(Debug, Default)]
pub struct OutageNotice {
    is_out: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl OutageNotice {
    /// Takes note of how an exchange with this URL's host ended.
    pub fn note(&self, url: &Uri, answer: &Answer) {
        if let Answer::NotSent(reason) = answer {
            // A user's name and password are not repeated.
            let host = url.authority().map_or("", |it| it.as_str());
            let host = host.rsplit('@').next().unwrap_or_default();
            let scheme = url.scheme_str().unwrap_or_default();
            self.not_sent(&format_args!("{scheme}://{host}"), reason);
        // Without the lock: every exchange ends here, and nearly none has anything to say.
        } else if self.is_out.load(Ordering::Relaxed) {
            self.is_out.store(false, Ordering::Relaxed);
        }
    }

    fn not_sent(&self, origin: &dyn Display, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.is_out.swap(true, Ordering::Relaxed);
        if !is_new && last.is_some_and(|last| last.elapsed() < BETWEEN_NOTICES) {
            return;
        }
        *last = Some(Instant::now());
        let on = if is_new { "" } else { " still" };
        warn(&format!(
            "{origin} cannot be reached{on}: {reason}; it is tried again as long as there is time"
        ));
    }
}

const BETWEEN_NOTICES: Duration = Duration::from_secs(60);

/// The span of one task, from its submission to its picture.
pub fn task_span(template: Option<&Template>, task: Option<&TaskId>) -> Span {
    let span = tracing::info_span!("task", template = field::Empty, task_id = field::Empty);
    if let Some(template) = template {
        span.record("template", template.id());
    }
    if let Some(task) = task {
        span.record("task_id", task.as_str());
    }
    span
}

/// The span of following a task to its end, inside its task's.
pub fn wait_span(task: &Span) -> Span {
    tracing::debug_span!(parent: task, "wait")
}

/// The span of one exchange, inside the current one: `submit`, inside a task, `poll`, inside its
/// wait, or `upload`.
pub fn exchange_span(request: &Request<Bytes>) -> Span {
    if request.method() == Method::GET {
        tracing::debug_span!("poll")
    // Of the requests that are no looks, submissions alone carry this header.
    } else if request.headers().contains_key("idempotency-key") {
        tracing::debug_span!("submit")
    } else {
        tracing::debug_span!("upload")
    }
}

/// The span of one download, inside one of its task: the run that made the picture is over, and may
/// have been another process's.
pub fn download_span(picture: &Picture) -> Span {
    let host = picture.url.split('/').nth(2).unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let task = task_span(None, Some(&picture.task_id));
    tracing::debug_span!(parent: &task, "download", host)
}

/// Tells that a journal did not take an entry of a run: no caller may be left who waits for its end.
pub fn report_unrecorded(span: &Span, error: &impl std::fmt::Display) {
    span.in_scope(|| tracing::error!("{error}"));
}

/// Tells an event of a run inside its task's span.
pub fn report(span: &Span, event: &Event) {
    if let Event::Submitted { task_id } = event {
        span.record("task_id", task_id.as_str());
    }
    span.in_scope(|| match event {
        Event::Running { .. } => tracing::debug!(target: EVENTS, "{event}"),
        Event::Submitted { .. } => tracing::info!(target: EVENTS, "{event}"),
        Event::Warning { message } => warn(message),
        // It may be billed beside the task that is watched.
        Event::SecondTask { .. } => warn(&event.to_string()),
        // A wait that may be in vain is worth a person's look.
        Event::UnknownStatus { word, .. } if word.looks_final() => warn(&event.to_string()),
        // No run is under way: the download is told by its caller.
        Event::DownloadRetrying { .. } => tracing::warn!("{event}"),
        _ => tracing::warn!(target: EVENTS, "{event}"),
    });
}
