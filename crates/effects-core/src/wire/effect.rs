//! What a completed run yields.

use http::Uri;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use url::{ParseError, Url};

use crate::gateway::origin::BaseUrl;
use crate::task_id::TaskId;
use crate::wire::raw::RawJson;
use crate::wire::task::ServiceError;

/// A finished task: its pictures and its bill.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// The task that made it.
    pub task_id: TaskId,
    /// The pictures; never empty, usually one.
    pub pictures: Vec<Picture>,
    /// What it cost, as far as the service said.
    pub usage: Usage,
    /// The service's own notes on the task.
    pub metadata: Option<RawJson>,
    /// An error the service reported beside a usable picture.
    pub warning: Option<ServiceError>,
    /// The whole answer, as the service wrote it.
    pub raw: RawJson,
}

/// One picture of an [`Effect`]: a link that expires.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Picture {
    /// The task that made it.
    pub task_id: TaskId,
    /// Where it is. The service does not say for how long: download it soon.
    pub url: String,
    /// Its length in bytes, if the service said.
    pub size: Option<u64>,
    /// The service's "remote job ID".
    pub job_id: Option<String>,
}

impl Picture {
    /// The picture with its link made whole; `None` where that is no http or https URL.
    ///
    /// A link that every HTTP client takes as it is stays as it was sent, since a signature may cover
    /// it. Of others the host is written in punycode, and what cannot stand in a URL is encoded: a
    /// picture that is paid for is not given up for a space in its name.
    pub(crate) fn at(mut self, gateway: Option<&BaseUrl>) -> Option<Self> {
        let whole = match Url::parse(&self.url) {
            Err(ParseError::RelativeUrlWithoutBase) => gateway?.join(&self.url)?,
            parsed => {
                let parsed = parsed.ok()?;
                if self.url.is_ascii() && self.url.parse::<Uri>().is_ok() && is_http(&parsed) {
                    return Some(self);
                }
                parsed
            }
        };
        self.url = Some(whole).filter(is_http)?.into();
        self.url.parse::<Uri>().is_ok().then_some(self)
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// What a task cost.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// "Total cost in USD" (the service's page), exact to the digit, from 0 to
    /// [`MOST_COST`](Self::MOST_COST); `None` if it was not said, or cannot be read.
    pub cost: Option<Decimal>,
    /// What the service sent for a cost that cannot be read as one, shortened; `cost` is `None` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_cost: Option<String>,
    /// "Discount amount" (the service's page). Its clients' tests read like a factor with 1 for
    /// none; nobody has shown which it is.
    pub discount: Option<Decimal>,
}

impl Usage {
    /// The highest cost of one task that is believed, in USD. A picture costs cents: what lies beyond
    /// is a mistake, and no sum of what is believed overflows.
    pub const MOST_COST: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);

    /// Reads the cost of one task, in USD: a decimal number, perhaps with an exponent, from 0 to
    /// [`MOST_COST`](Self::MOST_COST). `None` for everything else: a text that is no such cost is
    /// never counted.
    ///
    /// ```
    /// use effects_core::Usage;
    ///
    /// assert_eq!(Usage::read_cost("3e-2"), Usage::read_cost("0.03"));
    /// assert_eq!(Usage::read_cost("-0.03"), None);
    /// assert_eq!(Usage::read_cost("0.03 USD"), None);
    /// ```
    pub fn read_cost(text: &str) -> Option<Decimal> {
        let mut cost = read_decimal(text)?;
        if cost.is_zero() {
            // Zero has a sign, too.
            cost.set_sign_positive(true);
        }
        (Decimal::ZERO..=Self::MOST_COST).contains(&cost).then_some(cost)
    }
}

/// A number as JSON or a text writes it, exact to the digit.
pub(crate) fn read_decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_scientific(text).ok())
}
