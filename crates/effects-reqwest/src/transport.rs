//! The core's [`AsyncTransport`] over reqwest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use effects_client::{Settings, telemetry};
use effects_core::{AsyncTransport, Call, CallResult, Endpoint, Error};
use http::Request;
use tracing::Instrument;

use crate::http_client::HttpClient;

/// Makes a run's exchanges on reqwest: for driving [`effects_core::Run`] oneself.
///
/// Cloning it shares its connections.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    endpoint: Endpoint,
    http: Arc<HttpClient>,
}

impl ReqwestTransport {
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
    pub(crate) async fn exchange(&self, request: Request<Bytes>, timeout: Duration) -> CallResult {
        self.endpoint.result(self.http.exchange(request, timeout).await)
    }
}

#[async_trait]
impl AsyncTransport for ReqwestTransport {
    async fn send(&self, call: &Call) -> CallResult {
        let exchange = self.exchange(self.endpoint.request(call), call.timeout);
        exchange.instrument(telemetry::exchange_span(call)).await
    }
}
