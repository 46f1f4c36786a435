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

use super::compact::{MaybeShare, MaybeTime};
use super::event::Event;
use super::outcome::{Broken, Detached, Outcome, StillRunning};
use super::policy::Policy;
use super::seldom::{Missing, Report, Seldom, Shown};
use super::verdict::verdict;
use super::{Core, Done, State, Step, Want, Why};
use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, Exchange, Reply};
use crate::pace::{Curve, Label, Moment, Observation};
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::answer::{Look, kind_of, lost};
use crate::wire::task::{Status, Task};
use crate::wire::trouble::Trouble;

/// A task without a verdict.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) task: TaskId,
    pub(super) label: Option<Label>,
    /// When the task was submitted, and whether that is known; until then, when it was attached.
    pub(super) submitted: Time,
    pub(super) submitted_known: bool,
    /// Until when the service may not know the task yet.
    pub(super) grace_until: Time,
    /// Looks that saw the task running, and looks that went wrong since the last of them.
    pub(super) looks: u32,
    pub(super) failures: u32,
    /// When the latest look left that saw it running.
    pub(super) running: MaybeTime,
    pub(super) status: Shown,
    pub(super) progress: MaybeShare,
    /// The last two reports of progress, the older one first.
    pub(super) reports: [Report; 2],
    /// Whether anybody ever saw the task: the answer to the submission counts.
    pub(super) seen: bool,
    pub(super) phase: Phase,
    pub(super) seldom: Option<Box<Seldom>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// A look is due at this time.
    Due { at: Time, why: Reason },
    /// A look is out since then: the last call that left.
    Out { sent: Time },
}

