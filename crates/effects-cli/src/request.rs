//! [`RequestArguments`]: the arguments TEMPLATE, IMAGE, size and parameters of `effects run`,
//! `effects submit` and `effects check`. [`RequestArguments::check`] tests all of them at once without a
//! network. What passes is a [`ReadyRequest`], which becomes a row of the journal and, once its photo is
//! uploaded, the request. Rows of a batch are checked in `batch/rows.rs`, which takes only [`whole_number`]
//! from here.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;
use effects_core::model::{Checked, Draft};
use effects_core::{
    EffectRequest, Error, ExtraParams, Origin, ServiceCode, Size, Template, Violation, count_of,
};
use effects_jobs::{Photo, RowDraft, RowPhoto, Uploads, Work};
use effects_ureq::Client;
use serde_json::Value;

use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::image::InputImage;
use crate::input_file::InputFile;
use crate::interruptible::WorkContext;
use crate::problem::{self, InputProblem, Problems};
use crate::values::{TemplateIdParser, param};

/// What is asked of the service.
#[derive(Args, Clone)]
pub(crate) struct RequestArguments {
    /// The exact id of a template; `effects templates` lists them
    #[arg(value_parser = TemplateIdParser, hide_possible_values = true)]
    pub(crate) template: Option<String>,

    /// The photo: a URL, a path, or - for stdin
    pub(crate) image: Option<OsString>,

    /// Pixels across, 512 to 2048; 1328 when left out
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) width: Option<String>,

    /// Pixels down, 512 to 2048; 1328 when left out
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) height: Option<String>,

    /// Let a template id pass that is not among the thirty
    #[arg(long)]
    pub(crate) allow_unlisted: bool,

    /// A parameter that this command does not know, for the service; its value is JSON, or text
    ///
    /// --param seed=3 is a number, --param style=soft a text. May be given several times. A parameter that
    /// is known, or looks like one, is refused.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub(crate) params: Vec<(String, Value)>,
}

/// A request that breaks no rule, its photo perhaps still on this machine.
pub(crate) struct ReadyRequest {
    checked: Checked,
    photo: Option<Photo>,
}

impl RequestArguments {
    /// The file of the photo, if it is one.
    pub(crate) fn input(&self) -> InputFile {
        InputFile::of(self.image.as_deref())
    }

    /// The photo as it was given, where a path is no text as near to it as can be.
    pub(crate) fn image_text(&self) -> Option<Cow<'_, str>> {
        self.image.as_deref().map(OsStr::to_string_lossy)
    }

    /// Checks everything there is to check, without a network; `more` are problems found elsewhere.
    pub(crate) fn check(
        &self,
        location: Option<&GatewayLocation>,
        uploads: Option<&Uploads>,
        mut more: Vec<InputProblem>,
    ) -> Result<ReadyRequest, Problems> {
        let image = InputImage::read(self.image.as_deref());
        if let InputImage::Unusable(error) = &image {
            more.push(InputProblem::photo(&self.image_text().unwrap_or_default(), error));
        }
        // Of a photo that cannot be read, too: the file and its way to the service are reported together.
        if matches!(image, InputImage::Local(_) | InputImage::Unusable(_))
            && let Some(Err(error)) = location.map(|location| location.uploads(uploads))
        {
            more.push(error.into());
        }
        let mut side = |field, given: &Option<String>| {
            whole_number(field, given.as_deref()).map_err(|violation| more.push(violation.into()))
        };
        let (width, height) = (side("width", &self.width), side("height", &self.height));
        let mut params = ExtraParams::default();
        for (index, (name, value)) in self.params.iter().enumerate() {
            if self.params[..index].iter().any(|(before, _)| before == name) {
                let why = format!("--param: parameter {name:?} is there twice: give it once");
                more.push(InputProblem::option(why));
                continue;
            }
            // A clone, since `with` takes the parameters, and a bad one must not lose those before it.
            match params.clone().with(name, value.clone()) {
                Ok(with) => params = with,
                Err(invalid) => more.push(InputProblem::option(format!("--param: {invalid}"))),
            }
        }
        let draft = Draft {
            image: image.draft(),
            template_id: self.template.clone(),
            // A side that is no number is among `more` by now; left out here, it is not reported twice.
            width: width.ok().flatten(),
            height: height.ok().flatten(),
            allow_unlisted: self.allow_unlisted,
            params,
        };
        let checked = draft.check();
        if let Err(invalid) = &checked {
            more.extend(problem::violations(invalid));
        }
        match (checked, Problems::among(more)) {
            (Ok(checked), None) => Ok(ReadyRequest { checked, photo: image.into_photo() }),
            (_, Some(problems)) => Err(problems),
            (Err(invalid), None) => unreachable!("{invalid} is among the problems"),
        }
    }
}

impl ReadyRequest {
    /// The template.
    pub(crate) fn template(&self) -> &Template {
        &self.checked.template
    }

    /// The size.
    pub(crate) fn size(&self) -> Size {
        self.checked.size
    }

    /// The photo, if it is on this machine.
    pub(crate) fn photo(&self) -> Option<&Photo> {
        self.photo.as_ref()
    }

    /// Warnings to show before it is paid for; `here` says that the gateway is on this machine.
    pub(crate) fn warnings(&self, here: bool) -> Vec<String> {
        match (&self.checked.reference, &self.photo) {
            (Some(reference), _) if !here => reference.warning().into_iter().collect(),
            (None, Some(photo)) => photo.warnings(here),
            _ => Vec::new(),
        }
    }

    /// The request as a row of the journal.
    pub(crate) fn row(
        &self,
        origin: Origin,
        tag: Option<String>,
        target: Option<PathBuf>,
    ) -> RowDraft {
        let photo = match (&self.checked.reference, &self.photo) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            (None, Some(photo)) => RowPhoto::content(photo, photo.shown()),
            (None, None) => unreachable!("a checked request has a reference or a photo"),
        };
        let Checked { template, size, params, .. } = self.checked.clone();
        RowDraft { origin, template, size, params, photo, key: None, tag, target }
    }

    /// The request, once the photo is where the service can fetch it.
    pub(crate) fn upload(
        self,
        context: &WorkContext,
        client: &Client,
        tag: Option<&str>,
    ) -> Result<EffectRequest, Error> {
        // Before the photo leaves: nothing of a request that repeats the key is sent.
        client.refuse_key(&Work::Upload(self.checked.clone()), &[("tag", "--tag", tag)])?;
        let reference = match (&self.checked.reference, &self.photo) {
            (Some(reference), _) => reference.clone(),
            (None, Some(photo)) => {
                let bytes = count_of(photo.bytes().len() as u64, "byte");
                context.note(format!("uploading {} ({bytes})", photo.shown()));
                client.upload(photo)?
            }
            // What is checked has the one or the other.
            (None, None) => unreachable!("a checked request has a reference or a photo"),
        };
        Ok(self.checked.with_reference(reference))
    }
}

/// Problems of the global options that concern a request.
pub(crate) fn location_of(
    global: &GlobalOptions,
    problems: &mut Vec<InputProblem>,
) -> Option<GatewayLocation> {
    GatewayLocation::of(global).map_err(|error| problems.push(error.into())).ok()
}

/// A side as it is typed.
pub(crate) fn whole_number(
    field: &'static str,
    given: Option<&str>,
) -> Result<Option<i64>, Violation> {
    let number = given.map(str::parse).transpose();
    number.map_err(|_| {
        let rule = "is not a whole number: give 512 to 2048 pixels";
        Violation::new(ServiceCode::InvalidSize, field, given, rule)
    })
}
