//! Functions on the pixels of pictures: [`lay`] lays one over another by a [`Blend`] ([`lay_resized`] at
//! another size, [`lay_turned`] turned), [`blur`] blurs one, [`mask`] makes parts of one transparent,
//! [`sample`] reads between pixels, [`luma`] measures brightness. The painter of scenes (with
//! `scene/wash.rs`), the filters and the contact sheet call them.
//!
//! Everything is tiny-skia's `Pixmap` (RGBA, premultiplied). Photos are opaque, so filters treat
//! their bytes as plain colours; only what cuts shapes has to think of alpha.

use std::ops::Range;

use resvg::tiny_skia::{Pixmap, Point, Transform};

use crate::pixels::new_pixmap;
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
    let size = (top.width() as usize, top.height() as usize);
    let opacity = share(opacity);
    let Some((columns, rows)) = visible(canvas, size, (left, top_edge)) else { return };
    for y in rows {
        let source = &top.data()[(y * size.0 + columns.start) * 4..][..columns.len() * 4];
        let target =
            row_of(canvas, left + columns.start as i32, top_edge + y as i32, columns.len());
        lay_row(target, source, opacity, blend);
    }
}

/// Lays `top` over `canvas`, made `size` pixels large on the way: only what shows is made.
pub(crate) fn lay_resized(
    canvas: &mut Pixmap,
    top: &Pixmap,
    size: (usize, usize),
    corner: (i32, i32),
    opacity: f32,
    blend: Blend,
) {
    let opacity = share(opacity);
    let Some((columns, rows)) = visible(canvas, size, corner) else { return };
    let (first, count) = (corner.0 + columns.start as i32, columns.len());
    scale::resize_rows(top, size, (columns, rows), &mut |y, source| {
        lay_row(row_of(canvas, first, corner.1 + y as i32, count), source, opacity, blend);
    });
}

/// Which columns and rows of a picture of this size fall on the canvas.
fn visible(
    canvas: &Pixmap,
    size: (usize, usize),
    corner: (i32, i32),
) -> Option<(Range<usize>, Range<usize>)> {
    // In 64 bits: a corner may lie as far out as 32 bits reach.
    let span = |start: i32, length: usize, limit: u32| {
        let first = (-i64::from(start)).max(0);
        let last = (i64::from(limit) - i64::from(start)).min(length as i64);
        (first < last).then_some(first as usize..last as usize)
    };
    Some((span(corner.0, size.0, canvas.width())?, span(corner.1, size.1, canvas.height())?))
}

/// `count` pixels of the canvas.
fn row_of(canvas: &mut Pixmap, left: i32, y: i32, count: usize) -> &mut [u8] {
    let start = (y as usize * canvas.width() as usize + left as usize) * 4;
    &mut canvas.data_mut()[start..start + count * 4]
}

