//! [`guarded_async`]: awaits what a program gave the client (its HTTP stack, its middleware), so that a
//! panic ends that call alone, as [`guarded`] does for what is not async. `driver.rs` and `transfer.rs`
//! await exchanges, uploads and downloads through it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use effects_client::guarded;
use futures_util::FutureExt;

/// What it comes to; `None` where it panicked, which is logged.
pub(crate) async fn guarded_async<T>(what: &str, future: impl Future<Output = T>) -> Option<T> {
    // What it left half-done is its program's own.
    let ended = AssertUnwindSafe(future).catch_unwind().await;
    guarded(what, || ended.unwrap_or_else(|panic| resume_unwind(panic)))
}
