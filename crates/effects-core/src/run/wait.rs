//! [`Waiting`]: the second phase of a [`Run`](super::Run), a state machine from the task's id to its end:
//! it polls at the pace, reports progress, and ends with the task or when the wait is over. Polls cost
//! nothing, so it goes on through every error that can pass. `Run` steps it, and `saved.rs` saves it.
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

use super::core::{Core, known};
use super::event::Event;
use super::outcome::{Broken, Detached, Outcome, StillRunning};
use super::policy::Policy;
use super::verdict::verdict;
use super::{Done, SleepReason, State, Step, Want};
use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, CallKind, Reply};
use crate::pace::{Curve, Label, Observation, PaceMoment, Progress};
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::answer::{Look, kind_of, lost, read_pushed};
use crate::wire::body::TaskDetail;
use crate::wire::exchange_error::ExchangeError;
use crate::wire::task::{Status, Task};

/// A task without a verdict. A batch holds a hundred thousand, so what most have nothing of lies beside it.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) task: TaskId,
    pub(super) label: Option<Label>,
    /// When the task was submitted, and whether that is known; until then, when it was attached.
    pub(super) submitted: Time,
    pub(super) submitted_known: bool,
    /// Until when the service may not know the task yet.
    pub(super) grace_until: Time,
    /// Looks that saw the task running.
    pub(super) looks: u32,
    /// When the latest look left that saw it running; [`Time::MAX`] if none did.
    pub(super) running: Time,
    /// What the task was last seen as.
    pub(super) status: Option<Status>,
    pub(super) progress: Option<f64>,
    /// The last two reports of progress, the older one first.
    pub(super) reports: [Option<SavedProgress>; 2],
    /// Whether the task was ever seen: the answer to the submission counts.
    pub(super) seen: bool,
    pub(super) problems: Option<Box<PollProblems>>,
    pub(super) phase: WaitPhase,
}

/// What went wrong with the looks at a task, or was odd. What is kept of an answer stays out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PollProblems {
    /// Looks that went wrong since the last one that saw the task.
    pub(super) failures: u32,
    /// The unknown status word that was reported.
    pub(super) reported_status: Option<Status>,
    /// What went wrong with the latest look.
    pub(super) error: Option<ExchangeError>,
    /// The looks that did not find the task, since it was last seen.
    pub(super) missing: Option<Missing>,
    /// The statuses of refused looks that were reported.
    pub(super) reported_refusals: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum WaitPhase {
    /// A look is due at this time.
    Due { at: Time, why: WaitReason },
    /// A look is out; `last` says that it was made at the end of the wait.
    Out {
        call: CallId,
        #[serde(default)]
        sent: Time,
        limit: Time,
        last: bool,
    },
}

/// [`SleepReason`], as far as it can be saved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum WaitReason {
    Pace,
    Retry,
    Throttle,
}

impl From<WaitReason> for SleepReason {
    fn from(reason: WaitReason) -> Self {
        match reason {
            WaitReason::Pace => Self::Pace,
            WaitReason::Retry => Self::Retry,
            WaitReason::Throttle => Self::Throttle,
        }
    }
}

/// Looks that did not find the task.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Missing {
    /// When the first of them was answered.
    since: Time,
    looks: u32,
}

/// A [`Progress`], as it is saved.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SavedProgress {
    age_millis: u32,
    done: f32,
}

impl SavedProgress {
    fn new(age: Duration, done: f64) -> Self {
        Self { age_millis: u32::try_from(age.as_millis()).unwrap_or(u32::MAX), done: done as f32 }
    }
}

impl From<SavedProgress> for Progress {
    fn from(report: SavedProgress) -> Self {
        let age = Duration::from_millis(report.age_millis.into());
        Self { age, done: report.done.into() }
    }
}

