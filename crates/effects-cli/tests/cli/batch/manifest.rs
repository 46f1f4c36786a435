//! What a manifest may look like, and what is said of one that may not.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::site::{Site, count, rows_and_batch};

#[test]
fn a_csv_of_every_kind_of_row_becomes_pictures_and_a_manifest_with_cost() {
    let site = Site::new();
    site.photo("set/photos/cat.png", 1);
    let csv = "\u{feff}template,image,width,height,key,tag,out\r\n\
               glass_ball,https://example.com/a.jpg,,,,,\r\n\
               \"my_world\",\"photos/cat.png\",512,1024,cat,spring,\r\n\
               \r\n\
               felt_keychain,https://example.com/b.jpg,,,,,\"sub/b, quoted.png\"\r\n";
    site.write("set/rows.csv", csv);
    let ran = site.batch("set/rows.csv", &["--json", "--tag", "all"]).exits(0);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((rows.len(), batch["completed"].as_u64()), (3, Some(3)));
    assert_eq!((batch["spent"].as_str(), batch["exit_code"].as_u64()), (Some("0.09"), Some(0)));

    let results = site.results();
    let field = |name: &str| results.iter().map(|row| row[name].clone()).collect::<Vec<Value>>();
    assert_eq!(field("line"), [2, 3, 5]);
    assert_eq!(field("tag"), ["all", "spring", "all"]);
    assert_eq!(field("cost"), ["0.03", "0.03", "0.03"]);
    assert_eq!(field("how"), ["submitted", "submitted", "submitted"]);
    assert_eq!(results[1]["key"], "cat");
    site.pictures_are_there();
    assert!(site.path("out/cat.png").is_file() && site.path("out/sub/b, quoted.png").is_file());
    let first = results[0]["path"].as_str().unwrap();
    let name = first.rsplit('/').next().unwrap();
    assert!(name.starts_with("a-glass_ball-") && name.ends_with(".png"), "{first}");
    assert_eq!(site.accepted_once(), 3);
}

/// Its names are bytes, and a pipe in it is not read.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_may_have_names_of_any_script_names_that_are_no_text_and_pipes() {
    use std::os::unix::ffi::OsStrExt;

    let site = Site::new();
    site.photo("photos/кошка моя.png", 1).photo("photos/b.png", 2);
    let odd = std::ffi::OsStr::from_bytes(b"ca\xfft.png");
    std::fs::rename(site.path("photos/b.png"), site.path("photos").join(odd)).unwrap();
    let pipe = site.path("photos/pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let ran = site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert!(ran.stderr.contains("(pipe.png): it is no regular file"), "{ran:?}");
    let results = site.results();
    let names: Vec<&str> = results.iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert!(names.iter().any(|name| name.contains("/кошка_моя-glass_ball-")), "{names:?}");
    assert!(names.iter().any(|name| name.contains("t-glass_ball-")), "{names:?}");
    assert!(names.iter().all(|name| std::path::Path::new(name).exists()), "{names:?}");
    assert_eq!(site.accepted_once(), 2);
}

