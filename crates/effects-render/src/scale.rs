//! Resizing, by `fast_image_resize`.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use resvg::tiny_skia::Pixmap;

use crate::photo::Photo;
use crate::raster::new_pixmap;
use crate::subject::Crop;

/// A part of the photo at another size, as an opaque picture.
pub(crate) fn cut(photo: &Photo, crop: Crop, width: u32, height: u32) -> Pixmap {
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(crop.left, crop.top, crop.width, crop.height);
    let rgb =
        resize(&photo.rgb, (photo.width, photo.height), (width, height), PixelType::U8x3, &options);
    let mut pixmap = new_pixmap(width, height);
    for (target, source) in pixmap.data_mut().chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
        target.copy_from_slice(&[source[0], source[1], source[2], 255]);
    }
    pixmap
}

/// The whole photo as RGB bytes of another size.
pub(crate) fn shrink_rgb(photo: &Photo, width: u32, height: u32) -> Vec<u8> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    resize(&photo.rgb, (photo.width, photo.height), (width, height), PixelType::U8x3, &options)
}

/// A picture at another size, smoothly.
pub(crate) fn resize_pixmap(source: &Pixmap, width: u32, height: u32) -> Pixmap {
    let from = (source.width(), source.height());
    // Premultiplied already: the resizer must not do it again.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    let bytes = resize(source.data(), from, (width, height), PixelType::U8x4, &options);
    let mut pixmap = new_pixmap(width, height);
    pixmap.data_mut().copy_from_slice(&bytes);
    pixmap
}

/// Every caller passes a buffer of the size it names, so the only faults the library can report
/// are impossible here; a blank picture would be the answer.
fn resize(
    source: &[u8],
    from: (u32, u32),
    to: (u32, u32),
    kind: PixelType,
    options: &ResizeOptions,
) -> Vec<u8> {
    let mut target = Image::new(to.0.max(1), to.1.max(1), kind);
    if let Ok(source) = ImageRef::new(from.0, from.1, source, kind) {
        let resized = Resizer::new().resize(&source, &mut target, options);
        debug_assert!(resized.is_ok(), "{resized:?}");
    }
    target.into_vec()
}
