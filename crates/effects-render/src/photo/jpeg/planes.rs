//! [`Planes`]: makes rows of red, green and blue of the samples of a JPEG's components: it upsamples the
//! components with fewer samples and converts by the [`Colours`] of the file (grey, YCbCr, inks). The
//! decoder in `jpeg/mod.rs` writes each block into it and takes the rows.
//!
//! Two rows of units are held, and the last line before them: a component with fewer lines than the
//! picture is upsampled from the lines above and below, as libjpeg does it.

use super::frame::Frame;

/// How the components make colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    YCbCr,
    /// Four inks, stored as their complements.
    Cmyk,
    /// The same, three of them as brightness and colour.
    Ycck,
}

/// The samples that are at hand, of all components.
pub(super) struct Planes {
    side: usize,
    colours: Colours,
    size: (usize, usize),
    /// Rows of units that are there.
    filled: usize,
    units: usize,
    planes: Vec<Plane>,
    /// The lines of the components, upsampled to the picture's width.
    lines: Vec<Vec<u8>>,
    row: Vec<u8>,
}

struct Plane {
    /// How many of the picture's samples one of its own stands for.
    scale: (usize, usize),
    /// Its own samples.
    size: (usize, usize),
    stride: usize,
    /// Lines in a row of units.
    height: usize,
    /// Three rows of units, the place of a line is its number modulo theirs.
    samples: Vec<u8>,
}

impl Planes {
    pub(super) fn new(frame: &Frame, side: usize, colours: Colours) -> Self {
        let size = frame.size_at(side);
        let planes: Vec<Plane> = frame
            .components
            .iter()
            .map(|part| {
                let (stride, height) = (part.padded.0 * side, part.sampling.1 * side);
                Plane {
                    scale: (
                        frame.max_sampling.0 / part.sampling.0,
                        frame.max_sampling.1 / part.sampling.1,
                    ),
                    size: frame.samples_at(part, side),
                    stride,
                    height,
                    samples: vec![0; stride * height * 3],
                }
            })
            .collect();
        let lines = planes
            .iter()
            .map(|plane| vec![0; (plane.size.0 * plane.scale.0).max(size.0) + 8])
            .collect();
        let row = vec![0; size.0 * 3];
        Self { side, colours, size, filled: 0, units: frame.units.1, planes, lines, row }
    }

    /// Where the samples of a block go, and how many a line has.
    pub(super) fn block(&mut self, part: usize, x: usize, y: usize) -> (&mut [u8], usize) {
        let plane = &mut self.planes[part];
        let line = y * self.side % (3 * plane.height);
        (&mut plane.samples[line * plane.stride + x * self.side..], plane.stride)
    }

    /// A row of units is there: hands out the picture's rows that can be made now.
    pub(super) fn row_done(&mut self, take: &mut dyn FnMut(&[u8])) {
        self.filled += 1;
        // One row of units late: its last lines are mixed with the first of the next.
        if self.filled > 1 {
            self.emit_rows(self.filled - 2, take);
        }
        // Nothing comes after the last one, whose last line stands for the missing neighbour.
        if self.filled == self.units {
            self.emit_rows(self.filled - 1, take);
        }
    }

    fn emit_rows(&mut self, unit: usize, take: &mut dyn FnMut(&[u8])) {
        let Some(unit_rows) = self.planes.iter().map(|plane| plane.height * plane.scale.1).max()
        else {
            return;
        };
        for y in unit * unit_rows..((unit + 1) * unit_rows).min(self.size.1) {
            for (plane, line) in self.planes.iter().zip(&mut self.lines) {
                plane.upsample_line(y, self.side, line);
            }
            self.mix();
            take(&self.row);
        }
    }

    fn mix(&mut self) {
        let (pixels, _) = self.row.as_chunks_mut::<3>();
        match (self.colours, &self.lines[..]) {
            (Colours::Grey, [grey, ..]) => {
                for (pixel, value) in pixels.iter_mut().zip(grey) {
                    *pixel = [*value; 3];
                }
            }
            (Colours::Rgb, [red, green, blue, ..]) => {
                for (((pixel, r), g), b) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
                    *pixel = [*r, *g, *b];
                }
            }
            (Colours::YCbCr, [y, cb, cr, ..]) => {
                for (((pixel, y), cb), cr) in pixels.iter_mut().zip(y).zip(cb).zip(cr) {
                    *pixel = from_ycc(*y, *cb, *cr);
                }
            }
            (Colours::Cmyk, [c, m, y, k]) => {
                for ((((pixel, c), m), y), k) in pixels.iter_mut().zip(c).zip(m).zip(y).zip(k) {
                    *pixel = [*c, *m, *y].map(|ink| scaled(ink, *k));
                }
            }
            (Colours::Ycck, [y, cb, cr, k]) => {
                for ((((pixel, y), cb), cr), k) in pixels.iter_mut().zip(y).zip(cb).zip(cr).zip(k) {
                    *pixel = from_ycc(*y, *cb, *cr).map(|ink| scaled(255 - ink, *k));
                }
            }
            _ => self.row.fill(0),
        }
    }
}

