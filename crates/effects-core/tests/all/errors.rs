//! Each kind of error the core can produce, provoked through its public API, and the table of all.

use std::collections::{HashMap, HashSet};

use crate::common::{Scene, TASK, policy, seconds};
use bytes::Bytes;
use effects_core::model::Draft;
use effects_core::wire::ExchangeError;
use effects_core::{
    BaseUrl, EffectRequest, Error, ErrorKind, Outcome, Policy, Seed, Template, Time,
};
use effects_jobs::{Download, DownloadStep, Photo, Uploads, read_storage_answer, upload_error};
use effects_testkit::{ExchangeOutcome, Response, TaskScript, result_of};

fn submitted(answer: Response) -> Error {
    Scene::submitting(policy()).submits(vec![answer; 999]).error()
}

fn looked(answer: Response) -> Error {
    Scene::attached(policy(), TaskScript::endless()).polls(vec![answer; 999]).error()
}

fn json(status: u16, body: &str) -> Response {
    Response::json(body.to_owned()).status(status)
}

#[test]
fn invalid_request() {
    let draft = Draft { width: Some(4_096), ..Draft::default() };
    let error = Error::from(draft.check().unwrap_err());
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::InvalidRequest, 2));
    assert_eq!(error.code().unwrap().as_str(), "3009001");
    let error: Error = EffectRequest::new(Template::MyWorld, "cat.jpg").unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn misconfigured() {
    let origin = BaseUrl::parse("https://example.com", false).unwrap().origin().clone();
    let error = Uploads::default().chosen_for(&origin).unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Misconfigured, 2));
    assert_eq!("s3".parse::<Uploads>().unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[test]
fn unusable_photo() {
    let error = Photo::new(Bytes::from_static(b"hello"), "notes.txt").unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::UnusablePhoto, 2));
}

#[test]
fn rejected() {
    let error = submitted(json(422, r#"{"message":"no"}"#));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Rejected, 2));
    assert_eq!(error.task_id(), None);
}

#[test]
fn no_such_endpoint() {
    let error = submitted(Response::html("<title>404</title>").status(404));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::NoSuchEndpoint, 2));
}

#[test]
fn redirected() {
    let error = submitted(Response::redirect(302, "https://elsewhere.test/"));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Redirected, 2));
    assert!(error.to_string().contains("https://elsewhere.test/"), "{error}");
}

#[test]
fn key_refused() {
    let answer = json(401, r#"{"error":"Missing Token"}"#);
    let error = submitted(answer.clone());
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::KeyRefused, 3));
    let error = looked(answer);
    assert_eq!((error.kind(), error.task_id().unwrap().as_str()), (ErrorKind::KeyRefused, TASK));
}

#[test]
fn forbidden() {
    let answer = json(403, r#"{"detail":"Model not allowed for this user"}"#);
    assert_eq!(submitted(answer.clone()).kind(), ErrorKind::Forbidden);
    let error = looked(answer);
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Forbidden, 3));
}

