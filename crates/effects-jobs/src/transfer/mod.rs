//! Photos in, pictures out, without I/O: [`Uploads`] (`upload.rs`) says how a [`Photo`] (`photo.rs`)
//! becomes a URL that the service can fetch, and [`Download`] (`download.rs`) decides how a picture is
//! fetched. The `transfer.rs` of both clients carry both out; `effects-client`, the command and the
//! Python package make photos and choose the way of uploads.

mod download;
mod photo;
mod upload;

pub use download::{Download, DownloadStep, Receiver};
pub use photo::Photo;
pub use upload::{
    Uploader, Uploads, presigned_request, read_storage_answer, storage_request, upload_error,
};
