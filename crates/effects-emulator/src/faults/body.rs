//! [`ErrorBody`]: the forms of error bodies in which gateways of this family have been seen to refuse a
//! request; [`RetryAfter`]: when a refusal says to ask again, in seconds or as a date. Fault plans, scripts
//! and tests name both in `Fault::Status`, test keys have theirs (`key.rs`), and each `ApiRefusal` of the
//! emulator is written in one of the forms.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The form of a refusal's body.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorBody {
    /// `{"message", "error": {"code", "message", "error_message"}, "request_id"}`: the usual one.
    #[default]
    Union,
    /// `{"message": "…"}`
    Message,
    /// `{"error": "…"}`
    ErrorText,
    /// `{"error": {"code": 503, "error_message": "…"}}`
    ErrorNumber,
    /// `{"error": {"code": 1002, "message": "…"}}`
    ErrorMessage,
    /// `{"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "…"}, "request_id": "…"}`
    ErrorWord,
    /// `{"detail": "…"}`
    Detail,
    /// `{"status": {"code": 402, "message": "…", "error_code": 40201}, "data": null}`
    Envelope,
    /// `{"id", "status": "in_progress", "error": {"code": "SYNC_TIMEOUT", "message": "…"}}`
    Sync,
    /// `{"code": 503, "message": "…", "data": null}`
    Billing,
    /// A page of HTML.
    Html,
    /// The words alone.
    Text,
    /// No body.
    Empty,
    /// These very words as JSON.
    Raw(String),
}

/// When a refusal says to ask again, in one of the two forms HTTP has for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u32),
    /// The date so many seconds from now.
    Date(u32),
}

impl RetryAfter {
    pub(crate) fn header(self) -> HeaderValue {
        match self {
            Self::Seconds(seconds) => seconds.into(),
            Self::Date(seconds) => {
                // The machine's time, beside a virtual clock as well: clients compare the date with
                // their own time.
                let then = SystemTime::now() + Duration::from_secs(seconds.into());
                let date = httpdate::fmt_http_date(then);
                HeaderValue::from_str(&date).expect("a date is plain ASCII")
            }
        }
    }
}

impl ErrorBody {
    /// The media type and the body; `None` for the usual body, which knows a dialect.
    pub(crate) fn write(&self, status: StatusCode, message: &str) -> Option<(&str, String)> {
        let number = status.as_u16();
        let json = |body: Value| Some(("application/json", body.to_string()));
        match self {
            Self::Union => None,
            Self::Message => json(json!({"message": message})),
            Self::ErrorText => json(json!({"error": message})),
            Self::ErrorNumber => json(json!({"error": {"code": number, "error_message": message}})),
            // 1002 whatever the status is: the code that a test of the Go SDK has for a rate
            // limit.
            Self::ErrorMessage => json(json!({"error": {"code": 1002, "message": message}})),
            Self::ErrorWord => json(json!({
                "error": {"code": code_word(status), "message": message},
                // A fixed id of the service's form: clients only read it.
                "request_id": "d758n65e878c73cmdg20",
            })),
            Self::Detail => json(json!({"detail": message})),
            Self::Envelope => {
                // SeaCloud's tests have 40201 beside 402; the codes of other statuses are formed
                // like it.
                let error_code = u32::from(number) * 100 + 1;
                json(json!({
                    "status": {"code": number, "message": message, "error_code": error_code},
                    "data": null,
                }))
            }
            Self::Sync => json(json!({
                "id": "d758n65e878c73cmdg20",
                "status": "in_progress",
                "error": {"code": "SYNC_TIMEOUT", "message": message},
            })),
            Self::Billing => json(json!({"code": number, "message": message, "data": null})),
            Self::Html => {
                let page = format!("<!doctype html><title>{number}</title><h1>{message}</h1>");
                Some(("text/html", page))
            }
            Self::Text => Some(("text/plain", message.to_owned())),
            Self::Empty => Some(("text/plain", String::new())),
            Self::Raw(text) => Some(("application/json", text.clone())),
        }
    }
}

/// The gateway's code for a status, a word.
pub(crate) fn code_word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 422 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        402 => "INSUFFICIENT_BALANCE",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        408 | 504 => "TIMEOUT",
        429 => "RATE_LIMIT_EXCEEDED",
        _ => "INTERNAL_SERVER_ERROR",
    }
}
