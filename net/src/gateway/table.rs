//! How the requests of each served API relate to their neighbours on a connection.
//!
//! Which keys and versions are served stands in `wire::api`; this table adds the class. A key that
//! is served without a row here does not compile its way into a release: the test below holds the
//! two tables against each other.

use crate::conn::pipeline::Class;
use crate::wire::api::ApiKey;

/// The class of each served API.
const CLASSES: &[(ApiKey, Class)] = &[
    (ApiKey::PRODUCE, Class::Produce),
    (ApiKey::FETCH, Class::Read),
    (ApiKey::LIST_OFFSETS, Class::Read),
    (ApiKey::METADATA, Class::Lookup),
    (ApiKey::OFFSET_COMMIT, Class::Lookup),
    (ApiKey::OFFSET_FETCH, Class::Lookup),
    (ApiKey::FIND_COORDINATOR, Class::Lookup),
    (ApiKey::JOIN_GROUP, Class::Lookup),
    (ApiKey::HEARTBEAT, Class::Lookup),
    (ApiKey::LEAVE_GROUP, Class::Lookup),
    (ApiKey::SYNC_GROUP, Class::Lookup),
    (ApiKey::DESCRIBE_GROUPS, Class::Lookup),
    (ApiKey::LIST_GROUPS, Class::Lookup),
    (ApiKey::API_VERSIONS, Class::Lookup),
    (ApiKey::CREATE_TOPICS, Class::Exclusive),
    (ApiKey::DELETE_TOPICS, Class::Exclusive),
    (ApiKey::DELETE_RECORDS, Class::Exclusive),
    (ApiKey::INIT_PRODUCER_ID, Class::Lookup),
    (ApiKey::OFFSET_FOR_LEADER_EPOCH, Class::Read),
    (ApiKey::DESCRIBE_CONFIGS, Class::Lookup),
    (ApiKey::ALTER_CONFIGS, Class::Exclusive),
    (ApiKey::CREATE_PARTITIONS, Class::Exclusive),
    (ApiKey::DELETE_GROUPS, Class::Exclusive),
    (ApiKey::INCREMENTAL_ALTER_CONFIGS, Class::Exclusive),
    (ApiKey::OFFSET_DELETE, Class::Exclusive),
    (ApiKey::DESCRIBE_CLUSTER, Class::Lookup),
    (ApiKey::CONSUMER_GROUP_HEARTBEAT, Class::Lookup),
    (ApiKey::CONSUMER_GROUP_DESCRIBE, Class::Lookup),
    (ApiKey::LIST_CONFIG_RESOURCES, Class::Lookup),
];

/// The class of `key`; a key without a row runs alone, which is always safe.
#[must_use]
pub fn class(key: ApiKey) -> Class {
    CLASSES.iter().find(|row| row.0 == key).map_or(Class::Exclusive, |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::APIS;

    #[test]
    fn every_served_api_has_its_class_and_no_other_has_one() {
        let served: Vec<ApiKey> = APIS.iter().map(|api| api.key).collect();
        let classed: Vec<ApiKey> = CLASSES.iter().map(|row| row.0).collect();
        assert_eq!(served, classed);
    }
}
