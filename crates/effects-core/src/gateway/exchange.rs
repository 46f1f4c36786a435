//! [`Exchange`]: sends one request over an HTTP library and reports the answer, blocking; [`AsyncExchange`]
//! does so without blocking. `UreqExchange` and `ReqwestExchange`, cassettes, middleware, the scripted
//! service of `effects-testkit` and callers' own HTTP stacks implement them. [`Gateway`] joins one with an
//! [`Endpoint`] and sends calls, once more with a new key after a 401: for the loops in `driver`, both
//! clients, `effects doctor`, the testkit and programs that embed the core.
//!
//! Another HTTP library is one method. The gateway authorises a request before the stack gets it, and
//! takes the key out of what is kept of its answer, so that neither can be forgotten.
//!
//! [`DynExchange`] and [`DynAsyncExchange`] hold one of any type; the clients' builders take such a one in
//! place of their own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::{Answer, Call, CallResult};
use crate::gateway::endpoint::Endpoint;
use crate::gateway::key_ring::refuses_the_key;
use crate::task_id::TaskId;

/// Makes HTTP exchanges, blocking the thread.
///
/// It sends the request as it is, answers within `limit`, follows no redirect, repeats nothing, and
/// says truthfully whether the request can have left this machine: in doubt, it has. A request with
/// [`FreshConnection`](crate::gateway::FreshConnection) among its extensions leaves on a connection
/// that carried none before. One with [`FetchOptions`](crate::gateway::FetchOptions) fetches a picture:
/// it carries no key, its answer may be long, and its redirects may be followed or handed back.
pub trait Exchange {
    /// Makes one exchange.
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer;
}

/// Makes HTTP exchanges without blocking; otherwise like [`Exchange`].
///
/// The future is of the stack's own type: one that is `Send` makes the drivers' futures `Send`, and in
/// a single-threaded program it need not be.
pub trait AsyncExchange {
    /// An exchange under way.
    type Exchanging<'a>: Future<Output = Answer> + 'a
    where
        Self: 'a;

    /// Makes one exchange.
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_>;

    /// Does something that may block: asks for another key. Here and now, unless the stack has a thread for it.
    fn block(&self, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        work();
        Box::pin(std::future::ready(()))
    }
}

impl<X: Exchange + ?Sized> Exchange for &X {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        (**self).exchange(request, limit)
    }
}

/// An [`Exchange`] of any type. Cloning it shares it.
#[derive(Clone)]
pub struct DynExchange(Arc<dyn Exchange + Send + Sync>);

impl DynExchange {
    /// Holds this one.
    pub fn new(exchange: impl Exchange + Send + Sync + 'static) -> Self {
        Self(Arc::new(exchange))
    }
}

impl Exchange for DynExchange {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        self.0.exchange(request, limit)
    }
}

impl fmt::Debug for DynExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynExchange(…)")
    }
}

/// An [`AsyncExchange`] of any type whose futures are `Send`. Cloning it shares it.
#[derive(Clone)]
pub struct DynAsyncExchange(Arc<dyn BoxedExchange + Send + Sync>);

impl DynAsyncExchange {
    /// Holds this one.
    pub fn new<X>(exchange: X) -> Self
    where
        X: AsyncExchange + Send + Sync + 'static,
        for<'a> X::Exchanging<'a>: Send,
    {
        Self(Arc::new(exchange))
    }
}

impl AsyncExchange for DynAsyncExchange {
    type Exchanging<'a> = BoxedAnswer<'a>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        self.0.boxed_exchange(request, limit)
    }

    fn block(&self, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.boxed_block(work)
    }
}

impl fmt::Debug for DynAsyncExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynAsyncExchange(…)")
    }
}

/// An answer to come, of whichever HTTP stack.
type BoxedAnswer<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// [`AsyncExchange`] without its type of futures, which no trait object can have.
trait BoxedExchange {
    fn boxed_exchange(&self, request: Request<Bytes>, limit: Duration) -> BoxedAnswer<'_>;
    fn boxed_block(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<X> BoxedExchange for X
where
    X: AsyncExchange,
    for<'a> X::Exchanging<'a>: Send,
{
    fn boxed_exchange(&self, request: Request<Bytes>, limit: Duration) -> BoxedAnswer<'_> {
        Box::pin(self.exchange(request, limit))
    }

    fn boxed_block(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.block(work)
    }
}

/// A gateway as a driver reaches it: where it is, with its key, and the HTTP stack.
///
/// ```
/// use std::time::Duration;
/// use effects_core::{ApiKey, BaseUrl, Task, Time};
/// use effects_core::gateway::{Answer, Call, Endpoint, Exchange, Gateway};
/// use http::{HeaderMap, Request, StatusCode};
///
/// struct Canned;
///
/// impl Exchange for Canned {
///     fn exchange(&self, request: Request<bytes::Bytes>, _limit: Duration) -> Answer {
///         assert_eq!(request.headers()["authorization"], "Bearer key-of-the-account");
///         let body = br#"{"id":"t-1","status":"in_progress"}"#.as_slice().into();
///         Answer::Answered { status: StatusCode::OK, headers: HeaderMap::new(), body }
///     }
/// }
///
/// let endpoint = Endpoint::new(BaseUrl::parse(BaseUrl::DEFAULT, false)?, ApiKey::new("key-of-the-account")?);
/// let gateway = Gateway::new(endpoint, Canned);
/// let look = Call::look("t-1".parse()?, Duration::from_secs(10), Time::from_millis(0));
/// let task = Task::read(&"t-1".parse()?, gateway.endpoint().base(), &gateway.call(&look))?;
/// assert_eq!(task.status.unwrap().to_string(), "in_progress");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gateway<X> {
    endpoint: Arc<Endpoint>,
    stack: X,
}

