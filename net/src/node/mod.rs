//! A node: the shards of one process, from the first byte read to the clean stop.
//!
//! [`mains`] is the one constructor: it gives what runs on each shard, for the kernel's driver
//! ([`Node::start`], one pinned thread per shard) and for the simulator alike. Every shard serves
//! its partitions and, if it is a gateway, its clients (`shard`); shard 0 also leads the node
//! through its life (`lead`) and holds the metadata quorum.
//!
//! ```text
//! open or format the directory → metadata log → quorum → recover the journals → open every store
//! → register this broker, start its leaders → publish the image to every shard → listen
//! … order to stop …
//! → no new clients → answer what was started → close every store (clean marker) → close the quorum
//! ```
//!
//! Between the threads stand the mesh (`message`, `peers`) and the half that the starter holds
//! (`control`).

pub mod control;
pub mod directory;
pub mod identity;
mod lead;
mod message;
mod peers;
mod shard;
mod threads;
mod tombstones;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use engine::rt::Errno;
use engine::shard::StoreConfig;
use engine::types::ShardId;
use replication::controller::ControllerError;
use replication::image::Endpoint;
use replication::quorum::QuorumError;

use crate::gateway::Settings;
pub use control::{Control, Phase, Serving, ShardCounters};
pub use threads::{Node, mains};

/// What a node is started with. The same value starts it again.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where its data lies; nobody else uses that directory.
    pub data_dir: PathBuf,
    /// Number of shards, at least 1.
    pub shards: u16,
    /// Shards that accept clients; `None` is all of them.
    pub gateway_shards: Option<Vec<ShardId>>,
    /// Addresses to accept clients on.
    pub binds: Vec<Bind>,
    /// What clients are told, one per listener.
    pub endpoints: Vec<Endpoint>,
    /// Configuration and limits.
    pub settings: Arc<Settings>,
    /// Bugs on purpose, in the journals of records and in the coordinators of groups.
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

/// An address of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Number of the listener: place in [`NodeConfig::endpoints`].
    pub listener: usize,
    /// Address and port.
    pub address: SocketAddr,
    /// One of several addresses of its listener: may be missing on this host (no IPv6).
    pub optional: bool,
}

impl NodeConfig {
    /// How the stores of this node work.
    fn store_config(&self) -> StoreConfig {
        #[cfg_attr(not(feature = "planted-bugs"), expect(unused_mut, reason = "bugs are planted"))]
        let mut config = StoreConfig::from_limits(self.settings.limits);
        #[cfg(feature = "planted-bugs")]
        {
            config.journal.planted = self.planted;
        }
        config
    }

    /// Whether a shard accepts clients.
    #[must_use]
    pub fn is_gateway(&self, shard: ShardId) -> bool {
        self.gateway_shards.as_ref().is_none_or(|shards| shards.contains(&shard))
    }

    /// How many shards accept clients; 1 also where none does, to be divided by.
    #[must_use]
    pub fn gateways(&self) -> u16 {
        let gateways = (0..self.shards).filter(|shard| self.is_gateway(ShardId(*shard)));
        (gateways.count() as u16).max(1)
    }
}

/// Why a node does not serve. Each sentence says what to do, as far as that is known.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] directory::DirectoryError),
    /// The metadata log's files.
    #[error("the metadata log cannot be opened: {0}")]
    MetadataLog(String),
    /// The metadata quorum.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The journals and segments.
    #[error("recovery stopped: {0}")]
    Recovery(String),
    /// A shard's store.
    #[error("shard {shard} cannot open its store: {errno}")]
    Store {
        /// Which shard.
        shard: ShardId,
        /// What the disk said.
        errno: Errno,
    },
    /// The controller refused this broker.
    #[error(transparent)]
    Registration(#[from] ControllerError),
    /// An address.
    #[error("cannot listen on {address}: {errno}; choose another address or stop who has it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        errno: Errno,
    },
    /// A shard's thread.
    #[error("shard {shard} cannot start: {reason}")]
    Shard {
        /// Which shard.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// Stopped before it served.
    #[error("the node was stopped")]
    Stopped,
}
