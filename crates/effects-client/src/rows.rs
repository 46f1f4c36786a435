//! The runs of a batch, as whoever drives it knows them.

use effects_core::{Batch, Error, RunId, Time};
use tracing::Span;

use crate::job::{Job, Work};
use crate::random::fresh_seed;
use crate::telemetry;

/// What a driver knows of each run of its batch: whom it is for (`K`), its span, its journal (`J`).
///
/// Thousands wait at once, so a row is small, and rows lie in a table by their runs' places.
#[derive(Debug)]
pub struct Rows<K, J>(Vec<Option<Row<K, J>>>);

#[derive(Debug)]
struct Row<K, J> {
    run: RunId,
    known: K,
    /// None where nobody subscribes to it.
    span: Option<Box<Span>>,
    journal: Option<J>,
}

/// When the wait of a run to be submitted begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// When there is room and money for it.
    InTurn,
    /// Now, since somebody waits for it.
    AtOnce,
}

impl<K, J> Rows<K, J> {
    /// No rows.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a job to the batch.
    ///
    /// # Errors
    ///
    /// Those of [`fresh_seed`](crate::fresh_seed), with whom it was for.
    pub fn begin(
        &mut self,
        batch: &mut Batch,
        job: Job<J>,
        known: K,
        begin: Begin,
        now: Time,
    ) -> Result<(), (K, Error)> {
        let Job { work, journal } = job;
        let seed = match fresh_seed() {
            Ok(seed) => seed,
            Err(error) => return Err((known, error)),
        };
        let (run, span) = match work {
            Work::Submit(request) => {
                let span = telemetry::task_span(Some(request.template()), None);
                let run = match begin {
                    Begin::InTurn => batch.submit(request, seed, now),
                    Begin::AtOnce => batch.submit_at_once(request, seed, now),
                };
                (run, span)
            }
            Work::Watch { task, template, submitted } => {
                let span = telemetry::task_span(template.as_ref(), Some(&task));
                (batch.attach(task, template.map(Into::into), submitted, seed, now), span)
            }
        };
        let span = (!span.is_disabled()).then(|| Box::new(span));
        let place = run.place();
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(Row { run, known, span, journal });
        Ok(())
    }

    /// The span of a run's task; none where the run is over.
    pub fn span(&self, run: RunId) -> Span {
        let span = self.get(run).and_then(|row| row.span.as_deref());
        span.map_or_else(Span::none, Clone::clone)
    }

    /// The journal of a run, where it has its own.
    pub fn journal(&self, run: RunId) -> Option<&J> {
        self.get(run)?.journal.as_ref()
    }

    /// Takes a run out that is over: whom it was for.
    pub fn remove(&mut self, run: RunId) -> Option<K> {
        let row = self.0.get_mut(run.place())?.take_if(|row| row.run == run)?;
        Some(row.known)
    }

    /// Every run, and whom it is for.
    pub fn iter(&self) -> impl Iterator<Item = (RunId, &K)> {
        self.0.iter().flatten().map(|row| (row.run, &row.known))
    }

    fn get(&self, run: RunId) -> Option<&Row<K, J>> {
        self.0.get(run.place())?.as_ref().filter(|row| row.run == run)
    }
}

impl<K, J> Default for Rows<K, J> {
    fn default() -> Self {
        Self::new()
    }
}
