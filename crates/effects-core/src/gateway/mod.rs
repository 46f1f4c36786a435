//! [`Gateway`] (`exchange.rs`): sends a client's requests to the web API of the service or of an emulator.
//! It joins an [`Endpoint`] (`endpoint.rs`: the URL and the key) with an [`Exchange`] (an HTTP stack). The
//! drivers of runs and the task handles of both clients send their [`Call`]s (`call.rs`: a submission or a
//! poll) through it, and so do uploads, but not downloads; `effects doctor`, the scripted service of
//! `effects-testkit` and programs that embed the core make one, too.
//!
//! [`Endpoint`] makes an HTTP request of a [`Call`], and takes the key out of what is kept of the answer.
//! A program with an HTTP stack of its own implements [`Exchange`].

pub(crate) mod api_key;
pub(crate) mod call;
pub(crate) mod endpoint;
pub(crate) mod exchange;
pub(crate) mod key_ring;
pub(crate) mod observer;
pub(crate) mod origin;
pub(crate) mod request_headers;
pub(crate) mod retry_after;

pub use call::{Answer, Call, CallId, CallKind, CallResult, FetchOptions, FreshConnection};
pub use endpoint::Endpoint;
pub use exchange::{AsyncExchange, DynAsyncExchange, DynExchange, Exchange, Gateway};
pub use key_ring::AskKey;
pub use observer::{ExchangeObserver, ObserveEnd, RequestExcerpt};
pub use origin::check_url;
pub use request_headers::{InvalidHeader, RequestHeaders};
