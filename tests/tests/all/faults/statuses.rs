//! Every status in every form a gateway of this family has been seen to refuse in, at a create and
//! at a look: the two tables of the money rules, written down once more.

use std::time::Duration;

use effects_core::ErrorKind;
use effects_core::model::{Draft, DraftImage};
use effects_emulator::{Emulator, Endpoint, ErrorBody, Fault, Pictures, RetryAfter};
use effects_tests::{Ask, Face, FaceJob, setup_at};

use super::one_style;

/// How an exchange must end that met an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ExchangeEnd {
    /// The same request is sent again, and all is well.
    Again,
    /// No task, or no sight of it, for good.
    Final(ErrorKind),
}

/// The end of a create by the status of its answer. Of the forms of a body three make a difference:
/// one that names a task, one with a code of too many requests, and one that is no gateway's.
fn of_create(status: u16, body: &ErrorBody) -> ExchangeEnd {
    ExchangeEnd::Final(match status {
        // The task it names is not known here, and is looked for until the wait ends.
        _ if *body == ErrorBody::Sync => ErrorKind::WaitTimeout,
        425 | 429 => return ExchangeEnd::Again,
        503 if *body == ErrorBody::ErrorMessage => return ExchangeEnd::Again,
        401 => ErrorKind::KeyRefused,
        402 => ErrorKind::OutOfCredit,
        403 => ErrorKind::Forbidden,
        // What answers so without an object of JSON is no gateway.
        404 | 405 if !is_object(body) => ErrorKind::NoSuchEndpoint,
        301 | 302 | 307 | 308 => ErrorKind::Redirected,
        300..=399 | 408 | 500.. => ErrorKind::OutcomeUnknown,
        _ => ErrorKind::Rejected,
    })
}

/// The end of a look by the status of its answer: the gateway's own word on the key, or none.
fn of_look(status: u16, body: &ErrorBody) -> ExchangeEnd {
    match status {
        401 if is_object(body) => ExchangeEnd::Final(ErrorKind::KeyRefused),
        403 if is_object(body) => ExchangeEnd::Final(ErrorKind::Forbidden),
        _ => ExchangeEnd::Again,
    }
}

fn is_object(body: &ErrorBody) -> bool {
    !matches!(body, ErrorBody::Html | ErrorBody::Text | ErrorBody::Empty)
}

#[test]
fn a_create_ends_as_its_status_says_in_every_form_of_body() {
    each(|stage, status, body, retry_after| {
        let fault = Fault::status_with(status, body.clone(), retry_after);
        stage.create(&fault, of_create(status, &body));
    });
}

#[test]
fn a_look_ends_as_its_status_says_in_every_form_of_body() {
    each(|stage, status, body, retry_after| {
        let fault = Fault::status_with(status, body.clone(), retry_after);
        stage.look(&fault, of_look(status, &body));
    });
}

#[test]
fn a_refusal_in_words_of_money_is_one_for_want_of_it() {
    for stage in &EmulatedClient::all() {
        let speaks = |body: &&ErrorBody| is_object(body) && **body != ErrorBody::Sync;
        for body in BODIES.iter().filter(speaks) {
            let fault = Fault::Status {
                status: 403,
                body: body.clone(),
                message: Some("insufficient balance".to_owned()),
                retry_after: None,
                location: None,
            };
            stage.create(&fault, ExchangeEnd::Final(ErrorKind::OutOfCredit));
            stage.look(&fault, ExchangeEnd::Final(ErrorKind::OutOfCredit));
        }
    }
}

