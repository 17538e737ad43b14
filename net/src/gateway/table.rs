//! The table of served APIs: key, versions, request class.
//!
//! What stands here is what ApiVersions advertises and what the dispatcher accepts, so that the
//! two cannot differ. The one deliberate exception is Produce: it advertises from version 0 and
//! refuses 0 to 2, because librdkafka stops compressing when the advertised minimum is above 0
//! (KAFKA-18659, librdkafka#4956).
//!
//! The floor of each range is Kafka 4.0's (KIP-896). A key that is missing here closes the
//! connection, as in Kafka. Group and transaction keys are not served yet, on purpose: clients
//! switch features on by the presence of keys, so a key without its service would mislead them.

use crate::conn::pipeline::Class;

/// Kafka's API keys that are served, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the documentation: Kafka's own
pub enum Key {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    FindCoordinator = 10,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    IncrementalAlterConfigs = 44,
    DescribeCluster = 60,
}

/// One served API.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its key.
    pub key: Key,
    /// First version served.
    pub version_min: i16,
    /// Last version served.
    pub version_max: i16,
    /// First version advertised; equals `version_min` but for Produce.
    pub advertised_min: i16,
    /// First version with the flexible header (request header v2, KIP-482).
    pub flexible_from: i16,
    /// How a request of it relates to its neighbours on a connection.
    pub class: Class,
}

const fn api(
    key: Key,
    version_min: i16,
    version_max: i16,
    flexible_from: i16,
    class: Class,
) -> Api {
    Api { key, version_min, version_max, advertised_min: version_min, flexible_from, class }
}

/// Every served API, in key order.
pub const APIS: &[Api] = &[
    Api { advertised_min: 0, ..api(Key::Produce, 3, 13, 9, Class::Produce) },
    api(Key::Fetch, 4, 16, 12, Class::Read),
    api(Key::ListOffsets, 1, 7, 6, Class::Read),
    api(Key::Metadata, 0, 13, 9, Class::Lookup),
    api(Key::FindCoordinator, 0, 5, 3, Class::Lookup),
    api(Key::ApiVersions, 0, 4, 3, Class::Lookup),
    api(Key::CreateTopics, 2, 7, 5, Class::Exclusive),
    api(Key::DeleteTopics, 1, 6, 4, Class::Exclusive),
    api(Key::InitProducerId, 0, 5, 2, Class::Lookup),
    api(Key::OffsetForLeaderEpoch, 2, 4, 4, Class::Read),
    api(Key::DescribeConfigs, 1, 4, 4, Class::Lookup),
    api(Key::AlterConfigs, 0, 2, 2, Class::Exclusive),
    api(Key::IncrementalAlterConfigs, 0, 1, 1, Class::Exclusive),
    api(Key::DescribeCluster, 0, 2, 0, Class::Lookup),
];

/// What the dispatcher does with a (key, version).
#[derive(Clone, Copy, Debug)]
pub enum Lookup {
    /// Serve it.
    Served(&'static Api),
    /// ApiVersions at a version nobody knows: answered in the v0 layout with code 35 (KIP-511).
    UnknownApiVersions,
    /// The key is served, this version is not: close.
    VersionNotServed(&'static Api),
    /// The key is not served: close.
    KeyNotServed,
}

/// Finds what to do with a request's key and version.
#[must_use]
pub fn look_up(key: i16, version: i16) -> Lookup {
    let Some(api) = APIS.iter().find(|api| api.key as i16 == key) else {
        return Lookup::KeyNotServed;
    };
    if (api.version_min..=api.version_max).contains(&version) {
        Lookup::Served(api)
    } else if api.key == Key::ApiVersions {
        Lookup::UnknownApiVersions
    } else {
        Lookup::VersionNotServed(api)
    }
}

impl Api {
    /// Whether requests and answers of this version use compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_once_in_order_with_sane_ranges() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in APIS {
            assert!(0 <= api.advertised_min && api.advertised_min <= api.version_min);
            assert!(api.version_min <= api.version_max, "{api:?}");
            let honest = api.advertised_min == api.version_min;
            assert_eq!(honest, api.key != Key::Produce, "{api:?}");
        }
    }

    #[test]
    fn each_pair_has_one_answer() {
        assert!(matches!(look_up(0, 3), Lookup::Served(api) if api.key == Key::Produce));
        assert!(matches!(look_up(0, 2), Lookup::VersionNotServed(_)));
        assert!(matches!(look_up(1, 99), Lookup::VersionNotServed(_)));
        assert!(matches!(look_up(18, 99), Lookup::UnknownApiVersions));
        assert!(matches!(look_up(18, -1), Lookup::UnknownApiVersions));
        for key in [-1, 4, 52, 94, 95, i16::MAX] {
            assert!(matches!(look_up(key, 0), Lookup::KeyNotServed), "{key}");
        }
    }
}
