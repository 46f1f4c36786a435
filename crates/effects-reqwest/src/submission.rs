//! [`Submitter`]: sends a request on a new connection of its own, and says truthfully whether it can
//! have left. `HttpClient` sends with it every request marked `FreshConnection`: submissions and
//! uploads.
//!
//! A connection that is kept may be closed by the gateway at the moment of the next request, and then
//! the fate of that request is not known: HTTP/1.1 has no way to tell, and HTTP/2 tells only where the
//! gateway closes in order. That costs nothing where a look is repeated, and a task in doubt where a
//! submission is lost. A new connection costs a round trip, two with TLS, and CPU time that
//! `tests/examples/bench_connections.rs` measures: at most four milliseconds a submission in an
//! unoptimised build, where a task takes seconds.
//!
//! This is hyper's client without a pool. reqwest cannot do it: it gives a connection up when the
//! request cannot be written to its end, with the gateway's answer to it (413, 401) unread.

use std::error::Error as StdError;
use std::io::Read;
use std::iter::successors;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use effects_client::{TimeToSend, certificate, time_to_read};
use effects_core::gateway::Answer;
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::connector::{BoxError, Connection, Connector};
use crate::error_description::describe;
use crate::kept_readable::CutShort;

/// Sends requests, each on a connection of its own.
#[derive(Debug)]
pub(crate) struct Submitter(Connector);

/// An exchange that failed.
enum ExchangeFailure {
    /// The request was never handed to a connection.
    BeforeSending(BoxError),
    /// It was, or a part of it.
    AfterSending(BoxError),
}

impl Submitter {
    pub(crate) fn new(connector: Connector) -> Self {
        Self(connector)
    }

    pub(crate) async fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        // Noted outside the future: a time limit drops that, and with it what it knows.
        let (mut is_sending, cut_short) = (false, CutShort::default());
        // One limit over connecting, sending and reading, as the machine counts it.
        let time = TimeToSend::begin(limit);
        let mut limit = TimeLimit { deadline: Instant::now() + limit, is_prolonged: false };
        let ended = limit.of(self.sent(request, time, &cut_short, &mut is_sending)).await;
        let failure = match ended {
            Ok(Ok(response)) => return read(response, limit).await,
            Ok(Err(failure)) => failure,
            // In doubt it has left: only what certainly did not is told as unsent.
            Err(_) if is_sending => ExchangeFailure::AfterSending(TIMED_OUT.into()),
            Err(_) => ExchangeFailure::BeforeSending(TIMED_OUT.into()),
        };
        match failure {
            ExchangeFailure::BeforeSending(error) => certificate::unsent(describe(&*error)),
            ExchangeFailure::AfterSending(error) if is_unprocessed(&*error) => {
                Answer::NotSent(format!("the gateway did nothing with it: {}", describe(&*error)))
            }
            ExchangeFailure::AfterSending(error) => certificate::lost(match cut_short.get() {
                Some(cut) => format!("the request was cut short ({cut}); {}", describe(&*error)),
                None => describe(&*error),
            }),
        }
    }

    /// Sends a request in its time; the answer's body is still to be read.
    async fn sent(
        &self,
        request: Request<Bytes>,
        time: TimeToSend,
        cut_short: &CutShort,
        is_sending: &mut bool,
    ) -> Result<Response<Incoming>, ExchangeFailure> {
        let connection = self.0.connect(request.uri(), cut_short).await;
        let connection = connection.map_err(ExchangeFailure::BeforeSending)?;
        let request = addressed(request, &connection).map_err(ExchangeFailure::BeforeSending)?;
        let is_http2 = connection.is_http2();
        let io = TokioIo::new(connection.stream);
        // Until the connection is ready for a request, nothing of one can have left. Where the process stood
        // still meanwhile, nothing leaves.
        let mut begin_sending = || {
            *is_sending = !time.is_over();
            is_sending.then_some(()).ok_or_else(|| ExchangeFailure::BeforeSending(TIMED_OUT.into()))
        };
        // The connection's task ends with it; what goes wrong there, the request is told.
        let sent = if is_http2 {
            let executor = TokioExecutor::new();
            let (mut sender, driver) = http2::handshake(executor, io).await.map_err(before)?;
            // hyper's connection makes progress only as a task of its own.
            tokio::spawn(driver);
            sender.ready().await.map_err(before)?;
            begin_sending()?;
            sender.try_send_request(request).await
        } else {
            let (mut sender, driver) = http1::handshake(io).await.map_err(before)?;
            tokio::spawn(driver);
            sender.ready().await.map_err(before)?;
            begin_sending()?;
            sender.try_send_request(request).await
        };
        sent.map_err(unsent)
    }
}

