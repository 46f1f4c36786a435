//! `--report` and `effects cost --html`: what the pages say of a batch, what they may replace, and that no
//! text of a manifest or a service is HTML in them.
//!
//! The test in a browser is ignored unless asked for; `.ci/run` sets Chromium and the packages up, as for the
//! page of the emulator, and runs `cargo test --test cli -- --ignored page_in_a_browser`.

use std::fs;
use std::path::Path;
use std::process::Command;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};

use super::site::{Site, rows_and_batch};
use crate::world::{CommandOutput, KEY};

/// The data that a page carries under a name.
pub(super) fn data(page: &str, name: &str) -> Value {
    let (_, rest) = page.split_once(&format!("id=\"{name}\">")).unwrap();
    let (text, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(text).unwrap()
}

/// The rows of a page, with the texts that they share in their places.
fn rows(page: &str) -> Vec<Value> {
    let [columns, texts, rows] = ["columns", "texts", "rows"].map(|name| data(page, name));
    let shared = [
        "status", "how", "template", "size", "tag", "error", "code", "message", "warning", "params",
    ];
    let row = |cells: &Value| {
        let named = columns.as_array().unwrap().iter().enumerate().map(|(place, column)| {
            let (column, cell) = (column.as_str().unwrap(), &cells[place]);
            let is_shared = shared.contains(&column) && cell.is_u64();
            let text = || texts[cell.as_u64().unwrap() as usize].clone();
            (column.to_owned(), if is_shared { text() } else { cell.clone() })
        });
        Value::Object(named.collect())
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn read(site: &Site, name: &str) -> String {
    fs::read_to_string(site.path(name)).unwrap()
}

/// Texts that a page must not take for anything but text.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\u{2028}\u{202e}'\"&amp;";

/// A batch with a failure, a refusal, rows that cannot be sent, a doubt and pictures.
fn faulty() -> (Site, CommandOutput) {
    let faults = FaultPlan::none()
        .with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")).nth(1))
        .with(FaultRule::on(Endpoint::Create, Fault::status(400)).nth(2))
        .with(FaultRule::on(Endpoint::Create, Fault::status(500)).nth(3));
    let site = Site::with(faults);
    let hostile = HOSTILE.replace('"', "\"\"");
    site.photo("photo.png", 7);
    let mut csv = "template,image,key,tag,width,height\n".to_owned();
    for row in 0..6 {
        csv.push_str(&format!(
            "glass_ball,https://example.com/{row}.jpg,key {row},spring,512,640\n"
        ));
    }
    csv.push_str(&format!("my_world,photo.png,\"{hostile}\",\"{hostile}\",,\n"));
    csv.push_str(&format!("\"{hostile}\",\"{hostile}\",bad,,,\n"));
    csv.push_str("glas_ball,https://me:pw@bucket.example/a.jpg?X-Amz-Signature=s3cr3t,signed,,,\n");
    csv.push_str("glass_ball,https://bucket.example/b c.jpg?X-Amz-Signature=s3cr3t,spaced,,,\n");
    site.write("rows.csv", csv);
    let line =
        ["--in-flight", "1", "--json", "--scope", "spring", "--budget", "5", "--price", "0.03"];
    let ran = site.batch("rows.csv", &[&line[..], &["--report", "report.html"]].concat()).exits(8);
    (site, ran)
}

#[test]
fn a_page_has_every_row_with_its_end_what_it_cost_and_the_way_on() {
    let (site, ran) = faulty();
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!(batch["report"], site.path("report.html").to_str().unwrap());
    assert!(ran.stderr.contains("; the report is "), "{ran:?}");
    let page = read(&site, "report.html");
    let rows = rows(&page);
    assert_eq!(rows.len(), 10);
    let of = |status: &str| -> Vec<&Value> {
        rows.iter().filter(|row| row["status"] == status).collect()
    };
    assert_eq!((of("completed").len(), of("invalid").len()), (4, 3));
    let ([failed], [refused], [doubtful]) =
        (&of("failed")[..], &of("refused")[..], &of("doubtful")[..])
    else {
        panic!("{rows:?}")
    };
    assert_eq!((&failed["code"], &failed["size"]), (&json!("3009095"), &json!("512 × 640")));
    assert!(failed["task_id"].is_string() && refused["task_id"].is_null());
    assert!(doubtful["message"].as_str().unwrap().contains("effects resolve "), "{doubtful}");
    // Links lead from the page to the files.
    for row in of("completed") {
        let link = row["links"][0].as_str().unwrap();
        assert!(link.starts_with("out/") && site.path(link).is_file(), "{link}");
    }
    assert_eq!(data(&page, "pictures").as_object().unwrap().len(), 4, "each is embedded, small");
    let summary = data(&page, "summary");
    assert_eq!((&summary["budget"], &summary["paid"]), (&json!("5"), &json!("0.12")));
    assert_eq!(summary["scope"], "spring");
    assert_eq!(summary["origin"], json!(site.emulator.base_url().trim_end_matches('/')));
    let batch = &summary["batch"];
    assert_eq!(
        (&batch["rows"], &batch["spent"], &batch["exit_code"]),
        (&json!(10), &json!("0.12"), &json!(8))
    );
    assert!(batch["resume"].as_str().unwrap().starts_with("effects batch rows.csv"), "{batch}");
    let costs = data(&page, "costs");
    let sums = |table: usize| -> Vec<(&str, &str, u64)> {
        let groups = costs[table]["groups"].as_array().unwrap().iter();
        groups
            .map(|it| {
                (
                    it["name"].as_str().unwrap(),
                    it["cost"].as_str().unwrap(),
                    it["count"].as_u64().unwrap(),
                )
            })
            .collect()
    };
    assert_eq!(sums(0), [("glass_ball", "0.09", 3), ("my_world", "0.03", 1)]);
    assert_eq!(sums(1), [(HOSTILE, "0.03", 1), ("spring", "0.09", 3)]);
    let [(day, "0.12", 4)] = sums(2)[..] else { panic!("{costs}") };
    assert_eq!(day.len(), "2026-01-31".len());
    // The failed task took its time, too.
    let durations = data(&page, "durations");
    let seen =
        durations["seen"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).sum::<u64>();
    assert_eq!((seen, &durations["learnt"]), (5, &Value::Null), "{durations}");
}

#[test]
fn no_text_of_a_page_is_html_and_no_secret_is_in_it() {
    let (site, ran) = faulty();
    let page = read(&site, "report.html");
    assert!(page.starts_with("<!doctype html>\n"));
    assert!(!page.contains("<img src=x") && !page.contains('\u{2028}'));
    // Its own elements alone: the style, the data and one script.
    let data_elements = page.matches("<script type=\"application/json\" id=\"").count();
    assert_eq!(page.matches("</script>").count(), data_elements + 1);
    assert_eq!(page.matches("<script").count(), data_elements + 1);
    assert!(rows(&page).iter().any(|row| row["key"] == HOSTILE), "it is read as it was");
    for secret in ["s3cr3t", "me:pw", site.emulator.api_key(), KEY] {
        assert!(!page.contains(secret), "{secret}");
        assert!(!read(&site, "out/manifest.jsonl").contains(secret), "{secret}");
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
    }
    site.run(&["cost", "--html", "costs.html"]).exits(0);
    assert!(!read(&site, "costs.html").contains(site.emulator.api_key()));
}

#[test]
fn a_page_replaces_nothing_but_a_page_of_its_kind_and_is_no_stdout() {
    let site = Site::new();
    site.rows("rows.csv", 2);
    site.batch("rows.csv", &["--report", "out/report.html"]).exits(0);
    let page = read(&site, "out/report.html");
    let links: Vec<Value> = rows(&page).iter().map(|row| row["links"][0].clone()).collect();
    assert!(links.iter().all(|link| !link.as_str().unwrap().contains('/')), "{links:?}");
    // The same line again, of rows that are there already.
    site.batch("rows.csv", &["--report", "out/report.html"]).exits(0);
    assert!(rows(&read(&site, "out/report.html")).iter().all(|row| row["how"] == "kept"));
    site.run(&["cost", "--html", "costs.html"]).exits(0);
    site.run(&["cost", "--html", "costs.html"]).exits(0);
    site.write("other.html", "<!doctype html>\n<p>mine</p>");
    let journal = site.journal().path().unwrap().to_owned();
    let seen = site.emulator.requests().len();
    let taken = [
        "rows.csv",
        "other.html",
        "costs.html",
        &journal,
        "out/manifest.jsonl",
        "out",
        "no/x.html",
    ];
    for bad in taken.into_iter().chain(["-", "out/contact-sheet.png"]) {
        let ran = site.batch("rows.csv", &["--report", bad]).exits(2);
        assert!(ran.stderr.contains("--report "), "{ran:?}");
    }
    let both = ["--report", "both.html", "--report-csv", "./both.html"];
    let ran = site.batch("rows.csv", &both).exits(2);
    assert!(ran.stderr.contains("the file of another report"), "{ran:?}");
    for bad in ["rows.csv", "other.html", "out/report.html", &journal, "out", "no/x.html"] {
        let ran = site.run(&["cost", "--html", bad]).exits(2);
        assert!(ran.stderr.contains("--html "), "{ran:?}");
    }
    assert_eq!(site.emulator.requests().len(), seen);
    assert_eq!(read(&site, "other.html"), "<!doctype html>\n<p>mine</p>");
    assert!(!site.path("-").exists());
}

#[test]
fn a_report_or_a_sheet_replaces_no_file_that_came_while_the_batch_ran() {
    let site = Site::new();
    let files = ["report.html", "report.csv", "out/contact-sheet.png"];
    site.photo("cat.png", 1).write("rows.csv", "template,image\nglass_ball,cat.png\n").write(
        "put.sh",
        format!(
            "for file in {}; do echo mine > $file; done; echo https://example.com/cat.png",
            files.join(" ")
        ),
    );
    let line = ["--uploads", "command=sh put.sh", "--pilot", "1", "--report", files[0]];
    let line = [&line[..], &["--report-csv", files[1]]].concat();
    let ran = site.batch("rows.csv", &line).exits(7);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!(
        [&batch["completed"], &batch["report"], &batch["report_csv"], &batch["contact_sheet"]],
        [&json!(1), &json!(null), &json!(null), &json!(null)]
    );
    for file in files {
        assert_eq!(read(&site, file), "mine\n");
        assert!(ran.stderr.contains(file), "{ran:?}");
    }
    assert_eq!(ran.stderr.matches("another file came there meanwhile").count(), 3, "{ran:?}");
    // Now they are there from the start.
    let seen = site.emulator.requests().len();
    let ran = site.batch("rows.csv", &["--pilot", "1"]).exits(2);
    assert!(ran.stderr.contains("is no contact sheet of a pilot"), "{ran:?}");
    assert_eq!(site.emulator.requests().len(), seen);
    assert_eq!(read(&site, "out/contact-sheet.png"), "mine\n");
    site.batch("rows.csv", &[]).exits(0);
}

#[test]
fn the_costs_of_a_journal_are_a_page_beside_what_is_printed() {
    let site = Site::new();
    let empty = site.run(&["cost", "--html", "costs.html"]).exits(0);
    assert!(empty.stderr.contains("nothing is journaled yet"), "{empty:?}");
    assert_eq!(data(&read(&site, "costs.html"), "costs"), json!([]));
    site.rows("rows.csv", 3);
    let scoped = ["--scope", "spring", "--budget", "1", "--tag", "a <b>"];
    site.batch("rows.csv", &scoped).exits(0);
    let printed = site.run(&["cost", "--html", "costs.html", "--json"]).exits(0);
    assert_eq!(
        (&printed.object()["cost"], &printed.object()["tasks"]),
        (&json!("0.09"), &json!(3))
    );
    let costs = data(&read(&site, "costs.html"), "costs");
    let names: Vec<_> = costs
        .as_array()
        .unwrap()
        .iter()
        .map(|table| (table["by"].as_str().unwrap(), table["groups"][0]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (names[0], names[1], names[3]),
        (("template", "glass_ball"), ("tag", "a <b>"), ("scope", "spring"))
    );
    assert_eq!(
        (costs[3]["unit"].as_str(), costs[3]["groups"][0]["cost"].as_str()),
        (Some("task"), Some("0.09"))
    );
    let by_scope = site.run(&["cost", "--by", "scope", "--json"]).exits(0).object();
    assert_eq!((&by_scope["group"], &by_scope["cost"]), (&json!("spring"), &json!("0.09")));
    // On stdout it is a page and nothing else, or refused.
    let page = site.run(&["cost", "--html", "-"]).exits(0).stdout;
    assert!(
        page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"),
        "{page:.200}"
    );
    assert_eq!(data(&page, "costs"), costs);
    let both = site.run(&["cost", "--html", "-", "--json"]).exits(2);
    assert_eq!(both.object()["kind"], "misconfigured");
}

#[test]
#[ignore = "needs Chromium, Node and the packages of the emulator's tests/page, which `.ci/run` installs"]
fn page_in_a_browser() {
    let set = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see `.ci/run`"))
    };
    let (modules, chromium) = (set("PAGE_TESTS_MODULES"), set("PAGE_TESTS_CHROMIUM"));
    let (site, _) = faulty();
    site.run(&["cost", "--html", "costs.html"]).exits(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/report.test.mjs");
    let mut node = Command::new("node");
    node.arg("--test").arg(script);
    node.env("PAGE_TESTS_MODULES", modules).env("PAGE_TESTS_CHROMIUM", chromium);
    node.env("REPORT", site.path("report.html")).env("COSTS", site.path("costs.html"));
    let output = node.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
