//! The server's side: a query in, a response out.

use super::DnsError;
use super::names::{self, Asked};
use crate::discovery::settings::within;
use crate::discovery::{Instance, Label};
use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError, TreeCompressor};
use domain::base::opt::OptRecord;
use domain::base::{
    Header, Message, MessageBuilder, Name, ParsedName, Question, Rtype, Serial, Ttl,
};
use domain::rdata::{A, Aaaa, Soa, Srv};
use serde::{Deserialize, Serialize};
use splitbrain_core::Rng;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The longest response over UDP to who has not said that it takes longer ones (RFC 1035 §4.2.1).
const UDP_BYTES: usize = 512;
/// The longest response over TCP: its length is sent in 16 bits.
const TCP_BYTES: usize = u16::MAX as usize;
/// What an OPT record without options takes.
const OPT_BYTES: usize = 11;
/// The longest name, in bytes, as it is in a message.
const NAME_BYTES_MAX: usize = 255;
/// What can stand before a domain, in bytes: two labels, and `service`.
const PREFIX_BYTES_MAX: usize = 64 + 64 + 8;

/// A domain, and how answers about it are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneSettings {
    /// The domain that services are below.
    pub domain: String,
    /// For how long others may remember instances. Short, as they come and go: Consul's default is not at all.
    pub ttl_s: u32,
    /// For how long others may remember that there is nothing.
    pub negative_ttl_s: u32,
    /// The longest response over UDP to who takes longer ones than 512 bytes. What is longer than 1232 bytes may be
    /// fragmented on its way.
    pub udp_bytes_max: u16,
}

impl Default for ZoneSettings {
    fn default() -> ZoneSettings {
        ZoneSettings {
            domain: "splitbrain".to_owned(),
            ttl_s: 0,
            negative_ttl_s: 0,
            udp_bytes_max: 1232,
        }
    }
}

/// How a query came, and so how long its response may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// What there is under the name of a service, or of a tag of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Instances, those that are to be given out; maybe nobody, if all are unwell.
    Instances(Vec<Arc<Instance>>),
    /// There is no such service, or no instance of it has such a tag, well or not.
    NoSuchName,
    /// It cannot be said: the registry is out of reach, and nothing is known of it.
    Unavailable,
}

/// A domain that services are below.
#[derive(Clone, Debug)]
pub struct Zone {
    settings: ZoneSettings,
    domain: Name<Vec<u8>>,
    /// Whom negative answers name as their source, and as who is responsible.
    server: Name<Vec<u8>>,
    responsible: Name<Vec<u8>>,
}

/// A query that can be answered.
struct Asking<'a> {
    header: Header,
    question: Question<ParsedName<&'a [u8]>>,
    /// How long a response the asker takes over UDP, if it said so (EDNS).
    payload: Option<u16>,
    /// Whether it said so in a version of EDNS that there is not.
    is_bad_version: bool,
}

/// What to answer.
enum Reply {
    Addresses(Vec<IpAddr>),
    Services(Vec<Arc<Instance>>),
    Domain,
    /// The name exists, but has no such records.
    NoData,
    Error(OptRcode),
}

type Target = TreeCompressor<Vec<u8>>;

impl Zone {
    /// The zone of a domain.
    ///
    /// # Errors
    /// If the domain is none, or leaves no room for names of services, or a setting is out of its range.
    pub fn new(settings: ZoneSettings) -> Result<Zone, DnsError> {
        // RFC 2181 §8: a TTL has 31 bits.
        let ttl_most = u64::from(u32::MAX / 2);
        within("ttl_s", settings.ttl_s.into(), 0..=ttl_most)?;
        within(
            "negative_ttl_s",
            settings.negative_ttl_s.into(),
            0..=ttl_most,
        )?;
        let bytes = UDP_BYTES as u64..=u64::from(u16::MAX);
        within("udp_bytes_max", settings.udp_bytes_max.into(), bytes)?;
        let name = |text: &str| -> Result<Name<Vec<u8>>, DnsError> {
            text.parse().map_err(|error| DnsError::Name {
                name: text.to_owned(),
                why: format!("{error}"),
            })
        };
        let domain = name(&settings.domain)?;
        if domain.len() + PREFIX_BYTES_MAX > NAME_BYTES_MAX {
            return Err(DnsError::Name {
                name: settings.domain,
                why: "it leaves no room for names of services".to_owned(),
            });
        }
        Ok(Zone {
            server: name(&format!("ns.{}", settings.domain))?,
            responsible: name(&format!("hostmaster.{}", settings.domain))?,
            domain,
            settings,
        })
    }

