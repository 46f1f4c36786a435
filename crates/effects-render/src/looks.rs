//! [`TemplateLook`]: a template of the catalogue as the renderer knows it: its id, its title, and its
//! scene, the text of `scenes/<id>.svg`. [`looks()`] lists all thirty, for [`sampler`](fn@crate::sampler)
//! and for the examples and tests of this crate. [`paint`](crate::paint) finds a template's scene here, and
//! the painter of scenes the parts that several scenes share ([`part()`]).
//!
//! Each template is one file `scenes/<id>.svg`; a look that is still to come holds the one line
//! that paints the plain frame. Nothing here changes when a look is painted.

/// A template as the renderer knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TemplateLook {
    /// The service's id, letter for letter.
    pub id: &'static str,
    /// The service's title.
    pub title: &'static str,
    /// The scene file's text.
    pub(crate) scene: &'static str,
}

impl TemplateLook {
    /// Whether this look has a scene of its own yet; the others are a plain titled frame.
    #[must_use]
    pub fn is_painted(&self) -> bool {
        !self.scene.contains("<?part name=\"plain\"")
    }
}

/// All thirty looks, in the catalogue's order.
#[must_use]
pub fn looks() -> &'static [TemplateLook] {
    LOOKS
}

/// Whether the template with this id has a scene of its own; `false` for an unknown id too.
#[must_use]
pub fn is_painted(template_id: &str) -> bool {
    find(template_id).is_some_and(TemplateLook::is_painted)
}

pub(crate) fn find(id: &str) -> Option<&'static TemplateLook> {
    LOOKS.iter().find(|look| look.id == id)
}

/// The text of a shared part.
pub(crate) fn part(name: &str) -> Option<&'static str> {
    PARTS.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}

// Compiled in: the emulator paints wherever the one program is, with no files beside it.
macro_rules! look {
    ($id:literal, $title:literal) => {
        TemplateLook {
            id: $id,
            title: $title,
            scene: include_str!(concat!("../scenes/", $id, ".svg")),
        }
    };
}

macro_rules! part {
    ($name:literal) => {
        ($name, include_str!(concat!("../scenes/parts/", $name, ".svg")))
    };
}

const LOOKS: &[TemplateLook] = &[
    look!("felt_3d_polaroid", "Felt 3D Polaroid Style"),
    look!("my_world", "Pixel World Style"),
    look!("my_world_universal", "Pixel World - Universal Version"),
    look!("plastic_bubble_figure", "Plastic Bubble Figure"),
    look!("plastic_bubble_figure_cartoon_text", "Plastic Bubble Figure - Cartoon Text Version"),
    look!("furry_dream_doll", "Furry Dream Doll"),
    look!("micro_landscape_mini_world", "Mini World Doll Style"),
    look!(
        "micro_landscape_mini_world_professional",
        "Micro Landscape Mini World - Professional Version"
    ),
    look!("acrylic_ornaments", "Acrylic Ornaments"),
    look!("felt_keychain", "Felt Keychain"),
    look!("lofi_pixel_character_mini_card", "Lofi Pixel Character Mini Card"),
    look!("angel_figurine", "Angel Figurine"),
    look!("lying_in_fluffy_belly", "Lying in Fluffy Belly"),
    look!("glass_ball", "Glass Ball"),
    look!("earphone_case_style", "Earphone Case Style"),
    look!("electronic_pet_egg_style", "Electronic Pet Egg Style"),
    look!("patchwork_collage_style", "Patchwork Collage Style"),
    look!("claw_machine_style", "Claw Machine Style"),
    look!("car_miniature_ornaments", "Car Miniature Ornaments"),
    look!("Mid-Autumn_Festival_new_chinese_style", "Mid-Autumn Festival - New Chinese Style"),
    look!("Mid-Autumn_Festival_individual", "Mid-Autumn Festival Individual"),
    look!("Christmas_green_background", "Christmas Green Background"),
    look!("Christmas_tree", "Christmas Tree"),
    look!("Spring_Festival_traditional_Chinese_architecture", "Spring Festival Red Wall"),
    look!("birthday_photo_gorgeous", "Birthday Photo Gorgeous"),
    look!("birthday_photo_red", "Birthday Photo Red"),
    look!("birthday_photo_party", "Birthday Photo Party"),
    look!("graduation_photo", "Graduation Photo"),
    look!("spring_festival_traditional_architecture", "Spring Festival Traditional Architecture"),
    look!("spring_festival_gradient_colors", "Spring Festival Gradient Colors"),
];

/// In alphabetical order.
const PARTS: &[(&str, &str)] = &[
    part!("arcade"),
    part!("auspicious_cloud"),
    part!("balloon"),
    part!("bauble"),
    part!("bear"),
    part!("bench_tool"),
    part!("blister"),
    part!("bunting"),
    part!("burst"),
    part!("candle_flame"),
    part!("chain"),
    part!("cloud"),
    part!("cube"),
    part!("daisy"),
    part!("earbud"),
    part!("figure_pack"),
    part!("gift"),
    part!("heart"),
    part!("lantern"),
    part!("laurel"),
    part!("mooncake"),
    part!("osmanthus"),
    part!("pet_egg"),
    part!("pine"),
    part!("plain"),
    part!("plum"),
    part!("rabbit"),
    part!("snowflake"),
    part!("sparkle"),
    part!("star"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_looks_with_ids_of_their_own() {
        // Compared as they are written: the service's ids are case-sensitive.
        let mut ids: Vec<_> = looks().iter().map(|look| look.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 30);
    }
}
