//! [`Curve`]: the learned schedule of polls for tasks of one kind: when to poll next, given a task's age,
//! planned from the durations in a [`History`]; [`Eta`]: how long a task will take in all.
//! [`Pacer`](super::Pacer) and `Model` make curves. Runs that wait (`run/wait.rs`) poll by them and report
//! the `Eta`; `Batch`, where polls are scarce, polls first the tasks that have most likely ended; the
//! command estimates durations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fit::Histogram;
use super::forecast::{Forecast, between};
use super::history::History;
use super::learned::Learned;
use super::plan::Planner;
use super::progress::{self, Progress};
use super::scale::{self, LAST};

/// An immutable answer to "when next?" for every age, made from a [`History`] and meant to be
/// shared between runs in an [`Arc`](std::sync::Arc).
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What is known, if anything.
    known: Option<KnownForecast>,
    worth: f64,
    floor: f64,
    ceiling: f64,
}

#[derive(Clone, Debug, PartialEq)]
struct KnownForecast {
    forecast: Forecast,
    /// The age, in seconds, to look at next, by the point where a task was seen running: for a
    /// look worth a little less than it is, and a little more.
    next: [Vec<f32>; 2],
}

/// How long a task will take in all, given that it is still running.
///
/// Displays as `usually 12 s, 90 % under 19 s`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Eta {
    /// Half of the tasks that ran so long ended by this age.
    pub typical: Duration,
    /// Nine tenths of the tasks that ran so long ended by this age.
    pub p90: Duration,
}

impl Curve {
    /// The best times to look, for what a history has seen.
    pub fn new(history: &History, settings: &Learned) -> Self {
        let (floor, ceiling) = settings.bounds();
        let given = settings.worth.map(|worth| worth.as_secs_f64().max(LEAST_WORTH));
        if history.is_empty() {
            // √(2 worth / hazard) is the default interval at the default worth.
            let worth = given.unwrap_or(INTERVAL * INTERVAL / (2.0 * UNKNOWN_MEAN));
            return Self { known: None, worth, floor, ceiling };
        }
        let forecast = Forecast::of(&Histogram::of(history));
        let planner = Planner::of(&forecast);
        let worth = given.unwrap_or_else(|| planner.worth_of_interval(INTERVAL, floor));
        let next = [worth / WORTH_SPREAD, worth * WORTH_SPREAD].map(|worth| {
            let plan = planner.plan(worth, floor);
            plan.into_iter().map(|point| scale::age_of(point) as f32).collect()
        });
        Self { known: Some(KnownForecast { forecast, next }), worth, floor, ceiling }
    }

    /// How long to wait before the next look at a task that was running at this age.
    ///
    /// `jitter` is a number from 0 to 1 drawn for this look; 0.5 stands for none. It moves the look
    /// by up to a tenth of the spacing: that keeps runs started together apart, and shows the
    /// history the places between its usual looks.
    pub fn next_look(&self, age: Duration, jitter: f64) -> Duration {
        self.wait(age.as_secs_f64(), jitter, |gap| gap)
    }

    /// The same, sharpened by the progress the service has reported, oldest first.
    ///
    /// Progress counts where the last two reports of it move, steadily and in keeping with the
    /// age; it is then taken to go on at that pace, and shifts the next look to no less than half
    /// and no more than twice the wait it would have been. Progress that stands still, jumps,
    /// falls, or claims the end changes nothing.
    pub fn next_look_with_progress(
        &self,
        age: Duration,
        jitter: f64,
        reports: &[Progress],
    ) -> Duration {
        let age = age.as_secs_f64();
        match progress::expected_end(reports) {
            Some(end) => self.wait(age, jitter, |gap| progress::sharpen(gap, end - age)),
            None => self.wait(age, jitter, |gap| gap),
        }
    }

    /// How long a task still running at this age usually takes in all; `None` where nothing was
    /// seen to run so long.
    pub fn eta(&self, age: Duration) -> Option<Eta> {
        let forecast = &self.known.as_ref()?.forecast;
        let [typical, p90] = forecast.quantiles_after(age.as_secs_f64(), [0.5, 0.9])?;
        let [typical, p90] = [typical, p90].map(Duration::from_secs_f64);
        Some(Eta { typical, p90 })
    }

