//! [`halftone`]: the filter `halftone <cell> <strength> <colour>` of a scene, which prints dots over a
//! picture (a photo, a layer or the canvas), larger where it is darker. `apply` in `filters/mod.rs` calls
//! it.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster::luma;
use crate::scene::SceneError;

pub(super) fn halftone(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let cell = arguments.number(0, 12.0)?.max(3.0);
    let strength = (arguments.number(1, 0.5)? * 256.0) as i32;
    let colour = arguments.colour(2, [30, 20, 60])?.map(i32::from);
    let width = pixmap.width() as usize;
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            // The grid is turned by 45 degrees.
            let (across, down) = ((x + y) as f32 * 0.707, (x as f32 - y as f32) * 0.707);
            let dx = across.rem_euclid(cell) - cell * 0.5;
            let dy = down.rem_euclid(cell) - cell * 0.5;
            let darkness = 1.0 - luma(pixel) as f32 / 255.0;
            // The root, since a dot darkens by its area. At black dots run into each other, and
            // less one pixel the smallest vanish, which keeps bright parts clean.
            let radius = cell * 0.62 * darkness.sqrt() - 1.0;
            let inside = (radius - (dx * dx + dy * dy).sqrt() + 0.5).clamp(0.0, 1.0);
            let cover = (inside * strength as f32) as i32;
            for (value, ink) in pixel[..3].iter_mut().zip(colour) {
                let old = i32::from(*value);
                *value = (old + (((ink - old) * cover) >> 8)) as u8;
            }
        }
    }
    Ok(())
}
