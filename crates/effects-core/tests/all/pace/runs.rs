//! Runs under the learned pace: what they look at when, what they tell, what is learnt from them.

use std::sync::Arc;
use std::time::Duration;

use effects_core::pace::{History, Learned, Observation, Pacer};
use effects_core::run::{Saved, SleepReason};
use effects_core::{Event, Outcome, Pace, Policy, Run, Seed, Template, Time};
use effects_testkit::{Response, TaskScript, World};

use super::world::{Dice, Score};
use crate::common::{Scene, request, seconds};

fn learned() -> Policy {
    Policy { pace: Pace::learned(), ..Policy::default() }
}

/// What tasks that take this long, give or take a tenth, teach.
fn pacer_of(typical: f64) -> Pacer {
    let (mut history, mut dice) = (History::new(), Dice(30));
    for _ in 0..100 {
        let end = Duration::from_secs_f64(typical * dice.factor(0.1));
        history.observe(Some(end), end);
    }
    let ball = Some(Template::GlassBall.into());
    Pacer::knowing([(ball, history)].into())
}

fn waits(scene: &Scene) -> Vec<f64> {
    let sleeps = scene.world.transcript().sleeps();
    sleeps
        .filter(|(_, why)| *why == SleepReason::Pace)
        .map(|(wait, _)| wait.as_secs_f64())
        .collect()
}

#[test]
fn learned_is_the_default_and_without_a_curve_it_is_every_three_seconds() {
    assert_eq!(Policy::default().pace, Pace::learned());
    let mut scene = Scene::submitting(Policy::default()).task_script(TaskScript::of_polls(10));
    assert!(scene.completes());
    let waits = waits(&scene);
    assert_eq!(waits.len(), 11);
    assert!(waits.iter().all(|wait| (2.7..=3.3).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait < 2.95) && waits.iter().any(|wait| *wait > 3.05));
}

#[test]
fn a_policy_says_it_as_data() {
    let policy: Policy = serde_json::from_str(r#"{"pace":{"learned":{}}}"#).unwrap();
    assert_eq!(policy, Policy::default());
    let written = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&written).unwrap(), policy);
}

#[test]
fn a_run_goes_by_its_curve_and_tells_what_to_expect() {
    let mut scene = Scene::submitting(learned()).task_script(TaskScript::lasting(seconds(14)));
    scene.run = scene.run.paced_by(&pacer_of(12.0));
    assert!(scene.completes());
    // No look before a task can have ended, the most of them around its end.
    let waits = waits(&scene);
    assert!(waits[0] > 8.0, "{waits:?}");
    assert!(waits[1..].iter().all(|wait| *wait < 2.5), "{waits:?}");
    let told: Vec<String> = scene.world.transcript().events().map(Event::to_string).collect();
    let running: Vec<&String> = told.iter().filter(|text| text.contains("usually")).collect();
    assert_eq!(running.len(), waits.len() - 1, "{told:?}");
    assert!(running[0].contains(" (usually 12 s, 90 % under 15 s)"), "{told:?}");
}

#[test]
fn a_fixed_pace_stays_fixed_and_tells_what_to_expect_all_the_same() {
    let mut scene =
        Scene::submitting(crate::common::policy()).task_script(TaskScript::lasting(seconds(14)));
    scene.run = scene.run.paced_by(&pacer_of(12.0));
    assert!(scene.completes());
    assert_eq!(waits(&scene), [3.0; 5]);
    let first = scene.world.transcript().events().find_map(|event| match event {
        Event::Running { eta, .. } => Some(*eta),
        _ => None,
    });
    assert!(first.unwrap().unwrap().typical > seconds(11));
}

#[test]
fn what_its_pacer_learns_counts_from_the_next_look_on() {
    let mut scene = Scene::submitting(learned()).task_script(TaskScript::lasting(seconds(60)));
    let pacer = Pacer::new();
    scene.run = scene.run.paced_by(&pacer);
    while scene.world.service().polls() < 1 {
        scene.world.step(&mut scene.run);
    }
    for first_ended in [seconds(59), seconds(60), seconds(61)].repeat(30) {
        let seen = Observation::Ended { last_running: Some(first_ended), first_ended };
        pacer.learn(Some(&Template::GlassBall.into()), seen);
    }
    assert!(scene.completes());
    let waits = waits(&scene);
    assert!(waits[0] < 3.4 && waits[1] > 15.0, "{waits:?}");
}

