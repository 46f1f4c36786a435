//! [`Models`]: the duration histories of all gateways and labels, as data that a program saves for later
//! processes. `effects_client::PaceFile` reads it from its file, adds what a client learnt, and writes it
//! back; the command's `gateway.rs` makes its client's `Pacer` and the estimate of `effects batch --plan`
//! from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{Histories, History};
use super::label::{InvalidLabel, Label};
use super::pacer::Pacer;
use crate::gateway::origin::Origin;

/// Histories by origin and label: what a program keeps from one process to the next.
///
/// Durations at one gateway say nothing about another, least of all those at a gateway on this
/// machine, so each origin is learnt by itself and [`without_loopback`](Self::without_loopback)
/// says what is worth keeping.
///
/// ```
/// use std::time::Duration;
/// use effects_core::{BaseUrl, Template};
/// use effects_core::pace::{Models, Observation, Pacer};
///
/// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
/// let mut models = Models::new();
///
/// // A client paces by what is known at its origin, and learns.
/// let pacer = models.pacer(base.origin());
/// let (last_running, first_ended) = (Some(Duration::from_secs(9)), Duration::from_secs(12));
/// pacer.learn(Some(&Template::GlassBall.into()), Observation::Ended { last_running, first_ended });
///
/// // What it learnt is added, once, to what is kept.
/// models.add(base.origin(), &pacer.take_news());
/// let kept = serde_json::to_string(&models)?;
/// assert_eq!(serde_json::from_str::<Models>(&kept)?, models);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "WrittenModels", into = "WrittenModels")]
pub struct Models {
    origins: BTreeMap<Origin, Histories>,
}

impl Models {
    /// Nothing known.
    pub const fn new() -> Self {
        Self { origins: BTreeMap::new() }
    }

    /// What is known at an origin.
    pub fn at(&self, origin: &Origin) -> Option<&Histories> {
        self.origins.get(origin)
    }

    /// A pacer that knows what is known at an origin; nothing is shared between the two.
    pub fn pacer(&self, origin: &Origin) -> Pacer {
        Pacer::knowing(self.at(origin).cloned().unwrap_or_default())
    }

    /// Appends what was learnt at an origin to its histories: see [`History::append`].
    pub fn add(&mut self, origin: &Origin, news: &Histories) {
        // An origin of which nothing was learnt gets no entry, so that `is_empty` stays true.
        if news.values().all(History::is_empty) {
            return;
        }
        let labels = self.origins.entry(origin.clone()).or_default();
        for (label, history) in news.iter().filter(|(_, history)| !history.is_empty()) {
            labels.entry(label.clone()).or_default().append(history);
        }
    }

    /// Adds what others have seen, as if the two had been seen side by side: see
    /// [`History::merge`].
    pub fn merge(&mut self, other: &Self) {
        for (origin, theirs) in &other.origins {
            let labels = self.origins.entry(origin.clone()).or_default();
            for (label, history) in theirs {
                labels.entry(label.clone()).or_default().merge(history);
            }
        }
    }

    /// The same without what was learnt at gateways on this machine, which counts nowhere else.
    #[must_use]
    pub fn without_loopback(mut self) -> Self {
        self.origins.retain(|origin, _| !origin.is_loopback());
        self
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }
}

/// The written form: version 1; histories by origin, then by label; the empty label holds tasks of
/// unknown label.
#[derive(Deserialize, Serialize)]
struct WrittenModels {
    version: u32,
    origins: BTreeMap<Origin, BTreeMap<String, History>>,
}

impl From<Models> for WrittenModels {
    fn from(models: Models) -> Self {
        let id = |label: Option<Label>| label.map_or(String::new(), String::from);
        let write =
            |labels: Histories| labels.into_iter().map(|(label, it)| (id(label), it)).collect();
        let origins = models.origins.into_iter().map(|(origin, labels)| (origin, write(labels)));
        Self { version: VERSION, origins: origins.collect() }
    }
}

impl TryFrom<WrittenModels> for Models {
    type Error = String;

    fn try_from(written: WrittenModels) -> Result<Self, String> {
        let WrittenModels { version, origins } = written;
        if version != VERSION {
            return Err(format!(
                "version: pace models of version {version} are not known, only {VERSION}; delete \
                 them and they will be learnt again"
            ));
        }
        let label = |id: String| match id.as_str() {
            "" => Ok(None),
            id => id.parse().map(Some).map_err(|error: InvalidLabel| error.to_string()),
        };
        let read = |labels: BTreeMap<String, History>| -> Result<Histories, String> {
            labels.into_iter().map(|(id, history)| Ok((label(id)?, history))).collect()
        };
        let origins = origins.into_iter().map(|(origin, labels)| Ok((origin, read(labels)?)));
        Ok(Self { origins: origins.collect::<Result<_, String>>()? })
    }
}

const VERSION: u32 = 1;
