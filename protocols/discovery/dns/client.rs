//! The client's side: a query, and what a response says.

use super::DnsError;
use domain::base::iana::{Class, OptRcode};
use domain::base::message_builder::PushError;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, ToName};
use domain::rdata::{A, Aaaa, Soa, Srv};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

/// What records to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Addresses of version 4.
    A,
    /// Addresses of version 6.
    Aaaa,
    /// Names and ports.
    Srv,
}

impl RecordKind {
    fn rtype(self) -> Rtype {
        match self {
            RecordKind::A => Rtype::A,
            RecordKind::Aaaa => Rtype::AAAA,
            RecordKind::Srv => Rtype::SRV,
        }
    }
}

/// A question to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    bytes: Vec<u8>,
}

impl Query {
    /// Asks for the records of a name. Over UDP, `payload` says that a response may be longer than 512 bytes, and how
    /// long. The `id` should be one that is hard to guess.
    ///
    /// # Errors
    /// If it is no name.
    pub fn new(
        id: u16,
        name: &str,
        kind: RecordKind,
        payload: Option<u16>,
    ) -> Result<Query, DnsError> {
        let bad = |why: String| DnsError::Name {
            name: name.to_owned(),
            why,
        };
        let parsed: Name<Vec<u8>> = name.parse().map_err(|error| bad(format!("{error}")))?;
        let bytes = compose(id, &parsed, kind, payload).map_err(|error| bad(error.to_string()))?;
        Ok(Query { bytes })
    }

    /// The message to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn compose(
    id: u16,
    name: &Name<Vec<u8>>,
    kind: RecordKind,
    payload: Option<u16>,
) -> Result<Vec<u8>, PushError> {
    let mut builder = MessageBuilder::from_target(Vec::new()).map_err(|_| PushError::ShortBuf)?;
    builder.header_mut().set_id(id);
    let mut questions = builder.question();
    questions.push((name, kind.rtype(), Class::IN))?;
    let mut additional = questions.additional();
    if let Some(payload) = payload {
        additional.opt(|opt| {
            opt.set_udp_payload_size(payload);
            Ok(())
        })?;
    }
    Ok(additional.finish())
}

/// Whether a server could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResponseCode {
    /// It could. If there are no records, the name has none of this kind.
    NoError,
    /// It did not understand the query.
    FormatError,
    /// It does not know at present.
    ServerFailure,
    /// There is no such name.
    NoSuchName,
    /// It does not do such things.
    NotImplemented,
    /// It is not the one to ask.
    Refused,
    /// Something else.
    Other(u16),
}

impl From<OptRcode> for ResponseCode {
    fn from(code: OptRcode) -> ResponseCode {
        match code {
            OptRcode::NOERROR => ResponseCode::NoError,
            OptRcode::FORMERR => ResponseCode::FormatError,
            OptRcode::SERVFAIL => ResponseCode::ServerFailure,
            OptRcode::NXDOMAIN => ResponseCode::NoSuchName,
            OptRcode::NOTIMP => ResponseCode::NotImplemented,
            OptRcode::REFUSED => ResponseCode::Refused,
            other => ResponseCode::Other(other.to_int()),
        }
    }
}

/// An A or AAAA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRecord {
    /// The address.
    pub address: IpAddr,
    /// For how long it may be remembered.
    pub ttl_s: u32,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRecord {
    /// Those with a greater number are for when there is none with a smaller.
    pub priority: u16,
    /// The share of requests, among those of the same priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name of the host, in lower case.
    pub target: String,
    /// Its addresses, if the response had them; otherwise they are to be asked for.
    pub addresses: Vec<IpAddr>,
    /// For how long it may be remembered.
    pub ttl_s: u32,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Whether it could.
    pub code: ResponseCode,
    /// Whether it is the one who knows.
    pub authoritative: bool,
    /// Whether not all fitted, and the same should be asked over TCP.
    pub truncated: bool,
    /// Its A and AAAA records, in its order.
    pub addresses: Vec<AddressRecord>,
    /// Its SRV records, in its order.
    pub services: Vec<ServiceRecord>,
    /// If there is nothing: for how long that may be remembered, if at all.
    pub negative_ttl_s: Option<u32>,
}

