//! The record: every request seen, and how often each create was accepted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;

/// A request the emulator has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SeenRequest {
    /// Its number, from 1 in the order of arrival.
    pub number: u64,
    /// When it arrived, in milliseconds since the epoch by the emulator's clock.
    pub at: u64,
    /// The endpoint it came to.
    pub endpoint: Endpoint,
    /// Its method.
    pub method: String,
    /// Its path, with the query; the emulator's key is redacted wherever it stands.
    pub path: String,
    /// Its headers in order, 8 KiB of them at most; keys are redacted.
    pub headers: Vec<(String, String)>,
    /// The first 4 KiB of its body, as text; empty without an accepted key, since the body is not
    /// read then.
    pub body: String,
    /// The bytes of its whole body; 0 if it was not read.
    pub body_bytes: usize,
    /// The status it was answered with; `None` if no answer went out, or none yet.
    pub status: Option<u16>,
    /// The fault it met.
    pub fault: Option<&'static str>,
    /// Whether it was let in; `false` if it was answered 401 because no accepted key came with it.
    pub authorized: bool,
}

/// What was accepted, so that a test can assert that each thing was paid once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
        format!("{:032x}", digest(body))
    }
}

/// The record of one emulator. It forgets the oldest requests first, those with an accepted key and
/// those without each for themselves: whoever has no key makes it forget nothing of the others.
#[derive(Debug)]
pub(crate) struct Record {
    keyed: Rings,
    keyless: Rings,
    next: AtomicU64,
    tally: Mutex<Tally>,
    most: usize,
}

/// Requests by their numbers, dealt out so that those at once rarely meet at one lock.
type Rings = [Mutex<VecDeque<Arc<Entry>>>; RINGS];

/// What the emulator knows of a request beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: u64,
    pub(crate) endpoint: Endpoint,
    /// No accepted key came with it.
    pub(crate) is_keyless: bool,
    /// It is let in, with a key or where none is needed.
    pub(crate) is_authorized: bool,
}

/// A request in few allocations: the head is one text, a line each for path and headers.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u64,
    arrival: Arrival,
    head: Box<str>,
    body: Box<[u8]>,
    body_bytes: usize,
    /// 0 while there is none.
    status: AtomicU16,
    fault: OnceLock<&'static str>,
}

#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    seen: u64,
    by_body: HashMap<u128, u32>,
    by_key: HashMap<Box<str>, u32>,
}

impl Record {
    pub(crate) fn new(most: usize) -> Self {
        let (next, tally) = (AtomicU64::new(1), Mutex::default());
        let (keyed, keyless) = (Rings::default(), Rings::default());
        Self { keyed, keyless, next, tally, most: most.div_ceil(RINGS) }
    }

    /// Writes a request down; its answer is added when there is one.
    pub(crate) fn arrived(&self, parts: &Parts, body: &[u8], arrival: Arrival) -> Arc<Entry> {
        if arrival.endpoint.creates() {
            lock(&self.tally).seen += 1;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry {
            number,
            arrival,
            head: head(parts),
            body: body[..body.len().min(MOST_BODY)].into(),
            body_bytes: body.len(),
            status: AtomicU16::new(0),
            fault: OnceLock::new(),
        });
        let rings = if arrival.is_keyless { &self.keyless } else { &self.keyed };
        #[allow(clippy::cast_possible_truncation, reason = "the remainder is small")]
        let mut ring = lock(&rings[(number % RINGS as u64) as usize]);
        ring.push_back(Arc::clone(&entry));
        // What is let go is dropped after the lock is.
        let oldest = if ring.len() > self.most { ring.pop_front() } else { None };
        drop(ring);
        drop(oldest);
        entry
    }

