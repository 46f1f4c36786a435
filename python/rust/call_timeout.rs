//! [`CallTimeout`]: the time of `timeout=`, which `Engine` gives to a look, an upload or a download, with the
//! error that says what took longer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use effects_client::is_replay;
use effects_core::{BaseUrl, Error, ErrorKind, TaskId};

use crate::policy::duration;

/// The time that one call may take, with all that is repeated within it.
pub(crate) struct CallTimeout {
    /// None: as long as the policy lets it.
    time: Option<Duration>,
    kind: ErrorKind,
    what: &'static str,
    task: Option<TaskId>,
    base: Arc<BaseUrl>,
}

impl CallTimeout {
    /// So many seconds for a call that is called so in an error of this kind; none: as long as the policy lets it.
    ///
    /// # Errors
    ///
    /// A number of seconds that is none.
    pub fn new(
        base: &Arc<BaseUrl>,
        seconds: Option<f64>,
        kind: ErrorKind,
        what: &'static str,
    ) -> Result<Self, Error> {
        let time = seconds.map(|seconds| duration("timeout", seconds)).transpose()?;
        Ok(Self { time, kind, what, task: None, base: Arc::clone(base) })
    }

    /// Of this task, which an error names.
    pub fn about(self, task: &TaskId) -> Self {
        Self { task: Some(task.clone()), ..self }
    }

    /// Does this, or gives up at the end of the time.
    pub async fn enforce<T>(
        self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(time) = self.time else { return work.await };
        // The end of the time drops the work half-way, which is safe for what comes here: looks,
        // uploads and downloads, none of which is billed.
        tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
            let why = format!("{} took longer than the {time:?} of timeout=", self.what);
            let error = Error::new(self.kind, why);
            Err(match &self.task {
                // A replay's task is nowhere.
                Some(task) if is_replay(self.base.origin()) => error.about(task),
                Some(task) => {
                    error.about(task).with_resume_line(|task| self.base.resume_line(task))
                }
                None => error,
            })
        })
    }
}
