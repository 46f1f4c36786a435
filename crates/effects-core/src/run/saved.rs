//! [`Saved`]: a [`Run`] as data, to be written as JSON and restored in another process. [`Run::save`] makes
//! it and [`Run::restore`] reads it. It is for programs that drive runs by themselves; tests of the core
//! stop and restore runs with it, too. The clients have journals instead.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::core::{Core, Pending, known};
use super::entry::Entry;
use super::outcome::Outcome;
use super::policy::Policy;
use super::submit::Submitting;
use super::wait::{Missing, PollProblems, SavedProgress, WaitPhase, Waiting};
use super::{Run, State};
use crate::gateway::call::CallId;
use crate::pace::Label;
use crate::seed::Rng;
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::exchange_error::ExchangeError;
use crate::wire::task::Status;

/// A run as data: write it as JSON, read it back later, elsewhere.
///
/// It holds no credentials, no policy and no curve; events that were not handed out yet are not
/// kept.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{Policy, Run, Seed, Time};
/// use effects_core::run::Saved;
///
/// let now = Time::from_millis(0);
/// let policy = Arc::new(Policy::default());
/// let run = Run::attach("task".parse()?, None, policy.clone(), Seed::from(1), now);
///
/// let text = serde_json::to_string(&run.save())?;
/// let restored = Run::restore(serde_json::from_str::<Saved>(&text)?, policy, now);
/// assert_eq!(restored.save(), run.save());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Saved {
    /// Read first: what follows may look otherwise in another version.
    #[serde(deserialize_with = "known_version")]
    version: u32,
    #[serde(rename = "dice")]
    rng: Rng,
    now: Time,
    started: Option<Time>,
    calls: u32,
    entries: u32,
    record: Option<Box<Entry>>,
    // A text of version 1 may lack this: a second entry comes only where a repeated submission made
    // a second task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_records: Vec<Entry>,
    detaching: bool,
    #[serde(rename = "doubts")]
    lost_calls: Vec<CallId>,
    state: SavedState,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SavedState {
    Submitting(Box<Submitting>),
    Waiting(Box<SavedWaiting>),
    Done(Box<Outcome>),
}

/// A [`Waiting`] as version 1 writes it, with its names and their order.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SavedWaiting {
    task: TaskId,
    template: Option<Label>,
    submitted: Time,
    submitted_here: bool,
    grace_until: Time,
    looks: u32,
    failures: u32,
    #[serde(default)]
    running: Option<Time>,
    status: Option<Status>,
    progress: Option<f64>,
    #[serde(default)]
    reports: [Option<SavedProgress>; 2],
    #[serde(rename = "told")]
    reported_status: Option<Status>,
    seen: bool,
    #[serde(rename = "trouble")]
    error: Option<ExchangeError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
    #[serde(rename = "refused", default, skip_serializing_if = "Vec::is_empty")]
    reported_refusals: Vec<u16>,
    phase: WaitPhase,
}

impl From<Waiting> for SavedWaiting {
    fn from(waiting: Waiting) -> Self {
        let problems = waiting.problems.unwrap_or_default();
        Self {
            task: waiting.task,
            template: waiting.label,
            submitted: waiting.submitted,
            submitted_here: waiting.submitted_known,
            grace_until: waiting.grace_until,
            looks: waiting.looks,
            failures: problems.failures,
            running: known(waiting.running),
            status: waiting.status,
            progress: waiting.progress,
            reports: waiting.reports,
            reported_status: problems.reported_status,
            seen: waiting.seen,
            error: problems.error,
            missing: problems.missing,
            reported_refusals: problems.reported_refusals,
            phase: waiting.phase,
        }
    }
}

impl From<SavedWaiting> for Waiting {
    fn from(saved: SavedWaiting) -> Self {
        let SavedWaiting { failures, reported_status, error, missing, reported_refusals, .. } =
            saved;
        let problems =
            PollProblems { failures, reported_status, error, missing, reported_refusals };
        Self {
            task: saved.task,
            label: saved.template,
            submitted: saved.submitted,
            submitted_known: saved.submitted_here,
            grace_until: saved.grace_until,
            looks: saved.looks,
            running: saved.running.unwrap_or(Time::MAX),
            status: saved.status,
            progress: saved.progress,
            reports: saved.reports,
            seen: saved.seen,
            problems: (problems != PollProblems::default()).then(|| Box::new(problems)),
            phase: saved.phase,
        }
    }
}

impl Saved {
    pub(super) fn of(run: &Run) -> Self {
        let core = &run.core;
        let pending = core.pending.as_deref().cloned().unwrap_or_default();
        let mut entries = pending.entries.into_iter();
        let state = match &run.state {
            State::Submitting(submitting) => SavedState::Submitting(Box::new(submitting.saved())),
            State::Waiting(waiting) => SavedState::Waiting(Box::new(waiting.clone().into())),
            State::Done(done) => SavedState::Done(Box::new(done.outcome.clone())),
            State::Taken => unreachable!("a transition returns a state"),
        };
        Self {
            version: VERSION,
            // The stream goes on where it was, so that no attempt gets the name of an earlier one.
            rng: core.rng,
            now: core.now,
            started: known(core.started),
            calls: core.calls,
            entries: core.entries,
            record: entries.next().map(Box::new),
            more_records: entries.collect(),
            detaching: pending.detaching,
            lost_calls: pending.lost_calls,
            state,
        }
    }

    pub(super) fn into_run(self, policy: Arc<Policy>, now: Time) -> Run {
        let entries = self.record.map(|entry| *entry).into_iter().chain(self.more_records);
        let pending = Pending {
            entries: entries.collect(),
            lost_calls: self.lost_calls,
            detaching: self.detaching,
            // The process that was writing the entry is gone: it is handed out again.
            ..Pending::default()
        };
        let mut core = Core {
            policy,
            rng: self.rng,
            // The clock of the machine that restores the run may be behind.
            now: self.now.max(now),
            started: self.started.unwrap_or(Time::MAX),
            calls: self.calls,
            entries: self.entries,
            pending: Some(Box::new(pending)).filter(|pending| !pending.is_empty()),
            pacer: None,
            curve: None,
        };
        let state = match self.state {
            // Calls that were in flight have no driver any more: each state says what that means
            // for it.
            SavedState::Submitting(submitting) => submitting.restored(&mut core),
            SavedState::Waiting(waiting) => Waiting::from(*waiting).restored(core.now),
            SavedState::Done(outcome) => State::done(*outcome),
        };
        Run { core, state }
    }
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == VERSION {
        return Ok(version);
    }
    Err(D::Error::custom(format!(
        "this run was saved in version {version} of the format, and only version {VERSION} can be \
         read here: use the release that saved it"
    )))
}

const VERSION: u32 = 1;
