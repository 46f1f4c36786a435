//! [`Histogram`]: estimates how often tasks take how long. A client sees no duration, only the last poll
//! before a task's end and the first after it: the histogram is fitted to all these pairs of a [`History`]
//! together (Turnbull's estimate), and leaves out the pairs from before a change of durations. `Curve::new`
//! fits one and makes its `Forecast` of it.

use super::history::{CAPACITY, History, Span};
use super::scale::{self, BINS};

/// Weights of durations by bin, as many as there were samples left after fading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    pub(super) bins: Vec<f64>,
    pub(super) weight: f64,
}

impl Histogram {
    /// Fits what a history says, and forgets what came before a change if there was one.
    pub(super) fn of(history: &History) -> Self {
        let samples = Sample::all(history);
        let whole = fit(&samples);
        match change(&samples, &whole) {
            0 => whole,
            start => fit(&samples[start..]),
        }
    }

    /// The position on the scale of bins, with a fraction, below which this much weight lies.
    pub(super) fn position(&self, weight: f64) -> f64 {
        let mut below = 0.0;
        for (bin, here) in self.bins.iter().enumerate() {
            if *here > 0.0 && below + here >= weight {
                return bin as f64 + ((weight - below) / here).clamp(0.0, 1.0);
            }
            below += here;
        }
        BINS as f64
    }
}

/// A pair of looks, ready for the sums: where it starts and stops, how much it still counts.
struct Sample {
    from: BinPlace,
    to: BinPlace,
    weight: f64,
}

/// A bin and how far into it, in time.
#[derive(Clone, Copy)]
struct BinPlace {
    bin: usize,
    part: f64,
}

impl Sample {
    /// The newer half counts fully, the older half less the older it is.
    fn all(history: &History) -> Vec<Self> {
        let half = CAPACITY as f64 / 2.0;
        let newest = history.len();
        // Counted back from the newest: how full the history is does not matter.
        let weight = |i: usize| ((CAPACITY - (newest - 1 - i)) as f64 / half).min(1.0);
        history.spans().enumerate().map(|(i, span)| Self::new(span, weight(i))).collect()
    }

    fn new(span: Span, weight: f64) -> Self {
        Self { from: BinPlace::of(span.from()), to: BinPlace::of(span.to()), weight }
    }
}

impl BinPlace {
    fn of(point: usize) -> Self {
        // No bin begins at the last point.
        if point == scale::LAST {
            return Self { bin: BINS - 1, part: 1.0 };
        }
        let bin = scale::bin_after(point);
        let start = scale::age_of(scale::first_point(bin));
        let end = scale::age_of(scale::first_point(bin + 1));
        Self { bin, part: (scale::age_of(point) - start) / (end - start) }
    }

    /// The share of the weight that lies below.
    fn below(self, bins: &[f64], sums: &[f64]) -> f64 {
        sums[self.bin] + self.part * bins[self.bin]
    }
}

/// Self-consistent weights: each sample is spread over its interval in proportion to what all
/// samples together say, until that settles (Turnbull's estimate of interval-censored data), and
/// smoothed a little at each round, without which it would settle on spikes (Silverman's EMS).
fn fit(samples: &[Sample]) -> Histogram {
    let prior = prior();
    let mut bins = prior.clone();
    let weight: f64 = samples.iter().map(|sample| sample.weight).sum();
    for _ in 0..ROUNDS {
        let spread = spread(samples, &bins);
        // A bin that no sample covers would fall to zero, and shares are in proportion to bins: the
        // prior keeps each above it.
        let raw: Vec<f64> = spread.iter().zip(&prior).map(|(s, p)| s + PRIOR_WEIGHT * p).collect();
        bins = blur(&raw);
        let total: f64 = bins.iter().sum();
        bins.iter_mut().for_each(|bin| *bin /= total);
    }
    bins.iter_mut().for_each(|bin| *bin *= weight);
    Histogram { bins, weight }
}

