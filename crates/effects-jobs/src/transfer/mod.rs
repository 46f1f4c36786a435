//! Photos in, pictures out: the rules of uploads and downloads, which both clients drive.
//!
//! [`Uploads`] says how a [`Photo`] becomes a URL, and [`Download`] how a picture is fetched.

mod download;
mod photo;
mod upload;

pub use download::{Download, DownloadStep, Receiver};
pub use photo::Photo;
pub use upload::{
    Uploader, Uploads, presigned_request, read_storage_answer, storage_request, upload_error,
};
