//! A member's heartbeat in the consumer protocol (KIP-848): joining, reporting and leaving are one request.

use net::wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, consumer_group_heartbeat_request,
};

use super::admin::AdminError;
use super::member::{Member, REBALANCE_TIMEOUT, check};
use super::request::TopicName;

/// Member epoch of a member that leaves for good.
const LEAVES: i32 = -1;
/// Member epoch of a static member that will be back.
const AWAY: i32 = -2;

/// What a heartbeat says.
#[derive(Clone, Copy, Debug)]
pub struct Beat<'b> {
    /// The topic subscribed to.
    pub topic: &'b TopicName,
    /// Partitions that the member owns; `None` if that is what it said last.
    pub owned: Option<&'b [i32]>,
    /// Says everything, as after an answer that did not come; `owned` has to be there.
    pub is_full: bool,
}

impl Member {
    /// Shows a sign of life, and joins if it is in no epoch. Partitions of the topic that it is
    /// assigned, if they have changed; its epoch is `generation`.
    ///
    /// # Errors
    /// [`AdminError`]; after `Lost` it may have been heard.
    pub async fn beat(&mut self, beat: Beat<'_>) -> Result<Option<Vec<i32>>, AdminError> {
        let version = self.dialect.beat;
        if self.id.is_empty() && version >= 1 {
            let number = self.dial.draw(engine::rt::sim::Random::next_u64);
            self.id = format!("{}-{number:016x}", self.dial.who);
        }
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: &group,
            member_id: &id,
            member_epoch: self.generation,
            instance_id: instance.as_deref(),
            topic_partitions: beat.owned.map(|owned| partitions(beat.topic, owned)),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        if beat.is_full || self.generation == 0 {
            request.rebalance_timeout_ms = REBALANCE_TIMEOUT.as_millis() as i32;
            request.subscribed_topic_names = Some(vec![&beat.topic.name]);
        }
        let frame = self.ask(version, &request, self.dial.patience).await?;
        let answer: ConsumerGroupHeartbeatResponse<'_> = self.read(&frame, version)?;
        check(answer.error_code)?;
        if let Some(given) = &answer.member_id {
            self.id = given.to_string();
        }
        self.generation = answer.member_epoch;
        let assigned = answer.assignment.map(|assignment| {
            let topics = assignment.topic_partitions.into_iter();
            let topics = topics.filter(|topic| topic.topic_id == beat.topic.id.0);
            topics.flat_map(|topic| topic.partitions).collect()
        });
        Ok(assigned)
    }

    /// Leaves for good, or as a static member that will be back.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn beat_goodbye(&mut self, for_good: bool) -> Result<(), AdminError> {
        let version = self.dialect.beat;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let request = ConsumerGroupHeartbeatRequest {
            group_id: &group,
            member_id: &id,
            member_epoch: if for_good || instance.is_none() { LEAVES } else { AWAY },
            instance_id: instance.as_deref(),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let frame = self.ask(version, &request, self.dial.patience).await?;
        check(self.read::<ConsumerGroupHeartbeatResponse<'_>>(&frame, version)?.error_code)
    }
}

fn partitions(
    topic: &TopicName,
    owned: &[i32],
) -> Vec<consumer_group_heartbeat_request::TopicPartitions> {
    if owned.is_empty() {
        return Vec::new();
    }
    let (topic_id, partitions) = (topic.id.0, owned.to_vec());
    vec![consumer_group_heartbeat_request::TopicPartitions { topic_id, partitions }]
}
