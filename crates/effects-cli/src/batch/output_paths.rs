//! The names of files in the folder of `--out`. [`NameTemplate`] (`--name`) makes the name of a row's
//! picture; [`checked_name`] refuses a name that would lead out of the folder. `commands/batch.rs` takes
//! the option, and `Checker` (`rows.rs`) names the pictures with both. [`RESULTS`] and [`SHEET`] name the
//! manifest and the contact sheet that the batch itself writes there, for all files that read, write or
//! protect them.

use std::path::PathBuf;
use std::str::FromStr;

/// What the batch itself writes into its folder.
pub(crate) const RESULTS: &str = "manifest.jsonl";
/// The contact sheet of a pilot.
pub(crate) const SHEET: &str = "contact-sheet.png";

/// The name a row asks for, if it can be one: a path below the folder, made of plain parts.
pub(crate) fn checked_name(out: &str) -> Result<PathBuf, String> {
    let fail = |why: &str| Err(format!("out {out:?} {why}"));
    if out.contains(['\\', ':']) || out.chars().any(char::is_control) {
        return fail("holds a character that a file's name cannot have everywhere");
    }
    if out.starts_with('/') {
        return fail("is an absolute path: give one below the folder of --out");
    }
    if out.starts_with('~') && out.contains('/') {
        return fail(
            "begins with ~, which only a shell takes for the home folder: give a path below \
                     the folder of --out",
        );
    }
    for part in out.split('/') {
        match part {
            "" => return fail("names no file"),
            "." | ".." => return fail("leaves the folder of --out, or names no file"),
            _ if part.starts_with('.') => return fail("names a hidden file"),
            _ if part.len() > LONGEST_PART => return fail("is too long"),
            _ => {}
        }
    }
    Ok(out.split('/').collect())
}

/// `--name`: what pictures are called whose rows have no `out`, such as `{template}/{stem}.png`.
#[derive(Clone, Debug)]
pub(crate) struct NameTemplate(String);

/// What a [`NameTemplate`] can say of a row.
pub(crate) struct NameFields<'a> {
    /// The photo's name, without folders and ending.
    pub(crate) stem: &'a str,
    pub(crate) template: &'a str,
    pub(crate) key: Option<&'a str>,
    /// Its place among the rows, from 1.
    pub(crate) row: usize,
}

impl NameTemplate {
    /// The name of a row's picture, or why it can have none.
    pub(crate) fn name(&self, fields: &NameFields<'_>) -> Result<PathBuf, String> {
        let mut name = String::new();
        for part in self.0.split_inclusive('}') {
            let (text, field) = part.split_once('{').unwrap_or((part, ""));
            name.push_str(text);
            name.push_str(&match field {
                "" => String::new(),
                "stem}" => within_a_part(fields.stem),
                "template}" => within_a_part(fields.template),
                "row}" => fields.row.to_string(),
                "key}" => within_a_part(fields.key.ok_or_else(|| {
                    format!("the row has no key, which --name {:?} asks for", self.0)
                })?),
                _ => return Err(NAMES_IN_BRACES.to_owned()),
            });
        }
        let path = checked_name(&name)?;
        match path.extension() {
            Some(_) => Ok(path),
            None => Err(format!(
                "--name {:?} makes the name {name:?}, which has no ending: add .png to it",
                self.0
            )),
        }
    }
}

impl FromStr for NameTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `name` takes a closing brace without an opening one for text.
        let is_open = text.split('}').any(|part| part.matches('{').count() > 1)
            || text.matches('{').count() != text.matches('}').count()
            || text.find('}').is_some_and(|end| text.find('{').is_none_or(|start| end < start));
        let name = Self(text.to_owned());
        // A key may end in .png of itself, which shows only as the rows are read.
        let key = Some(if text.ends_with("{key}") { "k.png" } else { "k" });
        let fields = NameFields { stem: "cat", template: "glass_ball", key, row: 1 };
        if is_open {
            return Err(NAMES_IN_BRACES.to_owned());
        }
        // Filled once on trial, so that a template that no row can use is refused before a row is read.
        name.name(&fields).map(|_| name)
    }
}

/// A text as part of a path's part: letters of every script and blanks stay.
fn within_a_part(text: &str) -> String {
    let acts = |c: char| "/\\:".contains(c) || c.is_control();
    let plain: String = text.chars().map(|c| if acts(c) { '_' } else { c }).collect();
    // A dot first would hide the file.
    plain.strip_prefix('.').map_or_else(|| plain.clone(), |rest| format!("_{rest}"))
}

const NAMES_IN_BRACES: &str = "the names in braces are {stem}, {key}, {template} and {row}";
// In bytes. File systems take 255, and `.NAME.0123456789abcdef.part` has to fit, also where a piece of
// the row's identity was added to the name.
const LONGEST_PART: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_what_a_row_has_or_refused() {
        let of = |template: &str| template.parse::<NameTemplate>();
        let fields = NameFields { stem: "Zoë 1", template: "my_world", key: Some("../k"), row: 7 };
        for (template, name) in [
            ("{stem}.png", "Zoë 1.png"),
            ("{template}/{row}-{stem}.png", "my_world/7-Zoë 1.png"),
            ("{key}.png", "_._k.png"),
            ("same.png", "same.png"),
        ] {
            assert_eq!(of(template).unwrap().name(&fields), Ok(PathBuf::from(name)), "{template}");
        }
        assert!(of("{key}.png").unwrap().name(&NameFields { key: None, ..fields }).is_err());
        for bad in
            ["{name}.png", "{stem.png", "stem}.png", "{{stem}}", "}{", "/{stem}", "{stem}/", ""]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
        for (bad, said) in [
            ("{template}/{row}", "add .png"),
            ("~/x/{stem}.png", "below the folder"),
            ("{name}.png", "names in braces"),
            ("not known", "add .png"),
        ] {
            assert!(of(bad).unwrap_err().contains(said), "{bad}");
        }
        let keyed = of("{key}").unwrap();
        assert_eq!(keyed.name(&NameFields { key: Some("k.png"), ..fields }), Ok("k.png".into()));
        assert!(keyed.name(&NameFields { key: Some("k"), ..fields }).is_err());
    }

    #[test]
    fn a_name_stays_in_its_folder_or_is_refused() {
        assert_eq!(checked_name("a/b c.png"), Ok(PathBuf::from("a/b c.png")));
        for bad in [
            "../x.png", "/etc/x", "a/../b", "./a", "a//b", "a/", "..", "a\\b", "C:x", ".hidden",
            "a/.b", "x\ny",
        ] {
            assert!(checked_name(bad).is_err(), "{bad}");
        }
        assert!(checked_name(&"x".repeat(300)).is_err());
    }
}
