//! Brokers: registration, blocks of producer ids, and the start of leaders.

use engine::types::{NodeId, ProducerId};

use super::{ControllerError, Decision};
use crate::image::{ClusterImage, Endpoint, Record};

/// What a broker says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Kafka's node id.
    pub node: NodeId,
    /// Random per process start.
    pub incarnation: [u8; 16],
    /// Identity of its data directory.
    pub directory: [u8; 16],
    /// Advertised endpoints, one per listener.
    pub endpoints: Vec<Endpoint>,
    /// Rack, when set.
    pub rack: Option<String>,
    /// Shards it runs.
    pub shards: u16,
}

/// Registers a broker and answers its new epoch.
///
/// The same incarnation again is answered with the epoch it has: a lost answer costs nothing. A node
/// id that is registered by another data directory is refused, for a wiped disk is a new replica
/// (design D8).
///
/// # Errors
/// [`ControllerError::DuplicateBroker`].
pub fn register_broker(
    image: &ClusterImage,
    broker: &BrokerRegistration,
) -> Result<Decision<i64>, ControllerError> {
    if let Some(known) = image.broker(broker.node) {
        if known.directory != broker.directory {
            return Err(ControllerError::DuplicateBroker(broker.node));
        }
        if known.incarnation == broker.incarnation {
            return Ok(Decision::answer(known.epoch));
        }
    }
    let epoch = image.brokers().map(|known| known.epoch).max().unwrap_or(0) + 1;
    let record = Record::BrokerRegistered {
        node: broker.node.0,
        incarnation: broker.incarnation,
        directory: broker.directory,
        epoch,
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        shards: broker.shards,
    };
    Ok(Decision { records: vec![record], answer: epoch })
}

/// Producer ids that one broker may give away: `first .. first + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    first: i64,
    count: i64,
}

impl ProducerIdBlock {
    /// Ids per block, as in Kafka: a restart wastes at most this many of 2^63.
    pub const LEN: i64 = 1000;

    /// A block with nothing left in it.
    #[must_use]
    pub fn empty() -> Self {
        Self { first: 0, count: 0 }
    }

    /// Takes the next id, or `None` when a new block is due.
    pub fn take(&mut self) -> Option<ProducerId> {
        if self.count == 0 {
            return None;
        }
        let id = ProducerId(self.first);
        self.first += 1;
        self.count -= 1;
        Some(id)
    }
}

/// Gives a broker a block of producer ids that nobody had before.
///
/// # Errors
/// [`ControllerError::UnknownBroker`] and [`ControllerError::StaleBrokerEpoch`].
pub fn allocate_producer_ids(
    image: &ClusterImage,
    node: NodeId,
    broker_epoch: i64,
) -> Result<Decision<ProducerIdBlock>, ControllerError> {
    let broker = image.broker(node).ok_or(ControllerError::UnknownBroker(node))?;
    if broker.epoch != broker_epoch {
        return Err(ControllerError::StaleBrokerEpoch(node));
    }
    let ProducerId(first) = image.producer_ids_next();
    let next = first.checked_add(ProducerIdBlock::LEN).expect("2^63 producer ids are enough");
    let record = Record::ProducerIdsAllocated { node: node.0, next };
    let answer = ProducerIdBlock { first, count: ProducerIdBlock::LEN };
    Ok(Decision { records: vec![record], answer })
}

/// The records by which `node` starts to lead every partition that is its to lead.
///
/// Every start of a leader is a new leader epoch, at replication factor 1 too (design D8): what a
/// crash took from an unacknowledged tail is then never mistaken for what the same offsets hold
/// later. Partitions without a leader are taken over when this node is the only one that may lead:
/// in the ISR, or in the ELR when the ISR is empty.
#[must_use]
pub fn start_leaders(image: &ClusterImage, node: NodeId) -> Vec<Record> {
    let mine = |p: &crate::image::Partition| match p.leader {
        Some(leader) => leader == node,
        None => p.isr.contains(&node) || (p.isr.is_empty() && p.elr.contains(&node)),
    };
    image
        .partitions()
        .filter(|(_, _, partition)| mine(partition))
        .map(|(id, _, partition)| {
            let isr = if partition.isr.is_empty() { vec![node] } else { partition.isr.clone() };
            Record::PartitionChanged {
                topic: id.topic.0,
                index: id.index.0,
                leader: node.0,
                leader_epoch: partition.leader_epoch.0 + 1,
                isr: isr.iter().map(|n| n.0).collect(),
                elr: partition.elr.iter().filter(|n| !isr.contains(n)).map(|n| n.0).collect(),
            }
        })
        .collect()
}
