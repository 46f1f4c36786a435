//! [`Template`]: the thirty styles that the service lists, each in a [`Group`]. It is parsed from an id (an
//! unlisted one on request), searched for, and suggested for a misspelt id ([`UnknownTemplate`]). Rust
//! programs, the command and the Python binding choose one for each request or job; journal rows, names of
//! picture files and the emulator (its tasks and fault plans) have it, too. The pace learns durations by a
//! template's id.
//!
//! Source of ids and titles: the service's page, section "Parameters", `template_id`. Ids are
//! case-sensitive there, so they are here: nothing ever picks a template by similarity.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::pace::{InvalidLabel, Label};

/// One of the looks of the service.
///
/// Parsed from its exact id with [`Template::from_str`]; an id the catalogue does not list is only
/// possible on purpose, with [`Template::unlisted`].
///
/// ```
/// use effects_core::Template;
///
/// let template: Template = "glass_ball".parse()?;
/// assert_eq!(template, Template::GlassBall);
/// assert_eq!(template.title(), "Glass Ball");
///
/// let error = "glas_ball".parse::<Template>().unwrap_err();
/// assert_eq!(error.suggestions(), [Template::GlassBall]);
/// # Ok::<(), effects_core::UnknownTemplate>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is described by its title in the catalogue below")]
pub enum Template {
    Felt3dPolaroid,
    MyWorld,
    MyWorldUniversal,
    PlasticBubbleFigure,
    PlasticBubbleFigureCartoonText,
    FurryDreamDoll,
    MicroLandscapeMiniWorld,
    MicroLandscapeMiniWorldProfessional,
    AcrylicOrnaments,
    FeltKeychain,
    LofiPixelCharacterMiniCard,
    AngelFigurine,
    LyingInFluffyBelly,
    GlassBall,
    EarphoneCaseStyle,
    ElectronicPetEggStyle,
    PatchworkCollageStyle,
    ClawMachineStyle,
    CarMiniatureOrnaments,
    MidAutumnFestivalNewChineseStyle,
    MidAutumnFestivalIndividual,
    ChristmasGreenBackground,
    ChristmasTree,
    /// Named by its title: its id differs from
    /// [`SpringFestivalTraditionalArchitecture`](Self::SpringFestivalTraditionalArchitecture)'s by
    /// one word and letter case alone.
    SpringFestivalRedWall,
    BirthdayPhotoGorgeous,
    BirthdayPhotoRed,
    BirthdayPhotoParty,
    GraduationPhoto,
    SpringFestivalTraditionalArchitecture,
    SpringFestivalGradientColors,
    /// An id outside the catalogue, made with [`Template::unlisted`].
    Unlisted(UnlistedTemplate),
}

impl Template {
    /// The thirty listed templates, in the order of the service's page.
    pub const ALL: [Self; 30] = [
        Self::Felt3dPolaroid,
        Self::MyWorld,
        Self::MyWorldUniversal,
        Self::PlasticBubbleFigure,
        Self::PlasticBubbleFigureCartoonText,
        Self::FurryDreamDoll,
        Self::MicroLandscapeMiniWorld,
        Self::MicroLandscapeMiniWorldProfessional,
        Self::AcrylicOrnaments,
        Self::FeltKeychain,
        Self::LofiPixelCharacterMiniCard,
        Self::AngelFigurine,
        Self::LyingInFluffyBelly,
        Self::GlassBall,
        Self::EarphoneCaseStyle,
        Self::ElectronicPetEggStyle,
        Self::PatchworkCollageStyle,
        Self::ClawMachineStyle,
        Self::CarMiniatureOrnaments,
        Self::MidAutumnFestivalNewChineseStyle,
        Self::MidAutumnFestivalIndividual,
        Self::ChristmasGreenBackground,
        Self::ChristmasTree,
        Self::SpringFestivalRedWall,
        Self::BirthdayPhotoGorgeous,
        Self::BirthdayPhotoRed,
        Self::BirthdayPhotoParty,
        Self::GraduationPhoto,
        Self::SpringFestivalTraditionalArchitecture,
        Self::SpringFestivalGradientColors,
    ];

