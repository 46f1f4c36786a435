//! [`settle`]: ends the work on a task, unless it has ended already: keeps the picture as a file, books
//! the price as paid or gives the reservation back, writes the end to the store, and only then shows it
//! to clients. `painting.rs` calls it at the end of each job, and `lifecycle.rs` for a task from before
//! a restart that was stored without its photo.

use bytes::Bytes;
use effects_core::ServiceCode;

use crate::file_store::Change;
use crate::spending::Movement;
use crate::state::EmulatorState;
use crate::store::StoreEntry;
use crate::task::{EmulatedTask, TaskFailure, TaskPicture, WorkStage};

/// Ends the work on a task with its picture or its failure, unless it has ended already.
pub(crate) async fn settle(state: &EmulatorState, id: &str, result: Result<Bytes, TaskFailure>) {
    let stage = match result {
        Ok(png) => {
            let size = png.len() as u64;
            match state.keep(png).await {
                Ok(Change { kept, .. }) => {
                    // Before the end is seen: a client may ask for the picture at once, and the
                    // record names its task.
                    state.files.set_task(&kept.name, id);
                    WorkStage::Painted(TaskPicture { file: kept.name, size, sides: None })
                }
                Err(error) => WorkStage::Failed(TaskFailure::new(
                    ServiceCode::Generation,
                    format!("Internal generation error: the picture cannot be kept: {error}"),
                )),
            }
        }
        Err(failure) => WorkStage::Failed(failure),
    };
    // A failure while the emulator stops may come of the stop itself: it is no verdict, and the next
    // start in the same folder works on the task again.
    if matches!(stage, WorkStage::Failed(_)) && state.is_stopping() {
        return;
    }
    let file = match &stage {
        WorkStage::Painted(picture) => Some(picture.file.clone()),
        _ => None,
    };
    // The task is held meanwhile, so that a reset comes before all of this or after it.
    let known = state.tasks.with(id, |task| {
        let is_unsettled = !task.is_settled();
        let is_paid = is_unsettled && file.is_some();
        // A task that was cancelled meanwhile, or that failed, gives its reservation back.
        let movement = if is_paid { Movement::Pay } else { Movement::Release };
        let paid = state.spending.book(movement).unwrap_or_default();
        if is_unsettled {
            task.settled = Some(state.clock.now());
            let task = EmulatedTask { stage: stage.clone(), ..task.clone() };
            // Sent under the lock: entries about one task reach the store in the order in which it
            // has changed.
            state.write(|| StoreEntry::Settled { id: id.to_owned(), task, paid });
        }
        is_unsettled
    });
    let was_shown = known == Some(true) && {
        // Written first, then shown: after a kill a client must not find less than it saw.
        state.wait_for_commit().await;
        show(state, id, stage)
    };
    state.changes.task(id);
    // A task that was cancelled or forgotten meanwhile has no use for its picture.
    if let Some(file) = file.filter(|_| !was_shown) {
        state.files.remove(&file);
        state.write(|| StoreEntry::Gone(vec![file]));
    }
}

/// Lets the end of a task be seen; false if it has come to another meanwhile, and what was paid is
/// paid back.
fn show(state: &EmulatorState, id: &str, stage: WorkStage) -> bool {
    let was_shown = state.tasks.with(id, |task| {
        // Asked again: a cancel may have come while the end was being committed.
        let is_unsettled = !task.is_settled();
        if is_unsettled {
            task.stage = stage;
        } else if matches!(stage, WorkStage::Painted(_)) {
            let paid = state.spending.book(Movement::Refund).unwrap_or_default();
            let (id, task) = (id.to_owned(), task.clone());
            state.write(|| StoreEntry::Settled { id, task, paid });
        }
        is_unsettled
    });
    // The reset that has forgotten it has forgotten what was spent as well.
    was_shown == Some(true)
}
