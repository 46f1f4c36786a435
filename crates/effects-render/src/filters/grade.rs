//! The filters `grade` (brightness, contrast, saturation, warmth), `stretch` (the darkest pixels to
//! black, the brightest to white), `tint` (a colour mixed in) and `vignette` (corners that fade) of a
//! scene. `apply` in `filters/mod.rs` calls them; `dither` and `duotone` call [`luma_range`].

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::raster::luma;
use crate::scene::SceneError;

/// `grade <brightness> <contrast> <saturation> <warmth>`: -1..1, factor, factor, -1..1.
pub(super) fn grade(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let brightness = arguments.number(0, 0.0)? * 255.0;
    let contrast = arguments.number(1, 1.0)?;
    let saturation = (arguments.number(2, 1.0)? * 256.0) as i32;
    let warmth = arguments.number(3, 0.0)? * 60.0;
    // A table for each channel, so that no pixel is computed anew.
    let curve = |shift: f32| -> [u8; 256] {
        std::array::from_fn(|i| {
            ((i as f32 - 128.0) * contrast + 128.0 + brightness + shift).clamp(0.0, 255.0) as u8
        })
    };
    let curves = [curve(warmth), curve(warmth * 0.25), curve(-warmth)];
    for pixel in pixmap.data_mut().chunks_exact_mut(4) {
        let grey = luma(pixel) as i32;
        for channel in 0..3 {
            let pure = grey + (((i32::from(pixel[channel]) - grey) * saturation) >> 8);
            pixel[channel] = curves[channel][pure.clamp(0, 255) as usize];
        }
    }
    Ok(())
}

/// `stretch <share>`: the darkest and the brightest share of pixels become black and white.
pub(super) fn stretch(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let share = arguments.number(0, 0.01)?;
    let (low, high) = luma_range(pixmap, share);
    // A photo that is dim or pale on purpose stays a little so.
    let (low, high) = (low.min(48.0), high.max(200.0));
    let curve: [u8; 256] = std::array::from_fn(|i| {
        // No less: a picture of almost one brightness would be stretched to its noise.
        ((i as f32 - low) * 255.0 / (high - low).max(24.0)).clamp(0.0, 255.0) as u8
    });
    for pixel in pixmap.data_mut().chunks_exact_mut(4) {
        for channel in &mut pixel[..3] {
            *channel = curve[usize::from(*channel)];
        }
    }
    Ok(())
}

/// Brightness below and above which lies this share of the pixels.
pub(super) fn luma_range(pixmap: &Pixmap, share: f32) -> (f32, f32) {
    let mut counts = [0u32; 256];
    for pixel in pixmap.data().chunks_exact(4) {
        counts[luma(pixel) as usize] += 1;
    }
    let wanted = (counts.iter().sum::<u32>() as f32 * share) as u32;
    let mut seen = 0;
    let low = counts.iter().position(|count| {
        seen += count;
        seen > wanted
    });
    seen = 0;
    let high = counts.iter().rposition(|count| {
        seen += count;
        seen > wanted
    });
    (low.unwrap_or(0) as f32, high.unwrap_or(255) as f32)
}

/// `tint <colour> <amount>`: mixes a colour in, keeping light and dark.
pub(super) fn tint(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    let colour = arguments.colour(0, [255, 220, 180])?.map(i32::from);
    let amount = (arguments.number(1, 0.3)? * 256.0) as i32;
    // Black has no brightness to divide by.
    let own = luma(&colour.map(|c| c as u8)).max(1) as i32;
    for pixel in pixmap.data_mut().chunks_exact_mut(4) {
        let grey = luma(pixel) as i32;
        for channel in 0..3 {
            let value = i32::from(pixel[channel]);
            let toned = (grey * colour[channel] / own).min(255);
            pixel[channel] = (value + (((toned - value) * amount) >> 8)).clamp(0, 255) as u8;
        }
    }
    Ok(())
}

/// `vignette <amount> <colour>`: the corners fade towards a colour.
pub(super) fn vignette(
    pixmap: &mut Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<(), SceneError> {
    let amount = arguments.number(0, 0.4)?;
    let colour = arguments.colour(1, [0, 0, 0])?;
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let square = |i: usize, count: usize| {
        let at = (i as f32 + 0.5) / count as f32 * 2.0 - 1.0;
        at * at
    };
    let across: Vec<f32> = (0..width).map(|x| square(x, width)).collect();
    let colour: [i16; 16] =
        std::array::from_fn(|i| if i % 4 == 3 { 255 } else { colour[i % 4] as i16 });
    // A whole number of blocks of four pixels, also where the row ends within one.
    let mut fades = vec![0i16; width.next_multiple_of(4)];
    for (y, row) in pixmap.data_mut().chunks_exact_mut(width * 4).enumerate() {
        let down = square(y, height);
        for (fade, across) in fades.iter_mut().zip(&across) {
            let away = (across + down) * 0.5;
            *fade = (away * away * amount * 256.0).min(256.0) as i16;
        }
        let fade = |pixels: &mut [u8], fades: [i16; 4]| {
            let factors: [i16; 16] = std::array::from_fn(|i| fades[i / 4] << 4);
            for ((byte, factor), colour) in pixels.iter_mut().zip(factors).zip(colour) {
                let value = i16::from(*byte);
                let change = (i32::from((colour - value) << 4) * i32::from(factor)) >> 16;
                *byte = (value + change as i16) as u8;
            }
        };
        let (fours, last) = fades.split_at(width / 4 * 4);
        let (pixels, tail) = row.as_chunks_mut::<16>();
        for (pixels, fades) in pixels.iter_mut().zip(fours.as_chunks::<4>().0) {
            fade(pixels, *fades);
        }
        if let Some(fades) = last.first_chunk::<4>() {
            fade(tail, *fades);
        }
    }
    Ok(())
}
