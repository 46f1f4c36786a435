//! Pictures and uploads, under names nobody can guess, until they are too old or too many.
//!
//! The bytes are in memory, or in a folder. A name is looked up in a table before it ever touches
//! the file system, so no path from outside can leave the folder.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::clock::millis;
use crate::ids;
use crate::kind::Kind;
use crate::options::Limits;

/// The files the emulator serves.
#[derive(Debug)]
pub(crate) struct Vault {
    inner: Mutex<Inner>,
    folder: Option<PathBuf>,
    most_bytes: u64,
    longest: u64,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Box<str>, File>,
    /// Names by the order they came in.
    order: BTreeMap<u64, Box<str>>,
    next: u64,
    bytes: u64,
}

#[derive(Debug)]
struct File {
    /// `None` while they are in the folder.
    bytes: Option<Bytes>,
    size: u64,
    kept_at: u64,
    place: u64,
}

/// A file as the store remembers it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) name: Box<str>,
    pub(crate) size: u64,
    pub(crate) kept_at: u64,
}

/// What came of keeping a file.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) kept: Kept,
    /// Files that had to go for it.
    pub(crate) gone: Vec<Box<str>>,
}

impl Vault {
    /// An empty vault, in memory or in a folder that is there.
    pub(crate) fn new(limits: &Limits, folder: Option<PathBuf>) -> Self {
        Self {
            inner: Mutex::default(),
            folder,
            most_bytes: limits.file_bytes,
            longest: millis(limits.file_age),
        }
    }

    /// Takes the files back that the store remembers and the folder still has. Whatever else lies
    /// in the folder was never finished or already let go, and is swept out.
    pub(crate) fn restore(&self, known: Vec<Kept>) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let known: HashMap<Box<str>, Kept> =
            known.into_iter().map(|kept| (kept.name.clone(), kept)).collect();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_name().to_str().and_then(|name| known.get(name)) {
                Some(kept) if entry.metadata()?.len() == kept.size => found.push(kept.clone()),
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        found.sort_by_key(|kept| kept.kept_at);
        let mut inner = self.lock();
        for kept in found {
            inner.insert(&kept, None);
        }
        Ok(())
    }

    /// Keeps a file and gives it a name; older files go if there are too many bytes.
    pub(crate) async fn keep(&self, bytes: Bytes, now: u64) -> io::Result<Change> {
        let extension = Kind::of(&bytes).extension();
        let name: Box<str> = format!("{}.{extension}", ids::fresh(32)).into();
        let kept = Kept { name, size: bytes.len() as u64, kept_at: now };
        let bytes = match self.path(&kept.name) {
            Some(path) => {
                blocking(move || write(&path, &bytes)).await?;
                None
            }
            None => Some(bytes),
        };
        let gone = {
            let mut inner = self.lock();
            inner.insert(&kept, bytes);
            self.expire(&mut inner, now)
        };
        self.erase(&gone);
        Ok(Change { kept, gone })
    }

    /// A file by its name, unless it has expired.
    pub(crate) async fn get(&self, name: &str, now: u64) -> Option<Bytes> {
        let bytes = {
            let inner = self.lock();
            let file = inner.files.get(name)?;
            if now.saturating_sub(file.kept_at) > self.longest {
                return None;
            }
            file.bytes.clone()
        };
        match (bytes, self.path(name)) {
            (Some(bytes), _) => Some(bytes),
            // A file that vanished from the folder is gone, whoever took it.
            (None, Some(path)) => blocking(move || std::fs::read(path)).await.ok().map(Bytes::from),
            (None, None) => None,
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
        self.erase(&[name.into()]);
    }

    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        let names: Vec<Box<str>> = all.files.into_keys().collect();
        self.erase(&names);
    }

    /// The newest file always stays: a picture larger than the vault is still somebody's.
    fn expire(&self, inner: &mut Inner, now: u64) -> Vec<Box<str>> {
        let mut gone = Vec::new();
        while inner.order.len() > 1 {
            let Some((_, oldest)) = inner.order.first_key_value() else { break };
            let oldest = oldest.clone();
            let kept_at = inner.files.get(&oldest).map_or(0, |file| file.kept_at);
            if inner.bytes <= self.most_bytes && now.saturating_sub(kept_at) <= self.longest {
                break;
            }
            inner.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    fn erase(&self, names: &[Box<str>]) {
        for path in names.iter().filter_map(|name| self.path(name)) {
            // What cannot be erased now is swept out at the next start.
            let _ = std::fs::remove_file(path);
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, kept: &Kept, bytes: Option<Bytes>) {
        let place = self.next;
        self.next += 1;
        self.bytes += kept.size + OVERHEAD;
        self.order.insert(place, kept.name.clone());
        let file = File { bytes, size: kept.size, kept_at: kept.kept_at, place };
        self.files.insert(kept.name.clone(), file);
    }

    fn remove(&mut self, name: &str) {
        if let Some(file) = self.files.remove(name) {
            self.order.remove(&file.place);
            self.bytes -= file.size + OVERHEAD;
        }
    }
}

/// Writes under another name first: a file in the folder is whole or not there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("part");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(unfinished, path)
}

/// What a file takes beside its bytes: without it, files of no bytes would be free.
const OVERHEAD: u64 = 512;

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let file_age = std::time::Duration::from_millis(100);
        Limits { file_bytes: 10 + 2 * OVERHEAD, file_age, ..Limits::default() }
    }

    #[tokio::test]
    async fn files_go_by_age_and_by_total_size_the_oldest_first() {
        let vault = Vault::new(&limits(), None);
        let keep = async |bytes, now| vault.keep(Bytes::from_static(bytes), now).await.unwrap();
        let first = keep(b"GIF89a", 0).await.kept.name;
        assert!(first.ends_with(".gif") && first.len() == 36, "{first}");
        assert_eq!(vault.get(&first, 100).await.as_deref(), Some(&b"GIF89a"[..]));
        let second = keep(b"123456", 50).await;
        assert_eq!(second.gone, std::slice::from_ref(&first));
        assert_eq!(vault.get(&first, 50).await, None);
        assert!(vault.get(&second.kept.name, 150).await.is_some());
        assert_eq!(vault.get(&second.kept.name, 151).await, None);
        let large = keep(b"12345678901234", 200).await.kept.name;
        assert!(vault.get(&large, 200).await.is_some());
        vault.clear();
        assert_eq!(vault.get(&large, 200).await, None);
    }

    #[tokio::test]
    async fn a_folder_gives_back_what_the_store_remembers_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(&limits(), Some(folder.path().to_owned()));
        let kept = vault.keep(Bytes::from_static(b"123456"), 0).await.unwrap().kept;
        let forgotten = vault.keep(Bytes::from_static(b"1234"), 0).await.unwrap().kept;
        std::fs::write(folder.path().join("half.part"), "x").unwrap();

        let again = Vault::new(&limits(), Some(folder.path().to_owned()));
        again.restore(vec![kept.clone()]).unwrap();
        assert_eq!(again.get(&kept.name, 0).await.as_deref(), Some(&b"123456"[..]));
        assert_eq!(again.get(&forgotten.name, 0).await, None);
        assert_eq!(again.get("../half.part", 0).await, None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        again.remove(&kept.name);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
