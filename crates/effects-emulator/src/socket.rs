//! [`Socket`]: the TCP connection of a client, made so that a fault can cut it and that a client which
//! still sends can read an early answer; its [`ConnectionState`] tells whether it is busy, idle or
//! given up, and so when it ends. `server.rs` wraps every connection that it accepts in a [`Socket`],
//! and closes those that were idle for too long or have to make way for others.
//!
//! Time for a request and time for its answer are watched by one timer of the connection,
//! [`ConnectionState::wait_until_idle`], since the HTTP library watches the arrival of a request's head
//! alone: a client that does not read its answer would hold its place and the answer's bytes for
//! ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::clock::millis;
use crate::middleware::AnsweredRequest;

/// A stream whose end its [`ConnectionState`] decides.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Arc<ConnectionState>,
    /// Whether the writing side was closed.
    is_shut: bool,
    /// Bytes that were read since then, for nothing.
    discarded: usize,
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    cut: Notify,
    reset: AtomicBool,
    /// [`IDLE`], [`BUSY`] or [`GIVEN_UP`].
    phase: AtomicU8,
    /// A request may be on its way that will not be read.
    is_unread: AtomicBool,
    /// An accepted key has come over it.
    is_known: AtomicBool,
    start: Instant,
    /// Milliseconds from the start to the last time something was written or an exchange ended.
    /// Reading does not count: a request has to be whole in time.
    last_progress: AtomicU64,
}

/// An exchange under way. The connection is idle once this is dropped.
#[derive(Debug)]
pub(crate) struct BusyGuard<'a>(&'a ConnectionState);

impl ConnectionState {
    pub(crate) fn new() -> Self {
        Self {
            cut: Notify::new(),
            reset: false.into(),
            phase: IDLE.into(),
            // Until an exchange says otherwise: hyper answers a bad head without a handler, and the
            // client must be able to read that answer, too.
            is_unread: true.into(),
            is_known: false.into(),
            start: Instant::now(),
            last_progress: 0.into(),
        }
    }

    /// Says that an exchange begins; `None` if the connection was given up before.
    pub(crate) fn begin_exchange(&self) -> Option<BusyGuard<'_>> {
        self.leave_idle(BUSY).then(|| BusyGuard(self))
    }

    /// Notes what an exchange has said of its client.
    pub(crate) fn note_answered(&self, request: AnsweredRequest) {
        self.is_unread.store(request.is_unread, Ordering::Relaxed);
        // A connection that has carried an accepted key once stays known.
        self.is_known.fetch_or(!request.is_keyless, Ordering::Relaxed);
    }

    /// For how many milliseconds it has been idle; `None` if it is not, or if its client is one that
    /// has an accepted key.
    pub(crate) fn idle_and_unknown(&self) -> Option<u64> {
        // Only a hint for the search; `give_up` decides by exchanging the state.
        let is_idle = self.phase.load(Ordering::Relaxed) == IDLE;
        (is_idle && !self.is_known.load(Ordering::Relaxed)).then(|| self.idle_millis())
    }

    /// Ends the connection in good order, unless an exchange has begun; whether it does.
    pub(crate) fn give_up(&self) -> bool {
        let gives_up = self.leave_idle(GIVEN_UP);
        if gives_up {
            self.cut(false);
        }
        gives_up
    }

    /// Has the rest of a request that is not read waited for no longer.
    pub(crate) fn stop_discarding(&self) {
        self.is_unread.store(false, Ordering::Relaxed);
    }

    /// Has the connection ended, with a reset or in good order.
    pub(crate) fn cut(&self, with_reset: bool) {
        self.reset.store(with_reset, Ordering::Relaxed);
        // `notify_one` leaves a permit where no task waits, so a cut before `wait_for_cut` is not lost.
        self.cut.notify_one();
    }

    /// Waits until the connection is to be cut.
    pub(crate) async fn wait_for_cut(&self) {
        self.cut.notified().await;
    }

    /// Waits until nothing has come of the connection for so long.
    pub(crate) async fn wait_until_idle(&self, limit: Duration) {
        let limit = millis(limit);
        loop {
            let idle_millis = self.idle_millis();
            let busy = self.phase.load(Ordering::Relaxed) == BUSY;
            if !busy && idle_millis >= limit {
                return;
            }
            // How long an exchange takes is up to its handler, so a busy connection is looked at
            // again later.
            let rest = if busy { limit } else { limit - idle_millis };
            // At least a millisecond: with a limit of 0 this loop would spin beside a busy
            // connection.
            tokio::time::sleep(Duration::from_millis(rest.max(1))).await;
        }
    }

    /// Leaves the idle phase for another, which only one can do.
    fn leave_idle(&self, phase: u8) -> bool {
        let relaxed = Ordering::Relaxed;
        self.phase.compare_exchange(IDLE, phase, relaxed, relaxed).is_ok()
    }

    fn note_progress(&self) {
        self.last_progress.store(self.now(), Ordering::Relaxed);
    }

    fn idle_millis(&self) -> u64 {
        self.now().saturating_sub(self.last_progress.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        // The time is set first: idle with the old time, the connection would seem to have been
        // idle for the whole exchange.
        self.0.note_progress();
        self.0.phase.store(IDLE, Ordering::Relaxed);
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, connection: Arc<ConnectionState>) -> Self {
        Self { stream, connection, is_shut: false, discarded: 0 }
    }

    /// Reads what a client still sends that has its answer already, up to its end. If the connection
    /// ended while bytes lie unread, the system would send a reset, and the client might lose the
    /// answer that it has not read yet.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 * 1024];
        while self.connection.is_unread.load(Ordering::Relaxed)
            && self.discarded < MAX_DISCARDED_BYTES
        {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            self.discarded += buffer.filled().len();
        }
        Poll::Ready(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            // Without lingering the system sends a reset. A stream that refuses is closed in good
            // order, which is an end all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Counted even if the write is pending: it is tried again only once the client has taken
        // something.
        self.connection.note_progress();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.note_progress();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Polled again for as long as the discarding below is pending; the stream is shut only
        // once.
        if !self.is_shut {
            // The end of the answer goes out before the rest of the request is read: a client may
            // wait for it.
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.is_shut = true;
        }
        self.poll_discard(context).map(Ok)
    }
}

/// Phases of a connection: it waits for a request, an exchange is under way, it takes no more
/// requests.
const IDLE: u8 = 0;
const BUSY: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Bytes that are read for nothing: more than the largest body that is taken, for clients that write
/// all of it before they read the answer.
const MAX_DISCARDED_BYTES: usize = 96 * 1024 * 1024;
