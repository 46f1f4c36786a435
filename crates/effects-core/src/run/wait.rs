//! From the task's id to its verdict: looks cost nothing, so whatever can pass is waited out.
//!
//! ```text
//!             pace, retry, throttle
//!            +----------------------+
//!            v                      | running, or trouble that can pass
//!           Due ---- Send(Poll) --> Out ---> Done(Completed | Failed | Broken)
//!            \                       \
//!             \-- at the end of the wait, one last look --> Done(StillRunning)
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Core, State, Step, Want, Why};
use crate::answer::{Look, kind_of, lost};
use crate::call::{Call, CallId, Exchange, Reply};
use crate::effect::Effect;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::outcome::{Broken, Failed, Outcome, StillRunning};
use crate::policy::Policy;
use crate::retry;
use crate::task::{Status, Task};
use crate::task_id::TaskId;
use crate::template::Template;
use crate::time::Time;
use crate::trouble::Trouble;

/// A task without a verdict.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Waiting {
    task: TaskId,
    template: Option<Template>,
    /// When the task was submitted, as far as is known, and whether that is our own knowledge.
    submitted: Time,
    submitted_here: bool,
    /// Until when the service may not know the task yet.
    grace_until: Time,
    /// Looks that saw the task running, and looks that went wrong since the last of them.
    looks: u32,
    failures: u32,
    status: Option<Status>,
    progress: Option<f64>,
    /// The unknown status word that was told of.
    told: Option<Status>,
    /// Whether anybody ever saw the task: the answer to the submission counts.
    seen: bool,
    /// What went wrong with the latest look.
    trouble: Option<Box<Trouble>>,
    phase: Phase,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Phase {
    /// A look is due at this time.
    Due { at: Time, why: Reason },
    /// A look is out. `last` tells that it was made at the end of the wait.
    Out { call: CallId, limit: Time, last: bool },
}

/// [`Why`], as far as it can be saved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Reason {
    Pace,
    Retry,
    Throttle,
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Pace => Self::Pace,
            Reason::Retry => Self::Retry,
            Reason::Throttle => Self::Throttle,
        }
    }
}

impl Waiting {
    /// A task somebody submitted before: the first look is due at once.
    pub(super) fn attached(task: TaskId, template: Option<Template>, core: &Core) -> Box<Self> {
        Box::new(Self {
            task,
            template,
            submitted: core.now,
            submitted_here: false,
            grace_until: core.now + core.policy.not_found_grace,
            looks: 0,
            failures: 0,
            status: None,
            progress: None,
            told: None,
            seen: false,
            trouble: None,
            phase: Phase::Due { at: core.now, why: Reason::Pace },
        })
    }

    /// A task just submitted.
    pub(super) fn created(task: &Task, template: Option<Template>, core: &Core) -> Box<Self> {
        let mut created = Self::attached(task.id.clone(), template, core);
        (created.seen, created.submitted_here) = (true, true);
        created
    }

    pub(super) fn submitted_at(&mut self, submitted: Time, policy: &Policy) {
        (self.submitted, self.submitted_here) = (submitted, true);
        self.grace_until = submitted + policy.not_found_grace;
    }

    pub(super) fn task_id(&self) -> &TaskId {
        &self.task
    }

    pub(super) fn want(&self, now: Time, deadline: Time) -> Want {
        match self.phase {
            Phase::Out { limit, .. } if now < limit => Want::Sleep(limit),
            Phase::Out { .. } => Want::Step,
            Phase::Due { at, .. } if now < at.min(deadline) => Want::Sleep(at.min(deadline)),
            Phase::Due { .. } => Want::Poll,
        }
    }

    pub(super) fn awaits(&self, id: CallId) -> bool {
        matches!(self.phase, Phase::Out { call, .. } if call == id)
    }

    pub(super) fn step(mut self: Box<Self>, core: &mut Core) -> (State, Option<Step>) {
        // A look can be dropped at any moment: it costs nothing and can be made again.
        if core.detaching {
            return (State::detached(Some(self.task)), None);
        }
        match self.phase {
            Phase::Out { limit, .. } if core.now >= limit => {
                let trouble = lost("no answer within the request timeout");
                (self.again(trouble, core), None)
            }
            Phase::Out { limit, .. } => {
                (State::Waiting(self), Some(Step::Sleep { until: limit, why: Why::InFlight }))
            }
            Phase::Due { at, why } => {
                let due = at.min(core.deadline());
                if core.now < due {
                    let sleep = Step::Sleep { until: due, why: why.into() };
                    return (State::Waiting(self), Some(sleep));
                }
                let call = self.look(core);
                (State::Waiting(self), Some(Step::Send(call)))
            }
        }
    }

    pub(super) fn reply(self: Box<Self>, reply: Reply<'_>, core: &mut Core) -> State {
        match Look::read(&self.task, reply) {
            Look::Seen(task) => self.seen(&task, core),
            Look::Again(trouble) => self.again(trouble, core),
            Look::NotFound(trouble) if core.now < self.grace_until => self.again(trouble, core),
            Look::NotFound(trouble) => self.broken(ErrorKind::TaskNotFound, trouble),
            Look::Stop(kind, trouble) => self.broken(kind, trouble),
        }
    }

    /// The state a saved run is restored in: a look in flight is made again.
    pub(super) fn restored(mut self: Box<Self>, now: Time) -> Box<Self> {
        if let Phase::Out { .. } = self.phase {
            self.phase = Phase::Due { at: now, why: Reason::Pace };
        }
        self
    }