impl Waiting {
    /// A task submitted before: the first look is due at once.
    pub(super) fn attached(task: TaskId, label: Option<Label>, core: &Core) -> Self {
        Self {
            task,
            label,
            submitted: core.now,
            submitted_known: false,
            grace_until: core.now + core.policy.not_found_grace,
            looks: 0,
            running: Time::MAX,
            status: None,
            progress: None,
            reports: [None; 2],
            seen: false,
            problems: None,
            phase: WaitPhase::Due { at: core.now, why: WaitReason::Pace },
        }
    }

    /// A task just submitted.
    pub(super) fn created(task: &Task, label: Option<Label>, core: &Core) -> Self {
        let mut created = Self::attached(task.id.clone(), label, core);
        // The answer that named the task is a sight of it, so a later 404 does not mean that
        // there is none.
        (created.seen, created.submitted_known) = (true, true);
        created
    }

    /// The state it is restored in: a look in flight is made again.
    pub(super) fn restored(mut self, now: Time) -> State {
        if let WaitPhase::Out { .. } = self.phase {
            self.phase = WaitPhase::Due { at: now, why: WaitReason::Pace };
        }
        State::Waiting(self)
    }

    pub(super) fn submitted_at(&mut self, submitted: Time, policy: &Policy) {
        (self.submitted, self.submitted_known) = (submitted, true);
        self.grace_until = submitted + policy.not_found_grace;
    }

    pub(super) fn task_id(&self) -> &TaskId {
        &self.task
    }

    /// Whether the service has shown the task, or its submission is on record, and the last look did not
    /// miss it.
    pub(super) fn is_shown(&self) -> bool {
        let error = self.problems.as_ref().and_then(|problems| problems.error.as_ref());
        (self.seen || self.submitted_known) && !error.is_some_and(ExchangeError::is_not_found)
    }

    /// What the pace learns from this task if the run stops looking now.
    pub(super) fn observation(&self) -> Option<Observation> {
        // An age that is not known teaches the pace nothing.
        let running = known(self.running).filter(|_| self.submitted_known)?;
        Some(Observation::Running { age: running.since(self.submitted) })
    }

    /// The chance that the task has ended since it was last seen running.
    pub(super) fn chance(&self, now: Time, curve: &Curve) -> f64 {
        // A task never seen running may have ended at any time since its submission.
        let running = known(self.running).map_or(Duration::ZERO, |sent| sent.since(self.submitted));
        curve.chance(running, now.since(self.submitted))
    }

    pub(super) fn want(&self, now: Time, core: &Core) -> Want {
        let deadline = core.deadline();
        match self.phase {
            WaitPhase::Out { limit, .. } if now < limit => Want::Sleep(limit),
            // Past its limit the poll is booked as lost, which takes a step.
            WaitPhase::Out { .. } => Want::Step,
            WaitPhase::Due { .. } if is_over(now, core) => Want::Step,
            // The task may have ended since the last look, and the picture is paid for.
            WaitPhase::Due { .. } if now >= deadline => Want::LastPoll,
            // The sleep never passes the deadline, where the last poll is due.
            WaitPhase::Due { at, .. } if now < at => Want::Sleep(at.min(deadline)),
            WaitPhase::Due { .. } => Want::Poll,
        }
    }

    pub(super) fn awaits(&self, id: CallId) -> bool {
        matches!(self.phase, WaitPhase::Out { call, .. } if call == id)
    }

    /// The sleep it is in, unless it is over.
    pub(super) fn rest(&self, core: &Core) -> Option<Step> {
        let why = match self.phase {
            WaitPhase::Out { .. } => SleepReason::InFlight,
            WaitPhase::Due { why, .. } => why.into(),
        };
        match self.want(core.now, core) {
            Want::Sleep(until) if !core.is_detaching() => Some(Step::Sleep { until, why }),
            _ => None,
        }
    }

