//! [`NativePolicy`]: the core's [`Policy`], read from the plain numbers of Python's `Policy` (`_values.py`)
//! and checked; the Python object keeps one. `Engine` takes it with each call that makes requests.
//! [`duration`] reads a number of seconds, for the policy and for options of the client, its calls and the
//! emulator.

use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::RequestHeaders;
use effects_core::{Backoff, Deadline, Error, ErrorKind, Pace, Policy, Repeat};
use effects_reqwest::Client;
use pyo3::prelude::*;

use crate::failure;

/// A policy, read once and used by many operations.
#[pyclass(frozen, name = "Policy", module = "spark_effects._native")]
#[derive(Clone, Debug)]
pub struct NativePolicy(pub Arc<Policy>);

impl NativePolicy {
    /// The policy of one call of this client that begins now, whose parts share one deadline.
    pub(crate) fn of_call(&self, client: &Client) -> Arc<Policy> {
        match self.0.deadline {
            Some(_) => Arc::new(self.0.anchored(client.now())),
            None => Arc::clone(&self.0),
        }
    }
}

#[pymethods]
impl NativePolicy {
    #[new]
    fn new(py: Python<'_>, plain: PlainPolicy) -> PyResult<Self> {
        plain
            .read()
            .map(|policy| Self(Arc::new(policy)))
            .map_err(|error| failure::exception(py, &error))
    }
}

/// A policy as Python says it; times are seconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainPolicy {
    /// `None` is what the core does by itself.
    pace: Option<PlainPace>,
    retry: PlainBackoff,
    repeat: String,
    request_timeout: f64,
    wait_timeout: f64,
    last_look: f64,
    /// `None` is none.
    deadline: Option<f64>,
    first_answer_timeout: f64,
    not_found_grace: f64,
    retry_after_most: f64,
    headers: Vec<(String, String)>,
}

impl PlainPolicy {
    fn read(self) -> Result<Policy, Error> {
        Ok(Policy {
            pace: match self.pace {
                None => Pace::default(),
                Some(PlainPace::Fixed(interval)) => Pace::fixed(duration("poll", interval)?),
                Some(PlainPace::Backoff(waits)) => Pace::Backoff(backoff(waits)?),
            },
            retry: backoff(self.retry)?,
            repeat: match self.repeat.as_str() {
                "never" => Repeat::Never,
                "safe" => Repeat::Safe,
                "always" => Repeat::Always,
                other => {
                    let why = format!("repeat {other:?} is none of never, safe, always");
                    return Err(Error::new(ErrorKind::Misconfigured, why));
                }
            },
            request_timeout: duration("request_timeout", self.request_timeout)?,
            wait_timeout: duration("wait_timeout", self.wait_timeout)?,
            last_look: duration("last_look", self.last_look)?,
            deadline: match self.deadline {
                None => None,
                Some(seconds) => Some(Deadline::after(duration("deadline", seconds)?)),
            },
            first_answer_timeout: duration("first_answer_timeout", self.first_answer_timeout)?,
            not_found_grace: duration("not_found_grace", self.not_found_grace)?,
            retry_after_most: duration("retry_after_most", self.retry_after_most)?,
            headers: self.headers.iter().try_fold(RequestHeaders::default(), |all, header| {
                let (name, value) = header;
                all.with(name, value)
            })?,
            ..Policy::default()
        })
    }
}

/// A pace as Python says it.
#[derive(FromPyObject)]
enum PlainPace {
    Fixed(f64),
    Backoff(PlainBackoff),
}

/// First wait, factor, longest wait, share left to chance.
type PlainBackoff = (f64, f64, f64, f64);

fn backoff((first, factor, most, jitter): PlainBackoff) -> Result<Backoff, Error> {
    Ok(Backoff { first: duration("first", first)?, factor, most: duration("most", most)?, jitter })
}

/// Seconds as a time.
pub fn duration(name: &str, seconds: f64) -> Result<Duration, Error> {
    // It refuses what is negative, too large or NaN, for which `from_secs_f64` panics.
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let why = format!("{name} {seconds} is no number of seconds");
        Error::new(ErrorKind::Misconfigured, why)
    })
}
