//! [`Cutout`]: the subject of a photo, cut out from its background by colours and skin tones, with no
//! model; a photo without a clear subject has none. [`subject_likelihood`] guesses where the subject is,
//! [`segment`] sharpens the guess, [`matte`] fits it to a picture's pixels. `ScenePainter`
//! (`scene/painter.rs`) makes one for a scene that shows the subject alone or asks where it is.
//!
//! Guess and segments are made on a small map of the photo; here the result is judged. A landscape,
//! say, has no clear subject, and a scene then shows the photo as it is.

mod matte;
mod segment;
mod subject_likelihood;

use resvg::tiny_skia::Pixmap;

use self::segment::ColourGroups;
use crate::pixels::{Crop, PhotoPixels};
use crate::subject::small_map;

/// A photo's subject: which cells of a small map belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Cutout {
    map: Map,
    /// 1 where the subject is, 0 elsewhere.
    cover: Vec<f32>,
    /// The subject's box in the photo.
    pub(crate) bounds: Crop,
    /// Whether the subject goes on below the photo's lower edge, as a portrait's does.
    pub(crate) is_bust: bool,
    /// Where the subject's uppermost fifth has its middle: 0 is the box's left edge, 1 its right.
    pub(crate) head: f64,
}

/// The small map's shape, its colours, and what one cell is of the photo.
#[derive(Clone, Debug)]
struct Map {
    columns: usize,
    rows: usize,
    rgb: Vec<u8>,
    /// The colours in CIE Lab, where distances are as large as they look.
    lab: Vec<Lab>,
    cell_width: f64,
    cell_height: f64,
}

/// Lightness (0..=100), green to red, and blue to yellow (each about -100..=100).
type Lab = [f32; 3];

impl Cutout {
    /// The photo's subject, if there is one that is sure enough to be shown without its background.
    pub(crate) fn of(photo: &PhotoPixels) -> Option<Self> {
        let map = Map::of(photo);
        if map.columns.min(map.rows) < MIN_CELLS {
            return None;
        }
        let palette = ColourGroups::of(&map);
        let likelihood = subject_likelihood::subject_likelihood(&map, &palette);
        let share = segment::segment(&map, &palette, &likelihood);
        let cover = segment::whole_pieces(&map, &share, &likelihood);
        map.is_clear(&cover).then(|| Self::new(map, cover))
    }

    fn new(map: Map, cover: Vec<f32>) -> Self {
        let covered = || (0..cover.len()).filter(|&i| cover[i] > 0.5).map(|i| map.cell(i));
        let low = |cells: &mut dyn Iterator<Item = usize>| cells.min().unwrap_or(0);
        let high = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0) + 1;
        // One cell more on each side: the edge lies within it.
        let left = low(&mut covered().map(|(x, _)| x)).saturating_sub(1);
        let top = low(&mut covered().map(|(_, y)| y)).saturating_sub(1);
        let right = (high(&mut covered().map(|(x, _)| x)) + 1).min(map.columns);
        let bottom = (high(&mut covered().map(|(_, y)| y)) + 1).min(map.rows);
        let bounds = Crop {
            left: left as f64 * map.cell_width,
            top: top as f64 * map.cell_height,
            width: (right - left) as f64 * map.cell_width,
            height: (bottom - top) as f64 * map.cell_height,
        };
        let is_bust = covered().any(|(_, y)| y + 1 == map.rows);
        let upper = || covered().filter(|&(_, y)| (y - top) * 5 < bottom - top);
        let middle = upper().map(|(x, _)| (x - left) as f64 + 0.5).sum::<f64>();
        let head = middle / upper().count().max(1) as f64 / (right - left) as f64;
        Self { map, cover, bounds, is_bust, head }
    }

    /// Width over height.
    pub(crate) fn aspect(&self) -> f64 {
        self.bounds.width / self.bounds.height
    }

    /// How much of each pixel belongs to the subject, 0..=255, in a picture that shows this crop of
    /// the photo, unfiltered.
    pub(crate) fn shares(&self, picture: &Pixmap, crop: Crop) -> Vec<u8> {
        matte::fit(self, picture, crop)
    }

    /// How much of a place belongs to the subject, between the cells' middles.
    fn cover_at(&self, x: f64, y: f64) -> f32 {
        // A cell's value is that of its middle.
        let (x, y) = (x / self.map.cell_width - 0.5, y / self.map.cell_height - 0.5);
        let at = |x: f64, y: f64| {
            let column = x.clamp(0.0, (self.map.columns - 1) as f64) as usize;
            let row = y.clamp(0.0, (self.map.rows - 1) as f64) as usize;
            self.cover[row * self.map.columns + column]
        };
        let (part_x, part_y) = ((x - x.floor()) as f32, (y - y.floor()) as f32);
        let (x, y) = (x.floor(), y.floor());
        let above = at(x, y) * (1.0 - part_x) + at(x + 1.0, y) * part_x;
        let below = at(x, y + 1.0) * (1.0 - part_x) + at(x + 1.0, y + 1.0) * part_x;
        above * (1.0 - part_y) + below * part_y
    }
}

