//! [`AtomicFile`]: a file that is written under a temporary name and renamed into its place once it is
//! whole. Both clients and the command write pictures so, the command its results, reports and contact
//! sheets, and `PaceFile` its durations; [`write_file`] does it in one call, for a cassette's pictures and
//! for Python. [`Sink`] is what downloads and the command's HTML pages go to: such a file, or memory.
//! [`read_photo`] reads a photo, up to a limit, for jobs, the command, Python and Rust programs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use effects_core::{Error, ErrorKind};
use effects_jobs::Photo;
use tempfile::{PathPersistError, TempPath};

use crate::file_names;
use crate::random::random_name;

/// Reads a photo from a file.
///
/// # Errors
///
/// [`ErrorKind::UnusablePhoto`] when it cannot be read, is too long, or is no picture.
pub fn read_photo(path: &Path) -> Result<Photo, Error> {
    read_opened_photo(File::open(path), path)
}

/// Reads a photo from a file that was opened at this path: to open a pipe waits for what writes to it, which
/// a caller may want to know of.
///
/// # Errors
///
/// Those of [`read_photo`].
pub fn read_opened_photo(opened: io::Result<File>, path: &Path) -> Result<Photo, Error> {
    let fail = |error: std::io::Error| {
        let message = format!("photo {} cannot be read: {error}", path.display());
        Error::new(ErrorKind::UnusablePhoto, message)
    };
    let mut bytes = Vec::new();
    // One byte more than is accepted tells a photo that is too long, whose file may claim to be shorter.
    let limit = Photo::MAX_BYTES as u64 + 1;
    opened.and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(fail)?;
    Photo::new(bytes.into(), &file_names::shown(path))
}

/// Writes a file as an [`AtomicFile`] does, with the system's own error where that fails.
///
/// # Errors
///
/// What the system says.
pub fn write_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut output = PendingBytes::begin(target)?;
    output.write(bytes)?;
    output.finish()
}

/// Writes a file as [`write_file`] does, unless something stands at its place by the time it is whole: then
/// nothing is replaced. Whether it was written.
///
/// # Errors
///
/// What the system says.
pub fn write_new_file(target: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut output = PendingBytes::begin(target)?;
    output.write(bytes)?;
    match output.finish_new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        written => written.map(|()| true),
    }
}

