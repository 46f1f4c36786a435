//! [`AnswerRecorder`]: an HTTP stack around the client's own that keeps the statuses and task JSON of a
//! real task's answers, without the key, and judges by them what the project believes of the service: each
//! of [`FACTS`] (documented, observed or guessed, as in the table of `docs/reference/service.md`) is
//! confirmed, confirmed in part, refuted or not seen ([`ServiceFact`]). `doctor/live.rs` runs the task of
//! `effects doctor --live` over it and reports the facts.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use effects_core::gateway::{Answer, DynExchange, Endpoint, Exchange};
use effects_core::{Status, Task, TaskId};
use effects_jobs::Uploads;
use http::{HeaderMap, Method, Request};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One fact and what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ServiceFact {
    pub(crate) fact: &'static str,
    /// How it is known: `documented`, `observed`, `guess`.
    pub(crate) known: &'static str,
    pub(crate) verdict: FactVerdict,
    /// What was seen.
    pub(crate) seen: String,
}

/// What one task says about a fact.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FactVerdict {
    /// All that the fact says was seen.
    Confirmed,
    /// Some of it was, and nothing against it.
    Partly,
    Refuted,
    NotSeen,
}

impl ServiceFact {
    /// The line for a person.
    pub(crate) fn line(&self) -> String {
        let verdict = match self.verdict {
            FactVerdict::Confirmed => "confirmed",
            FactVerdict::Partly => "in part",
            FactVerdict::Refuted => "refuted",
            FactVerdict::NotSeen => "not seen",
        };
        let Self { fact, known, seen, .. } = self;
        format!("{verdict:9}  {fact} ({known}): {seen}")
    }
}

/// What one exchange showed.
#[derive(Clone, Debug)]
struct ObservedExchange {
    is_create: bool,
    status: u16,
    /// Whether the answer repeats the request's `X-Request-Id`.
    repeats_request_id: bool,
    has_retry_after: bool,
    /// The answer's JSON where it is a task, with `[key]` where it repeats the key.
    task: Option<Value>,
}

/// An HTTP stack that keeps what its answers show.
pub(crate) struct AnswerRecorder {
    stack: DynExchange,
    endpoint: Endpoint,
    seen: Mutex<Vec<ObservedExchange>>,
}

impl AnswerRecorder {
    pub(crate) fn new(stack: DynExchange, endpoint: Endpoint) -> Self {
        Self { stack, endpoint, seen: Mutex::default() }
    }

    fn task(&self, body: &Bytes) -> Option<Value> {
        // The id is read first, since a task is read as the answer to a look at this very one.
        let id: Value = serde_json::from_slice(body).ok()?;
        let id: TaskId = id["id"].as_str()?.parse().ok()?;
        let read = Task::read(&id, self.endpoint.base(), &self.endpoint.pushed(body.clone()));
        Some(read.ok()?.raw.to_value())
    }
}

impl Exchange for &AnswerRecorder {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let is_create = request.method() == Method::POST;
        // Kept now: the stack takes the request.
        let sent = request.headers().get("x-request-id").cloned();
        let answer = self.stack.exchange(request, limit);
        // What was not answered shows nothing of the service.
        if let Answer::Answered { status, headers, body } = &answer {
            // Compared only where one was sent: two that are missing would be equal.
            let has = |headers: &HeaderMap| {
                sent.is_some() && headers.get("x-request-id") == sent.as_ref()
            };
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(ObservedExchange {
                is_create,
                status: status.as_u16(),
                repeats_request_id: has(headers),
                has_retry_after: headers.contains_key(http::header::RETRY_AFTER),
                task: self.task(body),
            });
        }
        answer
    }
}

/// What is known of a task beside its exchanges.
pub(crate) struct LiveTask<'a> {
    /// How its photo was put somewhere; none where it was a URL.
    pub(crate) uploads: Option<&'a Uploads>,
    /// Whether it was completed.
    pub(crate) is_completed: bool,
    /// How long it took, from its submission on.
    pub(crate) duration: Duration,
}

