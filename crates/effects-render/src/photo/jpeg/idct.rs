//! [`inverse`]: the inverse discrete cosine transform of a JPEG block: from coefficients to samples, at the
//! full size or at a half, a quarter or an eighth. The decoder in `jpeg/mod.rs` calls it for each block.

/// Makes a block of `side` by `side` samples (8, 4, 2 or 1) of its lowest coefficients, which lie in
/// rows of eight and are multiplied by their quantisation. `out` has `stride` samples a row.
pub(super) fn inverse(coefficients: &[f32; 64], side: usize, out: &mut [u8], stride: usize) {
    match side {
        8 => full(coefficients, out, stride),
        4 => reduced::<4>(coefficients, &FOUR, out, stride),
        2 => reduced::<2>(coefficients, &TWO, out, stride),
        // The first coefficient is eight times the block's mean.
        _ => out[0] = sample(coefficients[0] / 8.0),
    }
}

fn full(coefficients: &[f32; 64], out: &mut [u8], stride: usize) {
    // Smooth areas have many such blocks, and need no transform.
    if coefficients[1..].iter().all(|value| *value == 0.0) {
        let value = sample(coefficients[0] / 8.0);
        for row in out.chunks_mut(stride).take(8) {
            row[..8].fill(value);
        }
        return;
    }
    let mut rows = [[0.0f32; 8]; 8];
    for (row, values) in rows.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        *row = *values;
    }
    // The same pass twice, on the block and on the turned block: columns lie side by
    // side for the vector unit.
    let rows = transposed(&pass(&transposed(&pass(&rows))));
    for (line, row) in out.chunks_mut(stride).zip(&rows) {
        for (target, value) in line.iter_mut().zip(row) {
            *target = sample(*value);
        }
    }
}

/// One dimension of the transform, down the columns, all eight at once, after Loeffler, Ligtenberg and
/// Moschytz. Their result is scaled by √8, which the end of each pass divides out.
fn pass(rows: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    let mut out = [[0.0f32; 8]; 8];
    for i in 0..8 {
        let at = |row: usize| rows[row][i];
        // The even part.
        let z1 = (at(2) + at(6)) * 0.541_196_1;
        let (t2, t3) = (z1 - at(6) * 1.847_759, z1 + at(2) * 0.765_366_9);
        let (t0, t1) = (at(0) + at(4), at(0) - at(4));
        let (e0, e3, e1, e2) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
        // The odd part.
        let (a, b, c, d) = (at(7), at(5), at(3), at(1));
        let (z1, z2, z3, z4) = (a + d, b + c, a + c, b + d);
        let z5 = (z3 + z4) * 1.175_875_6;
        let (z1, z2) = (z1 * -0.899_976_2, z2 * -2.562_915_4);
        let (z3, z4) = (z3 * -1.961_570_6 + z5, z4 * -0.390_180_64 + z5);
        let o0 = a * 0.298_631_34 + z1 + z3;
        let o1 = b * 2.053_12 + z2 + z4;
        let o2 = c * 3.072_711 + z2 + z3;
        let o3 = d * 1.501_321_1 + z1 + z4;
        out[0][i] = e0 + o3;
        out[7][i] = e0 - o3;
        out[1][i] = e1 + o2;
        out[6][i] = e1 - o2;
        out[2][i] = e2 + o1;
        out[5][i] = e2 - o1;
        out[3][i] = e3 + o0;
        out[4][i] = e3 - o0;
    }
    for row in &mut out {
        for value in row {
            // 1/√8, so that two passes divide by eight.
            *value *= 0.353_553_4;
        }
    }
    out
}

fn transposed(rows: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
}

/// The transform of the lowest `N` frequencies of each dimension alone: the picture at `N` eighths.
fn reduced<const N: usize>(
    coefficients: &[f32; 64],
    cosines: &[[f32; N]; N],
    out: &mut [u8],
    stride: usize,
) {
    let mut columns = [[0.0f32; N]; N];
    for (y, row) in columns.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            *value = (0..N).map(|k| coefficients[8 * k + x] * cosines[y][k]).sum();
        }
    }
    for (line, row) in out.chunks_mut(stride).zip(&columns) {
        for (x, target) in line.iter_mut().take(N).enumerate() {
            *target = sample((0..N).map(|k| row[k] * cosines[x][k]).sum::<f32>() / 8.0);
        }
    }
}

/// For each place: 1 for frequency 0, √2 · cos((2·place + 1) · frequency · π / 2N) for the others.
const FOUR: [[f32; 4]; 4] = [
    [1.0, 1.306_563, 1.0, 0.541_196_1],
    [1.0, 0.541_196_1, -1.0, -1.306_563],
    [1.0, -0.541_196_1, -1.0, 1.306_563],
    [1.0, -1.306_563, 1.0, -0.541_196_1],
];
const TWO: [[f32; 2]; 2] = [[1.0, 1.0], [1.0, -1.0]];

/// Samples lie round zero; the conversion keeps them within a byte.
fn sample(value: f32) -> u8 {
    (value + 128.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the transform, at `side` eighths.
    fn defined(coefficients: &[f32; 64], side: usize) -> Vec<f64> {
        let cosine = |place: usize, frequency: usize| {
            let angle = (2 * place + 1) as f64 * frequency as f64 * std::f64::consts::PI;
            let factor = if frequency == 0 { 1.0 } else { 2.0f64.sqrt() };
            factor * (angle / (2 * side) as f64).cos() / 8.0f64.sqrt()
        };
        let mut samples = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let mut sum = 0.0;
                for v in 0..side {
                    for u in 0..side {
                        sum += f64::from(coefficients[8 * v + u]) * cosine(y, v) * cosine(x, u);
                    }
                }
                samples.push((sum + 128.0).clamp(0.0, 255.0));
            }
        }
        samples
    }

    #[test]
    fn every_size_is_the_transform_of_its_frequencies() {
        for seed in 0..40u32 {
            let mut coefficients = [0.0f32; 64];
            for (i, value) in coefficients.iter_mut().enumerate() {
                let noise = (seed * 64 + i as u32).wrapping_mul(2_654_435_761) >> 22;
                // Higher frequencies are weaker, as in photos.
                *value = (noise as f32 - 512.0) / (1 + i) as f32;
            }
            for side in [1, 2, 4, 8] {
                let mut out = vec![0; 8 * side];
                inverse(&coefficients, side, &mut out, 8);
                let defined = defined(&coefficients, side);
                for (i, expected) in defined.iter().enumerate() {
                    let sample = f64::from(out[i / side * 8 + i % side]);
                    // Half a step is rounding; the rest is what floats of 32 bits lose.
                    assert!((sample - expected).abs() <= 0.51, "{side}: {sample} {expected}");
                }
            }
        }
    }
}
