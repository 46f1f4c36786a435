//! Delays and polls against other paces, on several distributions, closed loop from nothing.

use std::time::Duration;

use effects_core::pace::{History, Learned, Model};

use super::world::{Dice, SAMPLES, Score, Watched, watch};

#[test]
fn halves_the_delay_where_durations_are_alike() {
    let watched = Watched::after(200, 1, |dice| 12.0 * dice.factor(0.25));
    watched.assert_at_most(0.45, Score::FIXED_3S);
    watched.assert_at_most(0.25, Score::BACKOFF);
}

#[test]
fn gains_where_durations_vary() {
    let watched = Watched::after(200, 2, |dice| 12.0 * dice.factor(0.5));
    watched.assert_at_most(0.75, Score::FIXED_3S);
}

#[test]
fn learns_two_humps() {
    let hump = |dice: &mut Dice| if dice.roll() < 0.8 { 8.0 } else { 40.0 };
    let watched = Watched::after(200, 3, |dice| hump(dice) * dice.factor(0.25));
    watched.assert_at_most(0.62, Score::FIXED_3S);
}

#[test]
fn learns_two_exact_durations() {
    let watched = Watched::after(200, 3, |dice| if dice.roll() < 0.8 { 8.0 } else { 40.0 });
    watched.assert_at_most(0.4, Score::FIXED_3S);
}

#[test]
fn learns_a_flat_stretch() {
    let watched = Watched::after(200, 4, |dice| 5.0 + 15.0 * dice.roll());
    watched.assert_at_most(0.6, Score::FIXED_3S);
}

#[test]
fn loses_little_where_nothing_can_be_learnt() {
    let watched = Watched::after(200, 5, |dice| -15.0 * (1.0 - dice.roll()).ln());
    watched.assert_at_most(1.08, Score::FIXED_3S);
}

#[test]
fn suits_short_tasks() {
    let watched = Watched::after(200, 6, |dice| 3.0 * dice.factor(0.25));
    watched.assert_at_most(0.5, Score::FIXED_3S);
}

#[test]
fn suits_long_tasks() {
    let watched = Watched::after(200, 7, |dice| 60.0 * dice.factor(0.25));
    watched.assert_at_most(0.5, Score::FIXED_3S);
}

#[test]
fn the_default_spends_no_more_than_three_seconds_would() {
    for median in [3.0, 12.0, 60.0] {
        let watched = Watched::after(200, 8, |dice| median * dice.factor(0.3));
        let fixed = Score::of(&watched.rest, Score::FIXED_3S);
        let learned = watched.score(&Learned::default());
        assert!(learned.polls <= 1.02 * fixed.polls, "{median} s: {learned:?} {fixed:?}");
        assert!(learned.delay <= 0.95 * fixed.delay, "{median} s: {learned:?} {fixed:?}");
    }
}

#[test]
fn with_no_history_it_is_three_seconds() {
    for median in [3.0, 12.0, 60.0] {
        let watched = Watched::after(0, 9, |dice| median * dice.factor(0.25));
        watched.assert_at_most(1.05, Score::FIXED_3S);
    }
    let wait = History::new().curve(&Learned::default()).next_look(Duration::ZERO, 0.5);
    assert_eq!(wait, Duration::from_secs(3));
    assert_eq!(History::new().eta(Duration::ZERO), None);
}

#[test]
fn gains_while_it_learns() {
    let mut dice = Dice(10);
    let durations: Vec<f64> = (0..40).map(|_| 12.0 * dice.factor(0.25)).collect();
    let fixed = Score::of(&durations, Score::FIXED_3S);
    let mut total = Score::default();
    let mut model = Model::new(History::new(), Learned::default());
    for duration in &durations {
        total += watch(&mut model, *duration, &mut dice);
    }
    let learned = total / durations.len() as f64;
    assert!(learned.polls <= fixed.polls, "{learned:?} {fixed:?}");
    assert!(learned.delay <= 0.8 * fixed.delay, "{learned:?} {fixed:?}");
}

#[test]
fn learns_a_shift_within_fifty_tasks() {
    let slow = |dice: &mut Dice| 30.0 * dice.factor(0.25);
    let mut shifted = Model::new(History::new(), Learned::default());
    let mut dice = Dice(11);
    for task in 0..250 {
        let duration = if task < 200 { 12.0 * dice.factor(0.25) } else { slow(&mut dice) };
        watch(&mut shifted, duration, &mut dice);
    }
    let rest = (0..SAMPLES).map(|_| slow(&mut dice)).collect();
    let shifted = Watched { history: shifted.history().clone(), rest };
    let (late, fresh) =
        (shifted.against(Score::FIXED_3S), Watched::after(250, 12, slow).against(Score::FIXED_3S));
    assert!(late <= 1.15 * fresh, "{late} instead of {fresh}");
    let eta = shifted.history.eta(Duration::ZERO).unwrap();
    assert!((27.0..33.0).contains(&eta.typical.as_secs_f64()), "{eta}");
}

#[test]
fn a_shift_back_and_a_second_hump_are_learnt_too() {
    let mut model = Model::new(History::new(), Learned::default());
    let mut dice = Dice(13);
    for task in 0..250 {
        let median = if task < 200 { 30.0 } else { 12.0 };
        let duration = median * dice.factor(0.25);
        watch(&mut model, duration, &mut dice);
    }
    let eta = model.history().eta(Duration::ZERO).unwrap();
    assert!((11.0..13.0).contains(&eta.typical.as_secs_f64()), "{eta}");
    for _ in 0..60 {
        let duration = if dice.roll() < 0.5 { 12.0 } else { 60.0 } * dice.factor(0.1);
        watch(&mut model, duration, &mut dice);
    }
    let eta = model.history().eta(Duration::ZERO).unwrap();
    assert!((55.0..75.0).contains(&eta.p90.as_secs_f64()), "{eta}");
}
