//! [`CircuitBreaker`]: pauses a batch's submissions while the gateway refuses every one for now, none
//! leaves this machine, or the outcomes of many in a row are unknown; then one at a time goes as a probe.
//! It ends submitting for good when a probe's outcome is unknown, too, or the pauses last a whole wait.
//! `batch/queues.rs` asks it before each submission but those of `Batch::submit_at_once`. `Batch::outage`
//! gives the reason, an [`Outage`], to `JobMachine` and so to the clients, the command and Python.
//!
//! A submission of unknown outcome may be billed, and a person has to find out what became of it. So
//! after a few in a row none leaves for a while; then one goes as a probe. If its outcome is unknown
//! too, nothing more is submitted. A gateway that refuses every submission for now, or that none
//! reaches, is probed as well, with pauses that grow, until a whole wait has passed.

use std::fmt;
use std::time::Duration;

use crate::count::count_of;
use crate::error_kind::ErrorKind;
use crate::run::attempt_end::AttemptEnd;
use crate::run::policy::Policy;
use crate::time::Time;

/// Why a batch holds its submissions back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outage {
    /// What went wrong.
    pub failure: OutageFailure,
    /// Whether it is over for good: nothing more is submitted by this batch.
    pub is_final: bool,
}

/// What goes wrong with every submission.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OutageFailure {
    /// The outcomes of so many in a row are unknown.
    Unknown(u32),
    /// The gateway has been refusing each for now, for this long.
    Throttled(Duration),
    /// None leaves this machine: no connection, or a proxy that makes none.
    NotSent {
        /// For how long.
        time: Duration,
        /// Why the last one did not.
        reason: String,
    },
}

impl Outage {
    /// The kind of error that a submission held back for good ends with.
    pub fn kind(&self) -> ErrorKind {
        match self.failure {
            OutageFailure::Unknown(_) | OutageFailure::NotSent { .. } => ErrorKind::Transport,
            OutageFailure::Throttled(_) => ErrorKind::RateLimited,
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pause = PAUSE.as_secs();
        match (&self.failure, self.is_final) {
            (OutageFailure::Unknown(count), is_final) => {
                let (outcomes, are) =
                    if *count == 1 { ("outcome", "is") } else { ("outcomes", "are") };
                let submissions = count_of((*count).into(), "submission");
                write!(f, "the {outcomes} of {submissions} in a row {are} unknown")?;
                if is_final {
                    write!(
                        f,
                        ", the last one after a pause of {pause} s: nothing more is submitted"
                    )
                } else {
                    write!(
                        f,
                        ": none leaves for {pause} s, then one to see whether the gateway answers again"
                    )
                }
            }
            (OutageFailure::Throttled(time), false) => write!(
                f,
                "the gateway refuses every submission for now{}: one at a time is tried, with pauses \
                 that grow",
                Lasting(*time)
            ),
            (OutageFailure::Throttled(time), true) => write!(
                f,
                "the gateway has refused every submission for now, for {} s: nothing more is submitted",
                time.as_secs()
            ),
            (OutageFailure::NotSent { time, reason }, false) => write!(
                f,
                "no submission leaves this machine{} ({reason}): one at a time is tried, with pauses that \
                 grow",
                Lasting(*time)
            ),
            (OutageFailure::NotSent { time, reason }, true) => write!(
                f,
                "no submission has left this machine for {} s ({reason}): nothing more is submitted",
                time.as_secs()
            ),
        }
    }
}

/// For how long already, once that is a minute.
struct Lasting(Duration);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0..60 => Ok(()),
            seconds => write!(f, ", for {seconds} s already"),
        }
    }
}

/// Decides whether a submission may leave, by what became of those before it.
#[derive(Clone, Debug)]
pub(super) struct CircuitBreaker {
    /// Attempts of unknown outcome, attempts in a row that were not sent, and pauses for them or for
    /// refusals, since the last answer for good.
    unknown: u32,
    not_sent: u32,
    pauses: u32,
    /// When the first of those pauses began.
    paused_since: Time,
    /// No submission leaves before this time.
    until: Time,
    /// The attempt that is out, or was last, is a probe.
    probing: bool,
    outage: Option<Outage>,
}

/// Whether a submission may leave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Permission {
    /// It may.
    Granted,
    /// Not before this time, or before the probe that is out is answered.
    Later(Time),
    /// Never.
    Never(Outage),
}

