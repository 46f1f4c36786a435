//! [`Saliency`]: a map of how interesting each part of a photo is: edges, colours unlike the border's, skin
//! tones with features beside them, and nearness to the middle count. [`Saliency::crop`] finds the part of
//! a wanted shape over which the map sums highest; the painter of scenes crops the photo to it. `cutout/`
//! uses [`small_map`], [`skin_likeness`] and [`box_mean`] of this file too.
//!
//! There is no model and no face detector: skin tones that have features in them (eyes, a mouth) count
//! most, the middle counts a little.

use crate::pixels::{Crop, PhotoPixels};
use crate::scale;

/// Where a photo is interesting; at most [`MAP_SIDE`] cells a side.
#[derive(Clone, Debug)]
pub(crate) struct Saliency {
    columns: usize,
    rows: usize,
    /// Photo pixels per cell.
    cell_width: f64,
    cell_height: f64,
    weights: Vec<f32>,
}

impl Saliency {
    pub(crate) fn of(photo: &PhotoPixels) -> Self {
        let (columns, rows, small) = small_map(photo, MAP_SIDE);
        Self {
            columns,
            rows,
            cell_width: f64::from(photo.width) / columns as f64,
            cell_height: f64::from(photo.height) / rows as f64,
            weights: weigh(&small, columns, rows),
        }
    }

    /// The best window of this shape (width over height).
    ///
    /// `zoom` 2 may take as little as half of what would fit, but goes only as close as keeps most
    /// of what matters in the window: a small subject is brought near, a wide one is left whole.
    pub(crate) fn crop(&self, aspect: f64, zoom: f64) -> Crop {
        let total: f32 = self.weights.iter().sum();
        let zoom = zoom.max(1.0);
        let mut crop = self.crop_at(aspect, zoom);
        // From the closest view outwards, until enough is in it.
        for step in 1..=ZOOM_STEPS {
            if self.weight_inside(crop) >= total * KEPT_SHARE {
                break;
            }
            crop =
                self.crop_at(aspect, zoom + (1.0 - zoom) * f64::from(step) / f64::from(ZOOM_STEPS));
        }
        crop
    }

    fn crop_at(&self, aspect: f64, zoom: f64) -> Crop {
        let full_width = self.columns as f64 * self.cell_width;
        let full_height = self.rows as f64 * self.cell_height;
        let fitting = full_width.min(full_height * aspect);
        // A photo may be a single pixel wide.
        let width = (fitting / zoom).max(1.0).min(full_width);
        let height = (fitting / aspect / zoom).max(1.0).min(full_height);
        let columns = (width / self.cell_width).round().clamp(1.0, self.columns as f64) as usize;
        let rows = (height / self.cell_height).round().clamp(1.0, self.rows as f64) as usize;
        let (column, row) = self.best_window(columns, rows);
        Crop {
            left: (column * self.cell_width).clamp(0.0, full_width - width),
            top: (row * self.cell_height).clamp(0.0, full_height - height),
            width,
            height,
        }
    }

    fn weight_inside(&self, crop: Crop) -> f32 {
        let cell = |at: f64, size: f64, count: usize| ((at / size).round() as usize).min(count);
        let left = cell(crop.left, self.cell_width, self.columns);
        let right = cell(crop.left + crop.width, self.cell_width, self.columns);
        let top = cell(crop.top, self.cell_height, self.rows);
        let bottom = cell(crop.top + crop.height, self.cell_height, self.rows);
        (top..bottom)
            .flat_map(|row| &self.weights[row * self.columns + left..row * self.columns + right])
            .sum()
    }

    /// Top left of the heaviest window, in cells.
    ///
    /// Each cell counts more the nearer it lies to the window's middle (a little above it, where
    /// faces sit), so that the subject is centred and not merely contained.
    fn best_window(&self, columns: usize, rows: usize) -> (f64, f64) {
        let mut best = (0.0, 0.0);
        let mut best_score = f32::MIN;
        let across: Vec<f32> = (0..columns).map(|i| bump(i, columns, 0.5)).collect();
        let down: Vec<f32> = (0..rows).map(|i| bump(i, rows, 0.44)).collect();
        // Sum along rows first: one pass for each horizontal offset.
        for left in 0..=self.columns - columns {
            let row_sums: Vec<f32> = (0..self.rows)
                .map(|row| {
                    let line = &self.weights[row * self.columns + left..][..columns];
                    line.iter().zip(&across).map(|(weight, bump)| weight * bump).sum()
                })
                .collect();
            for top in 0..=self.rows - rows {
                let window = &row_sums[top..top + rows];
                let score: f32 = window.iter().zip(&down).map(|(sum, bump)| sum * bump).sum();
                if score > best_score {
                    best_score = score;
                    best = (left as f64, with_headroom(&row_sums, top, rows) as f64);
                }
            }
        }
        best
    }
}

