//! [`PhotoPixels`], a decoded photo, [`Crop`], a rectangle in one, and [`new_pixmap`], which makes an
//! empty, transparent picture: what the files of this crate share. The decoder (`photo/mod.rs`) makes
//! [`PhotoPixels`] for painting, scenes, `subject.rs`, the cut-out, the resampler (`scale.rs`) and contact
//! sheets. `subject.rs` makes the [`Crop`] that a scene shows, the cut-out the one around its figure,
//! contact sheets that of the whole photo. Scenes, the resampler, contact sheets, `raster.rs` and some
//! filters begin with [`new_pixmap`].

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