    /// A template the catalogue does not list, for the day the service adds one.
    ///
    /// # Errors
    ///
    /// [`UnknownTemplate`] when the id is empty, longer than 128 bytes, or holds white space or
    /// control characters. A listed id gives the listed template.
    ///
    /// ```
    /// use effects_core::Template;
    ///
    /// assert_eq!(Template::unlisted("moon_base")?.id(), "moon_base");
    /// assert_eq!(Template::unlisted("glass_ball")?, Template::GlassBall);
    /// # Ok::<(), effects_core::UnknownTemplate>(())
    /// ```
    pub fn unlisted(id: &str) -> Result<Self, UnknownTemplate> {
        // One template has one form, so that it compares equal and its durations are learnt
        // together.
        if let Some(listed) = Self::listed(id) {
            return Ok(listed);
        }
        let label = id.parse().map_err(|_: InvalidLabel| UnknownTemplate::new(id))?;
        Ok(Self::Unlisted(UnlistedTemplate(Arc::new(label))))
    }

    /// The id on the wire (`template_id`), letter for letter.
    pub fn id(&self) -> &str {
        match self {
            Self::Unlisted(unlisted) => unlisted.id(),
            listed => listed.row().id,
        }
    }

    /// The title on the service's page; an unlisted template has its id for one.
    pub fn title(&self) -> &str {
        match self {
            Self::Unlisted(unlisted) => unlisted.id(),
            listed => listed.row().title,
        }
    }

    /// The family of looks it belongs to; `None` for an unlisted template.
    pub fn group(&self) -> Option<Group> {
        match self {
            Self::Unlisted(_) => None,
            listed => Some(listed.row().group),
        }
    }

    /// The listed templates whose id, title or group contain every word of `query`, in catalogue
    /// order and without regard to case. An empty query finds all thirty.
    ///
    /// ```
    /// use effects_core::Template;
    ///
    /// let found = Template::search("spring wall");
    /// assert_eq!(found, [Template::SpringFestivalRedWall]);
    /// ```
    pub fn search(query: &str) -> Vec<Self> {
        let query = query.to_lowercase();
        let matches = |template: &Self| {
            let row = template.row();
            let text = format!("{} {} {}", row.id, row.title, row.group).to_lowercase();
            query.split_whitespace().all(|word| text.contains(word))
        };
        Self::ALL.into_iter().filter(matches).collect()
    }

    /// The listed templates a mistyped id most likely means, the nearest first; at most three.
    ///
    /// They are for showing to a person: near twins exist, so none may be picked for them.
    pub fn suggestions(mistyped: &str) -> Vec<Self> {
        let typed = folded(mistyped);
        if typed.is_empty() {
            return Vec::new();
        }
        let mut ranked: Vec<(usize, Self)> = Self::ALL
            .into_iter()
            .filter_map(|template| {
                let id = folded(template.id());
                let title = folded(template.title());
                let distance = distance(&typed, &id).min(distance(&typed, &title));
                // One edit more for every four letters; and from three letters on, a part of a name
                // is a hint, too.
                let within = distance <= 1 + id.len() / 4;
                let part = typed.len() >= 3 && (id.contains(&typed) || title.contains(&typed));
                (within || part).then_some((distance, template))
            })
            .collect();
        ranked.sort_by_key(|(distance, _)| *distance);
        let nearest = ranked.first().map_or(0, |(distance, _)| *distance);
        ranked
            .into_iter()
            // A far second is noise beside a near first.
            .take_while(|(distance, _)| nearest > 2 || *distance <= nearest + 8)
            .map(|(_, template)| template)
            .take(3)
            .collect()
    }

