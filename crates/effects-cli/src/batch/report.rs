//! [`RowReport`]: what became of a row: its [`RowStatus`], task, cost and files, or its error. It is made
//! of a job's result (`Session`), of an invalid or skipped row (`preflight`, `Batch::run`, `Batch::watch`),
//! or of the journal's record (`Reporter`, `FolderRows`). `effects batch`, `watch`, `resume` and `reorder`
//! print it as a line or as JSON ([`RowObject`]); `BatchSummary` adds it up, the hooks get it, and
//! `Results` and `FolderRows` write it into the folder's manifest.

use std::path::PathBuf;

use effects_client::{JobResult, is_replay};
use effects_core::journal::{OverBudget, RowNumber};
use effects_core::run::Failed;
use effects_core::{Cause, Error, ErrorKind, ExtraParams, ServiceCode, TaskBill, TaskId, Usage};
use effects_jobs::{Attempt, JobOutcome, Method, Record, RowState};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::paid_picture::PaidPicture;
use super::rows::{InvalidRow, RowLabel};
use crate::known_key::KnownKey;
use crate::problem::{InputProblem, Problems};
use crate::rerun_line::{gateway_line, resolve_lines};
use crate::response_object::ResponseObject;

/// What became of a row.
#[derive(Clone, Debug)]
pub(crate) struct RowReport {
    pub(crate) label: RowLabel,
    pub(crate) row: Option<RowNumber>,
    pub(crate) status: RowStatus,
    pub(crate) method: Option<ReportedMethod>,
    pub(crate) task: Option<TaskId>,
    pub(crate) paths: Vec<PathBuf>,
    /// The picture that it keeps while a new order of it has no end.
    pub(crate) paid_picture: Option<PaidPicture>,
    /// What its last task cost, as far as the service said; whenever it was paid.
    pub(crate) cost: Option<Decimal>,
    /// What the service sent for a cost that cannot be read.
    pub(crate) unreadable_cost: Option<String>,
    /// Whether the sums have that cost already, from when the task failed.
    pub(crate) is_counted: bool,
    /// What its tasks before that cost, in USD.
    pub(crate) earlier: Decimal,
    pub(crate) error: Option<ReportedError>,
    /// What is odd about its picture.
    pub(crate) warning: Option<String>,
    pub(crate) problems: Vec<InputProblem>,
}

/// What became of a row, in a word.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = RowStatus)]
pub(crate) enum RowStatus {
    /// Its picture is there.
    Completed,
    /// Its picture is made and paid for, and not there yet.
    NotDownloaded,
    /// Its task goes on.
    Running,
    /// Its submission may have made a task.
    Doubtful,
    /// Its task has no picture.
    Failed,
    /// No task was made; nothing is billed.
    Refused,
    /// Nothing was sent for it, by this run.
    NotSubmitted,
    /// The row cannot be sent.
    Invalid,
    /// An earlier row asks for the same, and equal rows are left out.
    Skipped,
}

/// How its picture was come by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = How)]
pub(crate) enum ReportedMethod {
    /// It was there.
    Kept,
    /// By a task of this run.
    Submitted,
    /// By a task of an earlier run, or of another process.
    Resumed,
}

impl From<Method> for ReportedMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Kept => Self::Kept,
            Method::Submitted => Self::Submitted,
            Method::Resumed => Self::Resumed,
        }
    }
}

/// Why a row has no picture.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ReportedError {
    pub(crate) kind: &'static str,
    pub(crate) exit_code: u8,
    message: String,
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<ServiceCode>,
    status: Option<u16>,
    request_id: Option<String>,
    idempotency_key: Option<String>,
    /// What is kept of the answer it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseObject>,
    /// Why it does not fit into the budget.
    #[serde(skip)]
    pub(crate) over_budget: Option<OverBudget>,
    /// Whether it is of a replay, which leaves no task to find out about.
    #[serde(skip)]
    is_replayed: bool,
}