impl Response {
    /// Reads the response to a query.
    ///
    /// # Errors
    /// If it is malformed, or the response to another one, or none. It is then to be ignored, and the right one waited for.
    pub fn parse(query: &Query, bytes: &[u8]) -> Result<Response, DnsError> {
        let malformed = |error: ParseError| DnsError::Malformed(error.to_string());
        let short = |_| DnsError::Malformed("shorter than a header".to_owned());
        let message = Message::from_octets(bytes).map_err(short)?;
        let asked = Message::from_octets(query.as_bytes()).map_err(short)?;
        // Some errors come without the question, as it may be what was not understood.
        let is_bare = message.is_error() && message.header_counts().qdcount() == 0;
        let is_answer = if is_bare {
            message.header().qr() && message.header().id() == asked.header().id()
        } else {
            message.is_answer(&asked)
        };
        if !is_answer {
            return Err(DnsError::NotTheAnswer);
        }
        let mut response = Response {
            code: message.opt_rcode().into(),
            authoritative: message.header().aa(),
            truncated: message.header().tc(),
            addresses: Vec::new(),
            services: Vec::new(),
            negative_ttl_s: None,
        };
        let name = asked.sole_question().map_err(malformed)?.into_qname();
        response.read_records(&message, &name).map_err(malformed)?;
        Ok(response)
    }

    /// Where the service listens, of SRV records with addresses; the best priority first, else in the order of the server.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        let mut services: Vec<&ServiceRecord> = self.services.iter().collect();
        services.sort_by_key(|service| service.priority);
        let sockets = services.into_iter().flat_map(|service| {
            let socket = |&address| SocketAddr::new(address, service.port);
            service.addresses.iter().map(socket)
        });
        sockets.collect()
    }

    /// For how long the whole response may be remembered: as long as the record for the shortest time. Not at all, if nothing
    /// is said.
    pub fn ttl_s(&self) -> u32 {
        let addresses = self.addresses.iter().map(|record| record.ttl_s);
        let services = self.services.iter().map(|record| record.ttl_s);
        let shortest = addresses.chain(services).min();
        shortest.or(self.negative_ttl_s).unwrap_or(0)
    }

    fn read_records(
        &mut self,
        message: &Message<&[u8]>,
        name: &ParsedName<&[u8]>,
    ) -> Result<(), ParseError> {
        let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for record in message.additional()? {
            let record = record?;
            if let Some((host, address, _)) = read_address(&record)? {
                hosts.entry(host).or_default().push(address);
            }
        }
        for record in message.answer()? {
            let record = record?;
            if !record.owner().name_eq(name) {
                continue;
            }
            if let Some((_, address, ttl_s)) = read_address(&record)? {
                self.addresses.push(AddressRecord { address, ttl_s });
            }
            if let Some(record) = record.into_record::<Srv<_>>()? {
                let target = text(record.data().target());
                self.services.push(ServiceRecord {
                    priority: record.data().priority(),
                    weight: record.data().weight(),
                    port: record.data().port(),
                    addresses: hosts.get(&target).cloned().unwrap_or_default(),
                    target,
                    ttl_s: record.ttl().as_secs(),
                });
            }
        }
        for record in message.authority()? {
            if let Some(record) = record?.into_record::<Soa<_>>()? {
                // RFC 2308 §5.
                let ttl = record.ttl().min(record.data().minimum());
                self.negative_ttl_s = Some(ttl.as_secs());
            }
        }
        Ok(())
    }
}

type RawRecord<'a> = domain::base::record::ParsedRecord<'a, &'a [u8]>;

/// The owner, address and TTL of a record, if it is of an address.
fn read_address(record: &RawRecord<'_>) -> Result<Option<(String, IpAddr, u32)>, ParseError> {
    if record.class() != Class::IN {
        return Ok(None);
    }
    let address = match record.rtype() {
        Rtype::A => record
            .to_record::<A>()?
            .map(|record| IpAddr::V4(record.data().addr())),
        Rtype::AAAA => record
            .to_record::<Aaaa>()?
            .map(|record| IpAddr::V6(record.data().addr())),
        _ => None,
    };
    Ok(address.map(|address| (text(&record.owner()), address, record.ttl().as_secs())))
}

/// A name as a text, in lower case.
fn text(name: &impl Display) -> String {
    name.to_string().to_ascii_lowercase()
}
