//! [`duotone`]: the filter `duotone <dark> <…> <light>` of a scene, which gives each brightness of
//! a photo its colour on a gradient. `apply` in `filters/mod.rs` calls it.

use resvg::tiny_skia::Pixmap;

use super::{FilterArguments, grade};
use crate::raster::luma;
use crate::scene::SceneError;

pub(super) fn duotone(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let stops = arguments.colours(0)?;
    if stops.len() < 2 {
        return Err(SceneError::new("filter duotone: two colours at least".to_owned()));
    }
    let (low, high) = grade::luma_range(pixmap, 0.015);
    // No less: a picture of almost one brightness would be stretched to its noise.
    let reach = (high - low).max(40.0);
    let ramp: [[u8; 3]; 256] = std::array::from_fn(|i| {
        let at = ((i as f32 - low) / reach).clamp(0.0, 1.0) * (stops.len() - 1) as f32;
        // The brightest pixel ends the last piece of the gradient, and begins none.
        let index = (at as usize).min(stops.len() - 2);
        let part = at - index as f32;
        std::array::from_fn(|channel| {
            let a = f32::from(stops[index][channel]);
            let b = f32::from(stops[index + 1][channel]);
            (a + (b - a) * part) as u8
        })
    });
    for pixel in pixmap.data_mut().chunks_exact_mut(4) {
        let tone = ramp[luma(pixel) as usize];
        pixel[..3].copy_from_slice(&tone);
    }
    Ok(())
}
