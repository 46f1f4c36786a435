//! Orders one picture with a client and says the task's id: `one_task CLIENT WAY URL`, with the client
//! `blocking` or `async` and the way `run` or `jobs`. `tests/all/stopped.rs` stops it at its work.

use std::env;
use std::error::Error;
use std::time::Duration;

use effects_core::{Effect, EffectRequest, Template};
use effects_jobs::JobOutcome;
use effects_tests::{KEY, PHOTO_URL, setup_at};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [client, way, url] = &words[..] else {
        return Err("usage: one_task CLIENT WAY URL".into());
    };
    let mut setup = setup_at(url, KEY);
    setup.policy.request_timeout = Duration::from_secs(3);
    let request = EffectRequest::new(Template::GlassBall, PHOTO_URL)?;
    let effect = match (client.as_str(), way.as_str()) {
        ("blocking", "run") => {
            let client: effects_ureq::Client = setup.builder()?.build()?;
            client.run(request)?
        }
        ("blocking", "jobs") => {
            let client: effects_ureq::Client = setup.builder()?.build()?;
            let result = client.jobs().run([request])?.next().ok_or("no result")?;
            picture_of(result.outcome)?
        }
        ("async", way) => {
            let client: effects_reqwest::Client = setup.builder()?.build()?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                if way == "run" {
                    return client.run(request).await.map_err(Into::into);
                }
                let result = client.jobs().run([request])?.next().await.ok_or("no result")?;
                picture_of(result.outcome)
            })?
        }
        _ => return Err(format!("no client {client:?} or way {way:?}").into()),
    };
    println!("{}", effect.task_id);
    Ok(())
}

fn picture_of(outcome: JobOutcome) -> Result<Effect, Box<dyn Error>> {
    match outcome {
        JobOutcome::Completed(effect) => Ok(*effect),
        other => Err(format!("{other:?}").into()),
    }
}
