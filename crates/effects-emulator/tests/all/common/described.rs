//! Holds every answer that a test gets against the emulator's own OpenAPI description.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::{Answer, Site, bearer, unchecked};

/// Fails if an answer is not as its operation is described. A fault changes answers into what is not
/// described on purpose, and what is no request or no whole answer has no description.
pub(super) fn check(site: &impl Site, request: &[u8], answer: &[u8]) {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let [method, path, _] = line.split(' ').collect::<Vec<_>>()[..] else { return };
    let Some(answer) = Answer::read(answer) else { return };
    // The HTTP library's own word for bytes that are no request.
    if matches!(answer.status, 400 | 431) && answer.body.is_empty() {
        return;
    }
    let plain = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(&DESCRIPTION, method, plain) else { return };
    let Err(why) = matches(operation, &answer) else { return };
    if !met_a_fault(site, path) {
        let body = String::from_utf8_lossy(&answer.body);
        panic!("{method} {path} answers {} as is not described: {why}\n{body}", answer.status);
    }
}

/// The operation of a path that is described with places for its parameters.
fn operation<'a>(description: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let paths = description["paths"].as_object()?;
    // A parameter of a path is never empty: such a path is another one.
    let is_value = |one: &str, other: &str| one.starts_with('{') && !other.is_empty();
    let fits = |described: &str| {
        let (described, given) = (described.split('/'), path.split('/'));
        described.clone().count() == given.clone().count()
            && described.zip(given).all(|(one, other)| is_value(one, other) || one == other)
    };
    // A path that stands there as it is comes before one with a place for it.
    let exact = paths.get(path);
    let operations = exact.or_else(|| paths.iter().find(|(at, _)| fits(at)).map(|(_, at)| at))?;
    operations.get(method.to_lowercase())
}

fn matches(operation: &Value, answer: &Answer) -> Result<(), String> {
    let responses = &operation["responses"];
    let named = &responses[answer.status.to_string()];
    let response =
        if named.is_null() && answer.status >= 400 { &responses["default"] } else { named };
    if response.is_null() {
        return Err("this status".to_owned());
    }
    let schema = &response["content"]["application/json"]["schema"];
    if schema.is_null() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let mut known = VALIDATORS.lock().unwrap();
    let (schemas, schema) = known.entry(schema.to_string()).or_insert_with(|| {
        // References are resolved from the root, so the components come along.
        let mut whole = json!({"components": DESCRIPTION["components"]});
        whole["allOf"] = json!([schema]);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let url = "https://example.com/description.json";
        compiler.add_resource(url, whole).unwrap();
        let schema = compiler.compile(url, &mut schemas).unwrap();
        (schemas, schema)
    });
    schemas.validate(&body, *schema).map_err(|error| format!("{error:#}"))
}

/// Whether the newest request of a path met a fault.
fn met_a_fault(site: &impl Site, path: &str) -> bool {
    let (host, key) = (site.address(), bearer(site));
    let head = format!("Host: {host}\r\nAuthorization: {key}\r\nConnection: close");
    let request = format!("GET /_emulator/requests HTTP/1.1\r\n{head}\r\n\r\n");
    let Ok(listed) = unchecked(site, request.as_bytes(), false) else { return false };
    let Some(listed) = Answer::read(&listed) else { return false };
    let Ok(Value::Array(seen)) = serde_json::from_slice(&listed.body) else { return false };
    seen.iter().rev().find(|seen| seen["path"] == path).is_some_and(|seen| !seen["fault"].is_null())
}

static DESCRIPTION: LazyLock<Value> = LazyLock::new(effects_emulator::openapi);

static VALIDATORS: LazyLock<Mutex<HashMap<String, (Schemas, SchemaIndex)>>> =
    LazyLock::new(Mutex::default);