/// Two names in Latin-1 that are written alike where only text can be: they are two photos.
#[cfg(target_os = "linux")]
#[test]
fn photos_whose_names_are_no_text_are_told_apart() {
    use std::os::unix::ffi::OsStrExt;

    let names = [&b"caf\xe8.png"[..], b"caf\xe9.png"].map(std::ffi::OsStr::from_bytes);
    let line = ["--template", "glass_ball", "--skip-duplicates", "--name", "{stem}.png", "--json"];
    // The gateway inside the command needs no journal.
    for more in [&["--emulator"][..], &[]] {
        let site = Site::new();
        for (name, last) in names.iter().zip([1, 2]) {
            site.photo("photos/b.png", last);
            std::fs::rename(site.path("photos/b.png"), site.path("photos").join(name)).unwrap();
        }
        let (mut rows, _) =
            rows_and_batch(&site.batch("photos", &[&line[..], more].concat()).exits(0));
        rows.sort_by_key(|row| row["line"].as_u64());
        assert_eq!(count(&rows, "completed"), 2, "{rows:?}");
        let images = rows.iter().map(|row| row["image"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(images, ["./caf%E8.png", "./caf%E9.png"]);
        for (row, name) in rows.iter().zip(["caf%E8.png", "caf%E9.png"]) {
            assert_eq!(
                row["path"].as_str().unwrap(),
                site.path("out").join(name).to_str().unwrap()
            );
        }
        if more.is_empty() {
            let number = rows[0]["row"].to_string();
            let mut reorder = site.command(&["reorder", &number, "--poll", "0.05", "--image"]);
            crate::world::CommandOutput::of(reorder.arg(site.path("photos").join(names[1])))
                .exits(2);
            let mut reorder = site.command(&["reorder", &number, "--poll", "0.05", "--image"]);
            crate::world::CommandOutput::of(reorder.arg(site.path("photos").join(names[0])))
                .exits(0);
            assert_eq!(site.emulator.counts().accepted, 3);
        }
    }
}

#[test]
fn photos_that_no_service_elsewhere_reaches_are_warned_of_once_for_each_host() {
    let site = Site::new();
    let rows = "template,image\nglass_ball, http://localhost:8000/a.jpg \n\
                glass_ball,http://localhost:8000/b.jpg\nglass_ball,http://10.1.2.3/c.jpg\n\
                glass_ball,https://bücher.example/d.jpg\n";
    site.write("rows.csv", rows);
    let elsewhere = ["--base-url", "https://no.such.host.invalid", "--plan"];
    let ran = site.batch("rows.csv", &elsewhere).exits(0);
    assert_eq!(ran.stderr.matches("the photo is at localhost").count(), 1, "{ran:?}");
    assert_eq!(ran.stderr.matches("the photo is at 10.1.2.3").count(), 1, "{ran:?}");
    assert!(!ran.stderr.contains("at b"), "{ran:?}");
}

/// As pandas writes a column of numbers: 1 without gaps, and 1.0 once a number is missing.
#[test]
fn a_key_in_another_spelling_of_its_number_pays_for_no_row_anew() {
    let site = Site::new();
    let row =
        |key: &str, photo: &str| format!("glass_ball,https://example.com/{photo}.jpg,{key}\n");
    let table = |rows: &[String]| format!("template,image,key\n{}", rows.concat());
    let gaps = table(&[row("1.0", "a"), row("2.0", "b"), row("", "c")]);
    let whole = table(&[row("1", "a"), row("2", "b")]);
    for (first, then, all) in [(&whole, &gaps, 3), (&gaps, &whole, 3)] {
        let site = Site::new();
        site.write("rows.csv", first).batch("rows.csv", &[]).exits(0);
        site.write("rows.csv", then);
        for line in [&["--json"][..], &["--json", "--budget", "1.00"]] {
            let ran = site.batch("rows.csv", line).exits(2);
            let (rows, _) = rows_and_batch(&ran);
            assert_eq!(count(&rows, "invalid"), 2, "{ran:?}");
            let why = "and 1.0 would be paid for anew";
            let why = if std::ptr::eq(then, &gaps) { why } else { "and 1 would be paid for anew" };
            assert!(ran.stdout.contains(why), "{ran:?}");
        }
        assert_eq!(site.accepted_once(), all);
    }
    // Another picture is another row, whatever its key looks like.
    site.write("rows.csv", table(&[row("1", "a")])).batch("rows.csv", &[]).exits(0);
    site.write("rows.csv", table(&[row("1.0", "d")])).batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn json_lines_and_a_folder_do_as_well() {
    let site = Site::new();
    let lines = "{\"image\":\"https://example.com/a.jpg\",\"width\":600}\n\n\
                 {\"image\":\"https://example.com/b.jpg\",\"template\":\"my_world\",\"heigth\":9}\n";
    site.write("rows.jsonl", lines);
    let ran = site.batch("rows.jsonl", &["--template", "glass_ball"]).exits(0);
    assert!(ran.stderr.contains("did you mean \"height\"?"), "{ran:?}");
    let results = site.results();
    assert_eq!(results[0]["template"], "glass_ball");
    assert_eq!(
        (results[1]["template"].as_str(), results[1]["line"].as_u64()),
        (Some("my_world"), Some(3))
    );

    site.photo("photos/b.png", 1).photo("photos/a.png", 2).write("photos/notes.txt", "no photo");
    let ran = site.batch("photos", &["--template", "glass_ball"]).exits(0);
    assert!(ran.stderr.contains("1 file is left out (notes.txt): it is no picture"), "{ran:?}");
    let images: Vec<Value> = site.results().iter().map(|row| row["image"].clone()).collect();
    // The rows of the order before stay, after its own.
    assert_eq!((&images[..2], images.len()), (&["./a.png".into(), "./b.png".into()][..], 4));
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn bad_rows_are_told_with_everything_wrong_and_the_rest_goes_on() {
    let site = Site::new();
    let csv = "template,image,width,widht,out\n\
               glass_ball,https://example.com/a.jpg,,,\n\
               glas_ball,missing.jpg,4096,,../up.png\n\
               my_world,https://example.com/b.jpg,,,,,b\n\
               my_world,https://example.com/b.jpg,,,A.png\n\
               my_world,https://example.com/c.jpg,,,a.png\n\
               my_world,-,ten,,\n";
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--json"]).exits(2);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "invalid")), (2, 4));
    assert_eq!(batch["invalid"], 4);
    let bad: Vec<&Value> = rows.iter().filter(|row| row["status"] == "invalid").collect();
    assert_eq!(
        bad.iter().map(|row| row["line"].as_u64().unwrap()).collect::<Vec<_>>(),
        [3, 4, 6, 7]
    );
    let problems = bad[0]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(problems[1]["suggestions"][0], "glass_ball");
    for said in [
        "column \"widht\" is not known and left out; did you mean \"width\"?",
        "line 3: ",
        "did you mean \"glass_ball\"?",
        "line 4: it has 7 columns, and the header has 5",
        "is that of line 5 too",
        "width \"ten\" is not a whole number",
        "\"-\" would be stdin",
        "leaves the folder",
    ] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {}", ran.stderr);
    }
    assert_eq!(site.accepted_once(), 2);
    assert!(!site.path("up.png").exists());
}

#[test]
fn under_strict_one_bad_row_keeps_everything_from_being_sent() {
    let site = Site::new();
    let csv =
        "template,image\nglass_ball,https://example.com/a.jpg\nnothing,https://example.com/b.jpg\n";
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--strict", "--json"]).exits(2);
    assert!(ran.stderr.contains("1 of 2 rows is bad, so nothing was sent"), "{ran:?}");
    assert_eq!(ran.object()["line"], 3);
    assert!(site.emulator.requests().is_empty());
    assert!(!site.path("out").exists());
    site.write("rows.csv", &csv[..csv.find("nothing").unwrap()]);
    site.batch("rows.csv", &["--strict"]).exits(0);
}

#[test]
fn what_no_row_can_be_read_of_is_refused_as_a_whole() {
    let site = Site::new();
    site.photo("photos/a.png", 1).write("empty/x.txt", "").write("rows.csv", "template,image\n");
    for (manifest, text) in [
        ("none.csv", None),
        ("a.csv", Some("template:image\n")),
        ("b.csv", Some("style,image\nglass_ball,x\n")),
        ("c.csv", Some("template,image,image\n")),
        ("d.json", Some("[{\"image\":\"x\"}]")),
    ] {
        if let Some(text) = text {
            site.write(manifest, text);
        }
        let ran = site.batch(manifest, &["--json"]).exits(2);
        assert_eq!(ran.object()["schema"], "effects.error.v1", "{ran:?}");
    }
    for arguments in [
        &["batch", "photos", "--out", "out"][..],
        &["batch", "photos", "--template", "glas_ball", "--out", "out"],
        &["batch", "photos", "--template", "glass_ball", "--out", "photos"],
        &["batch", "empty", "--template", "glass_ball", "--out", "out"],
        &["batch", "-", "--out", "out"],
        &["batch", "rows.csv"],
        &["batch", "rows.csv", "--out", "rows.csv"],
        &["batch", "rows.csv", "--out", "out", "--budget", "-1"],
        &["batch", "rows.csv", "--out", "out", "--in-flight", "0"],
        &["batch", "rows.csv", "--out", "out", "--plan", "--pilot", "2"],
    ] {
        site.run(arguments).exits(2);
    }
    // A manifest without rows is nothing to do, and that is done.
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(ran.stderr.contains("0 of 0 rows"), "{ran:?}");
    assert!(site.emulator.requests().is_empty());
    fs::rename(site.path("rows.csv"), site.path("out/manifest.jsonl")).unwrap();
    site.run(&["batch", "out/manifest.jsonl", "--out", "out"]).exits(2);
}

#[test]
fn a_photo_is_never_replaced_by_a_picture() {
    let site = Site::new();
    site.photo("here/cat.png", 1).photo("here/dog.png", 2);
    site.write(
        "here/rows.csv",
        "template,image,out\nmy_world,cat.png,dog.png\nmy_world,dog.png,new.png\n",
    );
    let before = fs::read(site.path("here/dog.png")).unwrap();
    let ran = site.run(&["batch", "here/rows.csv", "--out", "here"]).exits(2);
    assert!(
        ran.stderr.contains("line 2: its picture would replace the photo of line 3"),
        "{ran:?}"
    );
    assert_eq!(site.accepted_once(), 1);
    assert_eq!(fs::read(site.path("here/dog.png")).unwrap(), before);
    assert!(site.path("here/new.png").is_file());
}

#[test]
fn a_reader_that_goes_away_misses_nothing() {
    let site = Site::new();
    site.rows("rows.csv", 40);
    let mut command =
        site.command(&["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((count(&site.results(), "completed"), site.accepted_once()), (40, 40));
}

#[cfg(unix)]
#[test]
fn no_link_leads_a_picture_to_a_photo() {
    let site = Site::new();
    site.photo("here/cat.png", 1).photo("here/dog.png", 2).photo("here/owl.png", 3);
    fs::create_dir(site.path("out")).unwrap();
    fs::hard_link(site.path("here/dog.png"), site.path("out/hard.png")).unwrap();
    std::os::unix::fs::symlink("../here/owl.png", site.path("out/soft.png")).unwrap();
    site.write(
        "here/rows.csv",
        "template,image,out\nmy_world,cat.png,hard.png\nmy_world,cat.png,soft.png\n\
         my_world,dog.png,new.png\nfelt_keychain,owl.png,newer.png\n",
    );
    let photo = |name: &str| fs::read(site.path(&format!("here/{name}"))).unwrap();
    let before = (photo("dog.png"), photo("owl.png"));
    let ran = site.batch("here/rows.csv", &[]).exits(2);
    for line in [2, 3] {
        let photo = line + 2;
        let message = format!("line {line}: its picture would replace the photo of line {photo}");
        assert!(ran.stderr.contains(&message), "{ran:?}");
    }
    assert_eq!(site.accepted_once(), 2);
    assert!((photo("dog.png"), photo("owl.png")) == before);
    assert!(site.path("out/new.png").is_file() && site.path("out/newer.png").is_file());
}

#[cfg(unix)]
#[test]
fn two_rows_whose_names_lead_to_one_file_are_told_apart() {
    let site = Site::new();
    site.write("out/a.png", "before");
    std::os::unix::fs::symlink("a.png", site.path("out/b.png")).unwrap();
    site.write(
        "rows.csv",
        "template,image,out\nmy_world,https://example.com/a.jpg,a.png\n\
         my_world,https://example.com/b.jpg,b.png\n",
    );
    let ran = site.batch("rows.csv", &["--overwrite"]).exits(2);
    assert!(ran.stderr.contains("\"b.png\" is that of line 2 too"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn the_batch_s_own_files_replace_no_photo_and_no_manifest() {
    let site = Site::new();
    site.photo("out/contact-sheet.png", 1).photo("cat.png", 2);
    site.write("rows.csv", "template,image\nmy_world,cat.png\nmy_world,out/contact-sheet.png\n");
    let before = fs::read(site.path("out/contact-sheet.png")).unwrap();
    let ran = site.batch("rows.csv", &["--pilot", "2"]).exits(2);
    assert!(ran.stderr.contains("the photo of line 3 is"), "{ran:?}");
    assert!(fs::read(site.path("out/contact-sheet.png")).unwrap() == before);
    assert_eq!(site.accepted_once(), 0);

    // The rows themselves, under the name of what the batch writes.
    fs::hard_link(site.path("rows.csv"), site.path("out/manifest.jsonl")).unwrap();
    let rows = fs::read(site.path("rows.csv")).unwrap();
    let ran = site.batch("rows.csv", &[]).exits(2);
    assert!(ran.stderr.contains("give another folder"), "{ran:?}");
    assert!(fs::read(site.path("rows.csv")).unwrap() == rows);
}

#[test]
fn a_picture_of_another_length_than_the_service_said_completes_its_row_with_a_warning() {
    let plan = "[[fault]]\non = \"create\"\nkind = \"wrong-size\"\n";
    let site = Site::with(plan.parse().unwrap());
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    let (rows, _) = rows_and_batch(&ran);
    assert!(ran.stderr.contains("line 2: "), "{ran:?}");
    let warning = rows[0]["warning"].as_str().unwrap();
    assert!(warning.contains("bytes where the service said"), "{warning}");
    assert!(ran.stderr.contains(warning), "{ran:?}");
    site.pictures_are_there();
}

/// Templates and images of the rows of the order, by the folder's manifest.
fn wanted(site: &Site) -> Vec<(String, String, Option<i64>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| (text(&row["template"]), text(&row["image"]), row["width"].as_i64());
    site.results().iter().map(row).collect()
}

#[test]
fn tables_as_offices_write_them_are_read() {
    let plain = "Template, IMAGE ,Width,height,notes,Key\n\
                 glass_ball,https://example.com/a.jpg,1024.0,1024,,k1\n\
                 my_world,https://example.com/b.jpg,NaN\n\
                 ,,,,,\n\
                 my_world,https://example.com/c.jpg,512,640,no,k3,,,\n\
                 ,,,,,,,,\n";
    let with = |separator: &str| plain.replace(',', separator);
    let utf16 = |text: &str, big: bool| -> Vec<u8> {
        let units = format!("\u{feff}{text}");
        units
            .encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    };
    for (name, text) in [
        ("commas.csv", plain.as_bytes().to_vec()),
        ("mark.csv", format!("\u{feff}{plain}").into_bytes()),
        ("semicolons.csv", with(";").replace("1024.0", "1024,0").into_bytes()),
        ("tabs.txt", with("\t").into_bytes()),
        ("bars.csv", with("|").into_bytes()),
        ("named.csv", format!("sep=;\r\n{}", with(";").replace('\n', "\r\n")).into_bytes()),
        ("little.csv", utf16(&with("\t"), false)),
        ("big.csv", utf16(plain, true)),
    ] {
        let site = Site::new();
        fs::write(site.path(name), text).unwrap();
        let ran = site.batch(name, &["--strict"]).exits(0);
        assert!(ran.stderr.contains("column \"notes\" is not known"), "{name}: {ran:?}");
        let rows = wanted(&site);
        assert_eq!(rows.len(), 3, "{name}");
        let widths: Vec<_> = rows.iter().map(|(_, _, width)| width.unwrap_or(1328)).collect();
        assert_eq!(widths, [1024, 1328, 512], "{name}");
        let first = if name == "named.csv" { 3 } else { 2 };
        let lines: Vec<_> =
            site.results().iter().map(|row| row["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [first, first + 1, first + 3], "{name}");
        assert_eq!(site.results()[0]["key"], "k1", "{name}");
        assert_eq!(site.accepted_once(), 3, "{name}");
    }
}

#[test]
fn an_older_code_page_is_read_with_a_warning() {
    let site = Site::new();
    site.photo("caf\u{e9}.png", 1);
    let latin = b"template,image,tag\nglass_ball,caf\xe9.png,\x80 5\n";
    fs::write(site.path("rows.csv"), latin).unwrap();
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(ran.stderr.contains("is read as Windows-1252 (Latin-1)"), "{ran:?}");
    assert_eq!(site.results()[0]["image"], "caf\u{e9}.png");
    assert_eq!(site.results()[0]["tag"], "\u{20ac} 5");
    // One broken cell among letters that are UTF-8 is a broken cell.
    let mixed = b"template,image\nglass_ball,caf\xc3\xa9.png\nglass_ball,caf\xe9.png\n";
    fs::write(site.path("mixed.csv"), mixed).unwrap();
    let ran = site.batch("mixed.csv", &[]).exits(2);
    assert!(ran.stderr.contains("line 3: column \"image\" is not UTF-8"), "{ran:?}");
}

#[test]
fn a_letter_may_lie_across_any_place_where_a_file_is_read() {
    let site = Site::new();
    // More than one buffer of letters of several bytes.
    let tag = "\u{e9}\u{20ac}\u{1f600}".repeat(20_000);
    site.write(
        "rows.csv",
        format!("template,image,tag,x\nglass_ball,https://example.com/a.jpg,t,x{tag}\n"),
    );
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(!ran.stderr.contains("Windows-1252"), "{}", &ran.stderr[..200.min(ran.stderr.len())]);
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn what_is_no_table_is_named_for_what_it_is() {
    let site = Site::new();
    for (name, bytes, said) in [
        ("rows.csv", &b"PK\x03\x04abc"[..], "an Excel workbook (.xlsx)"),
        ("rows.xlsx", b"PK\x03\x04abc", "an Excel workbook (.xlsx)"),
        ("rows.jsonl", b"PK\x03\x04abc", "an Excel workbook (.xlsx)"),
        ("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook (.xls)"),
        ("rows.parquet", b"PAR1abc", "a Parquet file"),
        ("rows.csv.gz", b"\x1f\x8babc", "compressed with gzip"),
        ("unmarked.csv", b"t\0e\0m\0", "UTF-16 without a mark"),
    ] {
        fs::write(site.path(name), bytes).unwrap();
        let ran = site.batch(name, &[]).exits(2);
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
    }
    assert!(site.emulator.requests().is_empty());
}

#[test]
fn under_strict_a_column_that_looks_like_ours_is_an_error() {
    let site = Site::new();
    let csv = "template,image,widht\nglass_ball,https://example.com/a.jpg,512\n";
    site.write("rows.csv", csv);
    let ran = site.batch("rows.csv", &["--strict", "-q"]).exits(2);
    assert!(
        ran.stderr.contains("column \"widht\" is not known and looks like \"width\""),
        "{ran:?}"
    );
    let lines =
        "{\"template\":\"glass_ball\",\"image\":\"https://example.com/a.jpg\",\"heigth\":512}\n";
    site.write("rows.jsonl", lines);
    let ran = site.batch("rows.jsonl", &["--strict"]).exits(2);
    assert!(
        ran.stderr.contains("field \"heigth\" is not known and looks like \"height\""),
        "{ran:?}"
    );
    assert!(site.emulator.requests().is_empty());
    // What looks like none of ours, or like one that is there, is no error.
    site.write(
        "rows.csv",
        "template,image,width,widht,notes\nglass_ball,https://example.com/a.jpg,512,1,x\n",
    );
    site.batch("rows.csv", &["--strict"]).exits(0);
}

#[test]
fn json_objects_may_go_over_several_lines_or_are_refused_with_one_word() {
    let site = Site::new();
    let pretty = "{\n  \"template\": \"glass_ball\",\n  \"image\": \"https://example.com/a.jpg\",\n  \
                  \"width\": 1024.0,\n  \"Key\": 7\n}\n";
    site.write(
        "rows.jsonl",
        format!("{pretty}{}", pretty.replace("a.jpg", "b.jpg").replace('7', "8")),
    );
    site.batch("rows.jsonl", &["--strict"]).exits(0);
    let lines: Vec<_> = site.results().iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!((lines, site.accepted_once()), (vec![1, 7], 2));
    site.write("commas.jsonl", pretty.replace("}\n", "},\n").repeat(3));
    let ran = site.batch("commas.jsonl", &[]).exits(2);
    assert!(ran.stderr.contains("line 1: the object that begins here cannot be read"), "{ran:?}");
    assert_eq!(ran.stderr.matches("line ").count(), 1, "{ran:?}");
    assert_eq!(site.accepted_once(), 2);
}
