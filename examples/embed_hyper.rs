//! The core on an HTTP stack of one's own, async: bare hyper. `cargo run --example embed_hyper`.
//!
//! An HTTP stack answers one question truthfully: can the request have left this machine? In doubt it
//! has, and what may have been paid for is not sent again. It says so in an `Answer`; the `Gateway`
//! adds the key to each request, and keeps it out of everything that is told. On a single thread the
//! future need not be `Send`.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::fresh_seed;
use effects_core::{
    Answer, ApiKey, AsyncClock, AsyncExchange, BaseUrl, EffectRequest, Endpoint, Gateway,
    NoJournal, Policy, Run, Size, Template, Told, drive_on_async,
};
use effects_emulator::Emulator;
use effects_reqwest::TokioClock;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

struct Hyper(Client<HttpConnector, Full<Bytes>>);

impl AsyncExchange for Hyper {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        let exchange = async move {
            let response = match self.0.request(request.map(Full::new)).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Answer::NotSent(error.to_string()),
                Err(error) => return Answer::Lost(error.to_string()),
            };
            let (parts, body) = response.into_parts();
            match body.collect().await {
                Ok(body) => Answer::Answered {
                    status: parts.status,
                    headers: parts.headers,
                    body: body.to_bytes(),
                },
                Err(error) => Answer::Lost(error.to_string()),
            }
        };
        Box::pin(async move {
            let limited = tokio::time::timeout(limit, exchange);
            limited.await.unwrap_or_else(|_| Answer::Lost("timed out".to_owned()))
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::start()?;
    let base = BaseUrl::parse(emulator.base_url(), false)?;
    let endpoint = Endpoint::new(base, ApiKey::new(emulator.api_key())?);
    let gateway = Gateway::new(endpoint, Hyper(Client::builder(TokioExecutor::new()).build_http()));
    let clock = TokioClock::default();

    let request = EffectRequest::new(Template::GlassBall, PHOTO)?.sized(Size::new(512, 512))?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), fresh_seed()?, clock.now());
    let outcome = loop {
        match drive_on_async(&mut run, &gateway, &clock, &NoJournal).await? {
            Told::Event(event) => println!("{event}"),
            Told::Done(outcome) => break outcome,
        }
    };
    println!("{}", outcome.into_result()?.pictures[0].url);
    Ok(())
}

/// Sixteen pixels, inside a URL: this machine's gateway takes that.
const PHOTO: &str = concat!(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAM0lEQVR42g3J",
    "MQEAMAgDQeQghzkzIl5O5EQEYtpbrzra4OhCtVnL5qxqtGB0/Bl25OFGD33SF3EmY4x+AAAAAElFTkSuQmCC",
);
