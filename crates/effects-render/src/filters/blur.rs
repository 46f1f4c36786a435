//! [`blur`]: the filter `blur <radius>`, an even blur. `apply_all` calls it where a scene names it.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster;
use crate::scene::SceneError;

pub(super) fn blur(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    *pixmap = raster::blur(pixmap, arguments.number(0, 8.0)?);
    Ok(())
}
