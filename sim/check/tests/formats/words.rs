//! The same operations, as different tools write them.

use super::history;
use splitbrain_check::Verdict;
use splitbrain_check::formats::{self, Demand, Fail, Format, Reading, Record};

/// The format and the model that are guessed, and all operations in words.
fn guessed(text: &str) -> (Format, &'static str, Vec<String>) {
    let (format, name, reading) = read(text, Fail::Dropped);
    (format, name, words(&*reading))
}

fn read(text: &str, fail: Fail) -> (Format, &'static str, Box<dyn Reading>) {
    let mut records: Vec<Record<'static>> = Vec::new();
    let summary = formats::read(text.as_bytes(), None, |record| {
        records.push(record.into_owned());
        Ok(())
    });
    let summary = summary.unwrap_or_else(|error| panic!("{error}\n{text}"));
    match formats::guess(&records, formats::candidates(None, None), fail) {
        Ok((known, reading)) => (summary.format, known.name, reading),
        Err(misfits) => {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            panic!("{}\n{text}", misfits.join("\n"))
        }
    }
}

fn words(reading: &dyn Reading) -> Vec<String> {
    reading.bars().into_iter().map(|bar| bar.words).collect()
}

#[test]
fn one_register_in_all_formats() {
    let expected = [
        "write 3",
        "read -> 3",
        "compare-and-set from 3 to 4 -> true",
        "read",
    ];
    let edn = "
        ; a comment, and what Jepsen tells beside
        {:process 0, :type :invoke, :f :write, :value 3, :time 10, :index 0}
        {:process :nemesis, :type :info, :f :start, :value {:isolated #{\"n1\" n2}}, :time 11}
        {:process 0, :type :ok, :f :write, :value 3, :time 20, :index 1}
        {:index 2 :process 1 :type :invoke :f :read :value nil :time 30}
        {:index 3 :process 1 :type :ok :f :read :value 3 :time 40}
        #jepsen.history.Op{:process 2, :type :invoke, :f :cas, :value [3 4], :time 50}
        #_ {:left out} {:process 2, :type :ok, :f :cas, :value [3 4], :time 60, :error [:a \\b 1/2 1.5M]}
        {:process 3, :type :invoke, :f :read, :value nil, :time 70}
        {:process 3, :type :info, :f :read, :value nil, :time 80, :error :timeout}";
    assert_eq!(
        guessed(edn),
        (
            Format::Edn,
            "cas-register",
            expected.map(String::from).to_vec()
        )
    );
    let list = format!("[{edn}\n]\n");
    assert_eq!(guessed(&list), guessed(edn));
    let json = r#"[{"process":0,"type":"invoke","f":"write","value":3,"time":10},
        {"process":"nemesis","type":"info","f":"start","value":null,"time":15},
        {"process":0,"type":"ok","f":"write","value":3,"time":20},
        {"process":1,"type":"invoke","f":"read","value":null,"time":30,"index":7},
        {"process":1,"type":"ok","f":"read","value":3,"time":40},
        {"process":2,"type":"invoke","f":"cas","value":[3,4],"time":50},
        {"process":2,"type":"ok","f":"cas","value":[3,4],"time":60},
        {"process":3,"type":"invoke","f":"read","value":null,"time":70}]"#;
    assert_eq!(
        guessed(json),
        (
            Format::Json,
            "cas-register",
            expected.map(String::from).to_vec()
        )
    );
    let log = "12:00 INFO noise\n0\t:invoke\t:write\t3\nINFO [w 0] jepsen.util: 0\t:ok\t:write\t3\n\
        1 :invoke :read nil\n1 :ok :read 3\n:nemesis\t:info\t:start\tnil\n2 :invoke :cas [3 4]\r\n2 :ok :cas [3 4]\n\
        3 :invoke :read nil\n3 :info :read nil :timed-out";
    assert_eq!(
        guessed(log),
        (
            Format::Log,
            "cas-register",
            expected.map(String::from).to_vec()
        )
    );
    let jsonl = r#"{"time_ns":1,"process":0,"type":"invoke","f":"write","value":3}
{"time_ns":2,"process":0,"type":"ok"}
{"time_ns":3,"process":1,"type":"invoke","f":"read"}
{"time_ns":4,"process":1,"type":"ok","value":3}
{"time_ns":5,"process":2,"type":"invoke","f":"compare_and_set","expected":3,"value":4}
{"time_ns":6,"process":2,"type":"ok","swapped":true}
{"time_ns":7,"process":3,"type":"invoke","f":"read"}
"#;
    assert_eq!(
        guessed(jsonl),
        (
            Format::Jsonl,
            "cas-register",
            expected.map(String::from).to_vec()
        )
    );
}

#[test]
fn keys_are_the_first_of_two_or_a_field() {
    let pairs = "{:process 0, :type :invoke, :f :write, :value [7 3]}
        {:process 0, :type :ok, :f :write, :value [7 3]}
        {:process 1, :type :invoke, :f :cas, :value [:x [3 4]]}
        {:process 0, :type :invoke, :f :read, :value [7 nil]}
        {:process 0, :type :ok, :f :read, :value [7 nil]}";
    let (_, model, words) = guessed(pairs);
    assert_eq!(model, "key-value");
    let expected = [
        "put 7 = 3",
        "compare-and-set x from 3 to 4",
        "get 7 -> absent",
    ];
    assert_eq!(words, expected);
    let field = r#"{:process 0, :type :invoke, :f :get, :key "a b", :value nil}
        {:process 0, :type :ok, :f :get, :key "a b", :value "1"}"#;
    let (_, model, words) = guessed(field);
    assert_eq!(
        (model, &words[..]),
        ("key-value", &["get a b -> 1".to_owned()][..])
    );
}

#[test]
fn a_register_of_text_is_one_key() {
    let text = r#"{:process 0, :type :invoke, :f :write, :value "a\u00e9\n"}
        {:process 0, :type :ok, :f :write, :value "a\u00e9\n"}
        {:process 0, :type :invoke, :f :read, :value nil}
        {:process 0, :type :ok, :f :read, :value :kw}"#;
    let (_, model, words) = guessed(text);
    assert_eq!(model, "key-value");
    assert_eq!(words, ["put value = aé\n", "get value -> kw"]);
}

/// To Jepsen, a compare-and-set that failed says nothing; to Porcupine it says that the value was another one.
#[test]
fn what_fail_means_changes_the_verdict() {
    let text = "{:process 0, :type :invoke, :f :write, :value 1}
        {:process 0, :type :ok, :f :write, :value 1}
        {:process 0, :type :invoke, :f :cas, :value [1 2]}
        {:process 0, :type :fail, :f :cas, :value [1 2]}
        {:process 0, :type :invoke, :f :write, :value 3}
        {:process 0, :type :fail, :f :write, :value 3}
        {:process 0, :type :invoke, :f :read, :value nil}
        {:process 0, :type :ok, :f :read, :value 1}";
    let (.., dropped) = read(text, Fail::Dropped);
    assert_eq!(
        dropped.judge(&Demand::default()).unwrap().verdict,
        Verdict::Valid
    );
    assert_eq!(dropped.statistics().failed, 2);
    let (.., observed) = read(text, Fail::Observed);
    let Verdict::Invalid(wrong) = observed.judge(&Demand::default()).unwrap().verdict else {
        panic!("the value was 1");
    };
    assert!(
        wrong.what.contains("needs value other than 1"),
        "{}",
        wrong.what
    );
    // A write that failed did not happen, whoever says so.
    assert_eq!(observed.statistics().failed, 1);
}

#[test]
fn events_without_times_are_a_millisecond_each() {
    let text = "0\t:invoke\t:read\tnil\n1\t:invoke\t:read\tnil\n0\t:ok\t:read\tnil\n";
    let (.., reading) = read(text, Fail::Dropped);
    let bars = reading.bars();
    assert_eq!(
        (
            bars[0].invoked.time_ns,
            bars[0].completed.map(|point| point.time_ns)
        ),
        (0, Some(2_000_000))
    );
    assert_eq!(
        (
            bars[1].invoked.time_ns,
            bars[1].completed.map(|point| point.time_ns)
        ),
        (1_000_000, None)
    );
    assert!(!reading.statistics().timed);
}

#[test]
fn transactions_are_lists_of_steps() {
    use splitbrain_check::formats::Value;
    use splitbrain_check::formats::transactions::{Step, is_transaction, steps};
    let text = "{:process 0, :type :ok, :f :txn, :value [[:append 3 1] [:r 3 [1 2]] [:w :x nil]]}";
    let mut seen = 0;
    let read = formats::read(text.as_bytes(), None, |record| {
        assert!(is_transaction(&record));
        let steps = steps(&record)?;
        let (one, three) = (Value::Integer(1), Value::Integer(3));
        let list = Value::List(vec![one.clone(), Value::Integer(2)]);
        let x = Value::Keyword("x".into());
        assert_eq!(
            steps,
            [
                Step::Append {
                    key: &three,
                    element: &one
                },
                Step::Read {
                    key: &three,
                    seen: &list
                },
                Step::Write {
                    key: &x,
                    value: &Value::Nil
                },
            ]
        );
        seen += 1;
        Ok(())
    });
    read.unwrap();
    assert_eq!(seen, 1);
    let bad = "{:process 0, :type :ok, :f :txn, :value [[:increment 3 1]]}";
    let error =
        formats::read(bad.as_bytes(), None, |record| steps(&record).map(|_| ())).unwrap_err();
    insta::assert_snapshot!(error, @"line 1, column 1: expected the steps of a transaction, as [[:append key element] [:r key seen] [:w key value]], found [increment 3 1]");
}

/// A transaction that read what a later one appended, and one of registers that lost a write: both are found, and named.
#[test]
fn transactions_are_held_to_strict_serializability() {
    let good = "{:process 0, :type :invoke, :f :txn, :value [[:append 3 1] [:r 3 nil]], :time 10}
        {:process 0, :type :ok, :f :txn, :value [[:append 3 1] [:r 3 [1]]], :time 20}
        {:process 1, :type :invoke, :f :txn, :value [[:r 3 nil]], :time 30}
        {:process 1, :type :ok, :f :txn, :value [[:r 3 [1]]], :time 40}";
    let (_, model, reading) = read(good, Fail::Dropped);
    assert_eq!(model, "list-append");
    assert_eq!(
        reading.judge(&Demand::default()).unwrap().verdict,
        Verdict::Valid
    );
    assert_eq!(
        words(&*reading),
        ["append 3 1, read 3 -> [1]", "read 3 -> [1]"]
    );
    assert_eq!(reading.statistics().concurrency_max, 1);
    let stale = good.replace(":value [[:r 3 [1]]]", ":value [[:r 3 nil]]");
    let (.., reading) = read(&stale, Fail::Dropped);
    let Verdict::Invalid(wrong) = reading.judge(&Demand::default()).unwrap().verdict else {
        panic!("it read what was before");
    };
    assert!(wrong.what.starts_with("ruled out: "), "{}", wrong.what);
    let registers = "{:process 0, :type :invoke, :f :txn, :value [[:r :x nil] [:w :x 1]]}
        {:process 1, :type :invoke, :f :txn, :value [[:r :x nil] [:w :x 2]]}
        {:process 0, :type :ok, :f :txn, :value [[:r :x nil] [:w :x 1]]}
        {:process 1, :type :ok, :f :txn, :value [[:r :x nil] [:w :x 2]]}";
    let (_, model, reading) = read(registers, Fail::Dropped);
    assert_eq!(model, "rw-register");
    assert_eq!(reading.statistics().concurrency_max, 2);
    let verdict = reading.judge(&Demand::default()).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Invalid(_)), "a lost update");
}

