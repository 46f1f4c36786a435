//! Resizing of photos and pictures. [`crop_resized`] makes a sharp picture of a part of a photo, for the
//! painter of scenes, contact sheets and thumbnails; [`resize_pixmap`] resizes a whole picture, for the
//! sampler, the cut-out's matte and some filters. `raster.rs` takes resized rows one by one
//! ([`resize_rows`]), and blurs a picture at a fraction of its size ([`shrink`]). [`Shrinking`] reduces a
//! photo while it is decoded (`photo/mod.rs`), [`shrink_rgb`] a decoded one, for the map of `subject.rs`.
//!
//! Separable filters in floats, row by row: a source row is resampled to the wanted width once, kept
//! while it is needed, and the rows that are kept are mixed into one result row after another.
//! Nothing of the full size is held but the result itself, and a caller that only wants to lay
//! the result on something gets it row by row.
//!
//! At first `fast_image_resize` did this. It is generic over every kind of pixel and vector unit, and
//! what of it is used is compiled anew with this crate: over 250 processor seconds for a dev build
//! of the renderer (`opt-level = 2`), against 12 on the day it went and 15 with all that came since
//! (`touch crates/effects-render/src/lib.rs; time cargo build -p effects-render`). The pictures were
//! no better for it.

use resvg::tiny_skia::Pixmap;

use crate::pixels::{Crop, PhotoPixels, new_pixmap};

/// A part of the photo at another size, as an opaque picture.
pub(crate) fn crop_resized(photo: &PhotoPixels, crop: Crop, width: u32, height: u32) -> Pixmap {
    let mut pixmap = new_pixmap(width, height);
    let (columns, rows) = (pixmap.width() as usize, pixmap.height() as usize);
    let across = Axis::new(photo.width, (crop.left, crop.width), columns, 0..columns, &SHARP);
    let down = Axis::new(photo.height, (crop.top, crop.height), rows, 0..rows, &SHARP);
    let data = pixmap.data_mut();
    let source = PixelRows { bytes: &photo.rgb, width: photo.width as usize, channels: 3 };
    resample(&source, &across, &down, &mut |y, row| {
        data[y * columns * 4..][..columns * 4].copy_from_slice(row);
    });
    pixmap
}

/// A picture at another size, smoothly.
pub(crate) fn resize_pixmap(source: &Pixmap, width: u32, height: u32) -> Pixmap {
    let mut pixmap = new_pixmap(width, height);
    let (columns, rows) = (pixmap.width() as usize, pixmap.height() as usize);
    let data = pixmap.data_mut();
    resize_rows(source, (columns, rows), (0..columns, 0..rows), &mut |y, row| {
        data[y * columns * 4..][..columns * 4].copy_from_slice(row);
    });
    pixmap
}

/// The mean of each square of `factor` pixels; what is left over at the edges makes smaller ones.
pub(crate) fn shrink(source: &Pixmap, factor: usize) -> Pixmap {
    let width = source.width() as usize;
    let mut small =
        new_pixmap(source.width().div_ceil(factor as u32), source.height().div_ceil(factor as u32));
    let columns = small.width() as usize;
    // Sixteen bits hold the sum of 257 bytes; no caller shrinks by more than 32.
    let mut sums = vec![0u16; width * 4];
    let bands = source.data().chunks(width * 4 * factor);
    for (band, target) in bands.zip(small.data_mut().chunks_exact_mut(columns * 4)) {
        sums.fill(0);
        for row in band.chunks_exact(width * 4) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += u16::from(value);
            }
        }
        let rows = band.len() / (width * 4);
        for (cell, pixel) in sums.chunks(4 * factor).zip(target.as_chunks_mut::<4>().0) {
            let share = 1.0 / (rows * cell.len() / 4) as f32;
            let mut total = [0u32; 4];
            for values in cell.as_chunks::<4>().0 {
                for (total, &value) in total.iter_mut().zip(values) {
                    *total += u32::from(value);
                }
            }
            *pixel = total.map(|total| to_byte(total as f32 * share));
        }
    }
    small
}

/// Makes a window (columns, rows) of a picture at another size and hands out its rows, RGBA, from
/// the top; the number is the row's place in the whole resized picture.
pub(crate) fn resize_rows(
    source: &Pixmap,
    size: (usize, usize),
    window: (std::ops::Range<usize>, std::ops::Range<usize>),
    take: &mut dyn FnMut(usize, &[u8]),
) {
    let whole = (f64::from(source.width()), f64::from(source.height()));
    let across = Axis::new(source.width(), (0.0, whole.0), size.0, window.0, &SMOOTH);
    let down = Axis::new(source.height(), (0.0, whole.1), size.1, window.1.clone(), &SMOOTH);
    let source = PixelRows { bytes: source.data(), width: source.width() as usize, channels: 4 };
    resample(&source, &across, &down, &mut |y, row| take(window.1.start + y, row));
}

