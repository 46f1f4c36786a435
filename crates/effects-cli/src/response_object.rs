//! [`ResponseObject`]: what is kept of an HTTP response, as `--json` prints it with a result or an
//! error. `RunObject`, `StatusObject`, `ErrorObject` and the rows of a batch (`ReportedError`) have one.

use std::collections::BTreeMap;

use effects_core::wire::ResponseExcerpt;
use serde::Serialize;
use utoipa::ToSchema;

/// A part of an HTTP response of the gateway, without the key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ResponseObject {
    status: u16,
    /// The service's name for the exchange.
    request_id: Option<String>,
    /// Those by which the exchange is found again, by their names in small letters.
    headers: BTreeMap<String, String>,
    /// The beginning of the body, at most 2 KiB, where the response is no usable task.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl From<&ResponseExcerpt> for ResponseObject {
    fn from(response: &ResponseExcerpt) -> Self {
        Self {
            status: response.status,
            request_id: response.request_id.clone(),
            headers: response.headers.iter().cloned().collect(),
            body: response.body.clone(),
        }
    }
}
