//! The contract of the machine itself: order, idempotence, leaving, and coming back.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use crate::common::{Scene, policy, repeating, seconds};
use effects_core::driver::{Driven, drive, drive_on};
use effects_core::gateway::Answer;
use effects_core::journal::{Admission, Entry, Fact, Journal, JournalError, NoJournal};
use effects_core::run::{Saved, SleepReason};
use effects_core::{ErrorKind, Event, Outcome, Repeat, Run, Step, Submission, Time};
use effects_testkit::{ExchangeOutcome, Response, TaskScript, TranscriptNote, result_of};

#[test]
fn the_intent_is_recorded_before_the_submission_and_the_id_before_the_first_look() {
    let mut scene = Scene::submitting(policy())
        .task_script(TaskScript::of_polls(1))
        .submits([ExchangeOutcome::NotSent]);
    assert!(scene.completes());
    let story: Vec<&str> = scene
        .world
        .transcript()
        .lines()
        .iter()
        .filter_map(|(_, note)| match note {
            TranscriptNote::Recorded(entry) => Some(match &entry.fact {
                Fact::Intent { .. } => "intent",
                Fact::Created { .. } => "created",
                Fact::Released { .. } => "released",
            }),
            TranscriptNote::Sent(call) if call.is_submission() => Some("POST"),
            TranscriptNote::Sent(_) => Some("GET"),
            TranscriptNote::Notified(Event::Submitted { .. }) => Some("submitted"),
            _ => None,
        })
        .collect();
    let expected =
        ["intent", "POST", "released", "intent", "POST", "created", "submitted", "GET", "GET"];
    assert_eq!(story, expected);
}

