//! [`Policy`]: the settings of a run: how often it polls, how long it waits, when all must be over
//! ([`Deadline`]), and which submissions are repeated ([`Repeat`]). Users set them with a client's
//! `ClientBuilder` or for single calls, with options of the command, or in Python (`NativePolicy`). `Run`,
//! `Batch`, job machines, uploads, downloads and single polls go by them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::gateway::origin::BaseUrl;
use crate::gateway::request_headers::RequestHeaders;
use crate::pace::Pace;
use crate::seed::Rng;
use crate::time::Time;

/// How a run behaves: plain data, compared, saved and sent like any other.
///
/// ```
/// use std::time::Duration;
/// use effects_core::{Pace, Policy};
///
/// let policy = Policy {
///     pace: Pace::fixed(Duration::from_secs(3)),
///     wait_timeout: Duration::from_secs(60),
///     ..Policy::default()
/// };
/// assert_eq!(policy.request_timeout, Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Policy {
    /// When to look at a running task.
    pub pace: Pace,
    /// How long to wait before repeating what went wrong.
    pub retry: Backoff,
    /// Which submissions may be repeated.
    pub repeat: Repeat,
    /// The longest one exchange may take, from its first byte to its last.
    pub request_timeout: Duration,
    /// How long one run is watched, from its first step, waiting for throttles included. The last
    /// look at its end may add one [`last_look`](Self::last_look), and a submission that is under way by
    /// then, whose answer names a task that is paid for, one `request_timeout` before that.
    pub wait_timeout: Duration,
    /// How long the last look at the end of the wait may take, which comes on top of the wait: 5
    /// seconds, and never more than a `request_timeout`. With zero there is no such look, and a picture
    /// that was made since the look before it is found by the next wait.
    pub last_look: Duration,
    /// When all of it must be over: the uploads, the submission, the wait with its last look, and the
    /// downloads together. Nothing is submitted after it. A submission that is under way by then is
    /// awaited all the same, for one `request_timeout` at most: its answer names a task that is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// How long a run that submits, or an upload before one, goes on without any answer at all from the
    /// gateway, counted as `wait_timeout` is; a minute. Once there is a task, `wait_timeout` alone
    /// counts. Many jobs at once wait for a gateway as long as that, and do not end by this.
    pub first_answer_timeout: Duration,
    /// How long after its submission a task may still be unknown to the service (HTTP 404). After
    /// that it is taken to be gone once three looks in a row, over at least a minute, did not find it.
    pub not_found_grace: Duration,
    /// The longest `Retry-After` that is believed; a longer one counts as this.
    pub retry_after_most: Duration,
    /// The gateway, against which a link to a picture is resolved that is not whole (`/files/a.png`,
    /// `//host/a.png`); without one, such a link is none. A client fills in its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<BaseUrl>,
    /// Whether the gateway is a recording that is replayed: then the ends of a run say that nothing is paid
    /// and no task goes on. A client fills it in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replay: bool,
    /// Headers of the caller's own, on each request to the gateway. They are not written down with the
    /// rest: their values may be secrets.
    #[serde(skip)]
    pub headers: RequestHeaders,
    /// How many submissions in a row may be of unknown outcome before a batch pauses for half a
    /// minute and then sends one as a probe; if its outcome is unknown too, the batch submits
    /// nothing more. As many in a row that could not leave this machine make it try one at a time.
    /// At least 1.
    pub unknown_in_a_row: u32,
}

impl Policy {
    /// The policy of one among many jobs: a gateway that does not answer is waited for.
    pub fn for_batch(&self) -> Self {
        Self { first_answer_timeout: Duration::MAX, ..self.clone() }
    }

    /// The same policy for one call that begins now, whose parts share one deadline.
    ///
    /// ```
    /// use std::time::Duration;
    /// use effects_core::{Deadline, Policy, Time};
    ///
    /// let minute = Deadline::after(Duration::from_secs(60));
    /// let policy = Policy { deadline: Some(minute), ..Policy::default() };
    /// let (begun, later) = (Time::from_millis(1_000), Time::from_millis(40_000));
    /// let call = policy.anchored(begun);
    /// assert_eq!(call.ends_by(later), Time::from_millis(61_000));
    /// ```
    #[must_use]
    pub fn anchored(&self, now: Time) -> Self {
        Self { deadline: self.deadline.map(|deadline| deadline.begun(now)), ..self.clone() }
    }

    /// When something must be over that began then; never, without a deadline.
    pub fn ends_by(&self, began: Time) -> Time {
        self.deadline.map_or(Time::MAX, |deadline| deadline.begun.unwrap_or(began) + deadline.after)
    }

    /// The latest that something may be submitted or its wait end that began then: a moment before the
    /// deadline, so that the last look has that.
    pub(crate) fn waits_until(&self, began: Time) -> Time {
        let Some(deadline) = self.deadline else { return Time::MAX };
        // A short deadline gives up an eighth of itself; without a last look nothing is held back
        // for it.
        let last = LAST_LOOK_BEFORE_DEADLINE.min(deadline.after / 8).min(self.last_look);
        self.ends_by(began) - last
    }

    /// The wait before the next attempt: our own back-off, or what the service asked for if that is
    /// longer, up to what is believed.
    pub(crate) fn retry_delay(
        &self,
        failures: u32,
        asked: Option<Duration>,
        rng: &mut Rng,
    ) -> Duration {
        let own = self.retry.draw(failures, rng);
        own.max(asked.unwrap_or_default().min(self.retry_after_most))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            retry: Backoff::default(),
            repeat: Repeat::default(),
            request_timeout: Duration::from_secs(30),
            wait_timeout: Duration::from_secs(600),
            last_look: Duration::from_secs(5),
            deadline: None,
            first_answer_timeout: Duration::from_secs(60),
            not_found_grace: Duration::from_secs(15),
            retry_after_most: Duration::from_secs(60),
            gateway: None,
            is_replay: false,
            headers: RequestHeaders::default(),
            unknown_in_a_row: 3,
        }
    }
}

/// When all of a call must be over.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deadline {
    after: Duration,
    /// Where it is not said, each part of a call counts for itself.
    begun: Option<Time>,
}

impl Deadline {
    /// So long after the call begins.
    pub fn after(span: Duration) -> Self {
        Self { after: span, begun: None }
    }

    /// The same of a call that began then, unless it is that of one that began before.
    #[must_use]
    pub fn begun(self, at: Time) -> Self {
        Self { begun: self.begun.or(Some(at)), ..self }
    }

    /// How long it is from the beginning of the call.
    pub fn span(self) -> Duration {
        self.after
    }
}

/// How long before a deadline the last look is made. A look usually takes a fraction of that.
const LAST_LOOK_BEFORE_DEADLINE: Duration = Duration::from_secs(1);

/// Which submissions may be repeated. A submission costs money and the service promises no
/// idempotency, so this is the caller's to decide and [`Safe`](Self::Safe) unless they do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    /// None, ever.
    Never,
    /// Those that provably made no task: what never left this machine, and what the service
    /// refused for now: 425 and 429, as the status or inside a success, and a 503 whose JSON carries
    /// a code of too many requests.
    #[default]
    Safe,
    /// Those whose fate is unknown too. A lost answer may then be paid for twice.
    Always,
}