/// A higher top edge where the chosen one cuts through something, such as hair: at most an eighth of
/// the window higher.
fn with_headroom(row_sums: &[f32], top: usize, rows: usize) -> usize {
    let mean = row_sums[top..top + rows].iter().sum::<f32>() / rows as f32;
    let highest = top.saturating_sub(rows.div_ceil(8));
    (highest..=top).rev().find(|&row| row_sums[row] < mean * CLEAR_SHARE).unwrap_or(highest)
}

/// A photo's colours on a map with this many cells along the longer side: columns, rows, RGB.
pub(crate) fn small_map(photo: &PhotoPixels, max_side: f64) -> (usize, usize, Vec<u8>) {
    let side = f64::from(photo.width.max(photo.height));
    let cells = |own: u32| (f64::from(own) / side * max_side).round().max(1.0) as u32;
    let (columns, rows) = (cells(photo.width), cells(photo.height));
    let sparse = sparse(photo);
    let rgb = scale::shrink_rgb(sparse.as_ref().unwrap_or(photo), columns, rows);
    (columns as usize, rows as usize, rgb)
}

/// One at `middle`, falling with the square of the distance, to a fifth at least.
fn bump(i: usize, count: usize, middle: f32) -> f32 {
    let at = (i as f32 + 0.5) / count as f32 - middle;
    (1.0 - 2.6 * at * at).max(0.2)
}

/// Every so-many-th pixel of a large photo: a few dozen of them are enough for a cell's colour.
fn sparse(photo: &PhotoPixels) -> Option<PhotoPixels> {
    let stride = photo.width.max(photo.height) as usize / SPARSE_SIDE;
    if stride < 2 {
        return None;
    }
    // From the middle of each square.
    let places = |side: u32| (stride / 2..side as usize).step_by(stride);
    let mut rgb = Vec::new();
    for y in places(photo.height) {
        let row = &photo.rgb[y * photo.width as usize * 3..][..photo.width as usize * 3];
        for x in places(photo.width) {
            rgb.extend_from_slice(&row[x * 3..x * 3 + 3]);
        }
    }
    let (width, height) = (places(photo.width).count(), places(photo.height).count());
    (width > 0 && height > 0).then_some(PhotoPixels {
        width: width as u32,
        height: height as u32,
        rgb,
    })
}

fn weigh(rgb: &[u8], columns: usize, rows: usize) -> Vec<f32> {
    let luma: Vec<f32> = rgb.chunks_exact(3).map(luminance).collect();
    let edges = edge_map(&luma, columns, rows);
    let near_edges = box_mean(&edges, columns, rows, 2);
    let border = border_colour(rgb, columns, rows);
    let mut weights = vec![0.0; columns * rows];
    for (i, pixel) in rgb.chunks_exact(3).enumerate() {
        let unlike: f32 = pixel.iter().zip(&border).map(|(&c, b)| (f32::from(c) - b).abs()).sum();
        let x = (i % columns) as f32 / columns as f32 - 0.5;
        let y = (i / columns) as f32 / rows as f32 - 0.45;
        let centre = (1.0 - 1.6 * (x * x + y * y)).max(0.2);
        // Skin without features beside it may be a wall of that colour.
        let features = (near_edges[i] / 24.0).min(1.0);
        weights[i] = centre
            * (edges[i] * 0.35 + unlike * 0.06 + skin_likeness(pixel) * 46.0 * (0.15 + features));
    }
    let smooth = box_mean(&weights, columns, rows, 2);
    // Squared: a small strong subject beats a large faint pattern.
    smooth.iter().map(|weight| weight * weight / 40.0).collect()
}

fn luminance(pixel: &[u8]) -> f32 {
    0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
}

/// How much a colour looks like skin of any tone, in 0..=1 (the usual box in Cb and Cr, softened).
pub(crate) fn skin_likeness(pixel: &[u8]) -> f32 {
    let luma = luminance(pixel);
    let cb = 0.564 * (f32::from(pixel[2]) - luma);
    let cr = 0.713 * (f32::from(pixel[0]) - luma);
    let inside = |value: f32, middle: f32, reach: f32| {
        (1.0 - ((value - middle).abs() / reach).powi(4)).max(0.0)
    };
    let bright = ((luma - 35.0) / 40.0).clamp(0.0, 1.0);
    inside(cb, -18.0, 20.0) * inside(cr, 22.0, 17.0) * bright
}

fn edge_map(luma: &[f32], columns: usize, rows: usize) -> Vec<f32> {
    let at = |x: usize, y: usize| luma[y.min(rows - 1) * columns + x.min(columns - 1)];
    (0..columns * rows)
        .map(|i| {
            let (x, y) = (i % columns, i / columns);
            let dx = at(x + 1, y) - at(x.saturating_sub(1), y);
            let dy = at(x, y + 1) - at(x, y.saturating_sub(1));
            (dx * dx + dy * dy).sqrt().min(120.0)
        })
        .collect()
}

