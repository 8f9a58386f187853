//! One instance of a service: what is registered, and how it is kept in a key-value store.
//!
//! An instance is one key, `/services/<service>/<id>`, so that all of a service are one prefix, and one value, JSON. The
//! limits of metadata are those of Consul's service metadata.

use super::{Label, LabelError};
use crate::kv::{Key, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What the keys of all instances begin with.
pub const INSTANCES_PREFIX: &str = "/services/";

/// The greatest weight, as in HAProxy.
pub const WEIGHT_MAX: u16 = 256;
/// The most pairs of metadata.
pub const METADATA_PAIRS_MAX: usize = 64;
/// The longest key of metadata, in bytes.
pub const METADATA_KEY_BYTES_MAX: usize = 128;
/// The longest value of metadata, in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 512;
/// The most tags.
pub const TAGS_MAX: usize = 64;

/// An instance of a service, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Instance {
    service: Label,
    /// Unique among the instances of the service.
    id: Label,
    /// Neither unspecified nor a multicast address: something can be at it.
    address: IpAddr,
    /// Not zero.
    port: u16,
    tags: BTreeSet<Label>,
    metadata: BTreeMap<String, String>,
    /// 1 to [`WEIGHT_MAX`].
    weight: u16,
}

/// An instance as it is written, before it is known to be valid.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    service: Label,
    id: Label,
    address: IpAddr,
    port: u16,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<Label>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    weight: u16,
}

fn one() -> u16 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_one(weight: &u16) -> bool {
    *weight == 1
}

/// Why there can be no such instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// A name is not a label.
    #[error("{what}: {why}")]
    Name {
        /// What is named so.
        what: &'static str,
        /// What is wrong with it.
        why: LabelError,
    },
    /// Nothing can listen at this address.
    #[error("address {0}: expected the address of one host")]
    Address(IpAddr),
    /// Nothing can listen at port zero.
    #[error("port 0: expected 1 to 65535")]
    Port,
    /// The weight is out of its range.
    #[error("weight {0}: expected 1 to {WEIGHT_MAX}")]
    Weight(u16),
    /// There are too many tags.
    #[error("{0} tags: expected at most {TAGS_MAX}")]
    Tags(usize),
    /// There is too much metadata.
    #[error("{0} pairs of metadata: expected at most {METADATA_PAIRS_MAX}")]
    MetadataPairs(usize),
    /// A key of metadata is none.
    #[error(
        "metadata key `{0}`: expected 1 to {METADATA_KEY_BYTES_MAX} ASCII letters, digits, `-` and `_`"
    )]
    MetadataKey(String),
    /// A value of metadata is too long.
    #[error("metadata `{key}`: {bytes} bytes, expected at most {METADATA_VALUE_BYTES_MAX}")]
    MetadataValue {
        /// Its key.
        key: String,
        /// Its length.
        bytes: usize,
    },
    /// A key of the store is not one of an instance.
    #[error("key `{0}`: expected {INSTANCES_PREFIX}<service>/<id>")]
    Key(String),
    /// A value of the store is not one of an instance.
    #[error("value of `{key}`: {why}")]
    Value {
        /// The key that holds it.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value of the store is the one of another instance.
    #[error("value of `{key}`: it is the instance of `{belongs}`")]
    Misplaced {
        /// The key that holds it.
        key: String,
        /// The key where it belongs.
        belongs: String,
    },
}

