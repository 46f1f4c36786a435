//! [`OutageFilter`]: picks which outages of a gateway are reported to a caller: each when it begins, then
//! once a minute as long as it lasts; one that ends all submitting only once. The `jobs.rs` of both clients
//! use it for callers of jobs, and the command's `batch/interruptible.rs` for what it prints.

use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use effects_core::batch::{Outage, OutageFailure};

/// Picks the outages that are to be reported: each kind when it begins, however often its count changes, and
/// once a minute as long as it lasts.
#[derive(Debug, Default)]
pub struct OutageFilter(Option<(Discriminant<OutageFailure>, bool, Instant)>);

impl OutageFilter {
    /// The outage, if it is to be reported.
    pub fn of<'a>(&mut self, outage: Option<&'a Outage>) -> Option<&'a Outage> {
        let Some(outage) = outage else {
            self.0 = None;
            return None;
        };
        self.of_at(outage, Instant::now())
    }

    fn of_at<'a>(&mut self, outage: &'a Outage, now: Instant) -> Option<&'a Outage> {
        let (failure, is_final) = (discriminant(&outage.failure), outage.is_final);
        let is_known = self.0.is_some_and(|(before, was_final, reported)| {
            // Nothing is submitted after a final outage, so it is reported once and not each minute.
            let is_recent = is_final || now.duration_since(reported) < REPORT_INTERVAL;
            before == failure && was_final == is_final && is_recent
        });
        if is_known {
            return None;
        }
        self.0 = Some((failure, is_final, now));
        Some(outage)
    }
}

const REPORT_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_when_it_begins_and_once_a_minute() {
        let (mut filter, begun) = (OutageFilter::default(), Instant::now());
        let after = |seconds| {
            let reason = "connection refused".to_owned();
            let failure = OutageFailure::NotSent { time: Duration::from_secs(seconds), reason };
            // A batch gives up after ten minutes without an answer.
            (Outage { failure, is_final: seconds >= 600 }, begun + Duration::from_secs(seconds))
        };
        let mut reported = Vec::new();
        // Every 7 s, which does not divide a minute: reported at the first look after it.
        for seconds in (0..=700).step_by(7) {
            let (outage, now) = after(seconds);
            reported.extend(filter.of_at(&outage, now).map(|_| seconds));
        }
        assert_eq!(reported, [0, 63, 126, 189, 252, 315, 378, 441, 504, 567, 602]);
        // It is over, and begins anew.
        assert_eq!(filter.of(None), None);
        assert!(filter.of_at(&after(1).0, begun).is_some());
    }
}
