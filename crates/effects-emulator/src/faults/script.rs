//! [`Script`]: the faults of the next requests to one endpoint, of one template or key if it names one, set
//! before they come by `POST /_emulator/next`, `Emulator::next` (Rust and Python tests) or
//! `Emulator::script`. `FaultInjector` keeps it and takes one fault off it for each request, before it
//! looks at the plan.

use std::collections::VecDeque;

use effects_core::Template;
use serde::Serialize;

use super::fault::Fault;
use crate::endpoint::Endpoint;
use crate::template_id::TemplateId;

/// What the next requests of an endpoint meet, one after the other; in JSON, the body of
/// `POST /_emulator/next`.
///
/// ```
/// use effects_core::Template;
/// use effects_emulator::{Emulator, Endpoint, Fault, Script};
///
/// let emulator = Emulator::start()?;
/// let script = Script::on(Endpoint::Create, [Some(Fault::NoUrl), None]);
/// emulator.script(script.template(Template::GlassBall))?;
/// assert_eq!(emulator.scripted().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[non_exhaustive]
pub struct Script {
    /// The endpoint.
    pub on: Endpoint,
    /// Requests about this template alone; about any when `None`.
    #[schema(value_type = Option<TemplateId>)]
    pub template: Option<Template>,
    /// Requests with this API key alone; with any when `None`.
    pub key: Option<String>,
    /// The faults, first to last; `None` is nothing amiss.
    #[schema(value_type = Vec<Option<Fault>>)]
    pub faults: VecDeque<Option<Fault>>,
}

impl Script {
    /// A script for all requests of an endpoint.
    pub fn on(endpoint: Endpoint, faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        let faults = faults.into_iter().collect();
        Self { on: endpoint, template: None, key: None, faults }
    }

    /// The same for requests about one template alone.
    #[must_use]
    pub fn template(self, template: Template) -> Self {
        Self { template: Some(template), ..self }
    }

    /// The same for requests with one API key alone.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Whether a request is one that it is for.
    pub(crate) fn is_for(&self, on: Endpoint, key: &[u8], template: Option<&Template>) -> bool {
        self.on == on
            && self.template.as_ref().is_none_or(|wanted| Some(wanted) == template)
            // Bytes, since the key of a request need not be UTF-8.
            && self.key.as_ref().is_none_or(|wanted| wanted.as_bytes() == key)
    }

    /// Whether it is for the same requests as another.
    pub(crate) fn is_for_the_same(&self, other: &Self) -> bool {
        (self.on, &self.template, &self.key) == (other.on, &other.template, &other.key)
    }
}

/// Outcomes scripted ahead for one endpoint; more are not taken.
pub(crate) const MAX_SCRIPTED: usize = 100_000;