    /// The task was seen: the verdict, or when to look again.
    pub(super) fn seen(mut self: Box<Self>, task: &Task, core: &mut Core) -> State {
        if let Some(outcome) = verdict(&self.task, task, core) {
            return State::done(outcome);
        }
        if let Some(word @ Status::Unknown(_)) = &task.status
            && self.told.as_ref() != Some(word)
        {
            self.told = Some(word.clone());
            core.tell(Event::UnknownStatus { task_id: self.task.clone(), word: word.clone() });
        }
        // Clocks differ between machines, so the service's date counts only where we have none.
        if !self.submitted_here
            && let Some(created) = task.created_at
        {
            self.submitted = self.submitted.min(created);
        }
        self.seen = true;
        self.status = task.status.clone();
        self.progress = task.progress.or(self.progress);
        (self.failures, self.trouble) = (0, None);
        if let Phase::Out { .. } = self.phase {
            self.looks = self.looks.saturating_add(1);
            core.tell(Event::Running {
                task_id: self.task.clone(),
                status: self.status.clone(),
                progress: self.progress,
                age: core.now.since(self.submitted),
            });
        }
        if self.is_last() {
            return self.over(core);
        }
        let wait = core.policy.pace.next(self.looks, &mut core.dice);
        self.phase = Phase::Due { at: core.now + wait, why: Reason::Pace };
        State::Waiting(self)
    }

    fn look(&mut self, core: &mut Core) -> Call {
        let limit = self.limit(core);
        let id = core.call();
        self.phase = Phase::Out { call: id, limit, last: core.now >= core.deadline() };
        let exchange = Exchange::Poll { task: self.task.clone() };
        Call { id, exchange, timeout: limit.since(core.now), limit }
    }

    /// When the look made now must have ended. One made within the wait ends with it, so that the
    /// last look, made at the end of the wait, has a request's time of its own and ends in time,
    /// also where a driver notices limits a little late. Whoever slept through all of that still
    /// gets a whole last look.
    fn limit(&self, core: &Core) -> Time {
        let timeout = core.policy.request_timeout;
        let (deadline, end) = (core.deadline(), core.deadline() + timeout);
        match core.now {
            now if now < deadline => deadline.min(now + timeout),
            now if now < end => end,
            now => now + timeout,
        }
    }

    /// Whether the look that is out was made at the end of the wait.
    fn is_last(&self) -> bool {
        matches!(self.phase, Phase::Out { last: true, .. })
    }

    /// A look went wrong in a way that can pass.
    fn again(mut self: Box<Self>, trouble: Trouble, core: &mut Core) -> State {
        let last = self.is_last();
        let asked = trouble.rejection().and_then(|rejection| rejection.retry_after);
        self.trouble = Some(Box::new(trouble.clone()));
        if last {
            return self.over(core);
        }
        let until = core.now + core.retry_delay(self.failures, asked);
        let after = until.min(core.deadline()).since(core.now);
        self.failures = self.failures.saturating_add(1);
        let throttled = kind_of(&trouble) == ErrorKind::RateLimited;
        let why = if throttled { Reason::Throttle } else { Reason::Retry };
        self.phase = Phase::Due { at: core.now + after, why };
        core.tell(Event::Retrying { task_id: Some(self.task.clone()), trouble, after });
        State::Waiting(self)
    }

    /// The wait is over. Only who ever saw the task can say that it is still running.
    fn over(self, core: &Core) -> State {
        let trouble = self.trouble.map(|trouble| *trouble);
        match trouble {
            Some(trouble) if !self.seen => {
                let kind = kind_of(&trouble);
                State::done(Outcome::Broken(Broken { task_id: self.task, kind, trouble }))
            }
            trouble => State::done(Outcome::StillRunning(StillRunning {
                task_id: self.task,
                status: self.status,
                progress: self.progress,
                waited: core.now.since(core.started.unwrap_or(core.now)),
                trouble,
            })),
        }
    }

    fn broken(self, kind: ErrorKind, trouble: Trouble) -> State {
        State::done(Outcome::Broken(Broken { task_id: self.task, kind, trouble }))
    }
}

impl Core {
    pub(super) fn retry_delay(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        retry::delay(&self.policy, failures, asked, &mut self.dice)
    }
}

/// The end the service's answer spells, if it does.
fn verdict(id: &TaskId, task: &Task, core: &mut Core) -> Option<Outcome> {
    let has_picture = !task.pictures.is_empty();
    let completed = match &task.status {
        Some(status) if !status.is_final() => return None,
        // Without a word, a picture speaks for itself.
        None if !has_picture => return None,
        status => !matches!(status, Some(Status::Failed | Status::Cancelled)),
    };
    if completed && has_picture {
        if let Some(error) = &task.error {
            let message =
                format!("task {id} is completed, and reports an error all the same: {error}");
            core.tell(Event::Warning { message });
        }
        return Some(Outcome::Completed(Box::new(Effect {
            task_id: id.clone(),
            pictures: task.pictures.clone(),
            usage: task.usage.clone().unwrap_or_default(),
            metadata: task.metadata.clone(),
            warning: task.error.clone(),
            raw: task.raw.clone(),
        })));
    }
    let kind = if completed && task.error.is_none() {
        ErrorKind::NoPicture
    } else {
        ErrorKind::TaskFailed
    };
    Some(Outcome::Failed(Failed {
        task_id: id.clone(),
        kind,
        error: task.error.clone(),
        usage: task.usage.clone(),
        raw: task.raw.clone(),
    }))
}
