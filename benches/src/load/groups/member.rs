//! One member of a consumer group: joins, fetches its assignment, sends heartbeats, joins again.
//!
//! What Java's classic consumer does, less the records: one request at a time on a connection of its own,
//! for a JoinGroup occupies it until the rebalance is over.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use net::wire::messages::join_group_request::JoinGroupRequestProtocol;
use net::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use net::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use net::wire::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest,
    SyncGroupRequest,
};

use super::super::connection::Connection;
use super::super::phases::Phases;
use super::board::Board;

const FIND_COORDINATOR_VERSION: i16 = 2;
/// Newest versions without tagged fields.
const JOIN_VERSION: i16 = 5;
const SYNC_VERSION: i16 = 3;
const HEARTBEAT_VERSION: i16 = 3;
const COMMIT_VERSION: i16 = 7;

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

const RETRY_AFTER: Duration = Duration::from_millis(50);
const SESSION_TIMEOUT_MS: i32 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 300_000;

/// The address of a group's coordinator; waits until there is one.
pub(super) async fn coordinator(broker: &str, consumer_group: &str) -> Result<String> {
    let mut connection = Connection::open(broker).await?;
    loop {
        let request = FindCoordinatorRequest { key: consumer_group, ..Default::default() };
        let answer = connection.call(FIND_COORDINATOR_VERSION, &request).await?;
        match answer.error_code {
            0 => return Ok(format!("{}:{}", answer.host, answer.port)),
            COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {}
            error => bail!("FindCoordinator: error {error}"),
        }
        glommio::timer::sleep(RETRY_AFTER).await;
    }
}

/// What a member is and whom it tells.
pub(super) struct Member {
    pub(super) connection: Connection,
    pub(super) consumer_group: Rc<str>,
    pub(super) topic: Rc<str>,
    pub(super) board: Arc<Board>,
    /// Where its heartbeats are noted.
    pub(super) heartbeats: Option<Rc<Phases>>,
    pub(super) heartbeat_every: Duration,
    /// Commits beside the heartbeats.
    pub(super) commits: Option<(Rc<Phases>, Duration)>,
    /// How long after its first assignment it sends its first heartbeat: members are not in step.
    pub(super) offset: Duration,
}

/// A member's place in a generation.
struct Place {
    member_id: String,
    generation: i32,
}

/// Heartbeat or commit.
enum Due {
    Heartbeat,
    Commit,
}

