//! [`Gateway`] (`exchange.rs`) sends a client's requests to the web API, which is the service's or an
//! emulator's: the [`Call`]s (`call.rs`) of runs and of single polls, and uploads; downloads go past it. It
//! joins an [`Endpoint`] (`endpoint.rs`: the URL and the key) with an [`Exchange`] (an HTTP stack). Both
//! clients have one, and so do `effects doctor`, the scripted service of `effects-testkit` and programs
//! that embed the core.
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
