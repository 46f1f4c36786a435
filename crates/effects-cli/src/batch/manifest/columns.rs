//! [`Cells`]: the values of one row of a manifest, by column. `csv.rs`, `json_lines.rs` and `folder.rs`
//! fill it, and `Checker` (`batch/rows.rs`) checks it. [`suggestion`], [`lookalike`] and [`unknown`] guess
//! which column an unknown name is meant to be (`widht`), for the errors and warnings of `csv.rs`,
//! `json_lines.rs` and `batch/preflight.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::values::json_or_text;

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
    /// Parameters that this program does not know, of which nothing is checked yet.
    pub(crate) params: Option<BTreeMap<String, Value>>,
    /// Why parameters cannot be read.
    pub(crate) bad_params: Vec<String>,
    /// The folder below that of the pictures where its own goes: of a photo in a folder of the manifest.
    pub(crate) folder: Option<PathBuf>,
    /// The file of the photo, where its path is no text: `image` is as near to it as can be.
    pub(crate) file: Option<PathBuf>,
    /// Fields of no meaning here, where a row names its own.
    pub(crate) unknown_columns: Vec<String>,
}

/// Every column there is.
pub(super) const NAMES: [&str; 7] = ["template", "image", "width", "height", "key", "tag", "out"];

impl Cells {
    /// Puts a value into the column of this name, if there is such a column.
    pub(super) fn put(&mut self, name: &str, value: &str) -> bool {
        if let Some(param) = param_of(name) {
            if !value.trim().is_empty() {
                match json_or_text(param, value.trim()) {
                    Ok(value) => self.param(param, value),
                    Err(why) => self.bad_params.push(why),
                }
            }
            return true;
        }
        let Some(cell) = self.named(name) else { return false };
        let value = value.trim();
        *cell = match name {
            "width" | "height" => side(value),
            _ => Some(value).filter(|value| !value.is_empty()).map(str::to_owned),
        };
        true
    }

    /// Puts the value of a parameter.
    pub(super) fn param(&mut self, name: &str, value: Value) {
        if self.params.get_or_insert_default().insert(name.to_owned(), value).is_some() {
            self.bad_params.push(format!("parameter {name:?} is there twice: give it once"));
        }
    }

    /// The cell of this column, if there is such a column.
    fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
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

/// A column's name as we write it: without blanks around it and capitals. A parameter keeps its own.
pub(super) fn normalised_name(name: &str) -> String {
    let name = name.trim();
    match name.split_at_checked(PARAM.len()) {
        Some((prefix, param)) if prefix.eq_ignore_ascii_case(PARAM) => format!("{PARAM}{param}"),
        _ => name.to_lowercase(),
    }
}

/// The parameter that a column is for, if it is for one: `param:seed`.
pub(super) fn param_of(name: &str) -> Option<&str> {
    name.strip_prefix(PARAM).map(str::trim)
}

/// Whether there is such a column.
pub(super) fn is_known(normalised_name: &str) -> bool {
    NAMES.contains(&normalised_name) || param_of(normalised_name).is_some()
}

const PARAM: &str = "param:";

/// A side as tables write one: they make `1024.0` of whole numbers in a column with gaps, or `1024,0`, and
/// `NaN` or `NA` of the gaps. What is no whole number stays as it is, and is refused with the row.
fn side(value: &str) -> Option<String> {
    const GAPS: [&str; 7] = ["", "nan", "na", "n/a", "<na>", "none", "null"];
    if GAPS.contains(&value.to_lowercase().as_str()) {
        return None;
    }
    let whole = value.split_once(['.', ',']).filter(|(whole, rest)| {
        !whole.is_empty() && !rest.is_empty() && rest.bytes().all(|digit| digit == b'0')
            // Three zeros may part thousands.
            && (value.contains('.') || rest.len() < 3)
    });
    Some(whole.map_or(value, |(whole, _)| whole).to_owned())
}

/// A name that is left out, and looks like one of our columns that is not there, with that.
pub(super) fn lookalike<T: AsRef<str>>(names: &[T]) -> Option<(&str, &'static str)> {
    let is_there = |known: &&str| names.iter().any(|name| name.as_ref() == *known);
    names.iter().map(AsRef::as_ref).filter(|name| !is_known(name)).find_map(|name| {
        // Not `suggestion`: what our columns are called elsewhere (`name`, `id`) may be a column of the
        // table's own.
        let near = nearest(name).filter(|near| !is_there(near))?;
        Some((name, near))
    })
}

/// The warning about a column of no meaning here.
pub(crate) fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(60).collect();
    match suggestion(name) {
        Some(meant) => {
            format!("column {shown:?} is not known and left out; did you mean {meant:?}?")
        }
        None => {
            let known = NAMES.join(", ");
            format!("column {shown:?} is not known and left out; known are {known}, param:NAME")
        }
    }
}

/// The column that was probably meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let plain = normalised_name(name);
    if let Some(known) = NAMES.into_iter().find(|known| *known == plain) {
        return Some(known);
    }
    if let Some((_, meant)) = SYNONYMS.into_iter().find(|(other, _)| *other == plain) {
        return Some(meant);
    }
    nearest(&plain)
}

/// The column whose name is nearly this. What begins like a parameter's is meant to be one.
fn nearest(plain: &str) -> Option<&'static str> {
    if plain.starts_with("param") {
        return Some("param:NAME");
    }
    let nearest = NAMES.into_iter().map(|known| (distance(plain, known), known)).min()?;
    // One letter, and one more for every four: `widht`, two replacements from `width`, is near it.
    (nearest.0 <= 1 + nearest.1.len() / 4).then_some(nearest.1)
}

/// Letters to put in, take out or replace to turn one word into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    // No column's name is this long, and a header may be a whole line of text.
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

    #[test]
    fn a_column_that_looks_like_ours_is_one_that_is_not_there() {
        assert_eq!(lookalike(&["template", "image", "widht"]), Some(("widht", "width")));
        assert_eq!(lookalike(&["template", "image", "width", "widht"]), None);
        for odd in ["params", "param_seed", "params:seed", "parameter:seed"] {
            assert_eq!(lookalike(&["template", "image", odd]), Some((odd, "param:NAME")));
        }
        assert_eq!(lookalike(&["template", "image", "param:seed"]), None);
        // What columns are called elsewhere may be anything.
        assert_eq!(lookalike(&["template", "image", "name", "notes"]), None);
    }

    #[test]
    fn sides_are_read_as_tables_write_them() {
        for (cell, side) in [
            ("1024", Some("1024")),
            (" 1024.0 ", Some("1024")),
            ("1024.000", Some("1024")),
            ("1024,0", Some("1024")),
            ("1,000", Some("1,000")),
            ("1024.5", Some("1024.5")),
            ("1e3", Some("1e3")),
            (".0", Some(".0")),
            ("NaN", None),
            ("<NA>", None),
            ("", None),
        ] {
            let mut cells = Cells::default();
            assert!(cells.put("width", cell));
            assert_eq!(cells.width.as_deref(), side, "{cell:?}");
        }
        let mut cells = Cells::default();
        // A key may be called anything.
        assert!(cells.put("key", "NaN") && !cells.put("Key", "NaN"));
        assert_eq!(cells.key.as_deref(), Some("NaN"));
    }
}
