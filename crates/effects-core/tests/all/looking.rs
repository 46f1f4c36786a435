//! From the task's id to its verdict: what is waited out, what is not, and the end of the wait.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{COMPLETED, RUNNING, Scene, TASK, at, policy, seconds};
use effects_core::gateway::CallKind;
use effects_core::run::SleepReason;
use effects_core::{
    Backoff, BaseUrl, Deadline, ErrorKind, Event, Outcome, Pace, Policy, Run, Seed, Status, Step,
    Time,
};
use effects_testkit::{ExchangeOutcome, Response, TaskScript, World, result_of};

fn json(status: u16, body: &str) -> Response {
    Response::json(body.to_owned()).status(status)
}

fn attached(task_script: TaskScript) -> Scene {
    Scene::attached(policy(), task_script)
}

#[test]
fn whatever_can_pass_is_looked_past() {
    let mut passing: Vec<ExchangeOutcome> = vec![
        ExchangeOutcome::NotSent,
        ExchangeOutcome::LostBefore,
        ExchangeOutcome::LostAfter,
        ExchangeOutcome::garbage(),
        ExchangeOutcome::html(),
        ExchangeOutcome::Truncated(1),
        ExchangeOutcome::Served.after(seconds(31)),
        ExchangeOutcome::ServedBut(Response::new(200)),
        json(200, "[]").into(),
        json(200, r#"{"error":"try again"}"#).into(),
        json(200, r#"{"status":{"code":503,"message":"busy"},"data":null}"#).into(),
    ];
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 520, 599] {
        passing.push(Response::new(status).into());
        passing.push(Response::new(status).retry_after(2).into());
        passing.push(Response::html("<h1>no</h1>").status(status).retry_after_date(2).into());
    }
    // Each alone, and all of them in a row.
    for exchange_outcome in passing.clone() {
        let mut scene = attached(TaskScript::of_polls(0)).polls([exchange_outcome.clone()]);
        assert!(scene.completes(), "{exchange_outcome:?}\n{}", scene.world.transcript());
    }
    let mut scene = attached(TaskScript::of_polls(0)).polls(passing);
    assert!(scene.completes(), "{}", scene.world.transcript());
}

#[test]
fn an_output_nested_without_end_costs_its_own_pictures_and_not_the_process() {
    let deep = |open: &str, close: &str| [open.repeat(20_000), close.repeat(20_000)].concat();
    for endless in [deep("[", "]"), deep(r#"{"content":["#, "]}")] {
        let body = format!(
            r#"{{"id":"{TASK}","status":"completed",
                "output":[{endless},[[{{"content":[["https://x.test/a.png"]]}}]]]}}"#
        );
        let mut scene = attached(TaskScript::of_polls(0)).polls([json(200, &body)]);
        let Outcome::Completed(effect) = scene.outcome() else {
            panic!("{}", scene.world.transcript())
        };
        let urls: Vec<&str> = effect.pictures.iter().map(|picture| &*picture.url).collect();
        assert_eq!(urls, ["https://x.test/a.png"]);
    }
}

/// What the service would push.
fn pushed(body: &str) -> effects_core::gateway::CallResult {
    result_of(Response::json(body.to_owned()).to_answer())
}

#[test]
fn a_state_that_comes_by_itself_counts_as_a_look() {
    let mut scene = attached(TaskScript::endless());
    let start = scene.world.now();
    let Step::Send(call) = scene.run.step(start) else { panic!() };
    // While that look is out: what is no state of this task changes nothing.
    for other in ["<html>", r#"{"id":"another","status":"failed"}"#, r#"{"message":"busy"}"#] {
        scene.run.observed(start, &pushed(other));
        assert!(matches!(scene.run.step(start), Step::Sleep { why: SleepReason::InFlight, .. }));
    }
    let now = start + seconds(2);
    scene.run.observed(now, &pushed(RUNNING));
    assert!(matches!(scene.run.step(now), Step::Notify(Event::Running { .. })));
    // The look is awaited still, and its answer is taken.
    assert!(matches!(scene.run.step(now), Step::Sleep { why: SleepReason::InFlight, .. }));
    scene.run.reply(now, call.id, &pushed(RUNNING));
    assert!(matches!(scene.run.step(now), Step::Notify(Event::Running { .. })));
    // Between two looks a push puts the next one off, and one with the end is the end.
    let Step::Sleep { until: first, .. } = scene.run.step(now) else { panic!() };
    let now = now + seconds(2);
    scene.run.observed(now, &pushed(RUNNING));
    assert!(matches!(scene.run.step(now), Step::Notify(Event::Running { .. })));
    let Step::Sleep { until, .. } = scene.run.step(now) else { panic!() };
    assert_eq!(until, first + seconds(2));
    scene.run.observed(now, &pushed(COMPLETED));
    let Step::Done(Outcome::Completed(effect)) = scene.run.step(now) else { panic!() };
    assert_eq!(effect.task_id.as_str(), TASK);
}

#[test]
fn a_state_that_comes_by_itself_submits_and_repeats_nothing() {
    let mut scene = Scene::submitting(policy());
    let now = scene.world.now();
    let Step::Record(intent) = scene.run.step(now) else { panic!() };
    scene.run.observed(now, &pushed(COMPLETED));
    scene.run.recorded(intent.id);
    let Step::Send(call) = scene.run.step(now) else { panic!() };
    assert!(call.is_submission());
    scene.run.observed(now, &pushed(COMPLETED));
    assert!(matches!(scene.run.step(now), Step::Sleep { .. }));
}

