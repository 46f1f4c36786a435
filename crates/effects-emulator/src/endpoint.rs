//! [`Endpoint`]: names the gateway's endpoints and the emulator's own. Fault plans, scripts, the record of
//! requests and tests in Rust and Python use these names; each route in `routes.rs` has one. By it the
//! middleware decides whether a request needs a key and is recorded, `body.rs` whether it may be large, and
//! `faults/` which faults fit.

use serde::{Deserialize, Serialize};

/// An endpoint of the gateway.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /model/v1/generation`
    Create,
    /// `GET /model/v1/generation/task/{id}`
    Task,
    /// `POST /model/v1/queue/{model}`
    QueueSubmit,
    /// `GET /model/v1/queue/{model}/requests/{id}/status`
    QueueStatus,
    /// `GET /model/v1/queue/{model}/requests/{id}/response`
    QueueResponse,
    /// `PUT /model/v1/queue/{model}/requests/{id}/cancel`
    QueueCancel,
    /// `GET /files/{name}`: pictures and uploads.
    File,
    /// `POST /api/v1/storage/files`
    Upload,
    /// `GET /api/v1/skill/…`, `GET /model/v1/models/skill/…`: models, their specs and contracts.
    Catalogue,
    /// `GET /api/v1/user/balance`, `POST /model/v1/generation/precharge`: money.
    Account,
    /// `/_emulator/…`: never recorded, never faulty.
    Control,
    /// `/` and `/page/…`, the page for a browser; `/openapi.json` and `/healthz`: never recorded,
    /// never faulty.
    Page,
    /// Every other path.
    Other,
}

impl Endpoint {
    /// Whether it answers without a key: pictures are for browsers too, and part of the official
    /// clients ask for the catalogue without one.
    pub(crate) fn is_public(self) -> bool {
        // An unknown path is 404 with and without a key, since some clients probe for the path that
        // is there.
        matches!(self, Self::File | Self::Catalogue | Self::Page | Self::Other)
    }

    /// Whether it is the emulator's own and no part of the service: it is not recorded, meets no
    /// fault and has no rate.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Control | Self::Page)
    }

    /// Whether it may carry a photo, and so a large body.
    pub(crate) fn takes_photos(self) -> bool {
        self.creates() || self == Self::Upload
    }

    /// Whether tasks begin here.
    pub(crate) fn creates(self) -> bool {
        matches!(self, Self::Create | Self::QueueSubmit)
    }

    /// Whether tasks are looked at here.
    pub(crate) fn looks(self) -> bool {
        matches!(self, Self::Task | Self::QueueStatus | Self::QueueResponse)
    }
}
