//! [`KeptReadable`]: a TCP socket that can still be read after a write has failed: the failure is noted
//! in a [`CutShort`], which `Submitter` reports, and later writes are dropped. It lies below TLS in
//! every connection that a [`Connector`](crate::connector::Connector) makes.
//!
//! A gateway may answer a request it has not read to its end and close, which makes the client's next
//! write fail. Its answer is then still there to be read, but hyper gives a connection up with the
//! first error. So the error is remembered, and the rest of the request dropped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Why a request could not be sent to its end; empty while it could.
pub(crate) type CutShort = Arc<OnceLock<String>>;

#[derive(Debug)]
pub(crate) struct KeptReadable {
    socket: TcpStream,
    cut_short: CutShort,
}

impl KeptReadable {
    pub(crate) fn new(socket: TcpStream, cut_short: CutShort) -> Self {
        Self { socket, cut_short }
    }

    /// Writes this many bytes, or drops them where an earlier write failed.
    fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.cut_short.get().is_some() {
            return Poll::Ready(Ok(length));
        }
        write(Pin::new(&mut self.socket)).map(|written| {
            written.or_else(|error| {
                self.cut_short.get_or_init(|| error.to_string());
                // Counts as written, so that hyper goes on to read the answer.
                Ok(length)
            })
        })
    }
}

impl AsyncRead for KeptReadable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for KeptReadable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes.len(), |socket| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.write(length, |socket| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// There is nothing to flush in a socket.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
