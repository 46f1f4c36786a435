//! [`Fault`]: one way for a request, a task, a poll or an answer to go wrong; [`Moment`]: before the
//! request has its effect, or after. Tests and other programs in Rust write faults into plans and scripts;
//! files and the control API have them as TOML or JSON; a test key names one. `FaultInjector` chooses one
//! for a request; the middleware carries it out on the exchange, or the handlers, `lifecycle.rs` and the
//! answers in `wire/` on the task or on what a poll sees.

use effects_core::ServiceCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::body::{ErrorBody, RetryAfter};
use crate::endpoint::Endpoint;

/// One thing that goes wrong.
///
/// In TOML and JSON a fault is a table with `kind`, the variant's name in kebab case, and the
/// variant's fields. Fields with a default may be left out.
///
/// ```
/// use effects_emulator::{Fault, Moment};
///
/// let fault: Fault = serde_json::from_str(r#"{"kind": "reset", "when": "after"}"#)?;
/// assert_eq!(fault, Fault::Reset { when: Moment::After });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// Another answer in place of the endpoint's own. The request has no effect.
    Status {
        /// The HTTP status, 200 to 599.
        status: u16,
        /// The form of the body.
        #[serde(default)]
        body: ErrorBody,
        /// The words in it; those of the status when `None`.
        #[serde(default)]
        message: Option<String>,
        /// When to ask again.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        /// Where a redirect points.
        #[serde(default)]
        location: Option<String>,
    },
    /// The connection is reset.
    Reset {
        /// Before the request has any effect, or after.
        #[serde(default)]
        when: Moment,
    },
    /// The connection is closed in good order, without an answer.
    Close {
        /// Before the request has any effect, or after.
        #[serde(default)]
        when: Moment,
    },
    /// No answer comes; in the end the connection is closed.
    Hang {
        /// Before the request has any effect, or after.
        #[serde(default)]
        when: Moment,
        /// How long until the connection is closed.
        #[serde(default = "an_hour")]
        seconds: f64,
    },
    /// The answer comes later than it could.
    Slow {
        /// How much later.
        seconds: f64,
    },
    /// The answer breaks off: its head promises more than its body holds.
    Truncate {
        /// The share of the body that arrives, in 0..1.
        #[serde(default = "half")]
        keep: f64,
    },
    /// The answer's body is nothing anybody could read.
    Garbage,
    /// The answer's body arrives in drops.
    Drip {
        /// Bytes of a drop.
        #[serde(default = "sixteen")]
        bytes: usize,
        /// Seconds between drops.
        #[serde(default = "a_tenth")]
        pause: f64,
    },
    /// The task fails.
    Fail {
        /// The code it fails with, listed or not.
        #[schema(value_type = String)]
        code: ServiceCode,
        /// The words beside it; the service's own for a listed code when `None`.
        #[serde(default)]
        message: Option<String>,
    },
    /// The task completes without a URL.
    NoUrl,
    /// The task's `size` is not the picture's.
    WrongSize,
    /// The picture has other sides than were asked for.
    WrongSides,
    /// The link to the picture expires.
    ExpiredLink {
        /// How long after the task's completion.
        #[serde(default)]
        seconds: f64,
    },
    /// The task is not to be found at first.
    Missing {
        /// For so many looks.
        #[serde(default = "two")]
        looks: u32,
    },
    /// The task takes this long, whatever the latency says.
    Take {
        /// How long, by the emulator's clock.
        seconds: f64,
    },
    /// The answer to the create is the finished task already.
    Finished,
    /// The look sees the task running, whatever it has come to.
    Stale,
    /// The look sees another word for the task's status.
    Word {
        /// The word.
        status: String,
    },
}

/// Before a request has any effect, or after.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// The request has no effect.
    #[default]
    Before,
    /// The request has its effect, but its answer is lost.
    After,
}

/// What a fault is about, which says where it can happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FaultTarget {
    /// An exchange: any endpoint's.
    Exchange,
    /// A task, decided when it is accepted.
    Task,
    /// A look at a task.
    Look,
}

impl Fault {
    /// A task's failure with this code.
    pub fn fail(code: impl Into<ServiceCode>) -> Self {
        Self::Fail { code: code.into(), message: None }
    }

    /// An HTTP status with the gateway's usual body.
    pub fn status(status: u16) -> Self {
        Self::status_with(status, ErrorBody::Union, None)
    }

    /// An HTTP status with this body and perhaps a time to ask again.
    pub fn status_with(status: u16, body: ErrorBody, retry_after: Option<RetryAfter>) -> Self {
        Self::Status { status, body, message: None, retry_after, location: None }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        let location = Some(location.into());
        let (body, message, retry_after) = (ErrorBody::Empty, None, None);
        Self::Status { status, body, message, retry_after, location }
    }

