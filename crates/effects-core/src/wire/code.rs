//! [`ServiceCode`]: the service's own error codes: what each means, who can mend it ([`FaultSide`]), and
//! whether a new task may do better. `Violation`, `ServiceError` and failed journal rows carry one, and
//! `Error::code` returns it. Jobs decide by it whether to order a failed task anew, the command and the
//! Python package show it, and the emulator answers with it.
//!
//! Source: the service's page, section "Error Codes". Codes it does not list are kept as text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An error code of the service, listed or not.
///
/// On the wire a code is text (the service's page) or a number (its clients' tests); both read the
/// same.
///
/// ```
/// use effects_core::ServiceCode;
/// use effects_core::wire::FaultSide;
///
/// let code = ServiceCode::from("3009003");
/// assert_eq!(code, ServiceCode::InvalidTemplateId);
/// assert_eq!(code.meaning(), Some("Invalid template_id"));
/// assert_eq!(code.fault(), Some(FaultSide::Caller));
/// assert!(!code.may_pass());
/// assert_eq!(ServiceCode::from("SYNC_TIMEOUT").as_str(), "SYNC_TIMEOUT");
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum ServiceCode {
    /// 3009001: `image_input1` is missing.
    MissingImage,
    /// 3009002: `template_id` is missing.
    MissingTemplateId,
    /// 3009003: `template_id` names no template.
    InvalidTemplateId,
    /// 3009004: `width` or `height` is out of 512..=2048.
    InvalidSize,
    /// 3009095: the generation failed inside the service.
    Generation,
    /// 3009096: the service could not read its own result.
    ResultParsing,
    /// 3009097: something upstream of the service answered with an HTTP error.
    Upstream,
    /// 3009098: the service could not look at its own task.
    StatusCheck,
    /// 3009099: the service is unavailable.
    Unavailable,
    /// A code the service's page does not list.
    Other(Arc<str>),
}

impl ServiceCode {
    /// The nine listed codes, in numerical order.
    pub const LISTED: [Self; 9] = [
        Self::MissingImage,
        Self::MissingTemplateId,
        Self::InvalidTemplateId,
        Self::InvalidSize,
        Self::Generation,
        Self::ResultParsing,
        Self::Upstream,
        Self::StatusCheck,
        Self::Unavailable,
    ];

    /// The code as the wire writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MissingImage => "3009001",
            Self::MissingTemplateId => "3009002",
            Self::InvalidTemplateId => "3009003",
            Self::InvalidSize => "3009004",
            Self::Generation => "3009095",
            Self::ResultParsing => "3009096",
            Self::Upstream => "3009097",
            Self::StatusCheck => "3009098",
            Self::Unavailable => "3009099",
            Self::Other(code) => code,
        }
    }

    /// What the service's page says it means; `None` for an unlisted code.
    pub fn meaning(&self) -> Option<&'static str> {
        Some(match self {
            Self::MissingImage => "Missing image_input1",
            Self::MissingTemplateId => "Missing template_id",
            Self::InvalidTemplateId => "Invalid template_id",
            Self::InvalidSize => "Invalid size parameter",
            Self::Generation => "Internal generation error",
            Self::ResultParsing => "Result parsing error",
            Self::Upstream => "HTTP error response",
            Self::StatusCheck => "Status check error",
            Self::Unavailable => "Service unavailable",
            Self::Other(_) => return None,
        })
    }

    /// Whose fault it is; `None` for an unlisted code.
    pub fn fault(&self) -> Option<FaultSide> {
        Some(match self {
            Self::MissingImage
            | Self::MissingTemplateId
            | Self::InvalidTemplateId
            | Self::InvalidSize => FaultSide::Caller,
            Self::Generation
            | Self::ResultParsing
            | Self::Upstream
            | Self::StatusCheck
            | Self::Unavailable => FaultSide::Service,
            Self::Other(_) => return None,
        })
    }

    /// Whether a new task with the same request may do better. A new task costs anew.
    pub fn may_pass(&self) -> bool {
        self.fault() == Some(FaultSide::Service)
    }
}

impl From<&str> for ServiceCode {
    fn from(code: &str) -> Self {
        Self::LISTED
            .into_iter()
            .find(|listed| listed.as_str() == code)
            .unwrap_or_else(|| Self::Other(code.into()))
    }
}

impl From<String> for ServiceCode {
    fn from(code: String) -> Self {
        code.as_str().into()
    }
}

impl From<ServiceCode> for String {
    fn from(code: ServiceCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who can mend what a [`ServiceCode`] tells of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultSide {
    /// The request: change it.
    Caller,
    /// The service, or something upstream of it: a later task may do better.
    Service,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_codes_read_back_and_only_the_service_side_may_pass() {
        for code in ServiceCode::LISTED {
            assert_eq!(ServiceCode::from(code.as_str()), code);
            assert!(code.meaning().is_some());
            // All have seven digits, so their texts are in the order of the numbers.
            assert_eq!(code.may_pass(), code.as_str() >= "3009095");
        }
        assert_eq!(ServiceCode::from("3009005").fault(), None);
    }
}
