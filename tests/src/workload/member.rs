//! A member of a consumer group that lives a hard life: it joins, takes what it is assigned, commits as
//! it goes, and now and then leaves, dies without a word, or comes back.
//!
//! It reads no records: other actors judge logs. What it commits are numbers that rise, so that a commit
//! which is lost, or comes back from the dead, shows. How it comes to its partitions is in `classic` and
//! `consumer`, one for each protocol; what it does with them is here.
//!
//! When faults have ended it stays, works in every round, and waits until its group has come to rest;
//! after [`REST_MAX`] it gives that up, and the checker of `stuck-group` says so.

mod classic;
mod consumer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::rt::Monotonic;
use net::wire::errors::ErrorCode;

use super::actor::{Actor, find};
use super::plan::{Ending, MemberPlan, Rebalancing, TopicPlan};
use crate::client::{Admin, AdminError, Member, SESSION_TIMEOUT, TopicName};
use crate::history::{ConsumerGroup, Event, Place, Topic};

/// Rounds between two signs of life at most.
const ROUND_MS: std::ops::Range<u64> = 20..400;
/// Virtual time that a group has to come to rest after the last fault: several sessions and rebalances.
const REST_MAX: Duration = Duration::from_secs(30);

/// How a life as a member went on.
enum Turn {
    /// Still a member of its generation.
    Stays,
    /// Has to join again.
    Rejoins,
    /// Has to begin anew, without what it had.
    Forgets,
}

pub(super) async fn run(mut actor: Actor, topics: Vec<TopicPlan>, plan: MemberPlan) {
    let (consumer_group, member) = (ConsumerGroup(plan.group), actor.number);
    let (topic, partitions) = (Topic(plan.topic as u32), topics[plan.topic].partitions);
    actor.history.push(Event::Enrolled { consumer_group, member, topic, partitions });
    let mut admin = Admin::new(actor.dial());
    let Some((name, _)) = find(&mut admin, &topics[plan.topic].name).await else { return };
    drop(admin);
    let instance = plan.is_static.then(|| actor.name.clone());
    let new = match plan.rebalancing {
        Rebalancing::Consumer => Member::of_consumer_protocol,
        Rebalancing::Eager | Rebalancing::Cooperative => Member::new,
    };
    let member = new(actor.dial(), &group_name(consumer_group), instance);
    let mut life = Life {
        group: consumer_group,
        topic,
        topic_name: name,
        partitions,
        member,
        owned: BTreeSet::new(),
        positions: BTreeMap::new(),
        rest_until: None,
        is_over: false,
        plan,
    };
    loop {
        match life.plan.rebalancing {
            Rebalancing::Consumer => life.live_as_consumer(&mut actor).await,
            Rebalancing::Eager | Rebalancing::Cooperative => life.live_as_classic(&mut actor).await,
        }
        if life.is_over || life.is_late(&actor) {
            return;
        }
        actor.pause(&(0..300)).await;
    }
}

/// What the broker knows a group by.
pub(super) fn group_name(consumer_group: ConsumerGroup) -> String {
    format!("group-{}", consumer_group.0)
}

struct Life {
    plan: MemberPlan,
    group: ConsumerGroup,
    topic: Topic,
    topic_name: TopicName,
    partitions: i32,
    member: Member,
    /// Partitions that it owns.
    owned: BTreeSet<i32>,
    /// How far it has come in those whose committed offset it has read.
    positions: BTreeMap<i32, i64>,
    /// Until when it waits for its group to come to rest, once faults have ended.
    rest_until: Option<Monotonic>,
    /// It will not come back.
    is_over: bool,
}

impl Life {
    /// Whether its group had the time to come to rest.
    fn is_late(&mut self, actor: &Actor) -> bool {
        if self.rest_until.is_none() && actor.closing() {
            self.rest_until = Some(actor.rt.now() + REST_MAX);
        }
        self.rest_until.is_some_and(|until| actor.rt.now() >= until)
    }

    /// It was told of partitions that are its own now.
    fn gain(&mut self, actor: &Actor, partitions: Vec<i32>) {
        if partitions.is_empty() {
            return;
        }
        self.owned.extend(&partitions);
        let (consumer_group, owner) = (self.group, self.member.id.clone());
        actor.history.push(Event::Owns { consumer_group, owner, partitions });
    }

    /// It gives partitions up.
    fn release(&mut self, actor: &Actor, partitions: Vec<i32>) {
        if partitions.is_empty() {
            return;
        }
        for partition in &partitions {
            self.owned.remove(partition);
            self.positions.remove(partition);
        }
        let (consumer_group, owner) = (self.group, self.member.id.clone());
        actor.history.push(Event::Releases { consumer_group, owner, partitions });
    }

    fn release_all(&mut self, actor: &Actor) {
        self.release(actor, self.owned.iter().copied().collect());
    }

    /// Learns how far others came with what it owns.
    async fn catch_up(&mut self, actor: &Actor) -> Result<(), AdminError> {
        let unread = self.owned.iter().filter(|one| !self.positions.contains_key(one));
        let unread: Vec<i32> = unread.copied().collect();
        for (partition, offset) in self.read_committed(actor, &unread).await? {
            self.positions.insert(partition, offset.max(0));
        }
        Ok(())
    }

