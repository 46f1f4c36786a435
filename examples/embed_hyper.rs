//! The core on an HTTP stack of one's own, async: bare hyper. `cargo run --example embed_hyper`.
//!
//! A transport answers one question truthfully: can the request have left this machine? In doubt it
//! has, and what may have been paid for is not sent again. It says so in an `Answer`; the `Endpoint`
//! makes the result of it, from which the core keeps the key out of everything it tells.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use effects_client::fresh_seed;
use effects_core::{
    Answer, ApiKey, AsyncClock, AsyncTransport, BaseUrl, Call, CallResult, EffectRequest, Endpoint,
    NoJournal, Policy, Run, Size, Template, Told, drive_on_async,
};
use effects_emulator::Emulator;
use effects_reqwest::TokioClock;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

struct Hyper(Endpoint, Client<HttpConnector, Full<Bytes>>);

#[async_trait]
impl AsyncTransport for Hyper {
    async fn send(&self, call: &Call) -> CallResult {
        let request = self.0.request(call).map(Full::new);
        let exchange = async {
            let response = match self.1.request(request).await {
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
        let limited = tokio::time::timeout(call.timeout, exchange);
        self.0.result(limited.await.unwrap_or_else(|_| Answer::Lost("timed out".to_owned())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = Emulator::start()?;
    let base = BaseUrl::parse(gateway.base_url(), false)?;
    let endpoint = Endpoint::new(base, ApiKey::new(gateway.api_key())?);
    let transport = Hyper(endpoint, Client::builder(TokioExecutor::new()).build_http());
    let clock = TokioClock::default();

    let request = EffectRequest::new(Template::GlassBall, PHOTO)?.sized(Size::new(512, 512))?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), fresh_seed()?, clock.now());
    let outcome = loop {
        match drive_on_async(&mut run, &transport, &clock, &NoJournal).await? {
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
