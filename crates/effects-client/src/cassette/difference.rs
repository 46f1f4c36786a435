//! [`difference`]: in words, how a request differs from those that a cassette still has, or that no more
//! of its kind are left. `Player` says it where it has no answer.

use serde_json::Value;

use super::format::{TapedBody, TapedRequest};

/// How `asked` differs from the requests that are `left`; `was_replayed` where all of its kind were.
pub(super) fn difference<'a>(
    asked: &TapedRequest,
    left: impl Iterator<Item = &'a TapedRequest>,
    was_replayed: bool,
) -> String {
    let mut left: Vec<&TapedRequest> = left.collect();
    let ends = match was_replayed {
        true => Some("more often than it was recorded"),
        false => left.is_empty().then_some("after everything that was recorded"),
    };
    let asked_for = format!("{} was asked for", shown(asked));
    if let Some(ends) = ends {
        return format!(
            "ends here: {asked_for} {ends} (a task that was under way when it was recorded goes on without \
             the cassette)"
        );
    }
    let no_such = format!("has no such exchange: {asked_for}");
    let same = |request: &&&TapedRequest| shown(request) == shown(asked);
    if let Some(near) = left.iter().find(same) {
        return format!("{no_such} with another body: {}", body_difference(asked, near));
    }
    left.sort_by_key(|request| (request.method != asked.method, shown(request)));
    left.dedup_by_key(|request| shown(request));
    let more = left.len().saturating_sub(MOST_SHOWN);
    let names: Vec<String> = left.iter().take(MOST_SHOWN).map(|request| shown(request)).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{no_such}, and it has {}{more}", names.join(", "))
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

/// The first place where two texts of JSON differ.
fn json_difference(place: &str, asked: Option<&Value>, taped: Option<&Value>) -> Option<String> {
    match (asked, taped) {
        (asked, taped) if asked == taped => None,
        (Some(Value::Object(asked)), Some(Value::Object(taped))) => {
            asked.keys().chain(taped.keys()).find_map(|name| {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                json_difference(&place, asked.get(name), taped.get(name))
            })
        }
        (Some(Value::Array(asked)), Some(Value::Array(taped))) => (0..asked.len().max(taped.len()))
            .find_map(|index| {
                json_difference(&format!("{place}[{index}]"), asked.get(index), taped.get(index))
            }),
        (asked, taped) => {
            let shown = |value: Option<&Value>| {
                value.map_or_else(|| "missing".to_owned(), |value| cut(&value.to_string()))
            };
            Some(format!("{place} is {}, and {} in the cassette", shown(asked), shown(taped)))
        }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MOST_CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(MOST_CHARACTERS).chain(['…']).collect()
}

const MOST_SHOWN: usize = 3;
const MOST_CHARACTERS: usize = 120;
