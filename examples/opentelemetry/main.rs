//! Spans of OpenTelemetry: from a client's `tracing` one for each task and in it one for the wait; in
//! these, made by `HttpSpans` (an `ExchangeObserver`), one for each exchange with the gateway by the
//! conventions for HTTP clients. For programs that are traced: `cargo run` in this folder.
//!
//! It runs against a gateway on this machine and prints the spans. Against a collector, use the exporter
//! of `opentelemetry-otlp` in place of that of `opentelemetry-stdout`, and `Client::from_env()?` for the
//! service.

use std::error::Error;
use std::time::Duration;

use effects_emulator::{Emulator, Pictures};
use effects_ureq::{
    Client, EffectRequest, ExchangeObserver, ObserveEnd, Pace, RequestExcerpt, Template,
};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> Result<(), Box<dyn Error>> {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
        .build();
    global::set_tracer_provider(provider.clone());

    // The clients' own spans, but for those of exchanges, which the observer makes.
    let ours = filter_fn(|metadata| {
        metadata.target().starts_with("effects")
            && !["submit", "poll", "upload"].contains(&metadata.name())
    });
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("effects"));
    tracing_subscriber::registry().with(spans.with_filter(ours)).init();

    // It fetches no photo and paints nothing.
    let gateway = Emulator::builder().pictures(Pictures::Stub).start()?;
    let client = Client::builder()
        .base_url(gateway.base_url())
        .api_key(gateway.api_key())
        .pace(Pace::fixed(Duration::from_millis(200)))
        .on_exchange(HttpSpans)
        .build()?;
    let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
    let effect = client.run(request)?;
    println!("task {} cost {:?} USD", effect.task_id, effect.usage.cost);
    provider.shutdown()?;
    Ok(())
}

/// Makes a span of each exchange, inside the span that is current.
struct HttpSpans;

impl ExchangeObserver for HttpSpans {
    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
        let tracer = global::tracer("effects");
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method.to_string()),
            KeyValue::new("url.full", request.url.clone()),
        ];
        let mut template = "{path}".to_owned();
        if let Some(task) = &request.task_id {
            attributes.push(KeyValue::new("effects.task_id", task.to_string()));
            let looks = "/model/v1/generation/task/{task_id}";
            template = if request.is_download { "{picture}" } else { looks }.to_owned();
        } else if request.is_submission() {
            template = "/model/v1/generation".to_owned();
        }
        let mut span = tracer
            .span_builder(format!("{} {template}", request.method))
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start_with_context(&tracer, &tracing::Span::current().context());
        Some(Box::new(move |result| {
            if let Some(response) = result.response() {
                let status = i64::from(response.status);
                span.set_attribute(KeyValue::new("http.response.status_code", status));
            }
            if let Err(error) = result.arrived() {
                let kind =
                    error.status().map_or("_OTHER".to_owned(), |status| status.to_string());
                span.set_attribute(KeyValue::new("error.type", kind));
                span.set_status(Status::error(error.to_string()));
            }
            span.end();
        }))
    }
}