/// A row with `--json`.
#[derive(Serialize, ToSchema)]
pub(super) struct RowObject<'a> {
    schema: &'static str,
    line: Option<u64>,
    row: Option<u64>,
    key: Option<&'a str>,
    template: Option<&'a str>,
    image: Option<&'a str>,
    width: Option<u32>,
    height: Option<u32>,
    #[serde(skip_serializing_if = "ExtraParams::is_empty")]
    #[schema(value_type = Object)]
    params: &'a ExtraParams,
    tag: Option<&'a str>,
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<u64>,
    status: RowStatus,
    how: Option<ReportedMethod>,
    #[schema(value_type = Option<String>)]
    task_id: Option<&'a TaskId>,
    path: Option<String>,
    paths: Vec<String>,
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable_cost: Option<&'a str>,
    #[schema(value_type = Option<ReportedError>)]
    error: Option<&'a ReportedError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_picture: Option<&'a PaidPicture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<InputProblem>)]
    problems: &'a [InputProblem],
}

impl RowReport {
    pub(crate) fn new(label: RowLabel, status: RowStatus) -> Self {
        Self {
            label,
            row: None,
            status,
            method: None,
            task: None,
            paths: Vec::new(),
            paid_picture: None,
            cost: None,
            unreadable_cost: None,
            is_counted: false,
            earlier: Decimal::ZERO,
            error: None,
            warning: None,
            problems: Vec::new(),
        }
    }

    /// Whether nothing was sent for it: it may still come to a task, beside one that failed before.
    pub(crate) fn is_unsent(&self) -> bool {
        let (invalid, refused) = (RowStatus::Invalid, RowStatus::Refused);
        [invalid, refused, RowStatus::NotSubmitted].contains(&self.status)
    }

    /// A row that nothing is sent for, for a reason of its own.
    pub(crate) fn refused(label: RowLabel, kind: ErrorKind, why: String) -> Self {
        let mut report = Self::new(label, RowStatus::Refused);
        report.error = Some(ReportedError::plain(kind, why));
        report
    }

    /// A row that ended with this error.
    pub(crate) fn of_error(label: RowLabel, error: &Error) -> Self {
        let mut report = Self::new(label, status_of(error));
        report.task = error.task_id().cloned();
        report.error = Some(ReportedError::of(error));
        match error.cause() {
            // A task that failed may have a bill all the same.
            Cause::Failed(Failed { usage: Some(usage), .. }) => report.billed(usage),
            _ => report,
        }
    }

    /// A row whose new task goes on.
    pub(crate) fn submitted(label: RowLabel, task: TaskId) -> Self {
        let mut report = Self::new(label, RowStatus::Running);
        (report.method, report.task) = (Some(ReportedMethod::Submitted), Some(task));
        report
    }

