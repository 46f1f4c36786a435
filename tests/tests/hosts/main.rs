//! Several hosts over one journal in Postgres: killed, cut off, with a clock an hour off, and with a
//! database that ends connections, crashes and has a full disk. Each row is paid once, all within one
//! budget, and every row comes to its end. Counted by the gateway.
//!
//! `EFFECTS_TEST_HOSTS_ROWS=2000 cargo nextest run -p effects-tests --test hosts --no-capture` is the full
//! size. A host is a process with a name of its own, which the others cannot look at; in `network` it has
//! a network of its own, too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod disk;
mod network;
mod relay;
mod world;

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use effects_testkit::postgres::TestServer;

use relay::Relay;
use world::{Host, HostsWorld, LEASE, faketime};

/// One host's share of the work, in a process of its own.
#[test]
fn host() {
    if let Ok(share) = std::env::var(world::SHARE) {
        world::run_share(&share);
    }
}

const HOSTS: usize = 4;
/// So long a run may take.
const MAX_TIME: Duration = Duration::from_secs(240);

#[test]
fn hosts_that_die_share_one_journal_and_one_budget() {
    let rows = world::rows(160);
    let kills = (rows / 200).clamp(4, 10);
    let server = match TestServer::start(&["max_connections=50"]) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    if faketime().is_none() {
        println!("no clock is an hour off: there is no faketime here");
    }
    let world = HostsWorld::new(server, HOSTS, rows);
    let is_cut = Arc::new(AtomicBool::new(false));
    let line = Relay::to(("127.0.0.1", world.server.port())).cut_by(&is_cut).listen("127.0.0.1:0");
    let start = |host: usize| {
        let port = if host == 1 { line } else { world.server.port() };
        // Its clock is an hour ahead of all others.
        let program = faketime().filter(|_| host == 2);
        let program = program.map_or(Vec::new(), |program| vec![program, "-f", "+1h"]);
        world.start(host, &Host { database: ("127.0.0.1", port), program, ..Host::default() })
    };

    let mut hosts: Vec<Child> = (1..=HOSTS).map(start).collect();
    // What goes wrong, each after so many more rows were paid.
    let mut disturbances: Vec<&str> = vec!["kill"; kills];
    disturbances.insert(1, "end connections");
    disturbances.insert(2, "cut the line");
    disturbances.insert(kills.div_ceil(2) + 2, "crash the database");
    let (every, mut done) = ((rows * 8 / 10) / (disturbances.len() + 1), 0);
    let begun = Instant::now();
    let mut cut_until = None;
    while hosts.iter_mut().any(|host| host.try_wait().unwrap().is_none())
        || done < disturbances.len()
    {
        assert!(begun.elapsed() < MAX_TIME, "it took too long: {} paid", world.accepted());
        thread::sleep(Duration::from_millis(5));
        if cut_until.is_some_and(|at| Instant::now() > at) {
            is_cut.store(false, Ordering::SeqCst);
            cut_until = None;
        }
        let all_ended = hosts.iter_mut().all(|host| host.try_wait().unwrap().is_some());
        if done < disturbances.len() && (world.accepted() >= every * (done + 1) || all_ended) {
            match disturbances[done] {
                "kill" => {
                    let host = done % HOSTS;
                    // SIGKILL: it says nothing to anyone any more.
                    hosts[host].kill().unwrap();
                    hosts[host].wait().unwrap();
                    hosts[host] = start(host + 1);
                }
                "end connections" => {
                    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE application_name = 'effects'";
                    world.server.sql("postgres", sql).unwrap();
                }
                "cut the line" => {
                    is_cut.store(true, Ordering::SeqCst);
                    // Longer than its lease, so that the others take the host for gone
                    // while it still works.
                    cut_until = Some(Instant::now() + LEASE + Duration::from_secs(2));
                }
                _ => {
                    world.server.stop().unwrap();
                    world.server.start_again().unwrap();
                }
            }
            done += 1;
        }
    }
    is_cut.store(false, Ordering::SeqCst);
    world.run_last_host();
    let what = format!("{kills} kills, one crash of the database, one cut line");
    world.check(&what, begun.elapsed(), 8 * (kills + 1));
}
