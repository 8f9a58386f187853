//! Discovery through DNS: names of services, and what is said of them, as bytes.
//!
//! | name, below the domain of a [`Zone`] | records |
//! |---|---|
//! | `<service>.service` | A and AAAA of its instances; SRV with their ports |
//! | `<tag>.<service>.service` | the same, of those with the tag |
//! | `_<service>._tcp.service`, `_<service>._udp.service` | SRV only, as in RFC 2782 |
//! | `_<service>._<tag>.service` | the same, of those with the tag |
//! | `<address in hexadecimal>.addr` | the A or AAAA that it says: what SRV records point at |
//! | (the domain itself) | SOA |
//!
//! These are the names that Consul gives services, with an `addr` of its kind, too. As an address is in its name, what an
//! SRV record points at can be resolved whatever happens to the instance in between.
//!
//! A [`Zone`] is the server's side: a query in, a response out. [`Query`] and [`Response`] are the client's. Messages are read and
//! written by the library `domain` (of NLnet Labs), which is also what makes malformed ones an error and not a panic.
//!
//! What is in here of the RFCs: 1035 (messages, truncation at 512 bytes), 2181 §5 (no record twice, one TTL), 2308 (SOA in
//! negative answers), 2782 (SRV), 6891 (EDNS: larger messages, BADVERS), 8020 (NXDOMAIN is only for names below which there
//! is nothing), 8482 §4.1 (one of the kinds of records to ANY). No recursion, transfers or DNSSEC.

mod client;
mod names;
mod server;

pub use client::{AddressRecord, Query, RecordKind, Response, ResponseCode, ServiceRecord};
pub use names::{service_name, srv_name};
pub use server::{Found, Transport, Zone, ZoneSettings};

/// Why there is no such zone, query or response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// Not a domain name, or one that is too long.
    #[error("`{name}` is not a domain name that can be used here: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] super::SettingsError),
    /// The bytes are no DNS message.
    #[error("not a DNS message: {0}")]
    Malformed(String),
    /// A message is not the response to the query.
    #[error("a message that does not answer this query")]
    NotTheAnswer,
}

#[cfg(test)]
mod tests;
