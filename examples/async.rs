//! One photo through three templates at once with the async `Client` of `effects-reqwest` (`upload`,
//! `submit`, `wait`, `download`). For programs on tokio: `cargo run --example async`.
//!
//! It runs against a gateway on this machine, so it needs no key and costs nothing. Against the
//! service it is `Client::from_env()?` instead.

use std::error::Error;
use std::path::Path;

use effects_emulator::Emulator;
use effects_reqwest::{Client, EffectRequest, Size, Template, read_photo};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = Emulator::start()?;
    let client =
        Client::builder().base_url(gateway.base_url()).api_key(gateway.api_key()).build()?;
    let photo = read_photo(&Path::new(env!("CARGO_MANIFEST_DIR")).join("chelsea.png"))?;

    let mut tasks = Vec::new();
    for template in [Template::MyWorld, Template::GlassBall, Template::Felt3dPolaroid] {
        // The same photo is uploaded once.
        let url = client.upload(&photo).await?;
        let request = EffectRequest::new(template, url.as_str())?.sized(Size::new(512, 512))?;
        tasks.push(client.submit(request).await?);
    }

    for task in tasks {
        let mut events = task.events();
        while let Some(event) = events.next().await {
            println!("{event}");
        }
        // An error says what happened to the money, and how to go on.
        match task.wait().await {
            Err(error) => println!("{:?}: {error}", error.kind()),
            Ok(effect) => {
                let path = std::env::temp_dir().join(format!("{}.png", effect.task_id));
                let path = client.download(&effect.pictures[0], path).await?;
                println!("{} for {:?} USD", path.display(), effect.usage.cost);
            }
        }
    }
    Ok(())
}