/// By when an exchange is to end. Once that is over, it has a little more, since the answer may lie in the
/// socket: all the more where the process stood still.
struct TimeLimit {
    deadline: Instant,
    is_prolonged: bool,
}

impl TimeLimit {
    async fn of<F: Future>(&mut self, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let ended = tokio::time::timeout_at(self.deadline, future.as_mut()).await;
        if ended.is_ok() || self.is_prolonged {
            return ended;
        }
        self.deadline = Instant::now() + time_to_read(self.deadline.elapsed());
        self.is_prolonged = true;
        tokio::time::timeout_at(self.deadline, future).await
    }
}

fn before(error: hyper::Error) -> ExchangeFailure {
    ExchangeFailure::BeforeSending(error.into())
}

/// A request that is given back was not begun.
fn unsent(mut error: TrySendError<Request<Full<Bytes>>>) -> ExchangeFailure {
    match error.take_message() {
        Some(_) => ExchangeFailure::BeforeSending(error.into_error().into()),
        None => ExchangeFailure::AfterSending(error.into_error().into()),
    }
}

/// Whether HTTP/2 says that the gateway did nothing with the request (RFC 9113, section 8.7): its
/// stream was refused, or lies beyond the last one that a GOAWAY names.
///
/// h2 gives a stream the error of a GOAWAY only if it lies beyond; the others go on, and end with
/// whatever ends the connection. Where a stream meets a GOAWAY as it is being opened, its body, and so
/// its end, was never handed over.
fn is_unprocessed(error: &(dyn StdError + 'static)) -> bool {
    successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<h2::Error>())
        .any(|error| {
            let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (error.is_go_away() || (error.is_reset() && is_refused))
        })
}

/// The request as this connection wants it: with a `Host`, and a target in origin form unless it is
/// HTTP/2 or a proxy's to forward.
fn addressed(
    request: Request<Bytes>,
    connection: &Connection,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let mut request = request.map(Full::new);
    if connection.is_http2() {
        return Ok(request);
    }
    let host = host(request.uri())?;
    request.headers_mut().entry(HOST).or_insert(host);
    // A proxy that forwards reads the whole URL, and no tunnel carried its credentials before.
    if let Some(authorization) = connection.forwarder() {
        let authorization = authorization.cloned();
        let headers = request.headers_mut();
        headers.extend(authorization.map(|value| (PROXY_AUTHORIZATION, value)));
        return Ok(request);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.unwrap_or(PathAndQuery::from_static("/")).into();
    Ok(request)
}

/// Host and port, unless the port is the scheme's own.
fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let host = uri.host().ok_or("the URL has no host")?;
    // As browsers and curl send it: without the port that the scheme has anyway.
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Ok(match uri.port_u16().filter(|port| *port != default) {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}"))?,
        None => HeaderValue::try_from(host)?,
    })
}

/// The answer. A body that breaks off, or does not end in time, is kept as far as it came: the id of a
/// task may be in it.
async fn read(response: Response<Incoming>, mut limit: TimeLimit) -> Answer {
    let (mut head, body) = response.into_parts();
    let mut body = pin!(Limited::new(body, MAX_ANSWER_BYTES));
    let mut bytes = BytesMut::new();
    // Read by hand, since collecting the body would drop what came before an error.
    let broken_off = loop {
        match limit.of(body.frame()).await {
            Err(_) => break Some(TIMED_OUT.to_owned()),
            Ok(None) => break None,
            Ok(Some(Err(error))) => break Some(describe(&*error)),
            Ok(Some(Ok(frame))) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    };
    let bytes = bytes.freeze();
    let unpacked = match broken_off {
        None => plain(&mut head.headers, bytes.clone()).map_err(|error| describe(&*error)),
        Some(reason) => Err(reason),
    };
    let (status, headers) = (head.status, head.headers);
    match unpacked {
        Ok(body) => Answer::Answered { status, headers, body },
        Err(reason) => Answer::BrokenOff { status, headers, body: bytes, reason },
    }
}

/// The body unpacked. No submission asks for gzip, but some servers send it unasked.
fn plain(headers: &mut HeaderMap, body: Bytes) -> Result<Bytes, BoxError> {
    if headers.get(CONTENT_ENCODING).is_none_or(|coding| coding != "gzip") || body.is_empty() {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let most = MAX_ANSWER_BYTES as u64;
    // A few kilobytes of gzip unpack to gigabytes: one byte more than the most is enough to know.
    MultiGzDecoder::new(&*body).take(most + 1).read_to_end(&mut plain)?;
    if plain.len() > MAX_ANSWER_BYTES {
        return Err(format!("an answer longer than {MAX_ANSWER_BYTES} bytes").into());
    }
    // Both tell of the packed body.
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(plain.into())
}

const TIMED_OUT: &str = "timed out";

/// No answer about a task is longer.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
