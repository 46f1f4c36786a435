//! [`Gateway`] (`exchange.rs`): sends requests to the web API of the service or of an emulator, over an
//! [`Exchange`] (an HTTP stack) with the URL and the key of an [`Endpoint`]: the [`Call`]s of run drivers
//! and task handles (a submission or a poll), and uploads, but not downloads. Both clients have one;
//! `effects doctor`, `effects-testkit` and programs that embed the core make one, too. Here are also
//! `ApiKey`, and `BaseUrl` and `Origin`, by which settings, runs and journals name a gateway.
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
pub use key_ring::{AskKey, TellTime};
pub use observer::{ExchangeObserver, ObserveEnd, RequestExcerpt};
pub use origin::check_url;
pub use request_headers::{InvalidHeader, RequestHeaders};
