//! [`KeyRing`]: the key that the requests of an [`Endpoint`](super::Endpoint) carry, and the source of
//! another one ([`AskKey`]), if the client was built with one. After a 401 that made no task, a
//! [`Gateway`](super::Gateway) asks the source, unless another request did so meanwhile, and sends the
//! refused request once more if the key is new.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::{Answer, CallResult};

/// Asks for the key as it is now: a program, a vault, a token that runs out. It may take a while; `None`
/// where there is none.
pub type AskKey = dyn Fn() -> Option<ApiKey> + Send + Sync;

/// The key that requests carry. Clones share it.
#[derive(Clone)]
pub(crate) struct KeyRing {
    current: Arc<RwLock<KeyInUse>>,
    source: Option<Arc<AskKey>>,
    /// One asks at a time; the next one finds the new key.
    asking: Arc<Mutex<()>>,
}

/// A key and the header that it makes.
#[derive(Clone)]
pub(crate) struct KeyInUse {
    pub(crate) key: ApiKey,
    pub(crate) header: HeaderValue,
}

impl KeyRing {
    pub(crate) fn new(key: ApiKey) -> Self {
        let header = key.header();
        let current = Arc::new(RwLock::new(KeyInUse { key, header }));
        Self { current, source: None, asking: Arc::default() }
    }

    pub(crate) fn asking(self, source: Arc<AskKey>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Whether there may be another key.
    pub(crate) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    pub(crate) fn current(&self) -> KeyInUse {
        // A panic under the lock leaves a whole key, since one assignment replaces it.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key alone, which each answer is searched for.
    pub(crate) fn current_key(&self) -> ApiKey {
        self.current.read().unwrap_or_else(PoisonError::into_inner).key.clone()
    }

    /// The key that a request with these headers carries.
    pub(crate) fn sent_with(&self, headers: &HeaderMap) -> KeyInUse {
        let current = self.current();
        // A request that was made before the key was renewed carries the earlier one.
        let other = headers.get(AUTHORIZATION).filter(|header| **header != current.header);
        let key = other.and_then(|header| {
            let key = std::str::from_utf8(header.as_bytes()).ok()?.strip_prefix("Bearer ")?;
            Some(KeyInUse { key: ApiKey::new(key).ok()?, header: header.clone() })
        });
        key.unwrap_or(current)
    }

    /// Asks for another key, unless another one came since this one was sent. It may take a while.
    pub(crate) fn ask_again(&self, refused: &KeyInUse) {
        let Some(source) = &self.source else { return };
        let _turn: MutexGuard<'_, ()> = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.current().key != refused.key {
            return;
        }
        // Asked without the lock on `current`, so that other requests go on with the present key.
        if let Some(key) = source() {
            let header = key.header();
            *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                KeyInUse { key, header };
        }
    }

    /// Puts the key into a request that carried another one. Whether it did.
    pub(crate) fn renew(&self, headers: &mut HeaderMap, refused: &KeyInUse) -> bool {
        let current = self.current();
        // A request without a key goes elsewhere, to a presigned URL, and must not get one.
        let is_new = current.key != refused.key && headers.contains_key(AUTHORIZATION);
        if is_new {
            headers.insert(AUTHORIZATION, current.header);
        }
        is_new
    }
}

/// Whether this answer refuses the key, and proves that no task was made: it has the status 401, and nothing in
/// it could be a task's id. In doubt it is left to the run, which reads it whole.
pub(crate) fn refuses_the_key(result: &CallResult) -> bool {
    let Answer::Answered { status: StatusCode::UNAUTHORIZED, body, .. } = result.answer() else {
        return false;
    };
    // Searched as bytes, since the body may be no JSON or have the id anywhere in it.
    let has = |word: &[u8]| body.windows(word.len()).any(|found| found.eq_ignore_ascii_case(word));
    !has(b"\"id\"") && !has(b"task_id") && !has(b"taskid")
}

/// Without the key.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}
