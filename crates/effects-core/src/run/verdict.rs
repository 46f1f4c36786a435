//! What ends a wait: the service's last word on a task.

use super::Core;
use crate::run::event::Event;
use crate::run::outcome::Outcome;
use crate::task_id::TaskId;
use crate::wire::effect::Usage;
use crate::wire::task::Task;

/// The end the service's answer spells, if it does.
pub(super) fn verdict(id: &TaskId, task: &Task, core: &mut Core) -> Option<Outcome> {
    let outcome = task.outcome(id, core.policy.gateway.as_ref())?;
    if let Some(sent) = task.usage.as_ref().and_then(|usage| usage.unreadable_cost.as_ref()) {
        let most = Usage::MOST_COST;
        let message = format!(
            "what task {id} cost cannot be read: the service sent {sent:?}, which is no sum from 0 to \
             {most} USD"
        );
        core.tell(Event::Warning { message });
    }
    if let Outcome::Completed(effect) = &outcome
        && let Some(error) = &effect.warning
    {
        let message = format!("task {id} is completed, and reports an error all the same: {error}");
        core.tell(Event::Warning { message });
    }
    Some(outcome)
}
