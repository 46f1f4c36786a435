//! [`Picture`]: one picture of a task: its URL, made absolute against the gateway's address where the
//! service gave only a path. A `Task` and an `Effect` list them. Rust programs give one to `download` or
//! `fetch` of a client; jobs, the command and the Python package download and show them, and journals keep
//! their URLs.

use http::Uri;
use serde::{Deserialize, Serialize};
use url::{ParseError, Url};

use crate::gateway::origin::BaseUrl;
use crate::task_id::TaskId;

/// One picture of an [`Effect`](crate::Effect): a link that expires.
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
            // A picture behind a link that is not whole is paid for like any other.
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
