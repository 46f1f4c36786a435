//! [`JobResult`]: how a job ended: its picture, its cost, or its error, with its files and its row in the
//! journal. `JobContext` makes it, and the `JobResults` of both clients yield it to Rust programs, to the
//! command's `batch`, `watch`, `resume` and `reorder`, and to the Python package.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use effects_core::journal::RowNumber;
use effects_core::{Effect, Error, ErrorKind, TaskBill, TaskId, Usage};
use effects_jobs::{JobOutcome, Method, Record, RowState};
use rust_decimal::Decimal;

use super::job::Job;
use crate::cassette::is_replay;

/// What came of a job.
#[derive(Debug)]
pub struct JobResult {
    /// Its place among the jobs, from 0.
    pub index: usize,
    /// The job.
    pub job: Job,
    /// What came of it.
    pub outcome: JobOutcome,
    /// How it got its picture, where it came that far.
    pub method: Option<Method>,
    /// What its tasks before the last one cost, in USD.
    pub earlier_cost: Decimal,
    /// Its row in the journal, where there is one.
    pub row: Option<RowNumber>,
    /// What the journal knew of it when it was opened; where it was not opened, what it knows at its end.
    pub record: Option<Box<Record>>,
    /// The files that its pictures are in.
    pub files: Vec<PathBuf>,
    /// Its pictures, where they were fetched into memory.
    pub pictures: Vec<Bytes>,
    /// What is odd about its pictures.
    pub warnings: Vec<String>,
}

impl JobResult {
    /// The finished task, or why there is none with a picture.
    ///
    /// # Errors
    ///
    /// Those of a run; [`ErrorKind::Download`] where the picture is paid for and could not be saved;
    /// [`ErrorKind::OutcomeUnknown`], [`ErrorKind::TaskFailed`] or [`ErrorKind::WaitTimeout`] for what
    /// the journal says of a job that is not gone on with; [`ErrorKind::Detached`] for one that was not
    /// begun.
    pub fn into_result(self) -> Result<Effect, Error> {
        match self.outcome {
            JobOutcome::Completed(effect) => Ok(*effect),
            JobOutcome::Kept => {
                let state = self.record.as_ref().map(|record| &record.state);
                state.and_then(RowState::effect).ok_or_else(|| {
                    let why = "its picture is where it belongs, and its link is not kept";
                    let usage = Usage::of_cost(state.and_then(RowState::cost));
                    Error::new(ErrorKind::Download, why).billed(usage)
                })
            }
            JobOutcome::Recorded(record) => Err(recorded(&record)),
            JobOutcome::NotFetched(_, error)
            | JobOutcome::Failed(error)
            | JobOutcome::Refused(error)
            | JobOutcome::NotReady(error) => Err(error),
            JobOutcome::NotBegun => Err(Error::new(ErrorKind::Detached, NOT_BEGUN)),
        }
    }

    /// The error of a job that this run failed to make a picture of, or to save; of one that was not begun, or
    /// whose end only the journal tells, [`into_result`](Self::into_result) has the error.
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            JobOutcome::NotFetched(_, error)
            | JobOutcome::Failed(error)
            | JobOutcome::Refused(error)
            | JobOutcome::NotReady(error) => Some(error),
            _ => None,
        }
    }

    /// Whether its picture is made, and is where it belongs.
    pub fn is_completed(&self) -> bool {
        matches!(self.outcome, JobOutcome::Completed(_) | JobOutcome::Kept)
    }

    /// Its task, where there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        match &self.outcome {
            JobOutcome::Completed(effect) | JobOutcome::NotFetched(effect, _) => {
                Some(&effect.task_id)
            }
            JobOutcome::Kept => self.record.as_ref()?.state.task(),
            JobOutcome::Recorded(record) => record.state.task(),
            _ => self.error()?.task_id(),
        }
    }

    /// What all its tasks cost, in USD, as far as the service said; `None` if nothing is known.
    pub fn cost(&self) -> Option<Decimal> {
        let last = match &self.outcome {
            JobOutcome::Completed(effect) | JobOutcome::NotFetched(effect, _) => effect.usage.cost,
            JobOutcome::Kept => self.record.as_ref().and_then(|record| record.state.cost()),
            // The journal has the costs of all its tasks.
            JobOutcome::Recorded(record) => {
                let is_known = record.state.cost().is_some() || !record.paid.is_zero();
                return is_known.then_some(record.paid);
            }
            // A task that failed may have a bill all the same.
            JobOutcome::Failed(error) => error.usage().and_then(|usage| usage.cost),
            _ => None,
        };
        match last {
            // A cost of zero that the service said is told; one that it did not say is not taken
            // for zero.
            None if self.earlier_cost.is_zero() => None,
            last => Some(self.earlier_cost + last.unwrap_or_default()),
        }
    }
}

