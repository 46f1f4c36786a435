//! A photo into a glass ball with the blocking `Client` of `effects-ureq` (`upload`, `submit`, `wait`,
//! `download`). For programs without async: `cargo run --example blocking`.
//!
//! It runs against a gateway on this machine, so it needs no key and costs nothing. Against the
//! service it is `Client::from_env()?` instead.

use std::error::Error;
use std::path::Path;

use effects_emulator::Emulator;
use effects_ureq::{Client, EffectRequest, Size, Template, read_photo};

fn main() -> Result<(), Box<dyn Error>> {
    let gateway = Emulator::start()?;
    let client =
        Client::builder().base_url(gateway.base_url()).api_key(gateway.api_key()).build()?;

    // The service fetches a URL. This machine's gateway stores photos; elsewhere, say where.
    let photo = read_photo(&Path::new(env!("CARGO_MANIFEST_DIR")).join("chelsea.png"))?;
    let url = client.upload(&photo)?;

    // What is wrong with a request is known before anything is sent.
    let request = EffectRequest::new(Template::GlassBall, url.as_str())?;
    if let Err(error) = request.clone().sized(Size::new(4096, 512)) {
        println!("not sent: {error}");
    }

    // Submit, keep the id, follow the task, have the picture.
    let task = client.submit(request.sized(Size::new(768, 768))?)?;
    println!("task {} is paid for; it can be picked up again by its id", task.id());
    for event in task.events() {
        println!("{event}");
    }
    let effect = task.wait()?;
    let path = client.download(&effect.pictures[0], std::env::temp_dir().join("glass_ball.png"))?;
    println!("{} for {:?} USD", path.display(), effect.usage.cost);
    Ok(())
}
