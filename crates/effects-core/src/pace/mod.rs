//! When to look next.

mod curve;
mod fit;
mod forecast;
mod history;
mod learned;
mod plan;
mod progress;
mod scale;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::seed::Dice;

pub use curve::{Curve, Eta};
pub use history::History;
pub use learned::{Learned, Model};
pub use progress::Progress;

/// How long to wait before each look at a running task.
///
/// A pace decides between looks that went well; after one that went wrong, the policy's
/// [`retry`](crate::Policy::retry) does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pace {
    /// The same wait before every look.
    Fixed(Duration),
    /// Waits that grow.
    Backoff(Backoff),
}

impl Pace {
    /// The same wait before every look.
    pub const fn fixed(interval: Duration) -> Self {
        Self::Fixed(interval)
    }

    /// Waits that grow from `first` by half each time, up to `most`.
    pub const fn backoff(first: Duration, most: Duration) -> Self {
        Self::Backoff(Backoff { first, factor: 1.5, most, jitter: 0.1 })
    }

    /// The wait before the next look, after `looks` that saw the task running.
    pub(crate) fn next(&self, looks: u32, dice: &mut Dice) -> Duration {
        match self {
            Self::Fixed(interval) => *interval,
            Self::Backoff(backoff) => backoff.draw(looks, dice),
        }
    }
}

/// 1 s, growing by half to 5 s.
impl Default for Pace {
    fn default() -> Self {
        Self::backoff(Duration::from_secs(1), Duration::from_secs(5))
    }
}
