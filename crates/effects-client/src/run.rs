//! [`begin_run`]: makes the `Run` that a [`Work`] asks for, with a fresh seed: one that submits a request
//! or one that follows a task; a photo that is not uploaded or a row that is not opened yet is refused.
//! Only the `Watch` of the blocking client (`effects-ureq`) calls it, and drives the run; the async client
//! and jobs begin theirs in a batch.

use std::sync::Arc;

use effects_core::pace::Pacer;
use effects_core::{Error, ErrorKind, Policy, Run, Time};
use effects_jobs::Work;

use crate::random::fresh_seed;

/// Begins the run of a work, which shares this pacer.
///
/// # Errors
///
/// Those of [`fresh_seed`]; [`ErrorKind::Misconfigured`] for a work that has to be made ready first: a
/// photo to be uploaded, a row to be opened.
pub fn begin_run(work: Work, pacer: &Pacer, policy: Arc<Policy>, now: Time) -> Result<Run, Error> {
    let seed = fresh_seed()?;
    let run = match work {
        Work::Submit(request) => Run::submit(request, policy, seed, now),
        Work::Watch { task, template, submitted } => {
            let run = Run::attach(task, template.map(Into::into), policy, seed, now);
            match submitted {
                Some(submitted) => run.submitted_at(submitted),
                None => run,
            }
        }
        Work::Upload(_) | Work::Resume => {
            let why = "a photo is uploaded and a row is opened before its run begins";
            return Err(Error::new(ErrorKind::Misconfigured, why));
        }
    };
    Ok(run.paced_by(pacer))
}
