//! Parameters that the command does not know: they are sent, and tell rows apart.

use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};

impl Site {
    /// The extra parameters of each submission, in order.
    fn sent(&self, name: &str) -> Vec<Value> {
        let creates = self.emulator.requests().into_iter();
        let bodies = creates.filter(|seen| seen.method == "POST").map(|seen| {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            body["input"][0]["params"][name].clone()
        });
        bodies.collect()
    }
}

#[test]
fn columns_and_objects_of_parameters_are_sent_and_make_rows_of_their_own() {
    for (name, rows) in [
        (
            "rows.csv",
            "template,image,param:seed, Param:style \nglass_ball,https://example.com/a.jpg,3,soft\n\
             glass_ball,https://example.com/a.jpg,,\nglass_ball,https://example.com/a.jpg,4,\n",
        ),
        (
            "rows.jsonl",
            concat!(
                r#"{"template":"glass_ball","image":"https://example.com/a.jpg","params":{"seed":3,"style":"soft"}}"#,
                "\n",
                r#"{"template":"glass_ball","image":"https://example.com/a.jpg"}"#,
                "\n",
                r#"{"template":"glass_ball","image":"https://example.com/a.jpg","param:seed":4,"params":{}}"#,
            ),
        ),
    ] {
        let site = Site::new();
        site.write(name, rows);
        let (sent, _) = rows_and_batch(&site.batch(name, &["--json", "--in-flight", "1"]).exits(0));
        assert_eq!(count(&sent, "completed"), 3, "{sent:?}");
        let mut asked: Vec<_> = site.sent("seed").into_iter().zip(site.sent("style")).collect();
        // They are made ready side by side.
        asked.sort_by_key(|(seed, _)| seed.as_u64());
        let soft = (3.into(), "soft".into());
        assert_eq!(asked, [(Value::Null, Value::Null), soft, (4.into(), Value::Null)]);
        let mut names: Vec<_> = sent.iter().map(|row| row["path"].as_str().unwrap()).collect();
        names.dedup();
        assert_eq!(names.len(), 3, "each has a file of its own");
        // They are known again, with what was asked for.
        let (again, _) = rows_and_batch(&site.batch(name, &["--json"]).exits(0));
        assert_eq!(again.iter().filter(|row| row["how"] == "kept").count(), 3, "{again:?}");
        let lines = site.results();
        assert_eq!(lines.iter().filter(|row| row["params"]["seed"] == 3).count(), 1, "{lines:?}");
        let journal = objects(&site.run(&["tasks", "--json"]).exits(0).stdout);
        assert_eq!(journal.iter().filter(|row| row["params"]["style"] == "soft").count(), 1);
        // One that is bought once more asks for the same.
        let row = journal.iter().find(|row| row["params"]["style"] == "soft").unwrap();
        site.run(&["reorder", "--poll", "0.05", &row["row"].to_string()]).exits(0);
        assert_eq!(site.sent("style").iter().filter(|style| **style == "soft").count(), 2);
        assert_eq!(site.sent("seed").len(), 4);
    }
}

#[test]
fn another_journal_takes_rows_in_with_their_parameters() {
    let site = Site::new();
    let row = "template,image,param:seed\nglass_ball,https://example.com/a.jpg,3\n";
    site.write("rows.csv", row);
    site.batch("rows.csv", &[]).exits(0);
    site.batch("rows.csv", &["--journal", "another.db"]).exits(0);
    assert_eq!(site.sent("seed").len(), 1, "it was paid for");
    // A key that asks for another parameter is another ask.
    site.write("keyed.csv", "template,image,key,param:seed\nglass_ball,https://x.com/a.jpg,1,3\n");
    site.batch("keyed.csv", &[]).exits(0);
    site.write("keyed.csv", "template,image,key,param:seed\nglass_ball,https://x.com/a.jpg,1,4\n");
    let ran = site.batch("keyed.csv", &[]).exits(2);
    assert!(ran.stderr.contains("of the journal already, with other parameters"), "{ran:?}");
    assert_eq!(site.sent("seed").len(), 2);
}