/// A file of each model that is told by its words.
#[test]
fn containers_counters_and_locks_are_known_by_their_functions() {
    for (model, right, wrong) in [
        (
            "queue",
            "0 invoke enqueue 1; 0 ok enqueue 1; 0 invoke dequeue; 0 ok dequeue 1; 0 invoke dequeue; 0 ok dequeue nil",
            "0 invoke enqueue 1; 0 ok enqueue 1; 0 invoke dequeue; 0 ok dequeue nil",
        ),
        (
            "stack",
            "0 invoke push 1; 0 ok push 1; 0 invoke push 2; 0 ok push 2; 0 invoke pop; 0 ok pop 2",
            "0 invoke push 1; 0 ok push 1; 0 invoke push 2; 0 ok push 2; 0 invoke pop; 0 ok pop 1",
        ),
        (
            "priority-queue",
            "0 invoke insert 2; 0 ok insert 2; 0 invoke insert 1; 0 ok insert 1; 0 invoke delete-min; 0 ok delete-min 1",
            "0 invoke insert 2; 0 ok insert 2; 0 invoke insert 1; 0 ok insert 1; 0 invoke delete-min; 0 ok delete-min 2",
        ),
        (
            "set",
            "0 invoke add 1; 0 ok add 1; 0 invoke add 2; 0 ok add 2; 0 invoke read; 0 ok read #{2 1}",
            "0 invoke add 1; 0 ok add 1; 0 invoke add 2; 0 ok add 2; 0 invoke read; 0 ok read [1]",
        ),
        (
            "counter",
            "0 invoke add 2; 0 ok add 2; 1 invoke add 3; 0 invoke read; 0 ok read 5",
            "0 invoke add 2; 0 ok add 2; 1 invoke add 3; 0 invoke read; 0 ok read 3",
        ),
        (
            "fenced-lock",
            "0 invoke acquire; 0 ok acquire 7; 0 invoke release; 0 ok release; 1 invoke acquire; 1 ok acquire 8",
            "0 invoke acquire; 0 ok acquire 7; 0 invoke release; 0 ok release; 1 invoke acquire; 1 ok acquire 7",
        ),
        (
            "mutex",
            "0 invoke acquire; 1 invoke acquire; 0 ok acquire; 0 invoke release; 0 ok release; 1 ok acquire",
            "0 invoke acquire; 1 invoke acquire; 0 ok acquire; 1 ok acquire; 0 invoke release; 0 ok release",
        ),
        (
            "lease",
            "0 invoke acquire; 0 ok acquire; 0 invoke renew; 0 ok renew; 2 invoke expire; 1 invoke acquire; 1 fail acquire",
            "0 invoke acquire; 0 ok acquire; 0 invoke renew; 0 ok renew; 1 invoke acquire; 1 ok acquire",
        ),
    ] {
        let judged = |events: &str| {
            let (_, name, reading) = read(&history(events), Fail::Dropped);
            assert_eq!(name, model);
            reading.judge(&Demand::default()).unwrap().verdict
        };
        assert_eq!(judged(right), Verdict::Valid, "{model}: {right}");
        let wrong_judged = judged(wrong);
        assert!(
            matches!(wrong_judged, Verdict::Invalid(_)),
            "{model}: {wrong_judged:?}"
        );
    }
}
