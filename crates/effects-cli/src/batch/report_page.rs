//! [`PageReport`]: writes the HTML page of `--report`: failures first, small pictures, costs and durations.
//! `Reports` makes it at the end of a batch, adds each row as `Results` writes the folder's manifest, and
//! then the sums ([`PageSummary`]). [`PAGE`] has the option's name and the beginning by which an earlier
//! page is recognised, for `options.rs` and `commands/batch.rs`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};
use std::thread;

use effects_client::{AtomicFile, is_special};
use effects_core::pace::Histories;
use effects_core::{Error, Time};
use effects_jobs::{Record, RowState};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use super::durations::{DurationHistogram, Durations};
use crate::page::{CostGroup, CostTable, CostUnit, Page, embedded};
use crate::report_file::{ReportFile, ReportKind};

/// The option, and what every such page begins with.
pub(crate) const PAGE: ReportKind = ReportKind {
    option: "--report",
    begins: "<!doctype html>\n<!-- A report of effects batch. -->\n",
};

/// A page on its way to its file: rows are written as they come, their sums at the end.
pub(super) struct PageReport {
    page: Page<AtomicFile>,
    file: ReportFile,
    /// The page's folder, from which links start.
    folder: PathBuf,
    rows: usize,
    texts: TextTable,
    /// The pictures to embed, with their rows' places.
    pictures: Vec<(usize, PathBuf)>,
    /// Costs by template, tag and day.
    costs: [BTreeMap<String, CostGroup>; 3],
    durations: Durations,
}

/// Texts that many rows have: each is written once, and rows have its place.
#[derive(Default)]
struct TextTable {
    indexes: HashMap<String, usize>,
    list: Vec<String>,
}

/// What is known of the batch as a whole.
#[derive(Serialize)]
pub(super) struct PageSummary<'a, B> {
    /// The object that stdout has of it.
    pub(super) batch: B,
    pub(super) origin: String,
    pub(super) scope: Option<&'a str>,
    pub(super) budget: Option<Decimal>,
    /// What the rows that share the budget have paid.
    pub(super) paid: Decimal,
    /// Whether it replays a recording, so that nothing is paid.
    pub(super) is_replay: bool,
    /// Whether a journal tells when tasks were submitted.
    pub(super) has_journal: bool,
}

impl PageReport {
    /// Begins the page that will be this file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the same holds for `add` and `finish`.
    pub(super) fn begin(file: &ReportFile) -> Result<Self, Error> {
        let path = &file.path;
        let mut page = Page::begin(AtomicFile::begin(path)?, PAGE.begins, "Report of a batch")?;
        page.data("columns", &COLUMNS)?;
        page.list("rows")?;
        Ok(Self {
            page,
            file: file.clone(),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            rows: 0,
            texts: TextTable::default(),
            pictures: Vec::new(),
            costs: <[BTreeMap<_, _>; 3]>::default(),
            durations: Durations::default(),
        })
    }

    /// Adds a row, whose object this is, with what the journal knows of it.
    pub(super) fn add(&mut self, row: &Value, record: Option<&Record>) -> Result<(), Error> {
        let state = record.map(|record| &record.state);
        let duration = state.and_then(task_duration);
        if let (Some(duration), Some(template)) = (duration, row["template"].as_str())
            // The end of a task that an earlier run left was seen late.
            && row["how"] != "resumed"
        {
            self.durations.add(template, duration);
        }
        self.count_cost(row, record);
        let paths: Vec<PathBuf> = serde_json::from_value(row["paths"].clone()).unwrap_or_default();
        if let (Some(path), true) = (paths.first(), self.pictures.len() < MAX_PICTURES) {
            self.pictures.push((self.rows, path.clone()));
        }
        let links: Vec<String> = paths.iter().map(|path| link(&self.folder, path)).collect();
        let mut cells: Vec<Value> = COLUMNS
            .iter()
            .map(|column| match *column {
                "error" => self.texts.index_of(&row["error"]["kind"]),
                "code" | "message" => self.texts.index_of(&row["error"][column]),
                "status" | "how" | "template" | "tag" | "warning" => {
                    self.texts.index_of(&row[column])
                }
                "size" => self.texts.index_of(&size(row)),
                "params" => self.texts.index_of(&params(row)),
                "links" => {
                    if links.is_empty() {
                        Value::Null
                    } else {
                        json!(links)
                    }
                }
                column => row[column].clone(),
            })
            .collect();
        // The page of a large batch is mostly these rows, and most of them end in nulls.
        while cells.last().is_some_and(Value::is_null) {
            cells.pop();
        }
        self.page.item(&cells, self.rows == 0)?;
        self.rows += 1;
        Ok(())
    }

