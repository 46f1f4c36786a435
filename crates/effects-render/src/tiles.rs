//! [`Tile`]: a texture (felt, grain, paper, wood, weave, glitter) as a square tile of brightness changes
//! that repeats without a seam. The painter of scenes and the filters `texture` and `felt` lay it over
//! pictures; `felt` and `patchwork` also read single values of it. [`brighten_row`] and [`brighten`], which
//! change the brightness of a row or a pixel, serve the filters `relief`, `voxel` and `patchwork` too.
//!
//! An SVG's own turbulence costs half a second at full size. A tile is made once per process and
//! laid over any surface for a few milliseconds.

use std::sync::OnceLock;

use crate::noise::{NoiseSequence, hash_unit};
use resvg::tiny_skia::Pixmap;

/// A texture: how much brighter or darker each pixel becomes.
#[derive(Debug)]
pub(crate) struct Tile {
    /// `SIDE` rows of `SIDE` values.
    pub(crate) delta: Vec<i8>,
}

impl Tile {
    /// The texture of this name, made at the first use.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let index = MAKERS.iter().position(|(known, _)| *known == name)?;
        Some(TILES[index].get_or_init(|| Self { delta: (MAKERS[index].1)() }))
    }

    /// The value at any pixel of the plane.
    #[inline]
    pub(crate) fn at(&self, x: usize, y: usize) -> i32 {
        i32::from(self.delta[(y % SIDE) * SIDE + x % SIDE])
    }

    /// Lays the texture over an opaque picture.
    pub(crate) fn lay(&self, pixmap: &mut Pixmap, strength: f32, offset: (usize, usize)) {
        let strength = (strength * 256.0) as i32;
        let width = pixmap.width() as usize;
        let mut changes = vec![0; width];
        for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
            self.changes(offset.0, y + offset.1, strength, &mut changes);
            brighten_row(row, &changes);
        }
    }

    /// Lays the texture where `shape`, whose corner lies at `corner`, is opaque.
    pub(crate) fn lay_within(
        &self,
        pixmap: &mut Pixmap,
        strength: f32,
        offset: (usize, usize),
        corner: (usize, usize),
        shape: &Pixmap,
    ) {
        let strength = (strength * 256.0) as i32;
        let (width, columns) = (pixmap.width() as usize, shape.width() as usize);
        let data = pixmap.data_mut();
        let mut changes = vec![0; columns];
        for (y, cover) in shape.data().chunks_exact(columns * 4).enumerate() {
            let start = ((corner.1 + y) * width + corner.0) * 4;
            self.changes(corner.0 + offset.0, corner.1 + y + offset.1, strength, &mut changes);
            for (change, cover) in changes.iter_mut().zip(cover.as_chunks::<4>().0) {
                *change = ((i32::from(*change) * i32::from(cover[3])) >> 8) as i16;
            }
            brighten_row(&mut data[start..start + columns * 4], &changes);
        }
    }

    /// One line of the texture from this place on, as changes of brightness.
    fn changes(&self, x: usize, y: usize, strength: i32, changes: &mut [i16]) {
        let line = self.line(y);
        // Up to the tile's edge first, then whole tiles.
        let (first, mut x) = (changes.len().min(SIDE - x % SIDE), x % SIDE);
        let (head, rest) = changes.split_at_mut(first);
        for part in std::iter::once(head).chain(rest.chunks_mut(SIDE)) {
            for (change, &delta) in part.iter_mut().zip(&line[x..]) {
                *change = ((i32::from(delta) * strength) >> 8) as i16;
            }
            x = 0;
        }
    }

    fn line(&self, y: usize) -> &[i8] {
        &self.delta[(y % SIDE) * SIDE..][..SIDE]
    }
}

/// Changes an opaque pixel's brightness by about `change` of 255, in proportion to the colour but
/// never by nothing: dark cloth has fibres too.
#[inline]
pub(crate) fn brighten(pixel: &mut [u8], change: i32) {
    for channel in &mut pixel[..3] {
        let value = i32::from(*channel);
        *channel = (value + ((change * (value + 90)) >> 8)).clamp(0, 255) as u8;
    }
}

/// [`brighten`] for a row of pixels, four at a time in sixteen bits each.
pub(crate) fn brighten_row(row: &mut [u8], changes: &[i16]) {
    let (pixels, tail) = row.as_chunks_mut::<16>();
    let (fours, last) = changes.as_chunks::<4>();
    for (pixels, changes) in pixels.iter_mut().zip(fours) {
        // Eight bits up, sixteen down again: the vector unit keeps the upper half of a product.
        // Clamped, since the change has to fit into sixteen bits when it is shifted by four.
        let factors: [i16; 16] =
            std::array::from_fn(
                |i| if i % 4 == 3 { 0 } else { changes[i / 4].clamp(-500, 500) << 4 },
            );
        for (byte, factor) in pixels.iter_mut().zip(factors) {
            let value = i16::from(*byte);
            let change = (i32::from(factor) * i32::from((value + 90) << 4)) >> 16;
            *byte = (value + change as i16).clamp(0, 255) as u8;
        }
    }
    for (pixel, &change) in tail.chunks_exact_mut(4).zip(last) {
        brighten(pixel, i32::from(change));
    }
}

