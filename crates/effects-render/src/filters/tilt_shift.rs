//! [`tilt_shift`]: the filter `tilt_shift <middle> <reach> <radius>` of a scene, which keeps a
//! photo sharp in a band and blurs it above and below. `apply` in `filters/mod.rs` calls it.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster;
use crate::scene::SceneError;

pub(super) fn tilt_shift(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let middle = arguments.number(0, 0.5)?;
    let reach = arguments.number(1, 0.2)?.max(0.01);
    let radius = arguments.number(2, 12.0)?;
    // Two blurs are mixed by rows: a blur of its own for each row would cost as many blurs as rows.
    let soft = raster::blur(pixmap, radius * 0.4);
    let softer = raster::blur(pixmap, radius);
    let (width, height) = (pixmap.width() as usize, pixmap.height() as f32);
    let rows = soft.data().chunks_exact(width * 4).zip(softer.data().chunks_exact(width * 4));
    for (y, (row, (soft, softer))) in
        pixmap.data_mut().chunks_exact_mut(width * 4).zip(rows).enumerate()
    {
        let away = ((y as f32 / height - middle).abs() / reach - 0.6).clamp(0.0, 2.0);
        mix(row, soft, away.min(1.0));
        mix(row, softer, (away - 1.0).max(0.0));
    }
    Ok(())
}

fn mix(row: &mut [u8], other: &[u8], share: f32) {
    let share = (share * 256.0) as i32;
    if share == 0 {
        return;
    }
    for (value, &other) in row.iter_mut().zip(other) {
        let old = i32::from(*value);
        *value = (old + (((i32::from(other) - old) * share) >> 8)) as u8;
    }
}
