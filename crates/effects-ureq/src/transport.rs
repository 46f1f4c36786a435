//! The core's [`Transport`] over ureq.

use std::sync::Arc;

use effects_client::{Settings, telemetry};
use effects_core::{Call, CallResult, Endpoint, Error, Transport};

use crate::http_client::HttpClient;

/// Makes a run's exchanges on ureq: for driving [`effects_core::Run`] oneself.
///
/// Cloning it shares its connections.
#[derive(Clone, Debug)]
pub struct UreqTransport {
    endpoint: Endpoint,
    http: Arc<HttpClient>,
}

impl UreqTransport {
    /// A transport with these settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) for a proxy or
    /// certificates that cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let http = Arc::new(HttpClient::new(settings)?);
        Ok(Self { endpoint: settings.endpoint.clone(), http })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Makes an exchange outside any run.
    pub(crate) fn exchange(
        &self,
        request: http::Request<bytes::Bytes>,
        timeout: std::time::Duration,
    ) -> CallResult {
        self.endpoint.result(self.http.exchange(request, timeout))
    }
}

impl Transport for UreqTransport {
    fn send(&self, call: &Call) -> CallResult {
        let _span = telemetry::exchange_span(call).entered();
        self.exchange(self.endpoint.request(call), call.timeout)
    }
}
