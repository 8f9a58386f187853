//! A real etcd is recorded, and found to be linearizable; clients that err are found out.

use splitbrain_check::formats::{self, Fail, Record, candidates};
use splitbrain_check::models::key_value::{Op, Ret};
use splitbrain_check::{Outcome, Verdict, jsonl};
use splitbrain_core::Seed;
use splitbrain_example_etcd::{Checked, Fault, Mistake, RecordError, Recorded, Settings, record};
use std::fs::File;
use std::io::{BufReader, Write as _, stderr};
use std::path::PathBuf;
use std::process::Command;

fn settings(servers: u8, seconds: u64, mistake: Option<Mistake>) -> Settings {
    Settings {
        seconds,
        servers,
        clients: 6,
        keys: 5,
        seed: Seed(0),
        mistake,
        // Other tests use the disk, too.
        data: Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir()),
        etcd: "etcd".into(),
    }
}

fn installed() -> bool {
    Command::new("etcd").arg("--version").output().is_ok()
}

/// Records and checks, once more and for longer if too little has happened: on a machine that has much else to do, little does. Or says
/// that it cannot, past what the test harness captures; where everything must run, as in `.ci/run`, which sets
/// `SPLITBRAIN_ALL_TESTS`, that is a failure.
fn recorded(
    mut settings: Settings,
    enough: impl Fn(&Recorded, &Checked) -> bool,
) -> Option<(Recorded, Checked)> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if !installed() {
        let words = "SKIPPED, as `etcd` is not installed (Debian: apt-get install etcd-server)";
        assert!(
            std::env::var_os("SPLITBRAIN_ALL_TESTS").is_none(),
            "{words}"
        );
        let test = std::thread::current();
        let test = test.name().unwrap_or("a test");
        // Nobody could be told that it cannot be told.
        let _ = writeln!(stderr(), "\n*** {test}: {words}\n");
        return None;
    }
    for _ in 0..4 {
        let recorded = runtime.block_on(record(&settings, &mut |line| println!("{line}")));
        let recorded = recorded.unwrap_or_else(|error| panic!("{error}"));
        let checked = recorded.check().unwrap();
        println!("{checked}");
        if settings.mistake.is_none() {
            assert_eq!(checked.verdict, Verdict::Valid);
        }
        if enough(&recorded, &checked) {
            return Some((recorded, checked));
        }
        settings.seconds *= 2;
    }
    panic!("too little has happened");
}

fn is_invalid(_: &Recorded, checked: &Checked) -> bool {
    matches!(checked.verdict, Verdict::Invalid(_))
}

#[test]
fn etcd_is_linearizable_and_what_is_written_down_can_be_read() {
    let enough = |recorded: &Recorded, checked: &Checked| {
        let operations = recorded.history.operations().unwrap();
        let swapped = |swapped| {
            let outcome = Outcome::Ok(&Ret::Swapped(swapped));
            let mut operations = operations.iter();
            operations.any(|operation| operation.outcome == outcome)
        };
        checked.kills > 0 && checked.pauses > 0 && swapped(true) && swapped(false)
    };
    let Some((recorded, checked)) = recorded(settings(3, 4, None), enough) else {
        return;
    };
    assert_eq!(checked.status(), 0);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etcd.jsonl");
    recorded.write(&File::create(&file).unwrap()).unwrap();
    let read = BufReader::new(File::open(&file).unwrap());
    let read = jsonl::read::<Op, Ret>(read).unwrap();
    assert_eq!(read, recorded.history);
    // What `splitbrain check` takes it for: the first model that knows every event.
    let models = candidates(None, None).into_iter();
    let mut models: Vec<_> = models
        .map(|known| (known, known.begin(Fail::Dropped)))
        .collect();
    let know = |record: Record<'_>| {
        models.retain_mut(|(_, reading)| reading.push(&record).is_ok());
        Ok(())
    };
    formats::read(File::open(&file).unwrap(), None, know).unwrap();
    assert_eq!(models[0].0.name, "key-value");
}

/// What was to be written while the server was down is lost. Before it is killed, nothing is wrong.
#[test]
fn a_client_that_ignores_errors_is_found_out() {
    let settings = settings(1, 2, Some(Mistake::IgnoredErrors));
    let Some((recorded, checked)) = recorded(settings, is_invalid) else {
        return;
    };
    assert_eq!(checked.status(), 1);
    let Verdict::Invalid(why) = &checked.verdict else {
        panic!("{checked}");
    };
    let mut faults = recorded.faults.iter();
    let kill = faults.find(|happened| happened.fault == Fault::Kill);
    let kill = kill.expect("this seed begins with one");
    let operations = recorded.history.operations().unwrap();
    let shown = why
        .operations
        .iter()
        .map(|shown| operations[shown.operation]);
    let last = shown
        .filter_map(|shown| shown.completed)
        .map(|at| at.time_ns)
        .max();
    assert!(last >= Some(kill.from_ns), "{checked}");
}

/// A server that was paused answers at once when it goes on, and knows nothing of what happened meanwhile.
#[test]
fn a_client_that_reads_what_one_server_has_is_found_out() {
    let settings = settings(3, 3, Some(Mistake::StaleReads));
    if let Some((_, checked)) = recorded(settings, is_invalid) {
        assert_eq!(checked.status(), 1);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = |settings: &Settings| -> RecordError {
        let recorded = runtime.block_on(record(settings, &mut |_| {}));
        recorded.expect_err("it cannot be")
    };
    let missing = Settings {
        etcd: "/nowhere/etcd".into(),
        ..settings(1, 1, None)
    };
    let said = error(&missing).to_string();
    assert!(
        said.contains("/nowhere/etcd") && said.contains("apt-get install etcd-server"),
        "{said}"
    );
    let other = Settings {
        etcd: "true".into(),
        ..settings(1, 1, None)
    };
    let said = error(&other).to_string();
    assert!(said.contains("says what no etcd says"), "{said}");
    let nowhere = Settings {
        data: Some("/nowhere/data".into()),
        ..settings(1, 1, None)
    };
    if installed() {
        let said = error(&nowhere).to_string();
        assert!(
            said.contains("make a place") && said.contains("/nowhere/data"),
            "{said}"
        );
    }
    let said = error(&settings(1, 1, Some(Mistake::StaleReads))).to_string();
    assert!(said.contains("--servers of at least 2"), "{said}");
}
