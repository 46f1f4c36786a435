//! Middleware around a client's own HTTP stack (`ClientBuilder::middleware`): `Logged` prints each
//! exchange with its answer and how long it took. For programs that observe or change requests:
//! `cargo run --example middleware`.
//!
//! Submissions, looks, uploads and downloads all pass it. It sees the key in the `Authorization` header,
//! whose value prints as `Sensitive`.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_core::gateway::{Answer, DynExchange, Exchange};
use effects_emulator::Emulator;
use effects_ureq::{Client, EffectRequest, Template, read_photo};
use http::Request;

struct Logged(DynExchange);

impl Exchange for Logged {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let line = format!("{} {}", request.method(), request.uri().path());
        let begun = Instant::now();
        let answer = self.0.exchange(request, limit);
        println!("{line}: {answer:?} after {:?}", begun.elapsed());
        answer
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let gateway = Emulator::start()?;
    let client = Client::builder()
        .base_url(gateway.base_url())
        .api_key(gateway.api_key())
        .middleware(Logged)
        .build()?;
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("chelsea.png");
    let photo = client.upload(&read_photo(&photo)?)?;
    let effect = client.run(EffectRequest::new(Template::GlassBall, photo.as_str())?)?;
    println!("{} bytes", client.fetch(&effect.pictures[0])?.len());
    Ok(())
}
