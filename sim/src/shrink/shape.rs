//! What a failure looks like from afar: enough to tell two faults in the code apart, too little to tell two seeds that
//! show the same one.

use super::{faults_of, operations_of, shrink};
use crate::case::Case;
use crate::run::{Script, Verdict};
use crate::world::TraceDetail;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use splitbrain_core::Seed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many steps (events of the runs it takes) are spent on the shape of a failure. Fixed, as the shape depends on it: most
/// of what can be left out is left out by then, and a run that was cut short takes few.
pub const SHAPE_BUDGET_STEPS: u64 = 1_000_000;

/// The shape of a schedule: which faults, done to how many servers, and which operations; not when, to whom, in what
/// order, for how long, with what keys and values. Operations that could as well be of another kind are of the first
/// kind, in the order of names, that will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureShape {
    /// Every fault, in order of kind and size, not of time.
    pub faults: Vec<FaultShape>,
    /// The kinds of operations.
    pub operations: BTreeSet<String>,
}

/// One fault of a shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultShape {
    /// Its kind, as [`Fault::kind`](crate::Fault::kind) names it.
    pub kind: String,
    /// How many servers it is done to. Clients are not counted: where they stand is chance.
    pub servers: usize,
}

impl FailureShape {
    /// The shape of a failing seed: its run is made small in at most [`SHAPE_BUDGET_STEPS`] steps, which is not
    /// as small as can be, and looked at from afar, which takes a few runs more. The same whatever the number of threads.
    ///
    /// `None` if a schedule alone does not show the failure, as with one of the harness itself.
    pub fn of(case: &dyn Case, seed: Seed, property: &str) -> Option<FailureShape> {
        let script = case
            .run(seed, &Script::DRAWN, Some(TraceDetail::Notes))
            .script();
        let shrunk = shrink(
            case,
            seed,
            &script,
            property,
            SHAPE_BUDGET_STEPS,
            &mut |_, _| {},
        )?;
        let violates = |script: &Script<Value>| {
            let verdict = shrunk.case.run(shrunk.seed, script, None).verdict;
            matches!(verdict, Verdict::Invalid(finding) if finding.property == property)
        };
        let plain = with_plain_operations(&shrunk.script, &script, violates);
        Some(FailureShape::of_script(&plain, shrunk.case.servers()))
    }

    /// Whether this is what remains of `other` when faults are left out or done to fewer servers, and operations left
    /// out. Shrinking ends in a local minimum, so that one fault in the code is seen with more or less around it: what
    /// holds a known shape is taken for the same failure.
    pub fn fits_in(&self, other: &FailureShape) -> bool {
        self.operations.is_subset(&other.operations)
            && by_kind(&self.faults).into_iter().all(|(kind, sizes)| {
                let others = by_kind(&other.faults).remove(kind).unwrap_or_default();
                // Both begin with the largest: if each has its place, the next one has, too.
                sizes.len() <= others.len()
                    && sizes.iter().zip(others).all(|(size, other)| *size <= other)
            })
    }

    /// The shape of what a script says for a cluster of so many servers. Of what it leaves open, there is nothing in
    /// it.
    pub fn of_script(script: &Script<Value>, servers: usize) -> FailureShape {
        let fault = |injection: &crate::Injection| FaultShape {
            kind: injection.fault.kind().to_owned(),
            servers: injection
                .fault
                .nodes()
                .iter()
                .filter(|node| node.index() < servers)
                .count(),
        };
        let mut faults: Vec<FaultShape> = faults_of(script).iter().map(fault).collect();
        faults.sort();
        let operations = operations_of(script)
            .iter()
            .map(|request| kind(&request.op).to_owned())
            .collect();
        FailureShape { faults, operations }
    }
}

