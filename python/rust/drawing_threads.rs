//! [`draw_within_interpreter`]: runs what draws the rows of a `Many`, with the interpreter at hand. The threads
//! that do so are counted: `submission_tracker.rs` waits for them at the end of the process ([`is_drawing`]),
//! and a child of `fork()` forgets its parent's ([`forget_threads`]).

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;

/// Threads that draw rows, and so take the interpreter's lock.
static DRAWING_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Draws with one thread state of the interpreter for all rows: to make one takes longer than to draw a row.
pub fn draw_within_interpreter(draw: Box<dyn FnOnce() + Send>) {
    DRAWING_THREADS.fetch_add(1, Ordering::SeqCst);
    // None where the interpreter is about to end.
    let _ = Python::try_attach(|py| py.detach(draw));
    // None are left to count where a fork made this process forget its parent's.
    let _ = DRAWING_THREADS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
}

/// Whether a thread draws rows, which must not come back from Python while the interpreter ends.
pub fn is_drawing() -> bool {
    DRAWING_THREADS.load(Ordering::SeqCst) > 0
}

/// Forgets the threads of a parent process.
pub fn forget_threads() {
    DRAWING_THREADS.store(0, Ordering::SeqCst);
}
