//! A member of a consumer group that lives a hard life: it joins, takes what it is assigned, commits as
//! it goes, and now and then leaves, dies without a word, or comes back.
//!
//! It reads nothing: other actors judge logs. What it commits are numbers that rise, so that a commit
//! which is lost, or comes back from the dead, shows.

use std::collections::BTreeMap;

use net::wire::errors::ErrorCode;

use super::actor::{Actor, find};
use super::plan::{MemberPlan, TopicPlan};
use crate::client::{Admin, AdminError, Member, SESSION_TIMEOUT};
use crate::history::{ConsumerGroup, Event, Place, Topic};

/// Rounds between two signs of life at most.
const ROUND_MS: std::ops::Range<u64> = 20..400;

/// How a life as a member went on.
enum Turn {
    /// Still a member of its generation.
    Stays,
    /// Has to join again.
    Rejoins,
    /// Has to begin anew, without its id.
    Forgets,
}

pub(super) async fn run(mut actor: Actor, topics: Vec<TopicPlan>, plan: MemberPlan) {
    let topic = &topics[plan.topic];
    let mut admin = Admin::new(actor.dial());
    let Some((name, partitions)) = find(&mut admin, &topic.name).await else { return };
    drop(admin);
    let group_name = format!("group-{}", plan.group);
    let instance = plan.is_static.then(|| actor.name.clone());
    let member = Member::new(actor.dial(), &group_name, instance);
    let mut life = Life {
        group: ConsumerGroup(plan.group),
        topic: Topic(plan.topic as u32),
        topic_name: name.name,
        partitions: partitions as i32,
        member,
        mine: BTreeMap::new(),
        was_stable: false,
        plan,
    };
    loop {
        life.live(&mut actor).await;
        if actor.closing() && life.was_stable {
            // Whoever stays makes the others wait for it no longer than a session.
            return;
        }
        actor.pause(&(0..300)).await;
    }
}

struct Life {
    plan: MemberPlan,
    group: ConsumerGroup,
    topic: Topic,
    topic_name: String,
    partitions: i32,
    member: Member,
    /// Partitions that it owns, and how far it has come.
    mine: BTreeMap<i32, i64>,
    /// Since the world was told to close: joined, synced and heard that it is still in.
    was_stable: bool,
}

impl Life {
    /// From joining to leaving, dying, or being thrown out.
    async fn live(&mut self, actor: &mut Actor) {
        let history = actor.history.clone();
        match self.enter(actor).await {
            Ok(()) => {}
            Err(error) => return self.came_to_grief(actor, error, "entering").await,
        }
        loop {
            actor.pause(&ROUND_MS).await;
            let turn = match self.round(actor).await {
                Ok(()) => {
                    self.was_stable |= history.lock().closing;
                    Turn::Stays
                }
                Err(error) => self.after(actor, error, "staying"),
            };
            match turn {
                Turn::Stays => {}
                Turn::Rejoins => return,
                Turn::Forgets => return self.member.forget(),
            }
            if self.was_stable || actor.random.chance(self.plan.leave_per_mille) {
                let _ = self.member.leave().await;
                return self.member.forget();
            }
            if actor.random.chance(self.plan.die_per_mille) {
                self.member.disconnect();
                self.member.forget();
                let long = SESSION_TIMEOUT.as_millis() as u64 * 2;
                return actor.pause(&(0..long)).await;
            }
        }
    }

    /// Joins, syncs, and learns how far others came with what it was assigned.
    async fn enter(&mut self, actor: &mut Actor) -> Result<(), AdminError> {
        self.mine.clear();
        self.member.find_coordinator().await?;
        let joined = self.member.join().await?;
        let assignments = if joined.is_leader { self.assign(&joined.members) } else { Vec::new() };
        let assignment = self.member.sync(&assignments).await?;
        let mine: Vec<i32> = assignment.iter().map(|byte| i32::from(*byte)).collect();
        let owner = match self.plan.is_static {
            true => actor.name.clone(),
            false => self.member.id.clone(),
        };
        let (consumer_group, generation) = (self.group, self.member.generation);
        let partitions = mine.clone();
        actor.history.push(Event::Assigned { consumer_group, generation, owner, partitions });
        if mine.is_empty() {
            return Ok(());
        }
        let since = actor.history.lock().now();
        let found = self.member.committed(&self.topic_name, &mine).await?;
        for (partition, offset) in found {
            let place = Place { topic: self.topic, partition };
            actor.history.push(Event::CommittedRead { consumer_group, place, offset, since });
            self.mine.insert(partition, offset.max(0));
        }
        Ok(())
    }

    /// The leader's plan: every partition to one member, in turn.
    fn assign(&self, members: &[String]) -> Vec<(String, Vec<u8>)> {
        let mut shares: Vec<(String, Vec<u8>)> =
            members.iter().map(|member| (member.clone(), Vec::new())).collect();
        for partition in 0..self.partitions {
            let count = shares.len();
            shares[partition as usize % count].1.push(partition as u8);
        }
        shares
    }

    /// One round of work: a little further in each partition, a commit, a sign of life.
    async fn round(&mut self, actor: &mut Actor) -> Result<(), AdminError> {
        if !self.mine.is_empty() && actor.random.chance(700) {
            for offset in self.mine.values_mut() {
                *offset += actor.random.range(1..5) as i64;
            }
            self.commit(actor).await?;
        }
        self.member.heartbeat().await
    }

    async fn commit(&mut self, actor: &mut Actor) -> Result<(), AdminError> {
        let offsets: Vec<(i32, i64)> = self.mine.iter().map(|(p, o)| (*p, *o)).collect();
        let places = offsets.iter().map(|(partition, offset)| {
            (Place { topic: self.topic, partition: *partition }, *offset)
        });
        let commit = actor.history.lock().fresh();
        let (consumer_group, offsets_of) = (self.group, places.collect());
        actor.history.push(Event::Committing { commit, consumer_group, offsets: offsets_of });
        let outcome = self.member.commit(&self.topic_name, &offsets).await;
        match &outcome {
            Ok(()) => actor.history.push(Event::Committed { commit }),
            Err(AdminError::Code(code)) if is_certain(*code) => {
                actor.history.push(Event::NotCommitted { commit });
            }
            // Nobody knows.
            Err(_) => {}
        }
        outcome
    }

    async fn came_to_grief(&mut self, actor: &mut Actor, error: AdminError, doing: &str) {
        if let Turn::Forgets = self.after(actor, error, doing) {
            self.member.forget();
        }
        self.member.dial().back_off().await;
    }

    /// What an error means for a member, in the manner of Kafka's clients.
    fn after(&mut self, actor: &Actor, error: AdminError, doing: &str) -> Turn {
        match error {
            AdminError::Lost => Turn::Rejoins,
            AdminError::Code(ErrorCode::REBALANCE_IN_PROGRESS) => Turn::Rejoins,
            AdminError::Code(
                ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::FENCED_INSTANCE_ID,
            ) => Turn::Forgets,
            AdminError::Code(code) if code.is_retriable() => Turn::Rejoins,
            AdminError::Code(code) => {
                let what = format!("{} {doing}: {code}", actor.name);
                actor.history.misbehaved("unexpected-error", what);
                Turn::Forgets
            }
        }
    }
}

/// Whether a refused commit is certainly not stored. What a coordinator says while it changes, or when
/// its disk fails, may come after the write.
fn is_certain(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_INSTANCE_ID
            | ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
    )
}
