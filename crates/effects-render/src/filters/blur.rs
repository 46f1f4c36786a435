//! [`blur`]: the filter `blur <radius>` of a scene, which blurs a picture evenly, with `raster::blur`.
//! `apply` in `filters/mod.rs` calls it.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster;
use crate::scene::SceneError;

pub(super) fn blur(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    *pixmap = raster::blur(pixmap, arguments.number(0, 8.0)?);
    Ok(())
}
