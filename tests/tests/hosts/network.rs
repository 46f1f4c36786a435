//! Hosts in network namespaces of their own, which the network parts from the database: whole, and by half,
//! where what they say arrives and the answers do not.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use effects_testkit::postgres::TestServer;

use crate::relay::Relay;
use crate::world::{Host, HostsWorld, LEASE, is_inside, rows, run_again};
use crate::{HOSTS, MAX_TIME};

/// A network and mounts that only this test sees; all of it goes with it.
const NAMESPACES: &[&str] = &[
    "unshare",
    "--net",
    "--mount",
    "--propagation=private",
    "--fork",
    "--kill-child",
    "sh",
    "-ec",
    "mount -t tmpfs none /run
        ip link set lo up
        ip netns add try
        ip netns exec try true
        exec \"$@\"",
    "sh",
];

#[test]
fn hosts_parted_from_the_database_pay_once() {
    let this = "network::hosts_parted_from_the_database_pay_once";
    if !is_inside(this) {
        if let Err(why) = run_again(this, NAMESPACES) {
            println!("skipped: hosts have networks of their own where root may make some ({why})");
        }
        return;
    }
    let server = match TestServer::start(&["max_connections=50", "listen_addresses='*'"]) {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let access = server.folder().join("pg_hba.conf");
    let mut known = std::fs::read_to_string(&access).unwrap();
    known.push_str("host all all 10.77.0.0/16 trust\n");
    std::fs::write(&access, known).unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let rows = rows(160);
    let world = HostsWorld::new(server, HOSTS, rows);
    // The emulator listens on loopback alone, which no other network namespace reaches.
    let gateway = Relay::to(world.emulator.address()).listen("0.0.0.0:0");
    (1..=HOSTS).for_each(connect);

    let start = |host: usize| -> Child {
        let (name, database) = (format!("host{host}"), format!("10.77.{host}.1"));
        world.start(
            host,
            &Host {
                database: (&database, world.server.port()),
                // By a network of its own, which is never cut.
                gateway: Some(format!("10.78.{host}.1:{gateway}")),
                program: vec!["ip", "netns", "exec", &name],
                ..Host::default()
            },
        )
    };
    let begun = Instant::now();
    let mut hosts: Vec<Child> = (1..=HOSTS).map(start).collect();
    let wait_for = |paid: usize| {
        while world.accepted() < paid {
            assert!(begun.elapsed() < MAX_TIME, "it took too long: {} paid", world.accepted());
            thread::sleep(Duration::from_millis(5));
        }
    };
    let longer_than_its_lease = LEASE + Duration::from_secs(2);

    // One is parted from the database whole, and still reaches the gateway.
    wait_for(rows / 5);
    ip("link set db1 down");
    thread::sleep(longer_than_its_lease);
    ip("link set db1 up");
    // Of another, the database hears all, commits too, and its answers vanish.
    wait_for(rows * 2 / 5);
    ip("route add blackhole 10.77.2.2/32");
    thread::sleep(longer_than_its_lease);
    ip("route del blackhole 10.77.2.2/32");
    // One is killed while it is parted, so that it has no chance to say anything; and comes back.
    wait_for(rows * 3 / 5);
    ip("link set db3 down");
    thread::sleep(Duration::from_millis(500));
    hosts[2].kill().unwrap();
    hosts[2].wait().unwrap();
    ip("link set db3 up");
    hosts[2] = start(3);
    for host in &mut hosts {
        while host.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < MAX_TIME, "it took too long: {} paid", world.accepted());
            thread::sleep(Duration::from_millis(20));
        }
        assert!(host.wait().unwrap().success());
    }
    world.run_last_host();
    world.check(
        "two partitions, one of them by half, one kill while parted",
        begun.elapsed(),
        8 * 4,
    );
}

/// A namespace for a host, with a line to the database and another to the gateway.
fn connect(host: usize) {
    ip(&format!("netns add host{host}"));
    ip(&format!("-n host{host} link set lo up"));
    for (line, network) in [("db", 77), ("gw", 78)] {
        let inside = format!("-n host{host}");
        ip(&format!("link add {line}{host} type veth peer name {line} netns host{host}"));
        ip(&format!("addr add 10.{network}.{host}.1/24 dev {line}{host}"));
        ip(&format!("{inside} addr add 10.{network}.{host}.2/24 dev {line}"));
        ip(&format!("link set {line}{host} up"));
        ip(&format!("{inside} link set {line} up"));
    }
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}
