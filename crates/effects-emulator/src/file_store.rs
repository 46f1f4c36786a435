//! [`FileStore`]: stores pictures and uploads under random names, in memory or in the data folder, until
//! they are too old or take too much room. `settle.rs`, `lifecycle.rs` and `surfaces/storage.rs` put files
//! in it through `EmulatorState::keep`; `surfaces/files.rs`, `painting.rs` and the control API read them;
//! the middleware and `isolation.rs` look up whose they are.
//!
//! The bytes are in memory, or in a folder. A name is looked up in a table before it ever touches
//! the file system, so no path from outside can leave the folder.

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::clock::millis;
use crate::file_kind::FileKind;
use crate::options::Limits;
use crate::{ids, private};

/// The files the emulator serves.
#[derive(Debug)]
pub(crate) struct FileStore {
    inner: Mutex<StoredFiles>,
    folder: Option<PathBuf>,
    permits: Arc<Semaphore>,
    max_bytes: u64,
    max_age: u64,
    /// The process in which the files end with this store, if they do.
    ends_in: Option<u32>,
}

#[derive(Debug, Default)]
struct StoredFiles {
    files: HashMap<Box<str>, StoredFile>,
    /// Names by the order they came in.
    order: BTreeMap<u64, Box<str>>,
    next: u64,
    bytes: u64,
}

#[derive(Debug)]
struct StoredFile {
    /// `None` while they are in the folder.
    bytes: Option<Bytes>,
    size: u64,
    kept_at: u64,
    sequence: u64,
    /// The task whose picture it is.
    task: Option<Box<str>>,
}

/// A file as the store remembers it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptFile {
    pub(crate) name: Box<str>,
    pub(crate) size: u64,
    pub(crate) kept_at: u64,
}

/// What came of keeping a file.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) kept: KeptFile,
    /// Files that had to go for it.
    pub(crate) gone: Vec<Box<str>>,
}

impl FileStore {
    /// An empty file store, in memory or in a folder that is there.
    pub(crate) fn new(limits: &Limits, folder: Option<PathBuf>) -> Self {
        Self {
            inner: Mutex::default(),
            folder,
            permits: Arc::new(Semaphore::new(FILES_AT_ONCE)),
            max_bytes: limits.file_bytes,
            max_age: millis(limits.file_age),
            ends_in: None,
        }
    }

    /// The same, but its files leave the folder with it: nothing remembers them for another start.
    pub(crate) fn ending_with_its_files(mut self) -> Self {
        self.ends_in = Some(std::process::id());
        self
    }

    /// Takes back the files that the store remembers and the folder still has, and returns which are
    /// gone. Other files under names of the file store's were never finished or are forgotten, and are
    /// deleted; files under other names belong to someone else and stay.
    ///
    /// The files are their owner's alone from now on, and so is the folder if it holds nothing else:
    /// it may have been made by hand, or restored from a copy.
    pub(crate) fn restore(&self, known: Vec<KeptFile>, now: u64) -> io::Result<Vec<Box<str>>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let mut known: HashMap<Box<str>, KeptFile> =
            known.into_iter().map(|kept| (kept.name.clone(), kept)).collect();
        let mut found = Vec::new();
        let mut is_shared = false;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            match known.remove(name) {
                Some(kept) if entry.metadata()?.len() == kept.size => {
                    // An error is ignored: in a folder that others cannot enter the rights of a
                    // file do not matter, and the emulator warns of any other folder.
                    let _ = private::take_from_others(&entry.path());
                    found.push(kept);
                }
                None if !is_own_name(name) => is_shared = true,
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        if !is_shared {
            // An error is ignored: the emulator warns of a folder that stays open to others.
            let _ = private::take_from_others(folder);
        }
        // The folder lists files in no order, and they go in the order in which they are inserted.
        found.sort_by_key(|kept| kept.kept_at);
        let mut gone: Vec<_> = known.into_keys().collect();
        {
            let mut inner = self.lock();
            for kept in found {
                inner.insert(&kept, None);
            }
            // The limits may be lower than those of the last start.
            gone.extend(self.expire(&mut inner, now));
        }
        self.erase(&gone);
        Ok(gone)
    }