    /// What the zone was made of.
    pub fn settings(&self) -> &ZoneSettings {
        &self.settings
    }

    /// The response to a query, if it gets one: what is no query, or too short to be answered, does not, so that two servers
    /// cannot be made to answer each other for ever.
    ///
    /// `find` tells of a service, and of a tag if one is asked for; `revision` is what the store had come to, and becomes
    /// the serial number of the zone. Instances come in an order that `rng` draws, as most clients take the first one.
    pub fn answer(
        &self,
        query: &[u8],
        transport: Transport,
        revision: u64,
        find: impl FnOnce(&Label, Option<&Label>) -> Found,
        rng: &mut Rng,
    ) -> Option<Vec<u8>> {
        let message = Message::from_octets(query).ok()?;
        let header = message.header();
        if header.qr() {
            return None;
        }
        let asking = match read(&message) {
            Ok(asking) => asking,
            Err(code) => return Some(refusal(header, code)),
        };
        let mut reply = if asking.is_bad_version {
            Reply::Error(OptRcode::BADVERS)
        } else {
            self.reply(&asking.question, find)
        };
        match &mut reply {
            Reply::Addresses(addresses) => rng.shuffle(addresses.as_mut_slice()),
            Reply::Services(instances) => rng.shuffle(instances.as_mut_slice()),
            Reply::Domain | Reply::NoData | Reply::Error(_) => {}
        }
        let limit = match transport {
            Transport::Tcp => TCP_BYTES,
            Transport::Udp => {
                let takes = asking.payload.unwrap_or(0).min(self.settings.udp_bytes_max);
                UDP_BYTES.max(takes.into())
            }
        };
        // Nothing in a response that is cut off where it must be can fail; if it does, the asker hears that much.
        let failed = || refusal(header, Rcode::SERVFAIL);
        Some(
            self.write(&asking, &reply, revision, limit)
                .unwrap_or_else(|_| failed()),
        )
    }

    /// What to answer to a question.
    fn reply(
        &self,
        question: &Question<ParsedName<&[u8]>>,
        find: impl FnOnce(&Label, Option<&Label>) -> Found,
    ) -> Reply {
        let is_ours = question.qname().ends_with(&self.domain);
        let is_internet = matches!(question.qclass(), Class::IN | Class::ANY);
        let is_transfer = matches!(question.qtype(), Rtype::AXFR | Rtype::IXFR);
        if !is_ours || !is_internet || is_transfer {
            return Reply::Error(OptRcode::REFUSED);
        }
        let below = question.qname().label_count() - self.domain.label_count();
        let labels: Vec<String> = question
            .qname()
            .iter()
            .take(below)
            .map(|label| String::from_utf8_lossy(label.as_slice()).to_ascii_lowercase())
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match names::parse(&labels) {
            Asked::Domain if matches!(question.qtype(), Rtype::SOA | Rtype::ANY) => Reply::Domain,
            Asked::Domain | Asked::NothingHere => Reply::NoData,
            Asked::NoSuchName => Reply::Error(OptRcode::NXDOMAIN),
            Asked::Address(address) => addresses([address], question.qtype()),
            Asked::Service {
                service,
                tag,
                srv_only,
            } => match (find(&service, tag.as_ref()), question.qtype()) {
                (Found::NoSuchName, _) => Reply::Error(OptRcode::NXDOMAIN),
                (Found::Unavailable, _) => Reply::Error(OptRcode::SERVFAIL),
                (Found::Instances(all), Rtype::SRV | Rtype::ANY) => services(all),
                (Found::Instances(_), _) if srv_only => Reply::NoData,
                (Found::Instances(all), kind) => {
                    addresses(all.iter().map(|instance| instance.address()), kind)
                }
            },
        }
    }

