//! [`advance`]: the handler of `POST /_emulator/clock/advance`, which moves a virtual clock on, by seconds
//! or to a time ([`Advance`]), and answers once the pictures of the tasks due by then are painted; a real
//! clock it refuses to move. Tests and the page call it over HTTP (`routes.rs` has its path); Rust and
//! Python tests call `Emulator::advance` instead.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read;
use crate::state::EmulatorState;
use crate::wire::refusal::ApiRefusal;

/// `POST /_emulator/clock/advance`
#[utoipa::path(post, path = "/_emulator/clock/advance", tag = "control", request_body = Advance,
    responses((status = 200, body = Advanced)))]
pub(crate) async fn advance(
    State(state): State<Arc<EmulatorState>>,
    body: Bytes,
) -> Result<Json<Advanced>, ApiRefusal> {
    let by = match read(&body)? {
        // It refuses what is below zero and what is no number: the clock never runs back.
        Advance::Seconds(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| ApiRefusal::bad_request("seconds: it is no span of time"))?,
        Advance::To(to) => {
            let now = state.clock.now();
            let past = || {
                let message =
                    format!("to: {to} is over: the clock shows {now} and never runs back");
                ApiRefusal::bad_request(message)
            };
            Duration::from_millis(to.checked_sub(now).ok_or_else(past)?)
        }
    };
    let now = state.advance(by).await;
    let real = |error| ApiRefusal::new(StatusCode::CONFLICT, "CONFLICT", format!("{error}"));
    Ok(Json(Advanced { now: now.map_err(real)? }))
}

/// What a clock shows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Advanced {
    /// Milliseconds since the epoch.
    now: u64,
}

/// How far a clock moves.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Advance {
    /// By how long.
    Seconds(f64),
    /// Until when, in milliseconds since the epoch.
    To(u64),
}
