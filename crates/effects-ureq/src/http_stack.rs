//! [`HttpStack`]: the HTTP stack of a client: ureq, or an [`Exchange`] of the caller, which replaces ureq
//! or wraps it. `ClientCore` builds one from the settings and keeps it in its gateway, through which
//! `Watch`, `TaskHandle`, `jobs.rs` and `transfer.rs` send all requests.

use std::time::Duration;

use bytes::Bytes;
use effects_client::telemetry::OutageNotice;
use effects_client::{Settings, Transport, telemetry};
use effects_core::Error;
use effects_core::gateway::{Answer, DynExchange, Exchange};
use http::Request;

use crate::exchange::UreqExchange;

/// The HTTP stack of a client.
#[derive(Debug)]
pub(crate) enum HttpStack {
    /// ureq and nothing else: pictures are streamed.
    Own(UreqExchange),
    /// What the caller brought, or put around ureq. A stack of the caller's reports no outage itself.
    Given(DynExchange, Option<OutageNotice>),
}

impl HttpStack {
    /// The stack of a client with these settings.
    ///
    /// # Errors
    ///
    /// What ureq has against them, where it is needed.
    pub(crate) fn new(
        settings: &Settings,
        transport: Transport<DynExchange>,
    ) -> Result<Self, Error> {
        if transport.is_plain() {
            return UreqExchange::new(settings).map(Self::Own);
        }
        // ureq reports outages itself, also from under middleware.
        let outage = transport.is_given().then(OutageNotice::default);
        let exchange = transport.over(|| UreqExchange::new(settings).map(DynExchange::new))?;
        Ok(Self::Given(exchange, outage))
    }
}

impl Exchange for HttpStack {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        match self {
            Self::Own(ureq) => ureq.exchange(request, limit),
            Self::Given(exchange, None) => exchange.exchange(request, limit),
            Self::Given(exchange, Some(outage)) => {
                let _span = telemetry::exchange_span(&request).entered();
                let url = request.uri().clone();
                let answer = exchange.exchange(request, limit);
                outage.note(&url, &answer);
                answer
            }
        }
    }
}
