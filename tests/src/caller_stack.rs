//! [`CallerStack`] and [`WithMiddleware`]: [`Face`]s of the Rust clients with an HTTP stack that is not
//! quite their own: a plain ureq agent or reqwest client that the program brings, or the client's own
//! stack with middleware around it that passes everything on. `tests/all/conformance.rs` plays scenarios
//! with both.

use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use effects_core::gateway::{
    Answer, AsyncExchange, DynAsyncExchange, DynExchange, Exchange, FetchOptions,
};
use http::{Method, Request};

use crate::asynchronous::Async;
use crate::blocking::Blocking;
use crate::face::{ClientSetup, Ended, Face, FaceEvent, FaceJob, Style};

/// A client over an HTTP stack of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct CallerStack<F>(pub F);

/// A client with middleware around its own HTTP stack.
#[derive(Clone, Copy, Debug)]
pub struct WithMiddleware<F>(pub F);

impl Face for CallerStack<Blocking> {
    fn name(&self) -> String {
        format!("{} over ureq of the caller's", self.0.name())
    }

    fn style(&self) -> Style {
        self.0.style()
    }

    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        let builder = setup.builder_without_connections();
        self.0.run_with(builder.map(|builder| builder.exchange(PlainUreq::new(setup))), job, report)
    }
}

impl Face for CallerStack<Async> {
    fn name(&self) -> String {
        format!("{} over reqwest of the caller's", self.0.name())
    }

    fn style(&self) -> Style {
        self.0.style()
    }

    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        let builder = setup.builder_without_connections();
        self.0.run_with(
            builder.map(|builder| builder.exchange(PlainReqwest::new(setup))),
            job,
            report,
        )
    }
}

impl Face for WithMiddleware<Blocking> {
    fn name(&self) -> String {
        format!("{} with middleware", self.0.name())
    }

    fn style(&self) -> Style {
        self.0.style()
    }

    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        self.0.run_with(setup.builder().map(|builder| builder.middleware(PassThrough)), job, report)
    }
}

impl Face for WithMiddleware<Async> {
    fn name(&self) -> String {
        format!("{} with middleware", self.0.name())
    }

    fn style(&self) -> Style {
        self.0.style()
    }

    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        self.0.run_with(setup.builder().map(|builder| builder.middleware(PassThrough)), job, report)
    }
}

/// Passes everything on.
struct PassThrough<E>(E);

impl Exchange for PassThrough<DynExchange> {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        self.0.exchange(request, limit)
    }
}

impl AsyncExchange for PassThrough<DynAsyncExchange> {
    type Exchanging<'a> = <DynAsyncExchange as AsyncExchange>::Exchanging<'a>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        self.0.exchange(request, limit)
    }
}

/// ureq as it comes. It does not say whether a request that failed had left, so in doubt it is lost: without
/// what the client does to know more, it passes no list of submissions that fail.
struct PlainUreq(ureq::Agent);

impl PlainUreq {
    fn new(setup: &ClientSetup) -> Self {
        let config = ureq::Agent::config_builder()
            // A status is an answer, which the core reads, and redirects are the core's to judge.
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A kept connection that the server gives up at that moment would leave a
            // submission in doubt.
            .max_idle_connections(0)
            .timeout_connect(Some(connect_timeout(setup)))
            // The machine's own proxy settings must not matter to a test.
            .proxy(None)
            .build();
        Self(config.new_agent())
    }
}

impl Exchange for PlainUreq {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let sent = if request.method() == Method::GET {
            let quiet = request.extensions().get::<FetchOptions>().map(|options| options.quiet);
            let request = self.0.configure_request(request.map(|_| ()));
            // A download may take long as long as bytes keep coming.
            let request = request.timeout_recv_response(quiet).timeout_per_read(quiet);
            self.0.run(request.timeout_global(Some(limit)).build())
        } else {
            let request = self.0.configure_request(request.map(Vec::from));
            self.0.run(request.timeout_global(Some(limit)).build())
        };
        // These three say that no connection stood; any other error may have come after
        // the request left.
        let mut response = match sent {
            Ok(response) => response,
            Err(ureq::Error::HostNotFound) => return Answer::NotSent("no such host".to_owned()),
            Err(error @ ureq::Error::Timeout(ureq::Timeout::Connect)) => {
                return Answer::NotSent(error.to_string());
            }
            Err(ureq::Error::Io(error)) if is_refused(&error) => {
                return Answer::NotSent(error.to_string());
            }
            Err(error) => return Answer::Lost(error.to_string()),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        match response.into_body().into_reader().read_to_end(&mut body) {
            Ok(_) => Answer::Answered { status, headers, body: body.into() },
            Err(error) => {
                let (body, reason) = (body.into(), error.to_string());
                Answer::BrokenOff { status, headers, body, reason }
            }
        }
    }
}

/// A connection that is still being made when the exchange's time is over would look like a lost answer.
fn connect_timeout(setup: &ClientSetup) -> Duration {
    setup.connect_timeout.min(setup.policy.request_timeout.mul_f64(0.9))
}

fn is_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionRefused
}

/// reqwest as it comes.
struct PlainReqwest(reqwest::Client);

impl PlainReqwest {
    fn new(setup: &ClientSetup) -> Self {
        // Where several TLS providers are compiled in, a program chooses one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // reqwest repeats some requests by itself otherwise, and a submission costs money.
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(connect_timeout(setup))
            .no_proxy();
        Self(client.build().expect("reqwest can be set up"))
    }
}

impl AsyncExchange for PlainReqwest {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        let options = request.extensions().get::<FetchOptions>();
        // What is no download may be silent for its whole time.
        let quiet = options.map_or(limit, |options| options.quiet);
        Box::pin(async move {
            let mut request = match reqwest::Request::try_from(request) {
                Ok(request) => request,
                Err(error) => return Answer::NotSent(error.to_string()),
            };
            *request.timeout_mut() = Some(limit);
            let executed = tokio::time::timeout(quiet, self.0.execute(request)).await;
            let Ok(executed) = executed else { return Answer::Lost("timed out".to_owned()) };
            let mut response = match executed {
                Ok(response) => response,
                // Only where no connection came about.
                Err(error) if error.is_connect() => return Answer::NotSent(error.to_string()),
                Err(error) => return Answer::Lost(error.to_string()),
            };
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            let mut body = Vec::new();
            loop {
                let chunk = tokio::time::timeout(quiet, response.chunk()).await;
                match chunk
                    .map_err(|error| error.to_string())
                    .and_then(|chunk| chunk.map_err(|error| error.to_string()))
                {
                    Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                    Ok(None) => return Answer::Answered { status, headers, body: body.into() },
                    Err(reason) => {
                        let body = body.into();
                        return Answer::BrokenOff { status, headers, body, reason };
                    }
                }
            }
        })
    }
}
