//! [`fur`]: the filter `fur <length> <curl> <density> <light>` of a scene, which covers a picture (a photo
//! or, more often, a drawn layer) with combed hair of its own colours. `apply` in `filters/mod.rs` calls
//! it.
//!
//! Hairs grow from a jittered grid, lowest rows first, so that upper ones hang over the roots of
//! those below. Each takes the colour at its root and lies along the picture's contours, hanging
//! down where there are none; neighbours lean together in tufts. Hair may hang over the edge of an
//! opaque shape into transparent ground.

use resvg::tiny_skia::Pixmap;

use super::FilterArguments;
use crate::noise::{NoiseSequence, hash_unit};
use crate::raster::luma;
use crate::scale;
use crate::scene::SceneError;

pub(super) fn fur(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    let coat = Coat {
        length: arguments.number(0, 22.0)?.max(3.0),
        width: if arguments.number(0, 22.0)? > 36.0 { 3 } else { 2 },
        curl: arguments.number(1, 0.5)?,
        light: arguments.number(3, 26.0)?,
    };
    let density = arguments.number(2, 1.0)?.max(0.1);
    // Every place is covered about twice, whatever the length.
    let step = (coat.length * coat.width as f32 / 1.9 / density).sqrt().max(2.5);
    let flow = Flow::of(pixmap);
    let under = pixmap.clone();
    let (width, height) = (pixmap.width() as f32, pixmap.height() as f32);
    let mut rng = NoiseSequence::new(5);
    let mut y = height;
    while y > -step {
        let mut x = -step;
        while x < width {
            let root = (x + rng.between(0.0, step), y + rng.between(0.0, step));
            coat.hair(pixmap, &under, &flow, root, &mut rng);
            x += step;
        }
        y -= step;
    }
    Ok(())
}

struct Coat {
    length: f32,
    width: usize,
    curl: f32,
    light: f32,
}

impl Coat {
    fn hair(
        &self,
        pixmap: &mut Pixmap,
        under: &Pixmap,
        flow: &Flow,
        root: (f32, f32),
        rng: &mut NoiseSequence,
    ) {
        let Some(colour) = root_colour(under, root) else { return };
        let length = self.length * rng.between(0.55, 1.1);
        let tuft = self.tuft(root);
        let tone = rng.between(-0.6, 0.6) + tuft.0 * 0.7;
        let bend = (rng.between(-0.6, 0.6) + tuft.1) * self.curl / self.length;
        let (mut x, mut y) = root;
        let mut angle = flow.angle(x, y) + (rng.between(-0.3, 0.3) - tuft.1 * 0.5) * self.curl;
        for i in 0..length as i32 {
            let along = i as f32 / length;
            // Dark at the root, light towards the tip.
            let shade = ((along * 1.9 - 1.05 + tone * 0.75) * self.light) as i32;
            let cover = (250.0 * (1.0 - along * along * along)) as i32;
            let across = if along < 0.6 { self.width } else { self.width - 1 };
            dot(pixmap, x, y, colour.map(|c| c + shade), cover, across);
            x += angle.cos();
            y += angle.sin();
            angle += bend;
        }
    }

    /// Brightness and bend, in -1..1, that the hairs of a tuft share.
    fn tuft(&self, root: (f32, f32)) -> (f32, f32) {
        let cell = self.length * 0.5;
        // Forty more, since roots lie a little outside the picture, and the hash takes
        // no negative number.
        let row = (root.1 / cell + 40.0) as u32;
        // Every other row is shifted by half a cell, so that the tufts do not stand in a grid.
        let column = (root.0 / cell + 40.0 + (row % 2) as f32 * 0.5) as u32;
        let share = |k| hash_unit(row * 977 + column, k) as f32 * 2.0 - 1.0;
        (share(61), share(62))
    }
}

fn root_colour(under: &Pixmap, root: (f32, f32)) -> Option<[i32; 3]> {
    let (width, height) = (under.width() as i32, under.height() as i32);
    let x = (root.0 as i32).clamp(0, width - 1);
    let y = (root.1 as i32).clamp(0, height - 1);
    let at = ((y * width + x) * 4) as usize;
    let pixel = &under.data()[at..at + 4];
    // No hair has its root where the photo was cut away.
    (pixel[3] > 200).then(|| [0, 1, 2].map(|channel| i32::from(pixel[channel])))
}

/// A hair a few pixels wide, mixed into the picture.
#[inline]
fn dot(pixmap: &mut Pixmap, x: f32, y: f32, colour: [i32; 3], cover: i32, across: usize) {
    let (width, height) = (pixmap.width() as i32, pixmap.height() as i32);
    let (column, row) = (x as i32, y as i32);
    if x < 0.0 || y < 0.0 || column >= width || row >= height {
        return;
    }
    let across = across.min((width - column) as usize);
    let at = ((row * width + column) * 4) as usize;
    for pixel in pixmap.data_mut()[at..at + across * 4].chunks_exact_mut(4) {
        for (value, &ink) in pixel.iter_mut().zip(&colour) {
            let old = i32::from(*value);
            *value = (old + (((ink.clamp(0, 255) - old) * cover) >> 8)).clamp(0, 255) as u8;
        }
        let alpha = i32::from(pixel[3]);
        pixel[3] = (alpha + (((255 - alpha) * cover) >> 8)) as u8;
    }
}

/// The direction in which hair lies, on a coarse grid.
struct Flow {
    columns: usize,
    rows: usize,
    angles: Vec<f32>,
}

impl Flow {
    fn of(pixmap: &Pixmap) -> Self {
        let columns = (pixmap.width() as usize / FLOW_CELL).max(2);
        let rows = (pixmap.height() as usize / FLOW_CELL).max(2);
        let small = scale::resize_pixmap(pixmap, columns as u32, rows as u32);
        let height: Vec<f32> =
            small.data().chunks_exact(4).map(|pixel| luma(pixel) as f32).collect();
        let at = |x: usize, y: usize| height[y.min(rows - 1) * columns + x.min(columns - 1)];
        let angles = (0..columns * rows)
            .map(|i| {
                let (x, y) = (i % columns, i / columns);
                let across = at(x + 1, y) - at(x.saturating_sub(1), y);
                let down = at(x, y + 1) - at(x, y.saturating_sub(1));
                // Along the contour, turned so that it never points up; plus gravity.
                let (mut dx, mut dy) = (-down, across);
                if dy < 0.0 {
                    (dx, dy) = (-dx, -dy);
                }
                let sway = ((x as f32 * 0.7).sin() + (y as f32 * 0.45).cos()) * 4.0;
                (dy + 11.0).atan2(dx + sway)
            })
            .collect();
        Self { columns, rows, angles }
    }

    fn angle(&self, x: f32, y: f32) -> f32 {
        let column = (x.max(0.0) as usize / FLOW_CELL).min(self.columns - 1);
        let row = (y.max(0.0) as usize / FLOW_CELL).min(self.rows - 1);
        self.angles[row * self.columns + column]
    }
}

/// Pixels of a cell of the flow.
const FLOW_CELL: usize = 14;