#[test]
fn a_parameter_that_is_known_or_misspelt_is_refused_and_nothing_is_sent() {
    let site = Site::new();
    for (name, meant) in [("widht", "width"), ("template_id", "give it as \"template\"")] {
        site.write(
            "rows.csv",
            format!("template,image,param:{name}\nglass_ball,https://example.com/a.jpg,512\n"),
        );
        let ran = site.batch("rows.csv", &[]).exits(2);
        assert!(ran.stderr.contains(name) && ran.stderr.contains(meant), "{ran:?}");
    }
    site.write(
        "rows.jsonl",
        r#"{"template":"glass_ball","image":"https://example.com/a.jpg","params":[1]}"#,
    );
    site.batch("rows.jsonl", &[]).exits(2);
    assert_eq!(site.sent("seed").len(), 0);
}

#[test]
fn everything_that_is_wrong_with_parameters_is_told_and_nothing_is_sent() {
    let site = Site::new();
    let row = r#""template":"glass_ball","image":"https://example.com/a.jpg""#;
    for (name, text, all) in [
        (
            "rows.csv",
            "template,image,param:widht,param:height,param:mask\n\
             glass_ball,https://example.com/a.jpg,1,2,\"{\"\"a\"\"\"\n"
                .to_owned(),
            &["did you mean \"width\"", "\"height\" is a documented one", "\"mask\" has the value"]
                [..],
        ),
        (
            "rows.jsonl",
            format!(r#"{{{row},"params":{{"seed":3}},"param:seed":4,"param:list":"[1"}}"#),
            &["parameter \"seed\" is there twice", "\"list\" has the value"],
        ),
    ] {
        site.write(name, text);
        let ran = site.batch(name, &[]).exits(2);
        for message in all {
            assert!(ran.stderr.contains(message), "{message}: {ran:?}");
        }
    }
    assert!(site.emulator.requests().is_empty());
}

#[test]
fn a_number_is_the_same_however_a_table_writes_it_and_a_column_that_looks_like_one_is_told() {
    let site = Site::new();
    let rows = |column: &str, seed: &str| {
        format!("template,image,{column}\nglass_ball,https://example.com/a.jpg,{seed}\n")
    };
    site.write("rows.csv", rows("param:seed", "3"));
    site.batch("rows.csv", &[]).exits(0);
    site.write("rows.csv", rows("param:seed", "3.0"));
    let (again, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((again[0]["how"].as_str(), site.emulator.counts().accepted), (Some("kept"), 1));
    for odd in ["params", "param_seed", "parameter:seed"] {
        site.write("rows.csv", rows(odd, "3"));
        let ran = site.batch("rows.csv", &["--strict"]).exits(2);
        assert!(ran.stderr.contains("param:NAME"), "{ran:?}");
    }
    assert_eq!(site.emulator.counts().accepted, 1);
}

#[test]
fn every_face_shows_the_parameters_of_a_row() {
    let site = Site::new();
    let rows = concat!(
        r#"{"template":"glass_ball","image":"https://example.com/a.jpg","params":{"seed":3,"style":"so </script>"}}"#,
        "\n",
        r#"{"template":"glass_ball","image":"https://example.com/b.jpg"}"#,
    );
    site.write("rows.jsonl", rows);
    let reports = ["--in-flight", "1", "--report", "page.html", "--report-csv", "table.csv"];
    site.batch("rows.jsonl", &reports).exits(0);
    let text = site.run(&["tasks"]).exits(0).stdout;
    let shown: Vec<&str> = text.lines().filter(|line| line.contains("  seed=3  style=")).collect();
    assert_eq!((shown.len(), text.matches("seed").count()), (1, 1), "{text}");
    let table = std::fs::read_to_string(site.path("table.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with(",warning,params"), "{table}");
    assert!(lines[1].ends_with(r#","{""seed"":3,""style"":""so </script>""}""#), "{table}");
    assert!(lines[2].ends_with(','), "{table}");
    let page = std::fs::read_to_string(site.path("page.html")).unwrap();
    let data = |name: &str| super::report_page::data(&page, name);
    let place = data("columns").as_array().unwrap().iter().position(|name| name == "params");
    let rows = data("rows");
    let text = rows[0][place.unwrap()].as_u64().unwrap() as usize;
    assert_eq!(data("texts")[text], r#"seed=3 style="so </script>""#);
    assert_eq!(rows[1].as_array().unwrap().get(place.unwrap()), None);
}
