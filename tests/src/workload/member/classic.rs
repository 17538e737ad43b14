//! A member of the classic protocol: generations, a leader that assigns, eager or cooperative (KIP-429).

use std::collections::{BTreeMap, BTreeSet};

use net::wire::errors::ErrorCode;
use net::wire::messages::{ConsumerProtocolSubscription, consumer_protocol_subscription};
use net::wire::{self, Reader, Writer};

use super::super::actor::Actor;
use super::super::plan::Rebalancing;
use super::{Life, ROUND_MS, Turn};
use crate::client::AdminError;
use crate::history::Event;

/// Version of the subscriptions: the first that says the generation of what is owned.
const SUBSCRIPTION_VERSION: i16 = 2;

impl Life {
    /// From joining to leaving, dying, or being thrown out.
    pub(super) async fn live_as_classic(&mut self, actor: &mut Actor) {
        match self.enter(actor).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                if let Turn::Forgets = self.after(actor, error, "entering") {
                    self.forget(actor);
                }
                return self.member.dial().back_off().await;
            }
        }
        loop {
            actor.pause(&ROUND_MS).await;
            let is_calm = actor.closing();
            let turn = match self.round(actor, is_calm).await {
                Ok(()) => Turn::Stays,
                Err(error) => {
                    self.last_commit(actor, error).await;
                    self.after(actor, error, "staying")
                }
            };
            match turn {
                Turn::Stays => {}
                Turn::Rejoins => return,
                Turn::Forgets => return self.forget(actor),
            }
            if self.after_work(actor, is_calm).await {
                return;
            }
        }
    }

    fn forget(&mut self, actor: &Actor) {
        self.release_all(actor);
        self.member.forget();
    }

    fn is_cooperative(&self) -> bool {
        self.plan.rebalancing == Rebalancing::Cooperative
    }

    /// Joins, syncs, and takes what it is assigned; whether it stays in that generation.
    async fn enter(&mut self, actor: &mut Actor) -> Result<bool, AdminError> {
        if !self.is_cooperative() {
            self.release_all(actor);
        }
        self.member.find_coordinator().await?;
        let metadata = self.subscription();
        let joined = self.member.join(&metadata).await?;
        let assignments = if joined.is_leader { self.assign(&joined.members) } else { Vec::new() };
        let assignment = self.member.sync(&assignments).await?;
        let assigned: BTreeSet<i32> = assignment.iter().map(|byte| i32::from(*byte)).collect();
        let owner = match self.plan.is_static {
            true => actor.name.clone(),
            false => self.member.id.clone(),
        };
        let (consumer_group, generation) = (self.group, self.member.generation);
        let partitions = assigned.iter().copied().collect();
        actor.history.push(Event::Assigned { consumer_group, generation, owner, partitions });
        let lost: Vec<i32> = self.owned.difference(&assigned).copied().collect();
        // Others wait for what was taken from it until everybody has joined once more.
        let stays = lost.is_empty();
        self.release(actor, lost);
        self.gain(actor, assigned.difference(&self.owned).copied().collect());
        Ok(stays)
    }

    /// What it says of itself when it joins.
    fn subscription(&self) -> Vec<u8> {
        let mut said = ConsumerProtocolSubscription {
            topics: vec![&self.topic_name.name],
            ..ConsumerProtocolSubscription::default()
        };
        if self.is_cooperative() && !self.owned.is_empty() {
            said.generation_id = self.member.generation;
            said.owned_partitions.push(consumer_protocol_subscription::TopicPartition {
                topic: &self.topic_name.name,
                partitions: self.owned.iter().copied().collect(),
            });
        }
        let mut writer = Writer::new();
        writer.i16(SUBSCRIPTION_VERSION);
        wire::encode(&said, SUBSCRIPTION_VERSION, &mut writer).expect("a version that there is");
        writer.finish().bytes.to_vec()
    }

    /// The leader's plan: every partition to one member, in turn; but none to one while another has it.
    fn assign(&self, members: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
        let owners = owners(members);
        let mut shares: Vec<(String, Vec<u8>)> =
            members.iter().map(|(member, _)| (member.clone(), Vec::new())).collect();
        for partition in 0..self.partitions {
            let turn = partition as usize % shares.len();
            if owners.get(&partition).is_none_or(|(_, owner)| *owner == turn) {
                shares[turn].1.push(partition as u8);
            }
        }
        shares
    }

    /// One round of work: a little further in each partition, a commit, a sign of life.
    async fn round(&mut self, actor: &mut Actor, is_calm: bool) -> Result<(), AdminError> {
        self.catch_up(actor).await?;
        if is_calm || actor.random.chance(700) {
            self.work(actor).await?;
        }
        self.member.heartbeat().await
    }

    /// Before a rebalance a consumer commits where it is.
    async fn last_commit(&mut self, actor: &mut Actor, error: AdminError) {
        let rebalances = error == AdminError::Code(ErrorCode::REBALANCE_IN_PROGRESS);
        if rebalances && actor.random.chance(500) {
            let _ = self.work(actor).await;
        }
    }

    /// What an error means for a member, in the manner of Kafka's clients.
    fn after(&self, actor: &Actor, error: AdminError, doing: &str) -> Turn {
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
                self.misbehaved(actor, doing, code);
                Turn::Forgets
            }
        }
    }
}

/// Who says that it owns a partition: by number, with the generation in which it got it. Of several the
/// latest is right.
fn owners(members: &[(String, Vec<u8>)]) -> BTreeMap<i32, (i32, usize)> {
    let mut owners = BTreeMap::new();
    for (number, (_, metadata)) in members.iter().enumerate() {
        let mut reader = Reader::new(metadata);
        let version = reader.i16().expect("written by a member of our own");
        let body = &metadata[reader.at()..];
        let said = wire::decode::<ConsumerProtocolSubscription<'_>>(body, version)
            .expect("written by a member of our own")
            .message;
        for partition in said.owned_partitions.iter().flat_map(|topic| &topic.partitions) {
            let claim = (said.generation_id, number);
            let best = owners.entry(*partition).or_insert(claim);
            *best = claim.max(*best);
        }
    }
    owners
}
