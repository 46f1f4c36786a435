//! [`Pace`]: how long to wait before each poll of a running task: a fixed time, a growing one, or one
//! learnt from earlier tasks. Users choose it in a [`Policy`](crate::Policy), and each run waits by it. For
//! the learnt one, a client's [`Pacer`] (`pacer.rs`) learns from its runs and makes their [`Curve`]s
//! (`curve.rs`); [`Models`] (`models.rs`) is what is saved of that.

mod curve;
mod fit;
mod forecast;
mod history;
mod label;
mod learned;
mod model;
mod models;
mod observation;
mod pacer;
mod plan;
mod progress;
mod scale;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::seed::Rng;

pub use curve::{Curve, Eta};
pub use history::{Histories, History};
pub use label::{InvalidLabel, Label};
pub use learned::Learned;
pub use model::Model;
pub use models::Models;
pub use observation::Observation;
pub use pacer::Pacer;
pub use progress::Progress;

/// How long to wait before each look at a running task.
///
/// A pace decides between looks that went well; after one that went wrong, the policy's
/// [`retry`](crate::Policy::retry) does. A `Retry-After` beside a good look is waited out whatever
/// the pace says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pace {
    /// The same wait before every look.
    Fixed(Duration),
    /// Waits that grow.
    Backoff(Backoff),
    /// Looks where endings are, as learnt from tasks of the same kind: the run is given a
    /// [`Curve`] ([`Run::paced_by`](crate::Run::paced_by)); one without goes by the curve of an empty history.
    Learned(Learned),
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

    /// Looks where endings are, and no more of them than every three seconds would make.
    pub const fn learned() -> Self {
        Self::Learned(Learned::DEFAULT)
    }

    /// The wait before the next look.
    pub(crate) fn next(&self, moment: &PaceMoment<'_>, rng: &mut Rng) -> Duration {
        let PaceMoment { looks, age, reports, curve } = *moment;
        match self {
            Self::Fixed(interval) => *interval,
            Self::Backoff(backoff) => backoff.draw(looks, rng),
            Self::Learned(settings) => match curve {
                Some(curve) => curve.next_look_with_progress(age, rng.unit(), reports),
                // An empty history has no fit to make, so a curve for one look costs little.
                None => History::new().curve(settings).next_look(age, rng.unit()),
            },
        }
    }
}

/// What a pace goes by.
#[derive(Debug)]
pub(crate) struct PaceMoment<'a> {
    /// Looks that saw the task running.
    pub(crate) looks: u32,
    /// Its age.
    pub(crate) age: Duration,
    /// The progress it reported lately, oldest first.
    pub(crate) reports: &'a [Progress],
    /// What is known of its kind.
    pub(crate) curve: Option<&'a Curve>,
}

/// [`Pace::learned`].
impl Default for Pace {
    fn default() -> Self {
        Self::learned()
    }
}
