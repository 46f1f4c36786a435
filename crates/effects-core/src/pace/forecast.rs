//! [`Forecast`]: the distribution of a task's duration: the chance that it has ended by each age, from a
//! [`Histogram`], smoothed and with a weak long tail for durations not seen yet. `Curve::new` makes one;
//! `plan.rs` plans the polls by it, and `Curve` keeps it to estimate durations and chances.

use super::fit::Histogram;
use super::scale::{self, LAST, POINTS, STEPS_PER_BIN};

/// Chances, at each point of the scale, that a task has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Forecast {
    /// As the samples say.
    seen: Vec<f32>,
    /// How many samples that is.
    weight: f64,
    median: f64,
}

impl Forecast {
    /// Smooths a histogram.
    pub(super) fn of(histogram: &Histogram) -> Self {
        let mut sum = 0.0;
        let mut seen = vec![0.0; 1];
        seen.extend(smooth(histogram).iter().map(|cell| {
            sum += cell;
            (sum / histogram.weight).min(1.0) as f32
        }));
        let mut forecast = Self { seen, weight: histogram.weight, median: 0.0 };
        forecast.median = forecast.quantile(0.5);
        forecast
    }

    /// The age, in seconds, by which half of the tasks have ended.
    pub(super) fn median(&self) -> f64 {
        self.median
    }

    /// The chance that a task has ended by a point: the samples, and a weak prior with a long
    /// tail. The tail is there so that a task older than any before is still looked at, ever less
    /// often.
    pub(super) fn ended(&self, point: usize) -> f64 {
        let scale = TAIL_SCALE * self.median;
        // Squared below, which gives the hazard 2 / (age + scale) that `spacing_beyond` counts on.
        let left = scale / (scale + scale::age_of(point));
        let unforeseen = 1.0 - left * left;
        let seen = f64::from(self.seen[point]);
        (self.weight * seen + TAIL_WEIGHT * unforeseen) / (self.weight + TAIL_WEIGHT)
    }

    /// The same at any age, in seconds.
    pub(super) fn ended_by(&self, age: f64) -> f64 {
        between(age, |point| self.ended(point))
    }

    /// The spacing of looks beyond the scale, for one look worth `worth` seconds: √(2 worth /
    /// hazard), where the tail's hazard is 2 / (age + its scale).
    pub(super) fn spacing_beyond(&self, age: f64, worth: f64) -> f64 {
        (worth * (age + TAIL_SCALE * self.median)).sqrt()
    }

    /// Quantiles of the duration of a task that is still running at an age; `None` where nothing
    /// that was seen ran so long.
    pub(super) fn quantiles_after<const N: usize>(
        &self,
        age: f64,
        shares: [f64; N],
    ) -> Option<[f64; N]> {
        let left = 1.0 - between(age, |point| f64::from(self.seen[point]));
        (left * self.weight > LEAST_LEFT)
            // In `f32` a quantile can come out a little before the age itself.
            .then(|| shares.map(|share| self.quantile(1.0 - left * (1.0 - share)).max(age)))
    }

    /// The age by which this share of the samples had ended.
    fn quantile(&self, share: f64) -> f64 {
        let share = share as f32;
        let after = self.seen.partition_point(|seen| *seen < share).clamp(1, LAST);
        let (below, above) = (f64::from(self.seen[after - 1]), f64::from(self.seen[after]));
        let (early, late) = (scale::age_of(after - 1), scale::age_of(after));
        let part = (f64::from(share) - below) / (above - below).max(f64::MIN_POSITIVE);
        early + (late - early) * part.clamp(0.0, 1.0)
    }
}

/// The value at an age of something known at the points, on a straight line between them.
pub(super) fn between(age: f64, value: impl Fn(usize) -> f64) -> f64 {
    let point = scale::point_of(age);
    if point == LAST {
        return value(LAST);
    }
    let (start, end) = (scale::age_of(point), scale::age_of(point + 1));
    let part = ((age - start) / (end - start)).clamp(0.0, 1.0);
    let (early, late) = (value(point), value(point + 1));
    early + (late - early) * part
}

/// The weight between each point and the next, blurred by a width that suits the samples.
fn smooth(histogram: &Histogram) -> Vec<f64> {
    let mut cells = vec![0.0; POINTS - 1];
    // The first bin is one cell, from age 0 to the scale's beginning; the others have eight each.
    cells[0] = histogram.bins[0];
    let rest = histogram.bins.iter().skip(1);
    for (cells, bin) in cells[1..].chunks_exact_mut(STEPS_PER_BIN).zip(rest) {
        cells.fill(bin / STEPS_PER_BIN as f64);
    }
    let radius = blur_radius(histogram);
    for _ in 0..PASSES {
        cells = blur(&cells, radius);
    }
    cells
}

/// Silverman's rule for the width of a kernel, with the shortest stretch that holds a third of the
/// samples as the measure of spread: of several humps, that sees the steepest.
fn blur_radius(histogram: &Histogram) -> usize {
    let weight = histogram.weight;
    let stretch = |step: u32| {
        // Twenty-one thirds of the weight, evenly spaced from the first to the last.
        let from = (1.0 - THIRD) / 20.0 * f64::from(step);
        histogram.position((from + THIRD) * weight) - histogram.position(from * weight)
    };
    let shortest = (0..=20).map(stretch).fold(f64::MAX, f64::min);
    let deviation = shortest / THIRD_SPANS * STEPS_PER_BIN as f64;
    // The fourth root where the rule has the fifth: square roots are exact everywhere.
    let width = (KERNEL * deviation / weight.max(1.0).sqrt().sqrt()).max(NARROWEST);
    // As many passes of a box of this radius have the variance of a kernel of that width.
    let radius = ((12.0 / PASSES as f64 * width * width + 1.0).sqrt() - 1.0) / 2.0;
    radius.round() as usize
}

/// Spreads each cell evenly over the cells up to `radius` away.
fn blur(cells: &[f64], radius: usize) -> Vec<f64> {
    let mut steps = vec![0.0; cells.len() + 1];
    for (cell, weight) in cells.iter().enumerate() {
        let from = cell.saturating_sub(radius);
        // At an end of the scale it is spread over fewer cells, so that no weight is lost.
        let to = (cell + radius + 1).min(cells.len());
        let share = weight / (to - from) as f64;
        steps[from] += share;
        steps[to] -= share;
    }
    steps.pop();
    let mut level: f64 = 0.0;
    for step in &mut steps {
        level += *step;
        *step = level.max(0.0);
    }
    steps
}

/// How many samples the tail counts as.
const TAIL_WEIGHT: f64 = 1.0;

/// The scale of the tail, in medians.
const TAIL_SCALE: f64 = 2.0;

/// Samples that must have run longer for an estimate to mean something.
const LEAST_LEFT: f64 = 0.3;

/// Passes of a box that make a smooth kernel.
const PASSES: usize = 3;

/// The part of the samples that the spread is measured by.
const THIRD: f64 = 1.0 / 3.0;

/// Standard deviations that the middle third of a bell curve spans.
const THIRD_SPANS: f64 = 0.861;

/// The factor of the rule.
const KERNEL: f64 = 0.95;

/// The narrowest kernel, in points: two, about 2 % of the age.
const NARROWEST: f64 = 2.0;