/// The whole photo as RGB bytes of a smaller size.
pub(crate) fn shrink_rgb(photo: &PhotoPixels, width: u32, height: u32) -> Vec<u8> {
    let mut small = Shrinking::new((photo.width, photo.height), (width.max(1), height.max(1)));
    for line in photo.rgb.chunks_exact(photo.width as usize * 3) {
        small.push(line);
    }
    small.finish()
}

/// A resampling filter: how far it reaches in source pixels, and its weight there.
struct Kernel {
    reach: f64,
    weight: fn(f64) -> f64,
}

/// Catmull-Rom.
const SHARP: Kernel = Kernel {
    reach: 2.0,
    weight: |x| {
        let x = x.abs();
        if x < 1.0 {
            (1.5 * x - 2.5) * x * x + 1.0
        } else if x < 2.0 {
            ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        } else {
            0.0
        }
    },
};

/// A straight line from each pixel to the next.
const SMOOTH: Kernel = Kernel { reach: 1.0, weight: |x| (1.0 - x.abs()).max(0.0) };

/// What lies under the pixel, evenly.
const MEAN: Kernel =
    Kernel { reach: 0.5, weight: |x| if (-0.5..0.5).contains(&x) { 1.0 } else { 0.0 } };

/// For each place of the result along one side: which source places count, and how much.
struct Axis {
    /// First source place and number of weights.
    spans: Vec<(usize, usize)>,
    /// `stride` weights for each place, the unused ones behind.
    weights: Vec<f32>,
    stride: usize,
}

impl Axis {
    /// `part` (start, length) of `source` pixels becomes `count` pixels, of which `window` is made.
    fn new(
        source: u32,
        part: (f64, f64),
        count: usize,
        window: std::ops::Range<usize>,
        kernel: &Kernel,
    ) -> Self {
        let source = source as usize;
        let step = part.1 / count as f64;
        // A picture made smaller takes in everything under the larger pixel.
        let pixel_scale = step.max(1.0);
        let reach = kernel.reach * pixel_scale;
        // A window that does not begin on a pixel's edge touches one pixel more than it is long.
        let stride = (2.0 * reach).ceil() as usize + 1;
        let mut axis = Self { spans: Vec::new(), weights: Vec::new(), stride };
        for place in window {
            let middle = part.0 + (place as f64 + 0.5) * step;
            let first = ((middle - reach).floor().max(0.0) as usize).min(source - 1);
            let last = ((middle + reach).ceil().max(1.0) as usize).clamp(first + 1, source);
            axis.add(first, (last - first).min(stride), |at| {
                // A pixel's colour is that of its middle.
                (kernel.weight)((at as f64 + 0.5 - middle) / pixel_scale)
            });
        }
        axis
    }

    fn add(&mut self, first: usize, count: usize, weight: impl Fn(usize) -> f64) {
        // Weights are divided by their sum: at an edge the window is cut, and the
        // result would be darker.
        let sum: f64 = (first..first + count).map(&weight).sum();
        let base = self.weights.len();
        self.weights.resize(base + self.stride, 0.0);
        let slots = &mut self.weights[base..base + count];
        for (i, slot) in slots.iter_mut().enumerate() {
            // A result pixel between two places takes the nearer one whole.
            *slot = if sum.abs() < 1e-9 {
                f64::from(u8::from(i == 0))
            } else {
                weight(first + i) / sum
            } as f32;
        }
        // What weighs nothing at either end is not looked at.
        let before = slots.iter().take_while(|weight| **weight == 0.0).count();
        let after = slots.iter().rev().take_while(|weight| **weight == 0.0).count();
        slots.copy_within(before.., 0);
        self.spans.push((first + before, count - before - after));
    }

    /// The source places that count for anything.
    fn used(&self) -> std::ops::Range<usize> {
        let first = self.spans.iter().map(|(first, _)| *first).min().unwrap_or(0);
        let end = self.spans.iter().map(|(first, count)| first + count).max().unwrap_or(0);
        first..end
    }

    fn weights_of(&self, place: usize) -> &[f32] {
        &self.weights[place * self.stride..][..self.spans[place].1]
    }
}

