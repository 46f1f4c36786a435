//! [`Transport`]: holds what will make a client's exchanges: the caller's HTTP stack or a cassette's player
//! in place of the client's own, if one is given, and the middleware around it.
//! [`ClientBuilder`](crate::ClientBuilder) fills it; the `HttpStack` of each client, and the probe of
//! `effects doctor`, put the whole together with [`Transport::over`].

use std::fmt;

use effects_core::Error;
use effects_core::gateway::{AsyncExchange, DynAsyncExchange, DynExchange, Exchange};

/// A holder of exchanges of one kind, blocking or async, that can hold one of this type.
pub trait FromExchange<X>: Sized {
    /// Holds it.
    fn from_exchange(exchange: X) -> Self;
}

impl<X: Exchange + Send + Sync + 'static> FromExchange<X> for DynExchange {
    fn from_exchange(exchange: X) -> Self {
        Self::new(exchange)
    }
}

impl<X> FromExchange<X> for DynAsyncExchange
where
    X: AsyncExchange + Send + Sync + 'static,
    for<'a> X::Exchanging<'a>: Send,
{
    fn from_exchange(exchange: X) -> Self {
        Self::new(exchange)
    }
}

/// Puts one exchange around another.
type Wrap<E> = Box<dyn FnOnce(E) -> E + Send + Sync>;

/// What makes a client's exchanges: `E` is [`DynExchange`] of a blocking client and [`DynAsyncExchange`]
/// of an async one.
pub struct Transport<E> {
    given: Option<E>,
    /// The first is the innermost.
    middleware: Vec<Wrap<E>>,
}

impl<E> Transport<E> {
    /// Nothing but this exchange.
    pub fn of(exchange: E) -> Self {
        Self { given: Some(exchange), ..Self::default() }
    }

    /// Makes exchanges with this one in place of an HTTP stack; what is around it stays.
    pub(crate) fn give(&mut self, exchange: E) {
        self.given = Some(exchange);
    }

    /// Puts one closest to the HTTP stack.
    pub(crate) fn wrap_innermost(&mut self, wrap: impl FnOnce(E) -> E + Send + Sync + 'static) {
        self.middleware.insert(0, Box::new(wrap));
    }

    /// Puts one more around it.
    pub(crate) fn wrap(&mut self, wrap: impl FnOnce(E) -> E + Send + Sync + 'static) {
        self.middleware.push(Box::new(wrap));
    }

    /// Whether the caller brings the HTTP stack.
    pub fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Whether the client's own HTTP stack makes its exchanges, and nothing is around it.
    pub fn is_plain(&self) -> bool {
        !self.is_given() && self.middleware.is_empty()
    }

    /// The whole exchange: the middleware around the caller's stack, or around the client's own, which is
    /// made only then.
    ///
    /// # Errors
    ///
    /// What the making of the client's own stack has.
    pub fn over(self, own: impl FnOnce() -> Result<E, Error>) -> Result<E, Error> {
        let inner = self.given.map_or_else(own, Ok)?;
        Ok(self.middleware.into_iter().fold(inner, |inner, wrap| wrap(inner)))
    }
}

impl<E> Default for Transport<E> {
    fn default() -> Self {
        Self { given: None, middleware: Vec::new() }
    }
}

impl<E> fmt::Debug for Transport<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("given", &self.is_given())
            .field("middleware", &self.middleware.len())
            .finish()
    }
}