impl Instance {
    /// An instance without tags or metadata, of weight 1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        service: &str,
        id: &str,
        address: IpAddr,
        port: u16,
    ) -> Result<Instance, InstanceError> {
        let name = |what, text| Label::new(text).map_err(|why| InstanceError::Name { what, why });
        Instance {
            service: name("service", service)?,
            id: name("id", id)?,
            address,
            port,
            tags: BTreeSet::new(),
            metadata: BTreeMap::new(),
            weight: 1,
        }
        .valid()
    }

    /// The same with these tags instead of its own.
    ///
    /// # Errors
    /// One that is no label, or too many.
    pub fn with_tags<'a>(
        mut self,
        tags: impl IntoIterator<Item = &'a str>,
    ) -> Result<Instance, InstanceError> {
        let tag = |text| Label::new(text).map_err(|why| InstanceError::Name { what: "tag", why });
        self.tags = tags.into_iter().map(tag).collect::<Result<_, _>>()?;
        self.valid()
    }

    /// The same with this metadata instead of its own.
    ///
    /// # Errors
    /// A key that is none, a value that is too long, or too many of them.
    pub fn with_metadata(
        mut self,
        metadata: BTreeMap<String, String>,
    ) -> Result<Instance, InstanceError> {
        self.metadata = metadata;
        self.valid()
    }

    /// The same with this weight: its share of requests, relative to the others.
    ///
    /// # Errors
    /// If it is not 1 to [`WEIGHT_MAX`]. An instance that is to get no requests is one in maintenance.
    pub fn with_weight(mut self, weight: u16) -> Result<Instance, InstanceError> {
        self.weight = weight;
        self.valid()
    }

    fn valid(self) -> Result<Instance, InstanceError> {
        if self.address.is_unspecified() || self.address.is_multicast() {
            return Err(InstanceError::Address(self.address));
        }
        if self.port == 0 {
            return Err(InstanceError::Port);
        }
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return Err(InstanceError::Weight(self.weight));
        }
        if self.tags.len() > TAGS_MAX {
            return Err(InstanceError::Tags(self.tags.len()));
        }
        if self.metadata.len() > METADATA_PAIRS_MAX {
            return Err(InstanceError::MetadataPairs(self.metadata.len()));
        }
        let is_key = |key: &str| {
            (1..=METADATA_KEY_BYTES_MAX).contains(&key.len())
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        for (key, value) in &self.metadata {
            if !is_key(key) {
                return Err(InstanceError::MetadataKey(key.clone()));
            }
            if value.len() > METADATA_VALUE_BYTES_MAX {
                return Err(InstanceError::MetadataValue {
                    key: key.clone(),
                    bytes: value.len(),
                });
            }
        }
        Ok(self)
    }

    /// The service that it is an instance of.
    pub fn service(&self) -> &Label {
        &self.service
    }

    /// Which instance of the service it is.
    pub fn id(&self) -> &Label {
        &self.id
    }

    /// The host that it is on.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The port that it listens at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// What it is known as beside its service.
    pub fn tags(&self) -> &BTreeSet<Label> {
        &self.tags
    }

    /// What else is to be known of it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Its share of requests, relative to the others.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// The key that it is kept at.
    pub fn key(&self) -> Key {
        Instance::key_of(&self.service, &self.id)
    }

    /// The key that such an instance is kept at.
    pub fn key_of(service: &Label, id: &Label) -> Key {
        format!("{INSTANCES_PREFIX}{service}/{id}").into()
    }

    /// What the keys of all instances of a service begin with, and no other key does.
    pub fn prefix_of(service: &Label) -> Key {
        format!("{INSTANCES_PREFIX}{service}/").into()
    }

    /// The service and the id that a key is for.
    ///
    /// # Errors
    /// If it is not the key of an instance.
    pub fn parse_key(key: &str) -> Result<(Label, Label), InstanceError> {
        key.strip_prefix(INSTANCES_PREFIX)
            .and_then(|rest| rest.split_once('/'))
            .and_then(|(service, id)| Some((Label::new(service).ok()?, Label::new(id).ok()?)))
            .ok_or_else(|| InstanceError::Key(key.to_owned()))
    }

    /// The value that is kept at its [key](Instance::key): the same text for equal instances.
    ///
    /// # Panics
    /// Never: there is nothing in an instance that JSON cannot say.
    pub fn encode(&self) -> Value {
        serde_json::to_string(self)
            .expect("keys are texts, and writing to a text does not fail")
            .into()
    }

    /// The instance that a key and its value are.
    ///
    /// # Errors
    /// If either is none, or the value belongs to another key.
    pub fn decode(key: &str, value: &str) -> Result<Instance, InstanceError> {
        Instance::parse_key(key)?;
        let instance: Instance =
            serde_json::from_str(value).map_err(|error| InstanceError::Value {
                key: key.to_owned(),
                why: error.to_string(),
            })?;
        let belongs = instance.key();
        if *belongs == *key {
            Ok(instance)
        } else {
            let (key, belongs) = (key.to_owned(), belongs.as_ref().to_owned());
            Err(InstanceError::Misplaced { key, belongs })
        }
    }
}

impl TryFrom<Written> for Instance {
    type Error = InstanceError;
    fn try_from(written: Written) -> Result<Instance, InstanceError> {
        Instance {
            service: written.service,
            id: written.id,
            address: written.address,
            port: written.port,
            tags: written.tags,
            metadata: written.metadata,
            weight: written.weight,
        }
        .valid()
    }
}