impl Member {
    /// Lives until the run is over.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut member_id = String::new();
        loop {
            let place = self.enter(member_id).await?;
            self.board.holds(place.generation);
            member_id = self.stay(place).await?;
        }
    }

    /// Joins until it has an assignment.
    async fn enter(&mut self, mut member_id: String) -> Result<Place> {
        loop {
            let (place, assignments) = self.join(member_id).await?;
            let error = self.sync(&place, &assignments).await?;
            match error {
                0 => return Ok(place),
                UNKNOWN_MEMBER_ID => member_id = String::new(),
                REBALANCE_IN_PROGRESS | ILLEGAL_GENERATION => member_id = place.member_id,
                COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {
                    glommio::timer::sleep(RETRY_AFTER).await;
                    member_id = place.member_id;
                }
                error => bail!("SyncGroup: error {error}"),
            }
        }
    }

    /// Joins; with the assignments of all members where this one leads.
    async fn join(&mut self, mut member_id: String) -> Result<(Place, Vec<(String, Vec<u8>)>)> {
        let subscription = subscription(&self.topic);
        loop {
            let protocol = JoinGroupRequestProtocol { name: "range", metadata: &subscription };
            let request = JoinGroupRequest {
                group_id: &self.consumer_group,
                session_timeout_ms: SESSION_TIMEOUT_MS,
                rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
                member_id: &member_id,
                protocol_type: "consumer",
                protocols: vec![protocol],
                ..JoinGroupRequest::default()
            };
            self.board.joins();
            let answer = self.connection.call(JOIN_VERSION, &request).await?;
            let (error, generation) = (answer.error_code, answer.generation_id);
            let given = answer.member_id.to_string();
            let members: Vec<String> =
                answer.members.iter().map(|member| member.member_id.to_string()).collect();
            match error {
                0 => {
                    let assign = |(at, id)| (id, assignment(&self.topic, at));
                    let assignments = members.into_iter().enumerate().map(assign).collect();
                    return Ok((Place { member_id: given, generation }, assignments));
                }
                MEMBER_ID_REQUIRED => member_id = given,
                UNKNOWN_MEMBER_ID => member_id = String::new(),
                REBALANCE_IN_PROGRESS => {}
                COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {
                    glommio::timer::sleep(RETRY_AFTER).await;
                }
                error => bail!("JoinGroup: error {error}"),
            }
        }
    }

    async fn sync(&mut self, place: &Place, assignments: &[(String, Vec<u8>)]) -> Result<i16> {
        let assignments = assignments
            .iter()
            .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
            .collect();
        let request = SyncGroupRequest {
            group_id: &self.consumer_group,
            generation_id: place.generation,
            member_id: &place.member_id,
            assignments,
            ..SyncGroupRequest::default()
        };
        let answer = self.connection.call(SYNC_VERSION, &request).await?;
        Ok(answer.error_code)
    }

    /// Heartbeats and commits until the group rebalances. Returns under which id to join then.
    async fn stay(&mut self, place: Place) -> Result<String> {
        let began = Instant::now();
        let mut heartbeat = began + self.offset.min(self.heartbeat_every);
        let mut commit = self.commits.as_ref().map(|(_, every)| began + self.offset.min(*every));
        loop {
            let (due, intended) = match commit {
                Some(at) if at < heartbeat => (Due::Commit, at),
                _ => (Due::Heartbeat, heartbeat),
            };
            glommio::timer::sleep(intended.saturating_duration_since(Instant::now())).await;
            let error = match due {
                Due::Heartbeat => {
                    heartbeat += self.heartbeat_every;
                    let error = self.heartbeat(&place).await?;
                    if let Some(phases) = &self.heartbeats {
                        phases.note(intended);
                    }
                    error
                }
                Due::Commit => {
                    let (phases, every) = self.commits.clone().context("it commits")?;
                    commit = Some(intended + every);
                    let error = self.commit(&place).await?;
                    phases.note(intended);
                    error
                }
            };
            match error {
                0 | COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {}
                REBALANCE_IN_PROGRESS | ILLEGAL_GENERATION => return Ok(place.member_id),
                UNKNOWN_MEMBER_ID => return Ok(String::new()),
                error => bail!("Heartbeat or OffsetCommit: error {error}"),
            }
        }
    }

    async fn heartbeat(&mut self, place: &Place) -> Result<i16> {
        let request = HeartbeatRequest {
            group_id: &self.consumer_group,
            generation_id: place.generation,
            member_id: &place.member_id,
            ..HeartbeatRequest::default()
        };
        Ok(self.connection.call(HEARTBEAT_VERSION, &request).await?.error_code)
    }

    async fn commit(&mut self, place: &Place) -> Result<i16> {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: 1,
            committed_leader_epoch: -1,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: &self.topic,
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: &self.consumer_group,
            generation_id_or_member_epoch: place.generation,
            member_id: &place.member_id,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let answer = self.connection.call(COMMIT_VERSION, &request).await?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(partitions.next().context("an answer about no partition")?.error_code)
    }
}

/// A consumer's subscription to one topic, version 1, nothing owned.
fn subscription(topic: &str) -> Vec<u8> {
    let mut out = vec![0, 1];
    out.extend_from_slice(&1_i32.to_be_bytes());
    string(&mut out, topic);
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out
}

/// One partition of the topic, version 1.
fn assignment(topic: &str, partition: usize) -> Vec<u8> {
    let mut out = vec![0, 1];
    out.extend_from_slice(&1_i32.to_be_bytes());
    string(&mut out, topic);
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&(partition as i32).to_be_bytes());
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as i16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