/// `cat.jpg: out/cat.png (0.03 USD)`, or why there is no picture.
impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.job.image())?;
        match (&self.outcome, self.files.first(), self.error()) {
            (JobOutcome::Recorded(record), ..) => write!(f, "{}", recorded(record))?,
            (JobOutcome::NotBegun, ..) => f.write_str(NOT_BEGUN)?,
            (_, _, Some(error)) => write!(f, "{error}")?,
            (_, Some(file), None) => write!(f, "{}", file.display())?,
            (_, None, None) => f.write_str("completed")?,
        }
        if let Some(cost) = self.cost() {
            write!(f, " ({cost} USD)")?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "; warning: {warning}"))
    }
}

/// The outcome, with what its task cost in its error: the service said it, or the journal has it.
pub(super) fn billed(outcome: JobOutcome, record: Option<&Record>) -> JobOutcome {
    match outcome {
        JobOutcome::NotFetched(effect, error) => {
            let usage = effect.usage.clone();
            JobOutcome::NotFetched(effect, error.billed(usage))
        }
        JobOutcome::Failed(error) if error.usage().is_none() => {
            JobOutcome::Failed(match cost_before(record, &error) {
                Some(cost) => error.billed(Usage::of_cost(cost)),
                None => error,
            })
        }
        outcome => outcome,
    }
}

/// What the task of an error cost by the word of the journal: of a task that was done when the job was
/// opened, and that could not be looked at again.
fn cost_before(record: Option<&Record>, error: &Error) -> Option<Decimal> {
    let state = &record?.state;
    (error.task_id().is_some() && error.task_id() == state.task()).then(|| state.cost())?
}

const NOT_BEGUN: &str = "not begun: nothing was sent for it, and nothing is billed";

