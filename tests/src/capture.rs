//! [`Capture`]: records everything that a test process logs with `tracing` or `log`, and each span with its
//! fields ([`SpanSeen`]). `tests/secrets.rs` looks for the key in it, `tests/spans.rs` checks the clients'
//! spans, and tests of warnings listen to their own thread.

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Everything that was logged so far, at every level, in every thread of the process.
#[derive(Clone, Debug, Default)]
pub struct Capture(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    spans: Vec<SpanSeen>,
}

/// A span that was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpanSeen {
    /// Its name.
    pub name: &'static str,
    /// The names of the spans around it, the outermost first.
    pub around: Vec<&'static str>,
    /// Its fields, those recorded later included.
    pub fields: String,
    id: u64,
}

impl Capture {
    /// Listens from here on, to the end of the process.
    ///
    /// # Errors
    ///
    /// When a listener is set already.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let capture = Self::default();
        let listener = Listener(capture.clone());
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(listener))?;
        log::set_boxed_logger(Box::new(Listener(capture.clone())))?;
        log::set_max_level(log::LevelFilter::Trace);
        Ok(capture)
    }

    /// Listens on this thread alone, until the guard is dropped; to `tracing` alone.
    #[must_use]
    pub fn on_this_thread() -> (Self, tracing::subscriber::DefaultGuard) {
        let capture = Self::default();
        let listener = Listener(capture.clone());
        let here = tracing_subscriber::registry().with(listener);
        (capture, tracing::subscriber::set_default(here))
    }

    /// Every event, with its target and its fields.
    pub fn lines(&self) -> Vec<String> {
        self.with(|log| log.lines.clone())
    }

    /// Every span, in the order in which they were opened.
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.with(|log| log.spans.clone())
    }

    /// Forgets what was logged so far.
    pub fn clear(&self) {
        self.with(|log| *log = Log::default());
    }

    fn with<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Listener(Capture);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = LogFields::default();
        attributes.record(&mut fields);
        let around = context.span_scope(id).map_or_else(Vec::new, |scope| {
            scope.from_root().map(|span| span.name()).collect::<Vec<_>>()
        });
        // The scope ends with the span itself.
        let (name, around) = match around.split_last() {
            Some((name, around)) => (*name, around.to_vec()),
            None => (attributes.metadata().name(), Vec::new()),
        };
        let seen = SpanSeen { name, around, fields: fields.0, id: id.into_u64() };
        self.0.with(|log| log.spans.push(seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut fields = LogFields::default();
        values.record(&mut fields);
        self.0.with(|log| {
            // An id is given again once its span is closed: the latest is meant.
            let span = log.spans.iter_mut().rev().find(|span| span.id == id.into_u64());
            if let Some(span) = span {
                span.fields.push_str(&fields.0);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = LogFields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = format!("{} {}:{}", metadata.level(), metadata.target(), fields.0);
        self.0.with(|log| log.lines.push(line));
    }
}

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        self.0.with(|log| log.lines.push(line));
    }

    fn flush(&self) {}
}

#[derive(Default)]
struct LogFields(String);

impl Visit for LogFields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into memory cannot fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
