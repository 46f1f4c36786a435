//! [`WaitOptions`] (`--wait-timeout`, `--last-look`, and `--deadline` with them) and [`DeadlineOption`]
//! (`--deadline` alone): the options for how long a command may take, which each puts into the `Policy`
//! that the command's runs follow. `effects run` and `effects wait` have the first; `submit`, `batch`,
//! `watch` and `reorder` the second.

use std::time::Duration;

use clap::Args;
use effects_client::WallClock;
use effects_core::{Deadline, Policy};

use crate::values::{duration, time_limit};

/// How long to wait for a task.
#[derive(Args, Clone, Copy)]
pub(crate) struct WaitOptions {
    /// How long to wait: 90, 90s, 10m, 1h; the task goes on after that
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    wait_timeout: Duration,

    /// How long the last look at the end of the wait may take, beyond it; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    last_look: Duration,

    #[command(flatten)]
    deadline: DeadlineOption,
}

impl WaitOptions {
    /// The policy under these options, for a command that begins now.
    pub(crate) fn policy(self, policy: Policy) -> Policy {
        let Self { wait_timeout, last_look, deadline } = self;
        deadline.policy(Policy { wait_timeout, last_look, ..policy })
    }
}

/// How long all of a command may take.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DeadlineOption {
    /// How long all of it may take: upload, submission, wait and download together
    ///
    /// Nothing is submitted after that, and a task that is not over by then is named with the line that
    /// goes on with it. A submission that is under way is awaited, for at most 30 s: its answer names a
    /// task that is paid for.
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    deadline: Option<Duration>,
}

impl DeadlineOption {
    /// The policy under this option, for a command that begins now.
    pub(crate) fn policy(self, policy: Policy) -> Policy {
        // It begins with the command and not with the first exchange, so that an upload counts, too.
        let begun = |limit| Deadline::after(limit).begun(WallClock::new().now());
        Policy { deadline: self.deadline.map(begun), ..policy }
    }
}
