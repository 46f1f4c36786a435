//! The core on an HTTP stack of one's own, blocking: minreq. `cargo run --example embed_minreq`.
//!
//! A transport answers one question truthfully: can the request have left this machine? In doubt it
//! has, and what may have been paid for is not sent again. It says so in an `Answer`; the `Endpoint`
//! makes the result of it, from which the core keeps the key out of everything it tells.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;

use effects_client::{StoppableClock, Stopper, WallClock, fresh_seed};
use effects_core::{
    Answer, ApiKey, BaseUrl, Call, CallResult, Clock, EffectRequest, Endpoint, NoJournal, Policy,
    Run, Size, Template, Transport, drive,
};
use effects_emulator::Emulator;

struct Minreq(Endpoint);

impl Transport for Minreq {
    fn send(&self, call: &Call) -> CallResult {
        let request = self.0.request(call);
        let method = minreq::Method::Custom(request.method().to_string());
        let mut sent = minreq::Request::new(method, request.uri().to_string())
            .with_timeout(call.timeout.as_secs().max(1))
            .with_max_redirects(0)
            .with_body(request.body().to_vec());
        for (name, value) in request.headers() {
            sent = sent.with_header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        self.0.result(match sent.send() {
            Ok(response) => Answer::Answered {
                status: u16::try_from(response.status_code)
                    .ok()
                    .and_then(|status| http::StatusCode::from_u16(status).ok())
                    .unwrap_or_default(),
                headers: (&response.headers).try_into().unwrap_or_default(),
                body: response.into_bytes().into(),
            },
            Err(minreq::Error::AddressNotFound) => Answer::NotSent("no such name".to_owned()),
            Err(minreq::Error::IoError(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                Answer::NotSent(error.to_string())
            }
            Err(error) => Answer::Lost(error.to_string()),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let gateway = Emulator::start()?;
    let base = BaseUrl::parse(gateway.base_url(), false)?;
    let transport = Minreq(Endpoint::new(base, ApiKey::new(gateway.api_key())?));
    let clock = StoppableClock::new(Arc::new(WallClock::new()), Stopper::default());

    let request = EffectRequest::new(Template::MyWorld, PHOTO)?.sized(Size::new(512, 512))?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), fresh_seed()?, clock.now());
    let outcome = drive(&mut run, &transport, &clock, &NoJournal, |event| println!("{event}"))?;
    println!("{}", outcome.into_result()?.pictures[0].url);
    Ok(())
}

/// Sixteen pixels, inside a URL: this machine's gateway takes that.
const PHOTO: &str = concat!(
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAM0lEQVR42g3J",
    "MQEAMAgDQeQghzkzIl5O5EQEYtpbrzra4OhCtVnL5qxqtGB0/Bl25OFGD33SF3EmY4x+AAAAAElFTkSuQmCC",
);
