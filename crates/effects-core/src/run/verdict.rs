//! [`verdict`]: decides whether the answer to a poll shows the end of the task, and with which [`Outcome`]
//! the run then ends: an effect with pictures, or why it failed. `Waiting` calls it for each state of the
//! task that it sees. The Python package calls `Task::outcome`, the same without warnings, on the answer to
//! a single poll.

use super::core::Core;
use super::event::Event;
use super::outcome::{Effect, Failed, Outcome};
use crate::error_kind::ErrorKind;
use crate::gateway::origin::BaseUrl;
use crate::task_id::TaskId;
use crate::wire::picture::Picture;
use crate::wire::task::{ServiceError, Status, Task};
use crate::wire::usage::Usage;

/// The end the service's answer spells, if it does.
pub(super) fn verdict(id: &TaskId, task: &Task, core: &mut Core) -> Option<Outcome> {
    let mut outcome = task.outcome(id, core.policy.gateway.as_ref())?;
    if let Outcome::Failed(failed) = &mut outcome {
        failed.is_replayed = core.policy.is_replay;
    }
    if let Some(sent) = task.usage.as_ref().and_then(|usage| usage.unreadable_cost.as_ref()) {
        let most = Usage::MAX_COST;
        let message = format!(
            "what task {id} cost cannot be read: the service sent {sent:?}, which is no sum from 0 to \
             {most} USD"
        );
        core.queue_event(Event::Warning { message });
    }
    if let Outcome::Completed(effect) = &outcome
        && let Some(error) = &effect.warning
    {
        let message = format!("task {id} is completed, and reports an error all the same: {error}");
        core.queue_event(Event::Warning { message });
    }
    Some(outcome)
}

impl Task {
    /// The end that it shows of the task that was asked for by this `id`, if it shows one: its effect,
    /// or how it failed. A link to a picture that is not whole is resolved against `gateway`.
    ///
    /// # Example
    ///
    /// ```
    /// # fn example(task: &effects_core::Task) {
    /// if let Some(outcome) = task.outcome(&task.id, None) {
    ///     println!("{:?}", outcome.into_result());
    /// }
    /// # }
    /// ```
    pub fn outcome(&self, id: &TaskId, gateway: Option<&BaseUrl>) -> Option<Outcome> {
        if self.status.as_ref().is_some_and(|status| !status.is_final()) {
            return None;
        }
        let pictures: Vec<Picture> =
            self.pictures.iter().filter_map(|picture| picture.clone().at(gateway)).collect();
        let has_picture = !pictures.is_empty();
        let completed = match &self.status {
            // Without a word, a picture speaks for itself.
            None if !has_picture => return None,
            status => !status.as_ref().is_some_and(Status::is_failure),
        };
        // An error beside a usable picture is a warning: the picture is there and paid for.
        if completed && has_picture {
            return Some(Outcome::Completed(Box::new(Effect {
                task_id: id.clone(),
                pictures,
                usage: self.usage.clone().unwrap_or_default(),
                metadata: self.metadata.clone(),
                warning: self.error.clone(),
                raw: self.raw.clone(),
                response: None,
            })));
        }
        // Completed with neither a picture nor a reason is a kind of its own: it may be billed, and
        // three in a row stop a batch.
        let kind = if completed && self.error.is_none() {
            ErrorKind::NoPicture
        } else {
            ErrorKind::TaskFailed
        };
        // Where no reason is given, such a word is one.
        let says_why = |word: &Status| matches!(word, Status::Expired | Status::Rejected);
        let word = self.status.clone().filter(says_why);
        let reason = |word: Status| ServiceError { code: None, message: format!("it is {word}") };
        Some(Outcome::Failed(Failed {
            task_id: id.clone(),
            kind,
            error: self.error.clone().or(word.map(reason)),
            usage: self.usage.clone(),
            raw: self.raw.clone(),
            response: None,
            is_replayed: false,
        }))
    }
}
