//! [`wash`]: paints a gradient over a large area, the whole canvas or a shape. The painter of scenes
//! (`painter.rs`) calls it for the directive `<?wash …?>`, by which scenes paint backgrounds and frames.
//!
//! The SVG renderer weighs every stop for every pixel, which for a background or a frame costs
//! more than most of what lies on it. Here the colours are laid out in a row once and looked up.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Group, Node, Paint, Stop, Tree};

use super::SceneError;
use crate::raster::mul;

/// Paints the gradient that fills the tree's one shape: over the whole canvas, or where `shape`,
/// whose corner lies at `corner`, is opaque.
pub(super) fn wash(
    canvas: &mut Pixmap,
    tree: &Tree,
    shape: Option<(&Pixmap, (usize, usize))>,
) -> Result<(), SceneError> {
    let gradient = Gradient::of(tree)?;
    let width = canvas.width() as usize;
    let (cover, corner) = shape.map_or((None, (0, 0)), |(shape, corner)| (Some(shape), corner));
    let columns = cover.map_or(width, |shape| shape.width() as usize);
    let rows = cover.map_or(canvas.height(), Pixmap::height) as usize;
    let mut colours = vec![[0; 4]; columns];
    for y in 0..rows {
        let start = ((corner.1 + y) * width + corner.0) * 4;
        let target = &mut canvas.data_mut()[start..start + columns * 4];
        gradient.row(corner.0, corner.1 + y, &mut colours);
        match cover {
            None if gradient.opaque => target.copy_from_slice(colours.as_flattened()),
            None => lay_covered(target, &colours, None),
            Some(shape) => {
                let cover = &shape.data()[y * columns * 4..][..columns * 4];
                lay_covered(target, &colours, Some(cover));
            }
        }
    }
    Ok(())
}

fn lay_covered(target: &mut [u8], colours: &[[u8; 4]], cover: Option<&[u8]>) {
    let pixels = target.as_chunks_mut::<4>().0.iter_mut().zip(colours);
    for (i, (target, colour)) in pixels.enumerate() {
        let cover = cover.map_or(255, |cover| u32::from(cover[i * 4 + 3]));
        let alpha = mul(u32::from(colour[3]), cover);
        match alpha {
            0 => {}
            255 => *target = *colour,
            _ => {
                for (t, &c) in target.iter_mut().zip(colour) {
                    let sum = mul(u32::from(c), cover) + mul(u32::from(*t), 255 - alpha);
                    *t = sum.min(255) as u8;
                }
            }
        }
    }
}

/// A gradient with its colours in a row.
struct Gradient {
    /// From the canvas to where the distance from the origin is the place on the row.
    unit: Transform,
    /// Premultiplied.
    colours: Vec<[u8; 4]>,
    opaque: bool,
}

impl Gradient {
    fn of(tree: &Tree) -> Result<Self, SceneError> {
        let unfit = || SceneError::new("wash needs a shape and the name of a gradient".to_owned());
        let (paint, shape) = filled_with(tree.root()).ok_or_else(unfit)?;
        let (placed, unit, colours) = match paint {
            Paint::LinearGradient(line) => {
                let (from, to) = ((line.x1(), line.y1()), (line.x2(), line.y2()));
                let (across, down) = (to.0 - from.0, to.1 - from.1);
                // A line without a length would divide by 0.
                let length = (across * across + down * down).max(f32::MIN_POSITIVE);
                let unit = Transform::from_row(across / length, 0.0, down / length, 0.0, 0.0, 0.0)
                    .pre_translate(-from.0, -from.1);
                (line.transform(), unit, colours(line.stops()))
            }
            Paint::RadialGradient(circle) => {
                let scale = 1.0 / circle.r().get();
                let unit =
                    Transform::from_scale(scale, scale).pre_translate(-circle.cx(), -circle.cy());
                (circle.transform(), unit, colours(circle.stops()))
            }
            _ => return Err(unfit()),
        };
        // From the canvas back to the gradient, since the colour is looked up for each
        // pixel of the canvas.
        let back = shape
            .pre_concat(placed)
            .invert()
            .ok_or_else(|| SceneError::new("the gradient is flat".to_owned()))?;
        let opaque = colours.iter().all(|colour| colour[3] == 255);
        Ok(Self { unit: unit.pre_concat(back), colours, opaque })
    }

    /// The colours of pixels from (x, y) to the right.
    fn row(&self, x: usize, y: usize, colours: &mut [[u8; 4]]) {
        let Transform { sx, ky, kx, sy, tx, ty } = self.unit;
        let last = (STEPS - 1) as f32;
        let straight = ky == 0.0 && sy == 0.0 && ty == 0.0;
        let down = y as f32 + 0.5;
        let (base, other) = (kx * down + tx, sy * down + ty);
        // In blocks, so that the places are found side by side.
        for (block, colours) in colours.chunks_mut(64).enumerate() {
            let first = (x + block * 64) as f32 + 0.5;
            let places: [u16; 64] = std::array::from_fn(|i| {
                let across = first + i as u32 as f32;
                let (u, v) = (sx * across + base, ky * across + other);
                // Along a straight gradient the other coordinate is 0, and no root is needed.
                let at = if straight { u } else { (u * u + v * v).sqrt() };
                // Rounded by the addition, as when pictures are resized.
                (at.clamp(0.0, 1.0) * last + 8_388_608.0).to_bits() as u16
            });
            for (colour, place) in colours.iter_mut().zip(places) {
                // No place is larger; the remainder spares the check of the index.
                *colour = self.colours[usize::from(place) % STEPS];
            }
        }
    }
}

/// The paint of the first shape, and the transform that puts the shape on the canvas.
fn filled_with(group: &Group) -> Option<(&Paint, Transform)> {
    group.children().iter().find_map(|node| match node {
        Node::Path(path) => path.fill().map(|fill| (fill.paint(), path.abs_transform())),
        Node::Group(group) => filled_with(group),
        _ => None,
    })
}

/// The colours from the first stop to the last.
fn colours(stops: &[Stop]) -> Vec<[u8; 4]> {
    let place = |stop: &Stop| stop.offset().get();
    let colour = |at: f32| {
        let after = stops.iter().position(|stop| place(stop) >= at).unwrap_or(stops.len() - 1);
        let (low, high) = (&stops[after.saturating_sub(1)], &stops[after]);
        let span = place(high) - place(low);
        // Two stops at one place make a hard edge.
        let part = if span > 0.0 { ((at - place(low)) / span).clamp(0.0, 1.0) } else { 1.0 };
        let mix = |a: f32, b: f32| a + (b - a) * part;
        let alpha = mix(low.opacity().get(), high.opacity().get());
        let (a, b) = (low.color(), high.color());
        let channel = |a: u8, b: u8| (mix(f32::from(a), f32::from(b)) * alpha).round() as u8;
        let [red, green, blue] =
            [(a.red, b.red), (a.green, b.green), (a.blue, b.blue)].map(|(a, b)| channel(a, b));
        [red, green, blue, (alpha * 255.0).round() as u8]
    };
    (0..STEPS).map(|i| colour(i as f32 / (STEPS - 1) as f32)).collect()
}

const STEPS: usize = 1024;
