//! A database whose disk is full, and has room again: nothing that was confirmed is lost, nothing is paid
//! for twice, and the rows go on.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use effects_testkit::postgres::TestServer;

use crate::world::{Host, HostsWorld, STOPPED_EARLY, is_inside, rows, run_again};
use crate::{HOSTS, MAX_TIME};

/// Where the small disk is, in the test that has one.
const DISK: &str = "/run/effects-disk";
/// Mounts that only this test sees; all of it goes with it.
const NAMESPACE: &[&str] = &[
    "unshare",
    "--mount",
    "--propagation=private",
    "--fork",
    "--kill-child",
    "sh",
    "-ec",
    "mount -t tmpfs none /run
        mkdir -m 755 /run/effects-disk
        mount -t tmpfs -o size=140m,mode=1777 none /run/effects-disk
        exec \"$@\"",
    "sh",
];

#[test]
fn a_full_disk_of_the_database_costs_nothing_twice() {
    let this = "disk::a_full_disk_of_the_database_costs_nothing_twice";
    if !is_inside(this) {
        if let Err(why) = run_again(this, NAMESPACE) {
            println!("skipped: a database has a small disk where root may mount one ({why})");
        }
        return;
    }
    let disk = Path::new(DISK);
    let server = match TestServer::start_in(disk, &["max_connections=50"]) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let rows = rows(240);
    let world = HostsWorld::new(server, HOSTS, rows);
    let start = |host: usize| {
        // The last waits for no database, and stops.
        let database_patience = if host == HOSTS { 1 } else { 60 };
        let database = ("127.0.0.1", world.server.port());
        world.start(host, &Host { database, database_patience, ..Host::default() })
    };
    let begun = Instant::now();
    let mut hosts: Vec<Child> = (1..=HOSTS).map(start).collect();
    let wait_for = |paid: usize| {
        while world.accepted() < paid {
            assert!(begun.elapsed() < MAX_TIME, "it took too long: {} paid", world.accepted());
            thread::sleep(Duration::from_millis(5));
        }
    };

    // No table can grow any more.
    wait_for(rows / 5);
    let ballast = fill(disk);
    let probe = "CREATE TABLE probe AS SELECT generate_series(1, 100000) AS number";
    let refused = world.server.sql("postgres", probe).unwrap_err();
    assert!(refused.contains("No space left on device"), "{refused}");
    println!("the server says: {}", reason_line(&refused));
    let before = world.accepted();
    // Longer than a lease, and shorter than the patience of the hosts that wait.
    thread::sleep(Duration::from_secs(6));
    assert!(world.accepted() < rows * 9 / 10, "the disk was not full: {before}");
    let code = hosts[HOSTS - 1].wait().unwrap().code();
    assert_eq!(code, Some(STOPPED_EARLY), "it waits for no database");
    println!("host {HOSTS} stopped, with {} ids in its spill file", world.spilled(HOSTS));
    std::fs::remove_file(ballast).unwrap();
    hosts[HOSTS - 1] = start(HOSTS);

    // And neither can its log: the server itself falls.
    wait_for(rows * 3 / 5);
    let ballast = fill(disk);
    let log = "SELECT pg_logical_emit_message(true, '', repeat('x', 1000000))
        FROM generate_series(1, 100)";
    let fell = world.server.sql("postgres", log).unwrap_err();
    println!("the server says: {}", reason_line(&fell));
    assert!(fell.contains("PANIC") || fell.contains("server closed the connection"), "{fell}");
    thread::sleep(Duration::from_secs(3));
    std::fs::remove_file(ballast).unwrap();
    // One that came up again by itself needs no start.
    if world.server.sql("postgres", "SELECT 1").is_err() {
        let _ = world.server.start_again();
    }
    for (host, running) in hosts.iter_mut().enumerate() {
        while running.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < MAX_TIME, "it took too long: {} paid", world.accepted());
            thread::sleep(Duration::from_millis(20));
        }
        // The last may have met the second time as well.
        let code = running.wait().unwrap().code();
        assert!(
            code == Some(0) || host + 1 == HOSTS && code == Some(STOPPED_EARLY),
            "{host}: {code:?}"
        );
    }
    if hosts[HOSTS - 1].wait().unwrap().code() == Some(STOPPED_EARLY) {
        assert!(start(HOSTS).wait().unwrap().success());
    }
    assert_eq!((1..=HOSTS).map(|host| world.spilled(host)).sum::<usize>(), 0);
    world.run_last_host();
    world.check("a disk that was full twice", begun.elapsed(), 8);
}

/// Why a server refused a statement, or was gone.
fn reason_line(why: &str) -> &str {
    let words = ["PANIC", "FATAL", "ERROR", "server closed the connection"];
    why.lines().find(|line| words.iter().any(|word| line.contains(word))).unwrap_or(why)
}

/// Takes all room that is left; the file that has it.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    let mut file = File::create(&path).unwrap();
    // Large blocks first, then small ones into what is left.
    for size in [1 << 20, 1 << 12] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}
