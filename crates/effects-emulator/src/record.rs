//! [`RequestRecord`]: the latest requests that an emulator saw, up to a limit, and how often each
//! create was accepted ([`Counts`]). The middleware records them. The control API and the methods
//! `requests`, `tasks` and `counts` of `Emulator` read them, for the page and for tests which check
//! that nothing was paid twice; a reset forgets them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use http::request::Parts;
use serde::Serialize;

use crate::seen_request::{RecordedRequest, RequestArrival, digest, name_of_digest};

/// What was accepted, so that a test can assert that each thing was paid once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct Counts {
    /// Creates accepted, on any surface.
    pub accepted: u64,
    /// Requests that came to a create, accepted or not.
    pub creates_seen: u64,
    /// How often each request body was accepted, by the first half of its SHA-256 in hex.
    pub by_body: BTreeMap<String, u64>,
    /// How often each `Idempotency-Key` was accepted.
    pub by_idempotency_key: BTreeMap<String, u64>,
}

impl Counts {
    /// The name of a body in [`by_body`](Self::by_body).
    pub fn name_of(body: &[u8]) -> String {
        name_of_digest(digest(body))
    }
}

/// The record of one emulator. It forgets the oldest requests first, those with an accepted key and
/// those without each for themselves: a client without a key makes it forget nothing of the others.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    inner: Mutex<RecordedRequests>,
    max_requests: usize,
}

#[derive(Debug, Default)]
struct RecordedRequests {
    keyed: VecDeque<Arc<RecordedRequest>>,
    keyless: VecDeque<Arc<RecordedRequest>>,
    last_number: u64,
    accepted: u64,
    creates_seen: u64,
    by_body: HashMap<u128, u32>,
    by_key: HashMap<Box<str>, u32>,
}

impl RequestRecord {
    pub(crate) fn new(max_requests: usize) -> Self {
        Self { inner: Mutex::default(), max_requests }
    }

    /// Writes a request down; its answer is added when there is one.
    pub(crate) fn arrived(
        &self,
        parts: &Parts,
        body: &[u8],
        arrival: RequestArrival,
    ) -> Arc<RecordedRequest> {
        // Made before the lock is taken: the hash of a large body takes long.
        let mut entry = RecordedRequest::new(parts, body, arrival);
        let mut inner = self.lock();
        inner.creates_seen += u64::from(arrival.endpoint.creates());
        inner.last_number += 1;
        entry.number = inner.last_number;
        let entry = Arc::new(entry);
        let kept = if arrival.is_keyless { &mut inner.keyless } else { &mut inner.keyed };
        kept.push_back(Arc::clone(&entry));
        // The oldest is dropped only after the lock is released.
        let oldest = if kept.len() > self.max_requests { kept.pop_front() } else { None };
        drop(inner);
        drop(oldest);
        entry
    }

    /// Counts an accepted create.
    pub(crate) fn accepted(&self, headers: &HeaderMap, entry: &RecordedRequest) {
        let name = entry.body_digest();
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        // Keys are the clients' text and are kept until a reset, so their length is bounded.
        let key = key.filter(|key| key.len() <= MAX_KEY_BYTES);
        let mut inner = self.lock();
        inner.accepted += 1;
        // Beyond the limit, bodies that are counted already are still counted.
        if inner.by_body.len() < MAX_COUNTED || inner.by_body.contains_key(&name) {
            *inner.by_body.entry(name).or_default() += 1;
        }
        if let Some(key) = key
            && (inner.by_key.len() < MAX_COUNTED || inner.by_key.contains_key(key))
        {
            *inner.by_key.entry(key.into()).or_default() += 1;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.lock();
        let by_body = inner.by_body.iter().map(|(name, count)| (name_of_digest(*name), *count));
        let by_key = inner.by_key.iter().map(|(key, count)| (key.to_string(), *count));
        Counts {
            accepted: inner.accepted,
            creates_seen: inner.creates_seen,
            by_body: by_body.map(|(name, count)| (name, count.into())).collect(),
            by_idempotency_key: by_key.map(|(key, count)| (key, count.into())).collect(),
        }
    }

    /// The requests after a number, oldest first.
    pub(crate) fn entries(&self, after: u64) -> Vec<Arc<RecordedRequest>> {
        let inner = self.lock();
        let all = inner.keyed.iter().chain(&inner.keyless);
        // Only `Arc`s are copied under the lock; what is shown is written after it.
        let mut found: Vec<_> = all.filter(|entry| entry.number > after).cloned().collect();
        drop(inner);
        // The two lists are in order each for itself.
        found.sort_unstable_by_key(|entry| entry.number);
        found
    }

    /// Which requests were about each task, by number, oldest first.
    pub(crate) fn numbers_by_task(&self) -> HashMap<String, Vec<u64>> {
        let mut numbers: HashMap<String, Vec<u64>> = HashMap::new();
        for entry in self.entries(0) {
            if let Some(task) = entry.task() {
                numbers.entry(task.to_owned()).or_default().push(entry.number);
            }
        }
        numbers
    }

    /// Forgets all requests and counts; numbers go on.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        // A client that asks for requests `after` a number must not miss those of the next test.
        *inner = RecordedRequests { last_number: inner.last_number, ..RecordedRequests::default() };
    }

