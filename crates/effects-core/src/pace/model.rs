//! [`Model`]: a history of durations with the [`Curve`] learnt from it, which is made anew only on request
//! and when enough has been observed since. It is for a program that polls by itself and wants to know how
//! long a task will take (`examples/pace.rs`); the clients use [`Pacer`](super::Pacer) instead.

use std::sync::Arc;
use std::time::Duration;

use super::curve::Curve;
use super::history::History;
use super::learned::Learned;

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
