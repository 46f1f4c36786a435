//! [`TaskScript`]: how long a task of the scripted [`Service`](crate::Service) takes (a number of polls, or
//! a time) and how it ends. Tests, mostly the core's, give one for all tasks that are submitted
//! ([`Service::task_script`](crate::Service::task_script)) or for one task that is there already
//! ([`Service::add_task`](crate::Service::add_task)). The service makes a [`ScriptedTask`] of it for each
//! task, which answers the task's polls.

use std::time::Duration;

use effects_core::Time;

/// How long a task takes and how it ends.
///
/// ```
/// use std::time::Duration;
/// use effects_testkit::TaskScript;
///
/// let quick = TaskScript::of_polls(2);
/// let slow = TaskScript::lasting(Duration::from_secs(40)).unknown_for(Duration::from_secs(3));
/// let failing = TaskScript::of_polls(0).failing("3009097", "HTTP error response");
/// ```
#[derive(Clone, Debug)]
pub struct TaskScript {
    length: Length,
    unknown_for: Duration,
    ending: Ending,
}

#[derive(Clone, Debug)]
enum Length {
    Polls(u32),
    Time(Duration),
    Endless,
}

#[derive(Clone, Debug)]
enum Ending {
    Completed,
    Failed {
        code: String,
        message: String,
    },
    /// The rest of the object, from `"status"` on.
    Written(String),
}

impl TaskScript {
    /// It is shown running so many times, then completed.
    pub fn of_polls(polls: u32) -> Self {
        Self::of(Length::Polls(polls))
    }

    /// It runs this long, then it is completed.
    pub fn lasting(duration: Duration) -> Self {
        Self::of(Length::Time(duration))
    }

    /// It runs for ever.
    pub fn endless() -> Self {
        Self::of(Length::Endless)
    }

    fn of(length: Length) -> Self {
        Self { length, unknown_for: Duration::ZERO, ending: Ending::Completed }
    }

    /// The same, but it fails in the end.
    #[must_use]
    pub fn failing(self, code: &str, message: &str) -> Self {
        let ending = Ending::Failed { code: code.to_owned(), message: message.to_owned() };
        Self { ending, ..self }
    }

    /// The same, but in the end its object holds these fields beside `id`: JSON without the outer
    /// braces, `"status"` included.
    #[must_use]
    pub fn ending_with(self, fields: &str) -> Self {
        Self { ending: Ending::Written(fields.to_owned()), ..self }
    }

    /// The same, but for this long after its submission the service does not know it (HTTP 404).
    #[must_use]
    pub fn unknown_for(self, duration: Duration) -> Self {
        Self { unknown_for: duration, ..self }
    }
}

/// A task at the service.
#[derive(Clone, Debug)]
pub(crate) struct ScriptedTask {
    pub(crate) id: String,
    pub(crate) created: Time,
    pub(crate) task_script: TaskScript,
    polls: u32,
}

impl ScriptedTask {
    pub(crate) fn new(id: String, created: Time, task_script: TaskScript) -> Self {
        Self { id, created, task_script, polls: 0 }
    }

    pub(crate) fn is_known(&self, now: Time) -> bool {
        now.since(self.created) >= self.task_script.unknown_for
    }

    /// What a submission is answered.
    pub(crate) fn submitted(&self) -> String {
        self.object(r#""status":"in_progress""#)
    }

    /// What a look at it shows.
    pub(crate) fn look(&mut self, now: Time) -> String {
        self.polls = self.polls.saturating_add(1);
        let done = match self.task_script.length {
            Length::Polls(polls) if self.polls > polls => None,
            // Below 1 until the end: only a verdict is shown as whole.
            Length::Polls(polls) => Some(f64::from(self.polls) / (f64::from(polls) + 1.0)),
            Length::Time(length) => {
                let done = now.since(self.created).as_secs_f64() / length.as_secs_f64();
                // No time at all is over at once.
                (done < 1.0).then_some(done)
            }
            // Any share below 1 will do.
            Length::Endless => Some(0.5),
        };
        match done {
            Some(done) => self.object(&format!(r#""status":"in_progress","progress":{done:.3}"#)),
            None => self.object(&self.ending()),
        }
    }

    fn ending(&self) -> String {
        match &self.task_script.ending {
            Ending::Completed => format!(
                r#""status":"completed","progress":1,"output":[{{"content":[{{"type":"image","url":"{PICTURES}{id}.png","size":123456,"jobId":"job-{id}"}}]}}],"usage":{{"cost":"0.03","discount":1}},"metadata":{{}}"#,
                id = self.id,
            ),
            Ending::Failed { code, message } => format!(
                r#""status":"failed","progress":0,"error":{{"code":{code:?},"error_message":{message:?}}}"#
            ),
            Ending::Written(fields) => fields.clone(),
        }
    }

    fn object(&self, fields: &str) -> String {
        // The service gives it in whole seconds.
        let created_at = self.created.as_millis() / 1_000;
        format!(
            r#"{{"id":"{}","model":"spark_img_effects","created_at":{created_at},{fields}}}"#,
            self.id
        )
    }
}

/// The prefix of the pictures' URLs; no host has this name, so they cannot be fetched.
const PICTURES: &str = "https://pictures.invalid/";
