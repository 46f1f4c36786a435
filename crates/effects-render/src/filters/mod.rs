//! [`apply_all`]: applies the filters that a scene names, one after the other, to a photo, a layer or the
//! whole canvas. The painter of scenes (`scene/painter.rs`) calls it. Each filter is a function of
//! [`FilterArguments`] in the file of its name, but `stretch`, `tint` and `vignette` are in `grade.rs`,
//! `figure`, `outline` and `shade` in `shape.rs`, and `texture` here.
//!
//! A scene lists them as `filters="grade 0 1.1 1.2; felt 14 3"`: a name, then numbers and colours.
//! Lengths are pixels of the picture at hand. To add one: write `fn(&mut Pixmap, &FilterArguments)` (or
//! one returning a new picture) in its own file and name it in [`apply`].

mod blur;
mod dither;
mod duotone;
mod felt;
mod fur;
mod grade;
mod halftone;
mod ink;
mod isometric;
pub(crate) mod palette;
mod patchwork;
mod relief;
mod shape;
mod sphere;
mod tilt_shift;
mod voxel;

use resvg::tiny_skia::Pixmap;

use crate::scene::{SceneError, bounded};
use crate::tiles::Tile;

/// What stands behind a filter's name.
#[derive(Clone, Debug)]
pub(crate) struct FilterArguments<'a> {
    name: &'a str,
    words: Vec<&'a str>,
}

impl FilterArguments<'_> {
    /// The number at this place, or the default if the list is shorter.
    pub(crate) fn number(&self, index: usize, default: f32) -> Result<f32, SceneError> {
        match self.words.get(index) {
            None => Ok(default),
            Some(word) => {
                let number = word.parse().map_err(|_| {
                    SceneError::new(format!("filter {}: `{word}` is no number", self.name))
                })?;
                bounded(f64::from(number), LARGEST, word)?;
                Ok(number)
            }
        }
    }

    /// The colour at this place.
    pub(crate) fn colour(&self, index: usize, default: [u8; 3]) -> Result<[u8; 3], SceneError> {
        match self.words.get(index) {
            None => Ok(default),
            Some(word) => parse_colour(word).ok_or_else(|| {
                SceneError::new(format!("filter {}: `{word}` is no #rrggbb", self.name))
            }),
        }
    }

    /// Every colour from this place on.
    pub(crate) fn colours(&self, from: usize) -> Result<Vec<[u8; 3]>, SceneError> {
        (from..self.words.len()).map(|index| self.colour(index, [0; 3])).collect()
    }

    /// The word at this place, or the default.
    pub(crate) fn word(&self, index: usize, default: &'static str) -> &str {
        self.words.get(index).copied().unwrap_or(default)
    }
}

/// Runs a list of filters over a picture.
pub(crate) fn apply_all(mut pixmap: Pixmap, list: &str) -> Result<Pixmap, SceneError> {
    for entry in list.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut words = entry.split_whitespace();
        let name = words.next().unwrap_or_default();
        let arguments = FilterArguments { name, words: words.collect() };
        pixmap = apply(pixmap, name, &arguments)?;
    }
    Ok(pixmap)
}

fn apply(
    mut pixmap: Pixmap,
    name: &str,
    arguments: &FilterArguments<'_>,
) -> Result<Pixmap, SceneError> {
    match name {
        "blur" => blur::blur(&mut pixmap, arguments)?,
        "dither" => dither::dither(&mut pixmap, arguments)?,
        "duotone" => duotone::duotone(&mut pixmap, arguments)?,
        "felt" => felt::felt(&mut pixmap, arguments)?,
        "figure" => shape::figure(&mut pixmap, arguments)?,
        "fur" => fur::fur(&mut pixmap, arguments)?,
        "grade" => grade::grade(&mut pixmap, arguments)?,
        "halftone" => halftone::halftone(&mut pixmap, arguments)?,
        "ink" => ink::ink(&mut pixmap, arguments)?,
        "isometric" => pixmap = isometric::isometric(&pixmap, arguments)?,
        "outline" => shape::outline(&mut pixmap, arguments)?,
        "palette" => palette::palette(&mut pixmap, arguments)?,
        "patchwork" => patchwork::patchwork(&mut pixmap, arguments)?,
        "relief" => relief::relief(&mut pixmap, arguments)?,
        "shade" => shape::shade(&mut pixmap, arguments)?,
        "sphere" => pixmap = sphere::sphere(&pixmap, arguments)?,
        "stretch" => grade::stretch(&mut pixmap, arguments)?,
        "texture" => texture(&mut pixmap, arguments)?,
        "tilt_shift" => tilt_shift::tilt_shift(&mut pixmap, arguments)?,
        "tint" => grade::tint(&mut pixmap, arguments)?,
        "vignette" => grade::vignette(&mut pixmap, arguments)?,
        "voxel" => voxel::voxel(&mut pixmap, arguments)?,
        _ => return Err(SceneError::new(format!("no filter is called `{name}`"))),
    }
    Ok(pixmap)
}

/// `texture <tile> <strength>`
fn texture(pixmap: &mut Pixmap, arguments: &FilterArguments<'_>) -> Result<(), SceneError> {
    let name = arguments.word(0, "grain");
    let tile = Tile::named(name)
        .ok_or_else(|| SceneError::new(format!("no texture is called `{name}`")))?;
    tile.lay(pixmap, arguments.number(1, 0.3)?, (0, 0));
    Ok(())
}

/// The largest number that a filter takes; colours are multiplied by it in 32 bits.
const LARGEST: f64 = 10_000.0;

/// Reads `#rrggbb`.
pub(crate) fn parse_colour(word: &str) -> Option<[u8; 3]> {
    // ASCII, since the digits are cut out by bytes.
    let digits = word.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}
