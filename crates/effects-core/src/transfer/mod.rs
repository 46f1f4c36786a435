//! Photos in, pictures out: the rules of uploads and downloads, which both clients drive.
//!
//! [`Uploads`](upload::Uploads) says how a photo becomes a URL, [`Download`](download::Download) how a
//! picture is fetched, and [`Retries`](retry::Retries) how often either is tried again.

pub(crate) mod download;
pub(crate) mod format;
pub(crate) mod retry;
pub(crate) mod upload;
