//! A folder of photos as a manifest, with `--recursive` also of the folders in it: each file with the name
//! of a photo is a row. [`read`] finds the photos, in the order of their paths, for `Manifest::at`.
//! [`list`] lists the files that are there now ([`FolderListing`]), for `FolderWatcher` of `effects watch`;
//! [`line_of`] makes the row of a photo, and [`why_left_out`] says why a file is no row.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use effects_client::{FileId, file_names};
use effects_core::{Error, ImageFormat, count_of};

use super::columns::Cells;
use super::{ManifestLine, unreadable, unusable};

/// The photos of the folder at `path`, and what is to be told of other files; with `out`, the folder of the
/// pictures, those of the folders in it too, except in `out` itself.
pub(super) fn read(path: &Path, out: Option<&Path>) -> Result<(Vec<PathBuf>, Vec<String>), Error> {
    let found = list(path, out).map_err(|error| unreadable(path, &error))?;
    let left_out = found.left_out(path);
    let FolderListing { photos, folders, .. } = found;
    let mut warnings: Vec<String> =
        left_out.iter().map(|(reason, files)| reason.message(files)).collect();
    if folders > 0 {
        let (are, their) = if folders == 1 { ("is", "its") } else { ("are", "their") };
        let folders = count_of(folders, "folder");
        warnings.push(format!("{folders} {are} left out: --recursive takes {their} photos too"));
    }
    if photos.is_empty() {
        let endings = PHOTO_EXTENSIONS.join(", ");
        let mut why = format!("the folder has no photos (files that end in {endings})");
        for warning in warnings {
            why.push_str(&format!("; {warning}"));
        }
        return Err(unusable(path, &why));
    }
    Ok((photos.into_iter().map(|photo| photo.path).collect(), warnings))
}

/// What is in a folder now, its photos and other files in the order of their paths; `out` is as for [`read`].
///
/// # Errors
///
/// When the folder, or one in it that is to be read, cannot be read.
pub(super) fn list(path: &Path, out: Option<&Path>) -> io::Result<FolderListing> {
    let mut found = FolderListing::default();
    // Counted as entered, so that no picture of an earlier run is taken for a photo.
    let own_pictures = out.map(FileId::of);
    found.entered.extend(own_pictures.iter().flatten().cloned());
    found.read(path, Path::new(""), out.is_some())?;
    found.photos.sort();
    Ok(found)
}

/// The row of a photo, whose path this is from the folder.
pub(super) fn line_of(number: u64, photo: PathBuf) -> ManifestLine {
    // A file may have any name; it is a path here also where it looks like a URL.
    let image = Some(format!("./{}", file_names::shown(&photo)));
    let folder = photo.parent().map(Path::to_owned);
    let file = photo.to_str().is_none().then_some(photo);
    ManifestLine { number, cells: Ok(Cells { image, folder, file, ..Cells::default() }) }
}

/// Why a file of the folder is no row, in words.
pub(super) fn why_left_out(folder: &Path, file: &Path) -> String {
    let reason = why_not(&folder.join(file));
    reason.message(&LeftOut { count: 1, first: file.to_owned() })
}

/// What is in a folder.
#[derive(Default)]
pub(crate) struct FolderListing {
    pub(crate) photos: Vec<FoundFile>,
    /// Files whose names do not end like a photo's.
    pub(crate) others: Vec<FoundFile>,
    /// What is no file, or cannot be looked at, and why.
    odd: Vec<(PathBuf, String)>,
    /// Folders that are not read.
    folders: u64,
    /// Folders that are read, or are not to be: a link may lead back to one.
    entered: HashSet<FileId>,
}

/// A file of a folder, as it is at one look.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct FoundFile {
    /// Its path from the folder.
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
}

/// Why files are no rows.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct LeftOutReason {
    /// Their format and a blank, where they are pictures.
    format: String,
    why: String,
}