/// Makes a file's name in its folder outlast a crash of the system: its bytes alone are on the disk once it
/// is finished. For a file that something else on the disk names.
pub(crate) fn sync_folder_of(file: &Path) {
    // Elsewhere a folder cannot be opened as a file; the file system has its own way to keep names.
    #[cfg(unix)]
    {
        // Where a symbolic link leads, that folder has the name.
        let folder = fs::canonicalize(file).ok().and_then(|file| Some(file.parent()?.to_owned()));
        // A file system that cannot do this keeps its names as well as it can: the file is there.
        let _ = folder.and_then(|folder| File::open(folder).ok()).map(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = file;
}

/// A file on its way to its place: written under a temporary name beside it, moved there whole.
///
/// A file that stood there before stays until that moment. Dropped before [`finish`](Self::finish), it
/// leaves nothing. A symbolic link stays one: the file lands where it leads. What is no regular file
/// (a device, a pipe) is written to and not replaced, once all bytes are there.
#[derive(Debug)]
pub struct AtomicFile {
    output: PendingBytes,
    target: PathBuf,
}

impl AtomicFile {
    /// Begins a file that will stand at `target`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when nothing can be written beside it.
    pub fn begin(target: &Path) -> Result<Self, Error> {
        let output = PendingBytes::begin(target).map_err(|error| unwritable(target, &error))?;
        Ok(Self { output, target: target.to_owned() })
    }

    /// Whether the bytes go through to what is no regular file, which may make
    /// [`finish`](Self::finish) wait: a pipe for its reader.
    #[must_use]
    pub fn is_through(&self) -> bool {
        matches!(self.output, PendingBytes::Through { .. })
    }

    /// Moves the file to its place, once it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] when it cannot be moved.
    pub fn finish(self) -> Result<PathBuf, Error> {
        let Self { output, target } = self;
        output.finish().map_err(|error| unwritable(&target, &error))?;
        Ok(target)
    }

    /// Moves the file to its place like [`finish`](Self::finish), unless something stands there by
    /// now: then `None`, and nothing is replaced.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish).
    pub fn finish_new(self) -> Result<Option<PathBuf>, Error> {
        let Self { output, target } = self;
        match output.finish_new() {
            Ok(()) => Ok(Some(target)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(unwritable(&target, &error)),
        }
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

impl Sink for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.output.write(bytes).map_err(|error| unwritable(&self.target, &error))
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.output.restart().map_err(|error| unwritable(&self.target, &error))
    }
}

/// Where the bytes of an [`AtomicFile`] are until they are all there.
#[derive(Debug)]
enum PendingBytes {
    /// In a file beside the target.
    Beside(TempFile),
    /// In memory: what was written to a device or a pipe cannot be taken back for another attempt.
    Through { target: PathBuf, bytes: Vec<u8> },
}

impl PendingBytes {
    fn begin(target: &Path) -> io::Result<Self> {
        match target_kind(target)? {
            TargetKind::File(target) => TempFile::beside(target).map(Self::Beside),
            TargetKind::Other => {
                // A pipe opens once it has a reader; everything else shows now whether it can be written.
                if !is_pipe(target) {
                    OpenOptions::new().write(true).open(target)?;
                }
                Ok(Self::Through { target: target.to_owned(), bytes: Vec::new() })
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Beside(temporary) => temporary.file.write_all(bytes),
            Self::Through { bytes: held, .. } => {
                held.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        match self {
            Self::Beside(temporary) => {
                temporary.file.set_len(0)?;
                // Cutting a file leaves the position where it was: the next write would begin
                // behind a gap of zeros.
                temporary.file.seek(SeekFrom::Start(0)).map(drop)
            }
            Self::Through { bytes, .. } => {
                bytes.clear();
                Ok(())
            }
        }
    }

    fn finish_new(self) -> io::Result<()> {
        match self {
            Self::Beside(temporary) => temporary.finish_new(),
            // The device or pipe that stands there.
            Self::Through { .. } => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Beside(temporary) => temporary.finish(),
            Self::Through { target, bytes } => {
                // Cut for the sake of an open file that is named by `/proc`; a device and a pipe do
                // not mind.
                OpenOptions::new().write(true).truncate(true).open(target)?.write_all(&bytes)
            }
        }
    }
}

/// A file under a temporary name, which is taken away unless it is moved to its place.
#[derive(Debug)]
struct TempFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    moved: bool,
}

impl TempFile {
    fn beside(target: PathBuf) -> io::Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"));
        };
        // Hidden, and with an ending of its own: programs that watch a folder for pictures leave
        // it alone.
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", random_name()?));
        // In the same folder: a rename works within one file system alone.
        let path = target.with_file_name(hidden);
        // `create_new` follows no link that another user has put there under this name.
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, target, moved: false })
    }

    fn finish(mut self) -> io::Result<()> {
        // Renamed before it is on the disk, a crash could leave an empty file in place of the old
        // one.
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.moved = true;
        Ok(())
    }

    /// Moves the file only where nothing is: by a rename that replaces nothing, else by a second name.
    fn finish_new(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let Err(failed) = TempPath::try_from_path(&self.path)?.persist_noclobber(&self.target)
        else {
            self.moved = true;
            return Ok(());
        };
        let PathPersistError { error, mut path } = failed;
        // This file's own drop takes it away.
        path.disable_cleanup(true);
        match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // A file system that can do neither.
            _ => self.move_to_new(),
        }
    }

    /// Moves the file to a name that no file has. A rename replaces what is there, so the name is taken
    /// first, by an empty file.
    fn move_to_new(self) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(&self.target)?;
        let target = self.target.clone();
        self.finish().inspect_err(|_| {
            // The empty file is this function's own.
            let _ = fs::remove_file(&target);
        })
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.moved {
            // No caller is left to tell; the name says what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What a target path leads to, once every symbolic link was followed.
enum TargetKind {
    /// A regular file, or nothing: here.
    File(PathBuf),
    /// A device, a pipe, or a link of `/proc` to an open file, which has no path of its own.
    Other,
}

fn target_kind(target: &Path) -> io::Result<TargetKind> {
    match fs::metadata(target) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => return Ok(TargetKind::Other),
        _ => {}
    }
    // Link by link and not by `canonicalize`, which fails where the last one leads to nothing yet.
    let mut path = target.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(leads_to) = fs::read_link(&path) else { return Ok(TargetKind::File(path)) };
        let folder = path.parent().unwrap_or(Path::new(""));
        // `/proc/self/fd/1` reads as a link to a path, which may be gone or another file by now.
        if fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with("/proc")) {
            return Ok(TargetKind::Other);
        }
        path = folder.join(leads_to);
    }
    Err(io::Error::other("too many symbolic links lead from one to the next"))
}

fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    false
}

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

fn unwritable(target: &Path, error: &io::Error) -> Error {
    let shown = target.display();
    let message = match target.parent().filter(|folder| is_missing(folder)) {
        // The system says "no such file", which the file to be made never is.
        Some(folder) => format!(
            "{shown} cannot be written: the folder {} is not there: make it, or name a file in another",
            folder.display()
        ),
        None => format!("{shown} cannot be written: {error}"),
    };
    Error::new(ErrorKind::Download, message)
}

fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && matches!(folder.try_exists(), Ok(false))
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

        let mut file = AtomicFile::begin(&target).unwrap();
        file.write(b"half of a first attempt").unwrap();
        file.restart().unwrap();
        file.write(b"whole").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        assert_eq!(file.finish().unwrap(), target);
        assert_eq!(fs::read(&target).unwrap(), b"whole");

        let mut second = AtomicFile::begin(&target).unwrap();
        second.write(b"another's").unwrap();
        assert_eq!(second.finish_new().unwrap(), None);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        fs::remove_file(&target).unwrap();
        let mut second = AtomicFile::begin(&target).unwrap();
        second.write(b"whole").unwrap();
        assert_eq!(second.finish_new().unwrap(), Some(target.clone()));
        assert_eq!(fs::read(&target).unwrap(), b"whole");

        assert!(!write_new_file(&target, b"another's").unwrap());
        let new = folder.path().join("new.png");
        assert!(write_new_file(&new, b"new").unwrap());
        assert_eq!(fs::read(&new).unwrap(), b"new");
        fs::remove_file(&new).unwrap();

        let mut dropped = AtomicFile::begin(&target).unwrap();
        dropped.write(b"lost").unwrap();
        drop(dropped);
        assert_eq!(names(folder.path()), ["ball.png"]);
    }

    #[test]
    fn without_hard_links_no_file_is_replaced_either() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ball.png");
        let begin = || {
            let mut file = TempFile::beside(target.clone()).unwrap();
            file.file.write_all(b"whole").unwrap();
            file
        };
        let late = begin();
        fs::write(&target, "another's").unwrap();
        assert_eq!(late.move_to_new().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"another's");
        fs::remove_file(&target).unwrap();
        begin().move_to_new().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["ball.png"]);
    }

    #[test]
    fn a_target_that_cannot_be_written_is_refused_at_once() {
        let error = AtomicFile::begin(Path::new("/nowhere/at/all.png")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.png"));
        assert!(AtomicFile::begin(Path::new("/")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_one_and_the_file_lands_where_it_leads() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("pictures")).unwrap();
        symlink("pictures/ball.png", at("link.png")).unwrap();
        symlink("link.png", at("second.png")).unwrap();
        for content in ["while nothing is there", "in target of another"] {
            write_file(&at("second.png"), content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("pictures/ball.png")).unwrap(), content);
            assert_eq!(names(&at("pictures")), ["ball.png"]);
        }
        for link in ["link.png", "second.png"] {
            assert!(at(link).symlink_metadata().unwrap().is_symlink());
        }
        symlink("round.png", at("round.png")).unwrap();
        assert!(write_file(&at("round.png"), b"").is_err());
        let folder_error = write_file(&at("pictures"), b"").unwrap_err();
        assert_eq!(folder_error.kind(), io::ErrorKind::IsADirectory);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_written_to_and_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink("pipe", &link).unwrap();
        // Opening a pipe to write waits until it is opened to read.
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        let mut file = AtomicFile::begin(&link).unwrap();
        file.write(b"half of a first attempt").unwrap();
        file.restart().unwrap();
        file.write(b"whole").unwrap();
        assert_eq!(file.finish().unwrap(), link);
        assert_eq!(reader.join().unwrap(), b"whole");
        assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
        assert!(link.symlink_metadata().unwrap().is_symlink());

        let socket = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(AtomicFile::begin(&socket).is_err(), "a socket takes no file");
        drop(listener);
        fs::remove_file(&socket).unwrap();

        let null = folder.path().join("null");
        symlink("/dev/null", &null).unwrap();
        #[cfg(target_os = "linux")]
        {
            let open = File::create(folder.path().join("open")).unwrap();
            let number = std::os::fd::AsRawFd::as_raw_fd(&open);
            for way in ["/dev/fd", "/proc/self/fd"] {
                write_file(&Path::new(way).join(number.to_string()), way.as_bytes()).unwrap();
                assert_eq!(fs::read_to_string(folder.path().join("open")).unwrap(), way);
                let kept = std::os::unix::fs::MetadataExt::ino(&open.metadata().unwrap());
                let there = fs::metadata(folder.path().join("open")).unwrap();
                assert_eq!(kept, std::os::unix::fs::MetadataExt::ino(&there), "it was replaced");
            }
            fs::remove_file(folder.path().join("open")).unwrap();
        }
        write_file(&null, b"nothing").unwrap();
        assert!(null.symlink_metadata().unwrap().is_symlink());
        assert!(null.metadata().unwrap().file_type().is_char_device());
        assert_eq!(names(folder.path()).len(), 3, "something is left behind");
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
