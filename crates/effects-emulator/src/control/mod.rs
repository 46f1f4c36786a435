//! The control API under `/_emulator/`, by which tests in any language and the emulator's page inspect and
//! steer an emulator. The handlers [`about`] (a [`Summary`]), [`counts`] and [`reset`] are here;
//! `requests.rs`, `verify.rs`, `tasks.rs`, `faults.rs`, `events.rs`, `clock.rs` and `looks.rs` have the
//! others, and `surfaces/page.rs` that of the page's session. `routes.rs` routes requests to them.
//!
//! It needs the emulator's own key, like everything that changes anything: pages of a browser on
//! this machine can reach loopback too.

pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod looks;
pub(crate) mod requests;
pub(crate) mod tasks;
pub(crate) mod verify;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use bytes::Bytes;
use effects_core::model::MODEL;
use http::{StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::ClockKind;
use crate::record::Counts;
use crate::state::{EmulatorState, Keep};
use crate::wire::refusal::ApiRefusal;
use crate::wire::task::STAND_IN;

/// `GET /_emulator/`
#[utoipa::path(get, path = "/_emulator/", tag = "control", responses((status = 200, body = Summary)))]
pub(crate) async fn about(State(state): State<Arc<EmulatorState>>) -> Json<Summary> {
    Json(Summary::of(&state))
}

/// What an emulator is and what it has done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    name: &'static str,
    version: &'static str,
    about: &'static str,
    model: &'static str,
    /// Milliseconds since the epoch.
    now: u64,
    /// `real` or `virtual`.
    clock: &'static str,
    /// How many tasks are remembered.
    tasks: usize,
    spent: String,
    price: String,
    /// What can be spent; null without a limit.
    balance: Option<String>,
}

impl Summary {
    fn of(state: &EmulatorState) -> Self {
        let is_virtual = state.options.clock == ClockKind::Virtual;
        Self {
            name: "effects-emulator",
            version: env!("CARGO_PKG_VERSION"),
            about: STAND_IN,
            model: MODEL,
            now: state.clock.now(),
            clock: if is_virtual { "virtual" } else { "real" },
            tasks: state.tasks.count(),
            spent: state.spending.spent().to_string(),
            price: state.cost().to_owned(),
            balance: state.faults.plan().balance.map(|balance| balance.to_string()),
        }
    }
}

/// `GET /_emulator/counts`
#[utoipa::path(get, path = "/_emulator/counts", tag = "control",
    responses((status = 200, body = Counts)))]
pub(crate) async fn counts(State(state): State<Arc<EmulatorState>>) -> Json<Counts> {
    Json(state.record.counts())
}

/// `POST /_emulator/reset`
#[utoipa::path(post, path = "/_emulator/reset", tag = "control", request_body = Option<Reset>,
    responses((status = 204, description = "All is forgotten")))]
pub(crate) async fn reset(
    State(state): State<Arc<EmulatorState>>,
    body: Bytes,
) -> Result<StatusCode, ApiRefusal> {
    let Reset { keep } = read_optional(&body)?;
    state.reset(&keep);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// What stays as it is.
    #[serde(default)]
    keep: Vec<Keep>,
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiRefusal> {
    // A list would be taken for the object's values in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiRefusal::bad_request("the body: a list, and no object"));
    }
    // From the bytes and not by axum's `Json`, which asks for a content type: `curl -d` sends a
    // form's.
    serde_json::from_slice(body)
        .map_err(|error| ApiRefusal::bad_request(format!("the body: {error}")))
}

/// A body that may be left out.
fn read_optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiRefusal> {
    let read = if body.is_empty() { None } else { read(body)? };
    Ok(read.unwrap_or_default())
}

/// The query of a list. A misspelt filter is refused: it would show what was not asked for.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiRefusal> {
    let wrong = |error| ApiRefusal::bad_request(format!("the query: {error}"));
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(wrong)
}
