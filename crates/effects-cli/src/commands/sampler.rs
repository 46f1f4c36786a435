//! `effects sampler` ([`sampler`]): paints one photo through all thirty templates on one sheet, on this
//! machine, by `effects_render::sampler`, and saves the sheet. Nothing is sent. `commands::main` calls it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use effects_client::file_names::Names;
use effects_client::{AtomicFile, Sink};
use effects_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::image::InputImage;
use crate::input_file::InputFile;
use crate::output::Output;
use crate::pictures;
use crate::problem::Problems;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects sampler photo.jpg
  effects sampler - -o looks.png < photo.jpg

The pictures are painted on this machine: stand-ins that tell the templates apart, and not what the \
service's generative model makes of the photo. Nothing is sent, nothing is billed.")]
pub(crate) struct Arguments {
    /// A photo on this machine, or - for stdin
    image: OsString,

    /// Where the sheet goes; sheet.png when left out, or sheet-2.png where that is the photo
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SamplerObject<'a> {
    schema: &'static str,
    path: &'a str,
}

pub(crate) fn sampler(arguments: &Arguments, output: &Output) -> CommandResult {
    let photo = match InputImage::read(Some(&arguments.image)) {
        InputImage::Local(photo) => photo,
        InputImage::Unusable(error) => return Err(error.into()),
        InputImage::Missing | InputImage::Url(_) => {
            let message = "the sampler paints on this machine and fetches nothing: give the path of \
                           a photo, or - for stdin";
            return Err(Error::new(ErrorKind::UnusablePhoto, message).into());
        }
    };
    // By identity, so that no link leads the sheet onto the photo.
    let input = InputFile::of(Some(&arguments.image));
    let default = || input.free_path(&Names::chosen(PathBuf::from("sheet.png")), &mut 0);
    let path = arguments.output.clone().unwrap_or_else(default);
    // An output that cannot be written is reported before the painting, not after.
    let unwritable = pictures::unwritable(&path, &input);
    if let Some(problems) = Problems::among(unwritable.into_iter().collect()) {
        return Err(Failure::Invalid(problems));
    }
    let mut file = AtomicFile::begin(&path)?;
    let sheet = effects_render::sampler(photo.bytes(), SIDE).map_err(|error| {
        Error::new(ErrorKind::UnusablePhoto, format!("photo {:?}: {error}", photo.shown()))
    })?;
    file.write(&sheet)?;
    let path = file.finish()?.display().to_string();
    let object = SamplerObject { schema: "effects.sampler.v1", path: &path };
    output.result(&object, std::slice::from_ref(&path))?;
    Ok(CommandEnd::Ok)
}

/// Pixels of each picture on the sheet.
const SIDE: u32 = 320;
