//! `effects batch` ([`batch`]): pays for each row of a manifest once and saves its picture. It reads the
//! arguments, opens gateway and journal, and calls `Batch::run`, or `Batch::plan` with `--plan`.
//! `commands::main` calls it; `effects watch` shares [`RowArguments`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use effects_client::FileId;
use effects_core::model::{Draft, DraftImage};
use effects_core::{Origin, Policy};

use crate::batch::{
    Batch, BatchOptions, BatchSettings, CSV, Manifest, ManifestOptions, NameTemplate, PAGE,
    RESULTS, SHEET, check_sheet, remembered_photos,
};
use crate::command_result::CommandResult;
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::journal::JournalChoice;
use crate::known_key::KnownKey;
use crate::output::Output;
use crate::problem::{self, InputProblem, Problems};
use crate::report_file::{ReportFile, ReportKind};
use crate::values::TemplateIdParser;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects batch rows.csv --out pictures --plan
  effects batch rows.csv --out pictures --budget 5.00 --report report.html
  effects batch photos/ --template glass_ball --out pictures --pilot 4
  effects batch rows.jsonl --out pictures --emulator --json

A manifest is CSV with a header, as spreadsheets write it, or JSON Lines, with the columns template and \
image, and optionally width, height, key, tag, out, param:NAME (in JSON params); or a folder of photos. An image is a URL, or a path from the manifest's \
folder. The same command again goes on where it stopped: it submits only what is missing, waits for \
what is unfinished, downloads what was lost, and pays for nothing twice. What became of each row, and \
its cost, is in manifest.jsonl in the folder of --out.

It exits 0 only if every row has its picture; otherwise with the first that applies of 130, 3, 8, 6, \
9, 7, 5, 4, and with 2 where bad rows are all there is.")]
pub(crate) struct Arguments {
    /// The rows: a CSV or JSON Lines file, or a folder of photos
    #[arg(value_name = "MANIFEST|DIR")]
    manifest: PathBuf,

    #[command(flatten)]
    rows: RowArguments,

    #[command(flatten)]
    manifest_options: ManifestOptions,

    /// Only say what would be done and what it would cost; no network, no key
    #[arg(long, conflicts_with = "pilot")]
    plan: bool,
}

/// What `effects batch` and `effects watch` take of rows and of how they are done.
#[derive(Args)]
pub(super) struct RowArguments {
    /// The template of rows that name none
    #[arg(long, value_name = "T", value_parser = TemplateIdParser, hide_possible_values = true)]
    template: Option<String>,

    /// The folder the pictures go to
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,

    /// Of a folder, take the photos of the folders in it too
    ///
    /// Their pictures go to folders of the same names in that of --out.
    #[arg(long)]
    pub(super) recursive: bool,

    /// What pictures are called whose rows have no `out`: '{stem}.png', '{template}/{row}.png'
    ///
    /// {stem} is the photo's name without its ending, {key} the row's key, {template} its template, {row} its
    /// place among the rows, from 1. Rows that would share a name are refused.
    #[arg(long, value_name = "NAME")]
    name: Option<NameTemplate>,

    #[command(flatten)]
    pub(super) journal: JournalChoice,

    #[command(flatten)]
    pub(super) options: BatchOptions,
}

pub(crate) fn batch(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let Arguments { rows, manifest_options, .. } = arguments;
    let location = GatewayLocation::of(global)?;
    let out = std::path::absolute(&rows.out).map_err(Failure::system)?;
    // Pictures may go into a folder below the photos: with --recursive they would be rows of the next run.
    let recursive_except = rows.recursive.then(|| out.clone());
    let manifest = Manifest::at(&arguments.manifest, manifest_options.strict, recursive_except)?;
    rows.check(&arguments.manifest, &manifest, &out)?;
    let policy = || manifest_options.deadline.policy(rows.policy(global));
    let gateway = match location {
        // Its origin is known only once it listens.
        GatewayLocation::Inside if !arguments.plan => {
            Some(Gateway::open(global, &location, policy())?)
        }
        _ => None,
    };
    let origin =
        gateway.as_ref().map_or_else(|| location.origin(), |gateway| Ok(gateway.origin()))?;
    let settings = rows.settings(global, &location, &manifest, out, origin)?;
    let store = rows.journal.for_batch(&location, arguments.plan)?;
    let journal = rows.journal.path_for_batch(&location)?;
    let batch = Batch {
        options: &rows.options,
        is_strict: manifest_options.strict,
        pilot: manifest_options.pilot,
        manifest: &manifest,
        settings: &settings,
        // The lines to be pasted and the folder's manifest name it.
        journal: journal.as_deref(),
        output,
    };
    if arguments.plan {
        // A plan asks no gateway, so that it needs no key either.
        return batch.plan(store.as_deref(), gateway::usual_duration(&settings.origin));
    }
    // Opened by the batch once its rows are checked: one without a good row needs neither key nor network.
    batch.run(store, || {
        // After the look at the rows, which says more where the file is a row's photo.
        manifest_options.pilot.map_or(Ok(()), |_| check_sheet(&settings.out.join(SHEET)))?;
        gateway.map_or_else(|| Gateway::open(global, &location, policy()), Ok)
    })
}