    /// The refusal of a gateway whose customer has no credit left.
    pub fn balance() -> Self {
        Self::Status {
            // The status and the form that SeaCloud's tests have for it.
            status: 402,
            body: ErrorBody::Envelope,
            message: Some("Insufficient credits".to_owned()),
            retry_after: None,
            location: None,
        }
    }

    /// The create is accepted, and its answer lost with the connection.
    pub fn lost() -> Self {
        Self::Reset { when: Moment::After }
    }

    /// Reads a table, and refuses keys that this kind of fault does not have: a misspelt one would
    /// be a fault that never happens.
    pub(crate) fn read(table: &Map<String, Value>) -> Result<Self, String> {
        let fault: Self =
            serde_json::from_value(Value::Object(table.clone())).map_err(|e| e.to_string())?;
        // What is written leaves no field out, so a key that is not in it is none of this kind's.
        let known = fault.write();
        match table.keys().find(|key| !known.contains_key(*key)) {
            Some(key) => Err(format!("`{}` has no `{key}`", fault.kind())),
            None => Ok(fault),
        }
    }

    /// The table [`read`](Self::read) reads.
    pub(crate) fn write(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(table)) => table,
            // A fault is a struct of texts and numbers: its JSON form is always an object.
            other => unreachable!("{other:?}"),
        }
    }

    /// Its name, as TOML and the record of requests have it.
    pub fn kind(&self) -> &'static str {
        match self {
            // Written out, since serde gives the name only by serialising the whole fault.
            Self::Status { .. } => "status",
            Self::Reset { .. } => "reset",
            Self::Close { .. } => "close",
            Self::Hang { .. } => "hang",
            Self::Slow { .. } => "slow",
            Self::Truncate { .. } => "truncate",
            Self::Garbage => "garbage",
            Self::Drip { .. } => "drip",
            Self::Fail { .. } => "fail",
            Self::NoUrl => "no-url",
            Self::WrongSize => "wrong-size",
            Self::WrongSides => "wrong-sides",
            Self::ExpiredLink { .. } => "expired-link",
            Self::Missing { .. } => "missing",
            Self::Take { .. } => "take",
            Self::Finished => "finished",
            Self::Stale => "stale",
            Self::Word { .. } => "word",
        }
    }

    pub(crate) fn target(&self) -> FaultTarget {
        match self {
            Self::Status { .. }
            | Self::Reset { .. }
            | Self::Close { .. }
            | Self::Hang { .. }
            | Self::Slow { .. }
            | Self::Truncate { .. }
            | Self::Garbage
            | Self::Drip { .. } => FaultTarget::Exchange,
            Self::Fail { .. }
            | Self::NoUrl
            | Self::WrongSize
            | Self::WrongSides
            | Self::ExpiredLink { .. }
            | Self::Missing { .. }
            | Self::Take { .. }
            | Self::Finished => FaultTarget::Task,
            Self::Stale | Self::Word { .. } => FaultTarget::Look,
        }
    }

    /// Says why this fault cannot happen at an endpoint, or what is wrong with its numbers.
    pub(crate) fn objection(&self, on: Endpoint) -> Option<String> {
        let fits = match self.target() {
            // The control API meets no fault: a test has to be able to take a plan back.
            FaultTarget::Exchange => !on.is_own(),
            FaultTarget::Task => on.creates(),
            FaultTarget::Look => on.looks(),
        };
        if !fits {
            let places = match self.target() {
                FaultTarget::Exchange => "any endpoint but the control API and the page",
                FaultTarget::Task => "`create` or `queue-submit`",
                FaultTarget::Look => "`task`, `queue-status` or `queue-response`",
            };
            return Some(format!("`{}` happens on {places}", self.kind()));
        }
        self.wrong_number().map(|rule| format!("`{}`: {rule}", self.kind()))
    }

    fn wrong_number(&self) -> Option<&'static str> {
        // A year in seconds, which is also the longest latency.
        let time = |seconds: f64| !(0.0..=31_536_000.0).contains(&seconds);
        match self {
            // A 1xx status would not end the exchange.
            Self::Status { status, .. } if !(200..=599).contains(status) => {
                Some("status is in 200..=599")
            }
            Self::Hang { seconds, .. }
            | Self::Slow { seconds }
            | Self::ExpiredLink { seconds }
            | Self::Take { seconds }
                if time(*seconds) =>
            {
                Some("seconds are in 0..=31536000")
            }
            Self::Truncate { keep } if !(0.0..1.0).contains(keep) => Some("keep is in 0..1"),
            Self::Drip { bytes: 0, .. } => Some("bytes are at least 1"),
            Self::Drip { pause, .. } if time(*pause) => Some("pause is in 0..=31536000"),
            _ => None,
        }
    }
}

fn an_hour() -> f64 {
    // An hour: longer than the official clients wait for an answer, which is some minutes.
    3600.0
}

fn half() -> f64 {
    0.5
}

fn sixteen() -> usize {
    16
}

fn a_tenth() -> f64 {
    0.1
}

fn two() -> u32 {
    2
}
