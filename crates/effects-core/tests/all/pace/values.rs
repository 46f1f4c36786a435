//! Histories, curves and models as values: looks, estimates, merging, writing, limits.

use std::time::Duration;

use effects_core::pace::{Eta, History, Learned, Model};

use super::world::{Dice, Watched};

#[test]
fn early_endings_bring_early_looks() {
    let seconds = Duration::from_secs;
    let mut history = History::new();
    for _ in 0..100 {
        history.observe(Some(seconds(18)), seconds(20));
    }
    let late = history.curve(&Learned::default()).next_look(Duration::ZERO, 0.5);
    for _ in 0..40 {
        history.observe(Some(seconds(1)), seconds(2));
        history.observe(Some(seconds(18)), seconds(20));
    }
    let early = history.curve(&Learned::default()).next_look(Duration::ZERO, 0.5);
    assert!(late > seconds(17), "{late:?}");
    assert!(early < seconds(3), "{early:?}");
}

#[test]
fn spacing_follows_the_square_root_rule_where_nothing_changes() {
    let mut history = History::new();
    let mut dice = Dice(14);
    for _ in 0..256 {
        let end = Duration::from_secs_f64(-20.0 * (1.0 - dice.roll()).ln());
        history.observe(Some(end), end);
    }
    let worth = Some(Duration::from_millis(500));
    let curve = history.curve(&Learned { worth, ..Learned::default() });
    for age in [6, 10, 15] {
        // √(2 × 0.5 s / (1 / 20 s)) is 4.5 s.
        let wait = curve.next_look(Duration::from_secs(age), 0.5).as_secs_f64();
        assert!((3.4..5.9).contains(&wait), "at {age} s: {wait} s");
    }
}

#[test]
fn an_estimate_grows_with_the_age_and_ends_with_what_is_known() {
    let mut history = History::new();
    let mut dice = Dice(15);
    for _ in 0..200 {
        let end = Duration::from_secs_f64(12.0 * dice.factor(0.25));
        history.observe(Some(end), end);
    }
    let at = |age: u64| history.eta(Duration::from_secs(age));
    let start = at(0).unwrap();
    assert!((11.5..12.5).contains(&start.typical.as_secs_f64()), "{start}");
    assert!((15.5..17.7).contains(&start.p90.as_secs_f64()), "{start}");
    let later = at(14).unwrap();
    assert!(later.typical > Duration::from_secs(14) && later.p90 > start.p90, "{later}");
    assert_eq!(at(600), None);
}

#[test]
fn an_estimate_reads_as_a_sentence() {
    let milliseconds = Duration::from_millis;
    let eta = Eta { typical: milliseconds(12_200), p90: milliseconds(18_400) };
    assert_eq!(eta.to_string(), "usually 12 s, 90 % under 19 s");
}

#[test]
fn tasks_given_up_on_count_as_longer() {
    let mut history = History::new();
    for _ in 0..60 {
        history.observe(Some(Duration::from_secs(9)), Duration::from_secs(11));
        history.observe_running(Duration::from_secs(30));
    }
    let curve = history.curve(&Learned::default());
    let by_twenty = curve.chance(Duration::ZERO, Duration::from_secs(20));
    assert!((0.45..0.55).contains(&by_twenty), "{by_twenty}");
    history.observe_running(Duration::ZERO);
    assert_eq!(history.len(), 120, "never looked at says nothing");
}

#[test]
fn a_chance_is_a_chance() {
    let mut history = History::new();
    let empty = history.curve(&Learned::default());
    for _ in 0..50 {
        history.observe(Some(Duration::from_secs(9)), Duration::from_secs(11));
    }
    for curve in [empty, history.curve(&Learned::default())] {
        let chance = |from, to| curve.chance(Duration::from_secs(from), Duration::from_secs(to));
        assert!(chance(5, 5).abs() < 1e-9);
        assert!(chance(9, 5).abs() < 1e-9);
        assert!(chance(8, 10) > chance(8, 9));
        assert!((0.0..=1.0).contains(&chance(0, 1_000_000)));
        assert!((0.0..=1.0).contains(&chance(1_000_000, 2_000_000)));
    }
}

