//! The learned pace: settings, and a model that keeps its curve up to date.
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

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use super::history::History;

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
        (floor, self.ceiling.as_secs_f64().clamp(floor, MOST_CEILING.max(floor)))
    }
}

/// [`Learned::DEFAULT`].
impl Default for Learned {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A history with its settings and the curve made from them.
///
/// A curve takes a fraction of a millisecond to make, so it is made only by
/// [`refresh`](Self::refresh), and runs share it.
///
/// ```
/// use std::time::Duration;
/// use effects_core::pace::{History, Learned, Model};
///
/// let mut model = Model::new(History::new(), Learned::default());
/// let wait = model.curve().next_look(Duration::ZERO, 0.5);
/// assert_eq!(wait, Duration::from_secs(3));
///
/// model.observe(Some(Duration::from_secs(9)), Duration::from_secs(12));
/// model.refresh();
/// let wait = model.curve().next_look(Duration::ZERO, 0.5);
/// assert!(wait > Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    history: History,
    settings: Learned,
    curve: Arc<Curve>,
    news: usize,
}

impl Model {
    /// A model that knows what a history says.
    pub fn new(history: History, settings: Learned) -> Self {
        let curve = Arc::new(history.curve(&settings));
        Self { history, settings, curve, news: 0 }
    }

    /// Learns from a task seen to end: see [`History::observe`].
    pub fn observe(&mut self, last_running: Option<Duration>, first_ended: Duration) {
        self.history.observe(last_running, first_ended);
        self.news += 1;
    }

    /// Learns from a task no longer looked at: see [`History::observe_running`].
    pub fn observe_running(&mut self, age: Duration) {
        self.history.observe_running(age);
        self.news += 1;
    }

    /// Adds what another history has seen: see [`History::merge`].
    pub fn merge(&mut self, other: &History) {
        self.history.merge(other);
        self.news += other.len();
    }

    /// Makes the curve again if enough is new to matter, and says whether it did.
    ///
    /// Enough is one observation while few are known, and a thirty-second part of them later. Who
    /// learns from thousands of tasks a second should call this a few times a second.
    pub fn refresh(&mut self) -> bool {
        let due = enough_is_new(self.news, self.history.len());
        if due {
            self.curve = Arc::new(self.history.curve(&self.settings));
            self.news = 0;
        }
        due
    }

    /// The curve as it was last made.
    pub fn curve(&self) -> &Arc<Curve> {
        &self.curve
    }

    /// What the model has seen: what to save.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// Whether so many new observations among those known are worth a new curve.
pub(super) const fn enough_is_new(news: usize, known: usize) -> bool {
    news > known / OBSERVATIONS_PER_NEWS
}

/// Observations known to one that is worth a new curve.
const OBSERVATIONS_PER_NEWS: usize = 32;

/// A floor below this, in seconds, is read as this.
const LEAST_FLOOR: f64 = 0.01;

/// A ceiling above this, in seconds, is read as this.
const MOST_CEILING: f64 = 86_400.0;