    /// What came of a row's job; `None` for one that was not begun, of which the manifest tells.
    pub(crate) fn of_result(label: RowLabel, result: JobResult) -> Option<Self> {
        let JobResult { outcome, method, earlier_cost, row, record, files, warnings, .. } = result;
        let mut report = match outcome {
            JobOutcome::Completed(effect) => {
                let mut report = Self::new(label, RowStatus::Completed).billed(&effect.usage);
                report.task = Some(effect.task_id);
                report
            }
            JobOutcome::NotFetched(effect, error) => {
                let mut report = Self::new(label, RowStatus::NotDownloaded).billed(&effect.usage);
                report.task = Some(effect.task_id);
                report.error = Some(ReportedError::of(&error));
                report
            }
            // Nothing was paid in this run; the cost is the one that the journal has.
            JobOutcome::Kept => {
                let mut report = Self::new(label, RowStatus::Completed);
                report.task = record.as_ref().and_then(|it| it.state.task().cloned());
                report.cost = record.as_ref().and_then(|it| it.state.cost());
                report
            }
            JobOutcome::Recorded(record) => {
                let mut report = Self::of_record(label, &record);
                // With a method this run saw the task fail: `SessionMessage::FailedAndRenewed` had its
                // cost then, and the row could not be paid for anew.
                if let RowState::Failed { .. } = &record.state {
                    let how = method.map(ReportedMethod::from);
                    (report.method, report.is_counted) = (how, how.is_some());
                }
                return Some(report);
            }
            JobOutcome::Failed(error) => {
                let mut report = Self::of_error(label, &error);
                // Its task is done, also where this run could not look at it.
                let done = record.as_ref().map(|record| &record.state).filter(|state| {
                    matches!(state, RowState::Completed { .. })
                        && report.task.as_ref() == state.task()
                });
                if let Some(state) = done {
                    report.cost = report.cost.or(state.cost());
                    if report.status == RowStatus::Running {
                        report.status = RowStatus::NotDownloaded;
                    }
                } else if let (RowStatus::Doubtful | RowStatus::Running, Some(record)) =
                    (report.status, &record)
                {
                    // The row keeps its picture while a new order has no end. It is paid for, so the
                    // report must tell of it.
                    let paid = PaidPicture::of(record);
                    report.paid_picture = paid.or(PaidPicture::of_state(&record.state));
                }
                report
            }
            JobOutcome::Refused(error) if error.kind() == ErrorKind::InvalidRequest => {
                let problems = vec![match (error.field(), error.way_out()) {
                    (Some("key"), None) => {
                        InputProblem::key(&error.to_string(), label.scope.as_deref())
                    }
                    _ => error.into(),
                }];
                return Some(Self::of_invalid(InvalidRow { label: label.into(), problems }));
            }
            JobOutcome::Refused(error) => {
                let refused = Self::refused(label, error.kind(), error.to_string());
                return Some(refused.after(earlier_cost).with_failed_task(record.as_deref()));
            }
            JobOutcome::NotReady(error) => {
                let mut report = Self::of_error(label, &error);
                if report.status != RowStatus::Invalid {
                    report.status = RowStatus::NotSubmitted;
                }
                report.error = Some(ReportedError::of(&error));
                return Some(report.after(earlier_cost).with_failed_task(record.as_deref()));
            }
            JobOutcome::NotBegun => return None,
        };
        let is_begun = report.status != RowStatus::NotSubmitted;
        report.method = method.map(ReportedMethod::from).filter(|_| is_begun);
        report.paths = files;
        report.warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Some(report.numbered(row).after(earlier_cost).with_failed_task(record.as_deref()))
    }

    /// The same report, of a row that nothing was sent for, with its task that failed before: that one may
    /// have a bill, of which a row without a task would tell nothing.
    #[must_use]
    fn with_failed_task(mut self, record: Option<&Record>) -> Self {
        if let Some(record) = record.filter(|_| self.is_unsent())
            && let RowState::Failed { task, cost, .. } = &record.state
        {
            // Of invalid rows no line stays in the folder.
            if self.status == RowStatus::Invalid {
                self.status = RowStatus::Refused;
            }
            (self.row, self.task, self.cost) = (Some(record.number), Some(task.clone()), *cost);
            self.earlier = record.paid - cost.unwrap_or_default();
            // By the run that saw it fail.
            self.is_counted = true;
        }
        self
    }

    /// A row that cannot be sent.
    pub(crate) fn of_invalid(bad: InvalidRow) -> Self {
        let problems = Problems::among(bad.problems);
        let kind = problems.as_ref().map_or(ErrorKind::InvalidRequest, Problems::kind);
        let message = problems.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut report = Self::new(*bad.label, RowStatus::Invalid);
        let list = problems.map(|problems| problems.list().to_vec()).unwrap_or_default();
        report.error = Some(ReportedError {
            code: list.iter().find_map(|problem| problem.code.clone()),
            ..ReportedError::plain(kind, message)
        });
        report.problems = list;
        report
    }

