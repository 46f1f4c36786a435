//! [`ServiceLedger`]: the simulated service: it answers creates (accepted, throttled or lost, at random by
//! the seed) and polls, and keeps its own record of every task it made. `SimulatedWorld` takes the answers
//! to its jobs' calls from it, and checks the journal and the budget against its record.

use std::time::Duration;

use effects_core::Time;
use effects_core::gateway::Answer;
use http::{HeaderMap, StatusCode};

use crate::faults::SplitMix64;

/// The tasks of the service, by its own count.
#[derive(Debug, Default)]
pub(super) struct ServiceLedger {
    pub(super) tasks: Vec<LedgerTask>,
}

#[derive(Debug)]
pub(super) struct LedgerTask {
    pub(super) row: usize,
    pub(super) ends: Time,
    pub(super) end: TaskEnd,
    /// It was looked at, so its id must be durable.
    pub(super) is_polled: bool,
    /// Its end was shown.
    pub(super) is_seen: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TaskEnd {
    Completed,
    /// Completed, and the answer does not say what it cost.
    CompletedWithoutCost,
    /// Failed, which a new task may do better, and free.
    Failed,
    /// The same, and billed.
    FailedAndBilled,
}

impl LedgerTask {
    /// Whether it is billed, or may be before its end is known.
    pub(super) fn is_billed(&self, now: Time) -> bool {
        self.end != TaskEnd::Failed || now < self.ends
    }
}

impl ServiceLedger {
    /// Makes a task.
    pub(super) fn accept(&mut self, row: usize, now: Time, rng: &mut SplitMix64) -> usize {
        let lasts = Duration::from_secs(1 + rng.below(20));
        // One task in five fails and one in twenty tells no
        // cost: often enough to come up in a short schedule.
        let end = match rng.below(20) {
            0 | 1 => TaskEnd::Failed,
            2 | 3 => TaskEnd::FailedAndBilled,
            4 => TaskEnd::CompletedWithoutCost,
            _ => TaskEnd::Completed,
        };
        let task = LedgerTask { row, ends: now + lasts, end, is_polled: false, is_seen: false };
        self.tasks.push(task);
        self.tasks.len() - 1
    }

    /// The answer to a create: the ledger knows the task, whatever becomes of the answer.
    pub(super) fn create(
        &mut self,
        row: usize,
        now: Time,
        rng: &mut SplitMix64,
    ) -> (Answer, &'static str) {
        // In percent. Three submissions in ten go wrong, and one
        // in eight makes a task that the client cannot know of.
        match rng.below(100) {
            0..6 => (Answer::NotSent("refused".to_owned()), "does not leave"),
            6..12 => (Answer::Lost("reset".to_owned()), "is lost"),
            12..18 => (json(429, "{}".to_owned()), "is throttled"),
            18..26 => {
                self.accept(row, now, rng);
                (Answer::Lost("reset".to_owned()), "is accepted, its answer lost")
            }
            26..30 => {
                self.accept(row, now, rng);
                // What answers is not the service, so that a 502 says nothing of the task.
                (json(502, "{}".to_owned()), "is accepted, a proxy answers 502")
            }
            _ => {
                let id = self.accept(row, now, rng);
                let body = format!(r#"{{"id":"task-{id}","status":"in_progress"}}"#);
                (json(200, body), "is accepted")
            }
        }
    }

    /// The answer to a look.
    pub(super) fn look(&mut self, id: &str, now: Time) -> Answer {
        let number = id.strip_prefix("task-").and_then(|number| number.parse::<usize>().ok());
        let Some(task) = number.and_then(|number| self.tasks.get_mut(number)) else {
            return json(404, "{}".to_owned());
        };
        task.is_polled = true;
        task.is_seen |= now >= task.ends;
        // No process fetches it: the simulated disk takes the task's id for the picture.
        let picture = r#""output":[{"content":[{"type":"image","url":"https://x/y.png"}]}]"#;
        let failed = r#""status":"failed","error":{"code":"3009095"}"#;
        let rest = match task.end {
            _ if now < task.ends => r#""status":"in_progress""#.to_owned(),
            TaskEnd::Completed => {
                format!(r#""status":"completed",{picture},"usage":{{"cost":"0.03"}}"#)
            }
            TaskEnd::CompletedWithoutCost => format!(r#""status":"completed",{picture}"#),
            TaskEnd::Failed => failed.to_owned(),
            TaskEnd::FailedAndBilled => format!(r#"{failed},"usage":{{"cost":"0.03"}}"#),
        };
        json(200, format!(r#"{{"id":"{id}",{rest}}}"#))
    }
}

fn json(status: u16, body: String) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer::Answered { status, headers: HeaderMap::new(), body: body.into() }
}
