//! [`KnownPhotos`]: what earlier runs of a batch noted of its photos in the folder's `manifest.jsonl`: of
//! each ([`KnownPhoto`]) the hash of its content, with the size, inode and times by which its file is
//! recognised as unchanged. `earlier_line.rs` reads it from the manifest. `CountedRows` takes from it the
//! hash of an unchanged photo whose row is settled, and reads all other photos ([`KnownPhoto::read`]);
//! `Results` and `FolderRows` write what is known into the manifest again.
//!
//! A photo that may be sent is always read anew.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

use effects_core::Error;
use effects_jobs::Photo;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A row's photo when it was read: the hash of its content, and the stamp by which its unchanged file is
/// recognised.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KnownPhoto {
    #[serde(with = "hexadecimal")]
    sha256: [u8; 32],
    #[serde(flatten)]
    file: FileStamp,
}

/// The size, inode and times by which an unchanged file is recognised without being read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct FileStamp {
    size: u64,
    inode: u64,
    /// In nanoseconds since the epoch: when its content, and when anything about it was last changed.
    modified_ns: i64,
    // A program can set `modified_ns` back, and not this one.
    changed_ns: i64,
}

/// The photos that the folder's manifest remembers, by the images of their rows.
#[derive(Debug, Default)]
pub(crate) struct KnownPhotos(HashMap<String, KnownPhoto>);

impl KnownPhotos {
    /// Those of these images.
    pub(crate) fn of(photos: HashMap<String, KnownPhoto>) -> Self {
        Self(photos)
    }

    /// The photo of a row, if its file is as it was when it was read.
    pub(crate) fn get(&self, image: &str, path: &Path) -> Option<KnownPhoto> {
        let known = self.0.get(image)?;
        let file = FileStamp::of(&fs::metadata(path).ok()?)?;
        (known.file == file).then_some(*known)
    }
}

impl KnownPhoto {
    /// The SHA-256 of its bytes.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Reads a photo, and what is to be remembered of it: nothing where its file was changed so lately that
    /// another change might not show.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<(Photo, Option<Self>), Error> {
        let stamp = || fs::metadata(path).ok().as_ref().and_then(FileStamp::of);
        let before = stamp();
        let photo = effects_client::read_photo(path)?;
        // Looked at before and after the reading: of a file that was changed meanwhile it is not known
        // what was read.
        let file = before.filter(|before| !before.is_fresh() && stamp() == Some(*before));
        let sha256 = Sha256::digest(photo.bytes()).into();
        Ok((photo, file.map(|file| Self { sha256, file })))
    }
}

impl FileStamp {
    #[cfg(unix)]
    fn of(found: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Some(Self {
            size: found.len(),
            inode: found.ino(),
            modified_ns: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
        })
    }

    /// Elsewhere a file has no number of its own.
    #[cfg(not(unix))]
    fn of(_found: &Metadata) -> Option<Self> {
        None
    }

    /// Whether the file was changed so lately that its times may stay the same when it is changed again.
    fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = self.modified_ns.max(self.changed_ns);
        let unchanged = u64::try_from(last).ok().map(Duration::from_nanos);
        // A time before the epoch tells nothing, and counts as fresh.
        unchanged.is_none_or(|last| last + TICK > now)
    }
}

/// A hash as its 64 hexadecimal digits.
mod hexadecimal {
    use effects_jobs::Identity;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        // An `Identity` is 32 bytes too, and writes them so; this hash is none.
        to.collect_str(&Identity::from_bytes(*bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<[u8; 32], D::Error> {
        let digits = String::deserialize(from)?;
        let bytes =
            Identity::from_digits(&digits).ok_or_else(|| D::Error::custom("it is no hash"))?;
        Ok(*bytes.as_bytes())
    }
}

/// The coarsest times that file systems keep are of two seconds.
const TICK: Duration = Duration::from_secs(2);
