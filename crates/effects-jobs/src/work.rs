//! [`Work`]: what a job or a single run asks of the gateway: to submit a request, its photo uploaded or
//! still to be, to follow a task that exists, or to go on with a row of the journal, which submits
//! nothing. `JobMachine` takes one with each job (of both clients' jobs, the async client's single runs
//! and the simulation), the clients' `Watch` one for a single run; the clients, the command and the
//! Python package also search it for an API key that was put there by mistake.

use effects_core::model::Checked;
use effects_core::{EffectRequest, Size, TaskId, Template, Time};

/// What a job asks of the gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Submit a request and follow its task.
    Submit(EffectRequest),
    /// Upload a photo, which the driver knows, then submit the request with it.
    Upload(Checked),
    /// Follow a task submitted before.
    Watch {
        /// The task.
        task: TaskId,
        /// Its template, if known: of use to the pace alone.
        template: Option<Template>,
        /// When it was submitted, if known.
        submitted: Option<Time>,
    },
    /// Go on with a row of the journal: nothing is submitted.
    Resume,
}

impl Work {
    /// The task, if there is one already.
    pub fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Watch { task, .. } => Some(task),
            Self::Submit(_) | Self::Upload(_) | Self::Resume => None,
        }
    }

    /// The template, where it is known.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Self::Submit(request) => Some(request.template()),
            Self::Upload(checked) => Some(&checked.template),
            Self::Watch { template, .. } => template.as_ref(),
            Self::Resume => None,
        }
    }

    /// Whether it may submit a task, which is paid for.
    pub fn submits(&self) -> bool {
        matches!(self, Self::Submit(_) | Self::Upload(_))
    }

    /// What its price depends on, where it may submit.
    pub(crate) fn priced_by(&self) -> Option<(Template, Size)> {
        match self {
            Self::Submit(request) => Some((request.template().clone(), request.size())),
            Self::Upload(checked) => Some((checked.template.clone(), checked.size)),
            Self::Watch { .. } | Self::Resume => None,
        }
    }
}

impl From<EffectRequest> for Work {
    fn from(request: EffectRequest) -> Self {
        Self::Submit(request)
    }
}

impl From<TaskId> for Work {
    fn from(task: TaskId) -> Self {
        Self::Watch { task, template: None, submitted: None }
    }
}
