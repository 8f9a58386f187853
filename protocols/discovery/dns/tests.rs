//! Both sides, and what is between them, byte by byte.

use super::*;
use crate::discovery::{Instance, Label};
use proptest::prelude::*;
use splitbrain_core::{Purpose, Rng, Seed};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

const DOMAIN: &str = "dc1.example";

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn rng(seed: u64) -> Rng {
    Seed(seed).stream(Purpose::User(0))
}

fn zone() -> Zone {
    Zone::new(ZoneSettings {
        domain: DOMAIN.to_owned(),
        ttl_s: 7,
        negative_ttl_s: 3,
        udp_bytes_max: 1232,
    })
    .unwrap()
}

fn instance(id: usize, address: &str, port: u16) -> Arc<Instance> {
    let id = format!("web-{id}");
    let instance = Instance::new("web", &id, address.parse().unwrap(), port)
        .and_then(|instance| instance.with_weight(port))
        .unwrap();
    Arc::new(instance)
}

/// Three instances of `web`: two on one host, one on a host of version 6, which alone has the tag `v2`. A service `sick`
/// without an instance that is well, and `lost`, of which nothing is known.
fn find(service: &Label, tag: Option<&Label>) -> Found {
    let all = [
        instance(1, "10.0.0.1", 80),
        instance(2, "10.0.0.1", 81),
        instance(3, "2001:db8::3", 82),
    ];
    match (service.as_str(), tag.map(Label::as_str)) {
        ("web", None) => Found::Instances(all.to_vec()),
        ("web", Some("v2")) => Found::Instances(all[2..].to_vec()),
        ("sick", None) => Found::Instances(Vec::new()),
        ("lost", _) => Found::Unavailable,
        _ => Found::NoSuchName,
    }
}

fn ask(name: &str, kind: RecordKind) -> Response {
    let query = Query::new(77, &format!("{name}.{DOMAIN}"), kind, None).unwrap();
    let bytes = zone()
        .answer(query.as_bytes(), Transport::Udp, 9, find, &mut rng(0))
        .unwrap();
    Response::parse(&query, &bytes).unwrap()
}

fn addresses(response: &Response) -> BTreeSet<String> {
    let text = |record: &AddressRecord| record.address.to_string();
    response.addresses.iter().map(text).collect()
}

/// `instances` of `web` on hosts of their own.
fn crowd(instances: usize) -> impl Fn(&Label, Option<&Label>) -> Found {
    move |_, _| {
        let one =
            |index: usize| instance(index, &format!("10.1.{}.{}", index / 256, index % 256), 80);
        Found::Instances((1..=instances).map(one).collect())
    }
}

#[test]
fn addresses_of_a_service_come_once_each_and_by_kind() {
    let four = ask("web.service", RecordKind::A);
    assert_eq!(
        (four.code, four.authoritative),
        (ResponseCode::NoError, true)
    );
    assert_eq!(four.addresses.len(), 1);
    assert_eq!(addresses(&four), ["10.0.0.1".to_owned()].into());
    assert_eq!(four.ttl_s(), 7);
    let six = ask("web.service", RecordKind::Aaaa);
    assert_eq!(addresses(&six), ["2001:db8::3".to_owned()].into());
    let tagged = ask("v2.web.service", RecordKind::Aaaa);
    assert_eq!(addresses(&tagged).len(), 1);
}

#[test]
fn srv_records_have_ports_weights_and_addresses_that_can_be_resolved() {
    for name in ["web.service", "_web._tcp.service", "_web._udp.service"] {
        let response = ask(name, RecordKind::Srv);
        let sockets: BTreeSet<String> =
            response.sockets().iter().map(ToString::to_string).collect();
        let expected = ["10.0.0.1:80", "10.0.0.1:81", "[2001:db8::3]:82"];
        assert_eq!(sockets, expected.map(str::to_owned).into(), "{name}");
        for service in &response.services {
            assert_eq!((service.priority, service.ttl_s), (1, 7));
            assert_eq!(service.weight, service.port);
            let host = service.target.strip_suffix(&format!(".{DOMAIN}")).unwrap();
            let is_four = service.addresses[0].is_ipv4();
            let kind = if is_four {
                RecordKind::A
            } else {
                RecordKind::Aaaa
            };
            let host = ask(host, kind);
            assert_eq!(host.addresses[0].address, service.addresses[0]);
        }
    }
    assert_eq!(ask("_web._v2.service", RecordKind::Srv).services.len(), 1);
    assert_eq!(ask("v2.web.service", RecordKind::Srv).services.len(), 1);
}

