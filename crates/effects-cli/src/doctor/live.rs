//! [`run_task`]: makes the one real task of `effects doctor --live`, as a [`LiveOrder`] says: within its
//! budget, journaled if there is a journal, and over an `AnswerRecorder`. It returns a [`LiveReport`]: the
//! task, its cost and picture, and what its answers show of the service. `commands/doctor.rs` calls it and
//! prints the report.

use std::ffi::OsString;
use std::sync::Arc;

use effects_client::{
    BuildClient, JournalSession, StoppableClock, Stopper, Transport, WallClock, fresh_seed,
};
use effects_core::driver::{Clock, drive};
use effects_core::gateway::Gateway;
use effects_core::journal::Journal;
use effects_core::model::{Draft, DraftImage};
use effects_core::{Effect, EffectRequest, Error, ErrorKind, Run, TaskId, count_of};
use effects_jobs::{JournalStore, MemoryStore, Photo, RowDraft, RowPhoto};
use effects_ureq::Client;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::facts::{AnswerRecorder, LiveTask, ServiceFact};
use super::network::Probe;
use crate::failure::Failure;
use crate::image::InputImage;
use crate::interruptible::WorkContext;
use crate::journal;
use crate::order_budget::{highest_cost, price_unknown};

/// What task to make.
pub(crate) struct LiveOrder {
    pub(crate) template: String,
    /// The photo; a test card of this command's own where none is given.
    pub(crate) image: Option<OsString>,
    pub(crate) budget: Decimal,
    pub(crate) price: Option<Decimal>,
    pub(crate) tag: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveReport)]
pub(crate) struct LiveReport {
    template: String,
    #[schema(value_type = Option<String>)]
    task_id: Option<TaskId>,
    /// USD, exact to the digit.
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    seconds: f64,
    /// The format of the picture, and its length.
    picture: Option<String>,
    error: Option<String>,
    pub(crate) facts: Vec<ServiceFact>,
    #[serde(skip)]
    pub(crate) exit_code: u8,
}

impl LiveReport {
    /// The lines for a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { template, seconds, .. } = self;
        let task =
            self.task_id.as_ref().map_or("no task".to_owned(), |task| format!("task {task}"));
        let cost = self.cost.map_or("not known".to_owned(), |cost| format!("{cost} USD"));
        let mut lines = vec![format!("live  {template}: {task}, {seconds:.1} s, cost {cost}")];
        lines.extend(self.picture.iter().map(|picture| format!("live  picture: {picture}")));
        lines.extend(self.error.iter().map(|error| format!("fail  live: {error}")));
        lines.extend(self.facts.iter().map(ServiceFact::line));
        lines
    }
}

/// Makes the task and waits for it.
pub(crate) fn run_task(
    context: &WorkContext,
    probe: &Probe,
    store: Option<Arc<dyn JournalStore>>,
    order: LiveOrder,
) -> Result<LiveReport, Failure> {
    let base = probe.settings.endpoint.base().clone();
    // A budget is kept by a store, also where nothing outlives the command.
    let store = store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
    let known = highest_cost(&*store, base.origin()).map_err(|error| journal::failure(&error))?;
    match order.price {
        // The store would refuse the intent, too, but only after the upload.
        Some(price) if price > order.budget => {
            return Ok(refused(order.template, price, order.budget));
        }
        None if known.is_none() => context.note(price_unknown("the one task", order.budget)),
        _ => {}
    }
    // Of the probe's own stack, so that the task goes the way that the checks have just shown to work.
    let client =
        Client::from_settings(probe.settings.clone(), Transport::of(probe.exchange.clone()))?;
    let image = match &order.image {
        Some(image) => InputImage::read(Some(image)),
        None => InputImage::Local(test_card()?),
    };
    if let InputImage::Unusable(error) = image {
        return Err(error.into());
    }
    let draft = Draft {
        image: image.draft(),
        template_id: Some(order.template.clone()),
        width: Some(SIDE),
        height: Some(SIDE),
        ..Draft::default()
    };
    let is_url = matches!(draft.image, DraftImage::Url(_));
    let checked = draft
        .check()
        .map_err(|invalid| Error::new(ErrorKind::InvalidRequest, invalid.to_string()))?;
    // Chosen before the upload, so that a refusal leaves nothing behind; a fact is judged by it, too.
    let uploads = match is_url {
        true => None,
        false => Some(probe.settings.uploads.chosen_for(base.origin())?),
    };
    // The upload goes past the recorder: the facts are of the task's own exchanges.
    let (photo, reference) = match (image.into_photo(), &checked.reference) {
        (Some(photo), _) => (RowPhoto::content(&photo, photo.shown()), client.upload(&photo)?),
        (None, Some(url)) => (RowPhoto::Url(url.clone()), url.clone()),
        (None, None) => unreachable!("a checked request has a reference or a photo"),
    };
    let row = RowDraft {
        origin: base.origin().clone(),
        template: checked.template.clone(),
        size: checked.size,
        params: checked.params.clone(),
        photo,
        key: None,
        tag: order.tag.clone(),
        target: None,
    };
    let session = JournalSession::new(store)
        // A scope without a name: this one task has the whole budget.
        .with_budget(order.budget, order.price)
        .map_err(|error| journal::failure(&error))?;
    let open = session.begin(row).map_err(|error| journal::failure(&error))?;
    let recording = AnswerRecorder::new(probe.exchange.clone(), probe.settings.endpoint.clone());
    let request = checked.with_reference(reference);
    // The tracker stands before the journal, so that a Ctrl-C loses no task here either.
    let record = context.journal(Some(&open));
    let (result, duration) = follow(context, probe, &recording, request, &*record)?;
    open.settle(&result).map_err(|error| journal::failure(&error))?;
    let made = LiveTask { uploads: uploads.as_ref(), is_completed: result.is_ok(), duration };
    let facts = recording.facts(&made);
    Ok(report(&client, order.template, result, duration.as_secs_f64(), facts))
}

