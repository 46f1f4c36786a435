//! [`FolderWatcher`]: looks at a folder of photos again and again, and returns what has changed
//! ([`FolderChange`]): which photos have arrived whole (not empty, and of the same size and time for
//! `--settle`), which are gone, being written anew or back, and which files are no photos. `Batch::watch`
//! (`watch.rs`) has one, orders the photos that arrive, and warns of the other files.
//!
//! It looks (polls) and asks the system for no events. Events would save the look, and not the wait: that a
//! file was created or written says nothing of its being whole, so its size and time have to be seen
//! unchanged for a while all the same. A folder on a server, which hot folders often are, has no events for
//! what other machines write. And the `notify` crate would bring a way of its own for each system.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::manifest::{FolderListing, FoundFile, Manifest};

/// Polls a folder.
pub(super) struct FolderWatcher {
    manifest: Manifest,
    /// How long a file must have been as it is to be whole.
    settle: Duration,
    files: HashMap<PathBuf, SeenFile>,
    polls: u64,
}

/// What a poll finds changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FolderChange {
    /// A photo, whole as far as its size and time tell.
    Arrived(PathBuf),
    /// A photo that had arrived is gone, or is being written anew.
    Gone(PathBuf),
    /// A photo that was gone is there again, as it was.
    Returned(PathBuf),
    /// A file arrived that is no photo by its name.
    Other(PathBuf),
}

/// A file of the folder, as it was seen last.
struct SeenFile {
    length: u64,
    modified: Option<SystemTime>,
    since: Instant,
    state: FileState,
    /// The last poll that found it.
    last_poll: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum FileState {
    /// It came lately, or changed.
    Settling,
    Arrived,
    Gone,
}

impl FolderWatcher {
    pub(super) fn new(manifest: Manifest, settle: Duration) -> Self {
        Self { manifest, settle, files: HashMap::new(), polls: 0 }
    }

    /// How long to wait from one poll to the next: shorter than what a file needs to settle.
    pub(super) fn interval(&self) -> Duration {
        (self.settle / 2).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
    }

    /// Whether the last poll found a photo that had arrived, as it was then.
    pub(super) fn is_there(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| file.state == FileState::Arrived)
    }

    /// A photo that is gone arrives anew when it is there again.
    pub(super) fn forget(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// What has changed since the last poll: what is gone comes first, so that a photo that was renamed is
    /// known again.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; then nothing has changed.
    pub(super) fn poll(&mut self) -> io::Result<Vec<FolderChange>> {
        let found = self.manifest.list()?;
        Ok(self.changes(found, Instant::now()))
    }

    fn changes(&mut self, found: FolderListing, now: Instant) -> Vec<FolderChange> {
        self.polls += 1;
        let (mut gone, mut came) = (Vec::new(), Vec::new());
        let photos = found.photos.into_iter().map(|file| (file, true));
        for (file, is_photo) in photos.chain(found.others.into_iter().map(|file| (file, false))) {
            let FoundFile { path, length, modified } = file;
            let seen = self.files.entry(path.clone()).or_insert(SeenFile {
                length,
                modified,
                since: now,
                state: FileState::Settling,
                last_poll: 0,
            });
            seen.last_poll = self.polls;
            if (seen.length, seen.modified) != (length, modified) {
                if seen.state == FileState::Arrived && is_photo {
                    gone.push(FolderChange::Gone(path));
                }
                (seen.length, seen.modified, seen.since) = (length, modified, now);
                seen.state = FileState::Settling;
                continue;
            }
            match seen.state {
                // An empty file is one whose writer has only begun.
                FileState::Settling if length > 0 && now - seen.since >= self.settle => {
                    came.push(if is_photo {
                        FolderChange::Arrived(path)
                    } else {
                        FolderChange::Other(path)
                    });
                }
                FileState::Gone if is_photo => came.push(FolderChange::Returned(path)),
                FileState::Gone => {}
                FileState::Settling | FileState::Arrived => continue,
            }
            seen.state = FileState::Arrived;
        }
        let polls = self.polls;
        self.files.retain(|path, file| {
            if file.last_poll == polls {
                return true;
            }
            if file.state == FileState::Arrived {
                // Remembered, so that it is known again when it returns as it was.
                file.state = FileState::Gone;
                gone.push(FolderChange::Gone(path.clone()));
            }
            // One that never arrived begins anew.
            file.state == FileState::Gone
        });
        gone.append(&mut came);
        gone
    }
}

const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    struct WatchedFolder {
        watcher: FolderWatcher,
        begun: Instant,
        _folder: tempfile::TempDir,
    }

