//! No bytes make a reader panic or hang: random ones, and good files in which some are changed.
//!
//! `SPLITBRAIN_IMPORT_CASES=100000` tries more than the ten thousand per format and kind of damage.

use splitbrain_check::Budget;
use splitbrain_check::formats::{self, CATALOG, Demand, Fail, Format, Record, edn};
use splitbrain_check::generate::{Shape, key_value};
use splitbrain_check::jsonl;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64 (Marsaglia 2003): never 0 if it is not at first.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn cases() -> usize {
    let number = std::env::var("SPLITBRAIN_IMPORT_CASES").ok();
    number.map_or(10_000, |number| number.parse().expect("a number of cases"))
}

/// Reads it whatever it is, as each model. A reader that goes on for ever would not return.
fn try_all(bytes: &[u8], format: Option<Format>) -> bool {
    let mut records: Vec<Record<'static>> = Vec::new();
    let result = formats::read(bytes, format, |record| {
        records.push(record.into_owned());
        Ok(())
    });
    for known in CATALOG {
        let mut reading = known.begin(Fail::Observed);
        let good = records.iter().all(|record| reading.push(record).is_ok());
        if good {
            assert_eq!(reading.statistics().operations, reading.bars().len());
            for level in known.levels {
                let demand = Demand {
                    level: Some(*level),
                    permits: Some(2),
                    budget: Budget { steps: 1_000 },
                };
                // Whatever it comes to.
                drop(reading.judge(&demand));
            }
        }
    }
    match result {
        Ok(_) => true,
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1, "{error}");
            // No error repeats the file.
            let words = error.to_string();
            assert!(words.len() < 1_000 && !words.contains('\n'), "{words}");
            false
        }
    }
}

fn good_files() -> Vec<(Format, Vec<u8>)> {
    let shape = Shape {
        operations: 12,
        processes: 3,
        keys: 2,
        values: 3,
        info_per_mille: 100,
    };
    let history = key_value(&shape, 3);
    let (mut edn, mut lines) = (Vec::new(), Vec::new());
    edn::write(&history, &mut edn).unwrap();
    jsonl::write(&history, &mut lines).unwrap();
    let jepsen = br#"[#jepsen.history.Op{:process 0, :type :invoke, :f :cas, :value [1 2], :time 1, :index 0}
        ; a comment
        #_ {:left #{out 1.5M}} ^:meta {:process 0, :type :fail, :f :cas, :value [1 2], :time 20, :error [\a "b\u00e9\n"]}
        {:process :nemesis, :type :info, :f :start, :value nil}]"#;
    let json = br#"[{"process":0,"type":"invoke","f":"txn","value":[["append",3,1],["r",3,null]],"time":1},
        {"process":0,"type":"ok","f":"txn","value":[["append",3,1],["r",3,[1,-2.5e3,"\u00e9"]]],"time":2}]"#;
    let registers = b"{:process 0, :type :invoke, :f :txn, :value [[:w x 1] [:r y nil]]}
        {:process 1, :type :invoke, :f :txn, :value [[:r x nil] [:w y 2]]}
        {:process 0, :type :ok, :f :txn, :value [[:w x 1] [:r y 2]]}
        {:process 1, :type :ok, :f :txn, :value [[:r x 1] [:w y 2]]}";
    let plain = b"{:process 0, :type :invoke, :f :write, :value [x 1]}{:process 0, :type :ok, :f :write, :value [x 1]}
        {:process 1, :type :invoke, :f :read, :value [x nil]}{:process 1, :type :ok, :f :read, :value [x 1]}
        {:process 0, :type :invoke, :f :append, :key 3, :value 7}{:process 0, :type :info, :f :append, :value 7}";
    let bank = b"{:process 0, :type :invoke, :f :read}{:process 0, :type :ok, :f :read, :value {0 10, 1 -5}}
        {:process 1, :type :invoke, :f :transfer, :value {:from 0, :to 1, :amount 3}}{:process 1, :type :info, :f :transfer}";
    let queue = b"{:process 0, :type :invoke, :f :enqueue, :value 1}{:process 0, :type :ok, :f :enqueue, :value 1}
        {:process 1, :type :invoke, :f :dequeue}{:process 1, :type :ok, :f :dequeue, :value 1}
        {:process 1, :type :invoke, :f :drain}{:process 1, :type :ok, :f :drain, :value [2 3]}";
    let locks = b"{:process 0, :type :invoke, :f :acquire, :value 2}{:process 0, :type :ok, :f :acquire, :value 2}
        {:process 1, :type :invoke, :f :acquire}{:process 0, :type :invoke, :f :release}{:process 0, :type :ok, :f :release}";
    let records = br#"{"time_ns":1,"process":0,"type":"invoke","f":"send","key":"k","value":1}
{"time_ns":2,"process":0,"type":"ok","offset":0}
{"time_ns":3,"process":1,"type":"invoke","f":"poll"}
{"time_ns":4,"process":1,"type":"ok","records":[{"key":"k","offset":0,"value":1},{"key":"k","offset":2,"value":2}]}
"#;
    let log = b"noise\nINFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:ok\t:cas\t[1 2]\n";
    vec![
        (Format::Edn, edn),
        (Format::Edn, jepsen.to_vec()),
        (Format::Jsonl, lines),
        (Format::Json, json.to_vec()),
        (Format::Log, log.to_vec()),
        (Format::Edn, registers.to_vec()),
        (Format::Edn, plain.to_vec()),
        (Format::Edn, bank.to_vec()),
        (Format::Edn, queue.to_vec()),
        (Format::Edn, locks.to_vec()),
        (Format::Jsonl, records.to_vec()),
    ]
}

#[test]
fn random_bytes() {
    const LIKELY: &[u8] = b"{}[]()\"\\:#_^;, \n\t0123456789-+.eNM/abfinkotpr";
    let mut random = Random(0x9e37_79b9);
    for case in 0..cases() {
        let length = random.below(120);
        let likely = random.below(3) > 0;
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                if likely {
                    LIKELY[random.below(LIKELY.len())]
                } else {
                    random.next() as u8
                }
            })
            .collect();
        try_all(&bytes, None);
        for format in Format::ALL {
            let good = try_all(&bytes, Some(format));
            assert!(!good, "case {case}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn damaged_files() {
    let mut random = Random(0x51_7cc1);
    let mut good = 0;
    let files = good_files();
    for (format, bytes) in &files {
        assert!(
            try_all(bytes, Some(*format)) && try_all(bytes, None),
            "{format}"
        );
        for _ in 0..cases() {
            let mut bytes = bytes.clone();
            for _ in 0..=random.below(4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.below(bytes.len());
                match random.below(5) {
                    0 | 1 => bytes[at] ^= 1 << random.below(8),
                    2 => drop(bytes.remove(at)),
                    3 => bytes.insert(at, random.next() as u8),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            good += u64::from(try_all(&bytes, Some(*format)));
            try_all(&bytes, None);
        }
    }
    // Much of it is noticed, and what is in a value cannot be.
    let all = (files.len() * cases()) as u64;
    assert!(
        good > all / 20 && good < all / 2,
        "{good} of {all} were read"
    );
}
