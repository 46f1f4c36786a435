//! `sphere <bulge> <rim>`: the photo seen through a crystal ball; outside it is transparent.
//!
//! The middle is magnified, the edge squeezed, and the colours part a little towards the rim.

use resvg::tiny_skia::Pixmap;

use super::Arguments;
use crate::raster::{mul, new_pixmap};
use crate::scene::Fault;

pub(super) fn sphere(source: &Pixmap, arguments: &Arguments<'_>) -> Result<Pixmap, Fault> {
    let bulge = arguments.number(0, 1.0)?;
    let rim = arguments.number(1, 0.5)?;
    let (width, height) = (source.width(), source.height());
    let radius = width.min(height) as f32 / 2.0;
    let (centre_x, centre_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let table = Refraction::new(bulge, rim);
    let mut target = new_pixmap(width, height);
    for (y, row) in target.data_mut().chunks_exact_mut(width as usize * 4).enumerate() {
        let dy = y as f32 + 0.5 - centre_y;
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let dx = x as f32 + 0.5 - centre_x;
            let away = (dx * dx + dy * dy).sqrt();
            let cover = (radius - away + 0.5).clamp(0.0, 1.0);
            if cover <= 0.0 {
                continue;
            }
            let at = (away / radius).min(1.0);
            let (scale, split, shade) = table.at(at);
            let alpha = (cover * 255.0) as u32;
            for (channel, factor) in [1.0 - split, 1.0, 1.0 + split].into_iter().enumerate() {
                let from_x = centre_x + dx * scale * factor;
                let from_y = centre_y + dy * scale * factor;
                let value = sample(source, from_x, from_y, channel) * shade;
                pixel[channel] = mul(value.clamp(0.0, 255.0) as u32, alpha) as u8;
            }
            pixel[3] = alpha as u8;
        }
    }
    Ok(target)
}

/// What happens at a distance from the middle, tabulated.
struct Refraction(Vec<(f32, f32, f32)>);

impl Refraction {
    fn new(bulge: f32, rim: f32) -> Self {
        let entry = |i: usize| {
            let at = i as f32 / STEPS as f32;
            let bent = at.asin() / std::f32::consts::FRAC_PI_2;
            let scale = if at < 0.004 { std::f32::consts::FRAC_2_PI } else { bent / at };
            let scale = 1.0 + (scale - 1.0) * bulge;
            let split = 0.035 * at.powi(6);
            let shade = 1.06 - rim * at.powi(7) - 0.10 * at * at;
            (scale, split, shade)
        };
        Self((0..=STEPS).map(entry).collect())
    }

    fn at(&self, at: f32) -> (f32, f32, f32) {
        self.0[((at * STEPS as f32) as usize).min(STEPS)]
    }
}

#[inline]
fn sample(source: &Pixmap, x: f32, y: f32, channel: usize) -> f32 {
    let (width, height) = (source.width() as usize, source.height() as usize);
    let x = (x - 0.5).clamp(0.0, (width - 1) as f32);
    let y = (y - 0.5).clamp(0.0, (height - 1) as f32);
    let (left, top) = (x as usize, y as usize);
    let (part_x, part_y) = (x - left as f32, y - top as f32);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let data = source.data();
    let at = |x: usize, y: usize| f32::from(data[(y * width + x) * 4 + channel]);
    let upper = at(left, top) + (at(right, top) - at(left, top)) * part_x;
    let lower = at(left, bottom) + (at(right, bottom) - at(left, bottom)) * part_x;
    upper + (lower - upper) * part_y
}

const STEPS: usize = 2048;
