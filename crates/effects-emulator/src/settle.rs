//! [`settle`]: the end of the work on a task, first written down, then shown, with what it costs.
//!
//! Painting jobs call it with their picture or their failure.

use bytes::Bytes;
use effects_core::ServiceCode;

use crate::gateway::Gateway;
use crate::spending::Movement;
use crate::store::Entry;
use crate::task::{Failure, Picture, Stage, Task};
use crate::vault::Change;

/// Ends the work on a task with its picture or its failure, unless it has ended already.
pub(crate) async fn settle(gateway: &Gateway, id: &str, result: Result<Bytes, Failure>) {
    let stage = match result {
        Ok(png) => {
            let size = png.len() as u64;
            match gateway.keep(png).await {
                Ok(Change { kept, .. }) => {
                    gateway.vault.belongs(&kept.name, id);
                    Stage::Painted(Picture { file: kept.name, size, sides: None })
                }
                Err(error) => Stage::Failed(Failure::new(
                    ServiceCode::Generation,
                    format!("Internal generation error: the picture cannot be kept: {error}"),
                )),
            }
        }
        Err(failure) => Stage::Failed(failure),
    };
    // What breaks while the emulator ends may break for that alone, a file that nobody reads any
    // more, say: it is no verdict, and the next start in the same folder works on the task again.
    if matches!(stage, Stage::Failed(_)) && gateway.is_stopping() {
        return;
    }
    let file = match &stage {
        Stage::Painted(picture) => Some(picture.file.clone()),
        _ => None,
    };
    // The task is held meanwhile, so that a reset comes before all of this or after it.
    let known = gateway.tasks.with(id, |task| {
        let wanted = !task.is_settled();
        let is_paid = wanted && file.is_some();
        let movement = if is_paid { Movement::Pay } else { Movement::Release };
        let paid = gateway.spending.book(movement).unwrap_or_default();
        if wanted {
            task.settled = Some(gateway.clock.now());
            let task = Task { stage: stage.clone(), ..task.clone() };
            gateway.write(|| Entry::Settled { id: id.to_owned(), task, paid });
        }
        wanted
    });
    let told = known == Some(true) && {
        // What is told must be safe before: after a kill nobody may find less than they saw.
        gateway.written().await;
        tell(gateway, id, stage)
    };
    gateway.changes.task(id);
    // A task that was cancelled or forgotten meanwhile has no use for its picture.
    if let Some(file) = file.filter(|_| !told) {
        gateway.vault.remove(&file);
        gateway.write(|| Entry::Gone(vec![file]));
    }
}

/// Lets the end of a task be seen; false if it has come to another meanwhile, and what was paid is
/// paid back.
fn tell(gateway: &Gateway, id: &str, stage: Stage) -> bool {
    let told = gateway.tasks.with(id, |task| {
        let wanted = !task.is_settled();
        if wanted {
            task.stage = stage;
        } else if matches!(stage, Stage::Painted(_)) {
            let paid = gateway.spending.book(Movement::Refund).unwrap_or_default();
            let (id, task) = (id.to_owned(), task.clone());
            gateway.write(|| Entry::Settled { id, task, paid });
        }
        wanted
    });
    // The reset that has forgotten it has forgotten what was spent as well.
    told == Some(true)
}