#[test]
fn an_attached_run_is_as_old_as_the_service_says_by_the_services_own_clock() {
    // The service's clock is an hour slow, and shows it.
    let world = World::new();
    let hour = seconds(3_600);
    let (date, created) = (world.now() - hour, world.now() - hour - seconds(11));
    let at = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch(date));
    let running =
        format!(r#"{{"status":"in_progress","created_at":{}}}"#, created.as_millis() / 1_000);
    let mut scene = Scene::attached(learned(), TaskScript::of_polls(0))
        .polls([Response::json(running).header("Date", at)]);
    scene.run = scene.run.paced_by(&pacer_of(12.0));
    assert!(scene.completes());
    let age = scene.world.transcript().events().find_map(|event| match event {
        Event::Running { age, .. } => Some(*age),
        _ => None,
    });
    assert_eq!(age, Some(seconds(11)));
    // At that age the end is near, so the next look is.
    assert!(waits(&scene)[0] < 1.5, "{:?}", waits(&scene));
    let Some(Observation::Ended { last_running, first_ended }) = scene.run.observation() else {
        panic!("{:?}", scene.run.observation());
    };
    assert_eq!(last_running, Some(seconds(11)));
    assert!(first_ended > seconds(11));
}

fn since_epoch(time: Time) -> Duration {
    Duration::from_millis(time.as_millis())
}

