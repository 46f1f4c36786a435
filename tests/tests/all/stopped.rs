//! A program (`examples/one_task.rs`) that is stopped while its submission is answered, as by Ctrl-Z,
//! `docker pause` or a laptop's lid: the answer lies in the socket when it goes on, and the time of its
//! request is over.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use effects_testkit::http::Behaviour;
use effects_tests::{ScenarioWorld, TASK};

use crate::killed::example;

fn signal(name: &str, programs: &[Child]) {
    for program in programs {
        let line = format!("kill -{name} {}", program.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }
}

#[test]
fn an_answer_that_came_while_the_process_stood_still_is_read() {
    // The time of a request is 3 s.
    let late = Duration::from_secs(4);
    let (mut worlds, mut programs, mut ways) = (Vec::new(), Vec::new(), Vec::new());
    for client in ["blocking", "async"] {
        for way in ["run", "jobs"] {
            for begins_in_time in [false, true] {
                let world = ScenarioWorld::new().unwrap();
                let response = world.accepted();
                world.creates([match begins_in_time {
                    false => Behaviour::Respond(response).after(late),
                    true => Behaviour::Drip { response, piece: usize::MAX, every: late },
                }]);
                world.looks([world.completed()]);
                let program = Command::new(example("one_task"))
                    .args([client, way, &world.gateway.base_url()])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                world.gateway.wait_for_requests(1, Duration::from_secs(60));
                signal("STOP", std::slice::from_ref(&program));
                ways.push((client, way, begins_in_time));
                programs.push(program);
                worlds.push(world);
            }
        }
    }
    // Stopped for longer than a submission may take: that is what this is about.
    std::thread::sleep(late + Duration::from_secs(2));
    signal("CONT", &programs);
    let outputs: Vec<_> =
        programs.into_iter().map(|program| program.wait_with_output().unwrap()).collect();
    let lost: Vec<_> = ways
        .iter()
        .zip(&outputs)
        .filter(|(_, output)| output.stdout.trim_ascii() != TASK.as_bytes())
        .map(|(way, output)| (way, String::from_utf8_lossy(&output.stderr)))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
