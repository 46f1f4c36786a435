//! The filters of a scene that work on the shape of a cut-out picture, its alpha: [`figure`] lights its
//! edges as if they were rounded off, [`outline`] puts a rim round it, [`shade`] fills it with one colour,
//! for shadows. `apply` in `filters/mod.rs` calls them.

use resvg::tiny_skia::Pixmap;

use super::{FilterArguments, relief};
use crate::raster::{self, mul};
use crate::scene::SceneError;

/// `figure <roundness> <depth>`: the edges are rounded off and lit from the top left, as those of a
/// solid figure are.
pub(super) fn figure(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let roundness = arguments.number(0, 12.0)?.max(1.0);
    let depth = arguments.number(1, 1.0)?;
    let swollen = raster::blur(pixmap, roundness);
    let height: Vec<u8> = swollen.data().chunks_exact(4).map(|pixel| pixel[3]).collect();
    relief::light(pixmap, &height, depth, (roundness * 0.5).max(1.0) as usize);
    Ok(())
}

/// `outline <width> <colour>`: a rim round the shape, as cut with a little paper left.
pub(super) fn outline(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let width = arguments.number(0, 8.0)?.max(1.0);
    let colour = arguments.colour(1, [255; 3])?;
    let wide = raster::blur(pixmap, width);
    for (pixel, wide) in pixmap.data_mut().chunks_exact_mut(4).zip(wide.data().chunks_exact(4)) {
        let rim = ((i32::from(wide[3]) - 24) * 8).clamp(0, 255) as u32;
        let alpha = mul(rim, 255 - u32::from(pixel[3]));
        for (channel, colour) in pixel[..3].iter_mut().zip(colour) {
            *channel = (u32::from(*channel) + mul(u32::from(colour), alpha)).min(255) as u8;
        }
        pixel[3] = (u32::from(pixel[3]) + alpha).min(255) as u8;
    }
    Ok(())
}

/// `shade <colour>`: the shape in one colour, for shadows.
pub(super) fn shade(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let colour = arguments.colour(0, [0; 3])?;
    for pixel in pixmap.data_mut().chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        for (channel, colour) in pixel[..3].iter_mut().zip(colour) {
            *channel = mul(u32::from(colour), alpha) as u8;
        }
    }
    Ok(())
}
