//! [`KeyRing`]: the key that the requests of an [`Endpoint`](super::Endpoint) carry, and the source of
//! another one ([`AskKey`]), which `ClientBuilder` gives by `Endpoint::with_key_source`. After a 401 that made
//! no task, a [`Gateway`](super::Gateway) asks the source, unless the key was replaced meanwhile, and sends
//! the refused request once more if the key is new and at least half of its time is left. `Endpoint` also
//! finds the key with it in answers and texts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::{Answer, CallResult};
use crate::time::Time;

/// Asks for the key as it is now: a program or a vault, say. It may take a while; `None` where there is none.
pub type AskKey = dyn Fn() -> Option<ApiKey> + Send + Sync;

/// Tells the time, as [`Clock::now`](crate::driver::Clock::now) does.
pub type TellTime = dyn Fn() -> Time + Send + Sync;

/// The key that requests carry. Clones share it.
#[derive(Clone)]
pub(crate) struct KeyRing {
    current: Arc<RwLock<KeyInUse>>,
    source: Option<KeySource>,
    /// One asks at a time; the next one finds the new key.
    asking: Arc<Mutex<()>>,
}

/// Where another key comes from, and a clock for how long that takes.
#[derive(Clone)]
struct KeySource {
    ask: Arc<AskKey>,
    now: Arc<TellTime>,
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

    pub(crate) fn asking(self, ask: Arc<AskKey>, now: Arc<TellTime>) -> Self {
        Self { source: Some(KeySource { ask, now }), ..self }
    }

    /// The time now, where there may be another key.
    pub(crate) fn now(&self) -> Option<Time> {
        self.source.as_ref().map(|source| (source.now)())
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
        let Some(KeySource { ask, .. }) = &self.source else { return };
        let _turn: MutexGuard<'_, ()> = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.current().key != refused.key {
            return;
        }
        // Asked without the lock on `current`, so that other requests go on with the present key.
        if let Some(key) = ask() {
            let header = key.header();
            *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                KeyInUse { key, header };
        }
    }

    /// How long an exchange may still take that began then and may take so long in all; `None` where too
    /// little is left to send its request once more. After its limit the caller was told how it ended: what is
    /// sent then may be paid for, and no caller learns of it.
    pub(crate) fn time_left(&self, began: Time, limit: Duration) -> Option<Duration> {
        let left = limit.checked_sub(self.now()?.since(began))?;
        (left >= limit / 2).then_some(left)
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