    /// A row whose record says why it is not to be gone on with: it failed, or is doubtful.
    pub(crate) fn of_record(label: RowLabel, record: &Record) -> Self {
        let is_replayed = is_replay(&record.row.origin);
        let (status, error) = match &record.state {
            RowState::Failed { task, code, message, cost, .. } => {
                let bill = TaskBill::of_failed(*cost).replayed_if(is_replayed);
                let why = format!("task {task} failed: {message}; {bill}");
                let error = ReportedError::plain(ErrorKind::TaskFailed, why);
                (RowStatus::Failed, ReportedError { code: code.clone(), ..error })
            }
            RowState::Doubtful { attempts, reason } => {
                let lead = format!("the outcome of an earlier submission is unknown ({reason})");
                (RowStatus::Doubtful, ReportedError::doubtful(record, attempts, &lead))
            }
            // This process has it, and is about to leave without its answer.
            RowState::Intent { attempts }
                if record.holder.as_ref().is_some_and(|holder| holder.ours) =>
            {
                let lead =
                    "it was being submitted when this run was left, so the outcome is unknown";
                (RowStatus::Doubtful, ReportedError::doubtful(record, attempts, lead))
            }
            // No process follows it, or this one does, which is about to leave.
            RowState::Created { .. } if record.holder.as_ref().is_none_or(|holder| holder.ours) => {
                let bill = TaskBill::OnCompletion.replayed_if(is_replayed);
                let why = format!("stopped watching; {bill}");
                (RowStatus::Running, ReportedError::plain(ErrorKind::Detached, why))
            }
            other => {
                let message = record.why_left();
                let status = if other.task().is_some() {
                    RowStatus::Running
                } else {
                    RowStatus::NotSubmitted
                };
                (status, ReportedError::plain(ErrorKind::WaitTimeout, message))
            }
        };
        let mut report = Self::new(label, status);
        report.row = Some(record.number);
        report.task = record.state.task().cloned();
        report.cost = record.state.cost();
        report.earlier = record.paid - report.cost.unwrap_or_default();
        report.paid_picture = PaidPicture::of(record);
        report.error = Some(error);
        report
    }

    /// A row that this run did not come to the end of, as the journal has it, and its pictures if all
    /// of them are there.
    pub(crate) fn left(label: RowLabel, record: &Record, pictures: Option<Vec<PathBuf>>) -> Self {
        match &record.state {
            // A released row may have paid for tasks before the submission that came to nothing.
            RowState::Released { .. } => {
                let mut report = Self::new(label, RowStatus::NotSubmitted);
                (report.row, report.earlier) = (Some(record.number), record.paid);
                return report;
            }
            RowState::Completed { .. } => {}
            _ => return Self::of_record(label, record),
        }
        let mut report = Self::new(label, RowStatus::NotDownloaded).numbered(Some(record.number));
        report.task = record.state.task().cloned();
        report.cost = record.state.cost();
        report.earlier = record.paid - report.cost.unwrap_or_default();
        match pictures {
            Some(paths) => {
                (report.status, report.method) = (RowStatus::Completed, Some(ReportedMethod::Kept));
                report.paths = paths;
            }
            None => {
                let paid = if is_replay(&record.row.origin) { "" } else { "paid for and " };
                let why =
                    format!("its picture is {paid}not downloaded yet: the same line fetches it");
                report.error = Some(ReportedError::plain(ErrorKind::Download, why));
            }
        }
        report
    }

    /// What all its tasks cost, in USD, as far as the service said; `None` if nothing is known.
    pub(crate) fn paid(&self) -> Option<Decimal> {
        match self.cost {
            None if self.earlier.is_zero() => None,
            cost => Some(self.earlier + cost.unwrap_or_default()),
        }
    }

    /// Whether its last task is done and its cost could not be read.
    pub(crate) fn is_unpriced(&self) -> bool {
        self.cost.is_none()
            && matches!(self.status, RowStatus::Completed | RowStatus::NotDownloaded)
    }