    /// Keeps a file and gives it a name; older files go if there are too many bytes.
    pub(crate) async fn keep(&self, bytes: Bytes, now: u64) -> io::Result<Change> {
        let extension = FileKind::of(&bytes).extension();
        let name: Box<str> = format!("{}.{extension}", ids::random_id(NAME_LENGTH)).into();
        let kept = KeptFile { name, size: bytes.len() as u64, kept_at: now };
        let bytes = match self.path(&kept.name) {
            Some(path) => {
                // Written before the lock is taken, so that no lookup of another file waits for the
                // disk.
                self.blocking(move || write(&path, &bytes)).await?;
                None
            }
            None => Some(bytes),
        };
        let gone = {
            let mut inner = self.lock();
            inner.insert(&kept, bytes);
            // Files that make way leave the table under the lock, and are erased from the folder
            // after it.
            self.expire(&mut inner, now)
        };
        self.erase(&gone);
        Ok(Change { kept, gone })
    }

    /// Deletes files that are too old, and returns their names.
    pub(crate) fn sweep(&self, now: u64) -> Vec<Box<str>> {
        let gone = self.expire(&mut self.lock(), now);
        self.erase(&gone);
        gone
    }

    /// Sets the task whose picture a file is.
    pub(crate) fn set_task(&self, name: &str, task: &str) {
        if let Some(file) = self.lock().files.get_mut(name) {
            file.task = Some(task.into());
        }
    }

    /// The id of the task whose picture a file is.
    pub(crate) fn task_of(&self, name: &str) -> Option<Box<str>> {
        self.lock().files.get(name)?.task.clone()
    }