/// [`Why`], as far as it can be saved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Reason {
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
    pub(super) fn attached(task: TaskId, label: Option<Label>, core: &Core) -> Self {
        Self {
            task,
            label,
            submitted: core.now,
            submitted_known: false,
            grace_until: core.now + core.policy.not_found_grace,
            looks: 0,
            failures: 0,
            running: MaybeTime::NONE,
            status: Shown::Nothing,
            progress: MaybeShare::NONE,
            reports: [Report::NONE; 2],
            seen: false,
            phase: Phase::Due { at: core.now, why: Reason::Pace },
            seldom: None,
        }
    }

    /// A task just submitted.
    pub(super) fn created(task: &Task, label: Option<Label>, core: &Core) -> Self {
        let mut created = Self::attached(task.id.clone(), label, core);
        (created.seen, created.submitted_known) = (true, true);
        created
    }

    pub(super) fn submitted_at(&mut self, submitted: Time, policy: &Policy) {
        (self.submitted, self.submitted_known) = (submitted, true);
        self.grace_until = submitted + policy.not_found_grace;
    }

    pub(super) fn task_id(&self) -> &TaskId {
        &self.task
    }

    /// What there is to learn if nobody looks any more.
    pub(super) fn observation(&self) -> Option<Observation> {
        let running = self.running.get().filter(|_| self.submitted_known)?;
        Some(Observation::Running { age: running.since(self.submitted) })
    }

    /// The chance that the task has ended since it was last seen running.
    pub(super) fn chance(&self, now: Time, curve: &Curve) -> f64 {
        let running = self.running.get().map_or(Duration::ZERO, |sent| sent.since(self.submitted));
        curve.chance(running, now.since(self.submitted))
    }

    pub(super) fn want(&self, now: Time, core: &Core) -> Want {
        let deadline = core.deadline();
        match self.phase {
            Phase::Out { sent } => {
                let limit = limit(sent, core);
                if now < limit { Want::Sleep(limit) } else { Want::Step }
            }
            Phase::Due { .. } if now >= deadline => Want::LastPoll,
            Phase::Due { at, .. } if now < at => Want::Sleep(at.min(deadline)),
            Phase::Due { .. } => Want::Poll,
        }
    }

    pub(super) fn awaits(&self, id: CallId, core: &Core) -> bool {
        matches!(self.phase, Phase::Out { .. }) && id == core.last_call()
    }

    /// The sleep it is in, unless it is over.
    pub(super) fn rest(&self, core: &Core) -> Option<Step> {
        let why = match self.phase {
            Phase::Out { .. } => Why::InFlight,
            Phase::Due { why, .. } => why.into(),
        };
        match self.want(core.now, core) {
            Want::Sleep(until) if !core.detaching => Some(Step::Sleep { until, why }),
            _ => None,
        }
    }

    pub(super) fn step(mut self, core: &mut Core) -> (State, Option<Step>) {
        // A look can be dropped at any moment: it costs nothing and can be made again.
        if core.detaching {
            let task_id = Some(self.task.clone());
            return (self.done(Outcome::Detached(Detached { task_id })), None);
        }
        match self.phase {
            Phase::Out { .. } => {
                (self.again(lost("no answer within the request timeout"), true, core), None)
            }
            Phase::Due { .. } => {
                let call = self.look(core);
                (State::Waiting(self), Some(Step::Send(call)))
            }
        }
    }

    pub(super) fn reply(mut self, reply: Reply<'_>, core: &mut Core) -> State {
        let asked = reply.retry_after();
        match Look::read(&self.task, reply) {
            Look::Seen(task) => {
                self.date(&task, reply, core.now);
                self.seen(&task, asked, core)
            }
            Look::Again(trouble) => self.again(trouble, true, core),
            Look::Refused(_, trouble) => {
                let first = trouble.status().is_none_or(|status| self.set_refused(status));
                self.again(trouble, first, core)
            }
            Look::NotFound(trouble) => {
                if core.now >= self.grace_until && self.is_gone(core.now) {
                    return self.broken(ErrorKind::TaskNotFound, trouble);
                }
                self.again(trouble, true, core)
            }
            Look::Barred(kind, trouble) => self.broken(kind, trouble),
        }
    }

    /// Counts one more look that did not find the task; whether they were enough, over a time long
    /// enough, to believe that there is none.
    fn is_gone(&mut self, now: Time) -> bool {
        let missing = self.missing().unwrap_or(Missing { since: now, looks: 0 });
        let missing = Missing { looks: missing.looks.saturating_add(1), ..missing };
        self.set_missing(Some(missing));
        missing.looks >= LOOKS_OF_A_MISSING_TASK
            && now.since(missing.since) >= SPAN_OF_A_MISSING_TASK
    }

    /// Takes the time of the submission from the service where nobody here knows it. Clocks differ
    /// between machines, so the age counts by the service's own as far as it shows that.
    fn date(&mut self, task: &Task, reply: Reply<'_>, now: Time) {
        if let Some(created) = task.created_at.filter(|_| !self.submitted_known) {
            let age = reply.date().unwrap_or(now).since(created);
            (self.submitted, self.submitted_known) = (now - age, true);
        }
    }

    /// The task was seen: the verdict, or when to look again, but not before the time the service
    /// `asked` for.
    pub(super) fn seen(mut self, task: &Task, asked: Option<Duration>, core: &mut Core) -> State {
        if let Some(outcome) = verdict(&self.task, task, core) {
            return self.ended(outcome, core.now);
        }
        if let Some(word @ Status::Unknown(_)) = &task.status
            && self.told() != Some(word)
        {
            self.set_told(Some(word.clone()));
            core.tell(Event::UnknownStatus { task_id: self.task.clone(), word: word.clone() });
        }
        let age = core.now.since(self.submitted);
        self.seen = true;
        self.set_status(task.status.clone());
        self.progress = task.progress.or(self.progress.get()).into();
        self.failures = 0;
        self.set_trouble(None);
        self.set_missing(None);
        if let Phase::Out { sent } = self.phase {
            self.looks = self.looks.saturating_add(1);
            self.running = Some(sent).into();
            if let Some(done) = task.progress {
                self.reports = [self.reports[1], Report::new(age, done)];
            }
            core.tell(Event::Running {
                task_id: self.task.clone(),
                status: task.status.clone(),
                progress: self.progress.get(),
                age,
                eta: core.curve.as_ref().and_then(|curve| curve.eta(age)),
            });
        }
        if self.is_last(core) {
            return self.over(core);
        }
        let (wait, why) = self.next_look(age, asked, core);
        self.phase = Phase::Due { at: core.now + wait, why };
        State::Waiting(self)
    }

    /// How long to wait for the next look, and why: what the service asks for wins over the pace.
    fn next_look(
        &self,
        age: Duration,
        asked: Option<Duration>,
        core: &mut Core,
    ) -> (Duration, Reason) {
        let reports = match self.reports() {
            [Some(before), Some(last)] => &[before.into(), last.into()][..],
            _ => &[],
        };
        let moment = Moment { looks: self.looks, age, reports, curve: core.curve.as_deref() };
        let pace = core.policy.pace.next(&moment, &mut core.dice);
        match asked.map(|asked| asked.min(core.policy.retry_after_most)) {
            Some(asked) if asked > pace => (asked, Reason::Throttle),
            _ => (pace, Reason::Pace),
        }
    }

    /// A look, or the answer to the submission, showed the end.
    fn ended(self, outcome: Outcome, now: Time) -> State {
        let first_ended = now.since(self.submitted);
        let last_running = self.running.get().map(|sent| sent.since(self.submitted));
        // The first look at a task that ran unwatched says next to nothing.
        let watched = self.seen && matches!(self.phase, Phase::Out { .. });
        let observation = (watched && self.submitted_known)
            .then_some(Observation::Ended { last_running, first_ended });
        self.done_with(outcome, observation)
    }

    /// The watch is over, the task is not as far as is known.
    fn done(self, outcome: Outcome) -> State {
        let observation = self.observation();
        self.done_with(outcome, observation)
    }

    fn done_with(self, outcome: Outcome, observation: Option<Observation>) -> State {
        let label = self.label.clone();
        State::Done(Box::new(Done { outcome, label, observation }))
    }

    fn look(&mut self, core: &mut Core) -> Call {
        self.phase = Phase::Out { sent: core.now };
        let limit = limit(core.now, core);
        let exchange = Exchange::Poll { task: self.task.clone() };
        Call { id: core.call(), exchange, timeout: limit.since(core.now), limit }
    }

    /// Whether the look that is out was made at the end of the wait.
    fn is_last(&self, core: &Core) -> bool {
        matches!(self.phase, Phase::Out { sent } if is_last(sent, core))
    }

    /// A look went wrong in a way that can pass; whether to tell it.
    fn again(mut self, trouble: Trouble, tell: bool, core: &mut Core) -> State {
        let last = self.is_last(core);
        let asked = trouble.rejection().and_then(|rejection| rejection.retry_after);
        self.set_trouble(Some(trouble.clone()));
        if last {
            return self.over(core);
        }
        let until = core.now + core.retry_delay(self.failures, asked);
        let after = until.min(core.deadline()).since(core.now);
        self.failures = self.failures.saturating_add(1);
        let throttled = kind_of(&trouble) == ErrorKind::RateLimited;
        let why = if throttled { Reason::Throttle } else { Reason::Retry };
        self.phase = Phase::Due { at: core.now + after, why };
        if tell {
            core.tell(Event::Retrying { task_id: Some(self.task.clone()), trouble, after });
        }
        State::Waiting(self)
    }

    /// The wait is over. Of a task that was seen, or whose submission is on record, it can be said
    /// that it is still running.
    fn over(self, core: &Core) -> State {
        let trouble = self.trouble().cloned();
        let task_id = self.task.clone();
        let outcome = match trouble {
            Some(trouble) if !self.seen && !self.submitted_known => {
                Outcome::Broken(Broken { task_id, kind: kind_of(&trouble), trouble })
            }
            trouble => Outcome::StillRunning(StillRunning {
                task_id,
                status: self.status(),
                progress: self.progress.get(),
                waited: core.now.since(core.started.get().unwrap_or(core.now)),
                trouble,
            }),
        };
        self.done(outcome)
    }

    fn broken(self, kind: ErrorKind, trouble: Trouble) -> State {
        let task_id = self.task.clone();
        self.done(Outcome::Broken(Broken { task_id, kind, trouble }))
    }
}

impl Core {
    pub(super) fn retry_delay(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        self.policy.retry_delay(failures, asked, &mut self.dice)
    }
}

/// A task is taken to be gone after so many looks in a row that did not find it, over so long a time:
/// one answer may come from a replica that lags, or from a gateway that is being restarted.
const LOOKS_OF_A_MISSING_TASK: u32 = 3;
const SPAN_OF_A_MISSING_TASK: Duration = Duration::from_secs(60);

/// When a look that left then must have ended. One made within the wait ends with it, so that the
/// last look, made at the end of the wait, has a request's time of its own and ends in time,
/// also where a driver notices limits a little late. Whoever slept through all of that still
/// gets a whole last look.
pub(super) fn limit(sent: Time, core: &Core) -> Time {
    let timeout = core.policy.request_timeout;
    let (deadline, end) = (core.deadline(), core.deadline() + timeout);
    match sent {
        sent if sent < deadline => deadline.min(sent + timeout),
        sent if sent < end => end,
        sent => sent + timeout,
    }
}

/// Whether a look that left then was made at the end of the wait.
pub(super) fn is_last(sent: Time, core: &Core) -> bool {
    sent >= core.deadline()
}
