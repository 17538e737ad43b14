//! The shards of the node as the gateway's handlers see them.
//!
//! Waiting for a partition on another shard takes three messages that are each answered at once:
//! `Watch` to the owner, `Woken` back when there is more, `Unwatch` when nobody waits any more. A
//! parked fetch so holds no credit, and ten thousand of them stop no produce. Asking a coordinator
//! takes two (`Coordinate`, `Coordinated`), for the same reason.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::{OneSender, first_of, oneshot};
use engine::rt::{Group, Rt};
use engine::types::{PartitionId, ShardId};
use replication::partition::{
    PartitionReply, PartitionRequest, WaitCall, WaitTicket, Watched, owner_shard,
};
use replication::quorum::QuorumError;

use super::message::{CoordinateTicket, Post, ShardReply, ShardRequest};
use crate::coordinator::{GroupReply, GroupRequest};
use crate::gateway::{AdminReply, AdminRequest, LocalFuture, Shards};

/// One shard's view of all shards. Clones are the same.
#[derive(Clone)]
pub(super) struct Peers {
    rt: Rt,
    shard_count: u16,
    post: Rc<dyn Post>,
    waits: Rc<Waits>,
    questions: Rc<Questions>,
}

/// Requests to coordinators that have no answer yet.
#[derive(Default)]
struct Questions {
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, OneSender<GroupReply>>>,
}

#[derive(Default)]
struct Waits {
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, OneSender<()>>>,
}

impl Peers {
    /// The view from `rt`'s shard.
    #[must_use]
    pub(super) fn new(rt: Rt, shard_count: u16, post: Rc<dyn Post>) -> Self {
        Self { rt, shard_count, post, waits: Rc::default(), questions: Rc::default() }
    }

    /// An owner says that there is more to read. A ticket that nobody waits for any more is the
    /// normal end of a race with the timeout.
    pub(super) fn woken(&self, ticket: WaitTicket) {
        if let Some(waiter) = self.waits.open.borrow_mut().remove(&ticket.number) {
            let _ = waiter.send(());
        }
    }

    /// A coordinator answers. Nobody waits any more when the client has gone away.
    pub(super) fn coordinated(&self, ticket: CoordinateTicket, reply: GroupReply) {
        if let Some(asker) = self.questions.open.borrow_mut().remove(&ticket.number) {
            let _ = asker.send(reply);
        }
    }

    fn tell(&self, to: ShardId, request: ShardRequest) {
        let answer = self.post.call(to, request);
        drop(self.rt.spawn(Group::Fetch, answer));
    }
}

impl Shards for Peers {
    fn count(&self) -> u16 {
        self.shard_count
    }

    fn owner(&self, id: PartitionId) -> ShardId {
        owner_shard(id, self.shard_count)
    }

    fn partition(&self, id: PartitionId, request: PartitionRequest) -> LocalFuture<PartitionReply> {
        let owner = self.owner(id);
        let answer = self.post.call(owner, ShardRequest::Partition(request));
        Box::pin(async move {
            match answer.await {
                ShardReply::Partition(reply) => reply,
                other => unreachable!("a partition request is answered as one, not by {other:?}"),
            }
        })
    }

    fn wait(&self, partitions: Vec<Watched>, timeout: Duration) -> LocalFuture<()> {
        let mut by_owner: BTreeMap<ShardId, Vec<Watched>> = BTreeMap::new();
        for watched in partitions {
            by_owner.entry(self.owner(watched.id)).or_default().push(watched);
        }
        let ticket = WaitTicket { shard: self.rt.shard(), number: self.waits.next.get() };
        self.waits.next.set(ticket.number + 1);
        let (sender, woken) = oneshot();
        self.waits.open.borrow_mut().insert(ticket.number, sender);
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let owners: BTreeSet<ShardId> = by_owner.keys().copied().collect();
        for (owner, partitions) in by_owner {
            self.tell(owner, ShardRequest::Watch(WaitCall { ticket, partitions, timeout_ms }));
        }
        let wait = Wait { peers: self.clone(), ticket, owners };
        let sleep = self.rt.sleep(timeout);
        Box::pin(async move {
            let _wait = wait;
            first_of(woken, sleep).await;
        })
    }

    fn coordinator(&self, id: PartitionId, request: GroupRequest) -> LocalFuture<GroupReply> {
        let number = self.questions.next.get();
        self.questions.next.set(number + 1);
        let (sender, answer) = oneshot();
        self.questions.open.borrow_mut().insert(number, sender);
        let ticket = CoordinateTicket { shard: self.rt.shard(), number };
        self.tell(self.owner(id), ShardRequest::Coordinate(ticket, id.index, request));
        let question = Question { questions: Rc::clone(&self.questions), number };
        Box::pin(async move {
            let _question = question;
            match answer.await {
                Some(reply) => reply,
                // The shard is ending, and so is whoever waits here.
                None => std::future::pending().await,
            }
        })
    }

    fn admin(&self, request: AdminRequest) -> LocalFuture<Result<AdminReply, QuorumError>> {
        let answer = self.post.call(ShardId(0), ShardRequest::Admin(request));
        Box::pin(async move {
            match answer.await {
                ShardReply::Admin(reply) => reply,
                other => unreachable!("an admin request is answered as one, not by {other:?}"),
            }
        })
    }
}

/// Forgets a question whose asker has gone away.
struct Question {
    questions: Rc<Questions>,
    number: u64,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.questions.open.borrow_mut().remove(&self.number);
    }
}

/// Ends the watches of a wait that is over, however it ended.
struct Wait {
    peers: Peers,
    ticket: WaitTicket,
    owners: BTreeSet<ShardId>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.peers.waits.open.borrow_mut().remove(&self.ticket.number);
        for owner in &self.owners {
            self.peers.tell(*owner, ShardRequest::Unwatch(self.ticket));
        }
    }
}
