//! [`fit`]: the alpha matte of a [`Cutout`]: how far each pixel of a picture belongs to the subject. A
//! guided filter refines the coarse cells of the cut-out along the picture's own edges. `Cutout::shares`
//! (`mod.rs`) calls it, for the painter of scenes.
//!
//! A guided filter (He, Sun, Tang): within a small square the cover is taken as a linear function
//! of the colour. Its factors are found on a small picture and used on the large one.

use resvg::tiny_skia::Pixmap;

use super::Cutout;
use crate::pixels::Crop;
use crate::scale;
use crate::subject::box_mean;

/// The cover of each pixel, 0..=255, of a picture that shows this crop of the photo.
pub(super) fn fit(cutout: &Cutout, picture: &Pixmap, crop: Crop) -> Vec<u8> {
    let longest = picture.width().max(picture.height());
    let side = |side: u32| if longest > SMALL { (side * SMALL / longest).max(1) } else { side };
    let (columns, rows) = (side(picture.width()), side(picture.height()));
    let small = scale::resize_pixmap(picture, columns, rows);
    let (columns, rows) = (columns as usize, rows as usize);
    // Two cells of the map, in pixels of the small picture.
    let cell = columns as f64 / (crop.width / cutout.map.cell_width);
    let radius = ((cell * 2.0).round() as usize).clamp(2, 12);
    let cover: Vec<f32> = (0..columns * rows)
        .map(|i| {
            let across = ((i % columns) as f64 + 0.5) / columns as f64;
            let down = ((i / columns) as f64 + 0.5) / rows as f64;
            cutout.cover_at(crop.left + across * crop.width, crop.top + down * crop.height)
        })
        .collect();
    let cover = box_mean(&cover, columns, rows, (cell / 2.0).round() as usize);
    let channel = |k: usize| -> Vec<f32> {
        small.data().chunks_exact(4).map(|pixel| f32::from(pixel[k]) / 255.0).collect()
    };
    let guide = [channel(0), channel(1), channel(2)];
    let factors = linear(&guide, &cover, (columns, rows), radius);
    apply(picture, &factors, (columns, rows))
}

/// For each small pixel three factors for its colour, and what is added.
fn linear(
    guide: &[Vec<f32>; 3],
    cover: &[f32],
    (columns, rows): (usize, usize),
    radius: usize,
) -> Vec<[f32; 4]> {
    let mean = |map: &[f32]| box_mean(map, columns, rows, radius);
    let product =
        |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let means = [mean(&guide[0]), mean(&guide[1]), mean(&guide[2])];
    let mean_cover = mean(cover);
    let with_cover: [Vec<f32>; 3] = std::array::from_fn(|k| mean(&product(&guide[k], cover)));
    let pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
    let squares = pairs.map(|(a, b)| mean(&product(&guide[a], &guide[b])));
    let mut maps: [Vec<f32>; 4] = std::array::from_fn(|_| Vec::with_capacity(cover.len()));
    for i in 0..cover.len() {
        let spread_of = |pair: usize| {
            let (a, b) = pairs[pair];
            squares[pair][i] - means[a][i] * means[b][i]
        };
        let [rr, rg, rb, gg, gb, bb] = [0, 1, 2, 3, 4, 5].map(spread_of);
        let (rr, gg, bb) = (rr + SLACK, gg + SLACK, bb + SLACK);
        let [r, g, b] = [0, 1, 2].map(|k| with_cover[k][i] - means[k][i] * mean_cover[i]);
        // The symmetric three by three matrix, inverted.
        let minors = [gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg];
        let determinant = rr * minors[0] + rg * minors[1] + rb * minors[2];
        let factors = [
            (r * minors[0] + g * minors[1] + b * minors[2]) / determinant,
            (r * minors[1] + g * (rr * bb - rb * rb) + b * (rg * rb - rr * gb)) / determinant,
            (r * minors[2] + g * (rg * rb - rr * gb) + b * (rr * gg - rg * rg)) / determinant,
        ];
        let rest = mean_cover[i] - (0..3).map(|k| factors[k] * means[k][i]).sum::<f32>();
        for (map, value) in maps.iter_mut().zip([factors[0], factors[1], factors[2], rest]) {
            map.push(value);
        }
    }
    // A pixel lies in many squares, and takes the mean of their factors.
    let maps = maps.map(|map| mean(&map));
    (0..cover.len()).map(|i| [maps[0][i], maps[1][i], maps[2][i], maps[3][i]]).collect()
}

fn apply(picture: &Pixmap, factors: &[[f32; 4]], (columns, rows): (usize, usize)) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut line = vec![[0.0; 4]; columns];
    let mut covers = Vec::with_capacity(width * height);
    // Where a pixel lies between the middles of two small ones.
    let map_position = |i: usize, count: usize, small: usize| {
        let at = ((i as f32 + 0.5) * small as f32 / count as f32 - 0.5).max(0.0);
        let low = (at as usize).min(small - 1);
        (low, (low + 1).min(small - 1), at - low as f32)
    };
    let mix = |a: &[f32; 4], b: &[f32; 4], part: f32| -> [f32; 4] {
        std::array::from_fn(|k| a[k] + (b[k] - a[k]) * part)
    };
    for (y, row) in picture.data().chunks_exact(width * 4).enumerate() {
        let (above, below, part) = map_position(y, height, rows);
        for (x, mixed) in line.iter_mut().enumerate() {
            *mixed = mix(&factors[above * columns + x], &factors[below * columns + x], part);
        }
        for (x, pixel) in row.as_chunks::<4>().0.iter().enumerate() {
            let (left, right, part) = map_position(x, width, columns);
            let factor = mix(&line[left], &line[right], part);
            let colour = (0..3).map(|k| factor[k] * f32::from(pixel[k])).sum::<f32>() / 255.0;
            let cover = (colour + factor[3] - 0.5) * SHARPER + 0.5;
            covers.push((cover * 255.0).clamp(0.0, 255.0) as u8);
        }
    }
    covers
}

/// Pixels along the small picture's longer side.
const SMALL: u32 = 224;

/// How flat a square may be before its colours say nothing.
const SLACK: f32 = 1e-3;

/// How much steeper the edge becomes than the filter leaves it.
const SHARPER: f32 = 2.0;
