//! Files of other origins: what they say, what is wrong with them, and that no bytes make a reader panic or hang.

mod formats {
    mod damage;
    mod errors;
    mod public;
    mod round_trip;
    mod words;
}
