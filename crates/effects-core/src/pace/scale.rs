//! A logarithmic scale of task ages, on which the learned pace computes: [`point_of`] and [`age_of`]
//! convert between seconds and points. A `History` keeps pairs of points. For a `Curve`, `fit.rs` weighs
//! durations in bins of eight points, `forecast.rs` and `plan.rs` work point by point, and `curve.rs` looks
//! up the next poll by the point of a task's age.
//!
//! Points divide each doubling of the age into [`STEPS`] equal ratios, about 1 % apart; eight of
//! them make a bin of the histogram, about 9 % wide. Everything is done with `+ - * /` and exact
//! constants, so that a curve is the same to the last bit on every machine.

/// The last point at or before an age in seconds.
///
/// Point 0 is age 0, point 1 is [`SHORTEST`], and the last point stands for everything later.
pub(super) fn point_of(age: f64) -> usize {
    if age.is_nan() || age < SHORTEST {
        return 0;
    }
    let bits = (age / SHORTEST).to_bits();
    // The quotient is at least 1, so its exponent is not below that of 1.
    let octave = (bits >> FRACTION_BITS) as usize - EXPONENT_OF_ONE;
    if octave >= OCTAVES {
        return LAST;
    }
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let x = fraction as f64 / (1u64 << FRACTION_BITS) as f64;
    // The chord of the logarithm plus its bulge is right to a step; the table settles which.
    let step = (x + BULGE * x * (1.0 - x)) * STEPS as f64;
    let mut point = 1 + octave * STEPS + step as usize;
    while AGES[point] > age {
        point -= 1;
    }
    while AGES[point + 1] <= age {
        point += 1;
    }
    point
}

/// The point nearest to an age in seconds.
pub(super) fn nearest(age: f64) -> usize {
    point_of(age * HALF_STEP)
}

/// The age, in seconds, at a point.
pub(super) fn age_of(point: usize) -> f64 {
    AGES[point]
}

/// The bin that lies just after a point.
pub(super) fn bin_after(point: usize) -> usize {
    point.div_ceil(STEPS_PER_BIN).min(BINS - 1)
}

/// The point where a bin begins; `first_point(bin + 1)` is where it ends.
pub(super) fn first_point(bin: usize) -> usize {
    bin.checked_sub(1).map_or(0, |above| above * STEPS_PER_BIN + 1)
}

/// The age, in seconds, below which all ages are one.
const SHORTEST: f64 = 0.125;

/// Doublings of [`SHORTEST`] on the scale: up to 4096 s.
const OCTAVES: usize = 15;

/// Points to each doubling.
const STEPS: usize = 64;

/// Points to each bin.
pub(super) const STEPS_PER_BIN: usize = 8;

/// Bins of a histogram over the scale: one below [`SHORTEST`], then the octaves.
pub(super) const BINS: usize = 1 + OCTAVES * STEPS / STEPS_PER_BIN;

/// The last point.
pub(super) const LAST: usize = 1 + OCTAVES * STEPS;

/// How many points there are.
pub(super) const POINTS: usize = LAST + 1;

/// 2^(1/128): from a point to half-way to the next.
const HALF_STEP: f64 = 1.005_429_901_111_802_7;

/// Bits of an `f64` below its exponent.
const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;

/// The exponent bits of 1.0.
const EXPONENT_OF_ONE: usize = 1023;

/// How far log2(1 + x) rises above x, as a factor of x (1 - x).
const BULGE: f64 = 0.346_6;

/// 2^(1/64), 2^(1/32) and so on to 2^(1/2).
const ROOTS: [f64; 6] = [
    1.010_889_286_051_700_5,
    1.021_897_148_654_116_6,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    std::f64::consts::SQRT_2,
];

/// The age at each point.
static AGES: [f64; POINTS] = {
    let mut ages = [0.0; POINTS];
    let mut above = 0;
    // A constant cannot run a `for` loop, nor call `powf`, whose last bits differ between machines.
    while above <= OCTAVES * STEPS {
        let mut age = SHORTEST * (1 << (above / STEPS)) as f64;
        let mut bit = 0;
        while bit < ROOTS.len() {
            if ((above % STEPS) >> bit) & 1 == 1 {
                age *= ROOTS[bit];
            }
            bit += 1;
        }
        ages[above + 1] = age;
        above += 1;
    }
    ages
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_begins_where_its_age_says() {
        for point in 1..LAST {
            let age = age_of(point);
            assert!(age > age_of(point - 1), "point {point}");
            assert_eq!(point_of(age), point);
            // Half a step is 0.54 %, so 0.5 % stays within it on either side.
            assert_eq!(point_of(age * 1.005), point);
            assert_eq!(point_of(age * 0.995), point - 1);
            assert_eq!(nearest(age * 1.005), point);
            assert_eq!(nearest(age * 0.995), point);
        }
    }

    #[test]
    fn every_age_has_a_point() {
        for (age, point) in [(0.0, 0), (-1.0, 0), (f64::NAN, 0), (0.1249, 0), (0.125, 1)] {
            assert_eq!(point_of(age), point, "{age}");
        }
        for age in [4096.0, 1e9, f64::MAX, f64::INFINITY] {
            assert_eq!(point_of(age), LAST, "{age}");
        }
    }

    #[test]
    fn bins_are_made_of_whole_steps() {
        assert_eq!(first_point(BINS), LAST);
        for bin in 0..BINS {
            for point in first_point(bin)..first_point(bin + 1) {
                assert_eq!(bin_after(point), bin, "point {point}");
            }
        }
    }
}
