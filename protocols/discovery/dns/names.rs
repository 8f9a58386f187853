//! Which name asks for what.

use crate::discovery::Label;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name of a service, or of those of its instances that have a tag, in a domain.
pub fn service_name(service: &Label, tag: Option<&Label>, domain: &str) -> String {
    match tag {
        Some(tag) => format!("{tag}.{service}.service.{domain}"),
        None => format!("{service}.service.{domain}"),
    }
}

/// The name of a service's SRV records in the form of RFC 2782. The protocol is `tcp`, `udp` or a tag.
pub fn srv_name(service: &Label, protocol: &Label, domain: &str) -> String {
    format!("_{service}._{protocol}.service.{domain}")
}

/// What a name below a domain asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The domain itself.
    Domain,
    /// A name without records, below which there are some.
    NothingHere,
    /// Instances.
    Service {
        service: Label,
        tag: Option<Label>,
        /// Whether the name has no other records than SRV.
        srv_only: bool,
    },
    /// An address, which is the name.
    Address(IpAddr),
    /// There is no such name.
    NoSuchName,
}

/// What the labels of a name ask for, those of the domain left out. In lower case.
pub(super) fn parse(labels: &[&str]) -> Asked {
    match labels {
        [] => Asked::Domain,
        ["service" | "addr"] => Asked::NothingHere,
        [address, "addr"] => parse_address(address).map_or(Asked::NoSuchName, Asked::Address),
        [name, "service"] => match (Label::new(name), underscored(name)) {
            (Ok(service), _) => Asked::Service {
                service,
                tag: None,
                srv_only: false,
            },
            (_, Some(_)) => Asked::NothingHere,
            _ => Asked::NoSuchName,
        },
        [first, second, "service"] => parse_pair(first, second).unwrap_or(Asked::NoSuchName),
        _ => Asked::NoSuchName,
    }
}

fn parse_pair(first: &str, second: &str) -> Option<Asked> {
    if let Some(protocol) = underscored(second) {
        let any = matches!(protocol.as_str(), "tcp" | "udp");
        return Some(Asked::Service {
            service: underscored(first)?,
            tag: (!any).then_some(protocol),
            srv_only: true,
        });
    }
    Some(Asked::Service {
        service: Label::new(second).ok()?,
        tag: Some(Label::new(first).ok()?),
        srv_only: false,
    })
}

fn underscored(label: &str) -> Option<Label> {
    Label::new(label.strip_prefix('_')?).ok()
}

/// The label below `addr` of an address: all of its bytes in hexadecimal.
pub(super) fn address_label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08x}", address.to_bits()),
        IpAddr::V6(address) => format!("{:032x}", address.to_bits()),
    }
}

/// The address of such a label.
pub(super) fn parse_address(label: &str) -> Option<IpAddr> {
    // As `from_str_radix` would take a sign.
    if !label.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match label.len() {
        8 => {
            let bits = u32::from_str_radix(label, 16).ok()?;
            Some(Ipv4Addr::from_bits(bits).into())
        }
        32 => {
            let bits = u128::from_str_radix(label, 16).ok()?;
            Some(Ipv6Addr::from_bits(bits).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn names_ask_for_what_they_are_made_for() {
        let (web, v2) = (label("web"), label("v2"));
        for (name, tag, srv_only) in [
            (service_name(&web, None, "x"), None, false),
            (service_name(&web, Some(&v2), "x"), Some(v2.clone()), false),
            (srv_name(&web, &label("tcp"), "x"), None, true),
            (srv_name(&web, &label("udp"), "x"), None, true),
            (srv_name(&web, &v2, "x"), Some(v2.clone()), true),
        ] {
            let labels: Vec<&str> = name.strip_suffix(".x").unwrap().split('.').collect();
            let service = web.clone();
            let asked = Asked::Service {
                service,
                tag,
                srv_only,
            };
            assert_eq!(parse(&labels), asked, "{name}");
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        assert_eq!(parse(&[]), Asked::Domain);
        for empty in [&["service"][..], &["addr"], &["_tcp", "service"]] {
            assert_eq!(parse(empty), Asked::NothingHere, "{empty:?}");
        }
        for none in [
            &["web"][..],
            &["we_b", "service"],
            &["_", "service"],
            &["web", "_tcp", "service"],
            &["_web", "tcp", "service"],
            &["a", "b", "web", "service"],
            &["web", "node"],
            &["0a00001", "addr"],
            &["+a000001", "addr"],
            &["x", "0a000001", "addr"],
        ] {
            assert_eq!(parse(none), Asked::NoSuchName, "{none:?}");
        }
    }

    #[test]
    fn an_address_is_its_own_name() {
        for text in ["10.0.0.1", "255.255.255.255", "::1", "2001:db8::ff"] {
            let address: IpAddr = text.parse().unwrap();
            let label = address_label(address);
            assert_eq!(parse(&[&label, "addr"]), Asked::Address(address));
        }
    }
}
