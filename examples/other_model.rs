//! A second model of the same gateway, in one file: `Upscale`, a type that makes a `Submission` for the
//! core's `Run`. For programs that buy from another model: `cargo run --example other_model`.
//!
//! A run knows of what it pays for only a body and a label for its pace. So a model is a type that
//! makes a `Submission`: submission, polling, money, journal and answers are the core's for it as they
//! are. Here the gateway is played in memory, since the one on this machine has no such model.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use effects_client::{StoppableClock, Stopper, WallClock, fresh_seed};
use effects_core::driver::{Clock, drive};
use effects_core::gateway::{Answer, Endpoint, Exchange, Gateway};
use effects_core::journal::NoJournal;
use effects_core::{ApiKey, BaseUrl, Pace, Policy, Run, Submission};
use http::{HeaderMap, Request, StatusCode};

/// What the model `example_upscale` is asked for: a picture, and how many times larger it is to be.
struct Upscale {
    image: String,
    factor: u8,
}

impl Upscale {
    /// Checked before anything is sent, as the model documents it.
    fn new(image: &str, factor: u8) -> Result<Self, String> {
        match factor {
            2 | 4 => Ok(Self { image: image.to_owned(), factor }),
            _ => Err(format!("factor {factor} is neither 2 nor 4")),
        }
    }
}

impl From<Upscale> for Submission {
    fn from(Upscale { image, factor }: Upscale) -> Self {
        let params = serde_json::json!({ "image_input1": image, "factor": factor });
        let body =
            serde_json::json!({ "model": "example_upscale", "input": [{ "params": params }] });
        // Tasks under one label share what is learnt of how long they take.
        let label = "example_upscale".parse().expect("a label has no white space");
        Self { body: body.to_string().into(), label }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "not sent: {}",
        Upscale::new("https://example.com/cat.jpg", 3).err().unwrap_or_default()
    );
    let request = Upscale::new("https://example.com/cat.jpg", 4)?;

    let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
    let endpoint = Endpoint::new(base, ApiKey::new("key-of-the-account")?);
    let gateway = Gateway::new(endpoint, Played::default());
    let clock = StoppableClock::new(Arc::new(WallClock::new()), Stopper::default());
    let policy = Policy { pace: Pace::fixed(Duration::from_millis(100)), ..Policy::default() };
    let mut run = Run::submit(request, Arc::new(policy), fresh_seed()?, clock.now());
    let outcome = drive(&mut run, &gateway, &clock, &NoJournal, |event| println!("{event}"))?;
    let effect = outcome.into_result()?;
    println!("{} for {:?} USD", effect.pictures[0].url, effect.usage.cost);
    Ok(())
}

/// A gateway that makes a task of each submission and completes it at the third look.
#[derive(Default)]
struct Played {
    looks: AtomicU32,
}

impl Exchange for Played {
    fn exchange(&self, request: Request<Bytes>, _limit: Duration) -> Answer {
        let body = match request.method().as_str() {
            "POST" => {
                println!("submitted: {}", String::from_utf8_lossy(request.body()));
                r#"{"id":"t-1","status":"in_progress"}"#
            }
            _ if self.looks.fetch_add(1, Ordering::SeqCst) < 2 => {
                r#"{"id":"t-1","status":"in_progress"}"#
            }
            _ => concat!(
                r#"{"id":"t-1","status":"completed","usage":{"cost":"0.08"},"output":[{"content":"#,
                r#"[{"type":"image","url":"https://example.com/large.png"}]}]}"#,
            ),
        };
        Answer::Answered { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() }
    }
}
