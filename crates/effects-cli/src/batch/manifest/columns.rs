//! The columns a row may have, and what was probably meant by another.

/// What a row says, as far as it says it; an empty cell says nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cells {
    pub(crate) template: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) width: Option<String>,
    pub(crate) height: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) out: Option<String>,
    /// Fields nobody asked for, where a row names its own.
    pub(crate) strange: Vec<String>,
}

/// Every column there is.
pub(super) const NAMES: [&str; 7] = ["template", "image", "width", "height", "key", "tag", "out"];

impl Cells {
    /// The cell of this column, if there is such a column.
    pub(super) fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "template" => &mut self.template,
            "image" => &mut self.image,
            "width" => &mut self.width,
            "height" => &mut self.height,
            "key" => &mut self.key,
            "tag" => &mut self.tag,
            "out" => &mut self.out,
            _ => return None,
        })
    }
}

/// What is said of a column nobody asked for.
pub(crate) fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(60).collect();
    match suggestion(name) {
        Some(meant) => {
            format!("column {shown:?} is not known and left out; did you mean {meant:?}?")
        }
        None => {
            format!("column {shown:?} is not known and left out; known are {}", NAMES.join(", "))
        }
    }
}

/// The column that was probably meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let plain = name.trim().to_lowercase();
    if let Some(known) = NAMES.into_iter().find(|known| *known == plain) {
        return Some(known);
    }
    if let Some((_, meant)) = SYNONYMS.into_iter().find(|(other, _)| *other == plain) {
        return Some(meant);
    }
    let nearest = NAMES.into_iter().map(|known| (distance(&plain, known), known)).min()?;
    (nearest.0 <= 1 + nearest.1.len() / 4).then_some(nearest.1)
}

/// Letters to put in, take out or replace to turn one word into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().take(40).enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            row.push((above[j] + usize::from(l != *r)).min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[right.len()]
}

/// What the columns are called elsewhere: on the wire, and in people's tables.
const SYNONYMS: [(&str, &str); 12] = [
    ("template_id", "template"),
    ("style", "template"),
    ("image_input1", "image"),
    ("image_url", "image"),
    ("photo", "image"),
    ("url", "image"),
    ("path", "image"),
    ("file", "image"),
    ("id", "key"),
    ("name", "key"),
    ("output", "out"),
    ("label", "tag"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_column_is_recognised_and_a_strange_one_is_not() {
        for (typed, meant) in [
            ("Template", Some("template")),
            ("tempalte", Some("template")),
            ("template_id", Some("template")),
            (" image ", Some("image")),
            ("widht", Some("width")),
            ("heigth", Some("height")),
            ("notes", None),
            ("", None),
        ] {
            assert_eq!(suggestion(typed), meant, "{typed:?}");
        }
    }
}
