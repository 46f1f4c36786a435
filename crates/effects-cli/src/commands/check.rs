//! `effects check` ([`check`]): finds and prints everything that `run` with the same arguments would refuse
//! before it sends anything (template, size, the photo's file, how it would be uploaded), without a network
//! or a key. `commands::main` calls it.

use std::borrow::Cow;

use clap::Args;
use effects_core::{Size, count_of};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::global::GlobalOptions;
use crate::known_key::KnownKey;
use crate::output::Output;
use crate::problem::InputProblem;
use crate::request::{self, RequestArguments};
use crate::typed_words;

#[derive(Args)]
#[command(
    override_usage = "effects check [OPTIONS] <TEMPLATE> <IMAGE>",
    after_help = "\
Examples:
  effects check glass_ball photo.jpg --emulator
  effects check glas_ball https://example.com/cat.jpg --width 4096

It finds what `run` with the same arguments would refuse before sending anything: template, size, \
the photo's file, how it would be uploaded. No key is needed. It exits 0 or 2."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    request: RequestArguments,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CheckObject<'a> {
    schema: &'static str,
    ok: bool,
    #[schema(value_type = Option<String>)]
    template: Option<Cow<'a, str>>,
    #[schema(value_type = Option<String>)]
    image: Option<Cow<'a, str>>,
    width: Option<u32>,
    height: Option<u32>,
    #[schema(value_type = Vec<InputProblem>)]
    problems: &'a [InputProblem],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    warnings: &'a [String],
}

pub(crate) fn check(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let request = &arguments.request;
    let mut problems = Vec::new();
    let location = request::location_of(global, &mut problems);
    let api_key = KnownKey::of(global);
    problems.extend(typed_words::problems(|text| api_key.is_in(text)));
    let checked = request.check(location.as_ref(), global.uploads.as_ref(), problems);
    // This command lists where the key is repeated instead
    // of refusing at once, so it must not repeat it, too.
    let checked = checked.map_err(|problems| problems.without_key(&api_key));
    let mut object = CheckObject {
        schema: "effects.check.v1",
        ok: checked.is_ok(),
        template: request.template.as_deref().map(|id| api_key.redact(id)),
        image: request.image_text().map(|image| api_key.redact(image)),
        width: None,
        height: None,
        problems: &[],
        warnings: &[],
    };
    match &checked {
        Ok(ready) => {
            let size @ Size { width, height } = ready.size();
            (object.width, object.height) = (width, height);
            let photo = match ready.photo() {
                Some(photo) => {
                    let bytes = count_of(photo.bytes().len() as u64, "byte");
                    format!("{} photo, {bytes}", photo.format())
                }
                None => "photo by URL".to_owned(),
            };
            let line =
                format!("ok: {} ({}), {size}, {photo}", ready.template(), ready.template().title());
            let here =
                // Where the gateway is not known, nothing is said of which photos it reaches.
                location.and_then(|location| location.origin().ok()).is_none_or(|it| it.is_loopback());
            let warnings = ready.warnings(here);
            object.warnings = &warnings;
            let lines = warnings.iter().map(|warning| format!("warning: {warning}"));
            output.result(&object, &std::iter::once(line).chain(lines).collect::<Vec<_>>())?;
            Ok(CommandEnd::Ok)
        }
        Err(problems) => {
            object.problems = problems.list();
            let lines: Vec<String> = problems.list().iter().map(InputProblem::to_string).collect();
            output.result(&object, &lines)?;
            Ok(CommandEnd::Invalid(problems.kind()))
        }
    }
}
