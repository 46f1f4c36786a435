//! [`UreqExchange`]: this crate's [`HttpClient`] as the core's [`Exchange`]. `HttpStack` sends a
//! client's requests with it, unless the caller brought an HTTP stack; the command's webhooks and
//! `effects doctor` send over it directly, and a program can drive `effects_core::Run` over it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{Settings, telemetry};
use effects_core::Error;
use effects_core::gateway::{Answer, Exchange};
use http::Request;

use crate::http_client::HttpClient;

/// Makes exchanges on ureq: for driving [`effects_core::Run`] oneself.
///
/// Cloning it shares its connections.
#[derive(Clone, Debug)]
pub struct UreqExchange(Arc<HttpClient>);

impl UreqExchange {
    /// Exchanges with these settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](effects_core::ErrorKind::Misconfigured) for a proxy or
    /// certificates that cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self(Arc::new(HttpClient::new(settings)?)))
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.0
    }
}

impl Exchange for UreqExchange {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let _span = telemetry::exchange_span(&request).entered();
        self.0.exchange(request, limit)
    }
}