    /// Puts the page in its place; `learnt` is the duration histories from before
    /// the batch.
    pub(super) fn finish<B: Serialize>(
        mut self,
        summary: &PageSummary<'_, B>,
        learnt: &Histories,
    ) -> Result<PathBuf, Error> {
        let page = &mut self.page;
        page.end_list()?;
        page.data("texts", &self.texts.list)?;
        page.data("pictures", &small_pictures(&self.pictures))?;
        let costs = ["template", "tag", "day"].into_iter().zip(self.costs);
        let costs: Vec<CostTable> = costs
            .map(|(by, groups)| CostTable {
                by,
                origin: summary.origin.clone(),
                unit: CostUnit::Row,
                groups: groups.into_values().collect(),
            })
            .collect();
        page.data("costs", &costs)?;
        let durations: Option<DurationHistogram> = self.durations.histogram(learnt);
        page.data("durations", &durations)?;
        page.data("summary", summary)?;
        self.file.put(self.page.end()?)
    }

    fn count_cost(&mut self, row: &Value, record: Option<&Record>) {
        let cost: Option<Decimal> = row["cost"].as_str().and_then(|cost| cost.parse().ok());
        // A row without an end may still tell its cost, so only a done one counts as unpriced.
        let is_done = row["status"] == "completed" || row["status"] == "not_downloaded";
        if cost.is_none() && !is_done {
            return;
        }
        let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
        let day = submitted(row, record);
        // The date of `2026-01-31T…`.
        let day = day.map(|day| day.to_string().chars().take(10).collect());
        let names = [Some(text("template")), Some(text("tag")), day];
        for (groups, name) in self.costs.iter_mut().zip(names) {
            let Some(name) = name else { continue };
            let group =
                groups.entry(name.clone()).or_insert(CostGroup { name, ..CostGroup::default() });
            group.count += 1;
            group.unpriced += u64::from(cost.is_none());
            group.cost += cost.unwrap_or_default();
        }
    }
}

impl TextTable {
    /// The index of a text in `list`; `null` for a value that is no text.
    fn index_of(&mut self, text: &Value) -> Value {
        let Some(text) = text.as_str() else { return Value::Null };
        let known = self.indexes.get(text).copied();
        let index = known.unwrap_or_else(|| {
            self.indexes.insert(text.to_owned(), self.list.len());
            self.list.push(text.to_owned());
            self.list.len() - 1
        });
        index.into()
    }
}

/// Pictures as the page embeds them. What cannot be read is shown by its link alone.
fn small_pictures(files: &[(usize, PathBuf)]) -> BTreeMap<usize, String> {
    let small = |path: &Path| {
        let picture = (!is_special(path)).then(|| fs::read(path).ok())??;
        Some(embedded(&effects_render::thumbnail(&picture, SIDE).ok()?))
    };
    // To decode one takes up to a tenth of a second.
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // `chunks` takes no 0, which there would be without pictures.
        let shares = files.chunks(files.len().div_ceil(threads).max(1));
        let workers: Vec<_> = shares
            .map(|share| {
                let each =
                    share.iter().filter_map(move |(index, path)| Some((*index, small(path)?)));
                scope.spawn(move || each.collect::<Vec<_>>())
            })
            .collect();
        // A picture that the decoder panics at costs its thread's share of the pictures, and not the
        // page.
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

/// When the row's task was submitted (of a doubtful row, its earlier task, which was paid); else when
/// the row was begun.
fn submitted(row: &Value, record: Option<&Record>) -> Option<Time> {
    let paid = |record: &Record| record.paid_picture.as_ref().and_then(|paid| paid.submitted());
    let of_task = record.and_then(|record| record.state.submitted().or_else(|| paid(record)));
    of_task
        .or_else(|| row["submitted_ms"].as_u64().map(Time::from_millis))
        .or(record.map(|record| record.begun))
}

/// How long a row's last task took, as far as its end was seen.
fn task_duration(state: &RowState) -> Option<std::time::Duration> {
    match state {
        RowState::Completed { submitted, finished, .. }
        | RowState::Failed { submitted, finished, .. } => Some(finished.since(*submitted)),
        _ => None,
    }
}

fn size(row: &Value) -> Value {
    match (&row["width"], &row["height"]) {
        (Value::Null, Value::Null) => Value::Null,
        (width, height) => format!("{width} × {height}").replace("null", "…").into(),
    }
}

/// The extra parameters as `--param` takes them: `seed=3 style="soft"`.
fn params(row: &Value) -> Value {
    let Some(params) = row["params"].as_object() else { return Value::Null };
    let params = params.iter().map(|(name, value)| format!("{name}={value}"));
    params.collect::<Vec<_>>().join(" ").into()
}

/// The relative URL from a folder to a file.
fn link(folder: &Path, file: &Path) -> String {
    let [from, to] = [folder, file].map(|path| {
        // As a browser does it: symbolic links are not followed.
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(parts.pop()),
                part => parts.push(part.as_os_str()),
            }
        }
        parts
    });
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[shared..].iter().map(|_| "..".into());
    let down = to[shared..].iter().map(|part| part.to_string_lossy());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// What a row has in the page, in this order.
