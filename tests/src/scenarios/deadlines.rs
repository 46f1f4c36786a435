//! [`scenarios`]: calls with one deadline for all their parts, where the upload, a poll or the download
//! hangs or the task takes longer; and the last poll at the end of a wait. A client must end in time and
//! name the task that is paid for. `tests/all/conformance.rs` plays the list over the Rust clients,
//! `tests/all/python.rs` over the Python ones.
//!
//! What is paid for by then is named; nothing is submitted after it.

use std::time::Duration;

use effects_core::{Deadline, ErrorKind};
use effects_testkit::http::{Behaviour, Response};

use crate::face::Ask;
use crate::scenario::{Scenario, draft};
use crate::world::{ScenarioWorld, picture};

/// Each exchange that may hang, and a last look that does.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        ends_in_time(Scenario::new("a deadline: the upload hangs", |world| {
            world.gateway.on("POST", "/api/v1/storage/files", [Behaviour::Hang]);
        }))
        .asks(|_| Ask::EffectOf(picture(), draft()))
        .fails(ErrorKind::DeadlineExceeded)
        .posts(0)
        .then(|witness| {
            // Two clocks end at the same moment, the upload's own and that of the run: whichever is first
            // has to say what became of the money.
            let message = &witness.failure().message;
            assert!(message.contains("nothing was submitted"), "{message}");
        }),
        ends_in_time(Scenario::new("a deadline: the program that uploads hangs", |_| {}))
            // It follows the photo's file, and never ends.
            .with(|setup, _| setup.uploads = Some("command=tail -f".to_owned()))
            .asks(|_| Ask::EffectOf(picture(), draft()))
            .fails(ErrorKind::DeadlineExceeded)
            .posts(0),
        ends_in_time(Scenario::new("a deadline: each look hangs", |world| {
            world.creates([world.accepted()]);
            world.looks([Behaviour::Hang, Behaviour::Hang, Behaviour::Hang]);
        }))
        .fails_with_task(ErrorKind::WaitTimeout),
        ends_in_time(Scenario::new("a deadline: the task takes longer", |world| {
            world.creates([world.accepted()]);
            world.gateway.otherwise(world.running());
        }))
        .fails_with_task(ErrorKind::WaitTimeout),
        ends_in_time(Scenario::new("a deadline: the download hangs", |world| {
            world.creates([world.completed()]);
            world.downloads(vec![Behaviour::Hang]);
        }))
        .fails_with_task(ErrorKind::Download),
        ends_in_time(Scenario::new("a deadline: half of the picture came", |world| {
            world.creates([world.completed()]);
            let response = Response::new(200).header("Content-Type", "image/png").body(picture());
            world.downloads(vec![Behaviour::HangAfter { response, body_bytes: 5_000 }]);
        }))
        .fails_with_task(ErrorKind::Download),
        // Without that it would last as long as a request may, which is 20 seconds here.
        Scenario::new("a last look that hangs ends in its own time", |world| {
            world.creates([world.accepted()]);
            world.looks([Behaviour::Hang, Behaviour::Hang]);
        })
        .policy(|policy| {
            policy.wait_timeout = Duration::from_millis(500);
            policy.last_look = Duration::from_millis(500);
        })
        .fails_with_task(ErrorKind::WaitTimeout)
        .then(|witness| assert!(witness.elapsed < IN_TIME, "{:?}", witness.elapsed)),
        Scenario::new("a wait without a last look", |world: &ScenarioWorld| {
            world.creates([world.accepted()]);
            world.looks([Behaviour::Hang, world.completed().into()]);
        })
        .policy(|policy| {
            policy.wait_timeout = Duration::from_millis(500);
            policy.last_look = Duration::ZERO;
        })
        .fails_with_task(ErrorKind::WaitTimeout),
    ]
}

/// A deadline of a second holds, where a request may take 20 and the wait 40.
fn ends_in_time(scenario: Scenario) -> Scenario {
    scenario
        .policy(|policy| policy.deadline = Some(Deadline::after(Duration::from_secs(1))))
        .then(|witness| assert!(witness.elapsed < IN_TIME, "{:?}", witness.elapsed))
}

/// Long before any other limit, on a machine that is busy too.
const IN_TIME: Duration = Duration::from_secs(10);