    impl WatchedFolder {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let manifest = Manifest::watched(folder.path(), None).unwrap();
            let watcher = FolderWatcher::new(manifest, SETTLE);
            Self { watcher, begun: Instant::now(), _folder: folder }
        }

        /// The changes that a poll so many seconds after the first one finds of these photos.
        fn at(&mut self, second: u64, photos: &[(&str, u64)]) -> Vec<FolderChange> {
            let photos = photos.iter().map(|(path, length)| FoundFile {
                path: path.into(),
                length: *length,
                modified: None,
            });
            let mut found = FolderListing::default();
            found.photos.extend(photos);
            self.watcher.changes(found, self.begun + Duration::from_secs(second))
        }
    }

    fn arrived(path: &str) -> FolderChange {
        FolderChange::Arrived(Path::new(path).to_owned())
    }

    fn gone(path: &str) -> FolderChange {
        FolderChange::Gone(Path::new(path).to_owned())
    }

    #[test]
    fn a_photo_arrives_once_it_has_stopped_growing() {
        let mut folder = WatchedFolder::new();
        for (second, length) in [(0, 0), (1, 10), (2, 20), (3, 20), (4, 30), (5, 30)] {
            assert_eq!(folder.at(second, &[("a.png", length)]), [], "{second}");
        }
        assert_eq!(folder.at(6, &[("a.png", 30)]), [arrived("a.png")]);
        assert_eq!(folder.at(9, &[("a.png", 30)]), []);
        // Written anew it is another photo, and one that comes and goes at once is none.
        assert_eq!(folder.at(10, &[("a.png", 31), ("b.png", 1)]), [gone("a.png")]);
        assert_eq!(folder.at(12, &[("a.png", 31)]), [arrived("a.png")]);
        assert_eq!(folder.at(13, &[("a.png", 31), ("b.png", 1)]), []);
        assert_eq!(folder.at(15, &[("a.png", 31), ("b.png", 1)]), [arrived("b.png")]);
    }

    #[test]
    fn an_empty_file_never_arrives() {
        let mut folder = WatchedFolder::new();
        for second in [0, 5, 50] {
            assert_eq!(folder.at(second, &[("a.png", 0)]), []);
        }
    }

    #[test]
    fn what_is_gone_is_told_before_what_came_and_may_return_as_it_was() {
        let mut folder = WatchedFolder::new();
        folder.at(0, &[("a.png", 5), ("c.png", 5)]);
        folder.at(2, &[("a.png", 5), ("c.png", 5)]);
        assert_eq!(folder.at(3, &[("b.png", 5), ("c.png", 5)]), [gone("a.png")]);
        assert_eq!(folder.at(5, &[("b.png", 5)]), [gone("c.png"), arrived("b.png")]);
        let returned = FolderChange::Returned("c.png".into());
        assert_eq!(folder.at(6, &[("b.png", 5), ("c.png", 5)]), [returned]);
        assert_eq!(folder.at(7, &[("b.png", 5), ("c.png", 6)]), [gone("c.png")]);
        assert_eq!(folder.at(9, &[("b.png", 5), ("c.png", 6)]), [arrived("c.png")]);
    }
}
