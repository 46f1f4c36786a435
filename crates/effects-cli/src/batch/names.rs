//! Where the pictures of rows go: names that neither collide nor leave their folder.

use std::path::PathBuf;

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

const LONGEST_PART: usize = 200;

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
}
