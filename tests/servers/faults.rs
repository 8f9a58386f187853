//! What is done to the servers while they are used.

use super::cluster::Cluster;
use super::load::Load;
use std::fs;
use std::time::Duration;
use tokio::time::sleep;

/// Slow enough for a machine that has much else to do, and with a snapshot every few seconds.
const RAFT: &str = "election_ms_min = 400\nelection_ms_max = 800\nheartbeat_ms = 100\nreads = \"index\"\n\
                    snapshot_entries = 300\nclient_try_ms = 1000\nclient_deadline_ms = 4000\n";
const CLIENTS: u32 = 8;

async fn started() -> (Cluster, Load) {
    let mut cluster = Cluster::new(3, RAFT);
    for index in 0..3 {
        cluster.start(index);
    }
    for index in 0..3 {
        cluster.caught_up(index).await;
    }
    let load = Load::start(cluster.http(), CLIENTS, 1);
    load.goes_on(50).await;
    (cluster, load)
}

/// Each in turn is killed and comes back, and is stopped for longer than an election takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_paused() {
    let kills = std::env::var("SPLITBRAIN_KILLS").map_or(3, |kills| {
        kills
            .parse::<usize>()
            .expect("SPLITBRAIN_KILLS is a number")
    });
    let (mut cluster, load) = started().await;
    for nth in 0..kills {
        let index = nth % 3;
        cluster.kill(index);
        load.goes_on(30).await;
        cluster.start(index);
        cluster.caught_up(index).await;
        if nth < 3 {
            cluster.signal(index, "STOP");
            sleep(Duration::from_secs(1)).await;
            load.goes_on(30).await;
            cluster.signal(index, "CONT");
            cluster.caught_up(index).await;
        }
    }
    load.finish().await;
}

/// All are killed at the same moment: what was acknowledged is on their disks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_killed_at_once() {
    let (mut cluster, load) = started().await;
    for _ in 0..2 {
        for index in 0..3 {
            cluster.kill(index);
        }
        for index in 0..3 {
            cluster.start(index);
        }
        for index in 0..3 {
            cluster.caught_up(index).await;
        }
        load.goes_on(50).await;
    }
    load.finish().await;
}

/// A server whose disk is full ends itself, and comes back when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let (mut cluster, load) = started().await;
    for index in 0..2 {
        cluster.kill(index);
        let longest = fs::metadata(cluster.journal(index)).unwrap().len();
        cluster.start_with_little_room(index, longest.min(8 << 10) + (2 << 10));
        let status = cluster.ended(index).await;
        assert_eq!(status.code(), Some(2), "{}", cluster.said(index));
        let said = cluster.said(index);
        assert!(said.contains("the disk is full"), "{said}");
        load.goes_on(30).await;
        cluster.start(index);
        cluster.caught_up(index).await;
    }
    load.finish().await;
}

/// A byte in the middle of a journal is not what was written. The server notices, and has the others give back what it has lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal() {
    let (mut cluster, load) = started().await;
    // Somewhere in the middle, and near the end.
    for (index, part) in [(0, 2), (1, 10)] {
        load.goes_on(100).await;
        cluster.kill(index);
        let mut bytes = fs::read(cluster.journal(index)).unwrap();
        let written = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, four)| *four == b"own-");
        let places: Vec<usize> = written.map(|(at, _)| at).collect();
        bytes[places[places.len() * (part - 1) / part]] ^= 0x10;
        fs::write(cluster.journal(index), bytes).unwrap();
        cluster.start(index);
        cluster.caught_up(index).await;
        let said = cluster.said(index);
        assert!(said.contains("cannot be read"), "{said}");
        load.goes_on(50).await;
    }
    load.finish().await;
}
