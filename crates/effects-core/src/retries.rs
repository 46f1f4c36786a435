//! [`Retries`]: decides when to repeat an exchange that costs nothing, and when to give it up, by the
//! error, the service's `Retry-After` and the back-off and time limits of the `Policy`. Both clients repeat
//! uploads and single polls by it, and `Download` of `effects-jobs` repeats downloads.

use std::time::Duration;

use crate::error_kind::ErrorKind;
use crate::run::policy::Policy;
use crate::seed::{Rng, Seed};
use crate::time::Time;
use crate::wire::answer::kind_of;
use crate::wire::exchange_error::ExchangeError;

/// How often and how long to repeat an exchange that may be made any number of times.
#[derive(Clone, Debug)]
pub struct Retries {
    policy: Policy,
    rng: Rng,
    failures: u32,
    deadline: Time,
    /// When the policy's deadline is over.
    end: Time,
    /// When it ends unless something was answered until then.
    unanswered_until: Time,
}

impl Retries {
    /// Repeats within one `wait_timeout` from now.
    pub fn new(policy: &Policy, seed: Seed, now: Time) -> Self {
        Self {
            policy: policy.clone(),
            rng: seed.rng(),
            failures: 0,
            deadline: now + policy.wait_timeout,
            end: policy.ends_by(now),
            unanswered_until: Time::MAX,
        }
    }

    /// The same, within this long from now.
    #[must_use]
    pub fn within(mut self, wait: Duration, now: Time) -> Self {
        self.deadline = now + wait;
        self
    }

    /// The same, and ends after the policy's `first_answer_timeout` if nothing is answered until then.
    #[must_use]
    pub fn if_answered(mut self, now: Time) -> Self {
        self.unanswered_until = now + self.policy.first_answer_timeout;
        self
    }

    /// When to try again after this error; `None` when trying again would not help, or would come
    /// after the wait.
    pub fn next(&mut self, error: &ExchangeError, now: Time) -> Option<Time> {
        if !can_pass(error) {
            return None;
        }
        let asked = error.rejection().and_then(|rejection| rejection.retry_after);
        if error.status().is_some() {
            // The gateway is there: from here on the whole wait counts.
            self.unanswered_until = Time::MAX;
        }
        let until = now + self.policy.retry_delay(self.failures, asked, &mut self.rng);
        self.failures = self.failures.saturating_add(1);
        (until < self.deadline.min(self.end).min(self.unanswered_until)).then_some(until)
    }

    /// The longest an exchange may take that leaves now: one `request_timeout`, and no longer than to
    /// the policy's deadline.
    pub fn time_for_exchange(&self, now: Time) -> Duration {
        self.policy.request_timeout.min(self.end.since(now))
    }

    /// Whether the policy's deadline is over, so that nothing is tried any more.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.end
    }

    /// How often it was tried again.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

fn can_pass(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::NotSent { .. } | ExchangeError::Lost { .. } => true,
        ExchangeError::Untrusted { .. }
        | ExchangeError::NotRecorded { .. }
        | ExchangeError::Unreadable { .. } => false,
        ExchangeError::Rejected(rejection) => {
            matches!(rejection.status, 408 | 500..=599) || kind_of(error) == ErrorKind::RateLimited
        }
    }
}