    /// The chance, from 0 to 1, that a task seen running at one age has ended by a later one.
    ///
    /// When looks are scarce, the task with the highest chance is the one to look at.
    pub fn chance(&self, running: Duration, age: Duration) -> f64 {
        let (running, age) = (running.as_secs_f64(), age.as_secs_f64().max(running.as_secs_f64()));
        match &self.known {
            // It grows with the time since the last look, so the task not looked at for longest
            // comes first.
            None => (age - running) / (age - running + UNKNOWN_MEAN),
            Some(KnownForecast { forecast, .. }) => {
                let before = forecast.ended_by(running);
                // Not zero, by which it is divided, where every task seen had ended earlier.
                let left = (1.0 - before).max(f64::MIN_POSITIVE);
                ((forecast.ended_by(age) - before) / left).clamp(0.0, 1.0)
            }
        }
    }

    /// The extra waiting that one look is worth: as told, or as found.
    pub fn worth(&self) -> Duration {
        Duration::from_secs_f64(self.worth)
    }

    fn wait(&self, age: f64, jitter: f64, sharpen: impl Fn(f64) -> f64) -> Duration {
        let jitter = if jitter.is_nan() { 0.5 } else { jitter.clamp(0.0, 1.0) };
        let plan = usize::from(jitter >= 0.5);
        let gap = self.gap(age, plan);
        let sharp = sharpen(gap);
        // The spacing that follows bounds the jitter: it is short where ends are frequent, and a
        // look that is moved far would miss them.
        let after = self.gap(age + gap, plan).min(sharp);
        // One draw serves twice: which half it is in picks the plan, and its place in that half,
        // from -0.5 to 0.5, moves the look. 0.5 moves nothing.
        let jitter = (2.0 * jitter + 0.5).fract() - 0.5;
        let wait = (sharp + jitter * JITTER * after).clamp(self.floor, self.ceiling);
        Duration::from_secs_f64(wait)
    }

    /// The planned wait at an age, in seconds.
    fn gap(&self, age: f64, plan: usize) -> f64 {
        let gap = match &self.known {
            // √(2 worth / hazard) with a hazard of one in the mean duration.
            None => (2.0 * self.worth * UNKNOWN_MEAN).sqrt(),
            Some(KnownForecast { forecast, next }) => {
                if scale::point_of(age) >= LAST {
                    forecast.spacing_beyond(age, self.worth)
                } else {
                    between(age, |point| f64::from(next[plan][point])) - age
                }
            }
        };
        gap.clamp(self.floor, self.ceiling)
    }
}

impl History {
    /// The best times to look, for what this history has seen.
    pub fn curve(&self, settings: &Learned) -> Curve {
        Curve::new(self, settings)
    }

    /// How long a task still running at this age usually takes in all.
    ///
    /// This fits the history first; where a [`Curve`] is at hand, ask that.
    pub fn eta(&self, age: Duration) -> Option<Eta> {
        // An estimate goes by the forecast alone; a worth that is given spares the search for one.
        self.curve(&Learned { worth: Some(Duration::from_secs(1)), ..Learned::default() }).eta(age)
    }
}

impl std::fmt::Display for Eta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |age: Duration| age.as_secs_f64().round();
        write!(
            f,
            "usually {} s, 90 % under {} s",
            seconds(self.typical),
            // Rounded up, since "under" must hold.
            self.p90.as_secs_f64().ceil()
        )
    }
}

/// Seconds between looks at a task of which nothing is known.
const INTERVAL: f64 = 3.0;

/// The mean duration taken for granted where nothing is known, as of a process without memory.
const UNKNOWN_MEAN: f64 = 20.0;

/// How far jitter moves a look, in spacings, from the earliest to the latest.
const JITTER: f64 = 0.2;

/// How far the two plans are either side of the worth, as a factor. A plan changes by leaps where a
/// look more or less becomes the better of two: taking turns halves the leaps.
const WORTH_SPREAD: f64 = 1.2;

/// A worth below this, in seconds, is read as this.
const LEAST_WORTH: f64 = 1e-6;
