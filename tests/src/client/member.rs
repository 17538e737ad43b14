//! A member of a consumer group of the classic protocol: joining, syncing, staying alive, committing,
//! leaving. What the consumer protocol has instead of the first three is in `beat`.
//!
//! One request at a time on one connection, as Kafka's clients talk to a coordinator. What the answers
//! mean for the member is the actor's business; here they become values.

use std::time::Duration;

use net::wire::errors::ErrorCode;
use net::wire::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupRequest, SyncGroupResponse, join_group_request, leave_group_request,
    offset_commit_request, offset_fetch_request, sync_group_request,
};
use net::wire::{Message, Request};

use super::admin::AdminError;
use super::connection::{Connection, Lost};
use super::dial::Dial;
use super::request::decode;

/// Kafka's `max.poll.interval.ms` here: how long a rebalance waits for a member.
pub const REBALANCE_TIMEOUT: Duration = Duration::from_secs(3);
/// `session.timeout.ms`.
pub const SESSION_TIMEOUT: Duration = Duration::from_millis(1_500);

type Result<T> = std::result::Result<T, AdminError>;

/// Versions that a member speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    join: i16,
    sync: i16,
    heartbeat: i16,
    leave: i16,
    commit: i16,
    fetch: i16,
    find: i16,
    /// ConsumerGroupHeartbeat.
    pub(super) beat: i16,
}

impl Dialect {
    fn draw(dial: &Dial, is_static: bool) -> Self {
        dial.draw(|random| {
            let mut pick = |from: u64, to: u64| random.range(from..to + 1) as i16;
            let oldest =
                |old: u64, with_instances: u64| if is_static { with_instances } else { old };
            Self {
                join: pick(oldest(0, 5), 9),
                sync: pick(oldest(0, 3), 5),
                heartbeat: pick(oldest(0, 3), 4),
                leave: pick(oldest(0, 3), 5),
                commit: pick(oldest(2, 7), 9),
                fetch: pick(1, 9),
                find: pick(0, 5),
                beat: pick(0, 1),
            }
        })
    }
}

/// What a JoinGroup brought.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Everybody's member id and metadata, for the leader; else nobody's.
    pub members: Vec<(String, Vec<u8>)>,
    /// Whether this member leads.
    pub is_leader: bool,
}

/// A member, between its first JoinGroup and its last answer.
pub struct Member {
    pub(super) dial: Dial,
    connection: Option<Connection>,
    pub(super) dialect: Dialect,
    pub(super) group: String,
    pub(super) instance: Option<String>,
    /// Whether it speaks the consumer protocol.
    is_consumer: bool,
    /// Its id; empty before it has one.
    pub id: String,
    /// The generation that it joined, -1 before; in the consumer protocol the member epoch, 0 before.
    pub generation: i32,
}

impl Member {
    /// Somebody who may join `group`, as the static member `instance` if it is given.
    #[must_use]
    pub fn new(dial: Dial, group: &str, instance: Option<String>) -> Self {
        let dialect = Dialect::draw(&dial, instance.is_some());
        let (group, id) = (group.to_owned(), String::new());
        let (connection, is_consumer, generation) = (None, false, -1);
        Self { dial, connection, dialect, group, instance, is_consumer, id, generation }
    }

    /// The same, in the consumer protocol (KIP-848).
    #[must_use]
    pub fn of_consumer_protocol(dial: Dial, group: &str, instance: Option<String>) -> Self {
        let mut member = Self::new(dial, group, instance);
        // The versions that know member epochs.
        (member.dialect.commit, member.dialect.fetch) = (9, 9);
        (member.is_consumer, member.generation) = (true, 0);
        member
    }