    fn listed(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.row().id == id)
    }

    fn row(&self) -> TemplateRow {
        use Group::{Accessories, Festival, Miniature, Occasions, Pixel, Toys};
        let (id, title, group) = match self {
            Self::Felt3dPolaroid => ("felt_3d_polaroid", "Felt 3D Polaroid Style", Toys),
            Self::MyWorld => ("my_world", "Pixel World Style", Pixel),
            Self::MyWorldUniversal => {
                ("my_world_universal", "Pixel World - Universal Version", Pixel)
            }
            Self::PlasticBubbleFigure => ("plastic_bubble_figure", "Plastic Bubble Figure", Toys),
            Self::PlasticBubbleFigureCartoonText => (
                "plastic_bubble_figure_cartoon_text",
                "Plastic Bubble Figure - Cartoon Text Version",
                Toys,
            ),
            Self::FurryDreamDoll => ("furry_dream_doll", "Furry Dream Doll", Toys),
            Self::MicroLandscapeMiniWorld => {
                ("micro_landscape_mini_world", "Mini World Doll Style", Miniature)
            }
            Self::MicroLandscapeMiniWorldProfessional => (
                "micro_landscape_mini_world_professional",
                "Micro Landscape Mini World - Professional Version",
                Miniature,
            ),
            Self::AcrylicOrnaments => ("acrylic_ornaments", "Acrylic Ornaments", Accessories),
            Self::FeltKeychain => ("felt_keychain", "Felt Keychain", Accessories),
            Self::LofiPixelCharacterMiniCard => {
                ("lofi_pixel_character_mini_card", "Lofi Pixel Character Mini Card", Pixel)
            }
            Self::AngelFigurine => ("angel_figurine", "Angel Figurine", Toys),
            Self::LyingInFluffyBelly => ("lying_in_fluffy_belly", "Lying in Fluffy Belly", Toys),
            Self::GlassBall => ("glass_ball", "Glass Ball", Miniature),
            Self::EarphoneCaseStyle => ("earphone_case_style", "Earphone Case Style", Accessories),
            Self::ElectronicPetEggStyle => {
                ("electronic_pet_egg_style", "Electronic Pet Egg Style", Accessories)
            }
            Self::PatchworkCollageStyle => {
                ("patchwork_collage_style", "Patchwork Collage Style", Accessories)
            }
            Self::ClawMachineStyle => ("claw_machine_style", "Claw Machine Style", Toys),
            Self::CarMiniatureOrnaments => {
                ("car_miniature_ornaments", "Car Miniature Ornaments", Accessories)
            }
            Self::MidAutumnFestivalNewChineseStyle => (
                "Mid-Autumn_Festival_new_chinese_style",
                "Mid-Autumn Festival - New Chinese Style",
                Festival,
            ),
            Self::MidAutumnFestivalIndividual => {
                ("Mid-Autumn_Festival_individual", "Mid-Autumn Festival Individual", Festival)
            }
            Self::ChristmasGreenBackground => {
                ("Christmas_green_background", "Christmas Green Background", Festival)
            }
            Self::ChristmasTree => ("Christmas_tree", "Christmas Tree", Festival),
            Self::SpringFestivalRedWall => (
                "Spring_Festival_traditional_Chinese_architecture",
                "Spring Festival Red Wall",
                Festival,
            ),
            Self::BirthdayPhotoGorgeous => {
                ("birthday_photo_gorgeous", "Birthday Photo Gorgeous", Occasions)
            }
            Self::BirthdayPhotoRed => ("birthday_photo_red", "Birthday Photo Red", Occasions),
            Self::BirthdayPhotoParty => ("birthday_photo_party", "Birthday Photo Party", Occasions),
            Self::GraduationPhoto => ("graduation_photo", "Graduation Photo", Occasions),
            Self::SpringFestivalTraditionalArchitecture => (
                "spring_festival_traditional_architecture",
                "Spring Festival Traditional Architecture",
                Festival,
            ),
            Self::SpringFestivalGradientColors => {
                ("spring_festival_gradient_colors", "Spring Festival Gradient Colors", Festival)
            }
            // Every caller answers for an unlisted template before it asks for the row.
            Self::Unlisted(_) => ("", "", Toys),
        };
        TemplateRow { id, title, group }
    }
}

impl FromStr for Template {
    type Err = UnknownTemplate;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::listed(id).ok_or_else(|| UnknownTemplate::new(id))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.id().to_owned()
    }
}

/// The durations of a template's tasks are learnt together.
impl From<&Template> for Label {
    fn from(template: &Template) -> Self {
        match template {
            Template::Unlisted(unlisted) => unlisted.0.as_ref().clone(),
            listed => Self::from_static(listed.row().id),
        }
    }
}

impl From<Template> for Label {
    fn from(template: Template) -> Self {
        Self::from(&template)
    }
}

/// Reading back what was saved: an id that was unlisted then is unlisted now.
impl TryFrom<String> for Template {
    type Error = UnknownTemplate;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::unlisted(&id)
    }
}

/// The id of a template outside the catalogue; see [`Template::unlisted`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnlistedTemplate(
    /// One word: every template takes as much room as this one.
    Arc<Label>,
);

impl UnlistedTemplate {
    /// The id on the wire.
    pub fn id(&self) -> &str {
        self.0.as_str()
    }
}

