//! `blur <radius>`

use resvg::tiny_skia::Pixmap;

use super::Arguments;
use crate::raster;
use crate::scene::Fault;

pub(super) fn blur(pixmap: &mut Pixmap, arguments: &Arguments<'_>) -> Result<(), Fault> {
    *pixmap = raster::blur(pixmap, arguments.number(0, 8.0)?);
    Ok(())
}