impl<X> Gateway<X> {
    /// The gateway at this endpoint, over this HTTP stack.
    pub fn new(endpoint: Endpoint, stack: X) -> Self {
        Self { endpoint: Arc::new(endpoint), stack }
    }

    /// The same gateway over another stack.
    pub fn over<Y>(&self, stack: Y) -> Gateway<Y> {
        Gateway { endpoint: Arc::clone(&self.endpoint), stack }
    }

    /// Where it is, and its key.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The HTTP stack.
    pub fn stack(&self) -> &X {
        &self.stack
    }

    /// The command line that resumes watching a task there.
    pub fn resume_line(&self, task: &TaskId) -> String {
        self.endpoint.resume_line(task)
    }
}

impl<X: Exchange> Gateway<X> {
    /// Makes the exchange of a call.
    pub fn call(&self, call: &Call) -> CallResult {
        self.exchange_about(call.task(), self.endpoint.request(call), call.timeout)
    }

    /// Makes an exchange of no run: an upload's. Where the key is refused and another one is to be had, the
    /// request is sent once more with that.
    pub fn exchange(&self, request: Request<Bytes>, limit: Duration) -> CallResult {
        self.exchange_about(None, request, limit)
    }

    fn exchange_about(
        &self,
        task: Option<&TaskId>,
        request: Request<Bytes>,
        limit: Duration,
    ) -> CallResult {
        let keys = self.endpoint.keys();
        // The stack takes the request, so a copy stays here where there may be another key; a copy shares its
        // body.
        let again = keys.now().map(|began| (began, request.clone()));
        let sent = keys.sent_with(request.headers());
        let result = self.observed(task, sent.key.clone(), request, limit);
        // Such a 401 made no task, so that a submission may go once more; only once, since a source
        // may give wrong keys for ever.
        let Some((began, mut again)) = again.filter(|_| refuses_the_key(&result)) else {
            return result;
        };
        keys.ask_again(&sent);
        match keys.time_left(began, limit) {
            Some(left) if keys.renew(again.headers_mut(), &sent) => {
                self.observed(task, keys.current_key(), again, left)
            }
            _ => result,
        }
    }

    /// Makes one exchange with this key, and tells the endpoint's observer.
    fn observed(
        &self,
        task: Option<&TaskId>,
        key: ApiKey,
        request: Request<Bytes>,
        limit: Duration,
    ) -> CallResult {
        let observe = self.endpoint.begins(&request, task);
        let result = self.endpoint.result_for(key, self.stack.exchange(request, limit));
        if let Some(observe) = observe {
            observe(&result);
        }
        result
    }
}

impl<X: AsyncExchange> Gateway<X> {
    /// Makes the exchange of a call, without blocking.
    pub async fn call_async(&self, call: &Call) -> CallResult {
        self.exchange_about_async(call.task(), self.endpoint.request(call), call.timeout).await
    }

    /// Makes an exchange of no run, without blocking: an upload's. Where the key is refused and another one is
    /// to be had, the request is sent once more with that.
    pub async fn exchange_async(&self, request: Request<Bytes>, limit: Duration) -> CallResult {
        self.exchange_about_async(None, request, limit).await
    }

    async fn exchange_about_async(
        &self,
        task: Option<&TaskId>,
        request: Request<Bytes>,
        limit: Duration,
    ) -> CallResult {
        let keys = self.endpoint.keys();
        let again = keys.now().map(|began| (began, request.clone()));
        let sent = keys.sent_with(request.headers());
        let result = self.observed_async(task, sent.key.clone(), request, limit).await;
        let Some((began, mut again)) = again.filter(|_| refuses_the_key(&result)) else {
            return result;
        };
        // The source may be a program or a vault that takes its time, so it is not asked on the
        // runtime's thread.
        let (keys_there, refused) = (keys.clone(), sent.clone());
        self.stack.block(Box::new(move || keys_there.ask_again(&refused))).await;
        match keys.time_left(began, limit) {
            Some(left) if keys.renew(again.headers_mut(), &sent) => {
                self.observed_async(task, keys.current_key(), again, left).await
            }
            _ => result,
        }
    }

    /// Makes one exchange with this key, and tells the endpoint's observer.
    async fn observed_async(
        &self,
        task: Option<&TaskId>,
        key: ApiKey,
        request: Request<Bytes>,
        limit: Duration,
    ) -> CallResult {
        let observe = self.endpoint.begins(&request, task);
        let result = self.endpoint.result_for(key, self.stack.exchange(request, limit).await);
        if let Some(observe) = observe {
            observe(&result);
        }
        result
    }
}
