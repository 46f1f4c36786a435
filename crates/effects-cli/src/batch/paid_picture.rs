//! [`PaidPicture`]: the picture that a completed row is paid for and keeps while a new order of the row
//! is under way or in doubt. `RowReport` and `effects tasks` print it beside the order; `EarlierLine`
//! reads it from a folder's manifest.

use effects_core::{TaskId, Time};
use effects_jobs::{PictureRecord, Record, RowState};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The picture that is paid for.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct PaidPicture {
    #[schema(value_type = String)]
    pub(crate) task_id: TaskId,
    /// When its task was submitted, in milliseconds since the epoch.
    #[schema(value_type = u64)]
    submitted_ms: Time,
    /// USD, exact to the digit.
    #[schema(value_type = Option<String>)]
    pub(crate) cost: Option<Decimal>,
    /// Where it is, if it was saved.
    pub(crate) paths: Vec<String>,
}

impl PaidPicture {
    /// That of a row with a new order that has no end.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        Self::of_state(record.paid_picture.as_deref()?)
    }

    /// That of a completed row.
    pub(crate) fn of_state(state: &RowState) -> Option<Self> {
        let RowState::Completed { task, submitted, cost, pictures, .. } = state else {
            return None;
        };
        let saved = pictures.iter().filter_map(|picture| picture.path.as_ref());
        Some(Self {
            task_id: task.clone(),
            submitted_ms: *submitted,
            cost: *cost,
            paths: saved.map(|path| path.to_string_lossy().into_owned()).collect(),
        })
    }

    /// When its task was submitted.
    pub(crate) const fn submitted(&self) -> Time {
        self.submitted_ms
    }

    /// How its row stands where nothing comes of the new order, which was seen `now`.
    pub(crate) fn state(&self, now: Time) -> RowState {
        // Neither the URL nor the content is kept here: the file is adopted as one that an earlier
        // version saved.
        let picture = |path| PictureRecord { url: String::new(), path, content: None };
        let mut pictures: Vec<_> =
            self.paths.iter().map(|path| picture(Some(path.into()))).collect();
        if pictures.is_empty() {
            // Not saved: a look at the task tells how many there are.
            pictures.push(picture(None));
        }
        RowState::Completed {
            task: self.task_id.clone(),
            submitted: self.submitted_ms,
            finished: now,
            cost: self.cost,
            pictures,
        }
    }
}
