//! [`palette`]: the filter `palette <colours> <saturation> <pastel>` of a scene, which shows a photo in a
//! few of its own colours. [`Palette`] finds these colours by clustering the photo's pixels, and tells
//! which of them is nearest to any colour. `apply` in `filters/mod.rs` calls the filter; the filters
//! `voxel`, `felt` and `isometric` make a `Palette`, too.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::scene::SceneError;

/// A small set of colours with a table that answers at once which one is nearest.
#[derive(Debug)]
pub(crate) struct Palette {
    pub(crate) colours: Vec<[u8; 3]>,
    /// Index of the nearest colour for each of 32 x 32 x 32 cells.
    nearest: Vec<u8>,
}

impl Palette {
    /// Clusters a picture's pixels (a sample of them) into at most `count` colours.
    pub(crate) fn of(pixmap: &Pixmap, count: usize) -> Self {
        let pixels = pixmap.data().len() / 4;
        let stride = (pixels / SAMPLES).max(1);
        let samples: Vec<[f32; 3]> = pixmap
            .data()
            .chunks_exact(4)
            .step_by(stride)
            .map(|pixel| [f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2])])
            .collect();
        Self::from_colours(cluster(&samples, count.clamp(2, 64)))
    }

    pub(crate) fn from_colours(colours: Vec<[u8; 3]>) -> Self {
        let nearest = (0..32usize * 32 * 32)
            .map(|cell| {
                // The middle of the cell stands for all 512 colours in it.
                let colour = [cell >> 10, cell >> 5 & 31, cell & 31].map(|v| v as f32 * 8.0 + 4.0);
                nearest_of(&colours, colour) as u8
            })
            .collect();
        Self { colours, nearest }
    }

    /// Index of the colour nearest to this one.
    #[inline]
    pub(crate) fn index(&self, red: u8, green: u8, blue: u8) -> usize {
        let cell =
            usize::from(red >> 3) << 10 | usize::from(green >> 3) << 5 | usize::from(blue >> 3);
        usize::from(self.nearest[cell])
    }

    /// Moves every colour away from grey by a factor and towards white by a share.
    pub(crate) fn graded(mut self, saturation: f32, pastel: f32) -> Self {
        for colour in &mut self.colours {
            let grey = 0.3 * f32::from(colour[0])
                + 0.59 * f32::from(colour[1])
                + 0.11 * f32::from(colour[2]);
            for channel in colour {
                let pure = grey + (f32::from(*channel) - grey) * saturation;
                *channel = (pure + (255.0 - pure) * pastel).clamp(0.0, 255.0) as u8;
            }
        }
        self
    }
}

/// `palette <colours> <saturation> <pastel>`
pub(super) fn palette(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let own = Palette::of(pixmap, arguments.number(0, 16.0)? as usize);
    let indices: Vec<usize> =
        pixmap.data().chunks_exact(4).map(|p| own.index(p[0], p[1], p[2])).collect();
    // Only after the nearest colours were found: those are the photo's own.
    let graded = own.graded(arguments.number(1, 1.0)?, arguments.number(2, 0.0)?);
    for (pixel, index) in pixmap.data_mut().chunks_exact_mut(4).zip(indices) {
        pixel[..3].copy_from_slice(&graded.colours[index]);
    }
    Ok(())
}

/// K-means, started from the colours farthest from each other: the same samples always give the
/// same clusters.
fn cluster(samples: &[[f32; 3]], count: usize) -> Vec<[u8; 3]> {
    let mut centres = farthest(samples, count);
    for _ in 0..6 {
        let mut sums = vec![([0.0f32; 3], 0.0f32); centres.len()];
        for sample in samples {
            let (sum, members) = &mut sums[nearest_centre(&centres, *sample)];
            for (total, value) in sum.iter_mut().zip(sample) {
                *total += value;
            }
            *members += 1.0;
        }
        for (centre, (sum, members)) in centres.iter_mut().zip(sums) {
            // A centre that is nearest to no sample stays where it is.
            if members > 0.0 {
                *centre = sum.map(|total| total / members);
            }
        }
    }
    centres.iter().map(|centre| centre.map(|value| value.clamp(0.0, 255.0) as u8)).collect()
}

fn farthest(samples: &[[f32; 3]], count: usize) -> Vec<[f32; 3]> {
    let mut centres = vec![samples.first().copied().unwrap_or_default()];
    let mut distances: Vec<f32> = samples.iter().map(|s| distance(*s, centres[0])).collect();
    while centres.len() < count {
        let best = (0..samples.len())
            .max_by(|&a, &b| distances[a].total_cmp(&distances[b]))
            // Colours that look the same make no centre of their own.
            .filter(|&i| distances[i] > 1.0);
        let Some(best) = best else { break };
        let centre = samples[best];
        centres.push(centre);
        for (known, sample) in distances.iter_mut().zip(samples) {
            *known = known.min(distance(*sample, centre));
        }
    }
    centres
}

fn nearest_centre(centres: &[[f32; 3]], colour: [f32; 3]) -> usize {
    let mut best = (0, f32::MAX);
    for (index, centre) in centres.iter().enumerate() {
        let apart = distance(*centre, colour);
        if apart < best.1 {
            best = (index, apart);
        }
    }
    best.0
}

fn nearest_of(colours: &[[u8; 3]], colour: [f32; 3]) -> usize {
    let mut best = (0, f32::MAX);
    for (index, candidate) in colours.iter().enumerate() {
        let apart = distance(candidate.map(f32::from), colour);
        if apart < best.1 {
            best = (index, apart);
        }
    }
    best.0
}

/// Hue counts for more than lightness: a highlight on skin belongs to the skin, not to a grey wall
/// of the same brightness.
fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let (red, green, blue) = (a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    let light = 0.3 * red + 0.59 * green + 0.11 * blue;
    let (warm, cold) = (red - light, blue - light);
    light * light + 2.5 * (warm * warm + cold * cold)
}

const SAMPLES: usize = 3000;
