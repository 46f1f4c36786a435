//! [`EmulatedTask`]: one task of the emulator: what was asked for, when it is due, its fault, and how
//! far the work on it has come ([`WorkStage`]); from these and the clock it tells what a client sees
//! ([`VisibleState`]). `lifecycle.rs`, `painting.rs` and `settle.rs` change it,
//! [`Tasks`](crate::tasks::Tasks) has all of them, and `store.rs` saves them; `wire/` and
//! `inspection.rs` show them to clients and tests.
//!
//! No timer runs for a task. Whether it is done is read off its stage and the clock whenever
//! a client looks, so a hundred thousand waiting tasks cost their memory alone.

use effects_core::model::SIDE_RANGE;
use effects_core::{ServiceCode, Template};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;

/// A task as the emulator keeps it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EmulatedTask {
    /// The surface that accepted it.
    pub(crate) surface: Surface,
    /// The template, when the request named a listed one.
    pub(crate) template: Option<Template>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// When it was accepted, in the clock's milliseconds.
    pub(crate) created: u64,
    /// The earliest time it may be seen finished.
    pub(crate) due: u64,
    pub(crate) stage: WorkStage,
    /// When the work on it ended, seen or not; it is not known of tasks of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<u64>,
    /// What goes wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Box<Fault>>,
    /// How often it was looked at.
    #[serde(default)]
    pub(crate) looks: u32,
}

/// The surface that accepted a task.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Surface {
    Generation,
    Queue,
}

impl Surface {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Queue => "queue",
        }
    }
}

/// How far the work on a task has come, whether or not it is due.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WorkStage {
    /// Waits for a painter.
    Queued,
    /// Is being fetched and painted.
    Painting,
    /// Has its picture.
    Painted(TaskPicture),
    /// Has none and never will.
    Failed(TaskFailure),
}

/// A finished picture, as the file it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TaskPicture {
    /// The file's name in the file store.
    pub(crate) file: Box<str>,
    /// Its bytes.
    pub(crate) size: u64,
    /// Its width and height, where they are not those that its task asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sides: Option<(u32, u32)>,
}

/// Why a task failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TaskFailure {
    pub(crate) code: ServiceCode,
    pub(crate) message: Box<str>,
}

impl TaskFailure {
    pub(crate) fn new(code: ServiceCode, message: impl Into<Box<str>>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a look at a task sees.
#[derive(Debug)]
pub(crate) enum VisibleState<'a> {
    /// Not finished; the share of the way it has come, in 0..1.
    Running(f64),
    Completed(&'a TaskPicture),
    Failed(&'a TaskFailure),
}

impl EmulatedTask {
    /// Counts a look; false while the task is not to be found.
    pub(crate) fn look(&mut self) -> bool {
        self.looks = self.looks.saturating_add(1);
        !matches!(self.fault.as_deref(), Some(Fault::Missing { looks }) if self.looks <= *looks)
    }

    /// What a look at this time sees.
    pub(crate) fn visible_state(&self, now: u64) -> VisibleState<'_> {
        match &self.stage {
            // Work that ends early waits for its time: the latency decides, and not how fast this
            // machine paints.
            WorkStage::Painted(picture) if now >= self.due => VisibleState::Completed(picture),
            WorkStage::Failed(failure) if now >= self.due => VisibleState::Failed(failure),
            stage => VisibleState::Running(self.progress(stage, now)),
        }
    }

    /// Whether a look at this time sees it running.
    pub(crate) fn is_running(&self, now: u64) -> bool {
        matches!(self.visible_state(now), VisibleState::Running(_))
    }

    /// When it was finished to its clients, if a look at this time sees it finished.
    pub(crate) fn finished(&self, now: u64) -> Option<u64> {
        // It is finished once its work and its time are both over.
        (!self.is_running(now)).then(|| self.settled.unwrap_or(0).max(self.due))
    }

    /// Progress follows the time that is known to be needed; without any, the stages of the work.
    fn progress(&self, stage: &WorkStage, now: u64) -> f64 {
        if self.due <= self.created {
            return if matches!(stage, WorkStage::Queued) { 0.0 } else { 0.5 };
        }
        #[allow(clippy::cast_precision_loss, reason = "a share of the way needs no exactness")]
        let share = now.saturating_sub(self.created) as f64 / (self.due - self.created) as f64;
        // Below 1 while it runs, even if its painting is late. The command lines show whole per
        // cent.
        (share.clamp(0.0, 0.99) * 100.0).round() / 100.0
    }

    /// The sides its painter is asked for: wrong ones are such as it can paint.
    pub(crate) fn painted_sides(&self) -> (u32, u32) {
        match self.fault.as_deref() {
            Some(Fault::WrongSides) if self.width == self.height => {
                let half = self.height / 2;
                // The half of a short side would be below what the painter takes.
                let other = if half < *SIDE_RANGE.start() { self.height * 2 } else { half };
                (self.width, other)
            }
            Some(Fault::WrongSides) => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// Whether its work is over, seen or not.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.stage, WorkStage::Painted(_) | WorkStage::Failed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_finished_when_painted_and_due_and_progresses_until_then() {
        let mut task = EmulatedTask {
            surface: Surface::Generation,
            template: Some(Template::GlassBall),
            width: 512,
            height: 512,
            created: 1_000,
            due: 3_000,
            stage: WorkStage::Queued,
            settled: None,
            fault: None,
            looks: 0,
        };
        assert!(
            matches!(task.visible_state(2_000), VisibleState::Running(share) if (share - 0.5).abs() < 0.01)
        );
        assert!(matches!(task.visible_state(9_000), VisibleState::Running(share) if share < 1.0));
        task.stage = WorkStage::Painted(TaskPicture { file: "a.png".into(), size: 1, sides: None });
        assert!(matches!(task.visible_state(2_999), VisibleState::Running(_)));
        assert!(matches!(task.visible_state(3_000), VisibleState::Completed(_)));
        task.stage = WorkStage::Failed(TaskFailure::new(ServiceCode::Upstream, "no"));
        assert!(matches!(task.visible_state(2_999), VisibleState::Running(_)));
        assert!(matches!(task.visible_state(3_000), VisibleState::Failed(_)));

        task.fault = Some(Box::new(Fault::Missing { looks: 2 }));
        assert_eq!([task.look(), task.look(), task.look()], [false, false, true]);
        assert_eq!(task.painted_sides(), (512, 512));
        task.fault = Some(Box::new(Fault::WrongSides));
        assert_eq!(task.painted_sides(), (512, 1024));
        for side in SIDE_RANGE {
            (task.width, task.height) = (side, side);
            let (width, height) = task.painted_sides();
            assert!(width != height && SIDE_RANGE.contains(&height), "{side}: {width}x{height}");
        }
    }
}