const COLUMNS: [&str; 18] = [
    "line",
    "status",
    "template",
    "size",
    "image",
    "key",
    "tag",
    "links",
    "task_id",
    "cost",
    "row",
    "how",
    "error",
    "code",
    "message",
    "warning",
    "duplicate_of",
    "params",
];

/// Pictures that are embedded, and their longer side in pixels: they are about two MB in all. The page of a
/// larger batch shows the files themselves for the others, as they come into sight: it stays small enough to
/// be opened and sent, and its end does not wait for a hundred thousand pictures to be decoded.
const MAX_PICTURES: usize = 200;
const SIDE: u32 = 192;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn summary() -> PageSummary<'static, Value> {
        let origin = "https://gateway.example".to_owned();
        PageSummary {
            batch: json!({}),
            origin,
            scope: None,
            budget: None,
            paid: Decimal::ZERO,
            is_replay: false,
            has_journal: true,
        }
    }

    #[test]
    fn a_link_leads_from_the_page_to_the_file() {
        for (folder, file, way) in [
            ("/a/out", "/a/out/x.png", "x.png"),
            ("/a", "/a/out/in/x.png", "out/in/x.png"),
            ("/a/reports", "/a/out/x.png", "../out/x.png"),
            ("/a/b/../reports", "/a/b/../out/x.png", "../out/x.png"),
            ("/", "/x.png", "x.png"),
        ] {
            assert_eq!(link(Path::new(folder), Path::new(file)), way);
        }
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "a figure for people")]
    fn a_hundred_thousand_rows_are_a_file_that_opens() {
        let folder = tempfile::tempdir().unwrap();
        let (path, begun) = (folder.path().join("report.html"), Instant::now());
        let mut page = PageReport::begin(&ReportFile::of(PAGE, &path).unwrap()).unwrap();
        for line in 0..100_000 {
            let fails = line % 50 == 0;
            let picture = folder.path().join(format!("out/order_{line}-ea6c189a.png"));
            let row = json!({
                "line": line + 2, "row": line, "key": format!("order {line}"), "tag": "spring",
                "template": (["glass_ball", "my_world"][line % 2]), "width": 1024, "height": 1024,
                "image": format!("https://photos.example.com/2026/spring/{line}.jpg"),
                "status": if fails { "failed" } else { "completed" }, "how": "submitted",
                "task_id": format!("1kennetqra72ank{line:06}"), "cost": "0.03",
                "paths": if fails { json!([]) } else { json!([picture]) },
                "error": if fails {
                    json!({ "kind": "task_failed", "code": "3009095", "message": "no luck (3009095)" })
                } else { Value::Null },
            });
            page.add(&row, None).unwrap();
        }
        page.finish(&summary(), &Histories::new()).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        // The time is for people: it depends on the machine.
        println!("100,000 rows: {size} bytes, written in {:?}", begun.elapsed());
        // docs/batches.md says some 15 MB of such a page.
        assert!(size < 25_000_000, "{size}");
    }

    #[test]
    fn pictures_are_embedded_while_they_are_few() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("x.png");
        fs::write(&picture, effects_render::test_card(64, 48).unwrap()).unwrap();
        let path = folder.path().join("report.html");
        let mut page = PageReport::begin(&ReportFile::of(PAGE, &path).unwrap()).unwrap();
        for line in 0..MAX_PICTURES + 5 {
            let row = json!({ "line": line, "status": "completed", "paths": [picture] });
            page.add(&row, None).unwrap();
        }
        assert_eq!(page.pictures.len(), MAX_PICTURES);
        page.finish(&summary(), &Histories::new()).unwrap();
        // Two hundred pictures of 192 pixels are about two MB, as is said at `MAX_PICTURES`.
        assert!(fs::metadata(&path).unwrap().len() < 3_000_000);
    }
}
