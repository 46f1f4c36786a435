//! [`refuse_key`]: refuses a submission that repeats the API key in its template, in a parameter, in its
//! photo's URL or in another text of the caller's (a job's key, a tag, a file's name), before anything is
//! kept or sent: a journal, a manifest and the service would have it. `Settings::refuse_key` calls it for
//! each submission of both clients, the command and Python, and `JobContext` for each job. The command
//! makes its own refusals with [`key_refusal`].

use effects_core::gateway::Endpoint;
use effects_core::{Error, ErrorKind, Reference};
use effects_jobs::Work;

/// Refuses work that repeats the key of this endpoint; `words` are the caller's own that are kept with it,
/// each with its field and its name.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`], with the place and without the key.
pub(crate) fn refuse_key(
    endpoint: &Endpoint,
    work: &Work,
    words: &[(&'static str, &str, Option<&str>)],
) -> Result<(), Error> {
    let (template, params, photo) = match work {
        Work::Submit(request) => (request.template(), request.params(), Some(request.reference())),
        Work::Upload(checked) => (&checked.template, &checked.params, checked.reference.as_ref()),
        // Following a task sends its id and nothing of the caller's words.
        Work::Watch { .. } | Work::Resume => return Ok(()),
    };
    for (name, value) in params.iter() {
        if endpoint.repeats_key(name) {
            return Err(key_refusal("the name of a parameter").in_field("params"));
        }
        if endpoint.repeats_key(&value.to_string()) {
            return Err(key_refusal(&format!("parameter {name:?}")).in_field("params"));
        }
    }
    // A photo in the URL itself is long, and no text.
    let photo = photo.map(Reference::as_str).filter(|url| !url.starts_with("data:"));
    let own = [
        ("template_id", "the template", Some(template.id())),
        ("image_input1", "the URL of the photo", photo),
    ];
    for (field, name, text) in own.iter().chain(words) {
        if text.is_some_and(|text| endpoint.repeats_key(text)) {
            return Err(key_refusal(name).in_field(field));
        }
    }
    Ok(())
}

/// Why a submission is refused that repeats the API key at this place: "the tag", say.
///
/// ```
/// let error = effects_client::key_refusal("the tag");
/// assert!(error.to_string().starts_with("the tag holds the API key"));
/// ```
pub fn key_refusal(part: &str) -> Error {
    let why = format!(
        "{part} holds the API key, which a request carries in its Authorization header alone: it would be kept \
         in journals and files, and be shown; nothing was sent"
    );
    Error::new(ErrorKind::InvalidRequest, why).with_way_out("leave it out")
}
