//! [`read`]: reads a request's body whole ([`BufferedBody`]), or refuses it, within limits of size and
//! time, and of [`BodyMemory`], the memory that large bodies share: one too many waits, and a slow one
//! gives way. The middleware calls it for requests with an accepted key or with the cookie of the page's
//! session (`session.rs`), and reads no other body.
//!
//! Many clients may send at once, but the memory for large bodies is bounded: [`BodyMemory`] reserves it for
//! a body once more than [`SMALL_BODY_BYTES`] bytes of it are here, and takes it back from one that comes too
//! slowly while others wait. So a client holds no memory with what it only announces.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::options::Limits;
use crate::wire::refusal::ApiRefusal;

/// A whole body, and the memory that it takes until the request is answered.
#[derive(Debug, Default)]
pub(crate) struct BufferedBody {
    pub(crate) body: Bytes,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// The memory that large bodies share.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    /// Kibibytes.
    free: Arc<Semaphore>,
    max_bytes: usize,
    /// Bodies that wait for memory.
    waiting: watch::Sender<usize>,
}

/// Counts one that waits, for as long as it does.
struct WaitingBody<'a>(&'a watch::Sender<usize>);

impl BodyMemory {
    pub(crate) fn new(bytes: usize) -> Self {
        let max_bytes = kibibytes(bytes);
        Self {
            free: Arc::new(Semaphore::new(max_bytes)),
            max_bytes,
            waiting: watch::Sender::new(0),
        }
    }

    /// Memory for so many bytes, once there is some. A body larger than all there is takes all
    /// there is.
    async fn reserve(&self, bytes: usize) -> OwnedSemaphorePermit {
        let wanted = u32::try_from(kibibytes(bytes).min(self.max_bytes)).unwrap_or(u32::MAX);
        if let Ok(memory) = self.free.clone().try_acquire_many_owned(wanted) {
            return memory;
        }
        // Counted only where there is none free: from now on slow bodies make way (`is_wanted`).
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _waiting = WaitingBody(&self.waiting);
        let memory = self.free.clone().acquire_many_owned(wanted).await;
        memory.expect("it is never closed")
    }

    /// Returns once some body waits for memory.
    async fn is_wanted(&self) {
        // The sender is a field of `self`, so the channel is never closed.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }
}

impl Drop for WaitingBody<'_> {
    fn drop(&mut self) {
        // In a drop, since a client that hangs up ends the wait in the middle.
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// Reads a body to its end. With `expects`, its client sends it only once it is asked to, which reading
/// does.
pub(crate) async fn read(
    memory: &BodyMemory,
    limits: &Limits,
    endpoint: Endpoint,
    expects: bool,
    mut body: Body,
) -> Result<BufferedBody, ApiRefusal> {
    let max_bytes = max_body_bytes(endpoint, limits);
    let announced_bytes =
        body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let deadline = Instant::now() + limits.request_time;
    if announced_bytes.is_some_and(|bytes| bytes > max_bytes) {
        // With `Expect: 100-continue` the client has sent nothing of it yet, and after a refusal it
        // does not.
        if !expects {
            discard(&mut body, announced_bytes.unwrap_or_default(), deadline).await;
        }
        return Err(too_large(max_bytes));
    }
    let mut buffer = BodyBuffer::default();
    // The memory reserved for this body, and since when.
    let mut reserved: Option<(OwnedSemaphorePermit, Instant)> = None;
    loop {
        // A small body has no memory to give back, so it is never too slow for others.
        let due = reserved.as_ref().map(|(_, since)| *since + max_time_for(buffer.len()));
        let too_slow = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
            // A slow body goes on for as long as no other waits for its memory.
            memory.is_wanted().await;
        };
        let frame = tokio::select! {
            // Bytes that are here count before any timer. The first poll has hyper send `100
            // Continue`.
            biased;
            frame = body.frame() => frame,
            () = tokio::time::sleep_until(deadline) => return Err(timed_out(limits)),
            () = too_slow => return Err(ApiRefusal::busy("this body comes too slowly; others wait")),
        };
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(ApiRefusal::bad_request("the body broke off")),
            // A frame without data is a trailer.
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let length = buffer.len() + data.len();
        if length > max_bytes {
            // What has come is not needed while the rest is read for nothing.
            drop(buffer);
            discard(&mut body, 0, deadline).await;
            return Err(too_large(max_bytes));
        }
        if length > SMALL_BODY_BYTES && reserved.is_none() {
            // A chunked body does not say how long it will be, so it takes what the longest may.
            let memory = tokio::time::timeout_at(
                deadline,
                memory.reserve(announced_bytes.unwrap_or(max_bytes)),
            )
            .await;
            let memory = memory.map_err(|_| ApiRefusal::busy("too many large bodies at once"))?;
            reserved = Some((memory, Instant::now()));
        }
        buffer.push(data);
    }
    Ok(BufferedBody { body: buffer.whole(), memory: reserved.map(|(memory, _)| memory) })
}

/// What has come of a body. Most come in one piece, which is taken as it is. Further pieces are
/// copied: each would hold the buffer it was read into, however small it is.
#[derive(Default)]
struct BodyBuffer {
    first: Bytes,
    rest: BytesMut,
}

impl BodyBuffer {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        self.rest.extend_from_slice(&data);
    }

    fn whole(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

/// Reads a body that is refused to its end, for nothing: many clients look for an answer only once they
/// have sent all. One that says it is longer than [`MAX_DISCARDED_BYTES`] is not waited for.
async fn discard(body: &mut Body, announced_bytes: usize, deadline: Instant) {
    let mut discarded = 0;
    while announced_bytes <= MAX_DISCARDED_BYTES && discarded <= MAX_DISCARDED_BYTES {
        let until = deadline.min(Instant::now() + GRACE_TIME);
        match tokio::time::timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}

/// How long a body may have taken for so many bytes before it makes way for one that waits.
fn max_time_for(bytes: usize) -> Duration {
    GRACE_TIME + Duration::from_millis((bytes / BYTES_PER_MILLISECOND) as u64)
}

/// A photo may arrive as base64, which is a third longer, inside JSON or a form.
fn max_body_bytes(endpoint: Endpoint, limits: &Limits) -> usize {
    if endpoint.takes_photos() {
        limits.photo_bytes / 3 * 4 + SMALL_BODY_BYTES
    } else {
        SMALL_BODY_BYTES
    }
}

fn too_large(max_bytes: usize) -> ApiRefusal {
    let message = format!("the body is larger than {max_bytes} bytes");
    ApiRefusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
}

fn timed_out(limits: &Limits) -> ApiRefusal {
    let message = format!("the body did not arrive within {:?}", limits.request_time);
    ApiRefusal::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message)
}

/// Rounded up: even the shortest body takes some.
fn kibibytes(bytes: usize) -> usize {
    bytes / 1024 + 1
}

/// Bytes that are read for nothing before a body is refused.
const MAX_DISCARDED_BYTES: usize = 256 << 20;

/// Bytes of a body without a photo in it; larger ones need reserved memory.
const SMALL_BODY_BYTES: usize = 64 * 1024;

/// How slow a body may be while others wait: 256 KB a second, and a second to begin with.
const BYTES_PER_MILLISECOND: usize = 256;
const GRACE_TIME: Duration = Duration::from_secs(1);
