//! Files: what is written is read back, and no bytes make the reader panic.

use proptest::prelude::*;
use splitbrain_check::generate::{Shape, key_value};
use splitbrain_check::models::{cas_register, key_value as kv, register};
use splitbrain_check::{Budget, Verdict, check, jsonl};

fn shapes() -> impl Strategy<Value = Shape> {
    (1..60_usize, 1..9_usize, 1..4_usize, 1..5_usize, 0..300_u64).prop_map(
        |(operations, processes, keys, values, info_per_mille)| Shape {
            operations,
            processes,
            keys,
            values,
            info_per_mille,
        },
    )
}

/// Bytes that look like a history for a while.
fn almost_histories() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ -~]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            r#"{"time_ns":1,"process":0,"#,
            r#""type":"invoke","f":"get","key":"x"}"#,
            r#""type":"ok","value":null}"#,
            r#""type":"invoke","f":"read"}"#,
            r#""type":"info"}"#,
            "{",
            "}",
            "\n",
            "[[[[[",
            "\u{feff}",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn an_executed_history_is_valid(shape in shapes(), seed in any::<u64>()) {
        let history = key_value(&shape, seed);
        let verdict = check(&kv::KeyValue, &history, Budget::default()).expect("well-formed");
        prop_assert_eq!(verdict, Verdict::Valid);
    }

    #[test]
    fn what_is_written_is_read_back(shape in shapes(), seed in any::<u64>()) {
        let history = key_value(&shape, seed);
        let mut bytes = Vec::new();
        jsonl::write(&history, &mut bytes).expect("memory does not fail");
        prop_assert_eq!(&jsonl::read(&*bytes).expect("just written"), &history);
        // A file that was cut off inside a line is an error that names the line.
        let lines = history.len();
        bytes.truncate(bytes.len() - 2);
        let error = jsonl::read::<kv::Op, kv::Ret>(&*bytes).expect_err("cut off");
        prop_assert_eq!(error.line, lines);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in almost_histories()) {
        let _ = jsonl::read::<kv::Op, kv::Ret>(&*bytes);
        let _ = jsonl::read::<cas_register::Op, cas_register::Ret>(&*bytes);
        let _ = jsonl::read::<register::Op, register::Ret>(&*bytes);
    }
}
