//! Bad input gets one clear error, which names the file, the line where there is one, and what was expected. Never a
//! panic, never a silent default, nothing on standard output, exit status 2.

mod bad_input {
    mod arguments;
    mod damage;
    mod replays;
    mod scenarios;
    mod support;
}
