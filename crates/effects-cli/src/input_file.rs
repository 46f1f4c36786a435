//! [`InputFile`]: the identity of the file of a command's input photo, by which no picture overwrites it,
//! whichever path or link leads there. `effects run` and `effects sampler` make one from their argument,
//! `effects wait` from the journal's row. `pictures.rs` refuses an output that a person chose and that is
//! the photo; where the command chooses the name, [`free_path`](InputFile::free_path) passes over the
//! photo's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use effects_client::FileId;
use effects_client::file_names::Names;
use effects_core::Reference;

/// The file of a photo; none where the photo is a URL or comes through a pipe.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputFile(Option<FileId>);

impl InputFile {
    /// The file of IMAGE as it was given: a URL, a path, or `-` for stdin.
    pub(crate) fn of(image: Option<&OsStr>) -> Self {
        Self(image.and_then(|image| match image.to_str() {
            // A shell's `< photo.jpg` is a file, too, and a picture must not replace it.
            Some("-") => FileId::of_stdin(),
            Some(url) if Reference::is_url(url) => None,
            _ => FileId::of(Path::new(image)),
        }))
    }

    /// Whether this path leads to it, by any links.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.0.is_some() && FileId::of(path) == self.0
    }

    /// The path for the next picture: that of the first number, from `number` up, whose path is not the
    /// photo's. Leaves `number` one past it.
    pub(crate) fn free_path(&self, names: &Names, number: &mut usize) -> PathBuf {
        loop {
            let path = names.path(*number);
            *number += 1;
            if !self.is_at(&path) {
                return path;
            }
        }
    }
}