/// The script with operations of the first kind, in the order of names, that does as well: to many a failure, an operation
/// is traffic, and which kind is left of them is chance. They are taken from the script as it was drawn.
fn with_plain_operations(
    script: &Script<Value>,
    drawn: &Script<Value>,
    violates: impl Fn(&Script<Value>) -> bool,
) -> Script<Value> {
    let mut samples: BTreeMap<&str, &Value> = BTreeMap::new();
    for request in operations_of(drawn) {
        samples.entry(kind(&request.op)).or_insert(&request.op);
    }
    let mut plain = script.clone();
    for (&name, _) in samples.iter().rev() {
        if operations_of(&plain)
            .iter()
            .all(|request| kind(&request.op) != name)
        {
            continue;
        }
        for (_, &sample) in samples.range(..name) {
            let mut other = plain.clone();
            for request in other.operations.iter_mut().flatten() {
                if kind(&request.op) == name {
                    request.op = sample.clone();
                }
            }
            if violates(&other) {
                plain = other;
                break;
            }
        }
    }
    plain
}

/// To how many servers each fault of a kind is done, the largest first.
fn by_kind(faults: &[FaultShape]) -> BTreeMap<&str, Vec<usize>> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    // They need not be in order: a shape can come from a file.
    for fault in faults {
        kinds.entry(&fault.kind).or_default().push(fault.servers);
    }
    for sizes in kinds.values_mut() {
        sizes.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
    }
    kinds
}

/// What an operation is called: its name, or the tag of its variant.
fn kind(op: &Value) -> &str {
    match op {
        Value::String(name) => name,
        Value::Object(fields) => match fields.get("f") {
            Some(Value::String(name)) => name,
            _ => match fields.keys().next() {
                Some(variant) if fields.len() == 1 => variant,
                _ => "operation",
            },
        },
        _ => "operation",
    }
}

/// `2 x crash of 1, partition of 5; get, put`.
impl fmt::Display for FailureShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counted: BTreeMap<&FaultShape, usize> = BTreeMap::new();
        for fault in &self.faults {
            *counted.entry(fault).or_default() += 1;
        }
        let words = |(fault, times): (&&FaultShape, &usize)| {
            let FaultShape { kind, servers } = fault;
            match times {
                1 => format!("{kind} of {servers}"),
                times => format!("{times} x {kind} of {servers}"),
            }
        };
        let faults: Vec<String> = counted.iter().map(words).collect();
        let operations: Vec<&str> = self.operations.iter().map(String::as_str).collect();
        let or = |words: String, none: &str| {
            if words.is_empty() {
                none.to_owned()
            } else {
                words
            }
        };
        write!(
            f,
            "{}; {}",
            or(faults.join(", "), "no fault"),
            or(operations.join(", "), "no operation")
        )
    }
}

