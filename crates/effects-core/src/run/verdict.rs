//! What ends a wait: the service's last word on a task.

use super::Core;
use crate::effect::{Effect, Picture, Usage};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::outcome::{Failed, Outcome};
use crate::task::{Status, Task};
use crate::task_id::TaskId;

/// The end the service's answer spells, if it does.
pub(super) fn verdict(id: &TaskId, task: &Task, core: &mut Core) -> Option<Outcome> {
    let gateway = core.policy.gateway.as_ref();
    let pictures: Vec<Picture> =
        task.pictures.iter().filter_map(|picture| picture.clone().at(gateway)).collect();
    let has_picture = !pictures.is_empty();
    let completed = match &task.status {
        Some(status) if !status.is_final() => return None,
        // Without a word, a picture speaks for itself.
        None if !has_picture => return None,
        status => !matches!(status, Some(Status::Failed | Status::Cancelled)),
    };
    if let Some(sent) = task.usage.as_ref().and_then(|usage| usage.unreadable_cost.as_ref()) {
        let most = Usage::MOST_COST;
        let message = format!(
            "what task {id} cost cannot be read: the service sent {sent:?}, which is no sum from 0 to \
             {most} USD"
        );
        core.tell(Event::Warning { message });
    }
    if completed && has_picture {
        if let Some(error) = &task.error {
            let message =
                format!("task {id} is completed, and reports an error all the same: {error}");
            core.tell(Event::Warning { message });
        }
        return Some(Outcome::Completed(Box::new(Effect {
            task_id: id.clone(),
            pictures,
            usage: task.usage.clone().unwrap_or_default(),
            metadata: task.metadata.clone(),
            warning: task.error.clone(),
            raw: task.raw.clone(),
        })));
    }
    let kind = if completed && task.error.is_none() {
        ErrorKind::NoPicture
    } else {
        ErrorKind::TaskFailed
    };
    Some(Outcome::Failed(Failed {
        task_id: id.clone(),
        kind,
        error: task.error.clone(),
        usage: task.usage.clone(),
        raw: task.raw.clone(),
    }))
}
