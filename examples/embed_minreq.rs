//! The core's `Run` on an HTTP stack of one's own, blocking: `Minreq`, which makes minreq an `Exchange`.
//! For programs that cannot use ureq: `cargo run --example embed_minreq`.
//!
//! An HTTP stack answers one question truthfully: can the request have left this machine? In doubt it
//! has, and what may have been paid for is not sent again. It says so in an `Answer`; the `Gateway`
//! adds the key to each request, and keeps it out of everything that is told.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{StoppableClock, Stopper, WallClock, fresh_seed};
use effects_core::driver::{Clock, drive};
use effects_core::gateway::{Answer, Endpoint, Exchange, Gateway};
use effects_core::journal::NoJournal;
use effects_core::{ApiKey, BaseUrl, EffectRequest, Policy, Run, Size, Template};
use effects_emulator::Emulator;
use http::Request;

struct Minreq;

impl Exchange for Minreq {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let method = minreq::Method::Custom(request.method().to_string());
        let mut sent = minreq::Request::new(method, request.uri().to_string())
            // minreq takes whole seconds, and 0 would be over at once.
            .with_timeout(limit.as_secs().max(1))
            // A redirect would take the key to wherever it leads.
            .with_follow_redirects(false)
            .with_body(request.body().to_vec());
        for (name, value) in request.headers() {
            sent = sent.with_header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        match sent.send() {
            Ok(response) => Answer::Answered {
                status: u16::try_from(response.status_code)
                    .ok()
                    .and_then(|status| http::StatusCode::from_u16(status).ok())
                    .unwrap_or_default(),
                headers: (&response.headers).try_into().unwrap_or_default(),
                body: response.into_bytes().into(),
            },
            // Only what certainly came before the connection is called not sent; every
            // other error is in doubt.
            Err(minreq::Error::AddressNotFound) => Answer::NotSent("no such name".to_owned()),
            Err(minreq::Error::IoError(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Answer::NotSent(error.to_string())
            }
            Err(error) => Answer::Lost(error.to_string()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::start()?;
    let base = BaseUrl::parse(emulator.base_url(), false)?;
    let endpoint = Endpoint::new(base, ApiKey::new(emulator.api_key())?);
    let gateway = Gateway::new(endpoint, Minreq);
    let clock = StoppableClock::new(Arc::new(WallClock::new()), Stopper::default());

    let request = EffectRequest::new(Template::MyWorld, PHOTO)?.sized(Size::new(512, 512))?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), fresh_seed()?, clock.now());
    let outcome = drive(&mut run, &gateway, &clock, &NoJournal, |event| println!("{event}"))?;
    println!("{}", outcome.into_result()?.pictures[0].url);
    Ok(())
}

/// Sixteen pixels, inside a URL: this machine's gateway takes that.
const PHOTO: &str = concat!(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAM0lEQVR42g3J",
    "MQEAMAgDQeQghzkzIl5O5EQEYtpbrzra4OhCtVnL5qxqtGB0/Bl25OFGD33SF3EmY4x+AAAAAElFTkSuQmCC",
);