impl AnswerRecorder {
    /// What the exchanges say about each fact of the table, in its order.
    pub(crate) fn facts(&self, made: &LiveTask<'_>) -> Vec<ServiceFact> {
        use FactVerdict::{Confirmed, NotSeen, Partly, Refuted};
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = || seen.iter().filter_map(|exchanged| exchanged.task.as_ref());
        let created = seen.iter().find(|exchanged| exchanged.is_create);
        let is_created = created.is_some_and(|created| created.task.is_some());
        let polled = seen.iter().any(|seen| !seen.is_create && seen.task.is_some());
        let create_status =
            created.map_or("nothing".to_owned(), |seen| format!("HTTP {}", seen.status));
        // Costs come with the task's end, so the last answer has them if one does.
        let last = tasks().next_back();
        let usage =
            |name: &str| last.map(|task| &task["usage"][name]).filter(|value| !value.is_null());
        let words: BTreeSet<&str> = tasks().filter_map(|task| task["status"].as_str()).collect();
        // A row of its own in the table: these two are guessed to be failures.
        let is_ended = |word: &&str| matches!(*word, "expired" | "rejected");
        let ended: Vec<&str> = words.iter().copied().filter(is_ended).collect();
        let odd = words.iter().any(|word| {
            !is_ended(word)
                && !matches!(
                    Status::from(*word),
                    Status::InProgress | Status::Completed | Status::Failed
                )
        });
        let words = words.into_iter().collect::<Vec<_>>().join(", ");
        let refusals: BTreeSet<u16> = seen
            .iter()
            .map(|seen| seen.status)
            .filter(|status| matches!(status, 401 | 402 | 403 | 429))
            .collect();
        let by = |yes: bool| if yes { Confirmed } else { NotSeen };
        let partly = |yes: bool| if yes { Partly } else { NotSeen };
        let completed =
            if made.is_completed { "the task was completed" } else { "no task was completed" };
        let judged = |used: bool| match (used, made.is_completed) {
            (false, _) => (NotSeen, "not used by this task"),
            (true, true) => (Confirmed, completed),
            // Why a task was not completed says nothing of how its photo came there.
            (true, false) => (NotSeen, completed),
        };
        let (storage, storage_seen) = judged(matches!(made.uploads, Some(Uploads::Gateway(_))));
        let (data_url, data_url_seen) = judged(matches!(made.uploads, Some(Uploads::DataUrl)));
        let cost = usage("cost");
        // The order and the number are those of the table; a fact without a verdict does not compile.
        let verdicts: [(FactVerdict, String); FACTS.len()] = [
            // One task shows one template and one size of the many that the fact is about.
            (partly(is_created), format!("one template and size: {create_status}")),
            match cost {
                Some(cost) if cost.is_string() => {
                    (Partly, "usage.cost is text; error codes were not judged".to_owned())
                }
                Some(_) => (Refuted, "usage.cost is no text".to_owned()),
                None => (NotSeen, "no usage.cost".to_owned()),
            },
            (by(is_created), format!("the submission: {create_status}")),
            (
                by(is_created && polled),
                format!("submission and look: {create_status}, {completed}"),
            ),
            match (words.is_empty(), odd) {
                (true, _) => (NotSeen, "no status".to_owned()),
                (false, true) => (Refuted, words),
                // No task has all of them.
                (false, false) => (Partly, words),
            },
            match ended.is_empty() {
                true => (NotSeen, "none of them".to_owned()),
                false => (Partly, ended.join(", ")),
            },
            match refusals.is_empty() {
                true => (NotSeen, "none of them".to_owned()),
                false => (Partly, format!("HTTP {refusals:?}")),
            },
            match created {
                Some(seen) if seen.status == 400 => (Confirmed, "HTTP 400".to_owned()),
                _ => (NotSeen, "nothing invalid is ever sent".to_owned()),
            },
            {
                let has = seen.iter().any(|seen| seen.has_retry_after);
                (by(has), if has { "sent" } else { "not sent" }.to_owned())
            },
            {
                let repeats = created.is_some_and(|seen| seen.repeats_request_id);
                let said = if repeats {
                    "X-Request-Id is repeated"
                } else {
                    "X-Request-Id is not repeated"
                };
                // That no second task is made would show with a repeated submission alone.
                (partly(repeats), format!("{said}; Idempotency-Key was not put to the test"))
            },
            (storage, storage_seen.to_owned()),
            (data_url, data_url_seen.to_owned()),
            // One task shows neither limits nor how long results are kept; its time is shown as an example.
            (NotSeen, format!("this task took {:.1} s", made.duration.as_secs_f64())),
            (
                // A number alone does not say whether it is an amount or a factor.
                NotSeen,
                usage("discount").map_or("no usage.discount".to_owned(), |given| {
                    format!("usage.discount is {given}")
                }),
            ),
        ];
        FACTS
            .into_iter()
            .zip(verdicts)
            .map(|((fact, known), (verdict, seen))| ServiceFact { fact, known, verdict, seen })
            .collect()
    }
}

/// The rows of the table in `docs/reference/service.md`, and how each is known. A test holds both together.
pub(crate) const FACTS: [(&str, &str); 14] = [
    ("the four parameters, their ranges and defaults, the thirty template ids", "documented"),
    ("nine error codes, `error.code` as text, `usage.cost` as text in USD", "documented"),
    ("bearer key", "documented"),
    (
        "`POST /model/v1/generation`, `GET …/task/{id}`, the envelope `{model, input: [{params}]}`",
        "observed",
    ),
    ("`in_progress`, `completed`, `failed`; every other status word but those below", "observed"),
    (
        "`expired` and `rejected` as failures; an unknown word as running, and a warning if it sounds final \
         (`archived`)",
        "guess",
    ),
    ("401, 402, 403 and their words; 429", "observed"),
    ("whether faults in parameters come as HTTP 400 or as a failed task", "guess"),
    ("`Retry-After`", "guess"),
    ("`Idempotency-Key`, `X-Request-Id`", "guess"),
    ("the storage endpoint for local photos", "observed"),
    ("`data:` URLs as input", "guess"),
    ("how long results are kept, rate limits, how long a task takes", "guess"),
    ("whether `usage.discount` is an amount or a factor", "guess"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_the_rows_of_the_page() {
        let page = include_str!("../../../../docs/reference/service.md");
        // Without the header; the line below that begins with `|-` and is not among these.
        let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
        let rows: Vec<&str> = rows.map(|row| row.split(" | ").next().unwrap()).collect();
        let rows: Vec<&str> = rows.iter().map(|row| row.trim_start_matches("| ")).collect();
        let facts: Vec<&str> = FACTS.iter().map(|(fact, _)| *fact).collect();
        assert_eq!(rows[..facts.len()], facts);
    }
}
