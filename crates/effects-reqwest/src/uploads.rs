//! [`UploadMemory`]: remembers where a client's photos were uploaded to (in an [`UploadCache`]), and has a
//! lock for each photo under way, so that none is uploaded twice at once. `ClientCore` holds it, and
//! `transfer::upload` asks it before it uploads a photo. (How photos are uploaded is another type,
//! `effects_jobs::Uploads`.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use effects_client::UploadCache;
use effects_jobs::Photo;
use tokio::sync::OwnedMutexGuard;

/// What a client knows of its uploads.
#[derive(Debug, Default)]
pub(crate) struct UploadMemory {
    /// Where photos were put.
    pub(crate) made: UploadCache,
    under_way: Mutex<HashMap<[u8; 32], Weak<tokio::sync::Mutex<()>>>>,
}

impl UploadMemory {
    /// Waits while another job uploads the same photo; no other one does as long as this is held.
    pub(crate) async fn alone_with(&self, photo: &Photo) -> OwnedMutexGuard<()> {
        // The map is free again before the wait, which may be as long as an upload.
        let turn = {
            let mut turns = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks of uploads that are over are removed here and nowhere else.
            turns.retain(|_, turn| turn.strong_count() > 0);
            let kept = turns.entry(UploadCache::key(photo)).or_default();
            kept.upgrade().unwrap_or_else(|| {
                let turn = Arc::default();
                *kept = Arc::downgrade(&turn);
                turn
            })
        };
        turn.lock_owned().await
    }
}