    /// The next state, if its wait ends here, and the step to hand out, if there is one already.
    pub(super) fn step(&mut self, core: &mut Core) -> (Option<State>, Option<Step>) {
        // A look can be dropped at any moment: it costs nothing and can be made again.
        if core.is_detaching() {
            let (task_id, is_shown) = (Some(self.task.clone()), self.is_shown());
            let is_replayed = core.policy.is_replay;
            let left = Detached { task_id, is_shown, is_replayed };
            return (Some(self.done(Outcome::Detached(left))), None);
        }
        match self.phase {
            WaitPhase::Out { .. } => {
                (self.again(lost("no answer within the request timeout"), true, core), None)
            }
            WaitPhase::Due { .. } if is_over(core.now, core) => {
                let error = self.problems.take().and_then(|problems| problems.error);
                (Some(self.over(error, core)), None)
            }
            WaitPhase::Due { .. } => {
                let call = self.look(core);
                (None, Some(Step::Send(call)))
            }
        }
    }

    /// What a look brought: the next state, if its wait ends here.
    pub(super) fn reply(&mut self, reply: Reply<'_>, core: &mut Core) -> Option<State> {
        let asked = reply.retry_after();
        match Look::read(&self.task, reply, TaskDetail::State) {
            Look::Seen(task) => {
                // The age comes first, since `seen` paces the next poll by it.
                self.date(&task, reply, core.now);
                self.seen(&task, asked, reply, core)
            }
            // The task is not in danger: it is followed as soon as the setting is right.
            Look::Again(error @ ExchangeError::Untrusted { .. }) if !self.seen => {
                Some(self.broken(ErrorKind::Transport, error, core))
            }
            Look::Again(error) => self.again(error, true, core),
            // The page of a proxy in between comes with each look: it is reported once, and the task
            // goes on.
            Look::Refused(_, error) => {
                let reported = &mut self.problems.get_or_insert_default().reported_refusals;
                let first = error.status().is_none_or(|status| !reported.contains(&status));
                reported.extend(error.status().filter(|_| first));
                self.again(error, first, core)
            }
            // A new task may not have reached the place that is asked, and a replica may not know
            // it yet.
            Look::NotFound(error) => {
                if core.now >= self.grace_until && self.is_gone(core.now) {
                    return Some(self.broken(ErrorKind::TaskNotFound, error, core));
                }
                self.again(error, true, core)
            }
            Look::Barred(kind, error) => Some(self.broken(kind, error, core)),
        }
    }

    /// A state of the task that came by itself: as a look that left and was answered now. One that is
    /// out goes on.
    pub(super) fn observed(&mut self, reply: Reply<'_>, core: &mut Core) -> Option<State> {
        let task = read_pushed(&self.task, reply)?;
        let before = self.phase;
        // Sets the phase of a poll that leaves now, by which `seen` counts; the call itself is not
        // made.
        self.look(core);
        self.date(&task, reply, core.now);
        let end = self.seen(&task, None, reply, core);
        if end.is_none() && matches!(before, WaitPhase::Out { .. }) {
            // The look that is out is still answered, and may know more.
            self.phase = before;
        }
        end
    }

    /// Counts one more look that did not find the task; whether they were enough, over a time long
    /// enough, to believe that there is none.
    fn is_gone(&mut self, now: Time) -> bool {
        let problems = self.problems.get_or_insert_default();
        let missing = problems.missing.get_or_insert(Missing { since: now, looks: 0 });
        missing.looks = missing.looks.saturating_add(1);
        missing.looks >= LOOKS_OF_A_MISSING_TASK
            && now.since(missing.since) >= SPAN_OF_A_MISSING_TASK
    }

    /// Takes the time of the submission from the service if the run does not know it. Clocks differ
    /// between machines, so the age counts by the service's own as far as it shows that.
    fn date(&mut self, task: &Task, reply: Reply<'_>, now: Time) {
        // A task that was submitted elsewhere: without its age the pace would begin at the
        // beginning.
        if let Some(created) = task.created_at.filter(|_| !self.submitted_known) {
            let age = reply.date().unwrap_or(now).since(created);
            (self.submitted, self.submitted_known) = (now - age, true);
        }
    }

