//! Service discovery in parts: who is there, how they are, and which of them to ask.
//!
//! Each part is a value that is told what happens and asked what to do. Time comes in as [`Time`](splitbrain_core::Time),
//! randomness as an [`Rng`](splitbrain_core::Rng); none knows of nodes, messages or another part's state. So each can
//! be used, and tested, without the others; a registry, a client or a proxy is made by putting some of them into a node.
//!
//! | question | part | after |
//! |---|---|---|
//! | What is registered, and how is it kept? | [`Instance`], [`Label`] | Consul's catalog, names of RFC 1123 |
//! | Is an instance well? When is it to be removed? | [`health`] | Consul (TTL, deregistering critical services), HAProxy (rise, fall, initial state), Envoy |
//! | What does a client know, and how old is it? | [`cache`] | Eureka, Consul's agent cache, RFC 2308 (negative caching), Envoy (panic) |
//! | How do programs ask that only know DNS? | [`dns`] | RFC 1035, 2308, 2782, 6891; Consul's DNS interface |
//! | Which instance gets a request? | [`balance`] | Mitzenmacher 2001; Mirrokni, Thorup, Zadimoghaddam 2016; nginx |
//! | Which instances are to be left out for a while? | [`outlier`] | Envoy's outlier detection |
//! | Is a thing to be called at all at present? | [`breaker`] | Nygard, *Release It!*; Hystrix, resilience4j |
//! | May a request be made again, and when? | [`retry`] | Finagle's retry budgets; Brooker 2015 |
//!
//! # A request, from part to part
//!
//! ```text
//! registry --look-ups, watches--> Cache --instances--> Balancer --pick--> Breaker --permit--> the instance
//!                                                        ^   ^                                    |
//!                                             excluded --+   +-- finished, excluded <-- outcome --+
//!                                      OutlierDetector <------------------------------------------+
//!                                      RetryBudget, Backoff: again, somewhere else? <-------------+
//! ```
//!
//! The set that [`balance::Request::excluded`] is given joins what the [`outlier`] detector has ejected, where the request has been
//! tried already, and whose [`breaker`] is open.
//!
//! # What holds
//!
//! * A half-open breaker never has more than its number of probes under way, and closes again when what it
//!   guards is well, whatever happened before, and whatever callers lost.
//! * Round robin gives all the same, to within one; a pick of consistent hashing never exceeds its bound.
//! * A cache never shows an older state than it has shown, and its age is never less than the truth.
//! * Retries between any two times never exceed what the budget says of that time.
//! * Never are all instances ejected, nor more than the percentage.
//! * No bytes make the DNS parts panic.

pub mod balance;
pub mod breaker;
pub mod cache;
pub mod dns;
pub mod health;
mod instance;
mod label;
pub mod outlier;
pub mod retry;
mod settings;

pub use instance::{
    INSTANCES_PREFIX, Instance, InstanceError, METADATA_KEY_BYTES_MAX, METADATA_PAIRS_MAX,
    METADATA_VALUE_BYTES_MAX, TAGS_MAX, WEIGHT_MAX,
};
pub use label::{LABEL_BYTES_MAX, Label, LabelError};
pub use settings::SettingsError;
