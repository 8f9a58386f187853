//! Files of other origins: what they say, what is wrong with them, and that no bytes make a reader panic or hang.

mod formats {
    mod damage;
    mod errors;
    mod levels;
    mod public;
    mod round_trip;
    mod words;

    /// A history in EDN, of events like `0 invoke write 1; 0 ok write 1`: process, type, function, value if there is one.
    fn history(events: &str) -> String {
        let line = |(number, event): (usize, &str)| {
            let (process, rest) = event.trim().split_once(' ').unwrap();
            let (kind, rest) = rest.split_once(' ').unwrap();
            let (f, value) = rest.split_once(' ').unwrap_or((rest, "nil"));
            format!(
                "{{:process {process}, :type :{kind}, :f :{f}, :value {value}, :time {number}}}\n"
            )
        };
        events.split(';').enumerate().map(line).collect()
    }
}