/// Why the journal's record of a job is not gone on with.
fn recorded(record: &Record) -> Error {
    let (number, is_replayed) = (record.number, is_replay(&record.row.origin));
    let error = match &record.state {
        RowState::Failed { task, message, cost, .. } => {
            let bill = TaskBill::of_failed(*cost).replayed_if(is_replayed);
            let why = format!("task {task} failed in an earlier run: {message}; {bill}");
            Error::new(ErrorKind::TaskFailed, why).billed(Usage::of_cost(*cost))
        }
        RowState::Doubtful { reason, .. } => {
            let lead = format!("the outcome of an earlier submission is unknown ({reason})");
            let why = match is_replayed {
                true => format!("{lead}; this is a replay, in which nothing is billed"),
                false => format!(
                    "{lead}: the task may exist and may be billed; find out, then `effects resolve {number} \
                     --journal FILE --task ID`, or `--not-billed`"
                ),
            };
            Error::new(ErrorKind::OutcomeUnknown, why)
        }
        _ => Error::new(ErrorKind::WaitTimeout, format!("row {number}: {}", record.why_left())),
    };
    match record.state.task() {
        Some(task) => error.about(task),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use effects_core::run::Failed;
    use effects_core::{BaseUrl, Cause, ExtraParams, Size, Template, Time};
    use effects_jobs::{RowDraft, RowPhoto};

    use super::*;
    use crate::cassette::replay_gateway;

    const URL: &str = "https://example.com/cat.jpg";
    const NOW: Time = Time::from_millis(1);

    fn usd(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn task() -> TaskId {
        "task-1".parse().unwrap()
    }

    fn result(outcome: JobOutcome, earlier_cost: Decimal) -> JobResult {
        JobResult {
            index: 0,
            job: Job::url(Template::GlassBall, URL).unwrap(),
            outcome,
            method: Some(Method::Submitted),
            earlier_cost,
            row: None,
            record: None,
            files: Vec::new(),
            pictures: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn record(state: RowState, paid: Decimal) -> Box<Record> {
        let draft = RowDraft {
            origin: BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap().origin().clone(),
            template: Template::GlassBall,
            size: Size::DEFAULT,
            params: ExtraParams::default(),
            photo: RowPhoto::Url(URL.parse().unwrap()),
            key: None,
            tag: None,
            target: None,
        };
        Box::new(Record {
            number: RowNumber(1),
            row: draft.row(0).unwrap(),
            state,
            begun: NOW,
            changed: NOW,
            renewals: 1,
            paid,
            holder: None,
            paid_picture: None,
            failed_order: None,
        })
    }

    #[test]
    fn a_failed_task_that_was_billed_has_a_cost() {
        let cost = usd("0.03");
        let failed = |usage| {
            Error::from(Cause::Failed(Failed {
                task_id: task(),
                kind: ErrorKind::TaskFailed,
                error: None,
                usage,
                raw: Effect::kept(&task(), [], None).raw,
                response: None,
                is_replayed: false,
            }))
        };
        let result = |error| result(JobOutcome::Failed(error), cost);
        assert_eq!(result(failed(Some(Usage::of_cost(cost)))).cost(), Some(cost + cost));
        assert_eq!(result(failed(None)).cost(), Some(cost));
        let words = result(failed(Some(Usage::of_cost(cost)))).to_string();
        assert!(words.ends_with(" (0.06 USD)"), "{words}");
    }

    #[test]
    fn the_cost_of_a_recorded_job_is_what_the_journal_has_of_all_its_tasks() {
        for (last, paid, all) in [
            (Some(usd("0.03")), usd("0.06"), Some(usd("0.06"))),
            (None, usd("0.03"), Some(usd("0.03"))),
            (None, Decimal::ZERO, None),
        ] {
            let state = RowState::Failed {
                task: task(),
                submitted: NOW,
                finished: NOW,
                code: None,
                message: String::new(),
                cost: last,
            };
            // This run has seen the last task fail, or an earlier one has.
            for earlier in [usd("0.03"), Decimal::ZERO] {
                let result = result(JobOutcome::Recorded(record(state.clone(), paid)), earlier);
                assert_eq!(result.cost(), all, "{earlier} {paid}");
            }
        }
    }

    #[test]
    fn the_record_of_a_replay_says_that_nothing_is_paid() {
        let (task, submitted, finished, code) = (task(), NOW, NOW, None);
        let (message, cost) = ("no luck".to_owned(), Some(usd("0.03")));
        let failed = RowState::Failed { task, submitted, finished, code, message, cost };
        let doubtful = RowState::Doubtful { attempts: Vec::new(), reason: "lost".to_owned() };
        for (state, paid, replayed) in [
            (failed, "; it cost 0.03 USD", "which pays nothing: its recording says 0.03 USD"),
            (doubtful, "may exist and may be billed", "a replay, in which nothing is billed"),
        ] {
            let mut record = record(state, Decimal::ZERO);
            let said = recorded(&record).to_string();
            assert!(said.contains(paid) && !said.contains(replayed), "{said}");
            record.row.origin = replay_gateway().origin().clone();
            let said = recorded(&record).to_string();
            assert!(said.contains(replayed) && !said.contains(paid), "{said}");
        }
    }

    #[test]
    fn a_picture_that_is_kept_without_its_link_tells_its_cost_in_its_error() {
        let cost = usd("0.03");
        let pictures = Vec::new();
        let (task, submitted, finished) = (task(), NOW, NOW);
        let state = RowState::Completed { task, submitted, finished, cost: Some(cost), pictures };
        let mut result = result(JobOutcome::Kept, Decimal::ZERO);
        result.record = Some(record(state, cost));
        assert_eq!(result.cost(), Some(cost));
        let error = result.into_result().unwrap_err();
        assert_eq!(error.usage().and_then(|usage| usage.cost), Some(cost));
    }
}
