use super::{Page, write};
use crate::formats::{Bar, Demand, Fail, candidates, read};
use crate::{Outcome, Point, ProcessId, Verdict};
use serde_json::{Value, json};

fn bar(process: u64, events: (usize, Option<usize>), outcome: Outcome<()>, words: &str) -> Bar {
    let at = |event| Point {
        event,
        time_ns: 1_700_000_000_000_000_000 + event as u64,
    };
    Bar {
        process: ProcessId(process),
        invoked: at(events.0),
        completed: events.1.map(at),
        outcome,
        words: words.to_owned(),
        keys: vec![format!("key of {words}")],
    }
}

fn page(bars: &[Bar], title: &str) -> String {
    let page = Page {
        title,
        verdict: "valid",
        summary: title,
        why: title,
        bars,
        timed: true,
        operations: &[],
        counterexample: None,
    };
    let mut bytes = Vec::new();
    write(&page, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn data_of(page: &str) -> Value {
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

/// Whoever wrote the history wrote nothing of the page.
#[test]
fn what_a_history_says_is_escaped() {
    let evil = "</script></pre><script>alert('x')</script><!-- & \" {{data}} \u{2028}";
    let page = page(&[bar(1, (0, Some(1)), Outcome::Ok(()), evil)], evil);
    assert_eq!(
        page.matches("<script").count(),
        2,
        "that of the data and ours"
    );
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(page.matches("<!--").count(), 0);
    assert_eq!(page.matches("</pre>").count(), 1);
    assert!(page.contains("&lt;/script&gt;&lt;/pre&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    assert_eq!(data_of(&page)["words"], json!([evil]));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page(&[], "empty");
    assert!(page.contains("default-src 'none'"));
    for outside in [
        "http://", "https://", "src=", "@import", "url(", "fetch(", "import(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(data_of(&page)["lane"], json!([]));
}

#[test]
fn a_client_that_goes_on_as_another_process_keeps_its_lane() {
    let bars = [
        bar(3, (0, Some(2)), Outcome::Info, "a"),
        bar(2, (1, Some(3)), Outcome::Ok(()), "b"),
        // While the first one was waiting there was no lane for this one; here there is.
        bar(7, (4, Some(5)), Outcome::Fail, "a"),
        bar(8, (6, None), Outcome::Info, "c"),
    ];
    let data = data_of(&page(&bars, "lanes"));
    assert_eq!(data["lanes"], json!(["p2", "p3", "p8"]));
    assert_eq!(data["lane"], json!([1, 0, 1, 2]));
    assert_eq!(data["words"], json!(["a", "b", "c"]));
    assert_eq!(data["what"], json!([0, 1, 0, 2]));
    assert_eq!(data["outcome"], json!([2, 0, 1, 2]));
    assert_eq!(data["open"], json!([0, 0, 0, 1]));
    assert_eq!(data["base"], json!(1_700_000_000_000_000_000_u64));
    assert_eq!(data["start"], json!([0, 1, 4, 6]));
    assert_eq!(data["end"], json!([2, 3, 5, 6]));
    assert_eq!(data["to"], json!([2, 3, 5, 7]));
}

#[test]
fn the_contradiction_is_in_the_page() {
    let text = "{:process 0, :type :invoke, :f :write, :value 1}
        {:process 0, :type :ok, :f :write, :value 1}
        {:process 1, :type :invoke, :f :write, :value 2}
        {:process 0, :type :invoke, :f :read, :value nil}
        {:process 1, :type :ok, :f :write, :value 2}
        {:process 0, :type :ok, :f :read, :value 3}";
    let mut reading = candidates(Some("register"), None)[0].begin(Fail::Dropped);
    read(text.as_bytes(), None, |record| reading.push(&record)).unwrap();
    let Verdict::Invalid(wrong) = reading.judge(&Demand::default()).unwrap().verdict else {
        panic!("nobody wrote 3");
    };
    let page = Page {
        title: "t",
        verdict: "invalid",
        summary: "s",
        why: &wrong.what,
        bars: &reading.bars(),
        timed: false,
        operations: &wrong.operations,
        counterexample: wrong.counterexample.as_ref(),
    };
    let mut bytes = Vec::new();
    write(&page, &mut bytes).unwrap();
    let data = data_of(std::str::from_utf8(&bytes).unwrap());
    let marks = data["marks"].as_array().unwrap();
    let stuck = data["blocked"][0]["mark"].as_u64().unwrap() as usize;
    assert_eq!(marks[stuck]["operation"], json!(2), "the read");
    assert_eq!(data["blocked"][0]["needs"], json!("value = 3"));
    assert_eq!(data["timed"], json!(false));
    let mut again = Vec::new();
    write(&page, &mut again).unwrap();
    assert_eq!(again, bytes);
}