/// Drives the run to its end over the stack that records.
fn follow(
    context: &WorkContext,
    probe: &Probe,
    recording: &AnswerRecorder,
    request: EffectRequest,
    journal: &dyn Journal,
) -> Result<(Result<Effect, Error>, std::time::Duration), Failure> {
    let clock = StoppableClock::new(Arc::new(WallClock::new()), Stopper::default());
    let gateway = Gateway::new(probe.settings.endpoint.clone(), recording);
    let policy = probe.settings.policy_here(Arc::new(probe.settings.policy.clone()));
    let begun = clock.now();
    // Driven here and not by the client, whose exchanges do not pass the recorder.
    let mut run = Run::submit(request, policy, fresh_seed()?, begun);
    let driven = drive(&mut run, &gateway, &clock, journal, |event| context.show(event));
    let outcome = driven.map_err(|error| journal::failure(&error))?;
    let result = outcome.into_result();
    let result = result.map_err(|error| error.with_resume_line(|task| gateway.resume_line(task)));
    Ok((result, clock.now().since(begun)))
}

/// The report of a task that is not made, since the price that was given is more than the budget.
fn refused(template: String, price: Decimal, budget: Decimal) -> LiveReport {
    let why = format!(
        "--price {price} is more than --budget {budget}, so the budget does not reach one task; nothing was sent"
    );
    LiveReport {
        error: Some(why),
        exit_code: ErrorKind::BudgetExceeded.exit_code(),
        ..LiveReport::new(template, 0.0, Vec::new())
    }
}

impl LiveReport {
    fn new(template: String, seconds: f64, facts: Vec<ServiceFact>) -> Self {
        let (task_id, cost, picture, error) = (None, None, None, None);
        Self { template, task_id, cost, seconds, picture, error, facts, exit_code: 0 }
    }
}

fn report(
    client: &Client,
    template: String,
    result: Result<Effect, Error>,
    seconds: f64,
    facts: Vec<ServiceFact>,
) -> LiveReport {
    let mut report = LiveReport::new(template, seconds, facts);
    // A task whose picture cannot be had is no success: the report then has the download's error.
    let fetched = result.and_then(|effect| {
        (report.task_id, report.cost) = (Some(effect.task_id.clone()), effect.usage.cost);
        effect.pictures.first().map(|picture| client.fetch(picture)).transpose()
    });
    match fetched {
        Ok(picture) => {
            report.picture = picture.map(|bytes| {
                let format = Photo::new(bytes.clone(), "picture").map(|photo| photo.format());
                let format = format.map_or("unknown".to_owned(), |format| format.to_string());
                format!("{format}, {}", count_of(bytes.len() as u64, "byte"))
            });
        }
        Err(error) => {
            // An error may know the task that the result does not.
            report.task_id = report.task_id.or_else(|| error.task_id().cloned());
            // A task that failed may have a bill all the same.
            report.cost = report.cost.or_else(|| error.usage()?.cost);
            report.exit_code = error.exit_code();
            report.error = Some(error.to_string());
        }
    }
    report
}

fn test_card() -> Result<Photo, Failure> {
    let side = u32::try_from(SIDE).unwrap_or_default();
    let card = effects_render::test_card(side, side)
        .map_err(|error| Failure::Unforeseen(format!("the test card: {error}")))?;
    Ok(Photo::new(card.into(), "test-card.png")?)
}

/// The smallest picture there is costs least.
const SIDE: i64 = 512;
