//! [`Durations`]: collects how long the tasks of a batch took, by template. [`Durations::histogram`] makes
//! a histogram of them, beside the one expected from the durations of earlier tasks that the client had
//! learnt before the batch. `PageReport` fills it and puts the histogram into the page of `--report`.

use std::collections::BTreeMap;
use std::time::Duration;

use effects_core::pace::{Curve, Histories, History, Label, Learned};
use serde::Serialize;

/// Seconds from a task's id to its end, by template.
#[derive(Debug, Default)]
pub(super) struct Durations(BTreeMap<String, Vec<f64>>);

/// How many tasks took how long.
#[derive(Debug, Serialize)]
pub(super) struct DurationHistogram {
    /// Seconds that a bar stands for.
    width: f64,
    /// How many tasks ended within each bar's time, from 0 on; the last one is of all that took longer.
    seen: Vec<u64>,
    /// How many of as many tasks would have, as the pace had learnt; none where it had learnt nothing.
    learnt: Option<Vec<f64>>,
    templates: Vec<TemplateDurations>,
}

/// What is seen and learnt of one template.
#[derive(Debug, Serialize)]
struct TemplateDurations {
    template: String,
    tasks: usize,
    seen: Quantiles,
    /// From how many earlier tasks something was learnt.
    earlier: usize,
    learnt: Option<Quantiles>,
}

/// By how many seconds half of the tasks have ended, and nine tenths of them.
#[derive(Clone, Copy, Debug, Serialize)]
struct Quantiles {
    #[serde(rename = "half")]
    median: f64,
    #[serde(rename = "most")]
    p90: f64,
}

impl Durations {
    pub(super) fn add(&mut self, template: &str, duration: Duration) {
        match self.0.get_mut(template) {
            Some(durations) => durations.push(duration.as_secs_f64()),
            None => drop(self.0.insert(template.to_owned(), vec![duration.as_secs_f64()])),
        }
    }

    /// The bars, beside those that these histories tell of as many tasks of the same templates; `None`
    /// where no task has ended.
    pub(super) fn histogram(mut self, learnt: &Histories) -> Option<DurationHistogram> {
        let (mut templates, mut curves) = (Vec::new(), Vec::new());
        for (template, durations) in &mut self.0 {
            durations.sort_by(f64::total_cmp);
            let history = template.parse::<Label>().ok().and_then(|label| learnt.get(&Some(label)));
            let curve = history.map(|history| Curve::new(history, &Learned::DEFAULT));
            let eta = curve.as_ref().and_then(|curve| curve.eta(Duration::ZERO));
            templates.push(TemplateDurations {
                template: template.clone(),
                tasks: durations.len(),
                seen: Quantiles { median: quantile(durations, 0.5), p90: quantile(durations, 0.9) },
                earlier: history.map_or(0, History::len),
                learnt: eta.map(|eta| Quantiles {
                    median: eta.typical.as_secs_f64(),
                    p90: eta.p90.as_secs_f64(),
                }),
            });
            curves.extend(curve.map(|curve| (curve, durations.len())));
        }
        let mut all: Vec<f64> = self.0.into_values().flatten().collect();
        all.sort_by(f64::total_cmp);
        if all.is_empty() {
            return None;
        }
        let highest_learnt = templates.iter().filter_map(|it| it.learnt).map(|it| it.p90);
        // A few tasks that took far longer share the last bar: they would make all others one bar.
        let end = highest_learnt.fold(quantile(&all, 0.98), f64::max);
        let width = BAR_WIDTHS.into_iter().find(|width| width * MAX_BARS > end);
        let width = width.unwrap_or(end / MAX_BARS);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few bars")]
        let bars = (end / width) as usize + 1;
        let mut seen = vec![0; bars + 1];
        for duration in &all {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let bar = (duration / width) as usize;
            seen[bar.min(bars)] += 1;
        }
        let learnt = (!curves.is_empty()).then(|| expected(&curves, all.len(), width, bars));
        Some(DurationHistogram { width, seen, learnt, templates })
    }
}

/// How many of so many tasks these curves expect to end within each bar's time, and later; each curve has
/// the weight of its number of tasks.
#[expect(clippy::cast_precision_loss, reason = "counts of tasks")]
fn expected(curves: &[(Curve, usize)], tasks: usize, width: f64, bars: usize) -> Vec<f64> {
    let weight: usize = curves.iter().map(|(_, tasks)| tasks).sum();
    let ended_by = |age: f64| -> f64 {
        let age = Duration::try_from_secs_f64(age).unwrap_or(Duration::MAX);
        let chances =
            curves.iter().map(|(curve, tasks)| curve.chance(Duration::ZERO, age) * *tasks as f64);
        chances.sum::<f64>() / weight as f64
    };
    let mut before = 0.0;
    let mut within = |by: f64| {
        let share = by - before;
        before = by;
        // A tenth of a task is more than a bar can show.
        (share.max(0.0) * tasks as f64 * 10.0).round() / 10.0
    };
    let mut expected: Vec<f64> =
        (1..=bars).map(|bar| within(ended_by(bar as f64 * width))).collect();
    // What is expected after the last of these bars.
    expected.push(within(1.0));
    expected
}

/// Of sorted numbers, at least one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among them"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

const MAX_BARS: f64 = 24.0;

/// Widths of bars that are easily read, in seconds.
const BAR_WIDTHS: [f64; 17] = [
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0,
    3_600.0, 7_200.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_every_task_and_stand_beside_as_many_that_were_expected() {
        let mut durations = Durations::default();
        // 8 to 12 s here, and 9 to 11 s of earlier tasks: bars of half a second.
        for tenth in 0..100 {
            durations.add("glass_ball", Duration::from_millis(8_000 + tenth * 40));
        }
        durations.add("my_world", Duration::from_secs(90_000));
        let mut history = History::new();
        for _ in 0..40 {
            history.observe(Some(Duration::from_secs(9)), Duration::from_secs(11));
        }
        let learnt = Histories::from([(Some("glass_ball".parse().unwrap()), history)]);
        let histogram = durations.histogram(&learnt).unwrap();
        assert_eq!(
            (histogram.width, histogram.seen.iter().sum::<u64>()),
            (0.5, 101),
            "{histogram:?}"
        );
        assert_eq!(histogram.seen.last(), Some(&1), "what took longest has a bar of its own");
        let expected = histogram.learnt.unwrap();
        assert_eq!(expected.len(), histogram.seen.len());
        assert!((expected.iter().sum::<f64>() - 101.0).abs() < 1.0, "{expected:?}");
        // The bars from 9 to 11 s, within which all earlier tasks ended.
        assert!(expected[18..22].iter().sum::<f64>() > 60.0, "{expected:?}");
        let [ball, world] = &histogram.templates[..] else { panic!("{:?}", histogram.templates) };
        assert_eq!((ball.tasks, ball.earlier, ball.seen.median), (100, 40, 9.96));
        assert!(ball.learnt.is_some() && world.learnt.is_none());
    }

    #[test]
    fn where_nothing_ended_there_is_nothing_and_odd_times_break_nothing() {
        assert!(Durations::default().histogram(&Histories::new()).is_none());
        for duration in [Duration::ZERO, Duration::MAX] {
            let mut durations = Durations::default();
            durations.add("x y", duration);
            let histogram = durations.histogram(&Histories::new()).unwrap();
            assert_eq!((histogram.seen.iter().sum::<u64>(), histogram.learnt), (1, None));
            assert!(histogram.seen.len() < 40, "{}", histogram.seen.len());
        }
    }
}
