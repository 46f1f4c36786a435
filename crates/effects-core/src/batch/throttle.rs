//! [`Throttle`]: slows all runs of a `Batch` down when the service refuses one for now (a 429, or a 503
//! with `Retry-After`; a 503 without is a breakdown): all pause, and the share of the full rate that is
//! used is halved and recovers in minutes. `Batch::reply` reports refusals to it; `batch/queues.rs` asks it
//! how many submissions and polls may leave.

use std::time::Duration;

use crate::time::Time;

/// A pause and a rate: one refusal for now pauses all, and halves the rate, which recovers slowly.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    until: Time,
    /// The share of the full rate that is used, `LEAST..=1.0`, as of `since`.
    share: f64,
    since: Time,
    /// When the rate was last halved: the answers to calls that had left by then tell nothing new.
    halved: Option<Time>,
    /// Polls that may leave now, and when that was worked out.
    tokens: f64,
    filled: Time,
}

impl Throttle {
    pub(super) fn new(now: Time) -> Self {
        Self {
            until: now,
            share: 1.0,
            since: now,
            halved: None,
            // The first poll of a batch leaves at once.
            tokens: 1.0,
            filled: now,
        }
    }

    /// The service refused for now.
    pub(super) fn refused(&mut self, pause: Duration, now: Time) {
        self.until = self.until.max(now + pause);
        // Fifty refusals of one moment are one message, and must not halve the rate fifty times.
        if self.halved.is_none_or(|halved| now.since(halved) >= HALVING_EVERY) {
            self.share = (self.share(now) / 2.0).max(LEAST);
            self.since = now;
            self.halved = Some(now);
        }
    }

    /// Until when nothing is sent, but for what cannot wait.
    pub(super) fn until(&self) -> Time {
        self.until
    }

    pub(super) fn share(&self, now: Time) -> f64 {
        (self.share + now.since(self.since).as_secs_f64() * RECOVERY).min(1.0)
    }

    /// A width, as far as it may be used now; never nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.0..=u32::MAX")]
    pub(super) fn width(&self, full: u32, now: Time) -> u32 {
        ((f64::from(full) * self.share(now)) as u32).max(1)
    }

    /// How many polls may leave now, one after the other; and, if none, when to ask again.
    pub(super) fn polls(&mut self, polls_per_second: f64, now: Time) -> Result<f64, Time> {
        let rate = (polls_per_second * self.share(now)).max(LEAST);
        // Polls that were not used are not saved up: after a pause they would leave in one burst.
        let full = (rate * BURST.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(full);
        self.filled = now;
        if self.tokens >= 1.0 {
            return Ok(self.tokens);
        }
        // A millisecond more than needed, since times are whole ones.
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / rate);
        Err(now + wait + Duration::from_millis(1))
    }

    /// One poll leaves. Where it had to although none might, those after it wait the longer.
    pub(super) fn spend_poll(&mut self) {
        self.tokens = (self.tokens - 1.0).max(-MAX_POLL_DEBT);
    }
}

/// Refusals closer together than this are one message.
const HALVING_EVERY: Duration = Duration::from_secs(1);
/// The smallest share of the full rate, and the smallest rate a second.
const LEAST: f64 = 1.0 / 64.0;
/// The share of the full rate that comes back each second: a minute from half to full.
const RECOVERY: f64 = 1.0 / 120.0;
/// The most polls that are made up for later.
const MAX_POLL_DEBT: f64 = 10.0;
/// How much of a second's polls may leave at once.
const BURST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_pauses_and_halves_once_and_the_rate_comes_back_slowly() {
        // A clock may begin anywhere.
        for start in [0, 999, 1_000_000].map(Time::from_millis) {
            refused_fifty_times_at(start);
        }
    }

    fn refused_fifty_times_at(start: Time) {
        let mut throttle = Throttle::new(start);
        for _ in 0..50 {
            throttle.refused(Duration::from_secs(7), start);
        }
        assert_eq!(throttle.until(), start + Duration::from_secs(7));
        assert_eq!(throttle.width(16, start), 8);
        assert_eq!(throttle.width(16, start + Duration::from_secs(30)), 12);
        assert_eq!(throttle.width(16, start + Duration::from_secs(600)), 16);
        // Halved each second, which outruns the recovery; the width still lets one leave.
        for second in 0..100 {
            throttle.refused(Duration::from_secs(1), start + Duration::from_secs(second));
        }
        assert_eq!(throttle.width(16, start + Duration::from_secs(99)), 1);
    }

    #[test]
    fn polls_leave_at_their_rate() {
        let start = Time::from_millis(0);
        let (mut throttle, mut now, mut polls) = (Throttle::new(start), start, 0);
        while now.since(start) < Duration::from_secs(10) {
            match throttle.polls(20.0, now) {
                Ok(_) => {
                    throttle.spend_poll();
                    polls += 1;
                }
                Err(until) => now = until,
            }
        }
        // 20 a second for 10 s make 200; waits in whole milliseconds lose some, the burst at first
        // adds some.
        assert!((190..=205).contains(&polls), "{polls}");
    }
}
