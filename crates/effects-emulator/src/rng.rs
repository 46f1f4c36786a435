//! Seeded random numbers that keep no state: [`unit()`] gives one between 0 and 1, [`normal`] one of
//! the normal distribution, and the same seed, series and count give the same number again. `Latency`
//! draws with both how long a task takes; `FaultInjector` draws with [`unit()`] whether a fault happens
//! to which the plan gives a chance.
//!
//! Each call names a seed, a series and a count, so that two endpoints that are busy at once do not
//! change each other's series.

/// The `count`-th number of a series, in `0.0..1.0`.
pub(crate) fn unit(seed: u64, series: u64, count: u64) -> f64 {
    let mixed = mix(mix(mix(seed) ^ series) ^ count);
    // The upper 53 bits, as many as a double holds exactly.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let numerator = (mixed >> 11) as f64;
    numerator / 9_007_199_254_740_992.0
}

/// A number from the standard normal distribution, by the method of Box and Muller.
pub(crate) fn normal(seed: u64, series: u64, count: u64) -> f64 {
    // `unit` may be 0, whose logarithm is infinite; one minus it is never 0.
    let radius = (-2.0 * (1.0 - unit(seed, series, count)).ln()).sqrt();
    // Another series, since the method needs two independent numbers.
    let angle = std::f64::consts::TAU * unit(seed, !series, count);
    radius * angle.cos()
}

/// The finaliser of SplitMix64: every bit of the input sways every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_repeat_spread_and_centre() {
        assert!((unit(7, 1, 3) - unit(7, 1, 3)).abs() < f64::EPSILON);
        let draws: Vec<f64> = (0..10_000).map(|count| unit(7, 1, count)).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let normals: Vec<f64> = (0..10_000).map(|count| normal(7, 1, count)).collect();
        let mean = normals.iter().sum::<f64>() / 10_000.0;
        let spread = normals.iter().map(|value| value * value).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.05 && (spread - 1.0).abs() < 0.1, "{mean} {spread}");
    }
}
