//! [`check_gateway`]: the checks of `effects doctor` that ask the gateway. It asks once for a task that
//! does not exist, which costs nothing and shows whether the gateway is reached, takes the key, and has a
//! clock like this machine's. `commands/doctor.rs` calls it with a [`Probe`], the settings and HTTP stack
//! of a client; `doctor/live.rs` makes the one paid task of `--live` with the same `Probe`.

use std::time::{Duration, SystemTime};

use effects_client::{BuildClient, Settings, Transport, random_name};
use effects_core::gateway::{Answer, Call, DynExchange, Gateway};
use effects_core::wire::ExchangeError;
use effects_core::{Error, ErrorKind, Task, TaskId, Time};
use effects_ureq::UreqExchange;

use super::Check;
use crate::failure::Failure;

/// The settings of a client and its HTTP stack, to make single exchanges with.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) settings: Settings,
    pub(crate) exchange: DynExchange,
}

impl BuildClient for Probe {
    type Exchange = DynExchange;

    fn from_settings(settings: Settings, transport: Transport<DynExchange>) -> Result<Self, Error> {
        let own = || UreqExchange::new(&settings).map(DynExchange::new);
        Ok(Self { exchange: transport.over(own)?, settings })
    }
}

/// What the gateway's answer to one look shows.
/// `key_source` says where the key is from.
pub(crate) fn check_gateway(probe: &Probe, key_source: &str) -> Result<Vec<Check>, Failure> {
    let gateway = Gateway::new(probe.settings.endpoint.clone(), probe.exchange.clone());
    let base = gateway.endpoint().base();
    // No service makes such an id, so the look shows no real task.
    let name = random_name().map_err(Failure::system)?;
    let task: TaskId = format!("effects-doctor-{name}").parse().map_err(|error| {
        Failure::Unforeseen(format!("the id of a task that does not exist: {error}"))
    })?;
    let limit = probe.settings.policy.request_timeout;
    // Before the exchange: the gateway's date is then at most its duration ahead of this.
    let asked = SystemTime::now();
    let result = gateway.call(&Call::look(task.clone(), limit, Time::from_millis(0)));
    let read = Task::read(&task, base, &result);
    let mut checks = match (result.answer(), read) {
        (Answer::NotSent(_) | Answer::Untrusted(_) | Answer::NotRecorded(_), Err(error)) => {
            vec![unreachable(&error)]
        }
        (Answer::Lost(_) | Answer::BrokenOff { .. }, Err(error)) => vec![unanswered(&error)],
        (_, Ok(_)) => vec![reached(200), key_accepted()],
        (_, Err(error)) => answered(&error, key_source),
    };
    if let Answer::Answered { headers, .. } = result.answer()
        && let Some(date) = headers.get(http::header::DATE).and_then(|date| date.to_str().ok())
        && let Ok(theirs) = httpdate::parse_http_date(date)
    {
        checks.push(clock(asked, theirs));
    }
    Ok(checks)
}

fn reached(status: u16) -> Check {
    Check::ok("gateway", format!("answers (HTTP {status})"))
}

fn key_accepted() -> Check {
    Check::ok("key accepted", "the gateway takes the key")
}

/// Why nothing was sent. The words of the HTTP stack say what to do about a certificate.
fn unreachable(error: &Error) -> Check {
    let way_out = "check the base URL, the network, and the proxy above";
    let why = match error.exchange_error() {
        // Of a look that costs nothing it does not matter that nothing left.
        Some(ExchangeError::NotSent { reason } | ExchangeError::Untrusted { reason }) => {
            format!("cannot be reached: {reason}")
        }
        _ => reason(error),
    };
    Check::fail("gateway", error.kind(), why, way_out)
}

fn unanswered(error: &Error) -> Check {
    let way_out = "try again; if it stays so, what answers there is no gateway, or a proxy holds requests back";
    Check::fail("gateway", error.kind(), reason(error), way_out)
}

/// What went wrong, without the task that nothing is about.
fn reason(error: &Error) -> String {
    error.exchange_error().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What an answer without a task shows.
fn answered(error: &Error, key_source: &str) -> Vec<Check> {
    let reason = reason(error);
    let (name, status) = ("key accepted", error.status().unwrap_or_default());
    let is_json = error
        .exchange_error()
        .and_then(|error| error.rejection())
        .is_some_and(|found| found.is_json);
    match error.kind() {
        // The gateway's API says in JSON that it has no such task; a 404 page of anything else is no gateway.
        ErrorKind::TaskNotFound if is_json => vec![reached(status), key_accepted()],
        ErrorKind::TaskNotFound | ErrorKind::NoSuchEndpoint | ErrorKind::Redirected => {
            let way_out = "check --base-url, EFFECTS_BASE_URL and the profile";
            let message = format!("what answers there is not the gateway's API: {reason}");
            vec![Check::fail("gateway", ErrorKind::NoSuchEndpoint, message, way_out)]
        }
        // It answers, so the gateway is reached; that check is good and the next one is not.
        kind @ (ErrorKind::KeyRefused | ErrorKind::Forbidden) => {
            let way_out = format!(
                "this key is {key_source}: make one on the API key page of the service's site, and put it there"
            );
            let refused = format!("the gateway refuses the key: {reason}");
            vec![reached(status), Check::fail(name, kind, refused, way_out)]
        }
        kind @ ErrorKind::OutOfCredit => {
            vec![reached(status), Check::fail(name, kind, reason, "add credit to the account")]
        }
        ErrorKind::Rejected => {
            let message = format!("the gateway does not refuse the key ({reason})");
            vec![reached(status), Check::ok(name, message)]
        }
        ErrorKind::RateLimited => {
            let way_out = "wait, then run `effects doctor` again";
            let message = format!("not known: the gateway asks to wait ({reason})");
            vec![reached(status), Check::warn(name, message, way_out)]
        }
        kind => {
            let way_out = "run `effects doctor` again; if it stays so, ask the service's support";
            vec![Check::fail("gateway", kind, format!("answers with {reason}"), way_out)]
        }
    }
}

/// The difference between this machine's clock and the gateway's.
fn clock(ours: SystemTime, theirs: SystemTime) -> Check {
    let (ahead, apart) = match ours.duration_since(theirs) {
        Ok(apart) => ("ahead of", apart),
        Err(error) => ("behind", error.duration()),
    };
    if apart < ALLOWED_DIFFERENCE {
        return Check::ok(
            "clock",
            format!("within {} s of the gateway's", ALLOWED_DIFFERENCE.as_secs()),
        );
    }
    Check::warn(
        "clock",
        format!("{} s {ahead} the gateway's", apart.as_secs()),
        "set this machine's clock: certificates and signed links go by it",
    )
}

/// A header's date has no fractions, and an answer takes a while.
const ALLOWED_DIFFERENCE: Duration = Duration::from_secs(30);
