//! [`relief`]: the filter `relief <depth> <reach>` of a scene, which lights a photo from the top left as
//! a surface whose height is its brightness. `apply` in `filters/mod.rs` calls it; the filters `felt`
//! and `figure` call [`light`], with heights of their own.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster::luma;
use crate::scene::SceneError;
use crate::tiles::brighten_row;

pub(super) fn relief(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let depth = arguments.number(0, 1.0)?;
    let reach = arguments.number(1, 2.0)?.max(1.0) as usize;
    let height: Vec<u8> = pixmap.data().chunks_exact(4).map(|p| luma(p) as u8).collect();
    light(pixmap, &height, depth, reach);
    Ok(())
}

/// Lights a picture by a height map of the same size.
pub(super) fn light(pixmap: &mut Pixmap, height: &[u8], depth: f32, reach: usize) {
    let (width, rows) = (pixmap.width() as usize, pixmap.height() as usize);
    let depth = (depth * 256.0) as i32;
    let reach = reach.min(width - 1);
    let mut changes = vec![0; width];
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        let above = &height[y.saturating_sub(reach) * width..][..width];
        let below = &height[(y + reach).min(rows - 1) * width..][..width];
        for (x, change) in changes.iter_mut().enumerate() {
            let towards = i32::from(above[x.saturating_sub(reach)]);
            let away = i32::from(below[(x + reach).min(width - 1)]);
            // A slope that rises away from the light faces it.
            *change = (((away - towards) * depth) >> 8) as i16;
        }
        brighten_row(row, &changes);
    }
}
