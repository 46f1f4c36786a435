//! A program (`examples/one_task.rs`) that is stopped while its submission is answered, as by Ctrl-Z,
//! `docker pause` or a laptop's lid: the answer lies in the socket when it goes on, and the time of its
//! request is over.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use effects_testkit::http::Behaviour;
use effects_tests::{ScenarioWorld, TASK};

use crate::killed::example;

fn signal(name: &str, program: &Child) {
    let line = format!("kill -{name} {}", program.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

/// The task that a program tells of which is stopped as its submission arrives, and goes on so long after
/// that; what it says of an error where it tells of none. The answer, or its body alone, comes meanwhile.
fn told(client: &str, way: &str, stands_still: Duration, is_begun: bool) -> String {
    let world = ScenarioWorld::new().unwrap();
    let (response, every) = (world.accepted(), Duration::from_secs(2));
    world.creates([match is_begun {
        false => Behaviour::Respond(response).after(every),
        true => Behaviour::Drip { response, piece: usize::MAX, every },
    }]);
    world.looks([world.completed()]);
    let program = Command::new(example("one_task"))
        .args([client, way, &world.gateway.base_url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    world.gateway.wait_for_requests(1, Duration::from_secs(60));
    let arrived = Instant::now();
    signal("STOP", &program);
    thread::sleep(stands_still.saturating_sub(arrived.elapsed()));
    signal("CONT", &program);
    let output = program.wait_with_output().unwrap();
    let [task, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    if task.is_empty() { error } else { task }
}

#[test]
fn an_answer_that_came_while_the_process_stood_still_is_read() {
    // Around the time of a request, which is 3 s, and the second that its client waits longer.
    let lengths = [3.05, 3.7, 4.5, 6.0].map(Duration::from_secs_f64);
    let mut stopped = Vec::new();
    for client in ["blocking", "async"] {
        for way in ["run", "jobs"] {
            for length in lengths {
                let is_begun = length == lengths[3];
                let case = format!("{client} {way}, {length:?}");
                stopped.push((case, thread::spawn(move || told(client, way, length, is_begun))));
                if is_begun {
                    let case = format!("{client} {way}, {length:?}, with nothing of the answer");
                    stopped.push((case, thread::spawn(move || told(client, way, length, false))));
                }
            }
        }
    }
    let told = stopped.into_iter().map(|(case, thread)| (case, thread.join().unwrap()));
    let lost: Vec<_> = told.filter(|(_, told)| told != TASK).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
