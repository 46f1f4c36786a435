//! [`read`]: reads a request's body whole, within limits of size and time, and of [`BodyMemory`], the
//! memory that large bodies share. `middleware.rs` calls it for requests that came with an accepted key,
//! and reads no other body.
//!
//! Many clients may send at once, but the memory for large bodies is bounded: [`BodyMemory`] lends it to
//! a body once more than [`SMALL`] bytes of it are here, and takes it back from one that comes too
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
pub(crate) struct Load {
    pub(crate) body: Bytes,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// The memory that large bodies share.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    /// Kibibytes.
    free: Arc<Semaphore>,
    most: usize,
    /// Bodies that wait for memory.
    waiting: watch::Sender<usize>,
}

/// Counts one that waits, for as long as it does.
struct WaitingBody<'a>(&'a watch::Sender<usize>);

impl BodyMemory {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = kibibytes(bytes);
        Self { free: Arc::new(Semaphore::new(most)), most, waiting: watch::Sender::new(0) }
    }

    /// Memory for so many bytes, once there is some. A body larger than all there is takes all
    /// there is.
    async fn lend(&self, bytes: usize) -> OwnedSemaphorePermit {
        let wanted = u32::try_from(kibibytes(bytes).min(self.most)).unwrap_or(u32::MAX);
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
) -> Result<Load, ApiRefusal> {
    let most = most_bytes(endpoint, limits);
    let told = body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let deadline = Instant::now() + limits.request_time;
    if told.is_some_and(|bytes| bytes > most) {
        // With `Expect: 100-continue` the client has sent nothing of it yet, and after a refusal it
        // does not.
        if !expects {
            discard(&mut body, told.unwrap_or_default(), deadline).await;
        }
        return Err(too_large(most));
    }
    let mut so_far = SoFar::default();
    // The memory lent to this body, and since when.
    let mut lent: Option<(OwnedSemaphorePermit, Instant)> = None;
    loop {
        // A small body has no memory to give back, so it is never too slow for others.
        let due = lent.as_ref().map(|(_, since)| *since + time_for(so_far.len()));
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
            () = tokio::time::sleep_until(deadline) => return Err(too_late(limits)),
            () = too_slow => return Err(ApiRefusal::busy("this body comes too slowly; others wait")),
        };
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(ApiRefusal::bad_request("the body broke off")),
            // A frame without data is a trailer.
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let length = so_far.len() + data.len();
        if length > most {
            // What has come is not needed while the rest is read for nothing.
            drop(so_far);
            discard(&mut body, 0, deadline).await;
            return Err(too_large(most));
        }
        if length > SMALL && lent.is_none() {
            // A chunked body does not say how long it will be, so it takes what the longest may.
            let memory = tokio::time::timeout_at(deadline, memory.lend(told.unwrap_or(most))).await;
            let memory = memory.map_err(|_| ApiRefusal::busy("too many large bodies at once"))?;
            lent = Some((memory, Instant::now()));
        }
        so_far.push(data);
    }
    Ok(Load { body: so_far.whole(), memory: lent.map(|(memory, _)| memory) })
}

/// What has come of a body. Most come in one piece, which is taken as it is. Further pieces are
/// copied: each would hold the buffer it was read into, however small it is.
#[derive(Default)]
struct SoFar {
    first: Bytes,
    rest: BytesMut,
}

impl SoFar {
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
/// have sent all. One that says it is longer than [`MOST_DISCARDED`] is not waited for.
async fn discard(body: &mut Body, told: usize, deadline: Instant) {
    let mut discarded = 0;
    while told <= MOST_DISCARDED && discarded <= MOST_DISCARDED {
        let until = deadline.min(Instant::now() + GRACE);
        match tokio::time::timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}

/// How long a body may have taken for so many bytes before it makes way for one that waits.
fn time_for(bytes: usize) -> Duration {
    GRACE + Duration::from_millis((bytes / BYTES_PER_MILLISECOND) as u64)
}

/// A photo may arrive as base64, which is a third longer, inside JSON or a form.
fn most_bytes(endpoint: Endpoint, limits: &Limits) -> usize {
    if endpoint.takes_photos() { limits.photo_bytes / 3 * 4 + SMALL } else { SMALL }
}

fn too_large(most: usize) -> ApiRefusal {
    let words = format!("the body is larger than {most} bytes");
    ApiRefusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", words)
}

fn too_late(limits: &Limits) -> ApiRefusal {
    let words = format!("the body did not arrive within {:?}", limits.request_time);
    ApiRefusal::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", words)
}

/// Rounded up: even the shortest body takes some.
fn kibibytes(bytes: usize) -> usize {
    bytes / 1024 + 1
}

/// Bytes that are read for nothing before a body is refused.
const MOST_DISCARDED: usize = 256 << 20;

/// Bytes of a body without a photo in it; larger ones need memory that is lent.
const SMALL: usize = 64 * 1024;

/// How slow a body may be while others wait: 256 KB a second, and a second to begin with.
const BYTES_PER_MILLISECOND: usize = 256;
const GRACE: Duration = Duration::from_secs(1);
