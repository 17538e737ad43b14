//! Kafka's rules for topic names.

use super::{ControllerError, NameFault};
use crate::image::ClusterImage;

/// Kafka's longest topic name.
const NAME_CHARACTERS_MAX: usize = 249;

/// Checks a topic name by Kafka's rules; also what Metadata answers 17 by.
///
/// # Errors
/// [`ControllerError::InvalidTopicName`].
pub fn check_topic_name(name: &str) -> Result<(), ControllerError> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => {
            let name = name.chars().take(NAME_CHARACTERS_MAX).collect();
            Err(ControllerError::InvalidTopicName { name, fault })
        }
    }
}

fn fault(name: &str) -> Option<NameFault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Some(NameFault::Empty),
        "." | ".." => Some(NameFault::Dots),
        _ if !name.bytes().all(allowed) => Some(NameFault::Character),
        _ if name.len() > NAME_CHARACTERS_MAX => Some(NameFault::TooLong),
        _ => None,
    }
}

/// The form under which two names are one: metric names cannot hold dots, Kafka writes `_` there.
pub(super) fn collision_form(name: &str) -> String {
    name.replace('.', "_")
}

/// A topic of the image that `name` collides with: another name of the same [`collision_form`].
///
/// Names without `.` and `_` collide with nothing, and only they are cheap: the others walk all
/// topics, which is what creation of a topic may cost.
pub(super) fn colliding<'a>(image: &'a ClusterImage, name: &str) -> Option<&'a str> {
    if !name.contains(['.', '_']) {
        return None;
    }
    let form = collision_form(name);
    let same_form = |other: &str| other != name && collision_form(other) == form;
    image.topics().map(|topic| &*topic.name).find(|other| same_form(other))
}
