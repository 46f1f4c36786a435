//! The async `Client` over a reqwest client of one's own (`OwnClient`, an `AsyncExchange`), with its
//! proxies, certificates and DNS. For programs that have set reqwest up already:
//! `cargo run --example own_client`.
//!
//! The same five decisions as in any HTTP stack: no redirect is followed with the key, nothing is repeated,
//! each submission leaves on a connection of its own, the time limit holds, and what may have left is not said
//! to be unsent.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use effects_core::gateway::{Answer, AsyncExchange};
use effects_emulator::Emulator;
use effects_reqwest::{Client, EffectRequest, Template, read_photo};
use http::Request;
use reqwest::redirect::Policy;

struct OwnClient(reqwest::Client);

impl AsyncExchange for OwnClient {
    type Exchanging<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Self::Exchanging<'_> {
        Box::pin(async move {
            let mut request = match reqwest::Request::try_from(request) {
                Ok(request) => request,
                Err(error) => return Answer::NotSent(error.to_string()),
            };
            *request.timeout_mut() = Some(limit);
            let mut response = match self.0.execute(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Answer::NotSent(error.to_string()),
                Err(error) => return Answer::Lost(error.to_string()),
            };
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            let mut body = Vec::new();
            loop {
                match response.chunk().await {
                    Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                    Ok(None) => return Answer::Answered { status, headers, body: body.into() },
                    // What came of it may hold the id of a task.
                    Err(error) => {
                        let (body, reason) = (body.into(), error.to_string());
                        return Answer::BrokenOff { status, headers, body, reason };
                    }
                }
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Only since this workspace builds reqwest without a provider of TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = reqwest::Client::builder()
        // A redirect would take the key to wherever it leads.
        .redirect(Policy::none())
        // reqwest repeats some requests by itself, and a submission costs money.
        .retry(reqwest::retry::never())
        // A kept connection may be closed under a submission, whose fate is unknown then.
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(5))
        .user_agent("my-program/1.0")
        .build()?;
    let gateway = Emulator::start()?;
    let client = Client::builder()
        .base_url(gateway.base_url())
        .api_key(gateway.api_key())
        .exchange(OwnClient(own))
        .build()?;
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("chelsea.png");
    let photo = client.upload(&read_photo(&photo)?).await?;
    let effect = client.run(EffectRequest::new(Template::GlassBall, photo.as_str())?).await?;
    println!("{} bytes", client.fetch(&effect.pictures[0]).await?.len());
    Ok(())
}
