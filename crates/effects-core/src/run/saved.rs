//! A run as data.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::aside::Aside;
use super::compact::MaybeTime;
use super::entry::Entry;
use super::outcome::Outcome;
use super::policy::Policy;
use super::written::{SavedSubmitting, SavedWaiting};
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
/// use effects_core::{Policy, Run, Saved, Seed, Time};
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
    Submitting(Box<SavedSubmitting>),
    Waiting(Box<SavedWaiting>),
    Done(Box<Outcome>),
}

impl Saved {
    pub(super) fn of(run: &Run) -> Self {
        let core = &run.core;
        let state = match &run.state {
            State::Submitting(submitting) => {
                SavedState::Submitting(Box::new(SavedSubmitting::of(submitting, core)))
            }
            State::Waiting(waiting) => {
                SavedState::Waiting(Box::new(SavedWaiting::of(waiting, core)))
            }
            State::Done(done) => SavedState::Done(Box::new(done.outcome.clone())),
            State::Taken => unreachable!("a transition returns a state"),
        };
        Self {
            version: VERSION,
            dice: core.dice,
            now: core.now,
            started: core.started.get(),
            calls: core.calls,
            entries: core.entries,
            record: core.aside.entry().cloned().map(Box::new),
            more_records: core.aside.more_entries().to_vec(),
            detaching: core.detaching,
            doubts: core.aside.doubts().to_vec(),
            state,
        }
    }

    pub(super) fn into_run(self, policy: Arc<Policy>, now: Time) -> Run {
        let Self { dice, started, calls, entries, record, detaching, doubts, .. } = self;
        let more_records = self.more_records;
        let doubt = match &self.state {
            SavedState::Submitting(submitting) => submitting.doubt.clone(),
            SavedState::Waiting(_) | SavedState::Done(_) => None,
        };
        let mut core = Core {
            policy,
            dice,
            now: self.now.max(now),
            started: MaybeTime::from(started),
            calls,
            entries,
            detaching,
            aside: Aside::restored(record.map(|entry| *entry), more_records, doubts, doubt),
            curve: None,
        };
        let state = match self.state {
            SavedState::Submitting(submitting) => submitting.restored(&mut core),
            SavedState::Waiting(waiting) => State::Waiting(waiting.restored(&core)),
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
