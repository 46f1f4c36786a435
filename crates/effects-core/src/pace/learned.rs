//! [`Learned`]: the settings of the learned pace: how many seconds of waiting one poll is worth, and the
//! shortest and longest interval between polls. `Pace::Learned` has them, and [`Curve`](super::Curve) plans
//! its polls by them; the command estimates durations with the defaults, and `examples/pace.rs` compares
//! several.
//!
//! A fixed interval wastes looks while a task cannot have ended yet, and loses seconds once it
//! has. The learned pace puts looks where endings are, in four steps, each a file:
//!
//! 1. `history`: pairs of looks, the last that saw a task running and the first that saw its end.
//! 2. `fit`: the durations that explain all pairs best. Each pair is spread over the bins between
//!    its looks in proportion to what all pairs together say, until that settles. Old pairs fade,
//!    and all before a change of the distribution are left out.
//! 3. `forecast`: the chance *F(t)* of an end by age *t*, smoothed, with a long weak tail.
//! 4. `plan`: the looks that cost least, where a look costs *κ* seconds (its `worth`) and each
//!    second between the end and the look that sees it costs one.
//!
//! Where the hazard *h = F′ / (1 − F)* hardly changes between two looks, a spacing *s* costs
//! *κ / s* for looks and *h s / 2* for waiting each second, least at *s = √(2κ / h)*. The first
//! look, and any before a steep rise of the hazard, need the plan: the rule would put them
//! anywhere at all.
//!
//! What a client sees depends on when it looks, so the loop is closed. Two things keep it
//! from fooling itself: looks vary by a tenth of their spacing, so that the places between
//! them are seen in time; and a look is never worth more than 1.25 s by default, so that what is
//! poorly known is looked at often enough to be known better.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the learned pace trades requests for waiting.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(default)]
pub struct Learned {
    /// The extra waiting that one request is worth: more means fewer looks and later news.
    ///
    /// `None` finds the worth at which a task takes no more looks than it would, at the learned
    /// median, with a fixed interval of three seconds; never less than 0.1 s, so that long tasks take far fewer.
    pub worth: Option<Duration>,
    /// No two looks are closer than this. At least a hundredth of a second.
    pub floor: Duration,
    /// No two looks are further apart than this.
    pub ceiling: Duration,
}

impl Learned {
    /// Worth found from the history, looks a quarter of a second to a minute apart.
    pub const DEFAULT: Self =
        Self { worth: None, floor: Duration::from_millis(250), ceiling: Duration::from_secs(60) };

    /// Floor and ceiling in seconds, in order and usable.
    pub(super) fn bounds(&self) -> (f64, f64) {
        let floor = self.floor.as_secs_f64().max(LEAST_FLOOR);
        // `clamp` panics where its bounds cross, and a caller's floor may be above every ceiling.
        (floor, self.ceiling.as_secs_f64().clamp(floor, MAX_CEILING_SECONDS.max(floor)))
    }
}

/// [`Learned::DEFAULT`].
impl Default for Learned {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A floor below this, in seconds, is read as this.
const LEAST_FLOOR: f64 = 0.01;

/// A ceiling above this, in seconds, is read as this.
const MAX_CEILING_SECONDS: f64 = 86_400.0;
