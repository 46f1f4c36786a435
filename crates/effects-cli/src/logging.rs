//! [`start`]: prints on stderr what the libraries report to `tracing`: a log with `-v`, their warnings
//! alone without it, and nothing with `--quiet`. No key is in it. `commands::main` calls it.

use std::env::VarError;
use std::fmt::Debug;

use effects_client::telemetry::WARNINGS;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::live_line::write_above;
use crate::output::{LogLines, write_stderr};

/// Logs from here on if `-v` was given, and warns otherwise, unless that is to be quiet.
pub(crate) fn start(verbose: u8, quiet: bool) {
    if verbose == 0 {
        if !quiet {
            let warnings = Warnings.with_filter(Targets::new().with_target(WARNINGS, Level::WARN));
            // There is no other subscriber in this process.
            let _ = tracing_subscriber::registry().with(warnings).try_init();
        }
        return;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| LogLines)
        // Colours would not survive `LogLines`, which escapes what a terminal obeys.
        .with_ansi(false)
        .with_filter(filter(verbose));
    // There is no other subscriber in this process.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

fn filter(verbose: u8) -> Targets {
    match std::env::var("RUST_LOG") {
        Ok(wish) if !wish.trim().is_empty() => match wish.parse() {
            Ok(targets) => return targets,
            Err(error) => {
                write_stderr(&format!("RUST_LOG is not understood ({error}); -v is used"));
            }
        },
        Err(error @ VarError::NotUnicode(_)) => {
            write_stderr(&format!("RUST_LOG is not understood ({error}); -v is used"));
        }
        Ok(_) | Err(VarError::NotPresent) => {}
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

/// Prints each warning on stderr, as a line for a person.
struct Warnings;

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut MessageWriter);
    }
}

struct MessageWriter;

impl Visit for MessageWriter {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write_above(&format!("warning: {value:?}"));
        }
    }
}