/// Pixels of three or four bytes.
struct PixelRows<'a> {
    bytes: &'a [u8],
    width: usize,
    channels: usize,
}

/// The two passes over a whole picture; `take` gets each result row with its number.
fn resample(
    source: &PixelRows<'_>,
    across: &Axis,
    down: &Axis,
    take: &mut dyn FnMut(usize, &[u8]),
) {
    let mut passes = Passes::new(across, down, source.width);
    // Of a crop only the rows that it takes something from are read.
    for row in down.used() {
        let line = &source.bytes[row * source.width * source.channels..];
        passes.push(across, down, row, &line[..source.width * source.channels], take);
    }
}

/// What the two passes keep from one source row to the next.
struct Passes {
    /// Resampled source rows, each at its number modulo the count of rows that are needed at once.
    kept: Vec<Vec<f32>>,
    wide: Vec<[f32; 4]>,
    bytes: Vec<u8>,
    used: std::ops::Range<usize>,
    next: usize,
}

impl Passes {
    fn new(across: &Axis, down: &Axis, width: usize) -> Self {
        let columns = across.spans.len();
        Self {
            // One more than a result row needs: a later one may end a row before this one does.
            kept: vec![vec![0.0; columns * 4]; down.stride + 1],
            wide: vec![[0.0; 4]; width],
            bytes: vec![0; columns * 4],
            used: across.used(),
            next: 0,
        }
    }

    /// Takes the source row of this number, and hands out the result rows that end with it.
    fn push(
        &mut self,
        across: &Axis,
        down: &Axis,
        row: usize,
        line: &[u8],
        take: &mut dyn FnMut(usize, &[u8]),
    ) {
        let slots = self.kept.len();
        let channels = line.len() / self.wide.len();
        let part = &line[self.used.start * channels..self.used.end * channels];
        widen(part, channels, &mut self.wide[self.used.clone()]);
        resample_row(&self.wide, across, &mut self.kept[row % slots]);
        while let Some(&(first, count)) = down.spans.get(self.next) {
            // The next result row needs source rows that have not come yet.
            if first + count > row + 1 {
                return;
            }
            let rows: Vec<(&[f32], f32)> = (first..)
                .zip(down.weights_of(self.next))
                .filter(|(_, weight)| **weight != 0.0)
                .map(|(row, &weight)| (self.kept[row % slots].as_slice(), weight))
                .collect();
            mix(&rows, &mut self.bytes);
            take(self.next, &self.bytes);
            self.next += 1;
        }
    }
}

/// Collects the rows of a picture, red, green and blue, as they are decoded, at its own size or a
/// smaller one: the whole picture is never held.
pub(crate) struct Shrinking {
    width: usize,
    row: usize,
    axes: Option<(Axis, Axis, Passes)>,
    rgb: Vec<u8>,
}

impl Shrinking {
    /// Rows of a picture of the first size become one of the second.
    pub(crate) fn new(source: (u32, u32), target: (u32, u32)) -> Self {
        let width = source.0 as usize;
        let (columns, rows) = (target.0.max(1) as usize, target.1.max(1) as usize);
        // At its own size nothing is resampled, and the rows are the picture.
        let axes = (source != target).then(|| {
            let axis =
                |side: u32, count| Axis::new(side, (0.0, f64::from(side)), count, 0..count, &MEAN);
            let (across, down) = (axis(source.0, columns), axis(source.1, rows));
            let passes = Passes::new(&across, &down, width);
            (across, down, passes)
        });
        Self { width, row: 0, axes, rgb: Vec::with_capacity(columns * rows * 3) }
    }

    /// Takes the next row.
    pub(crate) fn push(&mut self, line: &[u8]) {
        debug_assert_eq!(line.len(), self.width * 3);
        let rgb = &mut self.rgb;
        match &mut self.axes {
            None => rgb.extend_from_slice(line),
            Some((across, down, passes)) => {
                passes.push(across, down, self.row, line, &mut |_, row| {
                    let start = rgb.len();
                    rgb.resize(start + row.len() / 4 * 3, 0);
                    let (pixels, _) = rgb[start..].as_chunks_mut::<3>();
                    for (target, pixel) in pixels.iter_mut().zip(row.as_chunks::<4>().0) {
                        target.copy_from_slice(&pixel[..3]);
                    }
                });
            }
        }
        self.row += 1;
    }

    /// The picture, once all rows were pushed.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.rgb
    }
}

