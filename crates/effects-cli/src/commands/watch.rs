//! `effects watch` ([`watch`]): orders the photos that come to a folder, each once, and saves their
//! pictures. It reads the arguments, opens gateway and journal, and calls `Batch::watch`.
//! `commands::main` calls it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use effects_core::{Error, ErrorKind};
use effects_jobs::{JournalStore, MemoryStore};

use super::batch::RowArguments;
use crate::batch::{Batch, Manifest};
use crate::command_result::CommandResult;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::output::Output;
use crate::values::duration;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects watch incoming/ --template glass_ball --out pictures --budget 5.00
  effects watch in/ --template my_world --out out --budget 20 --scope booth
  effects watch in/ --template my_world --out out --budget 5 --on-done lp

It is `effects batch DIR` that does not end: the same rows, names, journal and manifest.jsonl, so that each \
photo is paid for once, also when the same line is run again. A photo is ordered once its size and time have \
been the same for --settle, and decoded whole before it is paid for. Ctrl-C or SIGTERM ends it: submissions \
on their way are waited for, and the line to run again is printed. It ends, too, where the budget does.

It exits 0 if every photo that came has its picture; otherwise with the first that applies of 130, 3, 8, 6, \
9, 7, 5, 4, 2.")]
#[command(mut_arg("template", |it| it.required(true).help("The template of the pictures")))]
#[command(mut_arg("budget", |it| it.required(true).help(BUDGET)))]
#[command(mut_arg("recursive", |it| it.help("Take the photos of the folders in it too")))]
#[command(mut_arg("skip_duplicates", |it| it.help(DUPLICATES)))]
pub(crate) struct Arguments {
    /// The folder that photos come to
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    #[command(flatten)]
    rows: RowArguments,

    /// How long a photo's size and time must have been the same before it is ordered
    ///
    /// Longer where files come slowly or in parts. The folder is looked at once a second.
    #[arg(long, value_name = "TIME", default_value = "2", value_parser = duration)]
    settle: Duration,
}

pub(crate) fn watch(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let rows = &arguments.rows;
    let location = GatewayLocation::of(global)?;
    let out = std::path::absolute(&rows.out).map_err(Failure::system)?;
    // The pictures' folder may be below the photos, and no picture is a photo.
    let recursive_except = rows.recursive.then(|| out.clone());
    let manifest = Manifest::watched(&arguments.folder, recursive_except)?;
    rows.check(&arguments.folder, &manifest, &out)?;
    // Every row has a photo on this machine.
    location.uploads(global.uploads.as_ref())?;
    let gateway = Gateway::open(global, &location, rows.policy(global))?;
    let settings = rows.settings(global, &location, &manifest, out, gateway.origin())?;
    let store = match rows.journal.for_batch(&location, false)? {
        // A replay pays for nothing, so that nothing has to be known later.
        None if location.is_replay() => Some(Arc::new(MemoryStore::new()) as Arc<dyn JournalStore>),
        store => store,
    };
    // The same line is given again for the same folder, and
    // without a journal it would order every photo anew.
    let Some(store) = store else {
        let why = "a folder is watched with a journal, which keeps a photo from being ordered twice: with \
                   --emulator, name one with --journal";
        return Err(Error::new(ErrorKind::Misconfigured, why).into());
    };
    let journal = rows.journal.path_for_batch(&location)?;
    let batch = Batch {
        options: &rows.options,
        is_strict: false,
        pilot: None,
        manifest: &manifest,
        settings: &settings,
        journal: journal.as_deref(),
        output,
    };
    batch.watch(store, &gateway, arguments.settle)
}

const BUDGET: &str = "The most that photos of this folder of --out may cost, what earlier runs paid for \
                      them included";
const DUPLICATES: &str = "Leave out photos of the same content as an earlier one";