impl From<Instance> for Written {
    fn from(instance: Instance) -> Written {
        Written {
            service: instance.service,
            id: instance.id,
            address: instance.address,
            port: instance.port,
            tags: instance.tags,
            metadata: instance.metadata,
            weight: instance.weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn web() -> Instance {
        Instance::new("web", "web-1", Ipv4Addr::new(10, 0, 0, 1).into(), 80).unwrap()
    }

    #[test]
    fn what_nothing_can_listen_at_is_refused() {
        let new = |service, id, address: &str, port| {
            Instance::new(service, id, address.parse().unwrap(), port)
        };
        assert!(matches!(
            new("Web", "w", "10.0.0.1", 80),
            Err(InstanceError::Name {
                what: "service",
                ..
            })
        ));
        assert!(matches!(
            new("web", "", "10.0.0.1", 80),
            Err(InstanceError::Name { what: "id", .. })
        ));
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
            let refused = new("web", "w", address, 80).unwrap_err();
            assert_eq!(refused, InstanceError::Address(address.parse().unwrap()));
        }
        assert_eq!(new("web", "w", "::1", 0), Err(InstanceError::Port));
    }

    #[test]
    fn limits_hold_to_the_last_byte() {
        let metadata =
            |key: String, value: String| web().with_metadata(BTreeMap::from([(key, value)]));
        assert!(metadata("k".repeat(128), "v".repeat(512)).is_ok());
        assert!(matches!(
            metadata("k".repeat(129), String::new()),
            Err(InstanceError::MetadataKey(_))
        ));
        for key in ["", "a b", "\u{e4}"] {
            assert_eq!(
                metadata(key.into(), String::new()),
                Err(InstanceError::MetadataKey(key.into()))
            );
        }
        assert_eq!(
            metadata("k".into(), "v".repeat(513)),
            Err(InstanceError::MetadataValue {
                key: "k".into(),
                bytes: 513
            })
        );
        let pairs = |count| {
            (0..count)
                .map(|n| (format!("k{n}"), String::new()))
                .collect()
        };
        assert!(web().with_metadata(pairs(64)).is_ok());
        assert_eq!(
            web().with_metadata(pairs(65)),
            Err(InstanceError::MetadataPairs(65))
        );
        let tags: Vec<String> = (0..65).map(|n| format!("t{n}")).collect();
        assert_eq!(
            web().with_tags(tags.iter().map(String::as_str)),
            Err(InstanceError::Tags(65))
        );
        for (weight, is_good) in [(0, false), (1, true), (256, true), (257, false)] {
            assert_eq!(web().with_weight(weight).is_ok(), is_good, "{weight}");
        }
    }

    #[test]
    fn the_prefix_of_a_service_has_its_instances_and_no_others() {
        let web = Label::new("web").unwrap();
        let key = |service: &str| Instance::key_of(&service.parse().unwrap(), &web);
        let prefix = Instance::prefix_of(&web);
        assert!(key("web").starts_with(&*prefix));
        assert!(!key("web-2").starts_with(&*prefix) && !key("we").starts_with(&*prefix));
        for bad in [
            "",
            "/services/",
            "/services/web",
            "/services/web/",
            "/services//web",
            "/services/web/a/b",
            "/service/web/a",
            "services/web/a",
            "/services/Web/a",
        ] {
            let refused = Instance::parse_key(bad);
            assert_eq!(refused, Err(InstanceError::Key(bad.into())));
        }
    }

    #[test]
    fn a_value_that_is_none_or_belongs_elsewhere_is_refused() {
        let (key, value) = (web().key(), web().encode());
        assert_eq!(
            &*value,
            r#"{"service":"web","id":"web-1","address":"10.0.0.1","port":80}"#
        );
        assert!(matches!(
            Instance::decode("/services/web/web-2", &value),
            Err(InstanceError::Misplaced { .. })
        ));
        for bad in [
            "",
            "{}",
            r#"{"service":"web","id":"web-1","address":"10.0.0.1","port":0}"#,
            r#"{"service":"web","id":"web-1","address":"10.0.0.1","port":80,"color":"red"}"#,
            r#"{"service":"web","id":"web-1","address":"10.0.0.1","port":80,"weight":0}"#,
            r#"{"service":"web","id":"web-1","address":"web","port":80}"#,
        ] {
            let refused = Instance::decode(&key, bad).unwrap_err();
            assert!(matches!(refused, InstanceError::Value { .. }), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_instance_survives_the_store(
            service in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?",
            id in "[a-z0-9]{1,63}",
            address in any::<[u8; 4]>().prop_map(IpAddr::from),
            six in any::<[u8; 16]>().prop_map(IpAddr::from),
            is_six in any::<bool>(),
            port in 1..=u16::MAX,
            tags in proptest::collection::btree_set("[a-z]{1,5}", 0..5),
            metadata in proptest::collection::btree_map("[A-Za-z0-9_-]{1,8}", ".{0,20}", 0..5),
            weight in 1..=WEIGHT_MAX,
        ) {
            let address = if is_six { six } else { address };
            prop_assume!(!address.is_unspecified() && !address.is_multicast());
            let instance = Instance::new(&service, &id, address, port)
                .and_then(|it| it.with_tags(tags.iter().map(String::as_str)))
                .and_then(|it| it.with_metadata(metadata))
                .and_then(|it| it.with_weight(weight))
                .unwrap();
            let key = instance.key();
            let back = Instance::decode(&key, &instance.encode());
            prop_assert_eq!(back.as_ref(), Ok(&instance));
            let (service, id) = Instance::parse_key(&key).unwrap();
            prop_assert_eq!((&service, &id), (instance.service(), instance.id()));
        }

        #[test]
        fn no_text_makes_it_panic(key in ".{0,40}", value in ".{0,80}") {
            let _ = Instance::decode(&key, &value);
            let _ = Instance::decode("/services/a/b", &value);
        }
    }
}