/// Bytes to floats; what has no alpha is opaque.
fn widen(line: &[u8], channels: usize, wide: &mut [[f32; 4]]) {
    if channels == 4 {
        for (target, pixel) in wide.iter_mut().zip(line.chunks_exact(4)) {
            *target = [pixel[0], pixel[1], pixel[2], pixel[3]].map(f32::from);
        }
    } else {
        for (target, pixel) in wide.iter_mut().zip(line.chunks_exact(3)) {
            *target = [pixel[0], pixel[1], pixel[2], 255].map(f32::from);
        }
    }
}

fn resample_row(wide: &[[f32; 4]], across: &Axis, target: &mut [f32]) {
    for (x, pixel) in target.chunks_exact_mut(4).enumerate() {
        let (first, count) = across.spans[x];
        let mut sum = [0.0f32; 4];
        for (source, &weight) in wide[first..first + count].iter().zip(across.weights_of(x)) {
            for channel in 0..4 {
                sum[channel] += source[channel] * weight;
            }
        }
        pixel.copy_from_slice(&sum);
    }
}

/// The weighted sum of rows, as bytes.
fn mix(rows: &[(&[f32], f32)], bytes: &mut [u8]) {
    // Blocks of a fixed length, which the compiler makes vector code of.
    let whole = bytes.len() / LANES * LANES;
    for (block, bytes) in bytes[..whole].chunks_exact_mut(LANES).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (row, weight) in rows {
            let values = &row[block * LANES..][..LANES];
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += value * weight;
            }
        }
        for (byte, sum) in bytes.iter_mut().zip(sums) {
            *byte = to_byte(sum);
        }
    }
    for (i, byte) in bytes.iter_mut().enumerate().skip(whole) {
        *byte = to_byte(rows.iter().map(|(row, weight)| row[i] * weight).sum());
    }
}

/// A float to a byte. Adding 2^23 rounds and leaves the whole number in the low bits, which costs
/// the vector unit less than a conversion that has to think of what is no number.
fn to_byte(sum: f32) -> u8 {
    (sum.clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}

/// Floats that are summed side by side.
const LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(width: u32, height: u32) -> PhotoPixels {
        // Neighbours differ, and the values repeat after a prime, which is no row's length.
        let value = |i: u32| (i * 37 % 251) as u8;
        PhotoPixels { width, height, rgb: (0..width * height * 3).map(value).collect() }
    }

    #[test]
    fn the_same_size_gives_the_same_pixels() {
        let photo = steps(23, 17);
        let whole = Crop { left: 0.0, top: 0.0, width: 23.0, height: 17.0 };
        let same = crop_resized(&photo, whole, 23, 17);
        let rgb: Vec<u8> =
            same.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        assert_eq!(rgb, photo.rgb);
        assert_eq!(shrink_rgb(&photo, 23, 17), photo.rgb);
        assert_eq!(resize_pixmap(&same, 23, 17).data(), same.data());
    }

    #[test]
    fn one_colour_stays_itself_at_any_size() {
        let photo = PhotoPixels { width: 9, height: 31, rgb: [200, 3, 77].repeat(9 * 31) };
        for (width, height) in [(1, 1), (2, 90), (64, 3), (9, 31), (40, 40)] {
            let crop = Crop { left: 1.3, top: 2.9, width: 6.2, height: 27.5 };
            let picture = crop_resized(&photo, crop, width, height);
            assert!(picture.data().chunks_exact(4).all(|pixel| pixel == [200, 3, 77, 255]));
            let again = resize_pixmap(&picture, height, width);
            assert!(again.data().chunks_exact(4).all(|pixel| pixel == [200, 3, 77, 255]));
        }
    }

    #[test]
    fn halving_takes_the_mean_of_four() {
        let photo =
            PhotoPixels { width: 2, height: 2, rgb: vec![0, 0, 0, 80, 0, 8, 40, 0, 8, 120, 4, 8] };
        assert_eq!(shrink_rgb(&photo, 1, 1), [60, 1, 6]);
    }

    #[test]
    fn a_window_is_a_piece_of_the_whole() {
        let whole = Crop { left: 0.0, top: 0.0, width: 23.0, height: 17.0 };
        let source = crop_resized(&steps(23, 17), whole, 23, 17);
        let full = resize_pixmap(&source, 60, 50);
        let mut rows = 0;
        resize_rows(&source, (60, 50), (11..29, 5..48), &mut |y, row| {
            assert_eq!(row, &full.data()[(y * 60 + 11) * 4..(y * 60 + 29) * 4]);
            rows += 1;
        });
        assert_eq!(rows, 43);
    }
}