#[test]
fn out_of_credit() {
    let error = submitted(json(402, r#"{"message":"pay"}"#));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::OutOfCredit, 6));
    assert_eq!(looked(json(403, r#"{"error":"no credits"}"#)).kind(), ErrorKind::OutOfCredit);
}

#[test]
fn rate_limited() {
    let error = submitted(Response::new(429).retry_after(9));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::RateLimited, 9));
    assert_eq!(error.retry_after(), Some(seconds(9)));
    assert_eq!(looked(Response::new(429)).kind(), ErrorKind::RateLimited);
}

#[test]
fn transport() {
    let error = Scene::submitting(policy()).submits(vec![ExchangeOutcome::NotSent; 999]).error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Transport, 7));
    assert_eq!(looked(Response::new(500)).kind(), ErrorKind::Transport);
}

/// What happened and to what, what it means for the money, and what to do now.
#[test]
fn a_message_says_what_is_paid_and_what_to_do() {
    let no_task = "; no task was made and nothing is billed";
    let key = json(401, r#"{"error":"Missing Token"}"#);
    for (error, wanted) in [
        (submitted(key.clone()), format!("{no_task}: give a key of the service's API key page")),
        (submitted(json(402, r#"{"message":"pay"}"#)), format!("{no_task}: add credit")),
        (
            submitted(Response::html("<title>404</title>").status(404)),
            format!("{no_task}: check the base URL"),
        ),
        (submitted(Response::new(429)), format!("{no_task}: try again later")),
        (
            submitted(json(413, r#"{"message":"too large"}"#)),
            format!("{no_task}: the request is too large: make the photo smaller"),
        ),
        (looked(key), format!("{TASK} (HTTP 401")),
        (looked(json(401, "{}")), "; the task goes on, and is billed if it completes".to_owned()),
        (
            looked(json(404, r#"{"message":"no such task"}"#)),
            "whose key it is; whether it is billed is not known".to_owned(),
        ),
    ] {
        assert!(error.to_string().contains(&wanted), "{wanted:?} is missing: {error}");
    }
}

#[test]
fn unreadable_answer() {
    let error = looked(Response::html("<title>hotel</title>"));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::UnreadableAnswer, 7));
    assert!(error.to_string().contains("hotel"), "{error}");
}

#[test]
fn upload() {
    let answer = Response::new(500).to_answer();
    let error = upload_error(read_storage_answer(&result_of(answer)).unwrap_err(), false);
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Upload, 7));
    assert_eq!(error.status(), Some(500));
}

#[test]
fn download() {
    let Outcome::Completed(effect) = Scene::submitting(policy()).outcome() else { panic!() };
    let now = Time::from_millis(0);
    let policy = Policy { wait_timeout: seconds(1), ..policy() };
    let mut download = Download::new(&effect.pictures[0], &policy, Seed::from(1), now);
    download.failed(
        now,
        ExchangeError::Unreadable { status: 200, excerpt: "a page".to_owned(), response: None },
    );
    download.failed(now + seconds(9), ExchangeError::Lost { reason: "reset".to_owned() });
    let DownloadStep::Notify(event) = download.step(now) else { panic!() };
    assert!(event.to_string().contains("again in"), "{event}");
    let DownloadStep::Failed(error) = download.step(now + seconds(9)) else { panic!() };
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Download, 7));
    assert_eq!(error.task_id(), Some(&effect.task_id));
    assert!(error.to_string().contains(&effect.pictures[0].url), "{error}");
    assert!(error.to_string().contains("; it is paid for: open that link"), "{error}");

    // That of a replay is not paid for, and its link leads nowhere.
    let policy = Policy { is_replay: true, ..policy };
    let mut download = Download::new(&effect.pictures[0], &policy, Seed::from(1), now);
    download.failed(now, ExchangeError::Untrusted { reason: "it has only a hash".to_owned() });
    let DownloadStep::Failed(error) = download.step(now) else { panic!() };
    assert!(error.to_string().contains("; it is a replay, which pays nothing"), "{error}");
    assert!(!error.to_string().contains("paid for"), "{error}");
}

#[test]
fn task_failed() {
    let task_script = TaskScript::of_polls(1).failing("3009095", "Internal generation error");
    let error = Scene::submitting(policy()).task_script(task_script).error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::TaskFailed, 4));
    assert_eq!(error.code().unwrap().as_str(), "3009095");
    let bill = "(3009095); the service tells no cost of it, so it counts as not billed";
    assert!(error.to_string().ends_with(bill), "{error}");
    let resumed = error.with_resume_line(|task| format!("effects wait {task}"));
    assert_eq!(resumed.resume_line(), None, "a verdict leaves nothing to wait for");
}

#[test]
fn no_picture() {
    let error = Scene::submitting(policy())
        .task_script(TaskScript::of_polls(0).ending_with(r#""status":"completed","output":[]"#))
        .error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::NoPicture, 4));
}

/// What a failed task is billed with, and one that cannot be read, stands in its message.
#[test]
fn a_task_without_a_picture_says_what_it_cost() {
    for (end, wanted) in [
        (
            r#""status":"failed","usage":{"cost":"0.02"}"#,
            "failed: no reason given; it cost 0.02 USD",
        ),
        (
            r#""status":"failed","usage":{"cost":"two"}"#,
            "sent \"two\" for its cost, which cannot be read",
        ),
        (
            r#""status":"completed","output":[]"#,
            "; it may be billed: the service tells no cost of it",
        ),
        (
            r#""status":"cancelled""#,
            "; the service tells no cost of it, so it counts as not billed",
        ),
    ] {
        let error = Scene::submitting(policy())
            .task_script(TaskScript::of_polls(0).ending_with(end))
            .error();
        assert!(error.to_string().ends_with(wanted), "{wanted:?} is missing: {error}");
    }
}

#[test]
fn task_not_found() {
    let error = looked(json(404, r#"{"message":"task not found"}"#));
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::TaskNotFound, 4));
    assert_eq!(error.task_id().unwrap().as_str(), TASK);
    // The service would not know it the next time either.
    let error = error.with_resume_line(|task| format!("effects wait {task}"));
    assert_eq!(error.resume_line(), None);
    assert!(
        error.to_string().contains("check its id, the base URL, and whose key it is"),
        "{error}"
    );
}

#[test]
fn the_line_that_shows_the_whole_answer_is_the_callers_where_it_names_one() {
    for body in [r#"{"status":"completed","output":[]}"#, r#"{"status":"archived"}"#] {
        let error = looked(json(200, body));
        let line = format!("with: effects status {TASK} --json; ");
        assert!(error.to_string().contains(&line), "{error}");
        let error = error.with_status_line(|line| format!("{line} --profile x"));
        let line = format!("with: effects status {TASK} --json --profile x; ");
        assert!(error.to_string().contains(&line), "{error}");
    }
    let other = looked(json(401, "{}"));
    assert_eq!(other.clone().with_status_line(str::to_owned).to_string(), other.to_string());
}

#[test]
fn what_to_do_is_at_the_end_of_a_message_and_apart() {
    let error = Error::new(ErrorKind::MissingKey, "there is no key").with_way_out("set one");
    assert_eq!(
        (error.to_string().as_str(), error.way_out()),
        ("there is no key; set one", Some("set one"))
    );
    assert_eq!(error.without_way_out().to_string(), "there is no key");
}

#[test]
fn outcome_unknown() {
    let error = Scene::submitting(policy()).submits([ExchangeOutcome::LostAfter]).error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::OutcomeUnknown, 8));
    assert!(error.request_id().is_some());
}