/// The files that are left out for one reason.
struct LeftOut {
    count: u64,
    /// The path of the first.
    first: PathBuf,
}

impl FolderListing {
    /// Reads the folder `below` the one at `path`.
    fn read(&mut self, path: &Path, below: &Path, is_recursive: bool) -> io::Result<()> {
        let folder = path.join(below);
        if FileId::of(&folder).is_some_and(|id| !self.entered.insert(id)) {
            return Ok(());
        }
        let entries = fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
        let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
        // The system gives names in any order. Sorted, the first file of each reason is the same at every
        // look.
        names.sort();
        for name in names {
            // Programs that copy often give a file a hidden name first (`.cat.png.part`).
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let (below, file) = (below.join(&name), folder.join(&name));
            // A link to a photo is one too.
            match fs::metadata(&file) {
                Ok(found) if found.is_dir() && is_recursive => self.read(path, &below, true)?,
                Ok(found) if found.is_dir() => self.folders += 1,
                Ok(found) if found.is_file() => {
                    // By its name alone: `effects watch` looks every second, and opens no file for that.
                    let files = if is_photo(&below) { &mut self.photos } else { &mut self.others };
                    let modified = found.modified().ok();
                    files.push(FoundFile { path: below, length: found.len(), modified });
                }
                Ok(_) => self.odd.push((below, "it is no regular file".to_owned())),
                Err(error) => self.odd.push((below, error.to_string())),
            }
        }
        Ok(())
    }

    /// What is no row of the folder at `path`, by the reasons.
    fn left_out(&self, path: &Path) -> BTreeMap<LeftOutReason, LeftOut> {
        let others = self.others.iter().map(|file| (why_not(&path.join(&file.path)), &file.path));
        let odd = self.odd.iter().map(|(path, why)| (LeftOutReason::plain(why), path));
        let mut left_out = BTreeMap::new();
        for (reason, first) in others.chain(odd) {
            let files = left_out.entry(reason);
            files.or_insert_with(|| LeftOut { count: 0, first: first.clone() }).count += 1;
        }
        left_out
    }
}

impl LeftOutReason {
    fn plain(why: &str) -> Self {
        Self { format: String::new(), why: why.to_owned() }
    }

    /// The warning about the files that are left out for it.
    fn message(&self, LeftOut { count, first }: &LeftOut) -> String {
        let Self { format, why } = self;
        let first = first.display();
        let files = count_of(*count, &format!("{format}file"));
        let (are, one) = if *count == 1 { ("is", "") } else { ("are", ", for one") };
        format!("{files} {are} left out ({first}{one}): {why}")
    }
}

/// Why a file is no row whose name does not end like a photo's, and the way out.
fn why_not(file: &Path) -> LeftOutReason {
    let mut start = Vec::new();
    let read = File::open(file)
        .and_then(|file| file.take(ImageFormat::SNIFF_BYTES as u64).read_to_end(&mut start));
    if let Err(error) = read {
        return LeftOutReason::plain(&format!("it cannot be read: {error}"));
    }
    match ImageFormat::sniff(&start) {
        Some(format) => {
            let why = match PHOTO_EXTENSIONS.contains(&format.extension()) {
                true => format!("give it a name that ends in .{}", format.extension()),
                false => format.how_to_convert().to_owned(),
            };
            LeftOutReason { format: format!("{format} "), why }
        }
        None => match ImageFormat::why_no_picture(&start) {
            Some(what) => LeftOutReason::plain(&format!("it {what}")),
            None => LeftOutReason::plain("it is no picture"),
        },
    }
}

fn is_photo(path: &Path) -> bool {
    let ending = path.extension().map(OsStr::to_ascii_lowercase);
    ending.is_some_and(|ending| PHOTO_EXTENSIONS.iter().any(|known| ending == *known))
}

const PHOTO_EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "jfif", "jpe", "png", "webp", "gif"];