impl RowArguments {
    /// The limits and pauses of a batch.
    pub(super) fn policy(&self, global: &GlobalOptions) -> Policy {
        let unknown_in_a_row = self.options.unknown_in_a_row;
        Policy { unknown_in_a_row, ..gateway::policy(global) }
    }

    /// What all rows have in common, their pictures going to `out`.
    pub(super) fn settings(
        &self,
        global: &GlobalOptions,
        location: &GatewayLocation,
        manifest: &Manifest,
        out: PathBuf,
        origin: Origin,
    ) -> Result<BatchSettings, Failure> {
        Ok(BatchSettings {
            folder: manifest.folder().to_owned(),
            known_photos: Arc::new(remembered_photos(&out.join(RESULTS))),
            out,
            template: self.template.clone(),
            scope: self.options.scope.clone(),
            skips_duplicates: self.options.skip_duplicates,
            name: self.name.clone(),
            tag: global.tag.clone(),
            api_key: KnownKey::of(global),
            report_csv: self.report_file(CSV)?,
            report: self.report_file(PAGE)?,
            origin,
            uploads: location.uploads(global.uploads.as_ref()),
        })
    }

    /// What is wrong with the command line as a whole, before a row is read.
    pub(super) fn check(
        &self,
        path: &Path,
        manifest: &Manifest,
        out: &Path,
    ) -> Result<(), Failure> {
        let mut problems = Vec::new();
        if let Some(template) = &self.template {
            // Only the template is checked here, so the draft has an image that breaks no rule.
            let image = DraftImage::Local;
            let draft = Draft { image, template_id: Some(template.clone()), ..Draft::default() };
            if let Err(invalid) = draft.check() {
                problems.extend(problem::violations(&invalid));
            }
        } else if manifest.is_folder() {
            problems.push(InputProblem::option(
                "a folder of photos names no template: give --template",
            ));
        }
        // Whole paths without links, since two spellings may lead to one folder. A folder of --out that is
        // not made yet has none, and cannot be that of the photos.
        let whole = |path: &Path| fs::canonicalize(path).ok();
        if manifest.is_folder() && whole(manifest.folder()).is_some_and(|at| Some(at) == whole(out))
        {
            let why =
                "--out is the folder of the photos: its pictures would be rows of the next run";
            problems.push(InputProblem::option(why));
        }
        // A watch looks at the folder again and again while its pictures appear, so one inside --out is
        // refused for it alone.
        let photos = whole(manifest.folder()).filter(|_| manifest.is_watched());
        // A folder of --out that is not made yet is compared as it is spelt.
        let pictures = whole(out).unwrap_or_else(|| out.to_owned());
        if photos.is_some_and(|photos| photos != pictures && photos.starts_with(&pictures)) {
            let why = "the folder that is watched is in that of --out, so that pictures could be taken for \
                       photos: give another --out";
            problems.push(InputProblem::option(why));
        }
        // By the file's identity: the manifest may lead there by a link.
        let file = FileId::of(path);
        if file.is_some() && file == FileId::of(&out.join(RESULTS)) {
            let why = format!(
                "the manifest is {RESULTS} in the folder of --out, which the batch itself writes: \
                 give another folder"
            );
            problems.push(InputProblem::option(why));
        }
        problems.extend(
            self.report_problems(file.as_ref(), out)?.into_iter().map(InputProblem::option),
        );
        if fs::metadata(out).is_ok_and(|found| !found.is_dir()) {
            problems.push(InputProblem::option(format!("--out {} is not a folder", out.display())));
        }
        Problems::among(problems).map_or(Ok(()), |problems| Err(Failure::Invalid(problems)))
    }

    /// Where a report of this kind goes, if one is asked for.
    fn report_file(&self, kind: ReportKind) -> Result<Option<ReportFile>, Failure> {
        let given = self.options.reports().find(|(known, _)| known.option == kind.option);
        given.map(|(kind, path)| ReportFile::of(kind, path)).transpose()
    }

    /// Why reports cannot be where the options say.
    fn report_problems(
        &self,
        manifest: Option<&FileId>,
        out: &Path,
    ) -> Result<Vec<String>, Failure> {
        let (mut problems, mut taken) = (Vec::new(), Vec::new());
        for (kind, given) in self.options.reports() {
            let (option, report) = (kind.option, ReportFile::of(kind, given)?);
            if given == Path::new("-") {
                problems.push(format!(
                    "{option} - would be stdout, where the rows are printed: give the name of a file"
                ));
            // A report that is not made yet has no identity, and two that are missing must not count as one.
            } else if manifest.is_some() && manifest == FileId::of(given).as_ref() {
                problems.push(format!("{option} is the manifest: give another file"));
            } else if taken.contains(&report.path) {
                problems.push(format!("{option} names the file of another report: give another"));
            } else {
                problems.extend(report.unusable(Some(out)));
            }
            taken.push(report.path);
        }
        Ok(problems)
    }
}