    fn lock(&self) -> MutexGuard<'_, RecordedRequests> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an idempotency key that is counted.
const MAX_KEY_BYTES: usize = 256;

/// Bodies and keys counted one by one.
const MAX_COUNTED: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use axum::response::{IntoResponse, Response};
    use bytes::Bytes;
    use http::{Request, StatusCode};

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::seen_request::SeenRequest;

    fn parts(path: &str) -> Parts {
        let request = Request::post(path)
            .header("Authorization", "Bearer secret")
            .header("Idempotency-Key", "k1")
            // A header value may hold bytes that are no UTF-8.
            .header("X-Odd", [0xff, b'a'].as_slice());
        request.body(()).unwrap().into_parts().0
    }

    fn arrival(at: u64) -> RequestArrival {
        RequestArrival { at, endpoint: Endpoint::Other, is_keyless: false, is_authorized: true }
    }

    fn requests(record: &RequestRecord, after: u64) -> Vec<SeenRequest> {
        record.entries(after).iter().map(|entry| entry.seen("")).collect()
    }

    #[test]
    fn requests_are_kept_in_order_without_their_key_and_the_oldest_go() {
        let record = RequestRecord::new(10);
        // Five more than the record holds.
        let entries: Vec<_> = (0..15)
            .map(|at| record.arrived(&parts(&format!("/{at}?q=1")), b"body", arrival(5)))
            .collect();
        let answer = |status: StatusCode| -> Response { status.into_response() };
        entries[0].set_answer(&answer(StatusCode::OK), &Bytes::new());
        entries[5].set_unanswered();
        entries[6].set_fault("reset");
        entries[6].set_task("t1");
        entries[6].set_answer(&answer(StatusCode::NOT_FOUND), &Bytes::from_static(b"no"));
        let seen = requests(&record, 0);
        let numbers: Vec<u64> = seen.iter().map(|seen| seen.number).collect();
        assert_eq!(numbers, (6..=15).collect::<Vec<_>>());
        assert_eq!((seen[0].path.as_str(), seen[0].status), ("/5?q=1", None));
        assert_eq!(seen[0].answer, None);
        assert_eq!((seen[1].status, seen[1].fault), (Some(404), Some("reset")));
        assert_eq!(seen[1].answer.as_ref().unwrap().body, "no");
        assert_eq!(seen[1].task.as_deref(), Some("t1"));
        assert_eq!(seen[1].headers[0], ("authorization".to_owned(), "[redacted]".to_owned()));
        assert!(!format!("{seen:?} {record:?}").contains("secret"));
        assert_eq!(requests(&record, 6).len(), 9);
        assert_eq!(requests(&record, 99), []);
        assert_eq!(record.numbers_by_task(), [("t1".to_owned(), vec![7])].into());
    }

    #[test]
    fn accepted_creates_are_counted_by_body_and_by_key() {
        let record = RequestRecord::new(10);
        let headers = parts("/").headers;
        let entry = |body: &[u8]| record.arrived(&parts("/"), body, arrival(0));
        record.accepted(&headers, &entry(b"one"));
        record.accepted(&headers, &entry(b"two"));
        record.accepted(&HeaderMap::new(), &entry(b"two"));
        let counts = record.counts();
        assert_eq!(counts.accepted, 3);
        assert_eq!(counts.by_body[&Counts::name_of(b"two")], 2);
        assert_eq!(counts.by_idempotency_key["k1"], 2);
        record.clear();
        assert_eq!(record.counts(), Counts::default());
        assert_eq!(entry(b"").number, 4);
    }
}