#[test]
fn what_is_not_there_is_told_from_what_has_no_such_records() {
    use RecordKind::{A, Aaaa, Srv};
    let none = ResponseCode::NoSuchName;
    let empty = ResponseCode::NoError;
    for (name, kind, code) in [
        ("db.service", A, none),
        ("v3.web.service", A, none),
        ("_web._v3.service", Srv, none),
        ("web", A, none),
        ("a.b.web.service", A, none),
        ("web_.service", A, none),
        ("sick.service", A, empty),
        ("sick.service", Srv, empty),
        ("v2.web.service", A, empty),
        ("_web._tcp.service", A, empty),
        ("service", A, empty),
        ("_tcp.service", Srv, empty),
        ("0a000001.addr", Aaaa, empty),
    ] {
        let response = ask(name, kind);
        assert_eq!(response.code, code, "{name}");
        assert!(response.addresses.is_empty() && response.services.is_empty());
        assert_eq!(response.negative_ttl_s, Some(3), "{name}");
        assert!(response.authoritative && response.ttl_s() == 3);
    }
    let lost = ask("lost.service", A);
    assert_eq!(lost.code, ResponseCode::ServerFailure);
    assert_eq!((lost.negative_ttl_s, lost.authoritative), (None, false));
}

/// A query for `web.service` as bytes, with these flags, type and class, and this after the question.
fn raw(flags: u16, kind: u16, class: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    bytes.extend(b"\x03wEb\x07SERVICE\x03dc1\x07example\0");
    bytes.extend(kind.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// The lower byte of the flags, the code without its extension, and how many answers.
fn outcome(query: &[u8]) -> Option<(u8, u16)> {
    let bytes = zone().answer(query, Transport::Udp, 9, find, &mut rng(0))?;
    assert_eq!((&bytes[..2], bytes[2] & 0x80), (&query[..2], 0x80));
    Some((bytes[3] & 0xf, u16::from_be_bytes([bytes[6], bytes[7]])))
}

const ONE: [u16; 4] = [1, 0, 0, 0];

#[test]
fn kinds_that_nobody_has_are_no_error_and_others_are_refused() {
    let (no_error, refused) = (0, 5);
    for (kind, class, expected) in [
        (1, 1, (no_error, 1)),
        (33, 1, (no_error, 3)),
        // MX, TXT, and one that does not exist: the name does.
        (15, 1, (no_error, 0)),
        (16, 1, (no_error, 0)),
        (65_000, 1, (no_error, 0)),
        // ANY: one kind is enough. Of any class, too.
        (255, 255, (no_error, 3)),
        // Transfers, and another class.
        (252, 1, (refused, 0)),
        (251, 1, (refused, 0)),
        (1, 3, (refused, 0)),
    ] {
        let query = raw(0, kind, class, ONE, &[]);
        assert_eq!(outcome(&query), Some(expected), "{kind} {class}");
    }
    let query = Query::new(1, "web.service.example", RecordKind::A, None).unwrap();
    assert_eq!(outcome(query.as_bytes()), Some((refused, 0)));
}

#[test]
fn the_case_of_a_question_comes_back_as_it_was() {
    let query = raw(0x0100, 1, 1, ONE, &[]);
    let bytes = zone()
        .answer(&query, Transport::Udp, 9, find, &mut rng(0))
        .unwrap();
    assert_eq!(bytes[12..query.len()], query[12..]);
    assert_eq!(bytes[2] & 1, 1, "recursion was desired, and so it says");
    assert_eq!(bytes[3] & 0x80, 0, "but there is none");
}

#[test]
fn what_is_malformed_is_said_to_be_or_dropped() {
    let (form_error, not_implemented) = (1, 4);
    let good = raw(0, 1, 1, ONE, &[]);
    for length in 0..12 {
        assert_eq!(outcome(&good[..length]), None, "too short to be answered");
    }
    for length in 12..good.len() {
        assert_eq!(outcome(&good[..length]), Some((form_error, 0)), "{length}");
    }
    let response = raw(0x8000, 1, 1, ONE, &[]);
    assert_eq!(outcome(&response), None, "not a query");
    let status = raw(2 << 11, 1, 1, ONE, &[]);
    assert_eq!(outcome(&status), Some((not_implemented, 0)));
    for counts in [[0, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1]] {
        let query = raw(0, 1, 1, counts, &[]);
        assert_eq!(outcome(&query), Some((form_error, 0)), "{counts:?}");
    }
    // A name that points at itself.
    let mut looping = raw(0, 1, 1, ONE, &[]);
    looping[12..14].copy_from_slice(&[0xc0, 12]);
    assert_eq!(outcome(&looping), Some((form_error, 0)));
}

/// An OPT record: root, type, length, extended code and version, flags, no options.
fn opt(payload: u16, version: u8) -> Vec<u8> {
    let [high, low] = payload.to_be_bytes();
    vec![0, 0, 41, high, low, 0, version, 0, 0, 0, 0]
}

#[test]
fn of_edns_there_is_one_and_of_its_version_nought() {
    let query = raw(0, 1, 1, [1, 0, 0, 1], &opt(4096, 0));
    assert_eq!(outcome(&query), Some((0, 1)));
    let bytes = zone()
        .answer(&query, Transport::Udp, 9, find, &mut rng(0))
        .unwrap();
    assert_eq!(bytes[bytes.len() - 11..], opt(1232, 0));
    let twice = [opt(4096, 0), opt(4096, 0)].concat();
    let query = raw(0, 1, 1, [1, 0, 0, 2], &twice);
    assert_eq!(outcome(&query), Some((1, 0)));
    let query = raw(0, 1, 1, [1, 0, 0, 1], &opt(4096, 1));
    let bytes = zone()
        .answer(&query, Transport::Udp, 9, find, &mut rng(0))
        .unwrap();
    // BADVERS is 16: nothing in the header, one in the extension.
    assert_eq!((bytes[3] & 0xf, bytes[bytes.len() - 6]), (0, 1));
}

#[test]
fn what_does_not_fit_is_cut_off_and_said_to_be() {
    for (payload, transport, limit, all) in [
        (None, Transport::Udp, 512, false),
        (Some(100), Transport::Udp, 512, false),
        (Some(1000), Transport::Udp, 1000, false),
        (Some(65_535), Transport::Udp, 1232, false),
        (None, Transport::Tcp, 65_535, true),
    ] {
        let name = format!("web.service.{DOMAIN}");
        for (kind, instances) in [(RecordKind::A, 100), (RecordKind::Srv, 30)] {
            let query = Query::new(5, &name, kind, payload).unwrap();
            let bytes = zone()
                .answer(
                    query.as_bytes(),
                    transport,
                    9,
                    crowd(instances),
                    &mut rng(0),
                )
                .unwrap();
            assert!(bytes.len() <= limit && (all || bytes.len() > limit - 80));
            let response = Response::parse(&query, &bytes).unwrap();
            let got = response.addresses.len() + response.services.len();
            assert_eq!((response.truncated, got == instances), (!all, all));
            assert!(got > 5, "{got}");
            // Whoever is named has an address.
            assert_eq!(response.sockets().len(), response.services.len());
        }
    }
}

#[test]
fn who_does_not_fit_with_an_address_is_left_out_and_that_is_said() {
    let query = Query::new(5, &format!("web.service.{DOMAIN}"), RecordKind::Srv, None).unwrap();
    let told = |all: usize| {
        let bytes = zone()
            .answer(query.as_bytes(), Transport::Udp, 9, crowd(all), &mut rng(0))
            .unwrap();
        let response = Response::parse(&query, &bytes).unwrap();
        assert_eq!(response.sockets().len(), response.services.len());
        (response.sockets().len(), response.truncated)
    };
    let most = (1..40).find(|all| told(*all).1).unwrap() - 1;
    assert!(most > 5, "{most}");
    for all in 1..40 {
        assert_eq!(told(all), (all.min(most), all > most));
    }
}

#[test]
fn whoever_takes_the_first_answer_does_not_always_take_the_same() {
    let query = Query::new(5, &format!("web.service.{DOMAIN}"), RecordKind::A, None).unwrap();
    let first = |seed| {
        let bytes = zone()
            .answer(
                query.as_bytes(),
                Transport::Udp,
                9,
                crowd(4),
                &mut rng(seed),
            )
            .unwrap();
        Response::parse(&query, &bytes).unwrap().addresses[0].address
    };
    let firsts: BTreeSet<IpAddr> = (0..50).map(first).collect();
    assert_eq!(firsts.len(), 4);
    assert_eq!(first(3), first(3));
}

#[test]
fn a_response_to_something_else_is_not_taken() {
    let name = format!("web.service.{DOMAIN}");
    let query = Query::new(5, &name, RecordKind::A, None).unwrap();
    let bytes = zone()
        .answer(query.as_bytes(), Transport::Udp, 9, find, &mut rng(0))
        .unwrap();
    let other = |id, name: &str, kind| Query::new(id, name, kind, None).unwrap();
    for other in [
        other(6, &name, RecordKind::A),
        other(5, &name, RecordKind::Srv),
        other(5, &format!("db.service.{DOMAIN}"), RecordKind::A),
    ] {
        assert_eq!(Response::parse(&other, &bytes), Err(DnsError::NotTheAnswer));
    }
    let echo = Response::parse(&query, query.as_bytes());
    assert_eq!(echo, Err(DnsError::NotTheAnswer));
    for length in 0..bytes.len() {
        assert!(Response::parse(&query, &bytes[..length]).is_err());
    }
    // An error that does not repeat the question is one all the same.
    let bare = [0, 5, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let code = Response::parse(&query, &bare).unwrap().code;
    assert_eq!(code, ResponseCode::FormatError);
}

#[test]
fn domains_that_leave_no_room_and_names_that_are_none_are_refused() {
    let zone = |domain: &str| {
        let domain = domain.to_owned();
        Zone::new(ZoneSettings {
            domain,
            ..ZoneSettings::default()
        })
    };
    let long = |labels: usize| vec!["a".repeat(58); labels].join(".");
    assert!(zone(&long(2)).is_ok() && zone("example.").is_ok());
    for bad in [&long(3), "a..b", &"a".repeat(64)] {
        assert!(matches!(zone(bad), Err(DnsError::Name { .. })), "{bad}");
    }
    let settings = ZoneSettings {
        udp_bytes_max: 511,
        ..ZoneSettings::default()
    };
    assert!(matches!(Zone::new(settings), Err(DnsError::Settings(_))));
    assert!(Query::new(1, "a..b", RecordKind::A, None).is_err());
}

proptest! {
    #[test]
    fn what_is_registered_comes_back_from_bytes(
        places in proptest::collection::btree_set((any::<u32>(), any::<bool>(), 1_u16..200), 1..12),
        service in "[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        tag in proptest::option::of("[a-z]([a-z0-9-]{0,61}[a-z0-9])?"),
        id: u16,
        seed: u64,
    ) {
        let instances: Vec<Arc<Instance>> = places
            .iter()
            .enumerate()
            .map(|(index, &(bits, is_six, port))| {
                let bits = bits | 1 << 24;
                let address = if is_six { format!("2001:db8::{:x}", bits & 0xffff) } else {
                    std::net::Ipv4Addr::from_bits(bits & 0x7fff_ffff).to_string()
                };
                instance(index, &address, port)
            })
            .collect();
        let (service, tag) = (label(&service), tag.as_deref().map(label));
        let name = service_name(&service, tag.as_ref(), DOMAIN);
        for kind in [RecordKind::A, RecordKind::Aaaa, RecordKind::Srv] {
            let query = Query::new(id, &name, kind, None).unwrap();
            let find = |asked: &Label, with: Option<&Label>| {
                assert_eq!((asked, with), (&service, tag.as_ref()));
                Found::Instances(instances.clone())
            };
            let bytes = zone()
                .answer(query.as_bytes(), Transport::Tcp, 9, find, &mut rng(seed))
                .unwrap();
            let response = Response::parse(&query, &bytes).unwrap();
            prop_assert!(!response.truncated);
            let sockets: BTreeSet<_> = response.sockets().into_iter().collect();
            let addresses: BTreeSet<_> = response.addresses.iter().map(|it| it.address).collect();
            let expected = |is_kind: fn(&IpAddr) -> bool| -> BTreeSet<IpAddr> {
                instances.iter().map(|it| it.address()).filter(is_kind).collect()
            };
            match kind {
                RecordKind::A => prop_assert_eq!(addresses, expected(IpAddr::is_ipv4)),
                RecordKind::Aaaa => prop_assert_eq!(addresses, expected(IpAddr::is_ipv6)),
                RecordKind::Srv => {
                    let expected: BTreeSet<_> = instances.iter().map(|it| it.socket()).collect();
                    prop_assert_eq!(sockets, expected);
                }
            }
        }
    }

    /// No bytes make it panic, and what it answers is a response to what was asked, and not too long.
    #[test]
    fn no_bytes_make_either_side_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        kind in 0_u16..260,
        with_opt: bool,
    ) {
        let mut changed = if with_opt {
            raw(0, kind, 1, [1, 0, 0, 1], &opt(4096, 0))
        } else {
            raw(0, kind, 1, ONE, &[])
        };
        for (place, byte) in flips {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        let query = Query::new(5, &format!("web.service.{DOMAIN}"), RecordKind::Srv, None).unwrap();
        for bytes in [&noise, &changed] {
            if let Some(answer) = zone().answer(bytes, Transport::Udp, 9, find, &mut rng(0)) {
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(answer[2] & 0x80 != 0 && answer.len() <= 1232);
                prop_assert!(domain::base::Message::from_octets(&answer[..]).is_ok());
            }
            let _ = Response::parse(&query, bytes);
        }
        // A response with some bytes changed.
        let mut answer = zone()
            .answer(query.as_bytes(), Transport::Udp, 9, find, &mut rng(0))
            .unwrap();
        for pair in noise.chunks_exact(2) {
            let place = pair[0] as usize % answer.len();
            answer[place] = pair[1];
            let _ = Response::parse(&query, &answer);
        }
    }
}
