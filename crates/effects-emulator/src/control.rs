//! The control API under `/_emulator/`: what was seen, what is known, what comes next.
//!
//! It needs the emulator's own key, like everything that changes anything: pages of a browser on
//! this machine can reach loopback too.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use effects_core::MODEL;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::clock::ClockKind;
use crate::endpoint::Endpoint;
use crate::faults::{Fault, FaultPlan};
use crate::gateway::Gateway;
use crate::record::{Counts, SeenRequest};
use crate::seen::{self, SeenTask};
use crate::wire::refusal::Refusal;
use crate::wire::task::STAND_IN;

/// `GET /_emulator/`
pub(crate) async fn about(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(json!({
        "name": "effects-emulator",
        "version": env!("CARGO_PKG_VERSION"),
        "about": STAND_IN,
        "model": MODEL,
        "now": gateway.clock.now(),
        "clock": if gateway.options.clock == ClockKind::Virtual { "virtual" } else { "real" },
        "tasks": gateway.tasks.count(),
        "spent": gateway.purse.spent().to_string(),
        "price": gateway.cost(),
    }))
}

/// `GET /_emulator/requests`
pub(crate) async fn requests(
    State(gateway): State<Arc<Gateway>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<SeenRequest>>, Refusal> {
    let after = number(query.as_deref(), "after")?.unwrap_or(0);
    let limit = number(query.as_deref(), "limit")?.unwrap_or(u64::MAX);
    Ok(Json(gateway.requests(after, usize::try_from(limit).unwrap_or(usize::MAX))))
}

/// `GET /_emulator/tasks`
pub(crate) async fn tasks(
    State(gateway): State<Arc<Gateway>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<SeenTask>>, Refusal> {
    let limit = number(query.as_deref(), "limit")?.unwrap_or(1_000);
    Ok(Json(seen::tasks(&gateway, usize::try_from(limit).unwrap_or(usize::MAX))))
}

/// `GET /_emulator/counts`
pub(crate) async fn counts(State(gateway): State<Arc<Gateway>>) -> Json<Counts> {
    Json(gateway.record.counts())
}

/// `POST /_emulator/next`
pub(crate) async fn next(
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let Next { on, faults } = read(&body)?;
    let faults = faults.iter().map(|fault| fault.as_ref().map(Fault::read).transpose());
    let faults: Vec<Option<Fault>> = faults
        .collect::<Result<_, _>>()
        .map_err(|why| Refusal::bad_request(format!("faults: {why}")))?;
    gateway.faults.script(on, faults).map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /_emulator/faults`
pub(crate) async fn plan(State(gateway): State<Arc<Gateway>>) -> Json<FaultPlan> {
    Json(FaultPlan::clone(&gateway.faults.plan()))
}

/// `PUT /_emulator/faults`
pub(crate) async fn follow(
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let plan: FaultPlan = read(&body)?;
    plan.check().map_err(|error| Refusal::bad_request(error.to_string()))?;
    gateway.faults.follow(plan);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /_emulator/clock/advance`
pub(crate) async fn advance(
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Advance { seconds } = read(&body)?;
    let by = Duration::try_from_secs_f64(seconds)
        .map_err(|_| Refusal::bad_request("seconds: it is no span of time"))?;
    let now = gateway.advance(by).await;
    let real = |error| Refusal::new(StatusCode::CONFLICT, "CONFLICT", format!("{error}"));
    Ok(Json(json!({"now": now.map_err(real)?})))
}

/// `POST /_emulator/reset`
pub(crate) async fn reset(State(gateway): State<Arc<Gateway>>) -> StatusCode {
    gateway.reset();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    #[serde(default = "create")]
    on: Endpoint,
    faults: Vec<Option<Map<String, Value>>>,
}

fn create() -> Endpoint {
    Endpoint::Create
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("the body: {error}")))
}

fn number(query: Option<&str>, name: &str) -> Result<Option<u64>, Refusal> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.find(|(key, _)| *key == name) else { return Ok(None) };
    let wrong = |_| Refusal::bad_request(format!("{name}: `{value}` is not a number"));
    value.parse().map(Some).map_err(wrong)
}
