//! The seam to HTTP: where the gateway is, what a call asks of it, and the key that authorises it.
//!
//! [`Endpoint`](endpoint::Endpoint) makes an HTTP request of a [`Call`](call::Call), and takes the key
//! out of what is kept of the answer. A transport owns one.

pub(crate) mod api_key;
pub(crate) mod call;
pub(crate) mod endpoint;
pub(crate) mod origin;
pub(crate) mod retry_after;
