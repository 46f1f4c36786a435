//! [`difference`]: describes in words how a request differs from the requests of a cassette, or that no
//! more of its kind are left. `Player` puts this into the error that it answers where the cassette has no
//! answer.

use serde_json::Value;

use super::format::{TapedBody, TapedRequest};

/// The requests of a cassette that has no answer to one.
pub(super) struct TapeRequests<'a> {
    pub(super) all: Vec<&'a TapedRequest>,
    /// Those that are not replayed yet.
    pub(super) left: Vec<&'a TapedRequest>,
    /// What shows that it was cut off, if it was.
    pub(super) unfinished: Option<&'static str>,
}

/// How `asked` differs from the requests of the cassette; `was_replayed` where all that are the same were.
pub(super) fn difference(
    asked: &TapedRequest,
    TapeRequests { mut all, left, unfinished }: TapeRequests<'_>,
    was_replayed: bool,
) -> String {
    let same = |request: &&&TapedRequest| shown(request) == shown(asked);
    let near = left.iter().find(same);
    let ends = match near {
        _ if was_replayed => Some("more often than it was recorded"),
        None if all.iter().any(|request| same(&request)) => Some("more often than it was recorded"),
        _ => left.is_empty().then_some("after everything that was recorded"),
    };
    let asked_for = format!("{} was asked for", shown(asked));
    if let Some(ends) = ends {
        return format!(
            "ends here: {asked_for} {ends} (a task that was under way when it was recorded goes on without \
             the cassette)"
        );
    }
    // Where many requests were under way when a recording was cut off, what is asked for next is most
    // often one of those.
    let cut_off = unfinished.map(|unfinished| {
        format!(
            "ends here: {asked_for}, and the recording was most likely cut off before that: it has {unfinished}"
        )
    });
    if let Some(near) = near {
        let found = body_difference(asked, near);
        return match cut_off {
            Some(cut_off) => format!("{cut_off} (or the request has another body now: {found})"),
            None => format!("has no such exchange: {asked_for} with another body: {found}"),
        };
    }
    // Those of the same method first: one of them was probably meant.
    all.sort_by_key(|request| (request.method != asked.method, shown(request)));
    all.dedup_by_key(|request| shown(request));
    let more = all.len().saturating_sub(MAX_SHOWN);
    let names: Vec<String> = all.iter().take(MAX_SHOWN).map(|request| shown(request)).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let names = names.join(", ");
    match cut_off {
        Some(cut_off) => {
            format!("{cut_off} (or it is another request than before: there are {names}{more})")
        }
        None => format!("has no such exchange: {asked_for}, and it has {names}{more}"),
    }
}

fn shown(request: &TapedRequest) -> String {
    format!("{} {}", request.method, request.target)
}

fn body_difference(asked: &TapedRequest, taped: &TapedRequest) -> String {
    let json = |request: &TapedRequest| -> Option<Value> {
        serde_json::from_str(request.body.as_ref()?.json.as_ref()?.get()).ok()
    };
    if let (Some(asked), Some(taped)) = (json(asked), json(taped))
        && let Some(found) = json_difference("", Some(&asked), Some(&taped))
    {
        return found;
    }
    let shown = |body: &Option<TapedBody>| match body {
        None => "none".to_owned(),
        Some(TapedBody { sha256: Some(hash), bytes: Some(bytes), .. }) => {
            format!("{bytes} bytes with sha256 {hash}")
        }
        Some(body) => cut(body.text().unwrap_or_default()),
    };
    format!("{}, and {} in the cassette", shown(&asked.body), shown(&taped.body))
}

/// The first path where two texts of JSON differ.
fn json_difference(path: &str, asked: Option<&Value>, taped: Option<&Value>) -> Option<String> {
    match (asked, taped) {
        (asked, taped) if asked == taped => None,
        (Some(Value::Object(asked)), Some(Value::Object(taped))) => {
            // Both sides' names, since a field may be missing on either.
            asked.keys().chain(taped.keys()).find_map(|name| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                json_difference(&path, asked.get(name), taped.get(name))
            })
        }
        (Some(Value::Array(asked)), Some(Value::Array(taped))) => (0..asked.len().max(taped.len()))
            .find_map(|index| {
                json_difference(&format!("{path}[{index}]"), asked.get(index), taped.get(index))
            }),
        (asked, taped) => {
            let shown = |value: Option<&Value>| {
                value.map_or_else(|| "missing".to_owned(), |value| cut(&value.to_string()))
            };
            Some(format!("{path} is {}, and {} in the cassette", shown(asked), shown(taped)))
        }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARS).chain(['…']).collect()
}

const MAX_SHOWN: usize = 3;
const MAX_CHARS: usize = 120;