#[test]
fn nothing_comes_until_an_entry_is_recorded() {
    let mut scene = Scene::submitting(policy());
    let waited = |scene: &mut Scene| {
        let Step::Record(entry) = scene.run.step(scene.world.now()) else { panic!() };
        for _ in 0..50 {
            scene.world.clock().advance(seconds(1));
            let step = scene.run.step(scene.world.now());
            assert_eq!(step, Step::Sleep { until: Time::MAX, why: SleepReason::Recording });
        }
        entry
    };
    let intent = waited(&mut scene);
    scene.run.recorded(intent.id);
    let call = scene.until_sent();
    // An entry that is not awaited confirms nothing.
    scene.answer(&call, 200, r#"{"id":"t-1"}"#);
    let created = waited(&mut scene);
    scene.run.recorded(intent.id);
    let step = scene.run.step(scene.world.now());
    assert!(matches!(step, Step::Sleep { why: SleepReason::Recording, .. }));
    scene.run.recorded(created.id);
    assert!(matches!(scene.run.step(scene.world.now()), Step::Notify(Event::Submitted { .. })));
}

#[test]
fn a_step_is_safe_at_any_moment_any_number_of_times() {
    // Whatever was handed out, stepping again hands out nothing twice and changes nothing.
    let mut scene = Scene::submitting(policy())
        .task_script(TaskScript::of_polls(2))
        .submits([ExchangeOutcome::NotSent]);
    let mut sent = Vec::new();
    loop {
        let now = scene.world.now();
        let step = scene.run.step(now);
        if !matches!(step, Step::Notify(_)) {
            let before = scene.run.save();
            for _ in 0..5 {
                let again = scene.run.step(now);
                match &step {
                    Step::Send(_) | Step::Record(_) => {
                        assert!(matches!(again, Step::Sleep { .. }), "{step:?}, then {again:?}");
                    }
                    _ => assert_eq!(again, step),
                }
            }
            assert_eq!(scene.run.save(), before);
        }
        match step {
            Step::Record(entry) => scene.run.recorded(entry.id),
            Step::Send(call) => {
                sent.push(call.id);
                let delivery = scene.world.service().take(now, &call);
                scene.run.reply(now, call.id, &result_of(delivery.answer));
            }
            Step::Sleep { until, .. } => scene.world.clock().jump_to(until),
            Step::Notify(_) => {}
            Step::Done(outcome) => {
                assert!(matches!(outcome, Outcome::Completed(_)));
                break;
            }
        }
    }
    assert_eq!(sent.len(), 5);
    sent.dedup();
    assert_eq!(sent.len(), 5);
}

#[test]
fn a_call_that_is_out_is_booked_as_lost_at_its_limit() {
    let mut scene = Scene::submitting(policy());
    let call = scene.until_sent();
    let until = call.limit;
    assert_eq!(scene.next(), Step::Sleep { until, why: SleepReason::InFlight });
    assert_eq!(until, scene.world.now() + policy().request_timeout);
    scene.world.clock().jump_to(until);
    let Step::Done(Outcome::Unknown(unknown)) = scene.next() else { panic!() };
    assert!(unknown.error.to_string().contains("request timeout"), "{}", unknown.error);
}

#[test]
fn a_reply_at_the_last_moment_still_counts() {
    let mut scene = Scene::submitting(policy());
    let call = scene.until_sent();
    scene.world.clock().jump_to(call.limit);
    scene.answer(&call, 200, r#"{"id":"t-1"}"#);
    assert_eq!(scene.run.task_id().unwrap().as_str(), "t-1");
}

#[test]
fn leaving_is_possible_in_every_state() {
    // Before anything, with the intent on record, while it is held: nothing is billed.
    for steps in 0..2 {
        let mut scene = Scene::submitting(policy());
        for _ in 0..steps {
            scene.world.step(&mut scene.run);
        }
        scene.run.detach(scene.world.now());
        let Outcome::Detached(detached) = scene.outcome() else { panic!("{steps}") };
        assert_eq!(detached.task_id, None);
        assert_eq!(scene.world.service().submissions(), 0);
        let released = scene
            .world
            .transcript()
            .entries()
            .filter(|entry| matches!(entry.fact, Fact::Released { .. }));
        assert_eq!(released.count(), steps, "an intent on record is closed");
    }
    let mut scene = Scene::submitting(policy()).submits(vec![ExchangeOutcome::NotSent; 99]);
    while !scene.world.transcript().sleeps().any(|(_, why)| why == SleepReason::Retry) {
        scene.world.step(&mut scene.run);
    }
    scene.run.detach(scene.world.now());
    assert!(matches!(scene.outcome(), Outcome::Detached(_)));

    // While a look is out, or between two.
    for out in [true, false] {
        let mut scene = Scene::submitting(policy()).task_script(TaskScript::endless());
        let submit = scene.until_sent();
        scene.answer(&submit, 200, r#"{"id":"t-1"}"#);
        let call = scene.until_sent();
        if !out {
            scene.answer(&call, 200, r#"{"status":"in_progress"}"#);
        }
        scene.run.detach(scene.world.now());
        let Step::Done(Outcome::Detached(detached)) = scene.next() else { panic!() };
        assert_eq!(detached.task_id.unwrap().as_str(), "t-1");
    }

    // When it is over, it is over.
    let mut scene = Scene::submitting(policy());
    let outcome = scene.outcome();
    scene.run.detach(scene.world.now());
    assert_eq!(scene.outcome(), outcome);
}

#[test]
fn a_caller_that_leaves_during_the_submission_still_learns_the_id() {
    let mut scene = Scene::submitting(policy());
    let call = scene.until_sent();
    assert!(scene.run.is_submitting());
    scene.run.detach(scene.world.now());
    assert!(matches!(scene.next(), Step::Sleep { why: SleepReason::InFlight, .. }));
    scene.answer(&call, 200, r#"{"id":"t-1"}"#);
    let step = scene.run.step(scene.world.now());
    assert!(
        matches!(&step, Step::Record(Entry { fact: Fact::Created { task_id, .. }, .. }) if task_id.as_str() == "t-1"),
        "{step:?}"
    );
    let Step::Done(Outcome::Detached(detached)) = ({
        let Step::Record(entry) = step else { unreachable!() };
        scene.run.recorded(entry.id);
        scene.next()
    }) else {
        panic!()
    };
    assert_eq!(detached.task_id.unwrap().as_str(), "t-1");

    // Without an answer the outcome is unknown; with a refusal, and no other attempt, it is known.
    let not_sent = result_of(Answer::NotSent("refused".to_owned()));
    for (result, unknown) in [(crate::common::lost(), true), (not_sent, false)] {
        let mut scene = Scene::submitting(policy());
        let call = scene.until_sent();
        scene.run.detach(scene.world.now());
        scene.run.reply(scene.world.now(), call.id, &result);
        let Step::Done(outcome) = scene.next() else { panic!() };
        assert_eq!(matches!(outcome, Outcome::Unknown(_)), unknown, "{outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Detached(_)), !unknown, "{outcome:?}");
    }
    // Even the one who would repeat anything sends nothing more.
    let mut scene = Scene::submitting(repeating(Repeat::Always));
    let call = scene.until_sent();
    scene.run.detach(scene.world.now());
    scene.run.reply(scene.world.now(), call.id, &crate::common::lost());
    assert!(matches!(scene.next(), Step::Done(Outcome::Unknown(_))));
}

#[test]
fn a_submission_saved_in_flight_is_unknown_and_never_sent_again() {
    for repeat in [Repeat::Never, Repeat::Safe, Repeat::Always] {
        let mut scene = Scene::submitting(repeating(repeat));
        let call = scene.until_sent();
        let saved = through_json(&scene.run);
        scene.run = Run::restore(saved, scene.policy.clone(), scene.world.now());
        let outcome = scene.outcome();
        let Outcome::Unknown(unknown) = &outcome else { panic!("{outcome:?}") };
        let effects_core::gateway::CallKind::Submit { request_id, .. } = &call.kind else {
            panic!()
        };
        assert_eq!(&unknown.request_id, request_id);
        scene.world.clock().advance(seconds(86_400));
        assert_eq!(scene.outcome(), outcome);
        assert_eq!(scene.world.service().submissions(), 0);
    }
}

#[test]
fn a_look_saved_in_flight_is_made_again() {
    let mut scene = Scene::submitting(policy());
    let submit = scene.until_sent();
    scene.answer(&submit, 200, r#"{"id":"t-1"}"#);
    let look = scene.until_sent();
    let saved = through_json(&scene.run);
    scene.run = Run::restore(saved, scene.policy.clone(), scene.world.now());
    let again = scene.until_sent();
    assert_eq!(again.kind, look.kind);
    assert_ne!(again.id, look.id);
}

#[test]
fn an_entry_saved_before_it_was_recorded_is_handed_out_again() {
    let mut scene = Scene::submitting(policy());
    let Step::Record(entry) = scene.run.step(scene.world.now()) else { panic!() };
    let saved = through_json(&scene.run);
    scene.run = Run::restore(saved, scene.policy.clone(), scene.world.now());
    assert_eq!(scene.run.step(scene.world.now()), Step::Record(entry));
}

#[test]
fn a_run_of_another_version_is_refused_with_the_way_out() {
    let saved = serde_json::to_string(&Scene::submitting(policy()).run.save()).unwrap();
    let newer = saved.replacen(r#""version":1"#, r#""version":2"#, 1);
    assert_ne!(saved, newer);
    let error = serde_json::from_str::<Saved>(&newer).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("the release that saved it"), "{error}");
}

/// The written form is version 1's letter for letter, whatever shape a run has in memory: files lie
/// where an older release left them.
#[test]
fn a_run_is_written_as_in_version_1_and_read_back_as_it_was() {
    const OUT: &str = r#"{"version":1,"dice":4354685564936845361,"now":1764000000000,"started":1764000000000,"calls":1,"entries":1,"record":null,"detaching":false,"doubts":[],"state":{"submitting":{"request":{"image":{"url":"https://example.com/cat.jpg"},"template_id":"glass_ball"},"idempotency_key":"7bac59bc-fce3-415d-981f-2edc36d0eba6","attempts":1,"doubt":null,"phase":{"Out":{"call":1,"limit":1764000030000,"sent_at":1764000000000,"request_id":"b38ca185-8ee8-48e4-a226-44199739e060"}}}}}"#;
    const HOLDING: &str = r#"{"version":1,"dice":15755400384260043848,"now":1764000030000,"started":1764000000000,"calls":1,"entries":1,"record":null,"detaching":false,"doubts":[1],"state":{"submitting":{"request":{"image":{"url":"https://example.com/cat.jpg"},"template_id":"moon_base","allow_unlisted":true},"idempotency_key":"4550a593-480f-46c1-a716-b2c720d7f8a0","attempts":1,"doubt":{"request_id":"05826cb6-ada4-48e2-baf0-0f9a17f1d68c","idempotency_key":"4550a593-480f-46c1-a716-b2c720d7f8a0","sent_at":1764000000000,"trouble":{"lost":{"reason":"no answer within the request timeout"}}},"phase":{"Holding":{"until":1764000030433,"throttled":false,"trouble":{"lost":{"reason":"no answer within the request timeout"}}}}}}}"#;
    const DUE: &str = r#"{"version":1,"dice":15755400384260043846,"now":1764000009000,"started":1764000000000,"calls":4,"entries":2,"record":null,"detaching":false,"doubts":[],"state":{"waiting":{"task":"task1","template":"moon_base","submitted":1764000000000,"submitted_here":true,"grace_until":1764000015000,"looks":2,"failures":1,"running":1764000006000,"status":"dreaming","progress":0.35,"reports":[{"age_millis":3000,"done":0.1},{"age_millis":6000,"done":0.35}],"told":"dreaming","seen":true,"trouble":{"rejected":{"status":503,"error":{"code":null,"message":""},"retry_after":null,"request_id":null}},"phase":{"Due":{"at":1764000009274,"why":"Retry"}}}}}"#;

    let now = Time::from_millis(1_764_000_000_000);
    let mut run = Run::submit(crate::common::request(), Arc::new(policy()), 7.into(), now);
    while !run.is_submitting() {
        if let Step::Record(entry) = run.step(now) {
            run.recorded(entry.id);
        }
    }
    assert_eq!(serde_json::to_string(&run.save()).unwrap(), OUT);
    for text in [HOLDING, DUE] {
        let saved: Saved = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&saved).unwrap(), text);
        let run = Run::restore(saved, Arc::new(policy()), now);
        assert_eq!(serde_json::to_string(&run.save()).unwrap(), text);
    }
}

#[test]
fn a_submission_of_another_model_is_sent_and_saved_as_it_is() {
    let body = r#"{"model":"other_model","input":[{"prompt":"a cat"}]}"#;
    let submission = Submission { body: body.into(), label: "other_model".parse().unwrap() };
    let mut scene = Scene::submitting(policy());
    scene.run = Run::submit(submission, scene.policy.clone(), 7.into(), scene.world.now());
    let saved = through_json(&scene.run);
    assert_eq!(saved, scene.run.save());
    scene.run = Run::restore(saved, scene.policy.clone(), scene.world.now());
    let call = scene.until_sent();
    let effects_core::gateway::CallKind::Submit { body: sent, .. } = &call.kind else { panic!() };
    assert_eq!(sent, body);
    assert_eq!(scene.run.label().unwrap().as_str(), "other_model");
}

#[test]
fn a_saved_request_is_checked_again() {
    let saved = serde_json::to_string(&Scene::submitting(policy()).run.save()).unwrap();
    for (now, rule) in [("ftp://example.com/cat.jpg", "image_input1"), ("cat.jpg", "image_input1")]
    {
        let spoilt = saved.replace("https://example.com/cat.jpg", now);
        assert_ne!(saved, spoilt);
        let error = serde_json::from_str::<Saved>(&spoilt).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
}

#[test]
fn what_is_saved_holds_no_policy_and_no_word_of_the_answer_but_the_outcome() {
    let mut scene = Scene::submitting(policy());
    let saved = serde_json::to_string(&scene.run.save()).unwrap();
    assert!(saved.contains("cat.jpg"), "before the id is known the request is needed");
    let call = scene.until_sent();
    scene.answer(&call, 200, r#"{"id":"t-1","secret":"s3cr3t"}"#);
    let saved = serde_json::to_string(&scene.run.save()).unwrap();
    assert!(!saved.contains("cat.jpg") && !saved.contains("s3cr3t"), "{saved}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let story = |seed: u64| {
        let mut scene = Scene::submitting(effects_core::Policy::default())
            .task_script(TaskScript::of_polls(5))
            .submits([ExchangeOutcome::NotSent, Response::new(429).into()])
            .polls([ExchangeOutcome::LostBefore, ExchangeOutcome::html()]);
        let (policy, now) = (scene.policy.clone(), scene.world.now());
        scene.run = Run::submit(crate::common::request(), policy, seed.into(), now);
        assert!(scene.completes());
        scene.world.transcript().to_string()
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}

#[test]
fn two_runs_that_were_given_the_same_seed_have_names_of_their_own() {
    let names = |url: &str| {
        let mut scene = Scene::submitting(policy());
        let request =
            effects_core::EffectRequest::new(effects_core::Template::MyWorld, url).unwrap();
        scene.run = Run::submit(request, scene.policy.clone(), 7.into(), scene.world.now());
        match scene.until_sent().kind {
            effects_core::gateway::CallKind::Submit { request_id, idempotency_key, .. } => {
                (request_id, idempotency_key)
            }
            effects_core::gateway::CallKind::Poll { .. } => panic!(),
        }
    };
    let (one, other) = (names("https://example.com/1.jpg"), names("https://example.com/2.jpg"));
    assert_ne!(one.1, other.1);
    assert_ne!(one.0, other.0);
}

/// A journal that fails so often and then works.
struct Failing(Mutex<(u32, Vec<Entry>)>);

impl Journal for Failing {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        let (left, kept) = &mut *self.0.lock().unwrap();
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return Err(JournalError::Unwritable("disk full".to_owned()));
        }
        kept.push(entry.clone());
        Ok(Admission::Admitted)
    }
}

#[test]
fn a_journal_that_fails_sends_nothing_and_can_be_tried_again() {
    let mut scene = Scene::submitting(policy());
    let service = scene.world.service();
    let journal = Failing(Mutex::new((2, Vec::new())));
    for _ in 0..2 {
        let error = drive(&mut scene.run, &service.gateway(), service.clock(), &journal, |_| {});
        assert_eq!(error, Err(JournalError::Unwritable("disk full".to_owned())));
        assert_eq!(service.submissions(), 0);
    }
    let outcome =
        drive(&mut scene.run, &service.gateway(), service.clock(), &journal, |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Completed(_)));
    assert_eq!(journal.0.lock().unwrap().1.len(), 2);
}

#[test]
fn a_driver_that_is_told_to_stop_detaches() {
    let mut scene = Scene::submitting(policy()).task_script(TaskScript::endless());
    let service = scene.world.service();
    let gateway = service.gateway();
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 20
    };
    let outcome = loop {
        let told = drive_on(&mut scene.run, &gateway, service.clock(), &NoJournal, stop).unwrap();
        if let Driven::Done(outcome) = told {
            break outcome;
        }
    };
    assert!(matches!(&outcome, Outcome::Detached(left) if left.task_id.is_some()), "{outcome:?}");
    assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::Detached);
}

#[test]
fn a_run_crosses_threads() {
    fn crosses<T: Send + Sync + std::panic::UnwindSafe + 'static>() {}
    crosses::<Run>();
    crosses::<Step>();
}

fn through_json(run: &Run) -> Saved {
    let text = serde_json::to_string(&run.save()).unwrap();
    serde_json::from_str(&text).unwrap()
}
