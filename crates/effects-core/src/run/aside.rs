//! What a run has to say or to remember now and then, beside what it always knows.

use super::entry::{Entry, EntryId};
use super::event::Event;
use super::outcome::Unknown;
use crate::gateway::call::CallId;

/// Kept on the heap, and only while there is something in it: a run that waits has nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside(Option<Box<Things>>);

#[derive(Clone, Debug, Default)]
struct Things {
    /// What is to be recorded before anything else, and whether it was handed out. A second one
    /// comes only where a repeated submission made a second task.
    record: Option<Entry>,
    more_records: Vec<Entry>,
    recording: bool,
    /// What is to be told, in order. There is one thing at a time, seldom two.
    event: Option<Event>,
    more_events: Vec<Event>,
    /// The submissions booked as lost, and what is known of the latest.
    doubts: Vec<CallId>,
    doubt: Option<Box<Unknown>>,
}

impl Aside {
    /// Nothing but what outlives the process that had it.
    pub(super) fn restored(
        record: Option<Entry>,
        more_records: Vec<Entry>,
        doubts: Vec<CallId>,
        doubt: Option<Unknown>,
    ) -> Self {
        let mut aside = Self::default();
        if record.is_some() || !doubts.is_empty() || doubt.is_some() {
            // Whoever was writing the entry is gone: it is handed out again.
            let doubt = doubt.map(Box::new);
            aside.0 =
                Some(Box::new(Things { record, more_records, doubts, doubt, ..Things::default() }));
        }
        aside
    }

    /// Whether there is something to record or to tell.
    pub(super) fn speaks(&self) -> bool {
        self.0.as_ref().is_some_and(|things| things.record.is_some() || things.event.is_some())
    }

    pub(super) fn record(&mut self, entry: Entry) {
        let things = self.things();
        match things.record {
            None => (things.record, things.recording) = (Some(entry), false),
            Some(_) => things.more_records.push(entry),
        }
    }

    /// What is to be recorded.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.0.as_ref()?.record.as_ref()
    }

    /// What is to be recorded after that.
    pub(super) fn more_entries(&self) -> &[Entry] {
        self.0.as_ref().map_or(&[], |things| &things.more_records)
    }

    /// Whether the first was handed out.
    pub(super) fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|things| things.recording)
    }

    /// Notes that the entry is handed out, or is to be once more.
    pub(super) fn set_recording(&mut self, recording: bool) {
        if let Some(things) = &mut self.0 {
            things.recording = recording;
        }
    }

    /// The entry that was handed out need not be handed out again; whether it was this one.
    pub(super) fn recorded(&mut self, entry: EntryId) -> bool {
        if let Some(things) = &mut self.0
            && things.recording
            && things.record.as_ref().is_some_and(|record| record.id == entry)
        {
            things.recording = false;
            things.record =
                (!things.more_records.is_empty()).then(|| things.more_records.remove(0));
            self.tidy();
            return true;
        }
        false
    }

    pub(super) fn tell(&mut self, event: Event) {
        let things = self.things();
        match things.event {
            None => things.event = Some(event),
            Some(_) => things.more_events.push(event),
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        let things = self.0.as_mut()?;
        let event = things.event.take()?;
        if !things.more_events.is_empty() {
            things.event = Some(things.more_events.remove(0));
        }
        self.tidy();
        Some(event)
    }

    /// The submissions booked as lost.
    pub(super) fn doubts(&self) -> &[CallId] {
        self.0.as_ref().map_or(&[], |things| &things.doubts)
    }

    pub(super) fn doubt_call(&mut self, call: CallId) {
        self.things().doubts.push(call);
    }

    /// The fate of a submission booked as lost is known.
    pub(super) fn settle(&mut self, call: CallId) {
        if let Some(things) = &mut self.0 {
            things.doubts.retain(|doubt| *doubt != call);
            self.tidy();
        }
    }

    /// The latest attempt of unknown fate, as long as no task is known.
    pub(super) fn doubt(&self) -> Option<&Unknown> {
        self.0.as_ref()?.doubt.as_deref()
    }

    pub(super) fn set_doubt(&mut self, unknown: Unknown) {
        self.things().doubt = Some(Box::new(unknown));
    }

    pub(super) fn take_doubt(&mut self) -> Option<Unknown> {
        let doubt = self.0.as_mut()?.doubt.take()?;
        self.tidy();
        Some(*doubt)
    }

    fn things(&mut self) -> &mut Things {
        self.0.get_or_insert_default()
    }

    fn tidy(&mut self) {
        let empty = |things: &Things| {
            things.record.is_none()
                && things.event.is_none()
                && things.doubts.is_empty()
                && things.doubt.is_none()
        };
        if self.0.as_deref().is_some_and(empty) {
            self.0 = None;
        }
    }
}
