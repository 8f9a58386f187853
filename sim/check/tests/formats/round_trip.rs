//! What is written is read back, however the file is cut into pieces.

use proptest::prelude::*;
use splitbrain_check::formats::{self, Fail, Format, Reading, edn};
use splitbrain_check::generate::{Shape, key_value};
use splitbrain_check::models::key_value as kv;
use splitbrain_check::models::key_value::KeyValue;
use splitbrain_check::{History, Model, Operation, Outcome, jsonl};
use std::io::Read;

fn read_back(format: Option<Format>, input: impl Read) -> Box<dyn Reading> {
    let mut reading = formats::candidates(Some("key-value"), None)[0].begin(Fail::Dropped);
    formats::read(input, format, |record| reading.push(&record)).expect("just written");
    reading
}

/// Every operation in words, with its process, times and outcome.
fn of_history(history: &History<kv::Op, kv::Ret>) -> Vec<String> {
    let operations = history.operations().expect("well-formed");
    let words = |operation: Operation<&kv::Op, &kv::Ret>| {
        let ret = match operation.outcome {
            Outcome::Ok(ret) => Some(ret),
            _ => None,
        };
        let outcome = match operation.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        let end = operation.completed.map(|point| point.time_ns);
        let words = KeyValue.describe(operation.op, ret);
        format!(
            "{} {} {end:?} {outcome} {words}",
            operation.process, operation.invoked.time_ns
        )
    };
    operations.into_iter().map(words).collect()
}

fn of_reading(reading: &dyn Reading) -> Vec<String> {
    let bars = reading.bars();
    let words = bars.iter().map(|bar| {
        let outcome = match bar.outcome {
            Outcome::Ok(()) => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        format!(
            "{} {} {:?} {outcome} {}",
            bar.process,
            bar.invoked.time_ns,
            bar.completed.map(|point| point.time_ns),
            bar.words
        )
    });
    words.collect()
}

/// Gives so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(self.0.len()).min(buffer.len());
        let (piece, rest) = self.0.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.0 = rest;
        Ok(length)
    }
}

fn written(history: &History<kv::Op, kv::Ret>) -> [(Format, Vec<u8>); 2] {
    let (mut edn, mut lines) = (Vec::new(), Vec::new());
    edn::write(history, &mut edn).expect("memory does not fail");
    jsonl::write(history, &mut lines).expect("memory does not fail");
    [(Format::Edn, edn), (Format::Jsonl, lines)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_written_is_read_back(
        operations in 1..80_usize, processes in 1..9_usize, info_per_mille in 0..300_u64, seed in any::<u64>(), piece in 1..99_usize,
    ) {
        let shape = Shape { operations, processes, keys: 3, values: 4, info_per_mille };
        let history = key_value(&shape, seed);
        for (format, bytes) in written(&history) {
            let reading = read_back(None, Pieces(&bytes, piece));
            prop_assert_eq!(of_reading(&*reading), of_history(&history), "{}", format);
        }
    }
}

/// Files that are longer than what is read at a time, so that events lie across its ends, of all lengths.
#[test]
fn long_files_are_read_in_pieces() {
    let shape = Shape {
        operations: 20_000,
        processes: 7,
        keys: 1_000,
        values: 100_000,
        info_per_mille: 20,
    };
    let history = key_value(&shape, 1);
    let expected = of_history(&history);
    for (format, bytes) in written(&history) {
        assert!(bytes.len() > 5 << 18, "{format}: {}", bytes.len());
        for piece in [usize::MAX, 4_099] {
            let reading = read_back(Some(format), Pieces(&bytes, piece));
            assert_eq!(of_reading(&*reading), expected, "{format}");
        }
    }
}

/// An error far behind the first piece has the right place.
#[test]
fn places_are_right_in_long_files() {
    let line = "{:process 0 :type :invoke :f :read}\n{:process 0 :type :ok :f :read :value nil}\n";
    let mut text = line.repeat(20_000);
    text.push_str("  {:process 0 :type :oops}");
    let error = formats::read(text.as_bytes(), None, |_| Ok(())).unwrap_err();
    assert_eq!((error.line, error.column), (40_001, 3));
    let one_line = format!("[{}", text.replace('\n', " "));
    let error = formats::read(one_line.as_bytes(), None, |_| Ok(())).unwrap_err();
    let column = one_line.len() - "{:process 0 :type :oops}".len() + 1;
    assert_eq!((error.line, error.column), (1, column as u64));
    let json = format!(
        "[{}\n{{\"process\":0",
        "{\"process\":0,\"type\":\"info\",\"f\":\"read\"},\n".repeat(20_000)
    );
    let error = formats::read(json.as_bytes(), None, |_| Ok(())).unwrap_err();
    assert_eq!((error.line, error.column), (20_002, 12));
}