type Maker = fn() -> Vec<i8>;

const MAKERS: [(&str, Maker); 6] = [
    ("felt", felt),
    ("grain", grain),
    ("paper", paper),
    ("wood", wood),
    ("weave", weave),
    ("glitter", glitter),
];

static TILES: [OnceLock<Tile>; MAKERS.len()] = [const { OnceLock::new() }; MAKERS.len()];

/// Tangled fibres: thousands of short curved strokes, each a little lighter or darker.
fn felt() -> Vec<i8> {
    let mut field = vec![0.0f32; SIDE * SIDE];
    // A fixed seed: a texture is the same in every process, and so is a picture with it.
    let mut rng = NoiseSequence::new(11);
    for _ in 0..26_000 {
        let mut x = rng.between(0.0, SIDE as f32);
        let mut y = rng.between(0.0, SIDE as f32);
        let mut angle = rng.between(0.0, std::f32::consts::TAU);
        let bend = rng.between(-0.12, 0.12);
        let ink = rng.between(-1.0, 1.0);
        for _ in 0..rng.between(10.0, 34.0) as usize {
            x += angle.cos();
            y += angle.sin();
            angle += bend;
            // A stroke that leaves the tile comes back on the other side, or a seam would show.
            let index = wrap(y) * SIDE + wrap(x);
            field[index] = field[index] * 0.7 + ink;
        }
    }
    for (i, value) in field.iter_mut().enumerate() {
        *value += (hash_unit(i as u32, 3) as f32 - 0.5) * 0.5;
    }
    let soft = soften(&field, 1);
    let clouds = clouds(5, 4);
    normalised(&combine(&[(&soft, 1.0), (&clouds, 0.22)]), 34.0)
}

/// Fine film grain.
fn grain() -> Vec<i8> {
    let raw: Vec<f32> = (0..SIDE * SIDE).map(|i| hash_unit(i as u32, 21) as f32 - 0.5).collect();
    let soft = soften(&raw, 1);
    normalised(&combine(&[(&raw, 0.35), (&soft, 1.0)]), 36.0)
}

/// Laid paper: clouds and fine tooth.
fn paper() -> Vec<i8> {
    let raw: Vec<f32> = (0..SIDE * SIDE).map(|i| hash_unit(i as u32, 31) as f32 - 0.5).collect();
    normalised(&combine(&[(&soften(&raw, 1), 1.4), (&clouds(16, 5), 0.5)]), 34.0)
}

/// Boards grain along x.
fn wood() -> Vec<i8> {
    let sway = clouds(3, 2);
    let mut field = vec![0.0f32; SIDE * SIDE];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let bent = y as f32 + sway[y * SIDE + x] * 26.0;
            let ring = periodic(bent, 64, 1) * 0.9 + periodic(bent, 171, 2) * 0.6;
            let streak = periodic_2d(x as f32, 8, bent, 256, 3) * 0.8;
            field[y * SIDE + x] = ring + streak;
        }
    }
    normalised(&field, 36.0)
}

/// Plain weave: threads over and under.
fn weave() -> Vec<i8> {
    let mut field = vec![0.0f32; SIDE * SIDE];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let over = (x / THREAD + y / THREAD).is_multiple_of(2);
            let (along, across, id) = if over { (x, y, y / THREAD) } else { (y, x, x / THREAD) };
            let round =
                |i: usize| ((i % THREAD) as f32 + 0.5) / THREAD as f32 * std::f32::consts::PI;
            let tone = hash_unit(id as u32, 5 + u32::from(over)) as f32 - 0.5;
            field[y * SIDE + x] =
                round(across).sin() * 1.0 + round(along).sin() * 0.7 + tone * 0.35;
        }
    }
    normalised(&field, 34.0)
}

/// Sparse bright flakes on a dark ground.
fn glitter() -> Vec<i8> {
    let mut field = vec![0.0f32; SIDE * SIDE];
    let cell = 4;
    for y in 0..SIDE {
        for x in 0..SIDE {
            let id = ((y / cell) * (SIDE / cell) + x / cell) as u32;
            let shine = hash_unit(id, 41) as f32;
            let facet = (x % cell + y % cell) as f32 / (2 * cell) as f32;
            field[y * SIDE + x] = shine.powi(5) * (2.2 - facet) + (shine - 0.5) * 0.4;
        }
    }
    normalised(&field, 44.0)
}

fn wrap(value: f32) -> usize {
    (value as i32).rem_euclid(SIDE as i32) as usize
}

