//! A member of the consumer protocol (KIP-848): it says what it owns, and is told what it shall own.

use std::collections::BTreeSet;

use net::wire::errors::ErrorCode;

use super::super::actor::Actor;
use super::{Life, ROUND_MS, Turn};
use crate::client::{AdminError, Beat};

/// What a member knows of its standing, besides what it owns.
#[derive(Default)]
struct Standing {
    /// What it was last told to own.
    target: BTreeSet<i32>,
    /// The coordinator has heard of all that it owns.
    is_said: bool,
    /// An answer did not come: the next heartbeat says everything.
    is_unsure: bool,
}

impl Life {
    /// From joining to leaving, dying, or being thrown out.
    pub(super) async fn live_as_consumer(&mut self, actor: &mut Actor) {
        let mut standing = Standing::default();
        self.member.generation = 0;
        loop {
            let is_calm = actor.closing();
            let mut has_committed = false;
            let turn = match self.consumer_round(actor, &mut standing, is_calm).await {
                Ok(committed) => {
                    has_committed = committed;
                    Turn::Stays
                }
                Err(error) => self.after_beat(actor, error),
            };
            match turn {
                Turn::Stays => {
                    let has_all = self.owned == standing.target
                        && self.owned.iter().eq(self.positions.keys());
                    if self.after_work(actor, is_calm && has_all && has_committed).await {
                        return;
                    }
                }
                Turn::Rejoins => {
                    standing.is_unsure = true;
                    self.member.dial().back_off().await;
                    if self.is_late(actor) {
                        return;
                    }
                }
                Turn::Forgets => {
                    // It keeps its id, as Kafka's consumer does.
                    self.release_all(actor);
                    return self.member.dial().back_off().await;
                }
            }
            actor.pause(&ROUND_MS).await;
        }
    }

    /// One round: gives up what it shall not own, goes on with the rest, and reports. Whether nothing
    /// kept it from committing.
    async fn consumer_round(
        &mut self,
        actor: &mut Actor,
        standing: &mut Standing,
        is_calm: bool,
    ) -> Result<bool, AdminError> {
        let mut has_committed = true;
        if self.member.generation > 0 {
            self.give_up(actor, standing).await;
            match self.commit_round(actor, is_calm).await {
                // The group has moved on; the heartbeat says where to.
                Err(AdminError::Code(ErrorCode::STALE_MEMBER_EPOCH)) => has_committed = false,
                other => other?,
            }
        } else {
            self.member.find_coordinator().await?;
        }
        let owned: Vec<i32> = self.owned.iter().copied().collect();
        let is_full = standing.is_unsure || self.member.generation == 0;
        let says = is_full || !standing.is_said;
        let topic = self.topic_name.clone();
        let beat = Beat { topic: &topic, owned: says.then_some(&*owned), is_full };
        let (id, since) = (self.member.id.clone(), actor.history.lock().now());
        let told = self.member.beat(beat).await?;
        if self.member.id == id {
            self.confirm(actor, owned, since);
        }
        (standing.is_said, standing.is_unsure) = (true, false);
        if let Some(told) = told {
            standing.target = told.into_iter().collect();
            let gained = standing.target.difference(&self.owned).copied().collect();
            self.gain(actor, gained);
            // What it gained is said next, and what it gives up when it has.
            standing.is_said = false;
        }
        Ok(has_committed)
    }

    async fn give_up(&mut self, actor: &mut Actor, standing: &mut Standing) {
        let lost: Vec<i32> = self.owned.difference(&standing.target).copied().collect();
        if lost.is_empty() {
            return;
        }
        if actor.random.chance(500) {
            let _ = self.work(actor).await;
        }
        self.release(actor, lost);
        standing.is_said = false;
    }

    async fn commit_round(&mut self, actor: &mut Actor, is_calm: bool) -> Result<(), AdminError> {
        self.catch_up(actor).await?;
        if is_calm || actor.random.chance(700) {
            self.work(actor).await?;
        }
        Ok(())
    }

    /// What an error means for a member, in the manner of Kafka's consumer.
    fn after_beat(&self, actor: &Actor, error: AdminError) -> Turn {
        match error {
            AdminError::Lost => Turn::Rejoins,
            AdminError::Code(
                ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::GROUP_ID_NOT_FOUND
                // Its former self has not been missed yet.
                | ErrorCode::UNRELEASED_INSTANCE_ID
                | ErrorCode::FENCED_INSTANCE_ID,
            ) => Turn::Forgets,
            AdminError::Code(code) if code.is_retriable() => Turn::Rejoins,
            AdminError::Code(code) => {
                self.misbehaved(actor, "in the consumer protocol", code);
                Turn::Forgets
            }
        }
    }
}
