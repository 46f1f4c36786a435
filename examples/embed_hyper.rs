//! The core's `Run` on an HTTP stack of one's own, async: `Hyper`, which makes bare hyper an
//! `AsyncExchange`. For programs that cannot use reqwest: `cargo run --example embed_hyper`.
//!
//! An HTTP stack answers one question truthfully: can the request have left this machine? In doubt it
//! has, and what may have been paid for is not sent again. It says so in an `Answer`; the `Gateway`
//! adds the key to each request, and keeps it out of everything that is told. On a single thread the
//! future need not be `Send`.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use effects_client::fresh_seed;
use effects_core::driver::{AsyncClock, Driven, drive_on_async};
use effects_core::gateway::{Answer, AsyncExchange, Endpoint, Gateway};
use effects_core::journal::NoJournal;
use effects_core::{ApiKey, BaseUrl, EffectRequest, Policy, Run, Size, Template};
use effects_emulator::Emulator;
use effects_reqwest::TokioClock;
use http::Request;
use http::response::Parts;
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
                // No connection, so nothing left. Any other error may have come after
                // the request was written.
                Err(error) if error.is_connect() => return Answer::NotSent(error.to_string()),
                Err(error) => return Answer::Lost(error.to_string()),
            };
            let (Parts { status, headers, .. }, mut body) = response.into_parts();
            let mut bytes = BytesMut::new();
            while let Some(frame) = body.frame().await {
                match frame {
                    // Trailers hold nothing.
                    Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    // What came of it may hold the id of a task.
                    Err(error) => {
                        let (body, reason) = (bytes.freeze(), error.to_string());
                        return Answer::BrokenOff { status, headers, body, reason };
                    }
                }
            }
            Answer::Answered { status, headers, body: bytes.freeze() }
        };
        Box::pin(async move {
            let limited = tokio::time::timeout(limit, exchange);
            // The request may have left by then.
            limited.await.unwrap_or_else(|_| Answer::Lost("timed out".to_owned()))
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::start()?;
    let base = BaseUrl::parse(emulator.base_url(), false)?;
    let endpoint = Endpoint::new(base, ApiKey::new(emulator.api_key())?);
    // No connection is kept, so each submission leaves on a fresh one.
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let gateway = Gateway::new(endpoint, Hyper(client));
    let clock = TokioClock::default();

    let request = EffectRequest::new(Template::GlassBall, PHOTO)?.sized(Size::new(512, 512))?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), fresh_seed()?, clock.now());
    let outcome = loop {
        match drive_on_async(&mut run, &gateway, &clock, &NoJournal).await? {
            Driven::Event(event) => println!("{event}"),
            Driven::Done(outcome) => break outcome,
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