    /// Counts an accepted create.
    pub(crate) fn accepted(&self, headers: &HeaderMap, body: &[u8]) {
        let name = digest(body);
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let key = key.filter(|key| key.len() <= MOST_KEY);
        let mut tally = lock(&self.tally);
        tally.accepted += 1;
        if tally.by_body.len() < MOST_COUNTED || tally.by_body.contains_key(&name) {
            *tally.by_body.entry(name).or_default() += 1;
        }
        if let Some(key) = key
            && (tally.by_key.len() < MOST_COUNTED || tally.by_key.contains_key(key))
        {
            *tally.by_key.entry(key.into()).or_default() += 1;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let tally = lock(&self.tally);
        let by_body = tally.by_body.iter().map(|(name, count)| (format!("{name:032x}"), *count));
        let by_key = tally.by_key.iter().map(|(key, count)| (key.to_string(), *count));
        Counts {
            accepted: tally.accepted,
            creates_seen: tally.seen,
            by_body: by_body.map(|(name, count)| (name, count.into())).collect(),
            by_idempotency_key: by_key.map(|(key, count)| (key, count.into())).collect(),
        }
    }

    /// The requests after a number, oldest first, at most so many, without this secret.
    pub(crate) fn requests(&self, after: u64, most: usize, secret: &str) -> Vec<SeenRequest> {
        let mut found = Vec::new();
        for ring in self.keyed.iter().chain(&self.keyless) {
            found.extend(lock(ring).iter().filter(|entry| entry.number > after).cloned());
        }
        found.sort_unstable_by_key(|entry| entry.number);
        found.iter().take(most).map(|entry| entry.seen(secret)).collect()
    }

    pub(crate) fn clear(&self) {
        for ring in self.keyed.iter().chain(&self.keyless) {
            lock(ring).clear();
        }
        *lock(&self.tally) = Tally::default();
    }
}

impl Entry {
    /// Adds the fault that the request meets.
    pub(crate) fn met(&self, fault: &'static str) {
        // A request meets one at most.
        let _ = self.fault.set(fault);
    }

    /// Adds the answer's status, if one went out.
    pub(crate) fn answered(&self, status: Option<StatusCode>) {
        self.status.store(status.map_or(0, |status| status.as_u16()), Ordering::Relaxed);
    }