fn share(opacity: f32) -> u32 {
    (opacity.clamp(0.0, 1.0) * 255.0).round() as u32
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

/// The colours of `source` are premultiplied and the canvas is opaque, which keeps these short: what
/// holds for a colour then leaves the canvas's alpha at 255, too.
fn lay_row(target: &mut [u8], source: &[u8], opacity: u32, blend: Blend) {
    match blend {
        Blend::Normal if opacity == 255 => lay_row_plainly(target, source),
        Blend::Normal => mix_row(target, source, opacity, |s, t, _, rest| s + mul16(t, rest)),
        Blend::Multiply => mix_row(target, source, opacity, |s, t, _, rest| mul16(t, s + rest)),
        Blend::Screen => mix_row(target, source, opacity, |s, t, _, _| s + t - mul16(s, t)),
        Blend::Add => mix_row(target, source, opacity, |s, t, _, _| s + t),
        Blend::Overlay => mix_row(target, source, opacity, |s, t, alpha, rest| {
            let dark = 2 * mul16(s, t);
            let light = alpha.saturating_sub(2 * mul16(alpha.saturating_sub(s), 255 - t));
            (if t < 128 { dark } else { light }) + mul16(t, rest)
        }),
    }
}

/// Four pixels at a time, in sixteen bits each: what the vector unit likes.
#[inline]
fn mix_row(
    target: &mut [u8],
    source: &[u8],
    opacity: u32,
    mix: impl Fn(u16, u16, u16, u16) -> u16,
) {
    let opacity = opacity as u16;
    let whole = target.len() / 16 * 16;
    let (body, tail) = target.split_at_mut(whole);
    let (source_body, source_tail) = source.split_at(whole);
    let blend = |target: &mut [u8], source: &[u8; 16]| {
        let alphas: [u16; 16] = std::array::from_fn(|i| u16::from(source[i / 4 * 4 + 3]));
        for ((t, &s), alpha) in target.iter_mut().zip(source).zip(alphas) {
            let alpha = mul16(alpha, opacity);
            let s = mul16(u16::from(s), opacity);
            *t = mix(s, u16::from(*t), alpha, 255 - alpha).min(255) as u8;
        }
    };
    for (target, source) in body.chunks_exact_mut(16).zip(source_body.as_chunks::<16>().0) {
        // Most of a layer is transparent, and changes nothing.
        if source != &[0; 16] {
            blend(target, source);
        }
    }
    let mut last = [0; 16];
    // The row's last pixels, filled up with transparent ones to a whole block.
    last[..source_tail.len()].copy_from_slice(source_tail);
    blend(tail, &last);
}

/// [`mul`] in sixteen bits, for bytes.
#[inline]
fn mul16(a: u16, b: u16) -> u16 {
    let product = a.wrapping_mul(b).wrapping_add(128);
    product.wrapping_add(product >> 8) >> 8
}

/// Blurs with a radius in pixels (about twice a Gaussian's sigma).
///
/// Wide blurs are made small, blurred there and made large again: the eye sees no difference, and the
/// cost falls with the square of the radius.
pub(crate) fn blur(pixmap: &Pixmap, radius: f32) -> Pixmap {
    let factor = (radius / 2.5).clamp(1.0, 32.0) as usize;
    if factor == 1 {
        let mut soft = pixmap.clone();
        blur_in_place(&mut soft, radius);
        return soft;
    }
    let mut small = scale::shrink(pixmap, factor);
    blur_in_place(&mut small, radius / factor as f32);
    // The last squares may reach over the edge: what is made large again is cut there.
    let size = (small.width() as usize * factor, small.height() as usize * factor);
    let (columns, rows) = (pixmap.width() as usize, pixmap.height() as usize);
    let mut soft = new_pixmap(pixmap.width(), pixmap.height());
    let data = soft.data_mut();
    scale::resize_rows(&small, size, (0..columns, 0..rows), &mut |y, row| {
        data[y * columns * 4..][..columns * 4].copy_from_slice(row);
    });
    soft
}

/// Three box passes each way, for small radii.
pub(crate) fn blur_in_place(pixmap: &mut Pixmap, radius: f32) {
    // A wider box would not fit into sixteen bits; callers with such radii work on smaller pictures.
    let reach = ((radius / 1.7).round() as usize).min(128);
    if reach == 0 {
        return;
    }
    let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
    let mut other = vec![0u8; width * height * 4];
    // Three passes of a box come close to a Gaussian.
    for _ in 0..3 {
        for (from, to) in
            pixmap.data().chunks_exact(width * 4).zip(other.chunks_exact_mut(width * 4))
        {
            box_row(from, to, reach);
        }
        box_columns(&other, pixmap.data_mut(), width, height, reach);
    }
}

/// What a sum over a box is multiplied by, in 65536ths, and what rounds it.
fn share_of(reach: usize) -> (u32, u16) {
    let span = 2 * reach as u32 + 1;
    ((65_536 + span / 2) / span, reach as u16)
}

/// The box's mean; sixteen bits hold its sum, since a box is at most 257 long.
#[inline]
fn mean(sum: u16, (share, half): (u32, u16)) -> u8 {
    ((u32::from(sum.wrapping_add(half)) * share) >> 16) as u8
}

fn box_row(from: &[u8], to: &mut [u8], reach: usize) {
    let last = from.len() / 4 - 1;
    let share = share_of(reach);
    let at = |i: usize, channel: usize| u16::from(from[i.min(last) * 4 + channel]);
    let mut sums: [u16; 4] = std::array::from_fn(|channel| {
        // The edge's pixel stands for those outside.
        at(0, channel) * reach as u16 + (0..=reach).map(|i| at(i, channel)).sum::<u16>()
    });
    for (i, pixel) in to.chunks_exact_mut(4).enumerate() {
        let enters = &from[(i + reach + 1).min(last) * 4..][..4];
        let leaves = &from[i.saturating_sub(reach) * 4..][..4];
        for channel in 0..4 {
            pixel[channel] = mean(sums[channel], share);
            // Wrapping, since the sum may run over between the two steps, and is right after both.
            sums[channel] = sums[channel]
                .wrapping_add(u16::from(enters[channel]))
                .wrapping_sub(u16::from(leaves[channel]));
        }
    }
}

/// Whole rows are added and taken away, which suits the cache and the vector unit.
fn box_columns(from: &[u8], to: &mut [u8], width: usize, height: usize, reach: usize) {
    let share = share_of(reach);
    let row = |y: usize| &from[y.min(height - 1) * width * 4..][..width * 4];
    let mut sums: Vec<u16> = row(0).iter().map(|&v| u16::from(v) * reach as u16).collect();
    for y in 0..=reach {
        for (sum, &value) in sums.iter_mut().zip(row(y)) {
            *sum += u16::from(value);
        }
    }
    for (y, line) in to.chunks_exact_mut(width * 4).enumerate() {
        let (enters, leaves) = (row(y + reach + 1), row(y.saturating_sub(reach)));
        for (((value, sum), &enters), &leaves) in
            line.iter_mut().zip(&mut sums).zip(enters).zip(leaves)
        {
            *value = mean(*sum, share);
            *sum = sum.wrapping_add(u16::from(enters)).wrapping_sub(u16::from(leaves));
        }
    }
}

/// Lays a picture through any affine transform, smoothly, with soft edges.
pub(crate) fn lay_turned(
    canvas: &mut Pixmap,
    picture: &Pixmap,
    placed: Transform,
    opacity: f32,
    blend: Blend,
) {
    let Some(back) = placed.invert() else { return };
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let mut corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)]
        .map(|(x, y)| Point::from_xy(x, y));
    placed.map_points(&mut corners);
    let low = |pick: fn(&Point) -> f32| corners.iter().map(pick).fold(f32::MAX, f32::min);
    let high = |pick: fn(&Point) -> f32| corners.iter().map(pick).fold(f32::MIN, f32::max);
    let opacity = share(opacity);
    let canvas_width = canvas.width() as usize;
    let first = low(|p| p.x).floor().clamp(0.0, canvas_width as f32) as usize;
    let last = high(|p| p.x).ceil().clamp(0.0, canvas_width as f32) as usize;
    let top = low(|p| p.y).floor().clamp(0.0, canvas.height() as f32) as usize;
    let bottom = high(|p| p.y).ceil().clamp(0.0, canvas.height() as f32) as usize;
    if first >= last {
        return;
    }
    let mut line = vec![0u8; (last - first) * 4];
    for y in top..bottom {
        let mut at = Point::from_xy(first as f32 + 0.5, y as f32 + 0.5);
        back.map_point(&mut at);
        for (i, pixel) in line.chunks_exact_mut(4).enumerate() {
            let step = i as f32;
            // The transform is affine, so each step along a row moves the same way in the picture.
            sample_with_edge(picture, at.x + step * back.sx, at.y + step * back.ky, pixel);
        }
        let start = (y * canvas_width + first) * 4;
        let target = &mut canvas.data_mut()[start..start + line.len()];
        lay_row(target, &line, opacity, blend);
    }
}

