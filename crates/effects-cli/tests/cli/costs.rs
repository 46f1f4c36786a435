//! Costs that no picture has: said as the service sent them, and never added up.

use std::fs;

use effects_testkit::http::Response;
use serde_json::Value;

use crate::world::{CREATE, IMAGE, PHOTO, World};

/// What the service may send for a cost, as JSON, and what is said of it.
const ODD: [(&str, &str); 5] = [
    (r#""-0.02""#, "-0.02"),
    ("70000000000000000000000000000", "70000000000000000000000000000"),
    ("7e28", "7e28"),
    (r#""0.02 USD""#, "0.02 USD"),
    (r#""""#, ""),
];

/// A task that is completed, with this for its cost.
fn costing(world: &World, task: &str, cost: &str) -> Response {
    let url = world.server.url("/out.png");
    Response::json(format!(
        r#"{{"id":"{task}","status":"completed","output":[{{"content":[{{"url":"{url}"}}]}}],{}}}"#,
        format_args!(r#""usage":{{"cost":{cost}}}"#)
    ))
}

#[test]
fn a_run_says_a_cost_that_cannot_be_read_as_it_was_sent() {
    for (cost, sent) in ODD {
        let world = World::new();
        world.accepts();
        world.serves_picture();
        world.looks([(); 3].map(|()| costing(&world, "task-1", cost)));
        let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05", "--json"]).exits(0);
        let object = ran.object();
        assert_eq!((&object["cost"], &object["unreadable_cost"]), (&Value::Null, &sent.into()));
        assert!(ran.stderr.contains("cannot be read"), "{ran:?}");

        let status = world.run(&["status", "task-1", "--json"]).exits(0).object();
        assert_eq!((&status["cost"], &status["unreadable_cost"]), (&Value::Null, &sent.into()));
        let status = world.run(&["status", "task-1"]).exits(0);
        assert!(status.stdout.contains(&format!("cost cannot be read: {sent:?}")), "{status:?}");
    }
    let ran = World::with_service().run(&["run", "glass_ball", IMAGE, "--poll", "0.05", "--json"]);
    assert_eq!(ran.exits(0).object().get("unreadable_cost"), None);
}

#[test]
fn a_batch_adds_up_no_cost_that_cannot_be_read() {
    let world = World::new();
    world.server.otherwise(Response::new(200).header("Content-Type", "image/png").body(PHOTO));
    let created = ODD.iter().enumerate();
    let created = created.map(|(nth, (cost, _))| costing(&world, &format!("task-{nth}"), cost));
    world.server.on("POST", CREATE, created);
    let rows = (0..ODD.len()).map(|row| format!("glass_ball,https://example.com/{row}.jpg\n"));
    let rows: String = rows.collect();
    fs::write(world.path("rows.csv"), format!("template,image\n{rows}")).unwrap();
    let line = ["batch", "rows.csv", "--out", "out", "--in-flight", "1", "--json"];
    let priced = [&line[..], &["--budget", "1", "--price", "0.10"]].concat();
    let ran = world.run(&priced).exits(0);
    let objects: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (batch, rows) = objects.split_last().unwrap();
    assert_eq!((&batch["spent"], &batch["cost"]), (&"0".into(), &"0".into()), "{ran:?}");
    for row in rows {
        let nth: usize = row["task_id"].as_str().unwrap()["task-".len()..].parse().unwrap();
        let (_, sent) = ODD[nth];
        assert_eq!((&row["cost"], &row["unreadable_cost"]), (&Value::Null, &sent.into()));
        assert!(ran.stderr.contains(&format!("the service sent {sent:?}")), "{ran:?}");
    }
    // The journal has none of them either.
    let cost = world.run(&["cost", "--json"]).exits(0).object();
    assert_eq!((&cost["cost"], &cost["unpriced"]), (&"0".into(), &ODD.len().into()));
    // And the same line again counts each as what a picture costs at most.
    let plan = world.run(&[&priced[..], &["--plan"]].concat()).exits(0).object();
    assert_eq!((&plan["spent"], &plan["kept"]), (&"0".into(), &ODD.len().into()));
}

#[test]
fn a_price_or_a_budget_that_no_sum_can_hold_breaks_nothing() {
    let world = World::new();
    let rows: String = (0..9).map(|row| format!("my_world,https://x.test/{row}.jpg\n")).collect();
    fs::write(world.path("rows.csv"), format!("template,image\n{rows}")).unwrap();
    let most = "79228162514264337593543950335";
    for (budget, price) in [(most, most), ("1", most), (most, "0.0000000000000000000000000001")] {
        let line = ["batch", "rows.csv", "--out", "out", "--budget", budget, "--price", price];
        world.run(&[&line[..], &["--plan"]].concat()).exits(0);
    }
    let line = ["batch", "rows.csv", "--out", "out", "--budget", "1", "--price", most];
    world.run(&line).exits(6);
    assert_eq!(world.submissions(), 0);
}
