//! [`LoopWaker`]: wakes an event loop by a byte to a socket pair whose other end the loop watches. The
//! `CompletionSender` of `completion_queue.rs` uses it for results, the `WarningQueue` of `warnings.rs`
//! for warnings.

use std::io::Write;
use std::os::unix::net::UnixStream;

/// The writing end.
#[derive(Debug)]
pub struct LoopWaker(UnixStream);

impl LoopWaker {
    /// The waker of the loop that watches the other end; `writer` does not block.
    pub fn new(writer: UnixStream) -> Self {
        Self(writer)
    }

    /// Wakes the loop.
    pub fn wake(&self) {
        // A full pipe has bytes enough to wake the loop; a closed one has no loop to wake.
        let _ = (&self.0).write(&[1]);
    }
}
