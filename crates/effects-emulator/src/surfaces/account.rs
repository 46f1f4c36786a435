//! [`balance`] and [`precharge`]: the HTTP handlers of the account surface: the first answers what is
//! left of the balance that the fault plan sets (of a million USD without one), the second what a
//! create would cost, without making it. `routes.rs` leads requests to them, and `openapi.rs` describes
//! them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use effects_core::model::MODEL;
use http::HeaderMap;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::{CatalogueStatus, OK};
use crate::state::EmulatorState;
use crate::wire::create::{CheckedParams, Create};
use crate::wire::refusal::ApiRefusal;

/// `GET /api/v1/user/balance`
#[utoipa::path(get, path = "/api/v1/user/balance", tag = "account",
    responses((status = 200, body = BalanceAnswer)))]
pub(crate) async fn balance(State(state): State<Arc<EmulatorState>>) -> Json<BalanceAnswer> {
    let limit = state.faults.plan().balance.unwrap_or(WITHOUT_LIMIT);
    let left = (limit - state.spending.spent()).max(Decimal::ZERO);
    // Text with two decimals: the form that the official command lines have of a balance.
    let data = Balance { balance: format!("{left:.2}"), currency: CURRENCY };
    Json(BalanceAnswer { status: OK, data })
}

/// `POST /model/v1/generation/precharge`: the price of a create, which is not made.
#[utoipa::path(post, path = "/model/v1/generation/precharge", tag = "account",
    request_body = crate::wire::create::CreateRequest,
    responses((status = 200, body = PrechargeAnswer)))]
pub(crate) async fn precharge(
    State(state): State<Arc<EmulatorState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<PrechargeAnswer>, ApiRefusal> {
    let Create { model, params } = Create::read(&headers, &body)?;
    let model = model.unwrap_or_default();
    // A price is known only for a create that would be accepted.
    let is_known = model == MODEL && CheckedParams::check(params).is_ok();
    Ok(Json(PrechargeAnswer {
        status: if is_known { "success" } else { "failed" },
        data: Precharge {
            billing_model: MODEL,
            cost: is_known.then(|| state.cost().to_owned()),
            currency: CURRENCY,
            discount: 1,
            original_model: model.clone(),
            model,
            sample_count: 1,
            updated_at: state.clock.now(),
            // The word of the official SDKs' tests for a price that is not known.
            reason: (!is_known).then_some("COST_CACHE_MISS"),
        },
    }))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BalanceAnswer {
    status: CatalogueStatus,
    data: Balance,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Balance {
    /// USD, as decimal text.
    balance: String,
    currency: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PrechargeAnswer {
    /// `success` or `failed`.
    status: &'static str,
    data: Precharge,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Precharge {
    billing_model: &'static str,
    cost: Option<String>,
    currency: &'static str,
    discount: u32,
    model: String,
    original_model: String,
    sample_count: u32,
    /// Milliseconds since the epoch.
    updated_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

const CURRENCY: &str = "USD";

/// The balance where the plan of faults sets no balance.
const WITHOUT_LIMIT: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