    /// Whether there is a file of this name, expired or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.lock().files.contains_key(name)
    }

    /// A file by its name, unless it has expired.
    pub(crate) async fn get(&self, name: &str, now: u64) -> Option<Bytes> {
        let bytes = {
            let inner = self.lock();
            let file = inner.files.get(name)?;
            // A sweep may be half a minute away, so each file's own age decides.
            if now.saturating_sub(file.kept_at) > self.max_age {
                return None;
            }
            // `Bytes` counts its owners: nothing is copied, and the lock is not held while the
            // folder is read.
            file.bytes.clone()
        };
        match (bytes, self.path(name)) {
            (Some(bytes), _) => Some(bytes),
            // A file that was deleted from the folder by another program is gone.
            (None, Some(path)) => {
                self.blocking(move || std::fs::read(path)).await.ok().map(Bytes::from)
            }
            (None, None) => None,
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
        self.erase(&[name.into()]);
    }

    pub(crate) fn clear(&self) {
        // The lock is let go at the end of this line, before the files are erased.
        let all = std::mem::take(&mut *self.lock());
        let names: Vec<Box<str>> = all.files.into_keys().collect();
        self.erase(&names);
    }

    /// The newest file always stays: a picture larger than the limit is still fetched by its client.
    fn expire(&self, inner: &mut StoredFiles, now: u64) -> Vec<Box<str>> {
        let mut gone = Vec::new();
        while let Some((_, oldest)) = inner.order.first_key_value() {
            let oldest = oldest.clone();
            let kept_at = inner.files.get(&oldest).map_or(0, |file| file.kept_at);
            let too_many = inner.bytes > self.max_bytes && inner.order.len() > 1;
            if !too_many && now.saturating_sub(kept_at) <= self.max_age {
                // Files are in the order of their ages, so none after this one is too old.
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

    /// Works with the folder on a thread that may block, a few at once.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(io::Error::other)?;
        let work = move || {
            // The permit belongs to the thread: if the caller gives up, the work goes on and still
            // counts.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    fn lock(&self) -> MutexGuard<'_, StoredFiles> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        // A forked process has a copy of this, and no files of its own.
        if self.ends_in == Some(std::process::id()) {
            self.clear();
        }
    }
}

impl StoredFiles {
    fn insert(&mut self, kept: &KeptFile, bytes: Option<Bytes>) {
        let sequence = self.next;
        self.next += 1;
        self.bytes += kept.size + OVERHEAD;
        self.order.insert(sequence, kept.name.clone());
        let (size, kept_at) = (kept.size, kept.kept_at);
        let file = StoredFile { bytes, size, kept_at, sequence, task: None };
        self.files.insert(kept.name.clone(), file);
    }

    fn remove(&mut self, name: &str) {
        if let Some(file) = self.files.remove(name) {
            self.order.remove(&file.sequence);
            self.bytes -= file.size + OVERHEAD;
        }
    }
}

/// Whether a name is one that the file store gives, to a file or to the beginning of one.
fn is_own_name(name: &str) -> bool {
    // The alphabet of `ids::random_id`.
    let letter = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
    name.split_once('.').is_some_and(|(stem, extension)| {
        stem.len() == NAME_LENGTH
            && stem.bytes().all(letter)
            && (extension == UNFINISHED || FileKind::EXTENSIONS.contains(&extension))
    })
}

/// Writes under another name first: a file in the folder is whole or not there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    let mut file =
        // `create_new` opens no file that lies there already, nor what a link there points to.
        private::open_file(OpenOptions::new().write(true).create_new(true), &unfinished)?;
    // Not synced, as the database is not: a kill loses nothing that the system has taken.
    file.write_all(bytes)?;
    std::fs::rename(unfinished, path)
}

/// Characters of a name before its extension: 160 bits of chance.
const NAME_LENGTH: usize = 32;

const UNFINISHED: &str = "part";

/// Files of the folder that are read or written at once.
pub(crate) const FILES_AT_ONCE: usize = 4;

/// What a file takes beside its bytes: without it, files of no bytes would be free.
const OVERHEAD: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let file_age = std::time::Duration::from_millis(100);
        // Room for two files that have ten bytes together.
        Limits { file_bytes: 10 + 2 * OVERHEAD, file_age, ..Limits::default() }
    }

    #[tokio::test]
    async fn files_go_by_age_and_by_total_size_the_oldest_first() {
        let files = FileStore::new(&limits(), None);
        let keep = async |bytes, now| files.keep(Bytes::from_static(bytes), now).await.unwrap();
        let first = keep(b"GIF89a", 0).await.kept.name;
        assert!(first.ends_with(".gif") && first.len() == 36, "{first}");
        assert_eq!(files.get(&first, 100).await.as_deref(), Some(&b"GIF89a"[..]));
        // Six bytes and six are more than ten, so the first makes way.
        let second = keep(b"123456", 50).await;
        assert_eq!(second.gone, std::slice::from_ref(&first));
        assert_eq!(files.get(&first, 50).await, None);
        assert!(files.get(&second.kept.name, 150).await.is_some());
        assert_eq!(files.get(&second.kept.name, 151).await, None);
        // Larger than all the room there is, and kept, since the newest file always stays.
        let large = keep(b"12345678901234", 200).await.kept.name;
        assert!(files.get(&large, 200).await.is_some());
        // Age takes the last one too, and without another being kept.
        assert!(files.sweep(300).is_empty());
        assert_eq!(files.sweep(301), [large]);
        let last = keep(b"1", 400).await.kept.name;
        files.clear();
        assert_eq!(files.get(&last, 400).await, None);
        assert_eq!(files.lock().bytes, 0);
    }

    #[tokio::test]
    async fn a_folder_gives_back_what_the_store_remembers_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileStore::new(&limits(), Some(folder.path().to_owned()));
        let kept = files.keep(Bytes::from_static(b"123456"), 0).await.unwrap().kept;
        let forgotten = files.keep(Bytes::from_static(b"1234"), 0).await.unwrap().kept;
        // What a kill in the middle of a write leaves behind.
        let half = folder.path().join(&*forgotten.name).with_extension("part");
        std::fs::write(&half, "x").unwrap();
        let vanished = KeptFile { name: "vanished.png".into(), ..kept.clone() };

        let again = FileStore::new(&limits(), Some(folder.path().to_owned()));
        let gone = again.restore(vec![kept.clone(), vanished], 0).unwrap();
        assert_eq!(gone, ["vanished.png".into()]);
        assert_eq!(again.get(&kept.name, 0).await.as_deref(), Some(&b"123456"[..]));
        assert_eq!(again.get(&forgotten.name, 0).await, None);
        assert_eq!(again.get(&format!("../{}", kept.name), 0).await, None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        again.remove(&kept.name);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_is_not_its_own_stays_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["holiday.jpg", "notes.part", "0123456789abcdef0123456789abcdef.doc"];
        for name in names {
            std::fs::write(folder.path().join(name), "mine").unwrap();
        }
        std::fs::create_dir(folder.path().join("more")).unwrap();
        let files = FileStore::new(&limits(), Some(folder.path().to_owned()));
        assert!(files.restore(Vec::new(), 0).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), names.len() + 1);
    }

    #[tokio::test]
    async fn limits_that_are_lower_after_a_restart_hold_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let large = FileStore::new(&Limits::default(), Some(folder.path().to_owned()));
        let mut kept = Vec::new();
        for at in 0..3 {
            kept.push(large.keep(Bytes::from_static(b"1234"), at).await.unwrap().kept);
        }
        let small = FileStore::new(&limits(), Some(folder.path().to_owned()));
        assert_eq!(small.restore(kept.clone(), 3).unwrap(), [kept[0].name.clone()]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
