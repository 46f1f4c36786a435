//! Pixels: making, blurring and laying pictures over each other.
//!
//! Everything is tiny-skia's `Pixmap` (RGBA, premultiplied). Photos are opaque, so filters treat
//! their bytes as plain colours; only what cuts shapes has to think of alpha.

use resvg::tiny_skia::Pixmap;

use crate::scale;

/// How a picture mixes with what lies under it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Blend {
    #[default]
    Normal,
    Multiply,
    Screen,
    Add,
    Overlay,
}

impl Blend {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "normal" => Self::Normal,
            "multiply" => Self::Multiply,
            "screen" => Self::Screen,
            "add" => Self::Add,
            "overlay" => Self::Overlay,
            _ => return None,
        })
    }
}

/// A transparent picture; a side of zero counts as one.
#[expect(clippy::expect_used, reason = "no caller asks for a side beyond a few thousand pixels")]
pub(crate) fn new_pixmap(width: u32, height: u32) -> Pixmap {
    Pixmap::new(width.max(1), height.max(1)).expect("a picture of at least one pixel, not huge")
}

/// Exact `a * b / 255`, rounded.
#[inline]
pub(crate) fn mul(a: u32, b: u32) -> u32 {
    let product = a * b + 128;
    (product + (product >> 8)) >> 8
}

/// Lays `top` over `canvas` with its corner at (`left`, `top_edge`).
pub(crate) fn lay(
    canvas: &mut Pixmap,
    top: &Pixmap,
    left: i32,
    top_edge: i32,
    opacity: f32,
    blend: Blend,
) {
    let opacity = (opacity.clamp(0.0, 1.0) * 255.0).round() as u32;
    let (canvas_width, canvas_height) = (canvas.width() as i32, canvas.height() as i32);
    let (width, height) = (top.width() as i32, top.height() as i32);
    let first_column = left.max(0);
    let last_column = (left + width).min(canvas_width);
    if first_column >= last_column {
        return;
    }
    let count = (last_column - first_column) as usize * 4;
    for y in top_edge.max(0)..(top_edge + height).min(canvas_height) {
        let from = ((y - top_edge) * width + first_column - left) as usize * 4;
        let to = (y * canvas_width + first_column) as usize * 4;
        let source = &top.data()[from..from + count];
        let target = &mut canvas.data_mut()[to..to + count];
        match blend {
            Blend::Normal if opacity == 255 => lay_row_plainly(target, source),
            _ => lay_row(target, source, opacity, blend),
        }
    }
}

fn lay_row_plainly(target: &mut [u8], source: &[u8]) {
    for (target, source) in target.chunks_exact_mut(4).zip(source.chunks_exact(4)) {
        match source[3] {
            0 => {}
            255 => target.copy_from_slice(source),
            alpha => {
                let rest = 255 - u32::from(alpha);
                for (t, &s) in target.iter_mut().zip(source) {
                    *t = (u32::from(s) + mul(u32::from(*t), rest)).min(255) as u8;
                }
            }
        }
    }
}

fn lay_row(target: &mut [u8], source: &[u8], opacity: u32, blend: Blend) {
    for (target, source) in target.chunks_exact_mut(4).zip(source.chunks_exact(4)) {
        let alpha = mul(u32::from(source[3]), opacity);
        if alpha == 0 && blend != Blend::Add {
            continue;
        }
        let rest = 255 - alpha;
        for channel in 0..3 {
            let s = mul(u32::from(source[channel]), opacity);
            let t = u32::from(target[channel]);
            // `s` is premultiplied and the canvas is opaque, which keeps these short.
            let mixed = match blend {
                Blend::Normal => s + mul(t, rest),
                Blend::Multiply => mul(t, s) + mul(t, rest),
                Blend::Screen => s + t - mul(s, t),
                Blend::Add => s + t,
                Blend::Overlay => {
                    let strong = if t < 128 {
                        2 * mul(s, t)
                    } else {
                        let over = 2 * mul(alpha - s.min(alpha), 255 - t);
                        alpha.saturating_sub(over)
                    };
                    strong + mul(t, rest)
                }
            };
            target[channel] = mixed.min(255) as u8;
        }
        target[3] = (alpha + mul(u32::from(target[3]), rest)).min(255) as u8;
    }
}

/// Blurs with a radius in pixels (about twice a Gaussian's sigma).
///
/// Wide blurs are made small, blurred there and made large again: the eye cannot tell, and the
/// cost falls with the square of the radius.
pub(crate) fn blur(pixmap: &Pixmap, radius: f32) -> Pixmap {
    let factor = (radius / 3.0).clamp(1.0, 32.0);
    let width = (pixmap.width() as f32 / factor).ceil().max(1.0) as u32;
    let height = (pixmap.height() as f32 / factor).ceil().max(1.0) as u32;
    let mut small =
        if factor > 1.0 { scale::resize_pixmap(pixmap, width, height) } else { pixmap.clone() };
    blur_in_place(&mut small, radius / factor);
    if factor > 1.0 { scale::resize_pixmap(&small, pixmap.width(), pixmap.height()) } else { small }
}

/// Three box passes each way, for small radii.
pub(crate) fn blur_in_place(pixmap: &mut Pixmap, radius: f32) {
    let reach = (radius / 1.7).round() as usize;
    if reach == 0 {
        return;
    }
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let mut line = vec![0u8; width.max(height) * 4];
    let data = pixmap.data_mut();
    for _ in 0..3 {
        for y in 0..height {
            box_line(&mut data[y * width * 4..], 4, width, reach, &mut line);
        }
    }
    for _ in 0..3 {
        for x in 0..width {
            box_line(&mut data[x * 4..], width * 4, height, reach, &mut line);
        }
    }
}

fn box_line(data: &mut [u8], stride: usize, count: usize, reach: usize, line: &mut [u8]) {
    for i in 0..count {
        line[i * 4..i * 4 + 4].copy_from_slice(&data[i * stride..i * stride + 4]);
    }
    let span = (2 * reach + 1) as u32;
    for channel in 0..4 {
        let at = |i: usize| u32::from(line[i.min(count - 1) * 4 + channel]);
        let mut sum = at(0) * reach as u32;
        for i in 0..=reach {
            sum += at(i);
        }
        for i in 0..count {
            data[i * stride + channel] = ((sum + span / 2) / span) as u8;
            sum = sum + at(i + reach + 1) - at(i.saturating_sub(reach));
        }
    }
}

/// Multiplies a picture's alpha (and with it everything) by another's.
pub(crate) fn mask(pixmap: &mut Pixmap, by: &Pixmap) {
    for (target, mask) in pixmap.data_mut().chunks_exact_mut(4).zip(by.data().chunks_exact(4)) {
        match mask[3] {
            255 => {}
            0 => target.fill(0),
            alpha => {
                for t in target {
                    *t = mul(u32::from(*t), u32::from(alpha)) as u8;
                }
            }
        }
    }
}

/// Brightness of a colour in 0..=255.
#[inline]
pub(crate) fn luma(pixel: &[u8]) -> u32 {
    (u32::from(pixel[0]) * 77 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 29) >> 8
}
