//! [`dither`]: the filter `dither <cell> <gap> <dark> <…> <light>` of a scene, which turns a photo
//! into square dots of a few tones, as a small screen shows. `apply` in `filters/mod.rs` calls it.

use resvg::tiny_skia::Pixmap;

use super::{FilterArguments, grade};
use crate::raster::luma;
use crate::scale;
use crate::scene::SceneError;

pub(super) fn dither(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let cell = arguments.number(0, 6.0)?.round().max(1.0) as usize;
    let gap = arguments.number(1, 0.15)?;
    let tones = arguments.colours(2)?;
    if tones.len() < 2 {
        return Err(SceneError::new("filter dither: two tones at least".to_owned()));
    }
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let (columns, rows) = (width.div_ceil(cell), height.div_ceil(cell));
    let small = scale::resize_pixmap(pixmap, columns as u32, rows as u32);
    let dots = tones_of(&small, tones.len());
    let lightest = tones[tones.len() - 1];
    let gap_pixels =
        if gap > 0.0 { ((cell as f32 * gap).round() as usize).clamp(1, cell) } else { 0 };
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        let dot_row = &dots[y / cell * columns..][..columns];
        let between_rows = cell > 2 && y % cell >= cell - gap_pixels;
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let tone = tones[usize::from(dot_row[x / cell])];
            let between = cell > 2 && (between_rows || x % cell >= cell - gap_pixels);
            for channel in 0..3 {
                // The grid between the dots is lighter than any dot.
                let (dot, light) = (u32::from(tone[channel]), u32::from(lightest[channel]));
                pixel[channel] = if between { (dot * 9 + light * 7) / 16 } else { dot } as u8;
            }
        }
    }
    Ok(())
}

fn tones_of(small: &Pixmap, tones: usize) -> Vec<u8> {
    let (low, high) = grade::luma_range(small, 0.02);
    let columns = small.width() as usize;
    let steps = (tones - 1) as f32;
    small
        .data()
        .chunks_exact(4)
        .enumerate()
        .map(|(i, pixel)| {
            // No less: a picture of almost one brightness would be stretched to its noise.
            let level = ((luma(pixel) as f32 - low) / (high - low).max(30.0)).clamp(0.0, 1.0);
            // In the middle of its sixteenth.
            let threshold = f32::from(BAYER[i / columns % 4][i % columns % 4]) / 16.0 + 1.0 / 32.0;
            (level * steps + threshold).floor().min(steps) as u8
        })
        .collect()
}

/// Thresholds of ordered dithering, in sixteenths.
const BAYER: [[u8; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];
