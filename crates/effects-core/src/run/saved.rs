//! [`Saved`]: a [`Run`] as data, to be written as JSON and restored in another process. [`Run::save`]
//! makes it and [`Run::restore`] reads it, for programs that drive runs by themselves.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::entry::Entry;
use super::outcome::Outcome;
use super::policy::Policy;
use super::submit::Submitting;
use super::wait::Waiting;
use super::{Core, Run, State};
use crate::gateway::call::CallId;
use crate::seed::Dice;
use crate::time::Time;

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
    dice: Dice,
    now: Time,
    started: Option<Time>,
    calls: u32,
    entries: u32,
    record: Option<Box<Entry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_records: Vec<Entry>,
    detaching: bool,
    doubts: Vec<CallId>,
    state: SavedState,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SavedState {
    Submitting(Box<Submitting>),
    Waiting(Box<Waiting>),
    Done(Box<Outcome>),
}

impl Saved {
    pub(super) fn of(run: &Run) -> Self {
        let core = &run.core;
        let state = match &run.state {
            State::Submitting(submitting) => SavedState::Submitting(Box::new(submitting.saved())),
            State::Waiting(waiting) => SavedState::Waiting(waiting.clone()),
            State::Done(done) => SavedState::Done(Box::new(done.outcome.clone())),
            State::Taken => unreachable!("a transition returns a state"),
        };
        Self {
            version: VERSION,
            dice: core.dice,
            now: core.now,
            started: core.started,
            calls: core.calls,
            entries: core.entries,
            record: core.entries_to_record.front().cloned().map(Box::new),
            more_records: core.entries_to_record.iter().skip(1).cloned().collect(),
            detaching: core.detaching,
            doubts: core.lost_calls.clone(),
            state,
        }
    }

    pub(super) fn into_run(self, policy: Arc<Policy>, now: Time) -> Run {
        let entries = self.record.map(|entry| *entry).into_iter().chain(self.more_records);
        let mut core = Core {
            policy,
            dice: self.dice,
            now: self.now.max(now),
            started: self.started,
            calls: self.calls,
            entries: self.entries,
            detaching: self.detaching,
            entries_to_record: entries.collect(),
            // The process that was writing the entry is gone: it is handed out again.
            recording: false,
            events: VecDeque::new(),
            lost_calls: self.doubts,
            pacer: None,
            curve: None,
        };
        let state = match self.state {
            SavedState::Submitting(submitting) => submitting.restored(&mut core),
            SavedState::Waiting(waiting) => waiting.restored(core.now),
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
