//! Files: photos read whole and bounded, pictures written beside their place and renamed into it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use effects_core::{Error, ErrorKind, Photo};

use crate::random::random_name;

/// Reads a photo from a file.
///
/// # Errors
///
/// [`ErrorKind::UnusablePhoto`] when it cannot be read, is too long, or is no picture.
pub fn read_photo(path: &Path) -> Result<Photo, Error> {
    let fail = |error: std::io::Error| {
        let message = format!("photo {} cannot be read: {error}", path.display());
        Error::new(ErrorKind::UnusablePhoto, message)
    };
    let mut bytes = Vec::new();
    // One byte more than is accepted tells a photo that is too long, whatever the file claims.
    let most = Photo::MOST_BYTES as u64 + 1;
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(fail)?;
    Photo::new(bytes.into(), &path.to_string_lossy())
}

/// A file on its way to its place: written under a temporary name beside it, moved there whole.
///
/// Whatever stood there before stays until that moment. Dropped before [`finish`](Self::finish), it
/// leaves nothing.
#[derive(Debug)]
pub struct Landing {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    landed: bool,
}

impl Landing {
    /// Begins a file that will stand at `target`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when nothing can be written beside it.
    pub fn begin(target: &Path) -> Result<Self, Error> {
        let Some(name) = target.file_name() else {
            return Err(unwritable(target, &"it names no file"));
        };
        let unique = random_name().map_err(|error| unwritable(target, &error))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{unique}.part"));
        let temporary = target.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| unwritable(target, &error))?;
        Ok(Self { file, temporary, target: target.to_owned(), landed: false })
    }

    /// Moves the file to its place, once it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when it cannot be moved.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.temporary, &self.target))
            .map_err(|error| unwritable(&self.target, &error))?;
        self.landed = true;
        Ok(self.target.clone())
    }
}

/// Where a picture's bytes go.
pub trait Sink {
    /// Appends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when it takes no more.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Forgets what was written: another attempt begins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when it cannot.
    fn restart(&mut self) -> Result<(), Error>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.clear();
        Ok(())
    }
}

impl Sink for Landing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| unwritable(&self.target, &error))
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| unwritable(&self.target, &error))?;
        Ok(())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            // Nobody is left to tell; the name says what it is.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn unwritable(target: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Download, format!("{} cannot be written: {error}", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_lands_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ball.png");
        fs::write(&target, "before").unwrap();

        let mut landing = Landing::begin(&target).unwrap();
        landing.write(b"half of a first attempt").unwrap();
        landing.restart().unwrap();
        landing.write(b"whole").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        assert_eq!(landing.finish().unwrap(), target);
        assert_eq!(fs::read(&target).unwrap(), b"whole");

        let mut dropped = Landing::begin(&target).unwrap();
        dropped.write(b"lost").unwrap();
        drop(dropped);
        assert_eq!(names(folder.path()), ["ball.png"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_at_once() {
        let error = Landing::begin(Path::new("/nowhere/at/all.png")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.png"));
        assert!(Landing::begin(Path::new("/")).is_err());
    }

    #[test]
    fn a_photo_is_read_or_its_fault_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.png");
        let missing = read_photo(&path).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::UnusablePhoto);
        fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        assert_eq!(read_photo(&path).unwrap().name(), "cat.png");
        fs::write(&path, "hello").unwrap();
        assert!(read_photo(&path).unwrap_err().to_string().contains("not a picture"));
    }
}
