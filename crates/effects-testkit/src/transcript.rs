//! [`Transcript`]: the log of a run in a [`World`](crate::World): entries recorded, calls sent, answers,
//! sleeps, events and the outcome, each a [`TranscriptNote`] with its time. `World` writes it; tests of the
//! core and of this crate look for events and times in it, and print it when they fail.

use std::fmt;
use std::time::Duration;

use effects_core::gateway::{Answer, Call, CallId};
use effects_core::journal::Entry;
use effects_core::run::SleepReason;
use effects_core::{Event, Outcome, Time};

/// What happened to a run in a [`World`](crate::World), in order. It prints as one line each.
#[derive(Clone, Debug)]
pub struct Transcript {
    start: Time,
    lines: Vec<(Time, TranscriptNote)>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TranscriptNote {
    /// An entry was made durable.
    Recorded(Entry),
    /// A call was sent.
    Sent(Call),
    /// What came of a call arrived.
    Arrived {
        /// The call.
        call: CallId,
        /// What came.
        answer: Answer,
    },
    /// The run slept, or until something arrived.
    Slept {
        /// Until when.
        until: Time,
        /// Why.
        why: SleepReason,
    },
    /// The run reported an event.
    Notified(Event),
    /// The run was over.
    Done(Outcome),
}

impl Transcript {
    pub(crate) fn starting_at(start: Time) -> Self {
        Self { start, lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, at: Time, note: TranscriptNote) {
        self.lines.push((at, note));
    }

    pub(crate) fn ends_with(&self, outcome: &Outcome) -> bool {
        matches!(self.lines.last(), Some((_, TranscriptNote::Done(last))) if last == outcome)
    }

    /// Everything, with the times.
    pub fn lines(&self) -> &[(Time, TranscriptNote)] {
        &self.lines
    }

    /// How long it took, from the beginning of the world to the last line.
    pub fn elapsed(&self) -> Duration {
        self.lines.last().map_or(Duration::ZERO, |(at, _)| at.since(self.start))
    }

    /// The entries that were made durable.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|(_, note)| match note {
            TranscriptNote::Recorded(entry) => Some(entry),
            _ => None,
        })
    }

    /// The calls that were sent, with the times.
    pub fn calls(&self) -> impl Iterator<Item = (Time, &Call)> {
        self.lines.iter().filter_map(|(at, note)| match note {
            TranscriptNote::Sent(call) => Some((*at, call)),
            _ => None,
        })
    }

    /// The events that the run reported.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.lines.iter().filter_map(|(_, note)| match note {
            TranscriptNote::Notified(event) => Some(event),
            _ => None,
        })
    }

    /// How long the run slept each time, and why.
    pub fn sleeps(&self) -> impl Iterator<Item = (Duration, SleepReason)> {
        self.lines.iter().filter_map(|(at, note)| match note {
            TranscriptNote::Slept { until, why } => Some((until.since(*at), *why)),
            _ => None,
        })
    }

    /// The last lines, as text.
    pub fn tail(&self, lines: usize) -> String {
        let skipped = self.lines.len().saturating_sub(lines);
        self.write(skipped)
    }

    fn write(&self, skipped: usize) -> String {
        let mut text = String::new();
        for (at, note) in &self.lines[skipped..] {
            let seconds = at.since(self.start).as_secs_f64();
            text.push_str(&format!("{seconds:10.3}  {note}\n"));
        }
        text
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(0))
    }
}

impl fmt::Display for TranscriptNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded(entry) => write!(f, "record  {:?}", entry.fact),
            Self::Sent(call) => {
                let kind = if call.is_submission() { "submit" } else { "poll" };
                write!(f, "send    {}: {kind}, within {:?}", call.id, call.timeout)
            }
            Self::Arrived { call, answer: Answer::Answered { status, body, .. } } => {
                write!(f, "answer  {call}: {status} {}", String::from_utf8_lossy(body))
            }
            Self::Arrived { call, answer: Answer::BrokenOff { status, body, reason, .. } } => {
                let body = String::from_utf8_lossy(body);
                write!(f, "answer  {call}: {status} {body}, broken off: {reason}")
            }
            Self::Arrived { call, answer: Answer::NotSent(reason) | Answer::Untrusted(reason) } => {
                write!(f, "answer  {call}: never left: {reason}")
            }
            Self::Arrived { call, answer: Answer::NotRecorded(reason) } => {
                write!(f, "answer  {call}: not recorded: {reason}")
            }
            Self::Arrived { call, answer: Answer::Lost(reason) } => {
                write!(f, "answer  {call}: lost: {reason}")
            }
            Self::Slept { why, .. } => write!(f, "sleep   {why:?}"),
            Self::Notified(event) => write!(f, "notify  {event}"),
            Self::Done(outcome) => write!(f, "done    {outcome:?}"),
        }
    }
}
