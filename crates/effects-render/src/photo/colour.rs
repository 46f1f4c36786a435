//! [`Conversion`]: converts a photo from its embedded colour profile to sRGB, by a table of colours between
//! which it interpolates. A decoder hands the profile to its `RowReceiver` (`mod.rs`), which makes one and
//! converts the whole photo once, after its rows were reduced.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// A table from a photo's colours to sRGB.
///
/// The profile is asked for the colours of a lattice, and what lies between is interpolated: the same
/// few thousand questions for any photo, however large it is.
#[derive(Debug)]
pub(super) struct Conversion {
    lattice: Vec<[f32; 3]>,
}

impl Conversion {
    /// The conversion that a profile of colours or of greys asks for; none where it is of another kind,
    /// broken, or means sRGB, and none for a profile of greys in a photo of colours, of which it says nothing.
    pub(super) fn of(profile: &[u8], is_grey: bool) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        let layout = match profile.color_space {
            DataColorSpace::Rgb => Layout::Rgb,
            DataColorSpace::Gray if is_grey => Layout::Gray,
            _ => return None,
        };
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let transform = profile.create_transform_16bit(layout, &srgb, Layout::Rgb, options).ok()?;
        let places = || (0..SIDE).map(|place| (place * 65_535 / (SIDE - 1)) as u16);
        let mut asked = Vec::new();
        for red in places() {
            for green in places() {
                for blue in places() {
                    // A grey has its own number in all three, and only these are ever looked up.
                    match layout {
                        Layout::Gray => asked.push(red),
                        _ => asked.extend([red, green, blue]),
                    }
                }
            }
        }
        let mut converted = vec![0u16; SIDE.pow(3) * 3];
        transform.transform(&asked, &mut converted).ok()?;
        let lattice: Vec<[f32; 3]> = converted
            .as_chunks::<3>()
            .0
            .iter()
            .map(|colour| colour.map(|value| f32::from(value) / 257.0))
            .collect();
        let conversion = Self { lattice };
        (!conversion.changes_nothing()).then_some(conversion)
    }

    fn changes_nothing(&self) -> bool {
        let place = |at: usize| (at * 255) as f32 / (SIDE - 1) as f32;
        self.lattice.iter().enumerate().all(|(at, converted)| {
            let asked = [at / SIDE / SIDE, at / SIDE % SIDE, at % SIDE].map(place);
            // A profile that means sRGB is off by its own rounding.
            converted.iter().zip(asked).all(|(converted, asked)| (converted - asked).abs() < 0.6)
        })
    }

    /// Converts pixels of red, green and blue.
    pub(super) fn apply(&self, rgb: &mut [u8]) {
        let (mut last, mut known) = ([0; 3], self.look_up([0; 3]));
        for pixel in rgb.as_chunks_mut::<3>().0 {
            // Neighbours often have the same colour, and comparing is cheaper than looking up.
            if *pixel != last {
                (last, known) = (*pixel, self.look_up(*pixel));
            }
            *pixel = known;
        }
    }

    /// Between the four corners of a tetrahedron round the colour.
    fn look_up(&self, colour: [u8; 3]) -> [u8; 3] {
        let scaled = colour.map(|value| f32::from(value) * ((SIDE - 1) as f32 / 255.0));
        // 255 lies at the far side of the last cell, and not in one behind it.
        let cell = scaled.map(|value| (value as usize).min(SIDE - 2));
        let part: [f32; 3] = std::array::from_fn(|i| scaled[i] - cell[i] as f32);
        let steps = [SIDE * SIDE, SIDE, 1];
        let mut order = [0, 1, 2];
        order.sort_by(|a, b| part[*b].total_cmp(&part[*a]));
        let mut at = cell[0] * steps[0] + cell[1] * steps[1] + cell[2];
        let mut sum = self.lattice[at];
        for axis in order {
            let before = self.lattice[at];
            at += steps[axis];
            for i in 0..3 {
                sum[i] += (self.lattice[at][i] - before[i]) * part[axis];
            }
        }
        sum.map(|value| (value + 0.5) as u8)
    }
}

/// Places of the lattice along each axis.
const SIDE: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(profile: &ColorProfile) -> Vec<u8> {
        profile.encode().unwrap()
    }

    #[test]
    fn srgb_and_what_is_no_profile_change_nothing() {
        assert!(Conversion::of(&encoded(&ColorProfile::new_srgb()), false).is_none());
        assert!(Conversion::of(b"no profile", false).is_none());
    }

    #[test]
    fn wide_colours_become_what_they_are_in_srgb() {
        for profile in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb()] {
            let conversion = Conversion::of(&encoded(&profile), false).unwrap();
            let transform = profile
                .create_transform_8bit(
                    Layout::Rgb,
                    &ColorProfile::new_srgb(),
                    Layout::Rgb,
                    TransformOptions::default(),
                )
                .unwrap();
            let mut worst = 0;
            let mut sum = 0;
            let mut colours: Vec<u8> =
                (0..3 * 30_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let mut expected = vec![0; colours.len()];
            transform.transform(&colours, &mut expected).unwrap();
            conversion.apply(&mut colours);
            for (is, ought) in colours.iter().zip(&expected) {
                worst = worst.max(is.abs_diff(*ought));
                sum += u32::from(is.abs_diff(*ought));
            }
            assert!(sum < colours.len() as u32 / 4 && worst < 12, "{sum} {worst}");
        }
    }
}
