//! Reports of progress: what honest ones bring and what false ones cost.

use effects_core::pace::Learned;

use super::world::{Dice, Watched};

#[test]
fn honest_progress_brings_the_news_sooner_for_less() {
    let watched = Watched::after(100, 16, |dice| 30.0 * dice.factor(0.5));
    let curve = watched.history.curve(&Learned::default());
    let blind = watched.with_progress(&curve, |_, _, _| None);
    let sharp = watched.with_progress(&curve, |age, end, _| Some(age / end));
    assert!(sharp.polls <= 0.95 * blind.polls, "{sharp:?} {blind:?}");
    assert!(sharp.delay <= 0.8 * blind.delay, "{sharp:?} {blind:?}");
}

#[test]
fn progress_that_does_not_move_costs_nothing() {
    let watched = Watched::after(100, 17, |dice| 12.0 * dice.factor(0.4));
    let curve = watched.history.curve(&Learned::default());
    let blind = watched.with_progress(&curve, |_, _, _| None);
    for (liar, report) in LIARS {
        let fooled = watched.with_progress(&curve, report);
        assert_eq!(fooled, blind, "{liar}");
    }
}

#[test]
fn progress_that_only_seems_to_move_does_little_harm() {
    let watched = Watched::after(100, 17, |dice| 12.0 * dice.factor(0.4));
    let curve = watched.history.curve(&Learned::default());
    let blind = watched.with_progress(&curve, |_, _, _| None).cost(&curve);
    for (liar, report, bound) in DREAMERS {
        let fooled = watched.with_progress(&curve, report).cost(&curve);
        assert!(fooled <= bound * blind, "{liar}: {fooled} instead of {blind}");
    }
}

/// What a service reports at an age, of a task that will end at another, with dice to lie with.
type Report = fn(f64, f64, &mut Dice) -> Option<f64>;

const LIARS: [(&str, Report); 7] = [
    ("nothing done", |_, _, _| Some(0.0)),
    ("stuck at half", |_, _, _| Some(0.5)),
    ("99 % for ever", |_, _, _| Some(0.99)),
    ("creeping to 99 %", |age, _, _| Some(0.98 + 0.01 * age / (age + 10.0))),
    ("runs back", |age, end, _| Some(1.0 - age / end)),
    ("out of range", |age, _, _| Some(100.0 * age)),
    ("not a number", |_, _, _| Some(f64::NAN)),
];

const DREAMERS: [(&str, Report, f64); 3] = [
    ("a steady count to a minute", |age, _, _| Some((age / 60.0).min(1.0)), 1.35),
    ("a leap to 90 %", |age, _, _| Some(if age < 10.0 { 0.1 } else { 0.9 }), 1.05),
    ("dice", |_, _, dice| Some(dice.roll()), 1.1),
];