impl CircuitBreaker {
    pub(super) fn new(now: Time) -> Self {
        Self {
            unknown: 0,
            not_sent: 0,
            pauses: 0,
            paused_since: now,
            until: now,
            probing: false,
            outage: None,
        }
    }

    /// What is wrong, if something is.
    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// Whether a submission may leave while `submitting` others are out; the one that is let through
    /// while something is wrong is the probe.
    pub(super) fn pass(&mut self, submitting: u32, now: Time) -> Permission {
        match &self.outage {
            None => Permission::Granted,
            Some(outage) if outage.is_final => Permission::Never(outage.clone()),
            Some(_) if now < self.until => Permission::Later(self.until),
            // Until the probe is answered nothing else leaves: each more may be billed and lost.
            Some(_) if submitting > 0 => Permission::Later(Time::MAX),
            Some(_) => {
                self.probing = true;
                Permission::Granted
            }
        }
    }

    /// When a submission that waits may leave, if time alone keeps it.
    pub(super) fn until(&self, now: Time) -> Option<Time> {
        // A final outage ends the queue at once; waiting for a time would not help.
        let held = self.outage.as_ref().is_some_and(|outage| !outage.is_final) && now < self.until;
        held.then_some(self.until)
    }

    /// An attempt to submit ended so; attempts count in the order of their ends.
    pub(super) fn note(&mut self, end: AttemptEnd, policy: &Policy, now: Time) {
        // An answer to an attempt that was still out does not reopen what is over for good.
        if self.outage.as_ref().is_some_and(|outage| outage.is_final) {
            return;
        }
        // Zero would hold back the first submission, which nothing speaks against.
        let limit = policy.unknown_in_a_row.max(1);
        match end {
            // One answer for good, also a refusal, shows that the gateway works.
            AttemptEnd::Answered => *self = Self::new(now),
            // A budget, its caller, a certificate or a recording kept it here: that says nothing of
            // the gateway.
            AttemptEnd::NotTried => {}
            AttemptEnd::Unknown => self.note_unknown(limit, now),
            AttemptEnd::RefusedForNow => {
                // A refusal for now is an answer: what went before it is over.
                (self.unknown, self.not_sent) = (0, 0);
                self.pause(OutageFailure::Throttled, policy.wait_timeout, now);
            }
            // A single one says nothing of the gateway.
            AttemptEnd::NotSent { reason } => {
                self.not_sent = self.not_sent.saturating_add(1);
                if self.not_sent >= limit {
                    let failure = |time| OutageFailure::NotSent { time, reason };
                    self.pause(failure, policy.wait_timeout, now);
                }
            }
        }
    }

    fn note_unknown(&mut self, limit: u32, now: Time) {
        // Each count is of attempts in a row, and an unknown outcome ends the rows of other kinds.
        (self.pauses, self.not_sent) = (0, 0);
        self.unknown = self.unknown.saturating_add(1);
        // A probe of another outage, throttled or not sent, whose outcome is unknown is only the
        // first of this kind.
        let failed_probe = std::mem::take(&mut self.probing) && self.unknown > limit;
        if failed_probe || self.unknown >= limit {
            // The pause begins once; attempts that were out with the last one do not lengthen it.
            if self.unknown == limit {
                self.until = now + PAUSE;
            }
            let failure = OutageFailure::Unknown(self.unknown);
            self.outage = Some(Outage { failure, is_final: failed_probe });
        }
    }

    /// Lets one at a time leave, after a pause; none at all once this has lasted for a whole wait.
    fn pause(
        &mut self,
        failure: impl FnOnce(Duration) -> OutageFailure,
        wait: Duration,
        now: Time,
    ) {
        if self.pauses == 0 {
            self.paused_since = now;
        }
        let time = now.since(self.paused_since);
        // The ends of attempts that had begun before the pause tell nothing new.
        if self.pauses == 0 || self.probing {
            self.pauses = self.pauses.saturating_add(1);
            // 2^16 s is far past the longest pause, and a shift by 32 or more would overflow.
            let pause = FIRST_PAUSE.saturating_mul(1 << (self.pauses - 1).min(16));
            self.until = now + pause.min(LONGEST_PAUSE);
        }
        self.probing = false;
        self.outage = Some(Outage { failure: failure(time), is_final: time >= wait });
    }
}

/// How long nothing leaves after too many unknown outcomes in a row.
const PAUSE: Duration = Duration::from_secs(30);
/// How long nothing leaves after a refusal for now, or where nothing can: the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
