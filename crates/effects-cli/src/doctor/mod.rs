//! What `effects doctor` finds out: a [`Check`] for each thing that a paid picture needs. `machine.rs`
//! checks this machine and its settings, `network.rs` asks the gateway, and `live.rs` makes the one real
//! task of `--live`: `commands/doctor.rs` calls these. `facts.rs` compares that task with what is known
//! of the service.

pub(crate) mod facts;
pub(crate) mod live;
pub(crate) mod machine;
pub(crate) mod network;

use effects_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::{Failure, UNFORESEEN};

/// How one thing is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CheckStatus)]
pub(crate) enum CheckStatus {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) status: CheckStatus,
    pub(crate) message: String,
    /// What to do about it, where something is to be done and `message` does not say it.
    pub(crate) way_out: Option<String>,
    /// The exit code of a command that fails for this.
    #[serde(skip)]
    exit_code: u8,
}

impl Check {
    pub(crate) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Ok, message: message.into(), way_out: None, exit_code: 0 }
    }

    pub(crate) fn warn(
        name: &'static str,
        message: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        let way_out = Some(way_out.into());
        Self { status: CheckStatus::Warn, way_out, ..Self::ok(name, message) }
    }

    pub(crate) fn fail(
        name: &'static str,
        kind: ErrorKind,
        message: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        let exit_code = kind.exit_code();
        Self { status: CheckStatus::Fail, exit_code, ..Self::warn(name, message, way_out) }
    }

    /// A failure that says itself what to do, or has it apart.
    pub(crate) fn failed(name: &'static str, failure: &Failure) -> Self {
        // Never 0: the command would succeed with a check that failed.
        let exit_code = failure.exit_code().max(UNFORESEEN);
        let (message, way_out) = match failure {
            Failure::Error(error) => {
                let way_out = error.way_out().map(str::to_owned);
                let error = Error::from(error.cause().clone()).without_way_out();
                (error.to_string(), way_out)
            }
            failure => (failure.to_string(), None),
        };
        Self { status: CheckStatus::Fail, exit_code, way_out, ..Self::ok(name, message) }
    }

    /// The line for a person.
    pub(crate) fn line(&self) -> String {
        let status = match self.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
        };
        let way_out = self.way_out.iter().map(|way_out| format!("; {way_out}"));
        let way_out: String = way_out.collect();
        format!("{status:4}  {:12}  {}{way_out}", self.name, self.message)
    }
}

/// The exit code: that of the first thing that fails, in the order in which they are looked at.
pub(crate) fn exit_code(checks: &[Check]) -> u8 {
    let failed = |check: &&Check| check.status == CheckStatus::Fail;
    checks.iter().find(failed).map_or(0, |check| check.exit_code)
}
