//! [`ApiRefusal`]: an error answer of status 400 and above: its code, message and `Retry-After`, in a
//! form that all of the service's clients can read. The handlers of the surfaces and the control API,
//! what they call (such as `lifecycle.rs` and `wire/create.rs`), the reader of bodies, planned faults
//! and the middleware refuse with it; the middleware writes its body, in the dialect of the emulator's
//! options.

use axum::Json;
use axum::response::{IntoResponse, Response};
use effects_core::ServiceCode;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use crate::faults::ErrorBody;
use crate::options::Dialect;

/// A refusal, in the union of the shapes that the service's clients read.
#[derive(Clone, Debug)]
pub(crate) struct ApiRefusal {
    pub(crate) status: StatusCode,
    code: RefusalCode,
    message: String,
    /// Seconds after which asking again may help.
    retry_after: Option<u32>,
    form: ErrorBody,
}

/// What stands for the code: a word of the gateway's, or a code of the service's.
#[derive(Clone, Debug)]
enum RefusalCode {
    Gateway(&'static str),
    Service(ServiceCode),
}

impl ApiRefusal {
    pub(crate) fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        let (code, form) = (RefusalCode::Gateway(word), ErrorBody::Union);
        Self { status, code, message: message.into(), retry_after: None, form }
    }

    /// A refusal under one of the service's own codes.
    pub(crate) fn of_parameters(code: ServiceCode, message: impl Into<String>) -> Self {
        let code = RefusalCode::Service(code);
        Self { code, ..Self::bad_request(message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    /// A page of another site has made a browser send the cookie of the emulator's page.
    pub(crate) fn foreign() -> Self {
        let message = "this request comes from another site's page (see its Origin and Host): \
                       the cookie of the emulator's page is good for that page alone";
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// There is no room now; in a second there may be.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::too_many(message, 1)
    }

    /// Asked too often; after some seconds it may ask again.
    pub(crate) fn too_many(message: impl Into<String>, seconds: u32) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", message);
        Self { retry_after: Some(seconds), ..refusal }
    }

    /// The same in another form than the usual one.
    pub(crate) fn with_body(self, form: ErrorBody) -> Self {
        Self { form, ..self }
    }

    /// The answer itself, in a dialect: codes are text, or numbers where the clients want numbers.
    pub(crate) fn answer(&self, dialect: Dialect, request_id: &str) -> Response {
        // Here and not in `ErrorBody::write`, which does not know the request's id.
        if self.form == ErrorBody::Envelope {
            let error_code = u32::from(self.status.as_u16()) * 100 + 1;
            let (code, message) = (self.status.as_u16(), self.message.clone());
            let status = RefusedStatus { code, message, error_code };
            let request_id = Some(request_id.to_owned());
            return (self.status, Json(RefusedEnvelope { status, data: None, request_id }))
                .into_response();
        }
        if let Some((media_type, body)) = self.form.write(self.status, &self.message) {
            return (self.status, [(CONTENT_TYPE, media_type.to_owned())], body).into_response();
        }
        let code = match (&self.code, dialect) {
            (RefusalCode::Gateway(word), Dialect::Spec) => Code::Text(word),
            (RefusalCode::Gateway(_), Dialect::Sdk) => {
                // The gateway's words have no numbers, so the status stands for them.
                Code::Number(i64::from(self.status.as_u16()))
            }
            (RefusalCode::Service(code), dialect) => Code::of(code, dialect),
        };
        let message = &self.message;
        // The message stands in three places, since the clients differ in which of them they read.
        let error = RefusalError { code, message, error_message: message };
        let body = Json(RefusalBody { message, error, request_id });
        let mut answer = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

/// A handler's refusal is put into words by the middleware, which knows the dialect and the request's id.
impl IntoResponse for ApiRefusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusalBody)]
pub(crate) struct RefusalBody<'a> {
    message: &'a str,
    error: RefusalError<'a>,
    request_id: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusalError)]
pub(crate) struct RefusalError<'a> {
    code: Code<'a>,
    message: &'a str,
    error_message: &'a str,
}

/// The forms in which the gateway refuses.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes answers that are written form by form")]
pub(crate) enum RefusalForms {
    /// The usual one.
    Usual(RefusalBody<'static>),
    /// The queue's.
    Detail(RefusedDetail),
    /// That of a balance that is spent.
    Envelope(RefusedEnvelope),
}

#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "it describes answers that are written form by form")]
pub(crate) struct RefusedDetail {
    detail: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedEnvelope {
    status: RefusedStatus,
    data: Option<String>,
    request_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RefusedStatus {
    code: u16,
    message: String,
    error_code: u32,
}