#[test]
fn what_was_unknown_when_it_was_recorded_is_said_to_be_of_then() {
    let policy = Policy { is_replay: true, ..policy() };
    for exchange_outcome in [ExchangeOutcome::LostAfter, Response::new(502).into()] {
        let error = Scene::submitting(policy.clone()).submits([exchange_outcome]).error();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        let said = error.to_string();
        assert!(
            said.starts_with("when it was recorded, the outcome of the submission was unknown ("),
            "{said}"
        );
        assert!(!said.contains("may be billed") && !said.contains("it left at"), "{said}");
    }
}

/// The ends of a replayed run: no money is spoken of but what its recording says.
#[test]
fn what_a_replay_ends_with_says_that_nothing_is_paid_and_no_task_goes_on() {
    let policy = Policy { is_replay: true, ..policy() };
    let looked = |answer: Response| {
        let scene = Scene::attached(policy.clone(), TaskScript::endless());
        scene.polls(vec![answer; 999]).error()
    };
    let ended = |end: &str| {
        let script = TaskScript::of_polls(0).ending_with(end);
        Scene::submitting(policy.clone()).task_script(script).error()
    };
    let no_task = "; it is a replay: no task goes on, and nothing is paid";
    let mut left = Scene::attached(policy.clone(), TaskScript::endless());
    left.until_sent();
    left.run.detach(left.world.now());
    let running = &format!("when it was recorded, task {TASK} was still running");
    for (error, begins, ends) in [
        (left.error(), "stopped watching task ", no_task),
        (Scene::attached(policy.clone(), TaskScript::endless()).error(), running, no_task),
        (looked(json(401, "{}")), "the key was refused while looking at task ", no_task),
        (looked(json(404, r#"{"message":"no such task"}"#)), "the service knows no task ", no_task),
        (looked(json(200, r#"{"status":"archived"}"#)), "task ", no_task),
        (ended(r#""status":"completed","output":[]"#), "task ", no_task),
        (ended(r#""status":"failed","usage":{"cost":"two"}"#), "task ", no_task),
        (
            ended(r#""status":"failed","usage":{"cost":"0.02"}"#),
            "task ",
            "; it is a replay, which pays nothing: its recording says 0.02 USD",
        ),
        (
            ended(r#""status":"cancelled""#),
            "task ",
            "; the service tells no cost of it, so it counts as not billed",
        ),
    ] {
        let said = error.to_string();
        assert!(said.starts_with(begins) && said.ends_with(ends), "{ends:?} is missing: {said}");
        let known = Error::from(error.cause().clone()).replayed();
        assert_eq!(known.to_string(), said);
    }
}

#[test]
fn wait_timeout() {
    let error = Scene::attached(policy(), TaskScript::endless()).error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::WaitTimeout, 5));
    let error = error.with_resume_line(|task| format!("effects wait {task}"));
    assert_eq!(error.resume_line(), Some(format!("effects wait {TASK}").as_str()));
    assert!(error.to_string().ends_with(&format!("resume with: effects wait {TASK}")), "{error}");
}

#[test]
fn detached() {
    let mut scene = Scene::attached(policy(), TaskScript::endless());
    scene.until_sent();
    scene.run.detach(scene.world.now());
    let error = scene.error();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Detached, 130));
    assert_eq!(error.task_id().unwrap().as_str(), TASK);
}

/// The kinds that are made of what lies outside of the core: a missing key and a budget are the
/// clients' affair, a journal the driver's.
#[test]
fn what_others_make_has_its_row_too() {
    for (kind, exit_code) in
        [(ErrorKind::MissingKey, 3), (ErrorKind::BudgetExceeded, 6), (ErrorKind::Journal, 1)]
    {
        let error = Error::new(kind, "a message");
        assert_eq!((error.kind(), error.exit_code()), (kind, exit_code));
        assert_eq!(error.to_string(), "a message");
    }
}

#[test]
fn the_table_gives_each_kind_a_name_a_class_and_an_exit_code() {
    let mut names = HashSet::new();
    let mut exit_codes: HashMap<&str, HashSet<u8>> = HashMap::new();
    for row in ErrorKind::TABLE {
        assert!(names.insert(row.name), "{} stands there twice", row.name);
        assert_eq!(row.kind.name(), row.name);
        assert_eq!(serde_json::to_value(row.kind).unwrap(), row.name);
        assert_eq!(row.kind.exit_code(), row.exit_code);
        assert_eq!(row.kind.python_class(), row.python_class);
        assert!(matches!(row.exit_code, 1..=9 | 130), "{}: {}", row.name, row.exit_code);
        exit_codes.entry(row.python_class).or_default().insert(row.exit_code);
    }
    // One class never stands for two exit codes.
    for (class, codes) in exit_codes {
        assert_eq!(codes.len(), 1, "{class}: {codes:?}");
    }
    // The classes the Python package promises, and no others but two of Python's kind.
    let promised: HashSet<&str> = [
        "InvalidRequest",
        "AuthError",
        "RateLimited",
        "OutOfCredit",
        "TaskFailed",
        "WaitTimeout",
        "OutcomeUnknown",
        "BudgetExceeded",
        "TaskNotFound",
        "TransportError",
        "DeadlineExceeded",
        "UnreadableAnswer",
        "EffectsError",
        "KeyboardInterrupt",
    ]
    .into();
    let classes: HashSet<&str> = ErrorKind::TABLE.iter().map(|row| row.python_class).collect();
    assert_eq!(classes, promised);
}
