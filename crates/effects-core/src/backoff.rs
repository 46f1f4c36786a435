//! [`Backoff`]: waits that grow by a factor up to a limit, with jitter. [`Policy`](crate::Policy) has one
//! for the waits before a repeated exchange (`retry`), and [`Pace::Backoff`](crate::Pace) polls at such
//! intervals. Rust programs and the Python package (`Backoff`) set both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::seed::Rng;

/// A wait that starts at `first` and is multiplied by `factor` each time, up to `most`.
///
/// ```
/// use std::time::Duration;
/// use effects_core::Backoff;
///
/// let backoff = Backoff::default();
/// assert_eq!(backoff.longest(0), Duration::from_millis(500));
/// assert_eq!(backoff.longest(3), Duration::from_secs(4));
/// assert_eq!(backoff.longest(60), Duration::from_secs(8));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// What each wait is multiplied by to get the next; below 1 it counts as 1.
    pub factor: f64,
    /// The longest wait.
    pub most: Duration,
    /// The share of a wait that is left to chance, `0.0..=1.0`: with 0.5, a wait of 4 s takes 2 to
    /// 4 s. Chance keeps clients that failed together from returning together.
    pub jitter: f64,
}

impl Backoff {
    /// The wait after `failures` waits before it, without jitter.
    pub fn longest(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // Infinite, or not a number, once it has grown long enough.
        Duration::try_from_secs_f64(grown).unwrap_or(self.most).min(self.most)
    }

    pub(crate) fn draw(&self, failures: u32, rng: &mut Rng) -> Duration {
        let jitter = if self.jitter.is_nan() { 0.0 } else { self.jitter.clamp(0.0, 1.0) };
        let left_to_chance = jitter * rng.unit();
        let longest = self.longest(failures);
        Duration::try_from_secs_f64(longest.as_secs_f64() * (1.0 - left_to_chance))
            .unwrap_or(longest)
    }
}

/// 0.5 s doubling to 8 s, half of each wait left to chance.
impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            factor: 2.0,
            most: Duration::from_secs(8),
            jitter: 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn jitter_shortens_by_its_share_at_most() {
        let mut rng = Seed::from(1).rng();
        for failures in 0..40 {
            let backoff = Backoff::default();
            let drawn = backoff.draw(failures, &mut rng);
            let longest = backoff.longest(failures);
            assert!(drawn <= longest && drawn >= longest / 2, "{failures}: {drawn:?}");
        }
    }

    #[test]
    fn odd_settings_still_give_a_wait() {
        let odd = Backoff { factor: f64::NAN, jitter: f64::NAN, ..Backoff::default() };
        let drawn = odd.draw(9, &mut Seed::from(1).rng());
        assert!(drawn <= odd.most);
        let huge = Backoff { factor: 1e300, ..Backoff::default() };
        assert_eq!(huge.longest(u32::MAX), huge.most);
    }
}
