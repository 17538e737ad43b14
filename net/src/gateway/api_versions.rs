//! ApiVersions: what is served, and which features are finalized.
//!
//! Any version of the request is answered (KIP-511). The answer's tagged fields are left out where
//! they hold their defaults; that is the codec's rule, and it matters here: librdkafka before 2.2
//! cannot skip them.

use super::Call;
use super::report::clip;
use super::request::Handled;
use crate::wire::api::{APIS, Api, ApiKey};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use replication::controller::FEATURES;

/// From this version on, features that start at level 0 may be named (KAFKA-17011).
const FEATURES_FROM_ZERO: i16 = 4;

pub(super) fn handle(call: &Call) -> Handled {
    let head = &call.head;
    if !head.api.serves(head.version) {
        let answer = ApiVersionsResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION.0,
            api_keys: APIS.iter().filter(|api| api.key == ApiKey::API_VERSIONS).map(row).collect(),
            ..ApiVersionsResponse::default()
        };
        return head.answer_in(0, &answer, Vec::new(), Vec::new());
    }
    let decoded = head.decode::<ApiVersionsRequest<'_>>(&call.frame.bytes)?;
    call.gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    if head.version >= 3 {
        let (name, version) = (request.client_software_name, request.client_software_version);
        if !is_software_name(name) || !is_software_name(version) {
            let answer = ApiVersionsResponse {
                error_code: ErrorCode::INVALID_REQUEST.0,
                ..ApiVersionsResponse::default()
            };
            return head.answer(&answer);
        }
        *call.client.software.borrow_mut() = Some((clip(name), clip(version)));
    }
    head.answer(&served(call))
}

fn served(call: &Call) -> ApiVersionsResponse<'static> {
    let mut answer = ApiVersionsResponse {
        api_keys: APIS.iter().map(row).collect(),
        ..ApiVersionsResponse::default()
    };
    let version = call.head.version;
    if version < 3 {
        return answer;
    }
    let shown = |min: i16| min > 0 || version >= FEATURES_FROM_ZERO;
    for feature in FEATURES.iter().filter(|feature| shown(feature.min)) {
        answer.supported_features.push(SupportedFeatureKey {
            name: feature.name.into(),
            min_version: feature.min,
            max_version: feature.max,
        });
    }
    let image = call.gateway.image();
    for (name, level) in image.features().filter(|(_, level)| *level > 0) {
        answer.finalized_features.push(FinalizedFeatureKey {
            name: name.to_owned().into(),
            max_version_level: level,
            min_version_level: level,
        });
    }
    if !answer.finalized_features.is_empty() {
        answer.finalized_features_epoch = 0;
    }
    answer
}

fn row(api: &Api) -> ApiVersion {
    ApiVersion { api_key: api.key.0, min_version: api.advertised_min, max_version: api.version_max }
}

/// Kafka's pattern for software names and versions: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kafkas_pattern() {
        for good in ["a", "librdkafka", "apache-kafka-java", "2.15.0", "1"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".a", "a b", "a_b", "ä", "a/b"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
