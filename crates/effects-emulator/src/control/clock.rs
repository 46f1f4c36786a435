//! `POST /_emulator/clock/advance`: moves a virtual clock on.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read;
use crate::gateway::Gateway;
use crate::wire::refusal::Refusal;

/// `POST /_emulator/clock/advance`
#[utoipa::path(post, path = "/_emulator/clock/advance", tag = "control", request_body = Advance,
    responses((status = 200, body = Advanced)))]
pub(crate) async fn advance(
    State(gateway): State<Arc<Gateway>>,
    body: Bytes,
) -> Result<Json<Advanced>, Refusal> {
    let by = match read(&body)? {
        Advance::Seconds(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| Refusal::bad_request("seconds: it is no span of time"))?,
        Advance::To(to) => {
            let now = gateway.clock.now();
            let past = || {
                let words = format!("to: {to} is over: the clock shows {now} and never runs back");
                Refusal::bad_request(words)
            };
            Duration::from_millis(to.checked_sub(now).ok_or_else(past)?)
        }
    };
    let now = gateway.advance(by).await;
    let real = |error| Refusal::new(StatusCode::CONFLICT, "CONFLICT", format!("{error}"));
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
