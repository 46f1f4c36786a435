//! [`InputImage`]: the photo that a command is given: a URL, or a photo that [`InputImage::read`] reads
//! from a path or, for `-`, from stdin. `request.rs` (for `run`, `submit` and `check`), `effects sampler`
//! and `doctor/live.rs` read one; `effects reorder` reads a path with [`read_file`].

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use effects_client::{is_special, read_photo};
use effects_core::model::DraftImage;
use effects_core::{Error, ErrorKind, Reference};
use effects_jobs::Photo;

/// The input picture as it was given.
#[derive(Debug)]
pub(crate) enum InputImage {
    Missing,
    /// What looks like a URL, valid or not.
    Url(String),
    /// A photo on this machine.
    Local(Photo),
    /// A file on this machine that cannot be used as a photo.
    Unusable(Error),
}

impl InputImage {
    /// Reads the input picture: a local photo whole, a URL not at all.
    pub(crate) fn read(given: Option<&OsStr>) -> Self {
        let Some(given) = given else { return Self::Missing };
        let photo = match given.to_str() {
            Some("") => return Self::Missing,
            Some("-") => read_stdin(),
            Some(url) if Reference::is_url(url) => return Self::Url(url.to_owned()),
            // A path may hold any bytes.
            _ => read_file(Path::new(given)),
        };
        photo.map_or_else(Self::Unusable, Self::Local)
    }

    /// What a draft says of it.
    pub(crate) fn draft(&self) -> DraftImage {
        match self {
            Self::Missing => DraftImage::Missing,
            Self::Url(url) => DraftImage::Url(url.clone()),
            // What is wrong with the photo is reported by its own error.
            Self::Local(_) | Self::Unusable(_) => DraftImage::Local,
        }
    }

    /// The photo, if it is on this machine.
    pub(crate) fn into_photo(self) -> Option<Photo> {
        match self {
            Self::Local(photo) => Some(photo),
            _ => None,
        }
    }
}

/// Reads a photo from a file. A pipe by name, which nothing may ever be written to, and a device are refused.
///
/// # Errors
///
/// When it is none, or cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<Photo, Error> {
    // What the shell has opened for the command has its writer: `<(curl …)`.
    let is_open = ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|it| path.starts_with(it));
    if is_special(path) && !is_open {
        let message = format!(
            "photo {} is not a regular file: save it as a file, or give it through stdin, as -",
            path.display()
        );
        return Err(Error::new(ErrorKind::UnusablePhoto, message));
    }
    read_photo(path)
}

fn read_stdin() -> Result<Photo, Error> {
    let fail = |message: String| Err(Error::new(ErrorKind::UnusablePhoto, message));
    let stdin = io::stdin();
    // To read on would wait for a photo that cannot be typed.
    if stdin.is_terminal() {
        return fail("the photo is to come from stdin, and stdin is a terminal".to_owned());
    }
    let mut bytes = Vec::new();
    // One byte more than is accepted tells a photo that is too long.
    let max_bytes = Photo::MAX_BYTES as u64 + 1;
    match stdin.lock().take(max_bytes).read_to_end(&mut bytes) {
        Ok(0) => fail("the photo is to come from stdin, and stdin is empty".to_owned()),
        Ok(_) => Photo::new(bytes.into(), "stdin"),
        Err(error) => fail(format!("stdin cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_told_apart() {
        for url in ["https://x/y.png", "HTTP://x", "https:x", "ftp://x/y", "data:image/png;base64,"]
        {
            assert!(Reference::is_url(url), "{url}");
        }
        for path in ["cat.jpg", "./http", "a:b", "C:\\cat.jpg", "/tmp/x"] {
            assert!(!Reference::is_url(path), "{path}");
        }
    }
}