    /// The client's surroundings.
    #[must_use]
    pub fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Gives the connection up, as a client that dies does.
    pub fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abandon();
        }
    }

    /// Forgets who it is.
    pub fn forget(&mut self) {
        self.id = String::new();
        self.generation = if self.is_consumer { 0 } else { -1 };
    }

    pub(super) async fn ask<'a, M: Message<'a> + Request>(
        &mut self,
        version: i16,
        request: &M,
        patience: Duration,
    ) -> Result<Vec<u8>> {
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            self.connection = Some(self.dial.once().await?);
        }
        let connection = self.connection.clone().expect("connected above");
        Ok(connection.call(version, request, patience).await?)
    }

    pub(super) fn read<'a, M: Message<'a>>(&self, frame: &'a [u8], version: i16) -> Result<M> {
        decode(frame, version).map_err(|Lost| {
            let what = format!("{}: an answer that cannot be read: {frame:02x?}", self.dial.who);
            self.dial.history.misbehaved("answer-malformed", what);
            AdminError::Lost
        })
    }

    /// Asks who coordinates the group; there is but one broker.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn find_coordinator(&mut self) -> Result<()> {
        let (version, group) = (self.dialect.find, self.group.clone());
        let mut request = FindCoordinatorRequest::default();
        if version >= 4 {
            request.coordinator_keys.push(&group);
        } else {
            request.key = &group;
        }
        let frame = self.ask(version, &request, self.dial.patience).await?;
        let answer: FindCoordinatorResponse<'_> = self.read(&frame, version)?;
        check(answer.coordinators.first().map_or(answer.error_code, |row| row.error_code))
    }

    /// Joins, with the id that it is given on the way if need be.
    ///
    /// # Errors
    /// [`AdminError`]; after `Lost` it may be a member.
    pub async fn join(&mut self, metadata: &[u8]) -> Result<Joined> {
        match self.join_once(metadata).await {
            Err(AdminError::Code(ErrorCode::MEMBER_ID_REQUIRED)) => self.join_once(metadata).await,
            other => other,
        }
    }

    async fn join_once(&mut self, metadata: &[u8]) -> Result<Joined> {
        let version = self.dialect.join;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let protocol = join_group_request::JoinGroupRequestProtocol { name: "simulated", metadata };
        let request = JoinGroupRequest {
            group_id: &group,
            session_timeout_ms: SESSION_TIMEOUT.as_millis() as i32,
            rebalance_timeout_ms: if version >= 1 {
                REBALANCE_TIMEOUT.as_millis() as i32
            } else {
                -1
            },
            member_id: &id,
            group_instance_id: instance.as_deref(),
            protocol_type: "consumer",
            protocols: vec![protocol],
            reason: None,
        };
        // The answer comes when everybody has joined, or the slowest one's time is over.
        let patience = self.dial.patience + 2 * REBALANCE_TIMEOUT;
        let frame = self.ask(version, &request, patience).await?;
        let answer: JoinGroupResponse<'_> = self.read(&frame, version)?;
        let code = ErrorCode(answer.error_code);
        if code == ErrorCode::MEMBER_ID_REQUIRED || code == ErrorCode::NONE {
            self.id = answer.member_id.to_string();
        }
        check(answer.error_code)?;
        self.generation = answer.generation_id;
        let members = answer.members.iter();
        let members = members.map(|one| (one.member_id.to_string(), one.metadata.to_vec()));
        Ok(Joined { members: members.collect(), is_leader: answer.leader == answer.member_id })
    }

    /// Asks for its assignment; the leader says everybody's.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn sync(&mut self, assignments: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
        let version = self.dialect.sync;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let assignments = assignments.iter().map(|(member_id, assignment)| {
            sync_group_request::SyncGroupRequestAssignment { member_id, assignment }
        });
        let request = SyncGroupRequest {
            group_id: &group,
            generation_id: self.generation,
            member_id: &id,
            group_instance_id: instance.as_deref(),
            protocol_type: (version >= 5).then_some("consumer"),
            protocol_name: (version >= 5).then_some("simulated"),
            assignments: assignments.collect(),
        };
        let patience = self.dial.patience + 2 * REBALANCE_TIMEOUT;
        let frame = self.ask(version, &request, patience).await?;
        let answer: SyncGroupResponse<'_> = self.read(&frame, version)?;
        check(answer.error_code)?;
        Ok(answer.assignment.to_vec())
    }

    /// Shows a sign of life.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn heartbeat(&mut self) -> Result<()> {
        let version = self.dialect.heartbeat;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let request = HeartbeatRequest {
            group_id: &group,
            generation_id: self.generation,
            member_id: &id,
            group_instance_id: instance.as_deref(),
        };
        let frame = self.ask(version, &request, self.dial.patience).await?;
        check(self.read::<HeartbeatResponse>(&frame, version)?.error_code)
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn leave(&mut self) -> Result<()> {
        let version = self.dialect.leave;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let mut request = LeaveGroupRequest { group_id: &group, ..LeaveGroupRequest::default() };
        if version >= 3 {
            request.members.push(leave_group_request::MemberIdentity {
                member_id: &id,
                group_instance_id: instance.as_deref(),
                reason: None,
            });
        } else {
            request.member_id = &id;
        }
        let frame = self.ask(version, &request, self.dial.patience).await?;
        let answer: LeaveGroupResponse<'_> = self.read(&frame, version)?;
        check(answer.error_code)?;
        check(answer.members.first().map_or(0, |member| member.error_code))
    }

    /// Commits offsets of partitions of one topic, all or (by the first error) none.
    ///
    /// # Errors
    /// [`AdminError`]; after `Lost` they may be committed.
    pub async fn commit(&mut self, topic: &str, offsets: &[(i32, i64)]) -> Result<()> {
        let version = self.dialect.commit;
        let (group, id, instance) = (self.group.clone(), self.id.clone(), self.instance.clone());
        let partitions = offsets.iter().map(|&(partition_index, committed_offset)| {
            offset_commit_request::OffsetCommitRequestPartition {
                partition_index,
                committed_offset,
                committed_metadata: Some("simulated"),
                ..offset_commit_request::OffsetCommitRequestPartition::default()
            }
        });
        let request = OffsetCommitRequest {
            group_id: &group,
            generation_id_or_member_epoch: self.generation,
            member_id: &id,
            group_instance_id: instance.as_deref(),
            topics: vec![offset_commit_request::OffsetCommitRequestTopic {
                name: topic,
                topic_id: [0; 16],
                partitions: partitions.collect(),
            }],
            ..OffsetCommitRequest::default()
        };
        let frame = self.ask(version, &request, self.dial.patience).await?;
        let answer: OffsetCommitResponse<'_> = self.read(&frame, version)?;
        let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
        for row in rows {
            check(row.error_code)?;
        }
        Ok(())
    }

    /// The committed offsets of partitions of one topic; -1 where there is none.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn committed(&mut self, topic: &str, partitions: &[i32]) -> Result<Vec<(i32, i64)>> {
        let version = self.dialect.fetch;
        let (group, id) = (self.group.clone(), self.id.clone());
        let mut request = OffsetFetchRequest::default();
        if version >= 8 {
            // An administrator is nobody's member.
            let is_member = self.is_consumer && self.generation > 0;
            request.groups.push(offset_fetch_request::OffsetFetchRequestGroup {
                group_id: &group,
                member_id: is_member.then_some(&*id),
                member_epoch: if is_member { self.generation } else { -1 },
                topics: Some(vec![offset_fetch_request::OffsetFetchRequestTopics {
                    name: topic,
                    topic_id: [0; 16],
                    partition_indexes: partitions.to_vec(),
                }]),
            });
        } else {
            request.group_id = &group;
            request.topics = Some(vec![offset_fetch_request::OffsetFetchRequestTopic {
                name: topic,
                partition_indexes: partitions.to_vec(),
            }]);
        }
        let frame = self.ask(version, &request, self.dial.patience).await?;
        let answer: OffsetFetchResponse<'_> = self.read(&frame, version)?;
        check(answer.groups.first().map_or(answer.error_code, |group| group.error_code))?;
        let mut found = Vec::new();
        for row in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            check(row.error_code)?;
            found.push((row.partition_index, row.committed_offset));
        }
        let groups = answer.groups.iter().flat_map(|group| &group.topics);
        for row in groups.flat_map(|topic| &topic.partitions) {
            check(row.error_code)?;
            found.push((row.partition_index, row.committed_offset));
        }
        Ok(found)
    }
}

pub(super) fn check(code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(AdminError::Code(ErrorCode(code))) }
}