#[test]
fn merging_is_seeing_both() {
    let mut dice = Dice(18);
    let (mut fast, mut slow) = (History::new(), History::new());
    for _ in 0..100 {
        let end = Duration::from_secs_f64(10.0 * dice.factor(0.1));
        fast.observe(Some(end), end);
        let end = Duration::from_secs_f64(40.0 * dice.factor(0.1));
        slow.observe(Some(end), end);
    }
    let mut both = fast.clone();
    both.merge(&slow);
    assert_eq!(both.len(), 200);
    let chance = both.curve(&Learned::default()).chance(Duration::ZERO, Duration::from_secs(20));
    assert!((0.45..0.55).contains(&chance), "{chance}");

    let mut unchanged = fast.clone();
    unchanged.merge(&History::new());
    assert_eq!(unchanged, fast);
    let mut taken = History::new();
    taken.merge(&fast);
    assert_eq!(taken, fast);
    for _ in 0..3 {
        both.merge(&slow);
    }
    assert_eq!(both.len(), 256);
}

#[test]
fn a_history_survives_writing_and_stays_small() {
    let watched = Watched::after(300, 19, |dice| 12.0 * dice.factor(0.5));
    let written = serde_json::to_string(&watched.history).unwrap();
    assert!(written.starts_with(r#"{"version":1,"#), "{written}");
    assert!(written.len() < 3000, "{} bytes", written.len());
    let read: History = serde_json::from_str(&written).unwrap();
    assert_eq!(read, watched.history);
    assert_eq!(read.curve(&Learned::default()), watched.history.curve(&Learned::default()));
}

#[test]
fn a_spoilt_history_is_refused_with_the_reason() {
    for (written, reason) in [
        (r#"{"version":2,"spans":[]}"#, "version: a pace history of version 2"),
        (r#"{"version":1,"spans":[1]}"#, "spans: 1 numbers are not pairs"),
        (r#"{"version":1,"spans":[5,5]}"#, "spans: 5 to 5 is not a rising pair"),
        (r#"{"version":1,"spans":[5,9999]}"#, "spans: 5 to 9999 is not a rising pair"),
    ] {
        let error = serde_json::from_str::<History>(written).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn waits_stay_within_floor_and_ceiling_whatever_is_asked() {
    let (day, year) = (86_400, 31_536_000);
    let ages = [0, 1, 10, 100, 5_000, day, year].map(Duration::from_secs);
    let mut odd = History::new();
    for age in ages {
        odd.observe(None, age);
        odd.observe(Some(age), Duration::ZERO);
        odd.observe_running(age);
    }
    odd.observe(Some(Duration::MAX), Duration::MAX);
    let milliseconds = Duration::from_millis;
    let settings = [
        (None, 500, 5_000),
        (Some(Duration::ZERO), 0, 60_000),
        (Some(Duration::MAX), 300, 20),
        (Some(Duration::from_nanos(1)), 1, 1),
    ];
    for history in [History::new(), odd] {
        for (worth, floor, ceiling) in settings {
            let (floor, ceiling) = (milliseconds(floor), milliseconds(ceiling));
            let curve = history.curve(&Learned { worth, floor, ceiling });
            let least = floor.max(milliseconds(10));
            let most = ceiling.max(least);
            for age in ages.into_iter().chain([Duration::MAX]) {
                for jitter in [0.0, 0.5, 1.0, -7.0, f64::NAN, f64::INFINITY] {
                    let wait = curve.next_look(age, jitter);
                    assert!(least <= wait && wait <= most, "{wait:?} at {age:?}");
                }
            }
        }
    }
}

#[test]
fn a_model_makes_its_curve_again_when_enough_is_new() {
    let mut model = Model::new(History::new(), Learned::default());
    assert!(!model.refresh());
    let before = model.curve().clone();
    model.observe(Some(Duration::from_secs(9)), Duration::from_secs(12));
    assert_eq!(*model.curve(), before);
    assert!(model.refresh());
    assert_ne!(*model.curve(), before);
    let mut made = 0;
    for _ in 0..400 {
        model.observe(Some(Duration::from_secs(9)), Duration::from_secs(12));
        made += u32::from(model.refresh());
    }
    assert!((50..200).contains(&made), "{made}");
}
