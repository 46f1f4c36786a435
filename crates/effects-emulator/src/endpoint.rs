//! The endpoints, as faults and the record of requests name them.

use serde::{Deserialize, Serialize};

/// An endpoint of the gateway.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /model/v1/generation`
    Create,
    /// `GET /model/v1/generation/task/{id}`
    Task,
    /// `GET /files/{name}`: pictures and uploads.
    File,
    /// `POST /api/v1/storage/files`
    Upload,
    /// Everything else.
    Other,
}

impl Endpoint {
    /// Whether it answers without a key: pictures are for browsers too.
    pub(crate) fn is_public(self) -> bool {
        matches!(self, Self::File | Self::Other)
    }

    /// Whether it may carry a photo, and so a large body.
    pub(crate) fn takes_photos(self) -> bool {
        matches!(self, Self::Create | Self::Upload)
    }
}