    /// Writes the response, as much of it as fits: of places where somebody listens, as many as fit with their addresses, so
    /// that what is said is of use to who does not ask again.
    fn write(
        &self,
        asking: &Asking<'_>,
        reply: &Reply,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<u8>, PushError> {
        let first = |count| self.compose(asking, reply, count, revision, limit);
        // So many do not fit, or are all and one.
        let mut too_many = 1 + match reply {
            Reply::Services(instances) => instances.len(),
            _ => 0,
        };
        let mut fit = 0;
        let mut count = too_many - 1;
        loop {
            match first(count) {
                Ok(response) if count + 1 == too_many => return Ok(response),
                Ok(_) => fit = count,
                // Not even nobody.
                Err(PushError::LimitExceeded) if count == 0 => {
                    return Err(PushError::LimitExceeded);
                }
                Err(PushError::LimitExceeded) => too_many = count,
                Err(other) => return Err(other),
            }
            count = usize::midpoint(fit, too_many);
        }
    }

    /// The response, with the first so many of the places where somebody listens.
    fn compose(
        &self,
        asking: &Asking<'_>,
        reply: &Reply,
        count: usize,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<u8>, PushError> {
        let (services, are_all) = match reply {
            Reply::Services(instances) => (&instances[..count], count == instances.len()),
            _ => (&[][..], true),
        };
        let code = match reply {
            Reply::Error(code) => *code,
            _ => OptRcode::NOERROR,
        };
        let is_ours = !matches!(code, OptRcode::REFUSED | OptRcode::BADVERS);
        let mut builder = start(asking.header, code.rcode());
        builder
            .header_mut()
            .set_aa(is_ours && code != OptRcode::SERVFAIL);
        let opt_bytes = asking.payload.map_or(0, |_| OPT_BYTES);
        builder.set_push_limit(limit - opt_bytes);
        let mut questions = builder.question();
        questions.push(asking.question)?;
        let mut answers = questions.answer();
        let name = asking.question.qname();
        match self.push_answers(&mut answers, name, reply, revision) {
            Err(PushError::LimitExceeded) => answers.header_mut().set_tc(true),
            other => other?,
        }
        self.push_services(&mut answers, name, services)?;
        if !are_all {
            answers.header_mut().set_tc(true);
        }
        let mut authority = answers.authority();
        if matches!(reply, Reply::NoData) || code == OptRcode::NXDOMAIN {
            authority.push((
                &self.domain,
                Class::IN,
                self.negative_ttl(),
                self.soa(revision),
            ))?;
        }
        let mut additional = authority.additional();
        self.push_targets(&mut additional, services)?;
        if asking.payload.is_some() {
            additional.clear_push_limit();
            additional.opt(|opt| {
                opt.set_udp_payload_size(self.settings.udp_bytes_max);
                opt.set_rcode(code);
                Ok(())
            })?;
        }
        Ok(additional.finish().into_target())
    }

    fn push_answers(
        &self,
        answers: &mut AnswerBuilder<Target>,
        name: &ParsedName<&[u8]>,
        reply: &Reply,
        revision: u64,
    ) -> Result<(), PushError> {
        let ttl = Ttl::from_secs(self.settings.ttl_s);
        match reply {
            Reply::Addresses(addresses) => {
                for &address in addresses {
                    match address {
                        IpAddr::V4(four) => answers.push((name, Class::IN, ttl, A::new(four)))?,
                        IpAddr::V6(six) => answers.push((name, Class::IN, ttl, Aaaa::new(six)))?,
                    }
                }
            }
            Reply::Domain => {
                answers.push((name, Class::IN, self.negative_ttl(), self.soa(revision)))?;
            }
            Reply::Services(_) | Reply::NoData | Reply::Error(_) => {}
        }
        Ok(())
    }

    /// Where instances listen.
    fn push_services(
        &self,
        answers: &mut AnswerBuilder<Target>,
        name: &ParsedName<&[u8]>,
        instances: &[Arc<Instance>],
    ) -> Result<(), PushError> {
        let ttl = Ttl::from_secs(self.settings.ttl_s);
        for instance in instances {
            let target = self.target(instance.address())?;
            // All of one priority: those of a worse one would only be used when nobody else answers.
            let service = Srv::new(1, instance.weight(), instance.port(), target);
            answers.push((name, Class::IN, ttl, service))?;
        }
        Ok(())
    }

    /// The addresses of what SRV records point at.
    fn push_targets(
        &self,
        additional: &mut AdditionalBuilder<Target>,
        instances: &[Arc<Instance>],
    ) -> Result<(), PushError> {
        let ttl = Ttl::from_secs(self.settings.ttl_s);
        let mut pushed = BTreeSet::new();
        for instance in instances {
            let address = instance.address();
            if !pushed.insert(address) {
                continue;
            }
            let name = self.target(address)?;
            match address {
                IpAddr::V4(four) => additional.push((&name, Class::IN, ttl, A::new(four)))?,
                IpAddr::V6(six) => additional.push((&name, Class::IN, ttl, Aaaa::new(six)))?,
            }
        }
        Ok(())
    }

    /// The name of an address.
    fn target(&self, address: IpAddr) -> Result<Name<Vec<u8>>, PushError> {
        let name = format!(
            "{}.addr.{}",
            names::address_label(address),
            self.settings.domain
        );
        // There is room: a name of a service may be longer.
        name.parse().map_err(|_| PushError::ShortBuf)
    }

    fn soa(&self, revision: u64) -> Soa<&Name<Vec<u8>>> {
        Soa::new(
            &self.server,
            &self.responsible,
            // Serial numbers wrap (RFC 1982).
            Serial((revision & u64::from(u32::MAX)) as u32),
            Ttl::from_secs(3600),
            Ttl::from_secs(600),
            Ttl::from_secs(86_400),
            self.negative_ttl(),
        )
    }

    fn negative_ttl(&self) -> Ttl {
        Ttl::from_secs(self.settings.negative_ttl_s)
    }
}

/// What is asked, or what is wrong with it.
fn read<'a>(message: &'a Message<&'a [u8]>) -> Result<Asking<'a>, Rcode> {
    let header = message.header();
    if header.opcode() != Opcode::QUERY {
        return Err(Rcode::NOTIMP);
    }
    let malformed = |_| Rcode::FORMERR;
    let question = message.sole_question().map_err(malformed)?;
    // All records are looked at: a message is well formed to its end, or not at all.
    let mut extensions = 0;
    for record in message.additional().map_err(malformed)? {
        extensions += usize::from(record.map_err(malformed)?.rtype() == Rtype::OPT);
    }
    // RFC 6891 §6.1.1: one at most.
    let opt = match (extensions, message.opt()) {
        (0, _) => None,
        (1, Some(opt)) => Some(opt),
        _ => return Err(Rcode::FORMERR),
    };
    Ok(Asking {
        header,
        question,
        payload: opt.as_ref().map(OptRecord::udp_payload_size),
        is_bad_version: opt.is_some_and(|opt| opt.version() != 0),
    })
}

/// A response without anything but its header.
fn refusal(asked: Header, code: Rcode) -> Vec<u8> {
    start(asked, code).finish().into_target()
}

fn start(asked: Header, code: Rcode) -> MessageBuilder<Target> {
    let mut builder = MessageBuilder::from_target(TreeCompressor::new(Vec::new()))
        .expect("a vector has room for a header");
    let header = builder.header_mut();
    header.set_id(asked.id());
    header.set_qr(true);
    header.set_opcode(asked.opcode());
    header.set_rd(asked.rd());
    header.set_rcode(code);
    builder
}

/// The addresses of a kind, each once.
fn addresses(all: impl IntoIterator<Item = IpAddr>, kind: Rtype) -> Reply {
    let of_kind = |address: &IpAddr| match kind {
        Rtype::A => address.is_ipv4(),
        Rtype::AAAA => address.is_ipv6(),
        kind => kind == Rtype::ANY,
    };
    let addresses: BTreeSet<IpAddr> = all.into_iter().filter(of_kind).collect();
    if addresses.is_empty() {
        Reply::NoData
    } else {
        Reply::Addresses(addresses.into_iter().collect())
    }
}

/// Where instances listen, each place once.
fn services(mut instances: Vec<Arc<Instance>>) -> Reply {
    let mut seen = BTreeSet::new();
    instances.retain(|instance| seen.insert(instance.socket()));
    if instances.is_empty() {
        Reply::NoData
    } else {
        Reply::Services(instances)
    }
}
