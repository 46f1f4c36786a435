//! [`save`]: downloads the pictures of a finished task into files, whole or not at all and never over the
//! photo, and notes them in the journal: for `run` and `wait`, which print a [`RunObject`].
//! [`PictureObject`] is one of its pictures; `status` prints these, too. [`unwritable`] tries out a file's
//! place before anything is sent, for `run`, `wait` and `sampler`.

use std::path::Path;

use effects_client::file_names::Names;
use effects_client::{AtomicFile, FileId, Sink};
use effects_core::wire::RawJson;
use effects_core::{
    Effect, Error, ErrorKind, Event, ImageFormat, Picture, ServiceError, TaskId, Template,
};
use effects_ureq::Client;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::gateway_location::GatewayLocation;
use crate::input_file::InputFile;
use crate::interruptible::WorkContext;
use crate::journal::JournaledRow;
use crate::problem::InputProblem;
use crate::response_object::ResponseObject;

/// What a finished task yields.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunObject {
    schema: &'static str,
    #[schema(value_type = String)]
    task_id: TaskId,
    #[schema(value_type = Option<String>)]
    template: Option<Template>,
    tag: Option<String>,
    pictures: Vec<PictureObject>,
    /// USD, exact to the digit.
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    /// What the service sent for a cost that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable_cost: Option<String>,
    #[schema(value_type = Option<String>)]
    discount: Option<Decimal>,
    /// An error the service reported beside a usable picture.
    #[schema(value_type = Option<Object>)]
    warning: Option<ServiceError>,
    #[schema(value_type = serde_json::Value)]
    metadata: Option<RawJson>,
    /// The service's name for the exchange that showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What is kept of the answer that showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseObject>,
}

/// A picture, as results tell of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PictureObject {
    url: String,
    /// Where it was saved, if it was.
    path: Option<String>,
    /// Its format, by its first bytes.
    format: Option<String>,
    /// Its length, as saved, else as the service says.
    bytes: Option<u64>,
    job_id: Option<String>,
    /// What is odd about the file that was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl RunObject {
    /// The object of a completed task, with its pictures as the service listed them or as they were saved.
    pub(crate) fn new(
        effect: Effect,
        template: Option<Template>,
        tag: Option<String>,
        pictures: Vec<PictureObject>,
    ) -> Self {
        Self {
            schema: "effects.run.v1",
            request_id: effect.request_id().map(str::to_owned),
            response: effect.response.as_deref().map(ResponseObject::from),
            task_id: effect.task_id,
            template,
            tag,
            pictures,
            cost: effect.usage.cost,
            unreadable_cost: effect.usage.unreadable_cost,
            discount: effect.usage.discount,
            warning: effect.warning,
            metadata: effect.metadata,
        }
    }

    /// A line for each picture: its path, or its URL where it was not saved.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |picture: &PictureObject| picture.path.as_ref().unwrap_or(&picture.url).clone();
        self.pictures.iter().map(line).collect()
    }

    /// What is said on stderr beside it. A gateway inside this command bills nothing, and its
    /// pictures are not the service's.
    pub(crate) fn summary(&self, location: &GatewayLocation) -> String {
        let bill = match (location, self.cost, &self.unreadable_cost) {
            (GatewayLocation::Inside, ..) => {
                " on this machine: a local stand-in for the service's model; nothing is billed"
                    .to_owned()
            }
            (GatewayLocation::At(_), Some(cost), _) if location.is_replay() => {
                format!(" in a replay, which pays nothing; its recording says {cost} USD")
            }
            (GatewayLocation::At(_), Some(cost), _) => format!(", {cost} USD"),
            (GatewayLocation::At(_), None, Some(sent)) => {
                format!(", at a cost that cannot be read: {sent:?}")
            }
            (GatewayLocation::At(_), None, None) => "; what it cost could not be read".to_owned(),
        };
        format!("task {} completed{bill}", self.task_id)
    }
}

impl PictureObject {
    /// Where the service has it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl From<Picture> for PictureObject {
    fn from(picture: Picture) -> Self {
        let Picture { url, size, job_id, .. } = picture;
        Self { url, path: None, format: None, bytes: size, job_id, warning: None }
    }
}

/// Saves the pictures of an effect.
///
/// A picture is fetched whole before its file is begun, so that leaving in the middle of a slow
/// download leaves nothing behind; files land whole or not at all, and never in place of the photo.
pub(crate) fn save(
    context: &WorkContext,
    client: &Client,
    location: &GatewayLocation,
    effect: &Effect,
    names: &Names,
    input: &InputFile,
    journaled: Option<&JournaledRow>,
) -> Result<Vec<PictureObject>, Error> {
    let mut saved = Vec::with_capacity(effect.pictures.len());
    let mut number = 0;
    for (index, picture) in effect.pictures.iter().enumerate() {
        let mut warning = None;
        let bytes = client.fetch_with(picture, |event| {
            if let Event::Warning { message } = &event {
                warning = Some(message.clone());
            }
            context.show(event);
        })?;
        // Asked for each picture: a numbered name may be the photo's, too.
        let path = input.free_path(names, &mut number);
        save_file(context, &path, &bytes).map_err(|error| {
            // It is paid for: the way back to it belongs to the error.
            let error = error.about(&effect.task_id);
            match location.resume_line(&effect.task_id) {
                Some(line) => error.with_resume_line(|_| line),
                None => error,
            }
        })?;
        // After the file is in its place: the journal has no picture that is not on the disk.
        if let Some(journaled) = journaled {
            journaled.picture_saved(index, &path);
        }
        saved.push(PictureObject {
            path: Some(path.to_string_lossy().into_owned()),
            format: ImageFormat::sniff(&bytes).map(|format| format.extension().to_owned()),
            bytes: Some(bytes.len() as u64),
            warning,
            ..PictureObject::from(picture.clone())
        });
    }
    Ok(saved)
}

fn save_file(context: &WorkContext, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // Held from the first byte to the renaming, so that no Ctrl-C leaves a temporary file.
    let exit_guard = context.hold_exit();
    let mut file = AtomicFile::begin(path)?;
    file.write(bytes)?;
    if file.is_through() {
        // A pipe without a reader would keep the command here, and no file would be left half made.
        drop(exit_guard);
    }
    file.finish().map(drop)
}

/// What is wrong with a place for a picture of this photo, found out before anything is paid: a file
/// is begun beside it and taken away again.
pub(crate) fn unwritable(path: &Path, input: &InputFile) -> Option<InputProblem> {
    let stdout = FileId::of_stdout();
    // By identity, too: `/dev/stdout`, or the very file that the shell has redirected stdout to.
    if path == Path::new("-") || stdout.is_some() && FileId::of(path) == stdout {
        let name = path.display();
        return Some(InputProblem::option(format!(
            "-o {name} is no file: pictures go into files, paths to stdout"
        )));
    }
    if input.is_at(path) {
        return Some(InputProblem::option(format!(
            "-o {} is the photo itself: give the picture another name",
            path.display()
        )));
    }
    // The temporary file is taken away where the value is dropped, at the end of this line.
    let error = AtomicFile::begin(path).err()?;
    Some(InputProblem { kind: ErrorKind::Misconfigured, ..InputProblem::from(error) })
}