/// By kinds and numbers of servers, and kinds of operations.
#[cfg(test)]
pub(crate) fn shape(faults: &[(&str, usize)], operations: &[&str]) -> FailureShape {
    let fault = |&(kind, servers): &(&str, usize)| FaultShape {
        kind: kind.to_owned(),
        servers,
    };
    FailureShape {
        faults: faults.iter().map(fault).collect(),
        operations: operations.iter().map(|&name| name.to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Request;
    use crate::{Fault, InFlight, Injection, Shape, Span};
    use splitbrain_core::{NodeId, Purpose};

    fn nodes(indexes: &[usize]) -> Vec<NodeId> {
        indexes.iter().copied().map(NodeId::from_index).collect()
    }

    fn script(faults: Vec<(u64, Fault)>, operations: &[&str]) -> Script<Value> {
        let injection = |(at, fault)| Injection {
            at: Span::from_millis(at),
            lasting: Span::from_millis(at + 7),
            fault,
        };
        let request = |(nth, text): (usize, &&str)| Request {
            at: Span::from_millis(nth as u64),
            client: nth as u32,
            op: serde_json::from_str(text).unwrap(),
        };
        Script {
            faults: Some(faults.into_iter().map(injection).collect()),
            operations: Some(operations.iter().enumerate().map(request).collect()),
        }
    }

    #[test]
    fn times_victims_order_clients_keys_and_values_have_no_say() {
        let cut = |servers: &[usize]| {
            let ids = nodes(servers);
            let mut rng = Seed(1).stream(Purpose::Nemesis(0));
            Fault::Partition {
                shape: Shape::Halves,
                flap: None,
                in_flight: InFlight::Keep,
                cuts: Shape::Halves.draw(&ids, &nodes(&[5, 6]), None, &mut rng),
            }
        };
        let one = script(
            vec![
                (
                    10,
                    Fault::Crash {
                        nodes: nodes(&[0]),
                        unsynced: crate::world::Unsynced::Lost,
                    },
                ),
                (20, cut(&[0, 1, 2])),
                (
                    30,
                    Fault::Pause {
                        nodes: nodes(&[1, 2]),
                    },
                ),
            ],
            &[r#"{"put":{"key":"a"}}"#, r#"{"f":"read"}"#, r#""noop""#],
        );
        let other = script(
            vec![
                (
                    1,
                    Fault::Pause {
                        nodes: nodes(&[3, 4, 6]),
                    },
                ),
                (2, cut(&[2, 3, 4])),
                (
                    3,
                    Fault::Crash {
                        nodes: nodes(&[2, 5]),
                        unsynced: crate::world::Unsynced::Lost,
                    },
                ),
            ],
            &[
                r#""noop""#,
                r#"{"f":"read","key":1}"#,
                r#"{"put":{"key":"b"}}"#,
                r#"{"put":{"key":"c"}}"#,
            ],
        );
        let shape = FailureShape::of_script(&one, 5);
        assert_eq!(shape, FailureShape::of_script(&other, 5));
        assert_eq!(
            shape.to_string(),
            "crash of 1, partition of 3, pause of 2; noop, put, read"
        );
        let open = Script::DRAWN;
        assert_eq!(
            FailureShape::of_script(&open, 5).to_string(),
            "no fault; no operation"
        );
    }

    #[test]
    fn operations_that_are_only_traffic_are_all_of_one_kind() {
        let drawn = script(
            vec![],
            &[r#"{"put":1}"#, r#"{"put":2}"#, r#""get""#, r#""cas""#],
        );
        let left = script(vec![], &[r#"{"put":2}"#, r#""get""#]);
        let kinds = |violates: &dyn Fn(&[&str]) -> bool| {
            let of = |script: &Script<Value>| {
                let names: Vec<String> = operations_of(script)
                    .iter()
                    .map(|request| kind(&request.op).to_owned())
                    .collect();
                violates(&names.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let plain = with_plain_operations(&left, &drawn, of);
            FailureShape::of_script(&plain, 0).to_string()
        };
        assert_eq!(kinds(&|_| true), "no fault; cas");
        assert_eq!(kinds(&|names| names.contains(&"put")), "no fault; cas, put");
        assert_eq!(
            kinds(&|names| names == ["put", "get"]),
            "no fault; get, put"
        );
        assert_eq!(kinds(&|names| names == ["get", "get"]), "no fault; get");
    }

    #[test]
    fn kinds_numbers_and_sizes_do() {
        let small = shape(&[("crash", 1), ("crash", 2)], &["get"]);
        for (larger, fits) in [
            (shape(&[("crash", 1), ("crash", 2)], &["get"]), true),
            (shape(&[("crash", 2), ("crash", 1)], &["get", "put"]), true),
            (shape(&[("crash", 2), ("crash", 2)], &["get"]), true),
            (
                shape(
                    &[("pause", 1), ("crash", 3), ("crash", 1), ("crash", 1)],
                    &["get"],
                ),
                true,
            ),
            (shape(&[("crash", 1), ("crash", 1)], &["get"]), false),
            (shape(&[("crash", 5)], &["get"]), false),
            (shape(&[("crash", 1), ("pause", 2)], &["get"]), false),
            (shape(&[("crash", 1), ("crash", 2)], &["put"]), false),
            (shape(&[], &[]), false),
        ] {
            assert_eq!(small.fits_in(&larger), fits, "{larger}");
        }
        assert!(shape(&[], &[]).fits_in(&small));
        assert_eq!(
            shape(&[("crash", 1), ("crash", 1), ("crash", 2)], &[]).to_string(),
            "2 x crash of 1, crash of 2; no operation"
        );
    }
}
