//! A folder of photos as a manifest: its pictures by name, not those of the folders in it.

use std::fs;
use std::path::Path;

use effects_core::Error;

use super::columns::Cells;
use super::{Line, Lines, unreadable, unusable};

pub(super) fn read(path: &Path) -> Result<Lines, Error> {
    let (mut names, mut others) = (Vec::new(), 0_usize);
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        // A link to a photo is one too.
        if !fs::metadata(entry.path()).is_ok_and(|found| found.is_file()) {
            continue;
        }
        match entry.file_name().into_string() {
            Ok(name) if name.starts_with('.') => {}
            Ok(name) if is_photo(&name) => names.push(name),
            _ => others += 1,
        }
    }
    if names.is_empty() {
        let endings = ENDINGS.join(", ");
        return Err(unusable(
            path,
            &format!("the folder has no photos (files that end in {endings})"),
        ));
    }
    names.sort();
    let rows = (1..).zip(names).map(|(number, name)| {
        // A file may have any name; it is a path here whatever it looks like.
        let cells = Cells { image: Some(format!("./{name}")), ..Cells::default() };
        Ok(Line { number, cells: Ok(cells) })
    });
    let left_out = (others > 0).then(|| {
        format!("{others} files of the folder are left out: their names do not end like a photo's")
    });
    Ok(Lines::new(rows).with_warnings(left_out.into_iter().collect()))
}

fn is_photo(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];