    async fn read_committed(
        &mut self,
        actor: &Actor,
        partitions: &[i32],
    ) -> Result<Vec<(i32, i64)>, AdminError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let (consumer_group, since) = (self.group, actor.history.lock().now());
        let found = self.member.committed(&self.topic_name.name, partitions).await?;
        for (partition, offset) in &found {
            let place = Place { topic: self.topic, partition: *partition };
            let offset = *offset;
            actor.history.push(Event::CommittedRead { consumer_group, place, offset, since });
        }
        Ok(found)
    }

    /// Goes a little further in each partition, and commits that. Now and then it looks at once what
    /// the broker has of it.
    async fn work(&mut self, actor: &mut Actor) -> Result<(), AdminError> {
        for offset in self.positions.values_mut() {
            *offset += actor.random.range(1..5) as i64;
        }
        self.commit(actor).await?;
        if actor.random.chance(100) {
            let all: Vec<i32> = self.positions.keys().copied().collect();
            self.read_committed(actor, &all).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, actor: &Actor) -> Result<(), AdminError> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let offsets: Vec<(i32, i64)> = self.positions.iter().map(|(p, o)| (*p, *o)).collect();
        let places = offsets.iter().map(|(partition, offset)| {
            (Place { topic: self.topic, partition: *partition }, *offset)
        });
        let (commit, since) = {
            let mut history = actor.history.lock();
            (history.fresh(), history.now())
        };
        let (consumer_group, offsets_of) = (self.group, places.collect());
        actor.history.push(Event::Committing { commit, consumer_group, offsets: offsets_of });
        let outcome = self.member.commit(&self.topic_name.name, &offsets).await;
        match &outcome {
            Ok(()) => {
                actor.history.push(Event::Committed { commit });
                // Who commits in a generation of the classic protocol is a member of it.
                if self.plan.rebalancing != Rebalancing::Consumer {
                    self.confirm(actor, offsets.iter().map(|(one, _)| *one).collect(), since);
                }
            }
            Err(AdminError::Code(code)) if is_certain(*code) => {
                actor.history.push(Event::NotCommitted { commit });
            }
            // Nobody knows.
            Err(_) => {}
        }
        outcome
    }

    /// The coordinator took it for the owner of these partitions.
    fn confirm(&self, actor: &Actor, partitions: Vec<i32>, since: usize) {
        let (consumer_group, owner) = (self.group, self.member.id.clone());
        actor.history.push(Event::Confirmed { consumer_group, owner, partitions, since });
    }

    /// What comes after a round that went well; whether the life as this member is over. `worked`: it
    /// has committed in all that it owns, and faults had ended before.
    async fn after_work(&mut self, actor: &mut Actor, worked: bool) -> bool {
        if !actor.closing() {
            return self.leaves_by_chance(actor).await;
        }
        let (consumer_group, member) = (self.group, actor.number);
        if self.plan.ending == Ending::Stays {
            if worked {
                let generation = self.member.generation;
                let partitions = self.owned.iter().copied().collect();
                let event = Event::Worked { consumer_group, member, generation, partitions };
                actor.history.push(event);
            }
            let has_rested = actor.history.lock().attendance.has_rested(self.group);
            if has_rested || self.is_late(actor) {
                self.leave(actor, true).await;
                self.is_over = true;
            }
            return self.is_over;
        }
        match self.plan.ending {
            Ending::Leaves => self.leave(actor, true).await,
            _ => self.die(actor),
        }
        actor.history.push(Event::Dismissed { consumer_group, member });
        self.is_over = true;
        true
    }

    async fn leaves_by_chance(&mut self, actor: &mut Actor) -> bool {
        if actor.random.chance(self.plan.leave_per_mille) {
            let for_good = actor.random.chance(500);
            self.leave(actor, for_good).await;
            return true;
        }
        if actor.random.chance(self.plan.die_per_mille) {
            self.die(actor);
            let long = SESSION_TIMEOUT.as_millis() as u64 * 2;
            actor.pause(&(0..long)).await;
            return true;
        }
        false
    }

    async fn leave(&mut self, actor: &Actor, for_good: bool) {
        self.release_all(actor);
        let _ = match self.plan.rebalancing {
            Rebalancing::Consumer => self.member.beat_goodbye(for_good).await,
            Rebalancing::Eager | Rebalancing::Cooperative => self.member.leave().await,
        };
        self.member.forget();
    }

    fn die(&mut self, actor: &Actor) {
        self.release_all(actor);
        self.member.disconnect();
        self.member.forget();
    }

    fn misbehaved(&self, actor: &Actor, doing: &str, code: ErrorCode) {
        let what = format!("{} {doing}: {code}", actor.name);
        actor.history.misbehaved("unexpected-error", what);
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
            | ErrorCode::STALE_MEMBER_EPOCH
            | ErrorCode::GROUP_ID_NOT_FOUND
    )
}
