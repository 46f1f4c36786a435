//! What few tasks have anything of, kept beside the rest of what is known of one, and the short
//! forms of what most have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wait::Waiting;
use crate::pace::Progress;
use crate::time::Time;
use crate::wire::task::Status;
use crate::wire::trouble::Trouble;

/// What most tasks have nothing of: on the heap, and only while there is something.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seldom {
    /// Its status, where that is [`Shown::Other`].
    status: Option<Status>,
    /// The unknown status word that was told of.
    told: Option<Status>,
    /// What went wrong with the latest look.
    trouble: Option<Trouble>,
    /// The looks that did not find it, since it was last seen.
    missing: Option<Missing>,
    /// The statuses of refused looks that were told of.
    refused: Vec<u16>,
}

/// Looks that did not find the task.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Missing {
    /// When the first of them was answered.
    pub(super) since: Time,
    pub(super) looks: u32,
}

/// What a task was last seen as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    Nothing,
    Queued,
    InProgress,
    Other,
}

/// A [`Progress`] that takes little room; one that is not a number is none.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Report {
    age_millis: u32,
    done: f32,
}

impl Report {
    pub(super) const NONE: Self = Self { age_millis: 0, done: f32::NAN };

    pub(super) fn new(age: Duration, done: f64) -> Self {
        Self { age_millis: u32::try_from(age.as_millis()).unwrap_or(u32::MAX), done: done as f32 }
    }
}

impl From<Report> for Progress {
    fn from(report: Report) -> Self {
        let age = Duration::from_millis(report.age_millis.into());
        Self { age, done: report.done.into() }
    }
}

impl Waiting {
    /// What the task was last seen as.
    pub(super) fn status(&self) -> Option<Status> {
        match self.status {
            Shown::Nothing => None,
            Shown::Queued => Some(Status::Queued),
            Shown::InProgress => Some(Status::InProgress),
            Shown::Other => self.seldom.as_ref()?.status.clone(),
        }
    }

    pub(super) fn set_status(&mut self, status: Option<Status>) {
        if let Shown::Other = self.status {
            self.set_seldom(|seldom| seldom.status = None);
        }
        self.status = match status {
            None => Shown::Nothing,
            Some(Status::Queued) => Shown::Queued,
            Some(Status::InProgress) => Shown::InProgress,
            Some(_) => {
                self.set_seldom(|seldom| seldom.status = status);
                Shown::Other
            }
        };
    }

    /// The unknown status word that was told of.
    pub(super) fn told(&self) -> Option<&Status> {
        self.seldom.as_ref()?.told.as_ref()
    }

    pub(super) fn set_told(&mut self, word: Option<Status>) {
        if word.is_some() || self.seldom.is_some() {
            self.set_seldom(|seldom| seldom.told = word);
        }
    }

    /// What went wrong with the latest look.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.seldom.as_ref()?.trouble.as_ref()
    }

    pub(super) fn set_trouble(&mut self, trouble: Option<Trouble>) {
        if trouble.is_some() || self.seldom.is_some() {
            self.set_seldom(|seldom| seldom.trouble = trouble);
        }
    }

    /// The looks that did not find the task, since it was last seen.
    pub(super) fn missing(&self) -> Option<Missing> {
        self.seldom.as_ref()?.missing
    }

    pub(super) fn set_missing(&mut self, missing: Option<Missing>) {
        if missing.is_some() || self.seldom.is_some() {
            self.set_seldom(|seldom| seldom.missing = missing);
        }
    }

    /// The statuses of refused looks that were told of.
    pub(super) fn refused(&self) -> &[u16] {
        self.seldom.as_ref().map_or(&[], |seldom| &seldom.refused)
    }

    /// Notes that a look was refused with this status; whether it is the first such look.
    pub(super) fn set_refused(&mut self, status: u16) -> bool {
        let first = !self.refused().contains(&status);
        if first {
            self.set_seldom(|seldom| seldom.refused.push(status));
        }
        first
    }

    /// The last two reports of progress, the older one first.
    pub(super) fn reports(&self) -> [Option<Report>; 2] {
        self.reports.map(|report| Some(report).filter(|report| !report.done.is_nan()))
    }

    pub(super) fn set_reports(&mut self, reports: [Option<Report>; 2]) {
        self.reports = reports.map(|report| report.unwrap_or(Report::NONE));
    }

    pub(super) fn set_seldom(&mut self, change: impl FnOnce(&mut Seldom)) {
        let seldom = self.seldom.get_or_insert_default();
        change(seldom);
        if **seldom == Seldom::default() {
            self.seldom = None;
        }
    }
}
