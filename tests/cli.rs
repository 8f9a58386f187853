//! The command line, as a person sees it (`cli/*.trycmd`: what is typed, what is answered) and as a program does:
//! exit status, JSON, files.
//!
//! `TRYCMD=overwrite cargo test -p splitbrain-scenarios --test cli` rewrites the answers in `cli/`. What differs from
//! run to run or from machine to machine, and digests, which `determinism.rs` guards, stand there as `[..]`: look at
//! the difference before you accept it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SPLITBRAIN: &str = env!("CARGO_BIN_EXE_splitbrain");

#[test]
fn sessions() {
    let sessions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/*.trycmd");
    trycmd::TestCases::new()
        .register_bin("splitbrain", Path::new(SPLITBRAIN))
        // Help is wrapped for the terminal; there is none here.
        .env("COLUMNS", "100")
        .case(sessions);
}

/// What the README shows is what happens, down to the last character. It is run in a copy, as it writes files.
#[test]
fn readme() {
    let sandbox = Sandbox::new();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let copy = sandbox.file("README.md");
    std::fs::copy(readme, &copy).unwrap();
    // Where it is run.
    std::fs::create_dir(sandbox.file("README.in")).unwrap();
    std::fs::copy(
        history("etcd_000.log"),
        sandbox.file("README.in/etcd_000.log"),
    )
    .unwrap();
    trycmd::TestCases::new()
        .register_bin("splitbrain", Path::new(SPLITBRAIN))
        .case(copy);
}

/// So is what the pages about faults show, and the guide.
#[test]
fn pages() {
    let sandbox = Sandbox::new();
    let runs_in = sandbox.file("check-README.in");
    std::fs::create_dir(&runs_in).unwrap();
    for (folder, name) in [("porcupine", "etcd_000.log"), ("elle", "write-skew.edn")] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/check/tests/data");
        std::fs::copy(file.join(folder).join(name), runs_in.join(name)).unwrap();
    }
    for folder in ["faults", "guide", "check"] {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(folder);
        for page in std::fs::read_dir(pages).unwrap() {
            let page = page.unwrap();
            let copy = format!("{folder}-{}", page.file_name().display());
            std::fs::copy(page.path(), sandbox.file(&copy)).unwrap();
        }
    }
    trycmd::TestCases::new()
        .register_bin("splitbrain", Path::new(SPLITBRAIN))
        .case(sandbox.file("*.md"));
}

/// A folder that is gone after the test, and commands that run in it: nothing that they write is left behind.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Sandbox {
        Sandbox(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SPLITBRAIN);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that prints one JSON object and nothing else, on either stream. Returns it with the exit status.
    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.run(arguments);
        assert_eq!(
            text(&output.stderr),
            "",
            "{arguments:?} is silent where there is no terminal"
        );
        let object = serde_json::from_slice::<Value>(&output.stdout).unwrap();
        assert!(object.is_object(), "{arguments:?}: {object}");
        (object, status(&output))
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("an exit status, not a signal")
}

#[test]
fn list_says_the_same_as_json() {
    let sandbox = Sandbox::new();
    let (object, status) = sandbox.json(&["list", "--json"]);
    assert_eq!(status, 0);
    let listed = sandbox.run(&["list"]);
    let lines: Vec<&str> = text(&listed.stdout).lines().collect();
    let scenarios = object["scenarios"].as_array().unwrap();
    assert!(scenarios.len() >= 12);
    assert_eq!(scenarios.len(), lines.len());
    for (scenario, line) in scenarios.iter().zip(lines) {
        let keys: Vec<&String> = scenario.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["expect", "name", "summary"]);
        let [name, summary, expect] =
            ["name", "summary", "expect"].map(|key| scenario[key].as_str().unwrap());
        assert!(line.starts_with(name) && line.contains(summary), "{line}");
        assert_eq!(
            line.ends_with(&format!("[violates {expect}]")),
            expect != "valid",
            "{line}"
        );
    }
}

#[test]
fn run_reports_what_it_did_as_json() {
    let sandbox = Sandbox::new();
    let (object, status) = sandbox.json(&["run", "raft/healthy", "--seeds", "7..12", "--json"]);
    assert_eq!(status, 0);
    for (key, expected) in [
        ("scenario", Value::from("raft/healthy")),
        ("engine", Value::from("kernel")),
        ("first_seed", Value::from(7)),
        ("seeds", Value::from(5)),
        ("valid", Value::from(5)),
        ("invalid", Value::from(0)),
        ("unknown", Value::from(0)),
        ("expected", Value::from("valid")),
        ("met", Value::from(true)),
        ("failures", Value::Array(Vec::new())),
        ("unknowns", Value::Array(Vec::new())),
    ] {
        assert_eq!(object[key], expected, "{key}");
    }
    for positive in [
        "events",
        "messages",
        "ops",
        "virtual_seconds",
        "wall_seconds",
    ] {
        assert!(
            object[positive].as_f64().unwrap() > 0.0,
            "{positive}: {}",
            object[positive]
        );
    }
    let digest = object["digest"].as_str().unwrap();
    assert!(
        digest.len() == 16 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{digest}"
    );
    assert!(
        !sandbox.file("failures").exists(),
        "nothing failed, nothing is written"
    );
}

/// The promise of a seed: whoever runs it, on however many threads, sees the same.
#[test]
fn the_number_of_jobs_changes_nothing_but_the_time() {
    let sandbox = Sandbox::new();
    for scenario in ["raft/mixed", "bully/partition"] {
        let run = |jobs, seeds| {
            let arguments = [
                "run",
                scenario,
                "--seeds",
                seeds,
                "--jobs",
                jobs,
                "--json",
                "--report-max",
                "0",
            ];
            let (mut object, status) = sandbox.json(&arguments);
            assert_eq!(status, 0, "{scenario}");
            object
                .as_object_mut()
                .unwrap()
                .remove("wall_seconds")
                .unwrap();
            object
        };
        // More than one round of a job, so that rounds are cut differently.
        let one = run("1", "5..50");
        assert_eq!(one, run("2", "5..50"), "{scenario}");
        assert_ne!(
            one["digest"],
            run("1", "6..51")["digest"],
            "{scenario}: other seeds, another digest"
        );
    }
}

#[test]
fn several_scenarios_are_one_object() {
    let sandbox = Sandbox::new();
    let (object, status) = sandbox.json(&[
        "run",
        "bully/healthy",
        "raft/healthy",
        "--seed",
        "3",
        "--json",
    ]);
    assert_eq!(status, 0);
    let runs = object["runs"].as_array().unwrap();
    let names: Vec<&str> = runs
        .iter()
        .map(|run| run["scenario"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bully/healthy", "raft/healthy"]);
    assert!(
        runs.iter()
            .all(|run| run["seeds"] == 1 && run["first_seed"] == 3)
    );
}

/// The main job, through the front door: a violation is found, written down, and seen again.
#[test]
fn what_a_run_writes_down_is_replayed_to_the_same_digest() {
    let sandbox = Sandbox::new();
    let run = [
        "run",
        "bully/partition",
        "--seeds",
        "40..43",
        "--json",
        "--report",
        "found here",
    ];
    let (object, exit) = sandbox.json(&run);
    assert_eq!(exit, 0, "the violation is expected");
    assert_eq!(object["expected"], "split-brain");
    let failures = object["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3);
    for failure in failures {
        assert_eq!(failure["property"], "split-brain");
        let replay = failure["replay"].as_str().unwrap();
        let folder = Path::new(replay).parent().unwrap().to_str().unwrap();
        let seed = &failure["seed"];
        assert_eq!(folder, format!("found here/bully-partition-{seed}"));
        for file in [
            "replay.json",
            "history.jsonl",
            "history.html",
            "trace.txt",
            "report.txt",
        ] {
            assert!(
                sandbox.file(folder).join(file).metadata().unwrap().len() > 0,
                "{file}"
            );
        }
        let written: Value =
            serde_json::from_slice(&std::fs::read(sandbox.file(replay)).unwrap()).unwrap();
        let digest = written["digest"].as_str().unwrap();
        // The file and the folder are the same to replay; and looking closely changes nothing.
        for arguments in [
            &["replay", replay][..],
            &["replay", folder],
            &["replay", "--trace", folder],
        ] {
            let output = sandbox.run(arguments);
            assert_eq!(
                status(&output),
                1,
                "{arguments:?}: {}",
                text(&output.stderr)
            );
            let stdout = text(&output.stdout);
            assert!(stdout.starts_with("bully/partition: "), "{stdout}");
            assert!(stdout.contains(&format!("\nseed {seed}, ")), "{stdout}");
            assert!(
                stdout.ends_with(&format!("\nreproduced; digest {digest} as recorded\n")),
                "{stdout}"
            );
            assert_eq!(text(&output.stderr), "");
        }
    }
}

/// Failures are told apart, and each is written down once.
#[test]
fn distinct_failures_are_collected() {
    let sandbox = Sandbox::new();
    let run = |more: &[&str]| {
        let lossy = ["--set", "checks.skip=[]", "--set", "network.loss=1/4"];
        let run = ["run", "bully/partition-heals", "--json", "--seeds", "0..50"];
        sandbox.json(&[&run[..], &lossy, more].concat())
    };
    let (object, status) = run(&["--distinct", "2", "--jobs", "1"]);
    assert_eq!(status, 1);
    assert_eq!(object["ended"], "found");
    assert_eq!(object["resumed_from"], Value::Null);
    let seeds = object["seeds"].as_u64().unwrap();
    assert!(seeds < 50);
    let distinct = object["distinct"].as_array().unwrap();
    let properties: Vec<&Value> = distinct.iter().map(|known| &known["property"]).collect();
    assert_eq!(properties, ["split-brain", "agreement"]);
    assert_eq!(distinct[1]["first_seed"], seeds - 1, "it stops there");
    let counted: u64 = distinct
        .iter()
        .map(|known| known["seeds"].as_u64().unwrap())
        .sum();
    assert_eq!(object["invalid"], counted);
    for known in distinct {
        let keys: Vec<&String> = known.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["first_seed", "property", "replay", "seeds", "shape"]);
        assert!(known["shape"].is_string());
        let replay = known["replay"].as_str().unwrap();
        let of_seed = format!(
            "failures/bully-partition-heals-{}/shrunk/replay.json",
            known["first_seed"]
        );
        assert_eq!(replay, of_seed);
        assert_eq!(self::status(&sandbox.run(&["replay", replay])), 1);
    }
    let written = std::fs::read_dir(sandbox.file("failures")).unwrap().count();
    assert_eq!(written, 2);
    let mut other = run(&["--distinct", "2", "--jobs", "2"]).0;
    other["wall_seconds"] = object["wall_seconds"].clone();
    assert_eq!(object, other, "whatever the number of jobs");

    // Without being asked to, it tells apart what it found, and writes all of it down.
    let (all, _) = run(&["--report", "all"]);
    assert_eq!(
        (&all["ended"], &all["seeds"]),
        (&Value::from("all-seeds"), &Value::from(50))
    );
    let replays = all["failures"].as_array().unwrap();
    assert!(replays.iter().all(|failure| failure["replay"].is_string()));
    let shrunk = replays
        .iter()
        .filter(|failure| !failure["shrunk"].is_null());
    assert_eq!(shrunk.count(), all["distinct"].as_array().unwrap().len());
    let (none, _) = run(&["--shrink", "0", "--report-max", "0"]);
    assert_eq!(none["distinct"], Value::Array(Vec::new()));
    assert_eq!(none["digest"], all["digest"]);
}

/// Shrinking once more, with less patience, makes nothing larger.
#[test]
fn a_small_run_is_kept_when_a_larger_one_would_replace_it() {
    let sandbox = Sandbox::new();
    let arguments = [
        "run",
        "bully/partition",
        "--seed",
        "3",
        "--report",
        ".",
        "--shrink",
        "0",
        "--json",
    ];
    let (object, _) = sandbox.json(&arguments);
    let replay = object["failures"][0]["replay"].as_str().unwrap();
    let folder = Path::new(replay).parent().unwrap().to_str().unwrap();
    let small = sandbox.file(folder).join("shrunk/replay.json");
    let shrink = |arguments: &[&str]| {
        let output = sandbox.run(&[&["shrink", folder], arguments].concat());
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        let written = std::fs::read_to_string(&small).unwrap();
        (text(&output.stdout).to_owned(), written)
    };
    let kept = "kept the smaller run that was there: 1 fault and 0 operations with seed ";
    let (said, smallest) = shrink(&[]);
    assert!(!said.contains("kept"), "{said}");
    let (said, written) = shrink(&["--budget", "1"]);
    assert!(said.contains(kept), "{said}");
    assert_eq!(written, smallest);
    assert_eq!(status(&sandbox.run(&["replay", folder])), 1);
    // What is no replay, or of other code, is no smaller run.
    let (recorded, other) = (digest_of(&smallest), "0123456789abcdef");
    for there in ["{}", &smallest.replace(&recorded, other)] {
        std::fs::write(&small, there).unwrap();
        let (said, written) = shrink(&["--budget", "1"]);
        assert!(!said.contains("kept"), "{said}");
        assert!(written.len() > smallest.len());
    }
    let (_, written) = shrink(&[]);
    assert_eq!(written, smallest);
}

fn digest_of(replay: &str) -> String {
    let replay: Value = serde_json::from_str(replay).unwrap();
    replay["digest"].as_str().unwrap().to_owned()
}

/// A time is a budget, and no part of a verdict.
#[test]
fn a_campaign_ends_when_its_time_is_up() {
    let sandbox = Sandbox::new();
    let (object, status) = sandbox.json(&["run", "bully/healthy", "--for", "200ms", "--json"]);
    assert_eq!(status, 0, "what was run is what was asked for");
    assert_eq!(object["ended"], "time");
    assert!(object["wall_seconds"].as_f64().unwrap() >= 0.2);
    let seeds = object["seeds"].as_u64().unwrap();
    assert_eq!(object["valid"], seeds);
    let range = format!("0..{seeds}");
    let (same, _) = sandbox.json(&["run", "bully/healthy", "--seeds", &range, "--json"]);
    assert_eq!(same["digest"], object["digest"]);
    // It is no less than the seeds it was given.
    let few = [
        "run",
        "bully/healthy",
        "--seeds",
        "0..3",
        "--for",
        "1h",
        "--json",
    ];
    let (object, status) = sandbox.json(&few);
    assert_eq!((status, &object["ended"]), (0, &Value::from("all-seeds")));
}

/// A failing seed that is written down twice is written the same, to the byte.
#[test]
fn a_failure_folder_is_a_pure_function_of_the_seed() {
    let sandbox = Sandbox::new();
    let folder = |dir: &str| {
        sandbox.json(&[
            "run",
            "bully/partition",
            "--seed",
            "8",
            "--json",
            "--report",
            dir,
        ]);
        let folder = sandbox.file(dir).join("bully-partition-8");
        // The report names the folder, so it alone differs.
        ["replay.json", "history.jsonl", "trace.txt"]
            .map(|file| std::fs::read(folder.join(file)).unwrap())
    };
    assert_eq!(folder("a"), folder("b"));
}

/// `splitbrain list | head -1`: whoever reads has seen enough, and that is no error.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(status(&output), 0);
}

/// Ctrl-C ends a campaign that would take days, and what it found until then is still printed. The next one goes on.
#[cfg(unix)]
#[test]
fn an_interrupted_campaign_says_what_it_found_and_is_resumed() {
    let sandbox = Sandbox::new();
    let resume = [
        "run",
        "bully/healthy",
        "--json",
        "--resume",
        "campaign.json",
    ];
    let arguments = [&resume[..], &["--seeds", "0..1000000000000"]].concat();
    let first = interrupted(&sandbox, &arguments);
    assert_eq!(first["resumed_from"], 0);
    let second = interrupted(&sandbox, &arguments);
    assert_eq!(second["resumed_from"], first["seeds"]);
    let seeds = second["seeds"].as_u64().unwrap();
    assert!(seeds > first["seeds"].as_u64().unwrap());
    let range = format!("0..{seeds}");
    let (whole, _) = sandbox.json(&["run", "bully/healthy", "--json", "--seeds", &range]);
    for same in ["digest", "events", "valid", "virtual_seconds", "stats"] {
        assert_eq!(whole[same], second[same], "{same}");
    }
}

/// Interrupts a campaign of very many seeds, and returns what it says then.
#[cfg(unix)]
fn interrupted(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    // A machine that is busy may take long to start the process, and a signal that comes too early simply ends it.
    for patience_ms in [300, 1_000, 5_000, 20_000] {
        let child = sandbox
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "waits for a process, outside of any run"
        )]
        std::thread::sleep(std::time::Duration::from_millis(patience_ms));
        let sent = Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        if output.status.code().is_none() {
            continue;
        }
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(object["seeds"].as_u64().unwrap() < 1_000_000_000_000);
        assert_eq!(object["valid"], object["seeds"]);
        assert_eq!(object["ended"], "interrupted");
        assert_eq!(text(&output.stderr), "");
        assert_eq!(
            status(&output),
            3,
            "nobody knows what the other seeds would have come to"
        );
        return object;
    }
    panic!("no campaign lived long enough to be interrupted");
}

/// A published history that is among the test data of the checkers.
fn history(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../sim/check/tests/data/porcupine")
        .join(name)
}

#[test]
fn check_reports_what_it_found_as_json() {
    let sandbox = Sandbox::new();
    let path = history("etcd_000.log");
    let path = path.to_str().unwrap();
    let (object, status) = sandbox.json(&["check", path, "--json"]);
    assert_eq!(status, 1);
    for (key, expected) in [
        ("history", Value::from(path)),
        ("verdict", Value::from("invalid")),
        ("model", Value::from("cas-register")),
        ("model_guessed", Value::from(true)),
        ("format", Value::from("log")),
        ("events", Value::from(170)),
        ("operations", Value::from(85)),
        ("ok", Value::from(49)),
        ("failed", Value::from(20)),
        ("unknown", Value::from(16)),
        ("concurrency_max", Value::from(5)),
        ("timed", Value::from(false)),
        ("key", Value::Null),
    ] {
        assert_eq!(object[key], expected, "{key}");
    }
    let why = object["why"].as_str().unwrap();
    let contradiction = object["contradiction"].as_array().unwrap();
    assert!(!contradiction.is_empty());
    for operation in contradiction {
        assert!(operation["operation"].as_u64().unwrap() < 85);
        assert!(why.contains(operation["words"].as_str().unwrap()), "{why}");
    }

    // Of several the list and sums, whoever else cannot be read, in the order in which they are given.
    let good = history("etcd_018.log");
    let good = good.to_str().unwrap();
    let output = sandbox.run(&["check", good, "nowhere", path, "--json", "--jobs", "2"]);
    assert_eq!(self::status(&output), 2);
    assert!(text(&output.stderr).starts_with("error: nowhere: "));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = object["checks"].as_array().unwrap();
    let verdicts: Vec<Option<&str>> = checks
        .iter()
        .map(|check| check["verdict"].as_str())
        .collect();
    assert_eq!(verdicts, [Some("valid"), None, Some("invalid")]);
    assert!(checks[1]["error"].is_string());
    assert_eq!(
        (&object["valid"], &object["invalid"], &object["unreadable"]),
        (&1.into(), &1.into(), &1.into())
    );
}

/// From standard input, packed or not, a history is the same; and so is its page, however often it is written.
#[test]
fn check_reads_standard_input_and_writes_the_same_page_again() {
    let sandbox = Sandbox::new();
    let plain = std::fs::read(history("c01-bad.txt")).unwrap();
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
    std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
    let check = |bytes: &[u8], page: &str| {
        let mut child = sandbox
            .command(&["check", "-", "--html", page])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), bytes).unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(status(&output), 1);
        let words = text(&output.stdout).to_owned();
        let time = words.rfind("at a time; ").unwrap();
        assert!(words[time..].contains('\n'));
        (
            words[..time].to_owned(),
            std::fs::read(sandbox.file(page)).unwrap(),
        )
    };
    let first = check(&plain, "a.html");
    assert!(
        first
            .0
            .starts_with("standard input: invalid\n  strings (guessed), edn (guessed): ")
    );
    assert!(text(&first.1).contains("<!doctype html>"));
    assert_eq!(check(&packed, "b.html"), first);
}
