//! Walks `tests/vectors` with the core: every variant of the wire decodes to what it must, every
//! request is sent as it must be.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::{Answer, Call, Endpoint};
use effects_core::model::{Draft, DraftImage};
use effects_core::run::SleepReason;
use effects_core::wire::{ExchangeError, RawJson};
use effects_core::{
    ApiKey, BaseUrl, Effect, EffectRequest, Error, Event, InvalidRequest, Outcome, Policy, Run,
    Seed, ServiceCode, ServiceError, Step, Template, Time, Usage,
};
use effects_testkit::result_of;
use effects_tests::vectors::{
    AnswerCase, Input, REQUESTS, RequestCase, Sent, TASK, Vectors, answer_files, folder, load,
};
use serde_json::{Map, Value, json};

#[test]
fn every_answer_is_read_as_its_vector_says() {
    let mut wrong = Vec::new();
    let mut walked = 0;
    for file in answer_files().unwrap() {
        let vectors: Vectors<AnswerCase> = load(&file).unwrap();
        let mut names = HashSet::new();
        for case in &vectors.cases {
            assert!(names.insert(&case.name), "{}: {:?} twice", file.display(), case.name);
            assert!(
                case.submission.is_some() || case.look.is_some(),
                "{:?} says nothing",
                case.name
            );
            let answer = case.answer.response().to_answer();
            let readings = [
                ("submission", &case.submission, submission as fn(&Answer) -> ActualReading),
                ("look", &case.look, look),
            ];
            for (role, expected, read) in readings {
                let Some(expected) = expected else { continue };
                walked += 1;
                let seen = read(&answer).0;
                if seen != *expected {
                    let (seen, expected) = (Value::Object(seen), Value::Object(expected.clone()));
                    wrong.push(format!(
                        "{}, {:?}, as a {role}:\n  expected {expected}\n      read {seen}",
                        name_of(&file),
                        case.name
                    ));
                }
            }
        }
    }
    // A folder that is not found, or a reader that skips, would pass otherwise.
    assert!(walked > 300, "only {walked} readings: is {} whole?", folder().display());
    assert!(wrong.is_empty(), "{} of {walked} readings differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_request_is_sent_as_its_vector_says() {
    let file = folder().join(REQUESTS);
    let vectors: Vectors<RequestCase> = load(&file).unwrap();
    let mut wrong = Vec::new();
    for case in &vectors.cases {
        let complaint = match (&case.sent, &case.refused) {
            (Some(sent), None) => differs(case, sent),
            (None, Some(expected)) => {
                let input = case.input.as_ref().unwrap();
                match request_of(input) {
                    Ok(request) => Some(format!("nothing is wrong with {request:?}")),
                    Err(invalid) => {
                        let seen = violations(&invalid);
                        (seen != *expected)
                            .then(|| format!("expected {}, seen {}", json!(expected), json!(seen)))
                    }
                }
            }
            _ => Some("give one of sent and refused".to_owned()),
        };
        wrong.extend(complaint.map(|what| format!("{}, {:?}: {what}", name_of(&file), case.name)));
    }
    assert!(vectors.cases.len() > 40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_vectors_name_every_listed_template() {
    let vectors: Vectors<RequestCase> = load(&folder().join(REQUESTS)).unwrap();
    let named: HashSet<&str> = vectors
        .cases
        .iter()
        .filter_map(|case| case.input.as_ref()?.template_id.as_deref())
        .collect();
    for template in Template::ALL {
        assert!(named.contains(template.id()), "{}", template.id());
    }
}

/// What a reading shows, in the vectors' words; what is not there is left out.
struct ActualReading(Map<String, Value>);

impl ActualReading {
    fn new(is: &str) -> Self {
        Self(Map::new()).with("is", json!(is))
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        if !value.is_null() && value != json!("") {
            self.0.insert(field.to_owned(), value);
        }
        self
    }

    fn with_effect(self, effect: &Effect, body: &[u8]) -> Self {
        // It is kept letter for letter.
        let text = std::str::from_utf8(body).unwrap().trim_start_matches('\u{feff}');
        assert_eq!(effect.raw.as_str(), text);
        let pictures = effect.pictures.iter().map(|picture| {
            let seen = Self(Map::new())
                .with("url", json!(picture.url))
                .with("size", json!(picture.size))
                .with("job_id", json!(picture.job_id));
            assert_eq!(picture.task_id, effect.task_id);
            Value::Object(seen.0)
        });
        let warning = effect.warning.as_ref().map(|error| Self(Map::new()).with_error(error).0);
        self.with("pictures", pictures.collect())
            .with_usage(Some(&effect.usage))
            .with("metadata", effect.metadata.as_ref().map_or(Value::Null, RawJson::to_value))
            .with("warning", warning.map_or(Value::Null, Value::Object))
    }

    fn with_usage(self, usage: Option<&Usage>) -> Self {
        let text = |number: Option<String>| number.map_or(Value::Null, Value::String);
        let unreadable = usage.and_then(|usage| usage.unreadable_cost.clone());
        let seen = self
            .with("cost", text(usage.and_then(|usage| usage.cost).map(|cost| cost.to_string())))
            .with("discount", text(usage.and_then(|usage| usage.discount).map(|d| d.to_string())));
        match unreadable {
            // An empty one was sent, too.
            Some(sent) => seen.with_even_if_empty("unreadable_cost", json!(sent)),
            None => seen,
        }
    }

    /// [`with`](Self::with), of a field that says something when it is empty.
    fn with_even_if_empty(mut self, field: &str, value: Value) -> Self {
        self.0.insert(field.to_owned(), value);
        self
    }

    fn with_error(self, error: &ServiceError) -> Self {
        self.with("code", json!(error.code.as_ref().map(ServiceCode::as_str)))
            .with("message", json!(error.message))
    }

    /// What an outcome says of the answer it came from.
    fn of(outcome: Outcome, body: &[u8]) -> Self {
        let task_id = outcome.task_id().map(ToString::to_string);
        let is = match &outcome {
            Outcome::Completed(effect) => {
                return Self::new("completed")
                    .with("task_id", json!(task_id))
                    .with_effect(effect, body);
            }
            Outcome::Failed(_) => "failed",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown(_) => return Self::new("unknown").with_exchange_error(outcome),
            Outcome::Broken(_) => "stopped",
            other => panic!("no answer ends like this: {other:?}"),
        };
        let usage = match &outcome {
            Outcome::Failed(failed) => failed.usage.clone(),
            _ => None,
        };
        let error = outcome.clone().into_result().unwrap_err();
        let seen = Self::new(is).with("task_id", json!(task_id)).with("kind", json!(error.kind()));
        match &outcome {
            Outcome::Failed(failed) => match &failed.error {
                Some(error) => seen.with_error(error).with_usage(usage.as_ref()),
                None => seen.with_usage(usage.as_ref()),
            },
            _ => seen.with_exchange_error(outcome),
        }
    }

    fn with_exchange_error(self, outcome: Outcome) -> Self {
        let error: Error = outcome.into_result().unwrap_err();
        match error.exchange_error() {
            Some(error) => self.with_rejection(error),
            None => self,
        }
    }

    /// The status is left out under HTTP 200, where it says nothing.
    fn with_rejection(self, error: &ExchangeError) -> Self {
        let Some(rejection) = error.rejection() else { return self };
        let status = Some(rejection.status).filter(|&status| status != 200);
        self.with("status", json!(status))
            .with_error(&rejection.error)
            .with("retry_after", json!(rejection.retry_after.map(|wait| wait.as_secs())))
            .with("request_id", json!(rejection.request_id))
    }
}

/// What the core makes of an answer to a submission.
fn submission(answer: &Answer) -> ActualReading {
    let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg").unwrap();
    let run = Run::submit(request, Arc::new(Policy::default()), Seed::from(1), NOW);
    read(run, answer)
}

/// What the core makes of an answer to a first look at a task that has no grace left.
fn look(answer: &Answer) -> ActualReading {
    // Else a task that is not found would count as one that may still appear.
    let policy = Policy { not_found_grace: Duration::ZERO, ..Policy::default() };
    let run = Run::attach(TASK.parse().unwrap(), None, Arc::new(policy), Seed::from(1), NOW);
    read(run, answer)
}

fn read(mut run: Run, answer: &Answer) -> ActualReading {
    let call = first_call(&mut run);
    run.reply(NOW, call.id, &result_of(answer.clone()));
    let Answer::Answered { body, .. } = answer else { panic!("a vector is an answer") };
    let mut events = Vec::new();
    loop {
        match run.step(NOW) {
            Step::Record(entry) => run.recorded(entry.id),
            Step::Notify(event) => events.push(event),
            Step::Done(outcome) => return ActualReading::of(outcome, body),
            Step::Sleep { why, .. } => return unfinished(&run, &call, why, &events),
            Step::Send(_) => return unfinished(&run, &call, SleepReason::Pace, &events),
        }
    }
}

fn unfinished(run: &Run, call: &Call, why: SleepReason, events: &[Event]) -> ActualReading {
    let task_id = json!(run.task_id().map(ToString::to_string));
    let again = events.iter().find_map(|event| match event {
        Event::Retrying { error, .. } => Some(error),
        _ => None,
    });
    if let Some(error) = again {
        assert!(matches!(why, SleepReason::Retry | SleepReason::Throttle), "{why:?}");
        let is = if call.is_submission() { "later" } else { "again" };
        return ActualReading::new(is).with("task_id", task_id).with_rejection(error);
    }
    if call.is_submission() {
        let warned = events.iter().any(|event| matches!(event, Event::Warning { .. }));
        let warned = Some(warned).filter(|warned| *warned);
        return ActualReading::new("submitted")
            .with("task_id", task_id)
            .with("warned", json!(warned));
    }
    let mut seen = ActualReading::new("running").with("task_id", task_id);
    for event in events {
        match event {
            Event::Running { status, progress, age, .. } => {
                // Without a date of the service, a task is as old as the run: not at all.
                let created = Some(NOW.as_millis() - u64::try_from(age.as_millis()).unwrap());
                seen = seen
                    .with("status", json!(status))
                    .with("progress", json!(progress))
                    .with("created_at", json!(created.filter(|_| !age.is_zero())));
            }
            Event::UnknownStatus { word, .. } => {
                seen.0.insert("unknown_status".to_owned(), json!(word));
                // An empty word is an unknown one, too.
                seen.0.insert("status".to_owned(), json!(word));
            }
            other => panic!("{other}"),
        }
    }
    seen
}

fn first_call(run: &mut Run) -> Call {
    loop {
        match run.step(NOW) {
            Step::Record(entry) => run.recorded(entry.id),
            Step::Send(call) => return call,
            other => panic!("{other:?}"),
        }
    }
}

fn request_of(input: &Input) -> Result<EffectRequest, InvalidRequest> {
    let image = input.image.clone().map_or(DraftImage::Missing, DraftImage::Url);
    Draft {
        image,
        template_id: input.template_id.clone(),
        width: input.width,
        height: input.height,
        allow_unlisted: input.allow_unlisted,
        ..Draft::default()
    }
    .try_into()
}

/// What is wrong with the request of a case.
fn differs(case: &RequestCase, sent: &Sent) -> Option<String> {
    let run = match (&case.input, &case.task) {
        (Some(input), None) => match request_of(input) {
            Ok(request) => Run::submit(request, Arc::default(), Seed::from(1), NOW),
            Err(invalid) => return Some(invalid.to_string()),
        },
        (None, Some(task)) => {
            Run::attach(task.parse().unwrap(), None, Arc::default(), Seed::from(1), NOW)
        }
        _ => return Some("give one of input and task".to_owned()),
    };
    let base = BaseUrl::parse(case.base_url.as_ref().unwrap(), false).unwrap();
    let endpoint = Endpoint::new(base, ApiKey::new(case.key.as_ref().unwrap()).unwrap());
    let request = endpoint.request(&first_call(&mut { run }));

    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in request.headers() {
        headers.insert(name.to_string(), value.to_str().unwrap().to_owned());
    }
    let agent = headers.remove("user-agent").unwrap_or_default();
    let mut wrong = Vec::new();
    if !agent.starts_with("effects") {
        wrong.push(format!("user-agent {agent:?}"));
    }
    for name in &sent.uuid_headers {
        let value = headers.remove(name).unwrap_or_default();
        let parts: Vec<usize> = value.split('-').map(str::len).collect();
        if parts != [8, 4, 4, 4, 12] {
            wrong.push(format!("{name} {value:?} is no UUID"));
        }
    }
    let expected: BTreeMap<String, String> = sent
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    if headers != expected {
        wrong.push(format!("headers {headers:?}"));
    }
    if request.method().as_str() != sent.method || request.uri() != sent.url.as_str() {
        wrong.push(format!("{} {}", request.method(), request.uri()));
    }
    if request.body() != sent.body.as_bytes() {
        wrong.push(format!("body {}", String::from_utf8_lossy(request.body())));
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn violations(invalid: &InvalidRequest) -> Vec<Value> {
    let seen = invalid.violations().iter().map(|violation| {
        let suggestions = Some(&violation.suggestions).filter(|found| !found.is_empty());
        let seen = ActualReading(Map::new())
            .with("code", json!(violation.code.as_str()))
            .with("field", json!(violation.field))
            .with("value", json!(violation.value))
            .with("suggestions", json!(suggestions));
        Value::Object(seen.0)
    });
    seen.collect()
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// After every date in the vectors.
const NOW: Time = Time::from_millis(1_764_100_000_000);
