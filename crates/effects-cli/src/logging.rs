//! `-v`: what the libraries tell `tracing`, on stderr. Keys never reach it.

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output::{LogLines, say};

/// Logs from here on, if `-v` was given.
pub(crate) fn start(verbose: u8) {
    if verbose == 0 {
        return;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| LogLines)
        .with_ansi(false)
        .with_filter(filter(verbose));
    // There is no other subscriber in this process.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

fn filter(verbose: u8) -> Targets {
    match std::env::var("RUST_LOG") {
        Ok(wish) if !wish.trim().is_empty() => match wish.parse() {
            Ok(targets) => return targets,
            Err(error) => say(&format!("RUST_LOG is not understood ({error}); -v is used")),
        },
        _ => {}
    }
    match verbose {
        1 => ours(Level::INFO),
        2 => ours(Level::DEBUG),
        _ => Targets::new().with_default(Level::TRACE),
    }
}

fn ours(level: Level) -> Targets {
    ["effects", "effects_client", "effects_core", "effects_emulator", "effects_ureq"]
        .into_iter()
        .fold(Targets::new(), |targets, target| targets.with_target(target, level))
}