    /// The task was seen: the verdict, or when to look again, but not before the time the service
    /// `asked` for.
    pub(super) fn seen(
        &mut self,
        task: &Task,
        asked: Option<Duration>,
        reply: Reply<'_>,
        core: &mut Core,
    ) -> Option<State> {
        if let Some(outcome) = verdict(&self.task, task, core) {
            return Some(self.ended(outcome.shown_by(reply), core.now));
        }
        if let Some(problems) = &mut self.problems {
            // `reported_status` and `reported_refusals` stay: what was reported once is not reported again.
            (problems.failures, problems.error, problems.missing) = (0, None, None);
            self.problems.take_if(|problems| **problems == PollProblems::default());
        }
        if let Some(word @ Status::Unknown(_)) = &task.status {
            let reported = &mut self.problems.get_or_insert_default().reported_status;
            if reported.as_ref() != Some(word) {
                *reported = Some(word.clone());
                core.queue_event(Event::UnknownStatus {
                    task_id: self.task.clone(),
                    word: word.clone(),
                });
            }
        }
        let age = core.now.since(self.submitted);
        self.seen = true;
        self.status.clone_from(&task.status);
        // A look without progress does not take back what an earlier one said.
        self.progress = task.progress.or(self.progress);
        let curve = core.curve(self.label.as_ref());
        // The answer to the submission is no poll: it shows nothing of how long the task takes.
        if let WaitPhase::Out { sent, .. } = self.phase {
            self.looks = self.looks.saturating_add(1);
            // The time that the look left: when it was answered, the task may have been over.
            self.running = sent;
            if let Some(done) = task.progress {
                self.reports = [self.reports[1], Some(SavedProgress::new(age, done))];
            }
            core.queue_event(Event::Running {
                task_id: self.task.clone(),
                status: task.status.clone(),
                progress: self.progress,
                age,
                eta: curve.as_ref().and_then(|curve| curve.eta(age)),
            });
        }
        if self.is_last() {
            return Some(self.over(None, core));
        }
        // The one at the end of the wait has no successor, so the pace is asked after it.
        let (wait, why) = self.next_look(age, asked, curve.as_deref(), core);
        self.phase = WaitPhase::Due { at: core.now + wait, why };
        None
    }

    /// How long to wait for the next look, and why: what the service asks for wins over the pace.
    fn next_look(
        &self,
        age: Duration,
        asked: Option<Duration>,
        curve: Option<&Curve>,
        core: &mut Core,
    ) -> (Duration, WaitReason) {
        let reports = match self.reports {
            [Some(before), Some(last)] => &[before.into(), last.into()][..],
            // One report alone has no pace to go on at.
            _ => &[],
        };
        let moment = PaceMoment { looks: self.looks, age, reports, curve };
        let pace = core.policy.pace.next(&moment, &mut core.rng);
        match asked.map(|asked| asked.min(core.policy.retry_after_most)) {
            // A service that asks for a longer pause is obeyed, up to the policy's most: a wrong
            // header must not use the wait up.
            Some(asked) if asked > pace => (asked, WaitReason::Throttle),
            _ => (pace, WaitReason::Pace),
        }
    }

    /// A look, or the answer to the submission, showed the end.
    fn ended(&mut self, outcome: Outcome, now: Time) -> State {
        let first_ended = now.since(self.submitted);
        let last_running = known(self.running).map(|sent| sent.since(self.submitted));
        // The first look at a task that ran unwatched says next to nothing.
        let watched = self.seen && matches!(self.phase, WaitPhase::Out { .. });
        let observation = (watched && self.submitted_known)
            .then_some(Observation::Ended { last_running, first_ended });
        self.done_with(outcome, observation)
    }

    /// The watch is over, the task is not as far as is known.
    fn done(&mut self, outcome: Outcome) -> State {
        let observation = self.observation();
        self.done_with(outcome, observation)
    }

    fn done_with(&mut self, outcome: Outcome, observation: Option<Observation>) -> State {
        let label = self.label.take();
        State::Done(Box::new(Done { outcome, label, observation }))
    }

