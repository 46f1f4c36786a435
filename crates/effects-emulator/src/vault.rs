//! Pictures and uploads, under names nobody can guess, until they are too old or too many.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::clock::millis;
use crate::ids;
use crate::options::Limits;

/// The files the emulator serves.
#[derive(Debug)]
pub(crate) struct Vault {
    inner: Mutex<Inner>,
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
    bytes: Bytes,
    kept_at: u64,
    place: u64,
}

impl Vault {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            inner: Mutex::default(),
            most_bytes: limits.file_bytes,
            longest: millis(limits.file_age),
        }
    }

    /// Keeps a file and gives it a name; older files go if there are too many bytes.
    pub(crate) fn keep(&self, bytes: Bytes, now: u64) -> Box<str> {
        let name: Box<str> = format!("{}.{}", ids::fresh(32), Kind::of(&bytes).extension()).into();
        let mut inner = self.lock();
        let place = inner.next;
        inner.next += 1;
        inner.bytes += bytes.len() as u64;
        inner.order.insert(place, name.clone());
        inner.files.insert(name.clone(), File { bytes, kept_at: now, place });
        self.expire(&mut inner, now);
        name
    }

    /// A file by its name, unless it has expired.
    pub(crate) fn get(&self, name: &str, now: u64) -> Option<Bytes> {
        let mut inner = self.lock();
        let file = inner.files.get(name)?;
        if now.saturating_sub(file.kept_at) > self.longest {
            inner.remove(name);
            return None;
        }
        Some(file.bytes.clone())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    /// The newest file always stays: a picture larger than the vault is still somebody's.
    fn expire(&self, inner: &mut Inner, now: u64) {
        while inner.order.len() > 1 {
            let Some((_, oldest)) = inner.order.first_key_value() else { return };
            let oldest = oldest.clone();
            let kept_at = inner.files.get(&oldest).map_or(0, |file| file.kept_at);
            if inner.bytes <= self.most_bytes && now.saturating_sub(kept_at) <= self.longest {
                return;
            }
            inner.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, name: &str) {
        if let Some(file) = self.files.remove(name) {
            self.order.remove(&file.place);
            self.bytes -= file.bytes.len() as u64;
        }
    }
}

/// What a file is by its first bytes. Nothing a browser would run is ever named as such.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Png,
    Jpeg,
    Webp,
    Gif,
    Bmp,
    Other,
}

impl Kind {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x89, b'P', b'N', b'G', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'G', b'I', b'F', b'8', ..] => Self::Gif,
            [b'B', b'M', ..] => Self::Bmp,
            _ => Self::Other,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Other => "application/octet-stream",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Other => "bin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_by_age_and_by_total_size_the_oldest_first() {
        let file_age = std::time::Duration::from_millis(100);
        let limits = Limits { file_bytes: 10, file_age, ..Limits::default() };
        let vault = Vault::new(&limits);
        let first = vault.keep(Bytes::from_static(b"GIF89a"), 0);
        assert!(first.ends_with(".gif") && first.len() == 36, "{first}");
        assert_eq!(vault.get(&first, 100).as_deref(), Some(&b"GIF89a"[..]));
        let second = vault.keep(Bytes::from_static(b"123456"), 50);
        assert_eq!(vault.get(&first, 50), None);
        assert!(vault.get(&second, 150).is_some());
        assert_eq!(vault.get(&second, 151), None);
        let large = vault.keep(Bytes::from_static(b"12345678901234"), 200);
        assert!(vault.get(&large, 200).is_some());
        vault.clear();
        assert_eq!(vault.get(&large, 200), None);
    }
}
