//! Photos in, pictures out: [`Uploads`] (`upload.rs`) says how a [`Photo`] (`photo.rs`) becomes a URL
//! that the service can fetch, and [`Download`] (`download.rs`) how a picture is fetched. They make no
//! I/O; the `transfer.rs` of both clients drive them.

mod download;
mod photo;
mod upload;

pub use download::{Download, DownloadStep, Receiver};
pub use photo::Photo;
pub use upload::{
    Uploader, Uploads, presigned_request, read_storage_answer, storage_request, upload_error,
};
