//! [`HttpStack`]: sends a client's HTTP requests: by reqwest, or by an [`AsyncExchange`] of the caller,
//! alone or wrapped around reqwest. `ClientCore` has it in its gateway, through which `Driver` and
//! `TaskHandle` send their calls and `transfer.rs` its uploads and downloads.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use effects_client::telemetry::OutageNotice;
use effects_client::{Settings, Transport, telemetry};
use effects_core::Error;
use effects_core::gateway::{Answer, AsyncExchange, DynAsyncExchange};
use http::Request;
use tracing::Instrument;

use crate::exchange::ReqwestExchange;

/// The HTTP stack of a client.
#[derive(Debug)]
pub(crate) enum HttpStack {
    /// reqwest and nothing else: pictures are streamed.
    Own(ReqwestExchange),
    /// What the caller brought, or put around reqwest. A stack of the caller's reports no outage itself.
    Given(DynAsyncExchange, Option<OutageNotice>),
}

impl HttpStack {
    /// The stack of a client with these settings.
    ///
    /// # Errors
    ///
    /// Settings that reqwest refuses, when reqwest is used.
    pub(crate) fn new(
        settings: &Settings,
        transport: Transport<DynAsyncExchange>,
    ) -> Result<Self, Error> {
        if transport.is_plain() {
            return ReqwestExchange::new(settings).map(Self::Own);
        }
        // reqwest reports outages itself, also from under middleware.
        let outage = transport.is_given().then(OutageNotice::default);
        let own = || ReqwestExchange::new(settings).map(DynAsyncExchange::new);
        Ok(Self::Given(transport.over(own)?, outage))
    }
}

impl AsyncExchange for HttpStack {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        match self {
            Self::Own(reqwest) => reqwest.exchange(request, limit),
            Self::Given(exchange, None) => exchange.exchange(request, limit),
            Self::Given(exchange, Some(outage)) => {
                let (span, url) = (telemetry::exchange_span(&request), request.uri().clone());
                let answered = async move {
                    let answer = exchange.exchange(request, limit).await;
                    outage.note(&url, &answer);
                    answer
                };
                Box::pin(answered.instrument(span))
            }
        }
    }

    /// Getting another key may block; this runs it on a blocking thread, so that the caller's stack need
    /// not.
    fn block(&self, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let working = tokio::task::spawn_blocking(work);
        // A panic in it leaves the key as it was.
        Box::pin(async move { drop(working.await) })
    }
}