/// The colour at a place; within half a pixel of the edge it fades out.
#[inline]
fn sample_with_edge(picture: &Pixmap, x: f32, y: f32, pixel: &mut [u8]) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let inside = (x.min(width - x) + 0.5).min(y.min(height - y) + 0.5);
    if inside <= 0.0 {
        pixel.fill(0);
        return;
    }
    sample(picture, x, y, pixel);
    if inside < 1.0 {
        let cover = (inside * 255.0) as u32;
        for value in pixel {
            *value = mul(u32::from(*value), cover) as u8;
        }
    }
}

/// The colour at a place between pixels (bilinear, clamped at the edges).
#[inline]
pub(crate) fn sample(picture: &Pixmap, x: f32, y: f32, pixel: &mut [u8]) {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let x = ((x - 0.5) * 256.0) as i32;
    let y = ((y - 0.5) * 256.0) as i32;
    let x = x.clamp(0, (width - 1) << 8);
    let y = y.clamp(0, (height - 1) << 8);
    let (left, top) = ((x >> 8) as usize, (y >> 8) as usize);
    let (part_x, part_y) = ((x & 255) as u32, (y & 255) as u32);
    let stride = width as usize * 4;
    let upper = top * stride + left * 4;
    // The last column and row have no neighbour, and a part of 0 needs none.
    let right = if part_x == 0 { 0 } else { 4 };
    let lower = if part_y == 0 { upper } else { upper + stride };
    let data = picture.data();
    let (a, b) = (&data[upper..upper + 4], &data[upper + right..upper + right + 4]);
    let (c, d) = (&data[lower..lower + 4], &data[lower + right..lower + right + 4]);
    for channel in 0..4 {
        let above = u32::from(a[channel]) * (256 - part_x) + u32::from(b[channel]) * part_x;
        let below = u32::from(c[channel]) * (256 - part_x) + u32::from(d[channel]) * part_x;
        pixel[channel] = ((above * (256 - part_y) + below * part_y + 32_768) >> 16) as u8;
    }
}

/// Multiplies a picture's alpha (and with it everything) by these shares, one a pixel.
pub(crate) fn mask(pixmap: &mut Pixmap, shares: impl Iterator<Item = u8>) {
    for (target, share) in pixmap.data_mut().chunks_exact_mut(4).zip(shares) {
        match share {
            255 => {}
            0 => target.fill(0),
            _ => {
                for t in target {
                    *t = mul(u32::from(*t), u32::from(share)) as u8;
                }
            }
        }
    }
}

/// The picture with this many transparent pixels on each side.
pub(crate) fn with_margin(pixmap: &Pixmap, margin: u32) -> Pixmap {
    let mut wide = new_pixmap(pixmap.width() + 2 * margin, pixmap.height() + 2 * margin);
    lay(&mut wide, pixmap, margin as i32, margin as i32, 1.0, Blend::Normal);
    wide
}

/// Brightness of a colour in 0..=255.
#[inline]
pub(crate) fn luma(pixel: &[u8]) -> u32 {
    // 0.299, 0.587 and 0.114 in 256ths.
    (u32::from(pixel[0]) * 77 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 29) >> 8
}
