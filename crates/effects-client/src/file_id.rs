//! [`FileId`]: the identity of a file or folder, equal for every path that leads to it through symbolic
//! links, and on Unix through hard links too. `Claims`, `jobs/placement.rs` and the command compare by
//! it, so that no picture is written over a photo, another picture or redirected stdout, and no folder is
//! read twice.

use std::path::Path;

/// Which file a path leads to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FileId(Inner);

/// The device and the number on it.
#[cfg(unix)]
type Inner = (u64, u64);

/// The path from the root, which hard links do not share.
#[cfg(not(unix))]
type Inner = std::path::PathBuf;

impl FileId {
    /// The file at this path, links followed; `None` where nothing is, or nothing that can be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        return std::fs::metadata(path).ok().map(|found| Self::found(&found));
        // The standard library tells no file's number there, so two hard links count as two files.
        #[cfg(not(unix))]
        return std::fs::canonicalize(path).ok().map(Self);
    }

    /// What this process reads as stdin.
    pub fn of_stdin() -> Option<Self> {
        #[cfg(unix)]
        {
            let found = open_file(std::os::fd::AsFd::as_fd(&std::io::stdin()))?;
            Some(Self::found(&found))
        }
        #[cfg(not(unix))]
        None
    }

    /// What this process writes to as stdout, unless it is a device: several may write there.
    pub fn of_stdout() -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            let found = open_file(std::os::fd::AsFd::as_fd(&std::io::stdout()))?;
            (!found.file_type().is_char_device()).then(|| Self::found(&found))
        }
        #[cfg(not(unix))]
        None
    }

    #[cfg(unix)]
    fn found(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self((found.dev(), found.ino()))
    }
}

#[cfg(unix)]
fn open_file(open: std::os::fd::BorrowedFd<'_>) -> Option<std::fs::Metadata> {
    // Of a duplicate, since a `File` closes its descriptor when it is dropped.
    std::fs::File::from(open.try_clone_to_owned().ok()?).metadata().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_path_of_a_file_has_its_id_and_no_other_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "same").unwrap();
        fs::write(at("b"), "same").unwrap();
        assert_eq!(FileId::of(&at("nothing")), None);
        assert_ne!(FileId::of(&at("a")), FileId::of(&at("b")));
        assert_eq!(FileId::of(&at("a")), FileId::of(&folder.path().join("./a")));
        #[cfg(unix)]
        {
            fs::hard_link(at("a"), at("hard")).unwrap();
            std::os::unix::fs::symlink("a", at("soft")).unwrap();
            for link in ["hard", "soft"] {
                assert_eq!(FileId::of(&at("a")), FileId::of(&at(link)), "{link}");
            }
        }
    }
}
