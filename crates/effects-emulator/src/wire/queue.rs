//! A task as the queue surface tells it.

use effects_core::{Fault as Whose, MODEL};
use serde_json::{Map, Value, json};

use super::task::{STAND_IN, Telling, link, told_size};
use crate::faults::Fault;
use crate::life::CANCELLED;
use crate::options::Dialect;
use crate::task::{Failure, Picture, Stage, Standing, Task};

/// The answer of `/status`; `twist` is the fault that this look meets.
pub(crate) fn status(id: &str, task: &Task, telling: Telling<'_>, twist: Option<&Fault>) -> Value {
    let response_url = format!("{}/model/v1/queue/{MODEL}/requests/{id}/response", telling.origin);
    let mut told = Map::new();
    told.insert("request_id".to_owned(), json!(id));
    told.insert("response_url".to_owned(), json!(response_url));
    match standing(task, telling, twist) {
        Standing::Running(progress) => {
            told.insert("status".to_owned(), json!(running_word(task)));
            told.insert("queue_position".to_owned(), json!(0));
            told.insert("progress".to_owned(), json!(progress));
        }
        Standing::Completed(_) => finished(&mut told, task, telling),
        Standing::Failed(failure) => {
            finished(&mut told, task, telling);
            add_error(&mut told, failure);
        }
    }
    rename(&mut told, twist);
    Value::Object(told)
}

/// The answer of `/response`, and whether it is the last one.
pub(crate) fn response(
    id: &str,
    task: &Task,
    telling: Telling<'_>,
    twist: Option<&Fault>,
) -> (bool, Value) {
    let mut told = Map::new();
    match standing(task, telling, twist) {
        Standing::Running(_) => return (false, status(id, task, telling, twist)),
        Standing::Completed(picture) => {
            told.insert("outputs".to_owned(), json!([output(id, task, picture, telling)]));
        }
        Standing::Failed(failure) => {
            told.insert("outputs".to_owned(), json!([]));
            add_error(&mut told, failure);
        }
    }
    told.insert("request_id".to_owned(), json!(id));
    told.insert("status".to_owned(), json!("COMPLETED"));
    let metadata = match telling.dialect {
        Dialect::Spec => json!({"local_stand_in": STAND_IN}),
        Dialect::Sdk => json!({"local_stand_in": 1}),
    };
    told.insert("metadata".to_owned(), metadata);
    rename(&mut told, twist);
    (true, Value::Object(told))
}

fn standing<'a>(task: &'a Task, telling: Telling<'_>, twist: Option<&Fault>) -> Standing<'a> {
    match twist {
        Some(Fault::Stale) => Standing::Running(0.99),
        _ => task.standing(telling.now),
    }
}

fn running_word(task: &Task) -> &'static str {
    if matches!(task.stage, Stage::Queued) { "IN_QUEUE" } else { "IN_PROGRESS" }
}

fn finished(told: &mut Map<String, Value>, task: &Task, telling: Telling<'_>) {
    #[allow(clippy::cast_precision_loss, reason = "a duration needs no exactness")]
    let seconds = telling.now.min(task.due).saturating_sub(task.created) as f64 / 1000.0;
    told.insert("status".to_owned(), json!("COMPLETED"));
    told.insert("metrics".to_owned(), json!({"inference_time": seconds}));
}

fn add_error(told: &mut Map<String, Value>, failure: &Failure) {
    let (code, message) = (failure.code.as_str(), &failure.message);
    let kind = match (code, failure.code.fault()) {
        (CANCELLED, _) => "CANCELED",
        (_, Some(Whose::Caller)) => "REQUEST_INVALID",
        _ => "INFERENCE_FAILURE",
    };
    told.insert("error".to_owned(), json!({"code": code, "message": message}));
    told.insert("error_type".to_owned(), json!(kind));
}

fn rename(told: &mut Map<String, Value>, twist: Option<&Fault>) {
    if let Some(Fault::Word { status }) = twist {
        told.insert("status".to_owned(), json!(status));
    }
}

fn output(id: &str, task: &Task, picture: &Picture, telling: Telling<'_>) -> Value {
    let (width, height) = task.painted_sides();
    let mut output = json!({
        "type": "image",
        "content_type": "image/png",
        "file_name": picture.file,
        "file_size": told_size(task, picture),
        "width": width,
        "height": height,
        "jobId": format!("local-{id}"),
        "task_id": id,
    });
    if let Some(url) = link(task, picture, telling.origin) {
        output["url"] = json!(url);
    }
    output
}