    /// The same report, of the row the journal has under this number.
    #[must_use]
    pub(crate) fn numbered(self, row: Option<RowNumber>) -> Self {
        let mut report = Self { row: row.or(self.row), ..self };
        // The lines of `effects resolve` name the row by its number, which is not known before.
        if let (RowStatus::Doubtful, Some(row), Some(error)) =
            (report.status, row, &mut report.error)
            && !error.is_replayed
        {
            error.message.push_str(&way_out(row));
        }
        report
    }

    /// The same report, of a row with this bill.
    #[must_use]
    pub(crate) fn billed(self, usage: &Usage) -> Self {
        Self { cost: usage.cost, unreadable_cost: usage.unreadable_cost.clone(), ..self }
    }

    /// The same report, of a row whose tasks before the last one cost this, in USD.
    #[must_use]
    pub(crate) fn after(self, earlier: Decimal) -> Self {
        Self { earlier, ..self }
    }

    /// The same report with `[key]` where it repeats the API key.
    #[must_use]
    pub(crate) fn without_key(self, key: &KnownKey) -> Self {
        let clean = |error: ReportedError| ReportedError {
            message: key.redact(error.message).into_owned(),
            ..error
        };
        Self {
            label: self.label.without_key(|text| key.is_in(text)),
            error: self.error.map(clean),
            problems: self.problems.into_iter().map(|it| it.without_key(key)).collect(),
            ..self
        }
    }

    /// What `--json` prints of it.
    pub(crate) fn json(&self) -> String {
        let paths: Vec<String> =
            self.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let RowLabel { line, key, template, image, size, params, tag, .. } = &self.label;
        let RowLabel { identity, scope, duplicate_of, .. } = &self.label;
        let object = RowObject {
            schema: "effects.row.v1",
            line: *line,
            row: self.row.map(|row| row.0),
            key: key.as_deref(),
            template: template.as_deref(),
            image: image.as_deref(),
            width: size.width,
            height: size.height,
            params,
            tag: tag.as_deref(),
            identity: identity.map(|identity| identity.to_string()),
            scope: scope.as_deref(),
            duplicate_of: *duplicate_of,
            status: self.status,
            how: self.method,
            task_id: self.task.as_ref(),
            path: paths.first().cloned(),
            paths,
            cost: self.paid(),
            unreadable_cost: self.unreadable_cost.as_deref(),
            error: self.error.as_ref(),
            paid_picture: self.paid_picture.as_ref(),
            warning: self.warning.as_deref(),
            problems: &self.problems,
        };
        // Texts and numbers can always be written.
        serde_json::to_string(&object).unwrap_or_default()
    }

    /// What a person reads of a row without a picture.
    pub(crate) fn line(&self) -> String {
        self.with_position(self.error.as_ref().map_or(self.status.text(), |error| &error.message))
    }

    /// What a person reads of a row whose cost cannot be read.
    pub(crate) fn cost_line(&self) -> Option<String> {
        let sent = self.unreadable_cost.as_ref()?;
        Some(self.with_position(&format!("its cost cannot be read: the service sent {sent:?}")))
    }

    fn with_position(&self, what: &str) -> String {
        let position = self.label.position(self.row);
        let is_named = |task: &&TaskId| what.contains(task.as_str());
        // Some messages name the task themselves.
        let task = self.task.as_ref().filter(|task| !is_named(task));
        let task = task.map(|task| format!(" (task {task})")).unwrap_or_default();
        format!("{position}: {what}{task}")
    }
}

/// The names in JSON of the ends that hooks get.
pub(super) const STATUS_NAMES: [&str; 5] =
    ["completed", "not_downloaded", "doubtful", "failed", "refused"];

impl RowStatus {
    /// In words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NotDownloaded => "not downloaded",
            Self::Running => "still running",
            Self::Doubtful => "doubtful",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NotSubmitted => "not submitted",
            Self::Invalid => "invalid",
            Self::Skipped => "skipped",
        }
    }
}

