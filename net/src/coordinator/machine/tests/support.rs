//! A coordinator with a clock and a log, and short words for requests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use engine::rt::Monotonic;
use tuning::config::BrokerConfig;
use tuning::limits::Limits;

use crate::coordinator::api::*;
use crate::coordinator::{Coordinator, GroupSettings};
use crate::wire::messages::ConsumerProtocolSubscription;
use crate::wire::{self, Writer};

pub(super) const SESSION_MS: u64 = 10_000;
pub(super) const REBALANCE_MS: u64 = 60_000;
pub(super) const DELAY_MS: u64 = 3_000;
/// Wall time when the monotonic clock stands at 0.
pub(super) const BEGAN_MS: i64 = 1_700_000_000_000;

pub(super) struct World {
    pub(super) machine: Coordinator,
    pub(super) settings: GroupSettings,
    pub(super) now_ms: u64,
    /// What is durable.
    pub(super) log: Vec<Record>,
    /// What is being written.
    pub(super) open: VecDeque<(WriteId, Vec<Record>)>,
    answers: BTreeMap<u64, GroupReply>,
    asked: BTreeMap<u64, bool>,
    tickets: u64,
    random: u64,
    /// Writes are durable at once.
    pub(super) writes_at_once: bool,
}

pub(super) fn settings() -> GroupSettings {
    GroupSettings::new(&BrokerConfig::default(), &Limits::DEFAULT)
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(settings())
    }

    pub(super) fn with(settings: GroupSettings) -> Self {
        Self::from_log(settings, Vec::new(), 0)
    }

    /// A coordinator that has just loaded this log.
    pub(super) fn from_log(settings: GroupSettings, log: Vec<Record>, now_ms: u64) -> Self {
        let mut world = Self {
            machine: Coordinator::new(settings.clone()),
            settings,
            now_ms,
            log,
            open: VecDeque::new(),
            answers: BTreeMap::new(),
            asked: BTreeMap::new(),
            tickets: 0,
            random: 0x5eed ^ now_ms,
            writes_at_once: true,
        };
        for record in &world.log {
            world.machine.replay(&record.key, record.value.as_deref()).expect("our own record");
        }
        let mut out = Vec::new();
        world.machine.loaded(world.now(), &mut out);
        world.take_in(out);
        world
    }

    /// What somebody finds who loads what is durable now.
    pub(super) fn reloaded(&self) -> Self {
        let mut after = Self::from_log(self.settings.clone(), self.log.clone(), self.now_ms);
        after.random = self.random.wrapping_add(1);
        after
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Monotonic(self.now_ms * 1_000_000), wall_ms: BEGAN_MS + self.now_ms as i64 }
    }

    fn take_in(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Answer(ticket, reply) => {
                    let answered = self.asked.get_mut(&ticket.0).expect("somebody asked");
                    assert!(!std::mem::replace(answered, true), "one answer per request");
                    self.answers.insert(ticket.0, reply);
                }
                Effect::Write { id, records } => {
                    assert!(!records.is_empty(), "a write has records");
                    self.open.push_back((id, records));
                }
            }
        }
        while self.writes_at_once && !self.open.is_empty() {
            self.write(Ok(()));
        }
    }

    /// The oldest write has a result.
    pub(super) fn write(&mut self, result: Result<(), WriteError>) {
        let (id, records) = self.open.pop_front().expect("something is being written");
        if result.is_ok() {
            self.log.extend(records);
        }
        let mut out = Vec::new();
        self.machine.written(self.now(), id, result, &mut out);
        self.take_in(out);
    }

    /// Sends a request; returns its ticket.
    pub(super) fn send(&mut self, request: GroupRequest) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.asked.insert(ticket, false);
        let mut state = self.random;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state ^ (state >> 33)
        };
        let mut out = Vec::new();
        let now = self.now();
        self.machine.handle(now, request, Ticket(ticket), &mut random, &mut out);
        self.random = state;
        self.take_in(out);
        ticket
    }

    /// The answer, if it has come.
    pub(super) fn answer(&mut self, ticket: u64) -> Option<GroupReply> {
        self.answers.remove(&ticket)
    }

    /// Requests that have no answer yet.
    pub(super) fn unanswered(&self) -> usize {
        self.asked.values().filter(|answered| !**answered).count()
    }

    /// Sends a request that is answered at once.
    pub(super) fn ask(&mut self, request: GroupRequest) -> GroupReply {
        let ticket = self.send(request);
        self.answer(ticket).expect("an answer at once")
    }

    /// Lets time pass; everything that is due happens at its own moment.
    pub(super) fn advance(&mut self, by_ms: u64) {
        let end = self.now_ms + by_ms;
        while let Some(at) = self.machine.next_deadline() {
            let at = at.0.div_ceil(1_000_000);
            if at > end {
                break;
            }
            self.now_ms = self.now_ms.max(at);
            let mut out = Vec::new();
            self.machine.tick(self.now(), &mut out);
            self.take_in(out);
        }
        self.now_ms = end;
    }

    pub(super) fn unload(&mut self, why: GroupError) {
        let mut out = Vec::new();
        self.machine.unload(self.now(), why, &mut out);
        self.take_in(out);
    }

    pub(super) fn topics_deleted(&mut self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        self.machine.topics_deleted(self.now(), &names, &mut out);
        self.take_in(out);
    }

    // Short words.

    pub(super) fn joined(&mut self, ticket: u64) -> Joined {
        match self.answer(ticket) {
            Some(GroupReply::Join(Ok(joined))) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    pub(super) fn join_error(&mut self, call: JoinCall) -> GroupError {
        match self.ask(GroupRequest::Join(call)) {
            GroupReply::Join(Err(refused)) => refused.error,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(super) fn join_error_of(&mut self, ticket: u64) -> GroupError {
        match self.answer(ticket) {
            Some(GroupReply::Join(Err(refused))) => refused.error,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(super) fn synced(&mut self, ticket: u64) -> Result<Bytes, GroupError> {
        match self.answer(ticket) {
            Some(GroupReply::Sync(result)) => result.map(|synced| synced.assignment),
            other => panic!("no answer to a sync: {other:?}"),
        }
    }

    pub(super) fn sync_now(&mut self, call: SyncCall) -> Result<Bytes, GroupError> {
        let ticket = self.send(GroupRequest::Sync(call));
        self.synced(ticket)
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        self.heartbeat_of("g", member, None, generation)
    }

    pub(super) fn heartbeat_of(
        &mut self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation_id: i32,
    ) -> Result<(), GroupError> {
        let call = HeartbeatCall {
            group_id: group.to_owned(),
            generation_id,
            member_id: member.to_owned(),
            group_instance_id: instance.map(str::to_owned),
        };
        match self.ask(GroupRequest::Heartbeat(call)) {
            GroupReply::Heartbeat(result) => result,
            other => panic!("no answer to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn state(&mut self) -> &'static str {
        self.describe("g").state
    }

    pub(super) fn describe(&mut self, group: &str) -> DescribedGroup {
        let call =
            DescribeCall { group_ids: vec![group.to_owned()], knows_group_id_not_found: false };
        match self.ask(GroupRequest::Describe(call)) {
            GroupReply::Describe(mut groups) => groups.remove(0),
            other => panic!("no description: {other:?}"),
        }
    }

    /// Group `g`, stable, with that many members; the first one leads. Their ids and the
    /// generation. Each member's assignment is its id.
    pub(super) fn stable(&mut self, members: usize) -> (Vec<String>, i32) {
        let tickets: Vec<u64> =
            (0..members).map(|_| self.send(GroupRequest::Join(join("")))).collect();
        self.advance(2 * DELAY_MS);
        let joined: Vec<Joined> = tickets.iter().map(|ticket| self.joined(*ticket)).collect();
        self.settle(&joined)
    }

    /// Everybody of a new generation syncs.
    pub(super) fn settle(&mut self, joined: &[Joined]) -> (Vec<String>, i32) {
        let leader = joined.iter().find(|one| !one.members.is_empty()).expect("a leader");
        let generation = leader.generation_id;
        let own = |id: &String| (id.clone(), Bytes::from(id.clone()));
        let assignments: Vec<_> = leader.members.iter().map(|one| own(&one.member_id)).collect();
        let mut ids: Vec<String> = vec![leader.member_id.clone()];
        let call = SyncCall { assignments, ..sync(&leader.member_id, generation) };
        assert_eq!(self.sync_now(call), Ok(Bytes::from(leader.member_id.clone())));
        for member in joined.iter().filter(|one| one.member_id != ids[0]).collect::<Vec<_>>() {
            let id = &member.member_id;
            assert_eq!(member.generation_id, generation);
            assert_eq!(self.sync_now(sync(id, generation)), Ok(Bytes::from(id.clone())));
            ids.push(id.clone());
        }
        assert_eq!(self.state(), "Stable");
        (ids, generation)
    }

    pub(super) fn commit(&mut self, call: CommitCall) -> Result<Vec<TopicOutcomes>, GroupError> {
        let ticket = self.send(GroupRequest::CommitOffsets(call));
        self.committed(ticket)
    }

    pub(super) fn committed(&mut self, ticket: u64) -> Result<Vec<TopicOutcomes>, GroupError> {
        match self.answer(ticket) {
            Some(GroupReply::CommitOffsets(result)) => result,
            other => panic!("no answer to a commit: {other:?}"),
        }
    }

    /// The committed offset of partition 0 of a topic of group `g`; -1 if there is none.
    pub(super) fn offset(&mut self, topic: &str) -> i64 {
        self.fetch("g", topic, 0).offset
    }

    pub(super) fn fetch(&mut self, group: &str, topic: &str, partition: i32) -> FetchedOffset {
        let topics = vec![TopicPartitions {
            name: topic.to_owned(),
            topic_id: [0; 16],
            partitions: vec![partition],
        }];
        match self.ask(GroupRequest::FetchOffsets(fetch(group, Some(topics)))) {
            GroupReply::FetchOffsets(Ok(mut topics)) => topics.remove(0).partitions.remove(0),
            other => panic!("no offsets: {other:?}"),
        }
    }
}

/// A subscription to these topics, as consumers write it.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let said = ConsumerProtocolSubscription {
        topics: topics.to_vec(),
        ..ConsumerProtocolSubscription::default()
    };
    let mut writer = Writer::new();
    writer.i16(1);
    wire::encode(&said, 1, &mut writer).expect("a subscription");
    writer.finish().bytes.to_vec().into()
}

pub(super) fn protocol(name: &str) -> Protocol {
    Protocol { name: name.to_owned(), metadata: subscription(&["t"]) }
}

/// A join to group `g` of a client that does not need a member id first.
pub(super) fn join(member: &str) -> JoinCall {
    JoinCall {
        group_id: "g".to_owned(),
        member_id: member.to_owned(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: REBALANCE_MS as i32,
        session_timeout_ms: SESSION_MS as i32,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range")],
        requires_known_member_id: false,
        may_skip_assignment: false,
        reason: None,
    }
}

pub(super) fn static_join(instance: &str) -> JoinCall {
    JoinCall { group_instance_id: Some(instance.to_owned()), ..join("") }
}

pub(super) fn sync(member: &str, generation_id: i32) -> SyncCall {
    SyncCall {
        group_id: "g".to_owned(),
        generation_id,
        member_id: member.to_owned(),
        group_instance_id: None,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    }
}

pub(super) fn leave(members: &[(&str, Option<&str>)]) -> GroupRequest {
    let members = members.iter().map(|(member, instance)| LeavingMember {
        member_id: (*member).to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    });
    GroupRequest::Leave(LeaveCall { group_id: "g".to_owned(), members: members.collect() })
}

/// A commit of partition 0 of topic `t` by nobody in particular.
pub(super) fn commit(offset: i64) -> CommitCall {
    commit_of("g", "t", 0, offset)
}

pub(super) fn commit_of(group: &str, topic: &str, index: i32, offset: i64) -> CommitCall {
    let partitions = vec![CommitPartition { index, offset, leader_epoch: -1, metadata: None }];
    CommitCall {
        group_id: group.to_owned(),
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        retention_ms: None,
        knows_group_id_not_found: true,
        topics: vec![CommitTopic { name: topic.to_owned(), topic_id: [0; 16], partitions }],
    }
}

pub(super) fn fetch(group: &str, topics: Option<Vec<TopicPartitions>>) -> FetchCall {
    FetchCall {
        group_id: group.to_owned(),
        member_id: None,
        member_epoch: -1,
        topics,
        require_stable: false,
    }
}

pub(super) fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}