#[test]
fn progress_that_moves_plausibly_sharpens_the_looks() {
    // The scripted service reports honest progress: the share of the time that is over.
    let looks = |silent: bool| {
        let mut scene = Scene::submitting(learned()).task_script(TaskScript::lasting(seconds(60)));
        if silent {
            let running = Response::json(r#"{"status":"in_progress"}"#);
            scene = scene.polls(vec![running; 12]);
        }
        scene.run = scene.run.paced_by(&pacer_of(30.0));
        assert!(scene.completes());
        (scene.world.service().polls(), scene.world.transcript().elapsed())
    };
    let (sharp, sharp_end) = looks(false);
    let (blind, _) = looks(true);
    assert!(sharp < blind, "{sharp} instead of {blind}");
    assert!(sharp_end < seconds(63), "{sharp_end:?}");
}

#[test]
fn what_the_service_asks_for_wins_over_every_pace_up_to_the_cap_and_shortens_none() {
    let running = || Response::json(r#"{"status":"in_progress"}"#);
    for (pace, asked, least, most) in [
        (Pace::fixed(seconds(3)), 10, 10.0, 10.0),
        (Pace::fixed(seconds(3)), 1, 3.0, 3.0),
        (Pace::fixed(seconds(3)), 3_600, 60.0, 60.0),
        (Pace::learned(), 10, 10.0, 10.0),
        (Pace::learned(), 1, 2.7, 3.3),
        (Pace::learned(), 3_600, 60.0, 60.0),
    ] {
        let mut scene = Scene::attached(Policy { pace, ..learned() }, TaskScript::of_polls(0))
            .polls([running().retry_after(asked)]);
        assert!(scene.completes());
        let mut sleeps = scene.world.transcript().sleeps().filter(|(wait, _)| !wait.is_zero());
        let (wait, why) = sleeps.next().unwrap();
        assert!((least..=most).contains(&wait.as_secs_f64()), "{asked}: {wait:?}");
        assert_eq!(why == SleepReason::Throttle, least >= 10.0);
    }
    // Beside the answer to a submission too.
    let created = Response::json(r#"{"id":"t-1","status":"in_progress"}"#).retry_after(20);
    let mut scene = Scene::submitting(learned()).submits([created]);
    scene.world.service().add_task("t-1", scene.world.now(), TaskScript::of_polls(0));
    assert!(scene.completes());
    let first = scene.world.transcript().sleeps().find(|(wait, _)| !wait.is_zero());
    assert_eq!(first, Some((seconds(20), SleepReason::Throttle)));
}

#[test]
fn floor_and_ceiling_of_the_settings_hold() {
    let (floor, ceiling) = (seconds(5), seconds(6));
    let settings = Learned { floor, ceiling, ..Learned::default() };
    let policy = Policy { pace: Pace::Learned(settings), ..learned() };
    for pacer in [None, Some(Pacer::new())] {
        let mut scene =
            Scene::submitting(policy.clone()).task_script(TaskScript::lasting(seconds(60)));
        if let Some(pacer) = pacer {
            scene.run = scene.run.paced_by(&pacer);
        }
        assert!(scene.completes());
        assert!(waits(&scene).iter().all(|wait| (5.0..=6.0).contains(wait)), "{:?}", waits(&scene));
    }
}

#[test]
fn a_run_that_saw_the_end_says_between_which_looks_it_came() {
    let mut scene =
        Scene::submitting(crate::common::policy()).task_script(TaskScript::lasting(seconds(7)));
    assert_eq!(scene.run.observation(), None);
    assert!(scene.completes());
    let (last_running, first_ended) = (Some(seconds(6)), seconds(9));
    assert_eq!(scene.run.observation(), Some(Observation::Ended { last_running, first_ended }));
    assert_eq!(scene.run.label(), Some(&Template::GlassBall.into()));

    let mut scene =
        Scene::submitting(crate::common::policy()).task_script(TaskScript::lasting(seconds(2)));
    assert!(scene.completes());
    let (last_running, first_ended) = (None, seconds(3));
    assert_eq!(scene.run.observation(), Some(Observation::Ended { last_running, first_ended }));

    // A failure is an end like any other.
    let failing = TaskScript::lasting(seconds(2)).failing("3009097", "HTTP error response");
    let mut scene = Scene::submitting(crate::common::policy()).task_script(failing);
    assert!(matches!(scene.outcome(), Outcome::Failed(_)));
    assert_eq!(scene.run.observation(), Some(Observation::Ended { last_running, first_ended }));
}

#[test]
fn a_run_that_is_left_says_how_long_the_task_ran_at_least() {
    let endless = || Scene::submitting(crate::common::policy()).task_script(TaskScript::endless());
    let mut scene = endless();
    while scene.world.service().polls() < 2 || scene.run.observation().is_none() {
        scene.world.step(&mut scene.run);
    }
    while scene.run.observation() != Some(Observation::Running { age: seconds(6) }) {
        scene.world.step(&mut scene.run);
    }
    scene.run.detach(scene.world.now());
    assert!(matches!(scene.outcome(), Outcome::Detached(_)));
    assert_eq!(scene.run.observation(), Some(Observation::Running { age: seconds(6) }));

    let mut scene = endless();
    let Outcome::StillRunning(_) = scene.outcome() else { panic!() };
    assert_eq!(scene.run.observation(), Some(Observation::Running { age: seconds(600) }));
}

#[test]
fn what_says_nothing_is_not_learnt() {
    // No run watched it, and how long it has been over is not known.
    let mut scene = Scene::attached(learned(), TaskScript::of_polls(0));
    assert!(scene.completes());
    assert_eq!(scene.run.observation(), None);
    // Over in the answer to its submission: no look was needed.
    let mut scene =
        Scene::submitting(learned()).submits([Response::json(crate::common::COMPLETED)]);
    assert!(scene.completes());
    assert_eq!(scene.run.observation(), None);
    // Its age is not known: the service does not say when it was made.
    let running = Response::json(crate::common::RUNNING);
    let mut scene = Scene::attached(learned(), TaskScript::of_polls(0)).polls([running]);
    scene.world.service().on_poll([Response::json(crate::common::COMPLETED)]);
    assert!(scene.completes());
    assert_eq!(scene.run.observation(), None);
    // Reported once: what is restored after its end was learnt before.
    let mut scene = Scene::submitting(learned()).task_script(TaskScript::lasting(seconds(2)));
    assert!(scene.completes());
    let restored = Run::restore(scene.run.save(), scene.policy.clone(), scene.world.now());
    assert_eq!(restored.observation(), None);
}

#[test]
fn a_restored_run_goes_on_learning_where_it_was() {
    let mut scene =
        Scene::submitting(crate::common::policy()).task_script(TaskScript::lasting(seconds(7)));
    while scene.run.observation() != Some(Observation::Running { age: seconds(6) }) {
        scene.world.step(&mut scene.run);
    }
    let text = serde_json::to_string(&scene.run.save()).unwrap();
    let saved: Saved = serde_json::from_str(&text).unwrap();
    scene.run = Run::restore(saved, scene.policy.clone(), scene.world.now());
    assert!(scene.completes());
    let (last_running, first_ended) = (Some(seconds(6)), seconds(9));
    assert_eq!(scene.run.observation(), Some(Observation::Ended { last_running, first_ended }));
}

#[test]
fn a_run_saved_before_the_pace_was_learned_is_restored() {
    const SAVED: &str = r#"{"version":1,"dice":1234567890123,"now":1764000006000,
        "started":1764000000000,"calls":3,"entries":2,"record":null,"detaching":false,"doubts":[],
        "state":{"waiting":{"task":"d758n65e878c73cmdg20","template":"glass_ball",
        "submitted":1764000000000,"submitted_here":true,"grace_until":1764000015000,"looks":2,
        "failures":0,"status":"in_progress","progress":0.5,"told":null,"seen":true,"trouble":null,
        "phase":PHASE}}}"#;
    for phase in [
        r#"{"Out":{"call":3,"limit":1764000036000,"last":false}}"#,
        r#"{"Due":{"at":1764000009000,"why":"Pace"}}"#,
    ] {
        let saved: Saved = serde_json::from_str(&SAVED.replace("PHASE", phase)).unwrap();
        let mut world = World::new();
        world.service().add_task("d758n65e878c73cmdg20", world.now(), TaskScript::of_polls(0));
        let mut run = Run::restore(saved, Arc::new(learned()), world.now());
        assert!(matches!(world.drive(&mut run), Outcome::Completed(_)));
        let seen = run.observation();
        assert!(matches!(seen, Some(Observation::Ended { last_running: None, .. })), "{seen:?}");
    }
}

#[test]
fn a_task_is_learnt_from_once_when_its_run_is_over_or_dropped() {
    let learnt = |pacer: &Pacer| -> usize { pacer.histories().values().map(History::len).sum() };
    let pacer = Pacer::new();
    let mut scene = Scene::submitting(learned()).task_script(TaskScript::lasting(seconds(7)));
    scene.run = scene.run.paced_by(&pacer);
    let mut copy = scene.run.clone();
    assert!(scene.completes());
    assert_eq!(learnt(&pacer), 1);
    let mut world = World::new();
    assert!(matches!(world.drive(&mut copy), Outcome::Completed(_)));
    drop((scene, copy));
    assert_eq!(learnt(&pacer), 1);

    let mut scene = Scene::submitting(learned()).task_script(TaskScript::endless());
    scene.run = scene.run.paced_by(&pacer);
    while scene.world.service().polls() < 2 {
        scene.world.step(&mut scene.run);
    }
    scene.world.step(&mut scene.run);
    assert_eq!(learnt(&pacer), 1);
    drop(scene);
    assert_eq!(learnt(&pacer), 2);
}

/// The whole of it, through runs and a pacer, closed loop from nothing: no more polls than every
/// three seconds would make, and the news much sooner.
#[test]
fn runs_that_share_a_pacer_learn_from_each_other() {
    let pacer = Pacer::new();
    let mut dice = Dice(31);
    let durations: Vec<f64> = (0..260).map(|_| 12.0 * dice.factor(0.25)).collect();
    let policy = Arc::new(learned());
    let mut total = Score::default();
    let mut world = World::new();
    for (nth, duration) in durations.iter().enumerate() {
        let service =
            world.service().task_script(TaskScript::lasting(Duration::from_secs_f64(*duration)));
        let (begin, polls) = (world.now(), service.polls());
        let seed = Seed::from(nth as u64);
        let mut run = Run::submit(request(), policy.clone(), seed, begin).paced_by(&pacer);
        while world.step(&mut run).is_none() {}
        if nth >= 60 {
            let polls = (service.polls() - polls) as f64;
            total += Score { polls, delay: world.now().since(begin).as_secs_f64() - duration };
        }
    }
    let total = total / 200.0;
    let fixed = Score::of(&durations[60..], Score::FIXED_3S);
    assert!(total.polls <= fixed.polls, "{total:?} {fixed:?}");
    assert!(total.delay <= 0.55 * fixed.delay, "{total:?} {fixed:?}");
}
