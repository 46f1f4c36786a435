//! Where the pictures of rows go: names that neither collide nor leave their folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use effects_client::FileId;
use effects_core::{Size, Template};

use crate::naming;

/// What the batch itself writes into its folder.
pub(crate) const RESULTS: &str = "manifest.jsonl";
/// The contact sheet of a pilot.
pub(crate) const SHEET: &str = "contact-sheet.png";

/// The name a row asks for, if it can be one: a path below the folder, made of plain parts.
pub(crate) fn asked_for(out: &str) -> Result<PathBuf, String> {
    let fail = |why: &str| Err(format!("out {out:?} {why}"));
    if out.contains(['\\', ':']) || out.chars().any(char::is_control) {
        return fail("holds a character that a file's name cannot have everywhere");
    }
    if out.starts_with('/') {
        return fail("is an absolute path: give one below the folder of --out");
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

/// The name for a row with a key: the key.
pub(crate) fn of_key(key: &str) -> PathBuf {
    format!("{}.png", naming::harmless(key)).into()
}

/// The name for a row without one, which stays its own however the manifest is sorted or grows:
/// `PHOTO-TEMPLATE-HASH.png`, the hash being over what the row asks for and how often an equal row
/// came before it.
pub(crate) fn of_row(image: &str, template: &Template, size: Size, before: u32) -> PathBuf {
    let path = image.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("photo");
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let stem = if stem.is_empty() { "photo" } else { stem };
    let stem: String = naming::plain(stem).chars().take(LONGEST_STEM).collect();
    let template = naming::harmless(template.id());
    let hash = naming::hash(&format!("{image}\n{template}\n{size}\n{before}"));
    format!("{stem}-{template}-{:012x}.png", hash & HASH_MASK).into()
}

/// Files that are spoken for: by rows whose picture goes there, or whose photo is there.
///
/// A file is known by its name, and where something is there already, by what the name leads to. Names
/// that differ only in their letters' case are one file on some systems, so they are here.
#[derive(Debug, Default)]
pub(crate) struct Claims(HashMap<Place, Claimed>);

#[derive(Debug, Eq, Hash, PartialEq)]
enum Place {
    /// A path, hashed.
    Name(u64),
    File(FileId),
}

#[derive(Debug, Default)]
struct Claimed {
    picture: Option<Claim>,
    /// The line of a row whose photo it is.
    photo: Option<u64>,
}

/// The row whose picture goes somewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Claim {
    /// Its place among the rows, from 0.
    pub(crate) index: usize,
    /// Its line; 0 for a file of the batch itself.
    pub(crate) line: u64,
}

impl Claims {
    /// Claims a file for a row's picture, unless another row has.
    pub(crate) fn picture(&mut self, path: &Path, claim: Claim) -> Result<(), Claim> {
        let places: Vec<Place> = places(path).collect();
        if let Some(other) = places.iter().find_map(|place| self.0.get(place)?.picture) {
            return Err(other);
        }
        for place in places {
            self.0.entry(place).or_default().picture = Some(claim);
        }
        Ok(())
    }

    /// A file is the photo of the row on this line; rows may share a photo.
    pub(crate) fn photo(&mut self, path: &Path, line: u64) {
        for place in places(path) {
            self.0.entry(place).or_default().photo.get_or_insert(line);
        }
    }

    /// Pictures that would replace a photo, in the order of their rows, with that photo's line.
    pub(crate) fn conflicts(&self) -> Vec<(Claim, u64)> {
        let both = |claimed: &Claimed| Some((claimed.picture?, claimed.photo?));
        let mut conflicts: Vec<_> = self.0.values().filter_map(both).collect();
        conflicts.sort_by_key(|(claim, _)| claim.index);
        conflicts.dedup_by_key(|(claim, _)| *claim);
        conflicts
    }

    /// Whether a file is a photo, or where the picture of another row goes than the one at this place
    /// among the rows.
    pub(crate) fn has_for_another(&self, path: &Path, index: usize) -> bool {
        places(path).filter_map(|place| self.0.get(&place)).any(|claimed| {
            claimed.photo.is_some() || claimed.picture.is_some_and(|claim| claim.index != index)
        })
    }

    /// Whether somebody wants a file, or has it.
    pub(crate) fn has(&self, path: &Path) -> bool {
        places(path).any(|place| self.0.contains_key(&place))
    }
}

/// The places that a path stands for.
fn places(path: &Path) -> impl Iterator<Item = Place> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = Place::Name(naming::hash(&whole.to_string_lossy().to_lowercase()));
    [name].into_iter().chain(FileId::of(path).map(Place::File))
}

const LONGEST_PART: usize = 200;
const LONGEST_STEM: usize = 60;
/// 12 hexadecimal digits.
const HASH_MASK: u64 = 0xffff_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder_or_is_refused() {
        assert_eq!(asked_for("a/b c.png"), Ok(PathBuf::from("a/b c.png")));
        for bad in [
            "../x.png", "/etc/x", "a/../b", "./a", "a//b", "a/", "..", "a\\b", "C:x", ".hidden",
            "a/.b", "x\ny",
        ] {
            assert!(asked_for(bad).is_err(), "{bad}");
        }
        assert!(asked_for(&"x".repeat(300)).is_err());
    }

    #[test]
    fn default_names_are_plain_and_differ_with_all_that_is_asked_for() {
        let name = |image: &str, before| {
            let path = of_row(image, &Template::GlassBall, Size::DEFAULT, before);
            path.to_str().unwrap().to_owned()
        };
        let plain = name("https://example.com/a/cat.jpg?x=1", 0);
        assert!(plain.starts_with("cat-glass_ball-") && plain.ends_with(".png"), "{plain}");
        assert_eq!(plain.len(), "cat-glass_ball-.png".len() + 12);
        assert_eq!(plain, name("https://example.com/a/cat.jpg?x=1", 0));
        assert_ne!(plain, name("https://example.com/b/cat.jpg?x=1", 0));
        assert_ne!(plain, name("https://example.com/a/cat.jpg?x=1", 1));
        for odd in ["../../etc/passwd", "-o", ".x", "https://example.com/", "ü/ö?.png"] {
            let name = name(odd, 0);
            assert!(!name.contains(['/', '\\', '?']) && !name.starts_with(['.', '-']), "{name}");
        }
        assert_ne!(of_key("a/b"), of_key("a_b"));
        assert_eq!(of_key("cat"), Path::new("cat.png"));
    }

    #[test]
    fn one_file_is_one_rows_and_no_photo_is_replaced() {
        let claim = |index| Claim { index, line: index as u64 + 2 };
        let mut claims = Claims::default();
        assert_eq!(claims.picture(Path::new("out/Cat.png"), claim(0)), Ok(()));
        assert_eq!(claims.picture(Path::new("out/cat.PNG"), claim(1)), Err(claim(0)));
        claims.photo(Path::new("cat.jpg"), 2);
        claims.photo(Path::new("cat.jpg"), 3);
        assert_eq!(claims.conflicts(), []);
        assert_eq!(claims.picture(Path::new("cat.jpg"), claim(2)), Ok(()));
        assert!(!claims.has_for_another(Path::new("out/cat.png"), 0));
        assert!(claims.has_for_another(Path::new("out/cat.png"), 1));
        assert!(claims.has_for_another(Path::new("cat.jpg"), 2));
        claims.photo(Path::new("out/cat.png"), 9);
        assert_eq!(claims.conflicts(), [(claim(0), 9), (claim(2), 2)]);
        assert!(claims.has(Path::new("CAT.jpg")) && !claims.has(Path::new("dog.jpg")));
    }
}
