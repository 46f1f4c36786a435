//! [`ReqwestExchange`]: this crate's [`HttpClient`] as the core's [`AsyncExchange`]. `HttpStack` sends a
//! client's requests with it, also beneath a wrapper of the caller's, unless the caller brought an HTTP
//! stack. A program can drive `effects_core::Run` over it; the conformance tests and a benchmark call it by
//! itself.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{Settings, telemetry};
use effects_core::Error;
use effects_core::gateway::{Answer, AsyncExchange};
use http::Request;
use tracing::Instrument;

use crate::http_client::HttpClient;

/// Makes exchanges on reqwest: for driving [`effects_core::Run`] oneself.
///
/// Cloning it shares its connections.
#[derive(Clone, Debug)]
pub struct ReqwestExchange(Arc<HttpClient>);

impl ReqwestExchange {
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

impl AsyncExchange for ReqwestExchange {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        let span = telemetry::exchange_span(&request);
        Box::pin(self.0.exchange(request, limit).instrument(span))
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let working = tokio::task::spawn_blocking(work);
        // A panic in it leaves the key as it was.
        Box::pin(async move { drop(working.await) })
    }
}
