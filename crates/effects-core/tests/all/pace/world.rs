//! Tasks in virtual time, and paces that watch them.

use std::time::Duration;

use effects_core::pace::{Curve, History, Learned, Model, Progress};

/// What was learnt, and tasks that it is measured on.
pub(crate) struct Watched {
    pub(crate) history: History,
    pub(crate) rest: Vec<f64>,
}

impl Watched {
    /// Learns from so many tasks, closed loop, from nothing.
    pub(crate) fn after(tasks: usize, seed: u64, mut draw: impl FnMut(&mut Dice) -> f64) -> Self {
        let mut model = Model::new(History::new(), Learned::default());
        let mut dice = Dice(seed);
        for _ in 0..tasks {
            let duration = draw(&mut dice);
            watch(&mut model, duration, &mut dice);
        }
        let rest = (0..SAMPLES).map(|_| draw(&mut dice)).collect();
        Self { history: model.history().clone(), rest }
    }

    pub(crate) fn score(&self, settings: &Learned) -> Score {
        let curve = self.history.curve(settings);
        Score::of(&self.rest, |age, _, roll| {
            curve.next_look(Duration::from_secs_f64(age), roll).as_secs_f64()
        })
    }

    /// Asserts that the delay is at most this share of another pace's, at equal polls.
    pub(crate) fn assert_at_most(&self, share: f64, other: Wait) {
        let found = self.against(other);
        assert!(found <= share, "{found} of the other's delay");
    }

    /// The delay as a share of another pace's, with the worth of a poll tuned to its polls.
    pub(crate) fn against(&self, other: Wait) -> f64 {
        let other = Score::of(&self.rest, other);
        let (mut low, mut high) = (1e-3, 1e2);
        let mut nearest = (f64::MAX, f64::MAX);
        for _ in 0..16 {
            let middle = f64::sqrt(low * high);
            let worth = Some(Duration::from_secs_f64(middle));
            let score = self.score(&Learned { worth, ..Learned::default() });
            let miss = (score.polls / other.polls - 1.0).abs();
            if miss < nearest.0 {
                nearest = (miss, score.delay / other.delay);
            }
            if miss < 0.01 {
                break;
            }
            if score.polls > other.polls {
                low = middle;
            } else {
                high = middle;
            }
        }
        // Where durations are exact, polls change by leaps.
        if nearest.0 < 0.03 {
            return nearest.1;
        }
        panic!("no worth of a poll makes {} polls", other.polls);
    }

    /// Watches with reports of progress made from (age, age at the end, chance).
    pub(crate) fn with_progress(
        &self,
        curve: &Curve,
        report: impl Fn(f64, f64, &mut Dice) -> Option<f64>,
    ) -> Score {
        let (mut dice, mut liar) = (Dice(20), Dice(21));
        let mut total = Score::default();
        for end in &self.rest {
            let (mut age, mut reports) = (Duration::ZERO, Vec::new());
            while age.as_secs_f64() < *end {
                if age > Duration::ZERO {
                    let done = report(age.as_secs_f64(), *end, &mut liar);
                    reports.extend(done.map(|done| Progress { age, done }));
                }
                age += curve.next_look_with_progress(age, dice.roll(), &reports);
                total.polls += 1.0;
            }
            total.delay += age.as_secs_f64() - end;
        }
        total / self.rest.len() as f64
    }
}

/// Watches one task with what a model knows, and learns from it.
pub(crate) fn watch(model: &mut Model, duration: f64, dice: &mut Dice) -> Score {
    let (mut running, mut age, mut polls) = (None, Duration::ZERO, 0.0);
    loop {
        age += model.curve().next_look(age, dice.roll());
        polls += 1.0;
        if age.as_secs_f64() >= duration {
            break;
        }
        running = Some(age);
    }
    model.observe(running, age);
    model.refresh();
    Score { polls, delay: age.as_secs_f64() - duration }
}

/// A pace: the wait in seconds, from the age, the looks so far and a number from 0 to 1.
pub(crate) type Wait = fn(f64, u32, f64) -> f64;

/// Mean polls, and mean seconds between the end and the poll that saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    pub(crate) polls: f64,
    pub(crate) delay: f64,
}

impl Score {
    pub(crate) const FIXED_3S: Wait = |_, _, _| 3.0;
    pub(crate) const BACKOFF: Wait = |_, looks, _| f64::from(2u32 << looks.min(3)).min(10.0);

    pub(crate) fn of(durations: &[f64], wait: impl Fn(f64, u32, f64) -> f64) -> Self {
        let mut dice = Dice(22);
        let mut total = Self::default();
        for duration in durations {
            let (mut age, mut looks) = (0.0, 0);
            while age < *duration {
                age += wait(age, looks, dice.roll());
                looks += 1;
            }
            total += Self { polls: f64::from(looks), delay: age - duration };
        }
        total / durations.len() as f64
    }

    /// Polls and delay as one number of seconds.
    pub(crate) fn cost(self, curve: &Curve) -> f64 {
        curve.worth().as_secs_f64() * self.polls + self.delay
    }
}

impl std::ops::AddAssign for Score {
    fn add_assign(&mut self, more: Self) {
        self.polls += more.polls;
        self.delay += more.delay;
    }
}

impl std::ops::Div<f64> for Score {
    type Output = Self;

    fn div(self, count: f64) -> Self {
        Self { polls: self.polls / count, delay: self.delay / count }
    }
}

/// A linear congruence.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> f64 {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A log-normal factor with median 1: the sum of twelve rolls is as good as a bell curve.
    pub(crate) fn factor(&mut self, sigma: f64) -> f64 {
        let bell = (0..12).map(|_| self.roll()).sum::<f64>() - 6.0;
        (sigma * bell).exp()
    }
}

/// Tasks that what was learnt is measured on.
pub(crate) const SAMPLES: usize = 2500;