/// Spreads every sample over its interval in proportion to `bins`.
///
/// A bin receives its own weight times the sum of `weight / mass` over the samples that cover it,
/// so two marks a sample and one running sum do it for all bins.
fn spread(samples: &[Sample], bins: &[f64]) -> Vec<f64> {
    let sums = running_sums(bins);
    let mut part = vec![0.0; BINS];
    let mut steps = vec![0.0; BINS + 1];
    for Sample { from, to, weight } in samples {
        let mass = to.below(bins, &sums) - from.below(bins, &sums);
        let rate = weight / mass.max(SMALLEST);
        if from.bin == to.bin {
            part[from.bin] += rate * (to.part - from.part);
        } else {
            part[from.bin] += rate * (1.0 - from.part);
            part[to.bin] += rate * to.part;
            // The whole bins between the two ends: a rise and a fall, which are summed up below.
            steps[from.bin + 1] += rate;
            steps[to.bin] -= rate;
        }
    }
    let mut level = 0.0;
    let mut spread = vec![0.0; BINS];
    for (bin, slot) in spread.iter_mut().enumerate() {
        level += steps[bin];
        // A sum of rises and falls can end a rounding error below zero.
        *slot = bins[bin] * (level + part[bin]).max(0.0);
    }
    spread
}

fn running_sums(bins: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    bins.iter()
        .map(|bin| {
            sum += bin;
            sum - bin
        })
        .collect()
}

/// Gives a quarter of each bin to either neighbour; what would leave the scale stays.
fn blur(bins: &[f64]) -> Vec<f64> {
    let mut blurred = vec![0.0; BINS];
    // Bin 0 has all ages below the scale: on a scale of ratios it has no neighbour.
    blurred[0] = bins[0];
    for bin in 1..BINS {
        let quarter = 0.25 * bins[bin];
        blurred[bin] += 2.0 * quarter;
        blurred[(bin - 1).max(1)] += quarter;
        blurred[(bin + 1).min(BINS - 1)] += quarter;
    }
    blurred
}

/// What a duration may be before any is known: half of them below 20 s, with a long tail.
fn prior() -> Vec<f64> {
    let left = |bin: usize| PRIOR_MEDIAN / (PRIOR_MEDIAN + scale::age_of(scale::first_point(bin)));
    (0..BINS).map(|bin| left(bin) - if bin + 1 < BINS { left(bin + 1) } else { 0.0 }).collect()
}

/// The sample from which on the durations are of another kind than before; 0 if there is none.
///
/// Under the fit of all samples, the mean of the chances at the two ends of a sample's interval
/// averages a half, whatever the looks were, as long as the durations come from one distribution.
/// The split after which that average, or the average distance from the middle, differs most from
/// before is a change if chance would not make it so.
fn change(samples: &[Sample], fitted: &Histogram) -> usize {
    if samples.len() < 2 * FEWEST {
        return 0;
    }
    let sums = running_sums(&fitted.bins);
    let rank = |sample: &Sample| {
        let ends = sample.from.below(&fitted.bins, &sums) + sample.to.below(&fitted.bins, &sums);
        ends / fitted.weight - 1.0
    };
    let ranks: Vec<f64> = samples.iter().map(rank).collect();
    let distances: Vec<f64> = ranks.iter().map(|rank| rank.abs()).collect();
    // Spread evenly over -1 to 1, ranks have the variance 1/3; their distances, over 0 to 1, have
    // 1/12.
    let shift = widest_split(&ranks, 1.0 / 3.0);
    let shape = widest_split(&distances, 1.0 / 12.0);
    let (score, start) = if shift.0 >= shape.0 { shift } else { shape };
    if score > SIGNIFICANT * SIGNIFICANT { start } else { 0 }
}

/// The split whose two sides differ most, and by how many standard errors, squared.
fn widest_split(values: &[f64], variance: f64) -> (f64, usize) {
    let count = values.len();
    let total: f64 = values.iter().sum();
    let mut best = (0.0, 0);
    let mut before = 0.0;
    for (i, value) in values.iter().enumerate() {
        let (old, new) = (i as f64, (count - i) as f64);
        if i >= FEWEST && count - i >= FEWEST {
            let gap = (total - before) / new - before / old;
            let score = gap * gap / (variance * (1.0 / old + 1.0 / new));
            if score > best.0 {
                best = (score, i);
            }
        }
        before += value;
    }
    best
}

/// Rounds of the self-consistent fit; more change nothing that can be measured.
const ROUNDS: usize = 60;

/// How many samples the prior counts as while fitting.
const PRIOR_WEIGHT: f64 = 0.3;

/// Half of the durations are below this, in seconds, before any is known.
const PRIOR_MEDIAN: f64 = 20.0;

/// No interval is taken to be less likely than this.
const SMALLEST: f64 = 1e-12;

/// The fewest samples that a change can be seen in.
const FEWEST: usize = 8;

/// Standard errors that make a change. With a few hundred splits looked at, chance alone does it
/// about once in ten thousand tasks.
const SIGNIFICANT: f64 = 4.5;
