//! A run under its client's pace.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use effects_core::pace::Pacer;
use effects_core::{Error, Policy, Run, Time};

use crate::job::Work;
use crate::random::fresh_seed;

/// A run that is paced by what its client has learnt, and teaches it what it saw when it is let go:
/// at its end, or wherever it was left.
#[derive(Debug)]
pub struct PacedRun {
    run: Run,
    pacer: Pacer,
    policy: Arc<Policy>,
}

impl PacedRun {
    /// A run under the pace of this pacer and this policy, which should be the run's own.
    pub fn new(run: Run, pacer: Pacer, policy: Arc<Policy>) -> Self {
        Self { run, pacer, policy }
    }

    /// Begins a piece of work.
    ///
    /// # Errors
    ///
    /// Those of [`fresh_seed`].
    pub fn begin(work: Work, pacer: Pacer, policy: Arc<Policy>, now: Time) -> Result<Self, Error> {
        let (seed, shared) = (fresh_seed()?, Arc::clone(&policy));
        let run = match work {
            Work::Submit(request) => Run::submit(request, shared, seed, now),
            Work::Watch { task, template, submitted } => {
                let run = Run::attach(task, template.map(Into::into), shared, seed, now);
                match submitted {
                    Some(submitted) => run.submitted_at(submitted),
                    None => run,
                }
            }
        };
        Ok(Self::new(run, pacer, policy))
    }

    /// Lets the next look go by all that is known by now: to be called before driving on.
    pub fn refresh(&mut self, now: Time) {
        let curve = self.pacer.curve(self.run.label(), &self.policy.pace, now);
        self.run.pace_by(curve);
    }
}

impl Deref for PacedRun {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl DerefMut for PacedRun {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

impl Drop for PacedRun {
    fn drop(&mut self) {
        if let Some(observation) = self.run.observation() {
            self.pacer.learn(self.run.label(), observation);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use effects_core::pace::Observation;
    use effects_core::{Answer, ApiKey, BaseUrl, Endpoint, Seed, Step};

    use super::*;

    #[test]
    fn a_run_that_is_dropped_teaches_what_it_saw_and_once() {
        let (pacer, policy) = (Pacer::new(), Arc::new(Policy::default()));
        let start = Time::from_millis(1_764_000_000_000);
        let run = Run::attach("t".parse().unwrap(), None, policy.clone(), Seed::from(1), start);
        let mut run = PacedRun::new(run.submitted_at(start), pacer.clone(), policy);
        run.refresh(start);
        let now = start + Duration::from_secs(7);
        let Step::Send(call) = run.step(now) else { panic!() };
        let base = BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap();
        let endpoint = Endpoint::new(base, ApiKey::new("key-for-tests").unwrap());
        let body = br#"{"status":"in_progress"}"#.as_slice().into();
        let (status, headers) = (http::StatusCode::OK, http::HeaderMap::new());
        let answer = Answer::Answered { status, headers, body };
        run.reply(now, call.id, &endpoint.result(answer));
        let age = Duration::from_secs(7);
        assert_eq!(run.observation(), Some(Observation::Running { age }));
        assert!(pacer.histories().is_empty());
        drop(run);
        assert_eq!(pacer.histories()[&None].len(), 1);
    }
}
