//! [`UploadCache`]: remembers for an hour where photos were uploaded to, by the SHA-256 of their content,
//! so that a photo of several requests is uploaded once. Each client keeps one in memory, in which its
//! `transfer.rs` looks before an upload. So that no photo is uploaded twice at once, the blocking client
//! calls its `alone_with`; the async client has locks of its own (`UploadMemory`).

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use effects_core::{Reference, Time};
use effects_jobs::Photo;
use sha2::{Digest, Sha256};

/// Remembers where a photo was put, by the SHA-256 of its content: a caller who tries ten templates on
/// one photo uploads it once.
///
/// The service does not say how long an uploaded photo stays, so an entry is believed for an hour.
#[derive(Debug, Default)]
pub struct UploadCache {
    known: Mutex<HashMap<[u8; 32], (Reference, Time)>>,
    under_way: Mutex<HashSet<[u8; 32]>>,
    changed: Condvar,
}

impl UploadCache {
    /// What a photo is known by: the SHA-256 of its content.
    pub fn key(photo: &Photo) -> [u8; 32] {
        Sha256::digest(photo.bytes()).into()
    }

    /// Where the photo was put, if that was not long ago.
    pub fn get(&self, photo: &Photo, now: Time) -> Option<Reference> {
        let cache = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (reference, since) = cache.get(&Self::key(photo))?;
        (now.since(*since) < ENTRY_LIFETIME).then(|| reference.clone())
    }

    /// Does this while no other thread does it for the same photo: the second one finds it uploaded.
    pub fn alone_with<T>(&self, photo: &Photo, act: impl FnOnce() -> T) -> T {
        let _permit = UploadPermit::of(self, Self::key(photo));
        act()
    }

    /// Remembers where the photo was put.
    pub fn insert(&self, photo: &Photo, reference: Reference, now: Time) {
        let mut cache = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Old entries go only when it is full, so that an insert mostly looks at no other.
        if cache.len() >= MAX_ENTRIES {
            cache.retain(|_, (_, since)| now.since(*since) < ENTRY_LIFETIME);
        }
        // Full of fresh ones: better to upload twice than to grow for ever.
        if cache.len() < MAX_ENTRIES {
            cache.insert(Self::key(photo), (reference, now));
        }
    }
}

/// A thread's permit to upload a photo, until it is dropped.
struct UploadPermit<'a> {
    cache: &'a UploadCache,
    key: [u8; 32],
}

impl<'a> UploadPermit<'a> {
    fn of(cache: &'a UploadCache, key: [u8; 32]) -> Self {
        let under_way = cache.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Waits and takes the turn under one lock, so that two who wait do not both get it.
        let waited = cache.changed.wait_while(under_way, |under_way| under_way.contains(&key));
        waited.unwrap_or_else(PoisonError::into_inner).insert(key);
        Self { cache, key }
    }
}

impl Drop for UploadPermit<'_> {
    fn drop(&mut self) {
        // Also where the upload panics: those who wait would otherwise wait for ever.
        self.cache.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.cache.changed.notify_all();
    }
}

const ENTRY_LIFETIME: Duration = Duration::from_secs(3600);
const MAX_ENTRIES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(content: &'static [u8]) -> Photo {
        let bytes = [b"\x89PNG\r\n\x1a\n", content].concat();
        Photo::new(bytes.into(), "any.png").unwrap()
    }

    #[test]
    fn the_content_finds_the_upload_for_an_hour() {
        let cache = UploadCache::default();
        let (start, url): (Time, Reference) =
            (Time::from_millis(5), "https://x/y".parse().unwrap());
        cache.insert(&photo(b"cat"), url.clone(), start);
        assert_eq!(cache.get(&photo(b"cat"), start), Some(url));
        assert_eq!(cache.get(&photo(b"dog"), start), None);
        assert_eq!(cache.get(&photo(b"cat"), start + ENTRY_LIFETIME), None);
    }
}