/// An answer of success without a task in it is a refusal for the listed codes, and unknown otherwise.
#[test]
fn a_refusal_may_come_as_success() {
    let raw = |text: &str| ErrorBody::Raw(text.to_owned());
    let envelope = |code: u16, words: &str| {
        raw(&format!(r#"{{"status":{{"code":{code},"message":"{words}"}},"data":null}}"#))
    };
    let cases = [
        (ErrorBody::Union, ErrorKind::OutcomeUnknown),
        (ErrorBody::ErrorText, ErrorKind::OutcomeUnknown),
        (ErrorBody::ErrorNumber, ErrorKind::OutcomeUnknown),
        (ErrorBody::ErrorMessage, ErrorKind::OutcomeUnknown),
        (ErrorBody::ErrorWord, ErrorKind::OutcomeUnknown),
        (envelope(504, "upstream timed out"), ErrorKind::OutcomeUnknown),
        (envelope(404, "model not found"), ErrorKind::Rejected),
        (envelope(401, "who are you"), ErrorKind::KeyRefused),
        (envelope(402, "Insufficient credits"), ErrorKind::OutOfCredit),
        (ErrorBody::Html, ErrorKind::OutcomeUnknown),
        (ErrorBody::Text, ErrorKind::OutcomeUnknown),
        (ErrorBody::Empty, ErrorKind::OutcomeUnknown),
        (raw("[1]"), ErrorKind::OutcomeUnknown),
        (raw("{}"), ErrorKind::OutcomeUnknown),
    ];
    for stage in &EmulatedClient::all() {
        for (body, kind) in &cases {
            stage.create(&Fault::status_with(200, body.clone(), None), ExchangeEnd::Final(*kind));
        }
        stage.create(&Fault::status_with(200, envelope(429, "slow"), None), ExchangeEnd::Again);
    }
}

/// Calls `check` with every status, form and time to wait.
fn each(check: impl Fn(&EmulatedClient, u16, ErrorBody, Option<RetryAfter>)) {
    let waits = [None, Some(RetryAfter::Seconds(0)), Some(RetryAfter::Date(0))];
    for stage in &EmulatedClient::all() {
        for status in STATUSES {
            for (at, body) in BODIES.iter().enumerate() {
                // Each form with one of the waits: with all of them it would be three
                // times as many runs.
                check(stage, status, body.clone(), waits[at % waits.len()]);
            }
        }
        // The status that a body makes a difference to, and asking to wait does not.
        for body in &BODIES {
            for wait in waits {
                check(stage, 503, body.clone(), wait);
            }
        }
    }
}

/// An emulator, and a client of it.
struct EmulatedClient {
    emulator: Emulator,
    face: Box<dyn Face>,
}

impl EmulatedClient {
    fn all() -> Vec<Self> {
        let start = || Emulator::builder().pictures(Pictures::Stub).start().unwrap();
        one_style().into_iter().map(|face| Self { emulator: start(), face }).collect()
    }

    /// A run whose create meets a fault.
    fn create(&self, fault: &Fault, end: ExchangeEnd) {
        self.emulator.reset();
        self.emulator.next(Endpoint::Create, [Some(fault.clone())]).unwrap();
        self.run(fault, end, false);
    }

    /// A run whose first look meets a fault.
    fn look(&self, fault: &Fault, end: ExchangeEnd) {
        self.emulator.reset();
        self.emulator.next(Endpoint::Task, [Some(fault.clone())]).unwrap();
        self.run(fault, end, true);
    }

    fn run(&self, fault: &Fault, end: ExchangeEnd, accepted: bool) {
        let mut setup = setup_at(self.emulator.base_url(), self.emulator.api_key());
        if end == ExchangeEnd::Final(ErrorKind::WaitTimeout) {
            // Only what waits to its end has a short wait: the others must not end by it.
            setup.policy.wait_timeout = Duration::from_millis(30);
        }
        let image = DraftImage::Url("https://photos.example.com/cat.jpg".to_owned());
        let template_id = Some("glass_ball".to_owned());
        let draft = Draft { image, template_id, ..Draft::default() };
        let job = FaceJob { ask: Ask::Effect(draft), times: 1, save_to: None };
        let ended = self.face.run(&setup, &job, &mut |_| {});
        let context = format!("{}: {fault:?}: {:?}", self.face.name(), ended.failure);
        let (found, task) = match &ended.failure {
            None => (ExchangeEnd::Again, None),
            Some(failure) => (ExchangeEnd::Final(failure.kind), failure.task_id.clone()),
        };
        assert_eq!(found, end, "{context}");
        let known = self.emulator.tasks().into_iter().next().map(|task| task.id);
        assert_eq!(known.is_some(), accepted || end == ExchangeEnd::Again, "{context}");
        if accepted && end != ExchangeEnd::Again {
            assert_eq!(task, known, "{context}");
        }
        if end == ExchangeEnd::Final(ErrorKind::WaitTimeout) {
            assert_eq!(task.as_deref(), Some("d758n65e878c73cmdg20"), "{context}");
        }
        let counts = self.emulator.counts();
        assert_eq!(counts.accepted, u64::from(known.is_some()), "{context}");
        let creates = if accepted || end != ExchangeEnd::Again { 1 } else { 2 };
        assert_eq!(counts.creates_seen, creates, "{context}");
    }
}

/// The statuses that differ to one of the tables, and neighbours of theirs.
const STATUSES: [u16; 23] = [
    300, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 425, 429, 451, 500,
    501, 502, 504, 599,
];

const BODIES: [ErrorBody; 13] = [
    ErrorBody::Union,
    ErrorBody::Message,
    ErrorBody::ErrorText,
    ErrorBody::ErrorNumber,
    ErrorBody::ErrorMessage,
    ErrorBody::ErrorWord,
    ErrorBody::Detail,
    ErrorBody::Envelope,
    ErrorBody::Sync,
    ErrorBody::Billing,
    ErrorBody::Html,
    ErrorBody::Text,
    ErrorBody::Empty,
];
