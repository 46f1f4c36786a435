//! [`contact_sheet`]: lays finished pictures side by side on one labelled sheet, a PNG;
//! `effects batch --pilot` makes the overview of its pictures with it. [`Sheet`]: such a sheet while it is
//! filled; `sampler` fills one with a painting of each template. `thumbnail` calls [`fit`], which makes a
//! photo as large as fits into a square.

use resvg::tiny_skia::{Color, Pixmap};

use crate::error::PaintError;
use crate::photo;
use crate::pixels::{Crop, PhotoPixels, new_pixmap};
use crate::raster::{self, Blend};
use crate::{encode, scale, scene};

/// A picture for a [`contact_sheet`].
#[derive(Clone, Copy, Debug)]
pub struct SheetPicture<'a> {
    /// The picture's file: PNG, JPEG or WebP.
    pub picture: &'a [u8],
    /// The line below it.
    pub title: &'a str,
    /// The smaller line below that.
    pub caption: &'a str,
}

/// Lays pictures out on one sheet, up to six in a row, each within `side` by `side` pixels with its
/// two lines below. Returns a PNG file. A picture that cannot be read is a grey square.
///
/// # Errors
///
/// [`PaintError::BadSize`] unless `side` lies in 100..=512, and the sheet has 1 to 200 pictures.
pub fn contact_sheet(pictures: &[SheetPicture<'_>], side: u32) -> Result<Vec<u8>, PaintError> {
    let count = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
    if !(1..=MAX_PICTURES).contains(&count) {
        return Err(PaintError::BadSize {
            field: "pictures",
            value: count,
            low: 1,
            high: MAX_PICTURES,
        });
    }
    let mut sheet = Sheet::new(count, side)?;
    for SheetPicture { picture, title, caption } in pictures {
        // One at a time and at the size of its place, so that no sheet holds two hundred photos.
        let read = photo::read_for(picture, side, side);
        let tile = read.map_or_else(|_| unreadable(side), |read| fit(&read.photo, side));
        sheet.add(&tile, title, caption);
    }
    let pixmap = sheet.labelled(TITLE)?;
    encode::sheet(&pixmap, TITLE).map_err(|error| faulty(TITLE, &error))
}

/// A sheet being filled, row by row.
pub(crate) struct Sheet {
    pixmap: Pixmap,
    labels: String,
    side: u32,
    columns: u32,
    count: u32,
}

impl Sheet {
    /// An empty sheet for so many pictures.
    pub(crate) fn new(count: u32, side: u32) -> Result<Self, PaintError> {
        if !(100..=512).contains(&side) {
            return Err(PaintError::BadSize { field: "side", value: side, low: 100, high: 512 });
        }
        let columns = count.clamp(1, COLUMNS);
        let (gap, label) = (side / 16, side / 6);
        let width = columns * (side + gap) + gap;
        let height = count.div_ceil(columns) * (side + label + gap) + gap;
        let mut pixmap = new_pixmap(width, height);
        pixmap.fill(Color::from_rgba8(250, 248, 244, 255));
        Ok(Self { pixmap, labels: String::new(), side, columns, count: 0 })
    }

    /// Adds a picture no larger than the side, in the middle of its place.
    pub(crate) fn add(&mut self, picture: &Pixmap, title: &str, caption: &str) {
        let (side, gap, label) = (self.side, self.side / 16, self.side / 6);
        let left = gap + self.count % self.columns * (side + gap);
        let top = gap + self.count / self.columns * (side + label + gap);
        let (x, y) = (
            left + (side - picture.width().min(side)) / 2,
            top + (side - picture.height().min(side)) / 2,
        );
        raster::lay(&mut self.pixmap, picture, x as i32, y as i32, 1.0, Blend::Normal);
        self.labels.push_str(&label_of(title, caption, left, top + side, side));
        self.count += 1;
    }

    /// The sheet as a PNG file that says what painted it.
    pub(crate) fn finish(self, name: &str) -> Result<Vec<u8>, PaintError> {
        let pixmap = self.labelled(name)?;
        encode::png(&pixmap, name).map_err(|error| faulty(name, &error))
    }

    fn labelled(mut self, name: &str) -> Result<Pixmap, PaintError> {
        let drawn = scene::draw_over(&mut self.pixmap, &self.labels);
        drawn.map_err(|fault| faulty(name, &fault))?;
        Ok(self.pixmap)
    }
}

fn faulty(name: &str, reason: &dyn std::fmt::Display) -> PaintError {
    PaintError::Scene { template: name.to_owned(), reason: reason.to_string() }
}

/// The label in the language of scenes.
fn label_of(title: &str, caption: &str, left: u32, top: u32, side: u32) -> String {
    let line = |text: &str, y: f32, size: f32, colour: &str| {
        format!(
            "<?letters text=\"{}\" x=\"{left}\" y=\"{}\" size=\"{}\" weight=\"0.13\" \
             anchor=\"start\" colour=\"{colour}\" max_width=\"{side}\"/?>",
            plain(text),
            top as f32 + y * side as f32,
            size * side as f32,
        )
    };
    line(title, 0.075, 0.036, "#222222") + &line(caption, 0.135, 0.026, "#888888")
}

/// A text without the signs that a scene's reader gives a meaning to; labels may come from outside.
fn plain(text: &str) -> String {
    let known = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"<>&'`?".contains(c);
    let text: String = text.chars().take(60).map(|c| if known(c) { c } else { '_' }).collect();
    if text.trim().is_empty() { "-".to_owned() } else { text }
}

/// A photo as large as fits into a square.
pub(crate) fn fit(photo: &PhotoPixels, side: u32) -> Pixmap {
    let (width, height) = (f64::from(photo.width), f64::from(photo.height));
    let factor = f64::from(side) / width.max(height);
    let scaled = |length: f64| (length * factor).round().clamp(1.0, f64::from(side)) as u32;
    scale::crop_resized(
        photo,
        Crop { left: 0.0, top: 0.0, width, height },
        scaled(width),
        scaled(height),
    )
}

fn unreadable(side: u32) -> Pixmap {
    let mut tile = new_pixmap(side, side);
    tile.fill(Color::from_rgba8(200, 200, 200, 255));
    tile
}

const TITLE: &str = "contact sheet";
/// What every file of [`contact_sheet`] has among its first 256 bytes, its title, and hardly any other picture.
pub const CONTACT_SHEET_MARK: &[u8] = b"tEXtTitle\0contact sheet";
const COLUMNS: u32 = 6;
const MAX_PICTURES: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_room_for_each_picture_and_its_lines() {
        let card = crate::test_card(640, 320).unwrap();
        let odd = SheetPicture { picture: b"no picture", title: "\"<?&'", caption: "" };
        let good = SheetPicture { picture: &card, title: "line 2", caption: "glass_ball" };
        let sheet = contact_sheet(&[good, odd, good, good, good, good, good], 160).unwrap();
        let sheet = photo::read_for(&sheet, 4096, 4096).unwrap().photo;
        // Places of 160 with gaps of a sixteenth, and lines of a sixth below.
        assert_eq!((sheet.width, sheet.height), (6 * 170 + 10, 2 * (160 + 26 + 10) + 10));
        // The second is the grey square, in the middle of its place.
        let middle = ((90 * sheet.width + 10 + 170 + 80) * 3) as usize;
        assert_eq!(sheet.rgb[middle..middle + 3], [200, 200, 200]);
        // The largest sheet is drawn as well, with its last line.
        // Its labels lie lowest of all, so their places are the largest numbers that a
        // scene has to take.
        let mut largest = Sheet::new(MAX_PICTURES, 512).unwrap();
        largest.count = MAX_PICTURES - 1;
        largest.add(&unreadable(8), "last", "line");
        assert!(largest.labelled(TITLE).is_ok());
        assert!(contact_sheet(&[], 160).is_err());
        assert!(contact_sheet(&[good], 99).is_err());
    }
}
