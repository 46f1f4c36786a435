//! [`sphere`]: the filter `sphere <bulge> <rim>` of a scene, which shows a photo through a crystal
//! ball; outside it is transparent. `apply` in `filters/mod.rs` calls it.
//!
//! The middle is magnified, the edge squeezed, and the colours part a little towards the rim.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::pixels::new_pixmap;
use crate::raster::{self, mul};
use crate::scene::SceneError;

pub(super) fn sphere(
    source: &Pixmap,
    arguments: &FilterArguments<'_>,
) -> Result<Pixmap, SceneError> {
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
            let mut colour = [0; 4];
            raster::sample(source, centre_x + dx * scale, centre_y + dy * scale, &mut colour);
            // A smaller split cannot be seen, and would cost two samples for each pixel.
            if split > 0.002 {
                let mut fringe = [0; 4];
                for (channel, factor) in [(0, 1.0 - split), (2, 1.0 + split)] {
                    let scale = scale * factor;
                    raster::sample(
                        source,
                        centre_x + dx * scale,
                        centre_y + dy * scale,
                        &mut fringe,
                    );
                    colour[channel] = fringe[channel];
                }
            }
            for channel in 0..3 {
                let value = f32::from(colour[channel]) * shade;
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
            // In the middle both are 0; this is what the quotient tends to.
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

const STEPS: usize = 2048;