impl ReportedError {
    /// What an error says, without the line that resumes its task: the batch is resumed as a whole.
    pub(crate) fn of(error: &Error) -> Self {
        let key = match error.cause() {
            Cause::Unknown(unknown) => Some(unknown.idempotency_key.clone()),
            _ => None,
        };
        Self {
            code: error.code().cloned(),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
            idempotency_key: key,
            response: error.response().map(ResponseObject::from),
            over_budget: error.over_budget().cloned(),
            is_replayed: matches!(error.cause(), Cause::Unknown(unknown) if unknown.is_replayed),
            ..Self::plain(
                error.kind(),
                Error::from(error.cause().clone()).with_status_line(gateway_line).to_string(),
            )
        }
    }

    pub(crate) fn plain(kind: ErrorKind, message: String) -> Self {
        Self {
            kind: kind.name(),
            exit_code: kind.exit_code(),
            message,
            code: None,
            status: None,
            request_id: None,
            idempotency_key: None,
            response: None,
            over_budget: None,
            is_replayed: false,
        }
    }

    /// Whether it is about a budget that may reach its row once tasks of other runs have told their cost.
    pub(super) fn is_over_budget_for_now(&self) -> bool {
        self.kind == ErrorKind::BudgetExceeded.name() && self.over_budget.is_none()
    }

    fn doubtful(record: &Record, attempts: &[Attempt], lead: &str) -> Self {
        let last = attempts.last();
        let is_replayed = is_replay(&record.row.origin);
        let message = match is_replayed {
            true => format!("{lead}; this is a replay, in which nothing is billed"),
            false => {
                format!("{lead}: the task may exist and may be billed{}", way_out(record.number))
            }
        };
        Self {
            request_id: last.map(|attempt| attempt.request_id.clone()),
            idempotency_key: last.map(|attempt| attempt.idempotency_key.clone()),
            is_replayed,
            ..Self::plain(ErrorKind::OutcomeUnknown, message)
        }
    }
}

/// What a person reads of a completed row whose last new order failed.
pub(crate) fn kept_after_failed_order(record: &Record) -> Option<String> {
    let order = record.failed_order.as_deref()?;
    let RowState::Failed { task, message, cost, .. } = order else { return None };
    let kept = record.state.task().map(|task| format!(" of task {task}")).unwrap_or_default();
    let bill = TaskBill::of_failed(*cost).replayed_if(is_replay(&record.row.origin));
    Some(format!(
        "a new order of it, task {task}, failed ({message}); {bill}; the row keeps its picture{kept}"
    ))
}

/// What a person does about a doubtful row.
fn way_out(row: RowNumber) -> String {
    format!("; find out, then {}", resolve_lines(row))
}

fn status_of(error: &Error) -> RowStatus {
    match error.cause() {
        Cause::Invalid(_) => RowStatus::Invalid,
        // The same line run again submits it.
        Cause::Refused(refused) if refused.kind == ErrorKind::DeadlineExceeded => {
            RowStatus::NotSubmitted
        }
        Cause::Refused(_) => RowStatus::Refused,
        Cause::Failed(_) => RowStatus::Failed,
        Cause::Unknown(_) => RowStatus::Doubtful,
        Cause::StillRunning(_) => RowStatus::Running,
        // The run was told to stop before it submitted anything.
        Cause::Detached(detached) if detached.task_id.is_none() => RowStatus::NotSubmitted,
        Cause::Detached(_) => RowStatus::Running,
        // A task that was not found for at least a minute is over. Where the wait broke off otherwise, it
        // goes on.
        Cause::Broken(broken) if broken.kind == ErrorKind::TaskNotFound => RowStatus::Failed,
        Cause::Broken(_) => RowStatus::Running,
        _ => match error.kind() {
            ErrorKind::Download => RowStatus::NotDownloaded,
            ErrorKind::OutcomeUnknown => RowStatus::Doubtful,
            ErrorKind::UnusablePhoto => RowStatus::Invalid,
            _ if error.task_id().is_some() => RowStatus::Running,
            _ => RowStatus::NotSubmitted,
        },
    }
}
