//! [`PhotoPixels`], a decoded photo, [`Crop`], a rectangle in one, and [`new_pixmap`], an empty picture:
//! the decoder, the resampler (`scale.rs`), the painter of scenes and the filters hand them to each
//! other.

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
