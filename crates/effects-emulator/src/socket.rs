//! A connection that can be cut, with a reset or in good order, and that is let go when it is idle
//! for too long.
//!
//! The HTTP library has a limit for the arrival of a request's head, but sets a timer for each
//! request, which is a good part of the cost of a small one. Here one timer serves a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::clock::millis;

/// A stream whose end its [`Line`] decides.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) line: Arc<Line>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    cut: Notify,
    reset: AtomicBool,
    busy: AtomicBool,
    start: Instant,
    /// Milliseconds from the start to the last time something was written or an exchange ended.
    /// Reading does not count: a request has to be whole in time.
    last: AtomicU64,
}

/// An exchange under way. The line is idle once this is dropped.
#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Line);

impl Line {
    pub(crate) fn new() -> Self {
        let (cut, start) = (Notify::new(), Instant::now());
        Self { cut, reset: false.into(), busy: false.into(), start, last: 0.into() }
    }

    /// Says that an exchange begins.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.store(true, Ordering::Relaxed);
        Busy(self)
    }

    /// Has the connection ended, with a reset or in good order.
    pub(crate) fn cut(&self, with_reset: bool) {
        self.reset.store(with_reset, Ordering::Relaxed);
        self.cut.notify_one();
    }

    /// Waits until the connection is to be cut.
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    /// Waits until nothing has come of the connection for so long.
    pub(crate) async fn is_idle(&self, longest: Duration) {
        let longest = millis(longest);
        loop {
            let idle = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
            let busy = self.busy.load(Ordering::Relaxed);
            if !busy && idle >= longest {
                return;
            }
            let rest = if busy { longest } else { longest - idle };
            tokio::time::sleep(Duration::from_millis(rest.max(1))).await;
        }
    }

    fn moved(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.moved();
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.reset.load(Ordering::Relaxed) {
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
        self.line.moved();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.moved();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