    fn look(&mut self, core: &mut Core) -> Call {
        let (call, sent, limit) = (core.call(), core.now, limit(core.now, core));
        self.phase = WaitPhase::Out { call, sent, limit, last: sent >= core.deadline() };
        let kind = CallKind::Poll { task: self.task.clone() };
        let headers = core.policy.headers.clone();
        Call { id: call, kind, timeout: limit.since(sent), limit, headers }
    }

    /// Whether the look that is out was made at the end of the wait.
    fn is_last(&self) -> bool {
        matches!(self.phase, WaitPhase::Out { last: true, .. })
    }

    /// A look went wrong in a way that can pass; whether to report it.
    fn again(&mut self, error: ExchangeError, report: bool, core: &mut Core) -> Option<State> {
        let last = self.is_last();
        let asked = error.rejection().and_then(|rejection| rejection.retry_after);
        if last {
            // No poll follows the last one, so its error comes with the end.
            return Some(self.over(Some(error), core));
        }
        let problems = self.problems.get_or_insert_default();
        // Of a response up to some kilobytes are kept, and a batch holds a hundred thousand waiting
        // runs.
        problems.error = Some(error.clone().without_response());
        let until = core.now + core.retry_delay(problems.failures, asked);
        // A long back-off does not put the last poll off.
        let after = until.min(core.deadline()).since(core.now);
        problems.failures = problems.failures.saturating_add(1);
        let throttled = kind_of(&error) == ErrorKind::RateLimited;
        let why = if throttled { WaitReason::Throttle } else { WaitReason::Retry };
        self.phase = WaitPhase::Due { at: core.now + after, why };
        if report {
            core.queue_event(Event::Retrying { task_id: Some(self.task.clone()), error, after });
        }
        None
    }

    /// The wait is over, with this error at the latest look. Of a task that was seen, or whose
    /// submission is on record, it can be said that it is still running.
    fn over(&mut self, error: Option<ExchangeError>, core: &Core) -> State {
        let (task_id, is_replayed) = (self.task.clone(), core.policy.is_replay);
        let outcome = match error {
            Some(error) if !self.seen && !self.submitted_known => {
                // No answer ever showed the task, so it may not exist: to call it still running
                // would be a guess.
                Outcome::Broken(Broken { task_id, kind: kind_of(&error), error, is_replayed })
            }
            error => Outcome::StillRunning(StillRunning {
                task_id,
                status: self.status.clone(),
                progress: self.progress,
                waited: core.now.since(core.began()),
                error,
                is_replayed,
            }),
        };
        self.done(outcome)
    }

    fn broken(&mut self, kind: ErrorKind, error: ExchangeError, core: &Core) -> State {
        let (task_id, is_replayed) = (self.task.clone(), core.policy.is_replay);
        self.done(Outcome::Broken(Broken { task_id, kind, error, is_replayed }))
    }
}

impl Core {
    pub(super) fn retry_delay(&mut self, failures: u32, asked: Option<Duration>) -> Duration {
        self.policy.retry_delay(failures, asked, &mut self.rng)
    }
}

/// A task is taken to be gone after so many looks in a row that did not find it, over so long a time:
/// one answer may come from a replica that lags, or from a gateway that is being restarted.
const LOOKS_OF_A_MISSING_TASK: u32 = 3;
const SPAN_OF_A_MISSING_TASK: Duration = Duration::from_secs(60);

/// Whether the wait is over and no look is to be made any more, the last one included.
fn is_over(now: Time, core: &Core) -> bool {
    now >= core.end() || (now >= core.deadline() && core.last_look().is_zero())
}

/// When a look that left then must have ended. One made within the wait ends with it, so that the
/// last look, made at the end of the wait or after a submission that took all of it, has a time of its
/// own. A machine that slept through that end may have to connect anew: its last look may take as long
/// as any. None outlasts a deadline.
fn limit(sent: Time, core: &Core) -> Time {
    let (deadline, timeout) = (core.deadline(), core.policy.request_timeout);
    let limit = match sent {
        sent if sent < deadline => deadline.min(sent + timeout),
        sent if sent < deadline + timeout => sent + core.last_look(),
        sent => sent + timeout,
    };
    limit.min(core.end())
}
