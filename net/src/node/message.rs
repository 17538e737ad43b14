//! What the shards of a node say to each other.

use std::net::SocketAddr;
use std::sync::Arc;

use engine::rt::Errno;
use engine::shard::Share;
use engine::types::{PartitionIndex, ShardId};
use replication::image::ClusterImage;
use replication::partition::{PartitionReply, PartitionRequest, WaitCall, WaitTicket};
use replication::quorum::QuorumError;

use super::NodeError;
use super::control::ShardCounters;
use crate::coordinator::{GroupReply, GroupRequest};
use crate::gateway::{AdminReply, AdminRequest, LocalFuture};

/// From any shard to any shard, its own included.
#[derive(Debug)]
pub(super) enum ShardRequest {
    /// To a partition's owner. Waits go by `Watch` instead.
    Partition(PartitionRequest),
    /// To a partition's owner: tell me (by `Woken`) when there is more to read. Answered at once,
    /// so that a parked fetch holds no credit of the mesh.
    Watch(WaitCall),
    /// To a partition's owner: no longer.
    Unwatch(WaitTicket),
    /// To the shard that watches: there is more.
    Woken(WaitTicket),
    /// To a partition's owner: something for the coordinator of its groups. Answered at once, and
    /// by `Coordinated` later, so that a parked JoinGroup holds no credit of the mesh.
    Coordinate(CoordinateTicket, PartitionIndex, GroupRequest),
    /// To the shard that asked for a coordinator: its answer.
    Coordinated(CoordinateTicket, GroupReply),
    /// To shard 0: something for the controller.
    Admin(AdminRequest),
    /// From shard 0: your part of what recovery found.
    Open(Box<Share>),
    /// From shard 0: a new cluster image. Answered when everything it changes is carried out.
    Image(Arc<ClusterImage>),
    /// From shard 0: accept clients.
    Listen,
    /// From shard 0: accept no more clients, answer what was started, close the connections.
    Drain,
    /// From shard 0: everything to disk, in good order.
    Close,
    /// From shard 0: your numbers.
    Counters,
    /// From shard 0: end.
    Exit,
}

/// Names a request to a coordinator; unique for the shard that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CoordinateTicket {
    /// The shard that asks.
    pub(super) shard: ShardId,
    /// Its own number.
    pub(super) number: u64,
}

/// The answer to a [`ShardRequest`].
#[derive(Debug)]
pub(super) enum ShardReply {
    /// To `Partition`.
    Partition(PartitionReply),
    /// To `Admin`.
    Admin(Result<AdminReply, QuorumError>),
    /// To `Open`.
    Opened(Result<(), NodeError>),
    /// To `Listen`: one address per listener, with true ports; none on a shard that is no gateway.
    Listening(Result<Vec<SocketAddr>, NodeError>),
    /// To `Close`.
    Closed(Result<(), Errno>),
    /// To `Counters`.
    Counters(ShardCounters),
    /// To everything else.
    Done,
}

/// How a shard reaches the others.
pub(super) trait Post {
    /// Sends a request. Requests from this shard to one other arrive in the order of these calls,
    /// whether or not the futures are polled.
    fn call(&self, to: ShardId, request: ShardRequest) -> LocalFuture<ShardReply>;
}
