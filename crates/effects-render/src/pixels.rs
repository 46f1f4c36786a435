//! The types that the files of this crate hand to each other: [`PhotoPixels`], a decoded photo, and
//! [`Crop`], a rectangle in one. The decoder (`photo/mod.rs`) makes [`PhotoPixels`]; painting, scenes, the
//! cut-out, the resampler (`scale.rs`) and contact sheets take them. [`new_pixmap`] makes an empty,
//! transparent picture, with which scenes, the resampler, contact sheets, `raster.rs` and some filters
//! begin.

use resvg::tiny_skia::Pixmap;

/// A decoded photo: opaque RGB, upright.
#[derive(Clone, Debug)]
pub(crate) struct PhotoPixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Three bytes a pixel, rows from the top.
    pub(crate) rgb: Vec<u8>,
}

/// A rectangle in photo pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crop {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A transparent picture; a side of zero counts as one.
#[expect(clippy::expect_used, reason = "no caller asks for a side beyond a few thousand pixels")]
pub(crate) fn new_pixmap(width: u32, height: u32) -> Pixmap {
    Pixmap::new(width.max(1), height.max(1)).expect("a picture of at least one pixel, not huge")
}
