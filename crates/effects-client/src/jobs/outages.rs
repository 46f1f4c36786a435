//! Which outages of a gateway are news to a caller: [`OutageNews`].

use std::mem::{Discriminant, discriminant};

use effects_core::batch::{Outage, OutageFailure};

/// Picks the outages that are to be told: each kind once, however often its count changes.
#[derive(Debug, Default)]
pub struct OutageNews(Option<(Discriminant<OutageFailure>, bool)>);

impl OutageNews {
    /// The outage, if it is to be told.
    pub fn of<'a>(&mut self, outage: Option<&'a Outage>) -> Option<&'a Outage> {
        let kind = outage.map(|outage| (discriminant(&outage.failure), outage.is_final));
        let before = std::mem::replace(&mut self.0, kind);
        outage.filter(|_| before != kind)
    }
}
