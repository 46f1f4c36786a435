//! [`ink`]: the filter `ink <strength> <reach>` of a scene, which draws dark contour lines over a photo
//! as in a comic. `apply` in `filters/mod.rs` calls it.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster::{self, luma};
use crate::scene::SceneError;

pub(super) fn ink(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    let strength = arguments.number(0, 1.0)?;
    let reach = arguments.number(1, 2.0)?.max(1.0);
    let narrow = raster::blur(pixmap, reach);
    let wide = raster::blur(pixmap, reach * 3.2);
    let pairs = narrow.data().chunks_exact(4).zip(wide.data().chunks_exact(4));
    for (pixel, (narrow, wide)) in pixmap.data_mut().chunks_exact_mut(4).zip(pairs) {
        // A place darker than what lies round it is a line.
        let darker = luma(wide) as f32 - luma(narrow) as f32 - 5.0;
        let cover = ((darker * strength / 14.0).clamp(0.0, 1.0) * 256.0) as i32;
        if cover > 0 {
            for (value, ink) in pixel[..3].iter_mut().zip(INK) {
                let old = i32::from(*value);
                *value = (old + (((ink - old) * cover) >> 8)) as u8;
            }
        }
    }
    Ok(())
}

const INK: [i32; 3] = [34, 20, 44];
