//! [`apply_all`]: applies the filters that a scene names, one after the other, to a photo, a layer or the
//! whole canvas, and keeps colours no more than their alpha. The painter of scenes (`scene/painter.rs`) calls it. Each filter is a function of
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
    let mut is_opaque = pixmap.data().chunks_exact(4).all(|pixel| pixel[3] == 255);
    for entry in list.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut words = entry.split_whitespace();
        let name = words.next().unwrap_or_default();
        let arguments = FilterArguments { name, words: words.collect() };
        pixmap = apply(pixmap, name, &arguments)?;
        // What lies round what these make is transparent.
        is_opaque &= !matches!(name, "isometric" | "sphere");
        if !is_opaque {
            limit_to_alpha(&mut pixmap);
        }
    }
    Ok(pixmap)
}

/// Makes no colour more than its alpha, as premultiplied ones are: filters compute colours as those of an
/// opaque photo. More would shine where a layer is transparent, once it is laid over another picture.
fn limit_to_alpha(pixmap: &mut Pixmap) {
    for pixel in pixmap.data_mut().as_chunks_mut::<4>().0 {
        let alpha = pixel[3];
        pixel[..3].iter_mut().for_each(|channel| *channel = (*channel).min(alpha));
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pixels::new_pixmap;

    /// Every filter, by itself and where it stands behind or before another.
    const LISTS: [&str; 27] = [
        "blur 2",
        "dither 3 0.15 #000000 #808080 #ffffff",
        "duotone #102040 #ffe0b0",
        "felt 6 2",
        "figure 3 2",
        "fur 5",
        "grade 0.4 1.6 2 1",
        "grade -0.4 0.5 0 -1",
        "halftone 4 1 #ff8040",
        "ink 40 1",
        "isometric 6 2",
        "outline 2 #ffffff",
        "palette 4 1.5 0.5",
        "patchwork 2 2",
        "relief 4 1",
        "shade #ffffff",
        "sphere",
        "stretch 0.1",
        "texture felt 2",
        "texture grain 1",
        "tilt_shift 0.5 0.1 3",
        "tint #ffffff 1",
        "vignette 2 #ffffff",
        "voxel 4",
        "tint #ffffff 1; outline 2 #ffffff; blur 1",
        "isometric 6 2; grade 0.4 1.6 2 1",
        "sphere; grade 0.4 1.6 2 1",
    ];

    /// A picture of these pixels, whose colours are made no more than their alpha.
    fn picture(width: u32, pixels: &[[u8; 4]]) -> Pixmap {
        let mut pixmap = new_pixmap(width, pixels.len() as u32 / width);
        for (target, [red, green, blue, alpha]) in pixmap.data_mut().chunks_exact_mut(4).zip(pixels)
        {
            target.copy_from_slice(&[*red.min(alpha), *green.min(alpha), *blue.min(alpha), *alpha]);
        }
        pixmap
    }

    proptest! {
        #[test]
        fn no_filter_makes_a_colour_that_is_more_than_its_alpha(
            width in 1u32..20,
            pixels in prop::collection::vec(
                (any::<[u8; 3]>(), prop_oneof![Just(0u8), Just(255), any::<u8>()]),
                20..300,
            ),
            // Colours of an opaque picture are not limited, so this is a case of its own.
            is_opaque in any::<bool>(),
            list in prop::sample::select(&LISTS[..]),
        ) {
            let alpha_of = |alpha| if is_opaque { 255 } else { alpha };
            let pixels: Vec<[u8; 4]> =
                pixels.into_iter().map(|([r, g, b], alpha)| [r, g, b, alpha_of(alpha)]).collect();
            let filtered = apply_all(picture(width, &pixels), list).unwrap();
            let stays_opaque = is_opaque && !list.contains("isometric") && !list.contains("sphere");
            for pixel in filtered.data().chunks_exact(4) {
                prop_assert!(pixel[..3].iter().all(|it| *it <= pixel[3]), "{list}: {pixel:?}");
                prop_assert!(!stays_opaque || pixel[3] == 255, "{list}: {pixel:?}");
            }
        }
    }

    #[test]
    fn each_filter_is_in_the_property() {
        let text = include_str!("mod.rs");
        let names =
            text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "));
        let names: Vec<&str> = names.map(|(name, _)| name).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(
                LISTS.iter().any(|list| list.split_whitespace().next() == Some(name)),
                "{name}"
            );
        }
    }
}
