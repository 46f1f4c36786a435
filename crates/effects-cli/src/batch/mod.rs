//! Many rows at once: a manifest is looked through, its rows are opened in the journal, their photos
//! uploaded, tasks submitted and followed, pictures downloaded, and a line written for each.
//!
//! ```text
//! manifest -> rows -> open, upload -> jobs -> the batch machine -> ends -> download -> report
//!   survey    one      four threads           effects-ureq         one    eight        attend
//! ```
//!
//! Each arrow is a queue with an end; whoever is slow is waited for, from back to front, and the
//! polling of tasks waits for nobody.

mod books;
mod budget;
mod course;
mod earlier_line;
mod ends;
mod item;
mod live;
mod machine;
mod manifest;
mod names;
mod other_journal;
mod placement;
mod plan;
mod prepare;
mod queue;
mod report;
mod results;
mod rows;
mod running_mark;
mod sheet;
mod survey;
mod tally;
mod work;

pub(crate) use budget::Ledgers;
pub(crate) use course::{Course, Wake};
pub(crate) use earlier_line::{EarlierLine, Text, earlier_lines};
pub(crate) use item::Item;
pub(crate) use live::Live;
pub(crate) use machine::{attend, start, widths};
pub(crate) use manifest::Manifest;
pub(crate) use names::{Claims, RESULTS};
pub(crate) use report::{Report, Status};
pub(crate) use rows::Common;
pub(crate) use tally::Tally;
pub(crate) use work::{Batch, Options};