impl Plane {
    /// A line by its number, the nearest where there is none.
    fn line(&self, number: isize) -> &[u8] {
        let number = number.clamp(0, self.size.1 as isize - 1) as usize % (3 * self.height);
        &self.samples[number * self.stride..][..self.size.0]
    }

    /// Its part of the picture's line `y`.
    fn upsample_line(&self, y: usize, side: usize, out: &mut [u8]) {
        let own = (y / self.scale.1) as isize;
        // Like libjpeg, which upsamples smoothly by two, and only what is not reduced to single samples.
        let smooth = side > 1;
        match self.scale {
            (1, 1) => out[..self.size.0].copy_from_slice(self.line(own)),
            (1, 2) if smooth => {
                let (near, far, round) = self.neighbours(y, own);
                for ((out, near), far) in out.iter_mut().zip(near).zip(far) {
                    *out = ((3 * u16::from(*near) + u16::from(*far) + round) >> 2) as u8;
                }
            }
            // As in libjpeg, which does not smooth narrower ones, and rounds the left and the right
            // half apart so that the picture does not become brighter or darker as a whole.
            (2, 1) if smooth && self.size.0 > 2 => {
                let line = self.line(own);
                let values = line.iter().map(|value| u16::from(*value));
                upsample_by_two(values, out, |near, far, right| {
                    ((3 * near + far + 1 + u16::from(right)) >> 2) as u8
                });
            }
            (2, 2) if smooth && self.size.0 > 2 => {
                let (near, far, _) = self.neighbours(y, own);
                let values = near.iter().zip(far);
                let values = values.map(|(near, far)| 3 * u16::from(*near) + u16::from(*far));
                upsample_by_two(values, out, |near, far, right| {
                    ((3 * near + far + 8 - u16::from(right)) >> 4) as u8
                });
            }
            (times, _) => {
                let line = self.line(own);
                for (places, value) in out.chunks_mut(times).zip(line) {
                    places.fill(*value);
                }
            }
        }
    }

    /// For a plane of half as many lines: the nearer line and the farther one, and what to add for
    /// rounding when they are mixed three to one.
    fn neighbours(&self, y: usize, own: isize) -> (&[u8], &[u8], u16) {
        let below = y % 2 == 1;
        let far = if below { own + 1 } else { own - 1 };
        (self.line(own), self.line(far), if below { 2 } else { 1 })
    }
}

/// Makes two samples of each: of itself and the one before, and of itself and the next. At the ends
/// they are mixed with themselves.
#[inline]
fn upsample_by_two(
    mut values: impl Iterator<Item = u16>,
    out: &mut [u8],
    mix: impl Fn(u16, u16, bool) -> u8,
) {
    let Some(first) = values.next() else { return };
    let (mut before, mut value) = (first, first);
    let (pairs, _) = out.as_chunks_mut::<2>();
    let mut pairs = pairs.iter_mut();
    for (next, pair) in values.zip(&mut pairs) {
        *pair = [mix(value, before, false), mix(value, next, true)];
        (before, value) = (value, next);
    }
    if let Some(pair) = pairs.next() {
        *pair = [mix(value, before, false), mix(value, value, true)];
    }
}

#[inline]
fn from_ycc(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        // 1.402, 0.344136, 0.714136 and 1.772 in 65,536ths.
        y + ((91_881 * cr + HALF) >> 16),
        y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16),
        y + ((116_130 * cb + HALF) >> 16),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}

/// One half in 65,536ths.
const HALF: i32 = 1 << 15;

/// What an ink's complement leaves of a shade.
fn scaled(ink: u8, shade: u8) -> u8 {
    ((u32::from(ink) * u32::from(shade) + 127) / 255) as u8
}
