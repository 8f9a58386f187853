//! Errors name the place and what was expected.

use splitbrain_check::formats::{self, Fail, Format};

/// What is wrong with a text, as a history of this model in this format.
fn error_of(model: &str, format: Format, text: &str) -> String {
    let known = formats::candidates(Some(model), None)[0];
    let mut reading = known.begin(Fail::Dropped);
    let read = formats::read(text.as_bytes(), Some(format), |record| {
        reading.push(&record)
    });
    read.expect_err("it is not read").to_string()
}

fn edn(text: &str) -> String {
    error_of("cas-register", Format::Edn, text)
}

#[test]
fn in_edn() {
    insta::assert_snapshot!(edn("  \n {:process 0, :type :invoke, :f :read"), @"line 2, column 38: expected the rest: the text is cut off, found the end");
    insta::assert_snapshot!(edn("{:process 0, :type :invoke, :f :read, :value \"x}"), @"line 1, column 49: expected the rest: the text is cut off, found the end");
    insta::assert_snapshot!(edn("\n[1 2]"), @"line 2, column 2: expected an event, as a map with :process, :type, :f and :value, found `1 2]`");
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :read :value }"), @"line 1, column 43: expected a value, found `}`");
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :read :value 12x}"), @"line 1, column 43: expected a number, found `12x}`");
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :read :value \"\\q\"}"), @r#"line 1, column 45: expected one of n t r b f " \ / u after a backslash, found `q"}`"#);
    insta::assert_snapshot!(edn("{:process 0 :process 1}"), @"line 1, column 13: field `process` is there twice");
    insta::assert_snapshot!(edn("{:process -1 :type :invoke :f :read}"), @"line 1, column 1: expected a whole number from 0 in the field `process`, found -1");
    insta::assert_snapshot!(edn("{:type :invoke :f :read}"), @"line 1, column 1: expected a whole number from 0 in the field `process`, found nothing");
    insta::assert_snapshot!(edn("{:process 0 :type :begin :f :read}"), @r#"line 1, column 1: expected "invoke", "ok", "fail" or "info" in the field `type`, found begin"#);
    insta::assert_snapshot!(edn("{:process 0 :type :invoke}"), @"line 1, column 1: expected the name of a function in the field `f`, found nothing");
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :read :time 1.5}"), @"line 1, column 1: expected a whole number from 0 in the field `time`, found 1.5");
    insta::assert_snapshot!(edn("[{:process 0 :type :invoke :f :read}"), @"line 1, column 37: expected `]`, or one more event: the text is cut off, found the end");
    insta::assert_snapshot!(edn("[{:process 0 :type :invoke :f :read}] {}"), @"line 1, column 39: expected nothing behind the list of events, found `{}`");
    insta::assert_snapshot!(edn("; nothing\n\n"), @"line 1, column 1: expected a history, found no event");
    insta::assert_snapshot!(edn(&"[".repeat(100_000)), @"line 1, column 2: expected an event, as a map with :process, :type, :f and :value, found `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`");
    insta::assert_snapshot!(edn(&format!("{{:value {}", "[".repeat(100_000))), @"line 1, column 73: expected less nesting, found `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`");
}

#[test]
fn of_models() {
    let invoke = "{:process 0 :type :invoke :f :write :value 1}\n";
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :enqueue :value 1}"), @"line 1, column 1: cas-register has no operation `enqueue`, but only read, write, cas");
    insta::assert_snapshot!(edn("\n  {:process 0 :type :invoke :f :write :value \"x\"}"), @r#"line 2, column 3: bad operation: invalid type: string "x", expected i64"#);
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :cas :value [1 2 3]}"), @"line 1, column 1: `cas` of cas-register is about [expected new], found [1 2 3]");
    insta::assert_snapshot!(edn("{:process 0 :type :invoke :f :read :key 3}"), @"line 1, column 1: cas-register has no keys, found the key 3");
    insta::assert_snapshot!(edn(&format!("{invoke}{invoke}")), @"line 2, column 1: process p0 invokes an operation while its last one is still open");
    insta::assert_snapshot!(edn(&format!("{invoke}{{:process 0 :type :ok :f :read :value 1}}")), @"line 2, column 1: process p0 asked for `write`, and this is the end of `read`");
    insta::assert_snapshot!(edn(&format!("{invoke}{{:process 1 :type :ok :f :write :value 1}}")), @"line 2, column 1: process p1 completes an operation, but has none open");
    let keys = "{:process 0 :type :invoke :f :get :value 3}";
    insta::assert_snapshot!(error_of("key-value", Format::Edn, keys), @"line 1, column 1: key-value has a key for each operation, in the field `key` or as the value [key value], found 3");
}

#[test]
fn in_other_formats() {
    let json = |text| error_of("cas-register", Format::Json, text);
    insta::assert_snapshot!(json("\n\n [{\"process\":0,\n\"type\":,"), @"line 4, column 8: expected an event as one JSON object: expected value");
    insta::assert_snapshot!(json("[{\"process\":0,\"type\":\"ok\""), @"line 1, column 25: expected an event as one JSON object: EOF while parsing an object");
    insta::assert_snapshot!(json("[{\"process\":0,\"process\":1}]"), @"line 1, column 26: expected an event as one JSON object: field `process` is there twice");
    insta::assert_snapshot!(json("7"), @"line 1, column 1: expected an event, as one JSON object, found `7`");
    insta::assert_snapshot!(json("{\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}]"), @"line 1, column 41: expected an event, as one JSON object, found `]`");
    let jsonl = |text| error_of("cas-register", Format::Jsonl, text);
    insta::assert_snapshot!(jsonl("{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"time\":1}"), @"line 1, column 1: expected a whole number from 0 in the field `time_ns`, found nothing");
    insta::assert_snapshot!(jsonl("{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"time_ns\":1,\"why\":1}"), @"line 1, column 1: bad operation: unknown field `why`, there are no fields");
    let log = |text| error_of("cas-register", Format::Log, text);
    insta::assert_snapshot!(log("noise\n\nnoise\n"), @"line 4, column 1: expected a history, found no event in 2 lines");
    insta::assert_snapshot!(log("noise\nINFO 0\t:invoke\t:cas\t[1 "), @"line 2, column 24: expected the rest: the text is cut off, found the end");
    let unknown = formats::read(&b"\x7fELF and more"[..], None, |_| Ok(())).unwrap_err();
    insta::assert_snapshot!(unknown, @r"line 1, column 1: expected a history as jsonl, json, edn or lines of a Jepsen log, found `\u{7f}ELF and more`; say which with --format");
    let empty = formats::read(&b" \n"[..], None, |_| Ok(())).unwrap_err();
    insta::assert_snapshot!(empty, @"line 1, column 1: expected a history, found no event");
}