#[test]
fn what_the_gateway_itself_bars_ends_it_at_once_and_keeps_the_id() {
    use ErrorKind::{Forbidden, KeyRefused, OutOfCredit};
    for (status, body, kind) in [
        (401, r#"{"error":"Missing Token"}"#, KeyRefused),
        (401, "{}", KeyRefused),
        (403, r#"{"message":"insufficient balance"}"#, OutOfCredit),
        (403, r#"{"error":{"code":"insufficient_credits"}}"#, OutOfCredit),
        (403, r#"{"detail":"Model not allowed for this user"}"#, Forbidden),
        (200, r#"{"status":{"code":401,"message":"no"},"data":null}"#, KeyRefused),
        (200, r#"{"status":{"code":403,"message":"no"},"data":null}"#, Forbidden),
    ] {
        let mut scene = attached(TaskScript::of_polls(0)).polls([json(status, body)]);
        let error = scene.error();
        assert_eq!(error.kind(), kind, "{status} {body}");
        assert_eq!(error.task_id().unwrap().as_str(), TASK);
        assert_eq!(scene.world.service().polls(), 1, "{status} {body}");
        let error = error.with_resume_line(|task| format!("effects wait {task}"));
        assert!(error.to_string().contains(&format!("effects wait {TASK}")), "{error}");
    }
}

/// What a proxy, a firewall's challenge or a failing gateway answers, and the kind of the error
/// where it lasts to the end of the wait and no poll ever showed the task.
fn refusals() -> Vec<(Response, ErrorKind)> {
    use ErrorKind::{OutOfCredit, UnreadableAnswer};
    let mut all = Vec::new();
    for status in [300, 301, 302, 303, 304, 307, 308, 400, 405, 406, 407, 409, 410, 418, 422, 451] {
        all.push((json(status, r#"{"message":"no"}"#), UnreadableAnswer));
        all.push((Response::html("<title>no</title>").status(status), UnreadableAnswer));
        all.push((Response::new(status), UnreadableAnswer));
    }
    for status in [401, 403] {
        let page = Response::html("<title>Just a moment...</title>").status(status);
        all.push((page.retry_after(1), UnreadableAnswer));
        all.push((Response::new(status), UnreadableAnswer));
        all.push((json(status, "[]"), UnreadableAnswer));
        all.push((json(status, "insufficient balance"), UnreadableAnswer));
    }
    all.push((json(402, r#"{"message":"pay"}"#), OutOfCredit));
    all.push((Response::new(402), OutOfCredit));
    all.push((
        json(200, r#"{"status":{"code":410,"message":"gone"},"data":null}"#),
        UnreadableAnswer,
    ));
    all
}

fn retries(scene: &Scene) -> Vec<Option<u16>> {
    let events = scene.world.transcript().events().filter_map(|event| match event {
        Event::Retrying { error, .. } => Some(error.status()),
        _ => None,
    });
    events.collect()
}

#[test]
fn every_other_refusal_is_told_once_and_outlasted() {
    for (answer, _) in refusals() {
        // Whatever comes between is no reason to tell it again.
        let mut answers = vec![answer.clone(); 9];
        answers.insert(3, json(200, RUNNING));
        answers.insert(6, Response::new(502));
        let mut scene = attached(TaskScript::of_polls(0)).polls(answers);
        assert!(scene.completes(), "{answer:?}\n{}", scene.world.transcript());
        let told = retries(&scene);
        assert_eq!((told.len(), told[1]), (2, Some(502)), "{answer:?}: {told:?}");
    }
    // Each status is told, and none of them twice.
    let mut turns = Vec::new();
    for _ in 0..5 {
        turns.extend([Response::new(302), Response::new(410), json(402, r#"{"message":"pay"}"#)]);
    }
    let mut scene = attached(TaskScript::of_polls(0)).polls(turns);
    assert!(scene.completes(), "{}", scene.world.transcript());
    assert_eq!(retries(&scene), [Some(302), Some(410), Some(402)]);
}

#[test]
fn a_refusal_that_lasts_ends_with_the_wait_and_a_task_that_was_made_goes_on() {
    let policy = Policy { wait_timeout: seconds(30), ..policy() };
    for (answer, kind) in refusals() {
        // The id may be mistyped.
        let endless = vec![answer.clone(); 99];
        let mut scene =
            Scene::attached(policy.clone(), TaskScript::endless()).polls(endless.clone());
        assert_eq!(scene.error().kind(), kind, "{answer:?}");
        assert!(scene.world.transcript().elapsed() >= seconds(30));
        // A task that was submitted here exists, and so does one that the journal knows.
        let mut submitted = Scene::submitting(policy.clone()).polls(endless.clone());
        let mut journaled = Scene::attached(policy.clone(), TaskScript::endless()).polls(endless);
        let long_ago = Time::from_millis(journaled.world.now().as_millis() - 3_600_000);
        journaled.run = journaled.run.submitted_at(long_ago);
        for scene in [&mut submitted, &mut journaled] {
            let error = scene.error();
            assert_eq!(
                (error.kind(), error.exchange_error().is_some()),
                (ErrorKind::WaitTimeout, true)
            );
        }
    }
}

#[test]
fn a_task_that_is_not_known_yet_is_forgiven_for_the_grace_period() {
    // The default is 15 s, and a minute of 404s after it.
    let mut scene =
        Scene::submitting(policy()).task_script(TaskScript::of_polls(0).unknown_for(seconds(74)));
    assert!(scene.completes(), "{}", scene.world.transcript());

    let forever = TaskScript::of_polls(0).unknown_for(seconds(3_600));
    let mut scene = Scene::submitting(policy()).task_script(forever);
    assert_eq!(scene.error().kind(), ErrorKind::TaskNotFound);
    let elapsed = scene.world.transcript().elapsed();
    assert!(elapsed >= seconds(75) && elapsed < seconds(90), "{elapsed:?}");

    // An envelope says the same under HTTP 200.
    let hidden = json(200, r#"{"status":{"code":404,"message":"no such task"},"data":null}"#);
    let mut scene = attached(TaskScript::of_polls(0)).polls([hidden.clone()]);
    assert!(scene.completes());
    let mut scene = attached(TaskScript::of_polls(0)).polls(vec![hidden; 99]);
    assert_eq!(scene.error().kind(), ErrorKind::TaskNotFound);
}

/// A run of a task that the service does not know and that was submitted long ago.
fn unknown_task(policy: Policy) -> Scene {
    let world = World::new();
    let task = "no-such-task".parse().unwrap();
    let run = Run::attach(task, None, policy.clone().into(), Seed::from(1), world.now());
    let long_ago = Time::from_millis(world.now().as_millis() - 60_000);
    Scene { run: run.submitted_at(long_ago), world, policy: policy.into() }
}

#[test]
fn a_404_ends_a_wait_after_three_of_them_over_a_minute() {
    let mut scene = unknown_task(policy());
    assert_eq!(scene.error().kind(), ErrorKind::TaskNotFound);
    let elapsed = scene.world.transcript().elapsed();
    assert!(elapsed >= seconds(60) && elapsed < seconds(75), "{elapsed:?}");
    assert!(scene.world.service().polls() >= 3);

    // Looked at seldom, it is looked at three times all the same.
    let minutes = Backoff { first: seconds(90), most: seconds(90), ..Backoff::default() };
    let mut scene = unknown_task(Policy { retry: minutes, ..policy() });
    assert_eq!(scene.error().kind(), ErrorKind::TaskNotFound);
    assert_eq!(scene.world.service().polls(), 3);

    // A wait that is shorter says no such thing of a task that was made.
    let mut scene = unknown_task(Policy { wait_timeout: seconds(50), ..policy() });
    let error = scene.error();
    assert_eq!((error.kind(), error.status()), (ErrorKind::WaitTimeout, Some(404)));
}

#[test]
fn a_task_that_is_seen_again_was_never_gone() {
    let gone = || json(404, r#"{"message":"gone"}"#);
    let mut scene = attached(TaskScript::endless()).polls(vec![ExchangeOutcome::Served; 10]);
    // Each spell is too short, and the last is not.
    for _ in 0..5 {
        scene.world.service().on_poll(vec![gone(); 8]);
        scene.world.service().on_poll([ExchangeOutcome::Served]);
    }
    scene.world.service().on_poll(vec![gone(); 99]);
    assert_eq!(scene.error().kind(), ErrorKind::TaskNotFound, "{}", scene.world.transcript());
    let polls = scene.world.service().polls();
    assert!(polls > 10 + 5 * 9 + 8, "{polls}");
}

#[test]
fn what_was_missed_and_what_was_told_is_kept_when_a_run_is_saved() {
    let mut scene = unknown_task(policy());
    let start = scene.world.now();
    scene.world.service().on_poll([Response::new(302), Response::new(302)]);
    let outcome = loop {
        if let Some(outcome) = scene.world.step(&mut scene.run) {
            break outcome;
        }
        let now = scene.world.now();
        // As a process does that ends between two looks.
        if let Step::Sleep { why: SleepReason::Retry, .. } = scene.run.clone().step(now) {
            let saved = serde_json::to_string(&scene.run.save()).unwrap();
            let saved = serde_json::from_str(&saved).unwrap();
            scene.run = Run::restore(saved, Arc::clone(&scene.policy), now);
        }
    };
    assert_eq!(outcome.into_result().unwrap_err().kind(), ErrorKind::TaskNotFound);
    assert!(scene.world.now().since(start) < seconds(80));
    assert_eq!(retries(&scene).iter().filter(|status| **status == Some(302)).count(), 1);
}

#[test]
fn the_end_of_the_wait_brings_one_last_look() {
    // Ready in time, but after the look before it: only the last one can see it.
    let policy = Policy { wait_timeout: seconds(100), ..policy() };
    let mut scene =
        Scene::attached(policy.clone(), TaskScript::lasting(Duration::from_millis(99_500)));
    assert!(scene.completes(), "{}", scene.world.transcript());
    assert_eq!(scene.world.transcript().elapsed(), seconds(100));

    let mut scene = Scene::attached(policy, TaskScript::endless());
    let Outcome::StillRunning(still) = scene.outcome() else { panic!() };
    assert_eq!(still.waited, seconds(100));
    assert_eq!((still.status, still.progress), (Some(Status::InProgress), Some(0.5)));
    let last = scene.world.transcript().calls().last().unwrap().0;
    assert_eq!(last, at(scene.world.now(), 0));
}

#[test]
fn the_last_look_has_a_few_seconds_of_its_own_and_no_whole_request_time() {
    let policy = Policy { wait_timeout: seconds(100), ..policy() };
    // Each look takes 4 s: the one before cannot be the last word.
    let mut scene = Scene::attached(policy.clone(), TaskScript::lasting(seconds(99)));
    let _same = scene.world.service().latency(seconds(4));
    assert!(scene.completes(), "{}", scene.world.transcript());
    assert_eq!(scene.world.transcript().elapsed(), seconds(104));

    // And if the service never answers, it is over when that time is.
    let mut scene = Scene::attached(policy, TaskScript::endless());
    let _same = scene.world.service().latency(seconds(500));
    let Outcome::Broken(broken) = scene.outcome() else { panic!("{}", scene.world.transcript()) };
    assert_eq!(broken.kind, ErrorKind::Transport);
    assert_eq!(scene.world.transcript().elapsed(), seconds(105));

    // A wait of a second at a service that hangs is over after six.
    let hung = |last_look| {
        let policy = Policy { wait_timeout: seconds(1), last_look, ..crate::common::policy() };
        let mut scene = Scene::attached(policy, TaskScript::endless());
        let _same = scene.world.service().latency(seconds(500));
        scene.outcome();
        scene.world.transcript().elapsed()
    };
    assert_eq!(hung(seconds(5)), seconds(6));
    // Its time is no longer than any request's, and with none there is none.
    assert_eq!(hung(seconds(500)), seconds(31));
    assert_eq!(hung(seconds(0)), seconds(1));
}

#[test]
fn a_wait_without_a_last_look_ends_on_time_and_keeps_the_task() {
    let policy = Policy { wait_timeout: seconds(100), last_look: seconds(0), ..policy() };
    let mut scene = Scene::attached(policy, TaskScript::lasting(Duration::from_millis(99_500)));
    let Outcome::StillRunning(still) = scene.outcome() else { panic!() };
    assert_eq!((still.task_id.as_str(), still.waited), (TASK, seconds(100)));
    let last = scene.world.transcript().calls().last().unwrap().0;
    assert!(last < at(scene.world.now(), 0), "{last:?}");
}

#[test]
fn a_deadline_ends_the_wait_with_its_last_look() {
    for (deadline, wait) in [(100, 600), (100, 100), (100, 99)] {
        let deadline = Some(Deadline::after(seconds(deadline)));
        let policy = Policy { wait_timeout: seconds(wait), deadline, ..policy() };
        // What is ready by the last look, a second before, is not thrown away.
        let mut scene =
            Scene::attached(policy.clone(), TaskScript::lasting(Duration::from_millis(98_500)));
        assert!(scene.completes(), "{}", scene.world.transcript());
        assert_eq!(scene.world.transcript().elapsed(), seconds(99));

        let mut scene = Scene::attached(policy.clone(), TaskScript::endless());
        let _same = scene.world.service().latency(seconds(500));
        scene.outcome();
        assert_eq!(scene.world.transcript().elapsed(), seconds(100));
    }
    // A short one is not spent on the last look.
    let policy = Policy { deadline: Some(Deadline::after(seconds(2))), ..policy() };
    let mut scene = Scene::attached(policy, TaskScript::endless());
    let Outcome::StillRunning(still) = scene.outcome() else { panic!() };
    assert_eq!((still.task_id.as_str(), still.waited), (TASK, Duration::from_millis(1_750)));
}

#[test]
fn a_wait_that_begins_after_its_deadline_looks_no_more() {
    let scene = Scene::attached(policy(), TaskScript::endless());
    let start = scene.world.now();
    let policy = Policy {
        deadline: Some(Deadline::after(seconds(1)).begun(start - seconds(1))),
        ..policy()
    };
    let mut run = Run::attach(TASK.parse().unwrap(), None, policy.into(), Seed::from(1), start);
    let Step::Done(Outcome::StillRunning(still)) = run.step(start) else { panic!() };
    assert_eq!(still.task_id.as_str(), TASK);
}

#[test]
fn a_driver_that_is_late_does_not_make_the_wait_longer() {
    // It notices each time limit 5 ms late, as real ones do, and the service never answers. The
    // third look begins at about 61 s: the wait ends just before it, just after it, and on it.
    for millis in 60_000..63_000 {
        let wait_timeout = Duration::from_millis(millis);
        let policy = Policy { wait_timeout, ..policy() };
        let mut scene = Scene::attached(policy.clone(), TaskScript::endless());
        let start = scene.world.now();
        let mut now = start;
        loop {
            match scene.run.step(now) {
                Step::Send(call) => now = call.limit + Duration::from_millis(5),
                Step::Sleep { until, .. } => now = until + Duration::from_millis(5),
                Step::Done(_) => break,
                Step::Record(_) | Step::Notify(_) => {}
            }
        }
        let bound = wait_timeout + policy.last_look + Duration::from_millis(10);
        assert!(now.since(start) <= bound, "{millis} ms: {:?}", now.since(start));
    }
}

#[test]
fn a_result_that_is_ready_is_not_thrown_away_by_a_submission_that_took_the_wait() {
    let policy = Policy { wait_timeout: seconds(10), ..policy() };
    let mut scene =
        Scene::submitting(policy.clone()).submits([ExchangeOutcome::Served.after(seconds(20))]);
    assert!(scene.completes(), "{}", scene.world.transcript());

    // Nor by one that came later still.
    let mut scene =
        Scene::submitting(policy).submits([ExchangeOutcome::Served.after(seconds(3_600))]);
    assert!(matches!(scene.outcome(), Outcome::Unknown(_)));
    assert!(scene.world.deliver_late(&mut scene.run));
    assert!(scene.completes(), "{}", scene.world.transcript());

    // No wait at all is one look.
    let policy = Policy { wait_timeout: Duration::ZERO, ..Policy::default() };
    let mut scene = Scene::submitting(policy.clone());
    assert!(scene.completes(), "{}", scene.world.transcript());
    let mut scene = Scene::attached(policy, TaskScript::of_polls(0));
    assert!(scene.completes(), "{}", scene.world.transcript());
}

#[test]
fn a_suspended_machine_still_looks_once_with_a_whole_request_time() {
    for asleep in [0, 1, 2, 3] {
        let mut scene = attached(TaskScript::lasting(seconds(60)));
        // Asleep while it sleeps, or while a look is out.
        for _ in 0..asleep {
            scene.world.step(&mut scene.run);
        }
        scene.world.clock().advance(seconds(8 * 3_600));
        let call = scene.until_sent();
        assert_eq!(call.timeout, policy().request_timeout, "{asleep}");
        assert!(scene.world.service().polls() <= 2);
        let answer = scene.world.service().take(scene.world.now(), &call).answer;
        scene.run.reply(scene.world.now(), call.id, &result_of(answer));
        assert!(scene.completes(), "{asleep}\n{}", scene.world.transcript());
    }
}

#[test]
fn a_clock_that_runs_back_costs_nothing_but_patience() {
    let mut scene = attached(TaskScript::of_polls(2));
    scene.until_sent();
    let now = scene.world.now();
    scene.world.clock().set(Time::from_millis(now.as_millis() - 86_400_000));
    assert!(scene.completes(), "{}", scene.world.transcript());
}

#[test]
fn unknown_words_keep_the_run_waiting_and_are_told_once() {
    let polishing = json(200, r#"{"id":"d758n65e878c73cmdg20","status":"POLISHING"}"#);
    let mut scene = attached(TaskScript::of_polls(0)).polls(vec![polishing; 5]);
    assert!(scene.completes(), "{}", scene.world.transcript());
    let told: Vec<&Event> = scene
        .world
        .transcript()
        .events()
        .filter(|event| matches!(event, Event::UnknownStatus { .. }))
        .collect();
    let [Event::UnknownStatus { word, .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!(word.as_str(), "POLISHING");
}

#[test]
fn words_of_every_surface_and_letter_case_are_understood() {
    let with = |word: &str, rest: &str| json(200, &format!(r#"{{"status":"{word}"{rest}}}"#));
    let picture = r#","output":[{"content":[{"url":"https://x/y.png"}]}]"#;
    for word in ["completed", "COMPLETED", "Succeeded", "success", "done"] {
        let mut scene = attached(TaskScript::endless()).polls([with(word, picture)]);
        assert!(scene.completes(), "{word}");
    }
    for word in ["failed", "FAILED", "error", "cancelled", "CANCELED"] {
        let mut scene = attached(TaskScript::endless()).polls([with(word, "")]);
        assert_eq!(scene.error().kind(), ErrorKind::TaskFailed, "{word}");
    }
    for word in [
        "in_progress",
        "IN_PROGRESS",
        "processing",
        "pending",
        "queued",
        "in_queue",
        "submitted",
        "IN_QUEUE",
        "x",
    ] {
        let mut scene = attached(TaskScript::of_polls(1)).polls([with(word, picture)]);
        assert!(scene.completes(), "{word}");
        assert!(scene.world.service().polls() > 1, "{word}");
    }
}

#[test]
fn completed_with_an_error_beside_a_picture_is_completed_with_a_warning() {
    let odd = r#""status":"completed","error":{"code":"7","message":"blurred"},
        "output":[{"content":[{"url":"https://x/y.png"}]}]"#;
    let mut scene = attached(TaskScript::of_polls(0).ending_with(odd));
    let Outcome::Completed(effect) = scene.outcome() else { panic!() };
    assert_eq!(effect.warning.unwrap().message, "blurred");
    let warned =
        scene.world.transcript().events().any(
            |event| matches!(event, Event::Warning { message } if message.contains("blurred")),
        );
    assert!(warned, "{}", scene.world.transcript());

    let fine = odd.replace(r#"{"code":"7","message":"blurred"}"#, "null");
    let mut scene = attached(TaskScript::of_polls(0).ending_with(&fine));
    let Outcome::Completed(effect) = scene.outcome() else { panic!() };
    assert_eq!(effect.warning, None);
}

/// The pictures of a completed task with this output, at this gateway.
fn pictures(gateway: Option<&str>, output: &str) -> Vec<String> {
    let gateway = gateway.map(|url| BaseUrl::parse(url, false).unwrap());
    let policy = Policy { gateway, ..policy() };
    let fields = format!(r#""status":"completed",{output}"#);
    match Scene::attached(policy, TaskScript::of_polls(0).ending_with(&fields)).outcome() {
        Outcome::Completed(effect) => {
            assert!(effect.raw.as_str().contains(output), "the answer is kept as it was sent");
            effect.pictures.into_iter().map(|picture| picture.url).collect()
        }
        Outcome::Failed(failed) if failed.kind == ErrorKind::NoPicture => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_to_pictures_are_resolved_against_the_gateway() {
    let at = |base: &str, link: &str| {
        let urls =
            pictures(Some(base), &format!(r#""output":[{{"content":[{{"url":"{link}"}}]}}]"#));
        urls.into_iter().next().unwrap_or_default()
    };
    for (base, link, url) in [
        ("https://gw.test", "/files/a.png", "https://gw.test/files/a.png"),
        ("https://gw.test:8443/proxy", "/files/a.png?s=1", "https://gw.test:8443/files/a.png?s=1"),
        ("https://gw.test/proxy", "files/a.png", "https://gw.test/proxy/files/a.png"),
        ("https://gw.test/proxy", "./a.webp?s=a/b", "https://gw.test/proxy/a.webp?s=a/b"),
        ("https://gw.test", "//cdn.test/a.png", "https://cdn.test/a.png"),
        ("http://127.0.0.1:9", "//cdn.test:81/a", "http://cdn.test:81/a"),
        ("https://gw.test", "https://bücher.test/ü.png", "https://xn--bcher-kva.test/%C3%BC.png"),
        ("https://gw.test", "//例え.test/a.png", "https://xn--r8jz45g.test/a.png"),
        ("https://gw.test", "/an unencoded name.png", "https://gw.test/an%20unencoded%20name.png"),
        // What every HTTP client takes as it is stays as it is: a signature may cover it.
        (
            "https://gw.test",
            "HTTPS://Cdn.Test:443/a/../b.png?x='1'",
            "HTTPS://Cdn.Test:443/a/../b.png?x='1'",
        ),
        ("https://gw.test", "https://cdn.test/a b<c>.png", "https://cdn.test/a%20b%3Cc%3E.png"),
        // What is no link to a picture.
        ("https://gw.test", "https://cdn.test:99999/a.png", ""),
        ("https://gw.test", "https://[::1/a.png", ""),
        ("https://gw.test", "file:///etc/passwd", ""),
        ("https://gw.test", "data:image/png;base64,iVBORw0KGgo=", ""),
        ("https://gw.test", "pending", ""),
        ("https://gw.test", "n/a", ""),
    ] {
        assert_eq!(at(base, link), url, "{link}");
    }
    // Without a gateway's address no path can be resolved.
    let output = |link: &str| format!(r#""output":[{{"content":[{{"url":"{link}"}}]}}]"#);
    assert_eq!(pictures(None, &output("/a.png")), [""; 0]);
    assert_eq!(pictures(None, &output("//cdn.test/a.png")), [""; 0]);
    assert_eq!(pictures(None, &output("https://cdn.test/a.png")), ["https://cdn.test/a.png"]);
}

#[test]
fn links_stand_as_texts_or_in_objects_wherever_an_output_has_them() {
    let (one, two) = ("https://cdn.test/1.png", "https://gw.test/2.png");
    for output in [
        r#""output":["https://cdn.test/1.png","/2.png"]"#,
        r#""output":[{"content":["https://cdn.test/1.png","/2.png"]}]"#,
        r#""output":[{"content":"https://cdn.test/1.png"},{"content":["/2.png"]}]"#,
        r#""output":[["https://cdn.test/1.png"],[{"url":"/2.png"}]]"#,
        r#""output":{"content":["https://cdn.test/1.png","2.png"]}"#,
        r#""output":[{"type":"image","url":"https://cdn.test/1.png"},{"url":"/2.png"}]"#,
        r#""outputs":["https://cdn.test/1.png","/2.png"]"#,
        r#""output":"https://cdn.test/1.png","outputs":"/2.png""#,
        r#""content":["https://cdn.test/1.png",{"url":"/2.png"}]"#,
    ] {
        assert_eq!(pictures(Some("https://gw.test"), output), [one, two], "{output}");
    }
    let jpeg = format!(r#""output":["/9j/{}"]"#, "A".repeat(5_000));
    for output in [
        r#""output":["done","see https for more."]"#,
        r#""output":[{"type":"text","content":"/a.png"}]"#,
        r#""output":[{"content":[{"type":"video","url":"/a.png"}]}]"#,
        r#""output":[[[]],{},"",null,7,true]"#,
        jpeg.as_str(),
    ] {
        assert_eq!(pictures(Some("https://gw.test"), output), [""; 0], "{output}");
    }
}

#[test]
fn completed_without_a_picture_says_what_was_sent_and_how_to_see_it() {
    let said = |fields: &str| {
        let error = attached(TaskScript::of_polls(0).ending_with(fields)).error();
        assert_eq!(error.kind(), ErrorKind::NoPicture);
        error.to_string()
    };
    let long = format!(r#""status":"completed","output":[{{"content":"{}"}}]"#, "no ".repeat(999));
    for (fields, sent) in [
        (
            r#""status":"completed","output":[{"content":[{"image":"x"}]}]"#,
            r#"[{"content":[{"image":"x"}]}]"#,
        ),
        (r#""status":"completed","outputs":"soon""#, r#""soon""#),
        (r#""status":"completed""#, "no output"),
        (r#""status":"completed","output":null"#, "no output"),
        (long.as_str(), "no no no"),
        // A link can be a permission.
        (r#""status":"completed","output":["ftp://x/y?sig=s3cr3t#a"]"#, r#"["ftp://x/y?…"]"#),
    ] {
        let message = said(fields);
        assert!(message.contains(sent) && !message.contains("s3cr3t"), "{message}");
        assert!(message.contains(&format!("effects status {TASK} --json")), "{message}");
        assert!(message.len() < 500, "{message}");
    }
}

#[test]
fn completed_without_a_picture_is_an_explicit_error() {
    for fields in [
        r#""status":"completed""#,
        r#""status":"completed","output":[]"#,
        r#""status":"completed","output":null"#,
        r#""status":"completed","output":[{"content":[]}]"#,
        r#""status":"completed","output":[{"content":[{"type":"image"}]}]"#,
        r#""status":"completed","output":[{"content":[{"type":"image","url":""}]}]"#,
        r#""status":"completed","output":[{"content":[{"type":"video","url":"https://x/y.mp4"}]}]"#,
        r#""status":"completed","output":[{"content":[{"url":"file:///etc/passwd"}]}]"#,
    ] {
        let error = attached(TaskScript::of_polls(0).ending_with(fields)).error();
        assert_eq!(error.kind(), ErrorKind::NoPicture, "{fields}");
        assert_eq!(error.task_id().unwrap().as_str(), TASK);
    }
    // With a reason it has failed.
    let failed = r#""status":"completed","error":{"code":"3009096","error_message":"no"}"#;
    let error = attached(TaskScript::of_polls(0).ending_with(failed)).error();
    assert_eq!((error.kind(), error.code().unwrap().as_str()), (ErrorKind::TaskFailed, "3009096"));
}

#[test]
fn a_cost_outside_of_0_to_10_000_usd_is_kept_as_text_and_told() {
    let usage = |cost: &str, status: &str| {
        let fields = format!(
            r#""status":"{status}","usage":{{"cost":{cost}}},
            "output":[{{"content":[{{"url":"https://x/y.png"}}]}}]"#
        );
        let mut scene = attached(TaskScript::of_polls(0).ending_with(&fields));
        let usage = match scene.outcome() {
            Outcome::Completed(effect) => effect.usage,
            Outcome::Failed(failed) => failed.usage.unwrap(),
            other => panic!("{other:?}"),
        };
        let warnings = scene.world.transcript().events().filter_map(|event| match event {
            Event::Warning { message } => Some(message.clone()),
            _ => None,
        });
        (usage.cost.map(|cost| cost.to_string()), usage.unreadable_cost, warnings.collect())
    };
    for status in ["completed", "failed"] {
        for (cost, text) in [
            (r#""-0.02""#, "-0.02"),
            ("-0.02", "-0.02"),
            ("70000000000000000000000000000", "70000000000000000000000000000"),
            ("10000.01", "10000.01"),
            ("7e28", "7e28"),
            (r#""1e400""#, "1e400"),
            (r#""1e-400""#, "1e-400"),
            (r#""1_0""#, "1_0"),
            (r#""1_0e0""#, "1_0e0"),
            (r#""3e-+2""#, "3e-+2"),
            ("0.00000000000000000000000000035e0", "0.00000000000000000000000000035e0"),
            ("1234567890.12345678901234567899e-8", "1234567890.12345678901234567899e-8"),
            (r#""0.02 USD""#, "0.02 USD"),
            (r#""""#, ""),
            ("true", "true"),
            (r#"{"usd":1}"#, r#"{"usd":1}"#),
            ("[0.03]", "[0.03]"),
        ] {
            let (known, unreadable, warnings): (_, _, Vec<String>) = usage(cost, status);
            assert_eq!((known, unreadable.as_deref()), (None, Some(text)), "{cost}");
            let [warning] = &warnings[..] else { panic!("{cost}: {warnings:?}") };
            assert!(warning.contains(TASK) && warning.contains(&format!("{text:?}")), "{warning}");
        }
        for (cost, known) in [
            ("0", Some("0")),
            ("-0.0", Some("0.0")),
            ("10000", Some("10000")),
            ("1e4", Some("10000")),
            ("3e-2", Some("0.03")),
            ("3.0E-2", Some("0.030")),
            (r#""0.3e+1""#, Some("3")),
            ("null", None),
        ] {
            let (read, unreadable, warnings): (_, _, Vec<String>) = usage(cost, status);
            assert_eq!((read.as_deref(), unreadable, warnings.len()), (known, None, 0), "{cost}");
        }
    }
}

#[test]
fn progress_is_read_in_every_form_and_kept_when_an_answer_leaves_it_out() {
    let progress = |text: &str| {
        let fields = format!(r#"{{"status":"in_progress","progress":{text}}}"#);
        let mut scene = attached(TaskScript::of_polls(0)).polls([json(200, &fields)]);
        assert!(scene.completes());
        let told = scene.world.transcript().events().find_map(|event| match event {
            Event::Running { progress, .. } => Some(*progress),
            _ => None,
        });
        told.unwrap()
    };
    for (text, share) in [
        ("0", Some(0.0)),
        ("0.4", Some(0.4)),
        ("1", Some(1.0)),
        ("40", Some(0.4)),
        ("100", Some(1.0)),
        ("4000", Some(1.0)),
        ("-3", Some(0.0)),
        ("\"0.4\"", Some(0.4)),
        ("\"40%\"", Some(0.4)),
        ("null", None),
        ("\"soon\"", None),
        ("true", None),
        ("{}", None),
    ] {
        assert_eq!(progress(text), share, "{text}");
    }
    let mut scene =
        Scene::attached(Policy { wait_timeout: seconds(4), ..policy() }, TaskScript::endless())
            .polls([
                json(200, r#"{"status":"in_progress","progress":0.7}"#),
                json(200, RUNNING),
                json(200, RUNNING),
            ]);
    let Outcome::StillRunning(still) = scene.outcome() else { panic!() };
    assert_eq!(still.progress, Some(0.7));
}

#[test]
fn a_task_is_as_old_as_is_known_best() {
    let age = |created_at: &str, submitted: Option<Time>| {
        let mut scene = attached(TaskScript::of_polls(0));
        let running = format!(r#"{{"status":"in_progress","created_at":{created_at}}}"#);
        scene = scene.polls([json(200, &running)]);
        if let Some(submitted) = submitted {
            scene.run = scene.run.submitted_at(submitted);
        }
        assert!(scene.completes());
        let told = scene.world.transcript().events().find_map(|event| match event {
            Event::Running { age, .. } => Some(*age),
            _ => None,
        });
        told.unwrap()
    };
    let now = World::new().now();
    let before = |secs: u64| Time::from_millis(now.as_millis() - secs * 1_000);
    // The service's date, where it is all there is.
    assert_eq!(age(&(before(50).as_millis() / 1_000).to_string(), None), seconds(50));
    assert_eq!(age(&format!("{:?}", before(50).to_string()), None), seconds(50));
    // A date that is not yet, or never was.
    assert_eq!(age(&(now.as_millis() / 1_000 + 50).to_string(), None), seconds(0));
    assert_eq!(age("0", None), seconds(0));
    assert_eq!(age("null", None), seconds(0));
    // The time of the submission is known better than by a clock elsewhere.
    let created = (before(5_000).as_millis() / 1_000).to_string();
    assert_eq!(age(&created, Some(before(20))), seconds(20));
}

#[test]
fn the_pace_spaces_the_looks() {
    let mut scene = Scene::attached(policy(), TaskScript::of_polls(3));
    assert!(scene.completes());
    let waits: Vec<(Duration, SleepReason)> =
        scene.world.transcript().sleeps().filter(|(wait, _)| !wait.is_zero()).collect();
    assert_eq!(waits, [(seconds(3), SleepReason::Pace); 3]);

    let growing = Policy { pace: Pace::backoff(seconds(1), seconds(5)), ..policy() };
    let mut scene = Scene::attached(growing, TaskScript::of_polls(20));
    assert!(scene.completes());
    let paced = scene.world.transcript().sleeps().filter(|(_, why)| *why == SleepReason::Pace);
    let waits: Vec<f64> = paced.map(|(wait, _)| wait.as_secs_f64()).collect();
    assert!(waits.iter().all(|wait| (0.9..=5.0).contains(wait)), "{waits:?}");
    assert!(waits.last() > Some(&4.4), "{waits:?}");
}

#[test]
fn retry_after_is_believed_up_to_a_cap_and_never_shortens_our_own_wait() {
    for (exchange_outcome, least, most) in [
        (Response::new(429).retry_after(7), 7_000, 7_000),
        (Response::new(429).retry_after_date(7), 7_000, 7_000),
        (Response::new(503).retry_after(3_600), 60_000, 60_000),
        (Response::new(500).retry_after(7), 7_000, 7_000),
        (Response::new(429).retry_after(0), 250, 500),
        (Response::new(429), 250, 500),
        (Response::new(429).header("Retry-After", "Sun, 06 Nov 1994 00:00:09 GMT"), 250, 500),
    ] {
        let mut scene = attached(TaskScript::of_polls(0)).polls([exchange_outcome.clone()]);
        assert!(scene.completes());
        let (wait, _) =
            scene.world.transcript().sleeps().find(|(wait, _)| !wait.is_zero()).unwrap();
        let millis = wait.as_millis();
        assert!((least..=most).contains(&millis), "{exchange_outcome:?}: {millis} ms");
    }
}

#[test]
fn an_answer_without_an_id_or_with_another_is_about_the_task_that_was_asked_for() {
    for id in ["", r#""request_id":"req-1","#, r#""id":"other","#] {
        let body = COMPLETED.replacen(r#""id":"d758n65e878c73cmdg20","#, id, 1);
        let mut scene = attached(TaskScript::endless()).polls([json(200, &body)]);
        let Outcome::Completed(effect) = scene.outcome() else { panic!("{body}") };
        assert_eq!(effect.task_id.as_str(), TASK);
        assert_eq!(effect.pictures[0].task_id.as_str(), TASK, "{body}");
    }
}

#[test]
fn an_error_at_the_end_is_reported_with_what_it_leaves_open() {
    // A run that saw the task knows that it is running.
    let policy = Policy { wait_timeout: seconds(20), ..policy() };
    let mut scene = Scene::attached(policy.clone(), TaskScript::endless());
    scene.world.service().on_poll([ExchangeOutcome::Served]);
    scene.world.service().on_poll(vec![Response::new(429); 99]);
    let error = scene.error();
    assert_eq!((error.kind(), error.status()), (ErrorKind::WaitTimeout, Some(429)));

    // A run that never saw it can only say what is in the way.
    for (exchange_outcome, kind) in [
        (ExchangeOutcome::NotSent, ErrorKind::Transport),
        (Response::new(500).into(), ErrorKind::Transport),
        (Response::new(429).into(), ErrorKind::RateLimited),
        (ExchangeOutcome::html(), ErrorKind::UnreadableAnswer),
    ] {
        let mut scene = Scene::attached(policy.clone(), TaskScript::endless())
            .polls(vec![exchange_outcome; 99]);
        assert_eq!(scene.error().kind(), kind);
    }
    // After a submission it was seen: the answer to that showed it.
    let mut scene = Scene::submitting(policy).polls(vec![ExchangeOutcome::NotSent; 99]);
    assert_eq!(scene.error().kind(), ErrorKind::WaitTimeout);
}

#[test]
fn looks_ask_for_the_task_and_nothing_else() {
    let mut scene = attached(TaskScript::of_polls(1));
    assert!(scene.completes());
    for (_, call) in scene.world.transcript().calls() {
        let CallKind::Poll { task } = &call.kind else { panic!("{call:?}") };
        assert_eq!(task.as_str(), TASK);
    }
}
