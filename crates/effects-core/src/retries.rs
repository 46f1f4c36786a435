//! Repeating what costs nothing: uploads before a run, downloads after it.

use std::time::Duration;

use crate::error_kind::ErrorKind;
use crate::run::policy::Policy;
use crate::seed::{Dice, Seed};
use crate::time::Time;
use crate::wire::answer::kind_of;
use crate::wire::trouble::Trouble;

/// How often and how long to repeat an exchange that may be made any number of times.
#[derive(Clone, Debug)]
pub struct Retries {
    policy: Policy,
    dice: Dice,
    failures: u32,
    deadline: Time,
}

impl Retries {
    /// Repeats within one `wait_timeout` from now.
    pub fn new(policy: &Policy, seed: Seed, now: Time) -> Self {
        let deadline = now + policy.wait_timeout;
        Self { policy: policy.clone(), dice: seed.dice(), failures: 0, deadline }
    }

    /// The same, within this long from now.
    #[must_use]
    pub fn within(mut self, wait: Duration, now: Time) -> Self {
        self.deadline = now + wait;
        self
    }

    /// When to try again after this trouble; `None` when trying again would not help, or would come
    /// after the wait.
    pub fn next(&mut self, trouble: &Trouble, now: Time) -> Option<Time> {
        if !can_pass(trouble) {
            return None;
        }
        let asked = trouble.rejection().and_then(|rejection| rejection.retry_after);
        let until = now + self.policy.retry_delay(self.failures, asked, &mut self.dice);
        self.failures = self.failures.saturating_add(1);
        (until < self.deadline).then_some(until)
    }

    /// How often it was tried again.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

fn can_pass(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::NotSent { .. } | Trouble::Lost { .. } => true,
        Trouble::Unreadable { .. } => false,
        Trouble::Rejected(rejection) => {
            matches!(rejection.status, 408 | 500..=599)
                || kind_of(trouble) == ErrorKind::RateLimited
        }
    }
}