impl Map {
    fn of(photo: &PhotoPixels) -> Self {
        let (columns, rows, rgb) = small_map(photo, MAP_SIDE);
        let lab = rgb.chunks_exact(3).map(to_lab).collect();
        let cell_width = f64::from(photo.width) / columns as f64;
        let cell_height = f64::from(photo.height) / rows as f64;
        Self { columns, rows, rgb, lab, cell_width, cell_height }
    }

    fn len(&self) -> usize {
        self.lab.len()
    }

    /// Column and row of a cell.
    fn cell(&self, i: usize) -> (usize, usize) {
        (i % self.columns, i / self.columns)
    }

    /// The cells beside, above and below this one.
    fn neighbours(&self, i: usize) -> impl Iterator<Item = usize> {
        let (x, y) = self.cell(i);
        [
            (x > 0).then(|| i - 1),
            (x + 1 < self.columns).then(|| i + 1),
            (y > 0).then(|| i - self.columns),
            (y + 1 < self.rows).then(|| i + self.columns),
        ]
        .into_iter()
        .flatten()
    }

    /// The cells that are reached from `start` over cells for which `goes_on(from, to)` holds; they
    /// are marked as seen.
    fn reached(
        &self,
        start: usize,
        seen: &mut [bool],
        goes_on: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<usize> {
        seen[start] = true;
        let mut cells = vec![start];
        let mut next = 0;
        while let Some(&cell) = cells.get(next) {
            next += 1;
            for other in self.neighbours(cell) {
                if !seen[other] && goes_on(cell, other) {
                    seen[other] = true;
                    cells.push(other);
                }
            }
        }
        cells
    }

    /// Whether this is a subject before a background: of a fair size, hardly touching the upper and
    /// lateral edges, with a short outline, along which the colours change more than elsewhere.
    fn is_clear(&self, cover: &[f32]) -> bool {
        let is_subject = |i: &usize| cover[*i] > 0.5;
        let share_of = |cells: &mut dyn Iterator<Item = usize>| {
            let (mut inside, mut all) = (0, 0);
            for i in cells {
                all += 1;
                inside += u32::from(is_subject(&i));
            }
            inside as f32 / all as f32
        };
        let area = share_of(&mut (0..self.len()));
        let top = share_of(&mut (0..self.columns));
        let sides = share_of(
            &mut (0..self.rows).flat_map(|y| [y * self.columns, (y + 1) * self.columns - 1]),
        );
        let (mut length, mut contrast, mut pairs, mut all) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..self.len() {
            for other in self.neighbours(i) {
                let distance = distance_squared(self.lab[i], self.lab[other]).sqrt();
                pairs += 1.0;
                all += distance;
                if is_subject(&i) && !is_subject(&other) {
                    length += 1.0;
                    contrast += distance;
                }
            }
        }
        (0.06..0.65).contains(&area)
            && top < 0.12
            && sides < 0.16
            // For a disc on the grid this would be 4.5 times the root: the outline may be almost
            // three times as long.
            && length < 12.5 * (area * self.len() as f32).sqrt()
            && contrast > length * MIN_CONTRAST.max(1.4 * all / pairs)
    }
}

/// The mean distance of colours along a clear outline. This and the other limits were found by
/// looking at the cut-outs of photos of people, pets, things, groups and landscapes.
const MIN_CONTRAST: f32 = 11.0;

/// Cells along the longer side.
const MAP_SIDE: f64 = 112.0;

/// A photo thinner than this on the map is too thin for a figure.
const MIN_CELLS: usize = 24;

/// How different two colours look, squared; lightness counts less, since light falls unevenly.
fn distance_squared(a: Lab, b: Lab) -> f32 {
    let [lightness, red, blue] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    0.7 * lightness * lightness + red * red + blue * blue
}

/// From sRGB to CIE Lab (D65).
fn to_lab(pixel: &[u8]) -> Lab {
    let linear = |channel: u8| {
        let value = f32::from(channel) / 255.0;
        if value > 0.04045 { ((value + 0.055) / 1.055).powf(2.4) } else { value / 12.92 }
    };
    let curve = |t: f32| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let [red, green, blue] = [linear(pixel[0]), linear(pixel[1]), linear(pixel[2])];
    // Divided by the white of D65, which is 0.9505, 1 and 1.089.
    let x = curve((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505);
    let y = curve(0.2126 * red + 0.7152 * green + 0.0722 * blue);
    let z = curve((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> PhotoPixels {
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| colour(x, y))
            .collect();
        PhotoPixels { width, height, rgb }
    }

    fn ball(x: u32, y: u32) -> [u8; 3] {
        let inside = (x as f32 - 200.0).hypot(y as f32 - 160.0) < 90.0;
        if inside { [200, 60, 40] } else { [150 + (y / 8).min(60) as u8, 170, 190] }
    }

    #[test]
    fn a_ball_before_a_plain_ground_is_cut_out() {
        let photo = photo(400, 300, ball);
        let cutout = Cutout::of(&photo).expect("a clear subject");
        let Crop { left, top, width, height } = cutout.bounds;
        for (found, is) in [(left, 110.0), (top, 70.0), (width, 180.0), (height, 180.0)] {
            assert!((found - is).abs() < 12.0, "{:?}", cutout.bounds);
        }
        assert!(!cutout.is_bust);
        assert!((cutout.head - 0.5).abs() < 0.05, "{}", cutout.head);
        let whole = Crop { left: 0.0, top: 0.0, width: 400.0, height: 300.0 };
        let picture = crate::scale::crop_resized(&photo, whole, 400, 300);
        let shares = cutout.shares(&picture, whole);
        let at = |x: usize, y: usize| shares[y * 400 + x];
        assert!(at(200, 160) > 250 && at(200, 74) > 200 && at(286, 160) > 200);
        assert!(at(20, 20) < 5 && at(200, 64) < 60 && at(296, 160) < 60);
    }

    #[test]
    fn what_has_no_clear_subject_is_not_cut() {
        let landscape =
            photo(400, 300, |_, y| if y < 160 { [130, 180, 230] } else { [60, 120, 50] });
        let plain = photo(300, 300, |_, _| [90, 100, 110]);
        let noise = photo(300, 300, |x, y| {
            let value = crate::noise::hash_unit(x, y);
            [(value * 255.0) as u8; 3]
        });
        for photo in [landscape, plain, noise] {
            assert!(Cutout::of(&photo).is_none());
        }
        for (width, height) in [(1, 1), (1, 900), (900, 1), (2000, 40)] {
            assert!(Cutout::of(&photo(width, height, ball)).is_none());
        }
    }
}