    fn seen(&self, secret: &str) -> SeenRequest {
        // What is as short as this is no secret, and stands in many a word.
        let secret = Some(secret).filter(|secret| secret.len() >= SHORTEST_SECRET);
        let told = |text: &str| match secret {
            Some(secret) => text.replace(secret, REDACTED),
            None => text.to_owned(),
        };
        let mut lines = self.head.split('\n');
        let line = lines.next().and_then(|line| line.split_once(' '));
        let (method, path) = line.unwrap_or_default();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let status = self.status.load(Ordering::Relaxed);
        SeenRequest {
            number: self.number,
            at: self.arrival.at,
            endpoint: self.arrival.endpoint,
            method: method.to_owned(),
            path: told(path),
            headers: headers.map(|(name, value)| (name.to_owned(), told(value))).collect(),
            body: told(&String::from_utf8_lossy(&self.body)),
            body_bytes: self.body_bytes,
            status: (status != 0).then_some(status),
            fault: self.fault.get().copied(),
            authorized: self.arrival.is_authorized,
        }
    }
}

/// The head as text, without the key: whatever is sent as one, the emulator's or a real one, is
/// nobody's business afterwards.
fn head(parts: &Parts) -> Box<str> {
    let path = parts.uri.path_and_query().map_or("*", |path| path.as_str());
    // As long as it will be, so that it need not be moved once it is whole.
    let lines = parts.headers.iter().map(|(name, value)| {
        let value = if SECRETS.contains(name) { REDACTED.len() } else { value.len() };
        name.as_str().len() + value + 3
    });
    let length = parts.method.as_str().len() + 1 + path.len() + lines.sum::<usize>();
    let mut head = String::with_capacity(length.min(MOST_HEAD));
    push(&mut head, parts.method.as_str());
    head.push(' ');
    // A request line may hold a whole URL; what is before the path is where it was sent.
    push(&mut head, path);
    for (name, value) in &parts.headers {
        if head.len() >= MOST_HEAD {
            break;
        }
        head.push('\n');
        head.push_str(name.as_str());
        head.push_str(": ");
        if SECRETS.contains(name) {
            head.push_str(REDACTED);
        } else {
            match std::str::from_utf8(value.as_bytes()) {
                Ok(value) => push(&mut head, value),
                Err(_) => push(&mut head, &String::from_utf8_lossy(value.as_bytes())),
            }
        }
    }
    head.into_boxed_str()
}

/// Adds a text, or as much of it as there is room for.
fn push(head: &mut String, text: &str) {
    let room = MOST_HEAD.saturating_sub(head.len());
    head.push_str(&text[..text.floor_char_boundary(room)]);
}

fn digest(body: &[u8]) -> u128 {
    let digest = Sha256::digest(body);
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rings that requests are dealt to.
const RINGS: usize = 8;

const REDACTED: &str = "[redacted]";

/// Headers that hold a key, the emulator's or a real one that was sent here by mistake.
static SECRETS: [HeaderName; 4] =
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key")];

const SHORTEST_SECRET: usize = 8;

/// Bytes of a head that are kept.
const MOST_HEAD: usize = 8 * 1024;

/// Bytes of a body that are kept.
const MOST_BODY: usize = 4096;

/// Bytes of an idempotency key that is counted.
const MOST_KEY: usize = 256;

/// Bodies and keys counted one by one.
const MOST_COUNTED: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(path: &str) -> Parts {
        let request = Request::post(path)
            .header("Authorization", "Bearer secret")
            .header("Idempotency-Key", "k1")
            .header("X-Odd", [0xff, b'a'].as_slice());
        request.body(()).unwrap().into_parts().0
    }

    fn arrival(at: u64) -> Arrival {
        Arrival { at, endpoint: Endpoint::Other, is_keyless: false, is_authorized: true }
    }

    #[test]
    fn requests_are_kept_in_order_without_their_key_and_the_oldest_go() {
        let record = Record::new(2 * RINGS);
        let entries: Vec<_> = (0..3 * RINGS)
            .map(|at| record.arrived(&parts(&format!("/{at}?q=1")), b"body", arrival(5)))
            .collect();
        entries[0].answered(Some(StatusCode::OK));
        entries[RINGS + 1].met("reset");
        entries[RINGS + 1].answered(Some(StatusCode::NOT_FOUND));
        let seen = record.requests(0, 100, "");
        let first = RINGS as u64 + 1;
        let numbers: Vec<u64> = seen.iter().map(|seen| seen.number).collect();
        assert_eq!(numbers, (first..first + 2 * RINGS as u64).collect::<Vec<_>>());
        assert_eq!((seen[0].path.as_str(), seen[0].status), ("/8?q=1", None));
        assert_eq!((seen[1].status, seen[1].fault), (Some(404), Some("reset")));
        assert_eq!(seen[1].headers[0], ("authorization".to_owned(), REDACTED.to_owned()));
        assert!(!format!("{seen:?} {record:?}").contains("secret"));
        assert_eq!(record.requests(first, 100, "").len(), 2 * RINGS - 1);
        assert_eq!(record.requests(0, 1, "")[0].number, first);
        assert_eq!(record.requests(99, 10, ""), []);
    }

    #[test]
    fn a_key_is_told_nowhere_and_a_head_has_an_end() {
        let record = Record::new(10);
        let long = "é".repeat(MOST_HEAD);
        let request = Request::post("/?key=a-secret")
            .header("Cookie", "a-cookie")
            .header("X-Api-Key", "another")
            .header("X-Mine", "so a-secret it is")
            .header("X-Long", &long)
            .header("X-Last", "unseen");
        let parts = request.body(()).unwrap().into_parts().0;
        record.arrived(&parts, b"{\"key\":\"a-secret\"}", arrival(0));
        let seen = &record.requests(0, 1, "a-secret")[0];
        let told = format!("{seen:?}");
        assert!(!["a-secret", "a-cookie", "another", "unseen"].iter().any(|no| told.contains(no)));
        assert_eq!((&*seen.path, &*seen.body), ("/?key=[redacted]", r#"{"key":"[redacted]"}"#));
        let bytes: usize = seen.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((MOST_HEAD - 100..=MOST_HEAD).contains(&bytes), "{bytes}");
    }

    #[test]
    fn accepted_creates_are_counted_by_body_and_by_key() {
        let record = Record::new(10);
        let headers = parts("/").headers;
        record.accepted(&headers, b"one");
        record.accepted(&headers, b"two");
        record.accepted(&HeaderMap::new(), b"two");
        let counts = record.counts();
        assert_eq!(counts.accepted, 3);
        assert_eq!(counts.by_body[&Counts::name_of(b"two")], 2);
        assert_eq!(counts.by_idempotency_key["k1"], 2);
        record.clear();
        assert_eq!(record.counts(), Counts::default());
    }
}