/// Periodic noise of one variable, `count` knots a tile.
fn periodic(at: f32, count: usize, seed: u32) -> f32 {
    let scaled = at / SIDE as f32 * count as f32;
    // The last knot is followed by the first, so that the tile's edges fit.
    let knot = scaled.floor();
    let part = smooth(scaled - knot);
    let value =
        |k: f32| hash_unit((k as i32).rem_euclid(count as i32) as u32, 100 + seed) as f32 - 0.5;
    value(knot) * (1.0 - part) + value(knot + 1.0) * part
}

fn periodic_2d(x: f32, columns: usize, y: f32, rows: usize, seed: u32) -> f32 {
    let (sx, sy) = (x / SIDE as f32 * columns as f32, y / SIDE as f32 * rows as f32);
    let (kx, ky) = (sx.floor(), sy.floor());
    let (px, py) = (smooth(sx - kx), smooth(sy - ky));
    let value = |i: f32, j: f32| {
        let column = (i as i32).rem_euclid(columns as i32) as u32;
        let row = (j as i32).rem_euclid(rows as i32) as u32;
        hash_unit(row * columns as u32 + column, 200 + seed) as f32 - 0.5
    };
    let top = value(kx, ky) * (1.0 - px) + value(kx + 1.0, ky) * px;
    let bottom = value(kx, ky + 1.0) * (1.0 - px) + value(kx + 1.0, ky + 1.0) * px;
    top * (1.0 - py) + bottom * py
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Value noise of several octaves, starting with `knots` a side.
fn clouds(knots: usize, octaves: u32) -> Vec<f32> {
    let mut field = vec![0.0; SIDE * SIDE];
    for octave in 0..octaves {
        let count = knots << octave;
        let weight = 0.55f32.powi(octave as i32);
        for y in 0..SIDE {
            for x in 0..SIDE {
                field[y * SIDE + x] +=
                    weight * periodic_2d(x as f32, count, y as f32, count, 7 + octave);
            }
        }
    }
    field
}

fn combine(parts: &[(&[f32], f32)]) -> Vec<f32> {
    (0..SIDE * SIDE).map(|i| parts.iter().map(|(field, weight)| field[i] * weight).sum()).collect()
}

/// Mean over a plus-shaped neighbourhood, wrapping round.
fn soften(field: &[f32], passes: usize) -> Vec<f32> {
    let mut current = field.to_vec();
    for _ in 0..passes {
        current = (0..SIDE * SIDE)
            .map(|i| {
                let (x, y) = (i % SIDE, i / SIDE);
                let left = current[y * SIDE + (x + SIDE - 1) % SIDE];
                let right = current[y * SIDE + (x + 1) % SIDE];
                let up = current[(y + SIDE - 1) % SIDE * SIDE + x];
                let down = current[(y + 1) % SIDE * SIDE + x];
                current[i] * 0.4 + (left + right + up + down) * 0.15
            })
            .collect();
    }
    current
}

/// Zero mean and this standard deviation.
fn normalised(field: &[f32], deviation: f32) -> Vec<i8> {
    let count = field.len() as f32;
    let mean = field.iter().sum::<f32>() / count;
    let actual_deviation =
        (field.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count).sqrt();
    // One measure for all textures, so that a scene's `strength` means about the same for each.
    let scale = deviation / actual_deviation.max(1e-6);
    field.iter().map(|v| ((v - mean) * scale).clamp(-127.0, 127.0) as i8).collect()
}

/// Pixels of a tile's side.
pub(crate) const SIDE: usize = 512;

/// Pixels of a thread in the weave; divides [`SIDE`].
const THREAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_brightened_as_its_pixels_are() {
        let changes: Vec<i16> = (0..23).map(|i| i * 29 - 300).collect();
        let mut row: Vec<u8> = (0..23 * 4).map(|i| (i * 41 % 256) as u8).collect();
        let mut one_by_one = row.clone();
        brighten_row(&mut row, &changes);
        for (pixel, &change) in one_by_one.chunks_exact_mut(4).zip(&changes) {
            brighten(pixel, i32::from(change));
        }
        assert_eq!(row, one_by_one);
    }

    #[test]
    fn a_texture_repeats_without_end() {
        let tile = Tile::named("grain").unwrap();
        let mut changes = vec![0; 3 * SIDE];
        tile.changes(500, 700, 256, &mut changes);
        for (x, change) in changes.iter().enumerate() {
            assert_eq!(i32::from(*change), tile.at(500 + x, 700));
        }
    }

    #[test]
    fn tiles_are_balanced_and_alive() {
        for (name, _) in MAKERS {
            let tile = Tile::named(name).unwrap();
            // All 512 by 512 values.
            let mean = tile.delta.iter().map(|&v| f64::from(v)).sum::<f64>() / 262_144.0;
            let extremes = tile.delta.iter().filter(|v| v.abs() > 20).count();
            assert!(mean.abs() < 6.0, "{name} {mean}");
            assert!(extremes > 10_000, "{name} {extremes}");
        }
        assert!(Tile::named("velvet").is_none());
    }
}