/// A family of looks. The grouping is this project's, for finding things; the service has none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Group {
    /// Things to carry or wear: key rings, cases, cards, patches.
    Accessories,
    /// Seasons and holidays.
    Festival,
    /// Small worlds: dioramas and glass balls.
    Miniature,
    /// Birthdays and graduations.
    Occasions,
    /// Voxels and pixel art.
    Pixel,
    /// Dolls, figures and plush.
    Toys,
}

impl Group {
    /// Every group, in alphabetical order.
    pub const ALL: [Self; 6] = [
        Self::Accessories,
        Self::Festival,
        Self::Miniature,
        Self::Occasions,
        Self::Pixel,
        Self::Toys,
    ];

    /// Its name, lower-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accessories => "accessories",
            Self::Festival => "festival",
            Self::Miniature => "miniature",
            Self::Occasions => "occasions",
            Self::Pixel => "pixel",
            Self::Toys => "toys",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An id that names no listed template, with what was probably meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownTemplate {
    given: String,
    suggestions: Vec<Template>,
}

impl UnknownTemplate {
    fn new(given: &str) -> Self {
        // An id this long is a pasted mistake; the message must stay readable.
        let given: String = given.chars().take(128).collect();
        Self { suggestions: Template::suggestions(&given), given }
    }

    /// What was given, cut to 128 characters.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// The nearest listed templates, nearest first; at most three, possibly none.
    pub fn suggestions(&self) -> &[Template] {
        &self.suggestions
    }
}

impl UnknownTemplate {
    /// What is wrong, and what was meant; without suggestions, who shows it adds what lists the templates.
    pub(crate) fn message(&self) -> String {
        let wrong = format!("template_id {:?} is not one of the thirty templates", self.given);
        match self.suggestions.as_slice() {
            [] => format!("{wrong}, whose ids are case-sensitive"),
            [only] => format!("{wrong}; did you mean {:?}?", only.id()),
            several => {
                let ids: Vec<String> =
                    several.iter().map(|template| format!("{:?}", template.id())).collect();
                format!("{wrong}; did you mean one of {}?", ids.join(", "))
            }
        }
    }
}

impl fmt::Display for UnknownTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        if self.suggestions.is_empty() { write!(f, ": {TEMPLATES} lists them") } else { Ok(()) }
    }
}

/// What lists the templates, unless a library names its own.
pub(crate) const TEMPLATES: &str = "`effects templates`";

impl std::error::Error for UnknownTemplate {}

struct TemplateRow {
    id: &'static str,
    title: &'static str,
    group: Group,
}

/// Lower case, and every run of anything but letters and digits made one underscore.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            folded.extend(c.to_lowercase());
        } else if !folded.ends_with('_') {
            folded.push('_');
        }
    }
    folded.trim_matches('_').to_owned()
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    // Three rows of the table are enough: a swap of neighbours looks back two, every other edit
    // one.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best = (above[j] + usize::from(l != r)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listed_id_parses_to_itself_and_no_two_are_alike() {
        for template in Template::ALL {
            assert_eq!(template.id().parse::<Template>(), Ok(template.clone()));
            assert_ne!(template.title(), "");
        }
        let mut ids: Vec<String> = Template::ALL.into_iter().map(String::from).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 30);
    }

    #[test]
    fn ids_are_case_sensitive_and_near_twins_are_suggested_not_picked() {
        // The id in small letters: two listed ids differ from it by case or by one word.
        let error = "spring_festival_traditional_chinese_architecture".parse::<Template>();
        let suggestions = error.unwrap_err().suggestions().to_vec();
        assert_eq!(suggestions[0], Template::SpringFestivalRedWall);
        assert!(suggestions.contains(&Template::SpringFestivalTraditionalArchitecture));
        assert!("GLASS_BALL".parse::<Template>().is_err());
    }

    #[test]
    fn typing_mistakes_titles_and_parts_find_their_template() {
        let nearest = |typed| Template::suggestions(typed).first().cloned();
        assert_eq!(nearest("galss_ball"), Some(Template::GlassBall));
        assert_eq!(nearest("Glass Ball"), Some(Template::GlassBall));
        assert_eq!(nearest("christmas-tree"), Some(Template::ChristmasTree));
        assert_eq!(nearest("polaroid"), Some(Template::Felt3dPolaroid));
        assert_eq!(nearest("xyzzy"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn an_unlisted_id_survives_being_saved() {
        let template = Template::unlisted("moon_base").unwrap();
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(text, "\"moon_base\"");
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
        assert!(Template::unlisted("two words").is_err());
        assert!(Template::unlisted("").is_err());
    }
}