fn border_colour(rgb: &[u8], columns: usize, rows: usize) -> [f32; 3] {
    let mut sum = [0.0f32; 3];
    let mut count = 0.0;
    for (i, pixel) in rgb.chunks_exact(3).enumerate() {
        let (x, y) = (i % columns, i / columns);
        if x < 2 || y < 2 || x + 2 >= columns || y + 2 >= rows {
            for (total, &channel) in sum.iter_mut().zip(pixel) {
                *total += f32::from(channel);
            }
            count += 1.0;
        }
    }
    sum.map(|total| total / f32::max(count, 1.0))
}

/// Mean over a square of this radius.
pub(crate) fn box_mean(map: &[f32], columns: usize, rows: usize, radius: usize) -> Vec<f32> {
    let mut across = vec![0.0; map.len()];
    for (from, to) in map.chunks_exact(columns).zip(across.chunks_exact_mut(columns)) {
        // Sums of 64 bits, so that what is added and taken away along a row leaves no error.
        let mut sum: f64 = from[..radius.min(columns)].iter().map(|&value| f64::from(value)).sum();
        for (i, mean) in to.iter_mut().enumerate() {
            if let Some(&enters) = from.get(i + radius) {
                sum += f64::from(enters);
            }
            if let Some(leaves) = i.checked_sub(radius + 1) {
                sum -= f64::from(from[leaves]);
            }
            *mean = (sum / span(i, columns, radius)) as f32;
        }
    }
    let row = |y: usize| &across[y * columns..][..columns];
    let mut sums = vec![0.0f64; columns];
    let add = |sums: &mut [f64], y: usize, sign: f64| {
        for (sum, &value) in sums.iter_mut().zip(row(y)) {
            *sum += sign * f64::from(value);
        }
    };
    (0..radius.min(rows)).for_each(|y| add(&mut sums, y, 1.0));
    let mut result = Vec::with_capacity(map.len());
    for y in 0..rows {
        if y + radius < rows {
            add(&mut sums, y + radius, 1.0);
        }
        if let Some(leaves) = y.checked_sub(radius + 1) {
            add(&mut sums, leaves, -1.0);
        }
        let span = span(y, rows, radius);
        result.extend(sums.iter().map(|sum| (sum / span) as f32));
    }
    result
}

/// How many of `count` values lie at most `radius` from the one at `i`.
fn span(i: usize, count: usize, radius: usize) -> f64 {
    ((i + radius).min(count - 1) - i.saturating_sub(radius) + 1) as f64
}

/// How much of the weight a close crop must keep.
const KEPT_SHARE: f32 = 0.7;
const ZOOM_STEPS: u32 = 10;

/// A row with less than this share of the window's mean is clear ground.
const CLEAR_SHARE: f32 = 0.12;

/// Photos up to about this side are looked at pixel by pixel.
const SPARSE_SIDE: usize = 384;

/// Cells along the longer side.
const MAP_SIDE: f64 = 64.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_with_spot(width: u32, height: u32, spot: (u32, u32)) -> PhotoPixels {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let near = x.abs_diff(spot.0) < 20 && y.abs_diff(spot.1) < 20;
                // Skin with dark features on a grey ground, as a small face would be.
                let dark = near && (x / 6 + y / 6) % 3 == 0;
                let colour = if dark {
                    [60, 40, 30]
                } else if near {
                    [220, 170, 140]
                } else {
                    [120, 130, 140]
                };
                rgb.extend_from_slice(&colour);
            }
        }
        PhotoPixels { width, height, rgb }
    }

    #[test]
    fn a_crop_keeps_the_subject_wherever_it_is() {
        for spot in [(30, 30), (370, 30), (200, 260), (30, 270)] {
            let photo = plain_with_spot(400, 300, spot);
            let saliency = Saliency::of(&photo);
            for aspect in [0.25, 1.0, 4.0] {
                let crop = saliency.crop(aspect, 1.0);
                let (x, y) = (f64::from(spot.0), f64::from(spot.1));
                assert!(
                    x >= crop.left
                        && x <= crop.left + crop.width
                        && y >= crop.top
                        && y <= crop.top + crop.height,
                    "{spot:?} {aspect} {crop:?}"
                );
                assert!((crop.width / crop.height - aspect).abs() < 0.01);
            }
        }
    }

    #[test]
    fn a_crop_stays_inside_tiny_and_thin_photos() {
        for (width, height) in [(1, 1), (1, 900), (900, 1), (3, 5)] {
            let photo =
                PhotoPixels { width, height, rgb: vec![90; width as usize * height as usize * 3] };
            let crop = Saliency::of(&photo).crop(4.0, 1.5);
            assert!(crop.left >= 0.0 && crop.left + crop.width <= f64::from(width) + 1e-6);
            assert!(crop.top >= 0.0 && crop.top + crop.height <= f64::from(height) + 1e-6);
        }
    }
}
