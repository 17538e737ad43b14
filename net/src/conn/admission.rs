//! May this peer have one more connection?
//!
//! Kafka leaves connections unlimited by default (`max.connections`, `max.connections.per.ip`);
//! here both are finite, per shard, because a connection costs a task, a receive buffer's share
//! and a slot in this table. At a limit the newest connection is closed at once: those that work
//! go on working.
//!
//! A value, not a task: the listener asks, the connection gives its seat back when it ends.

use hashbrown::HashMap;
use std::fmt;
use std::net::IpAddr;

/// How many connections one shard accepts.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// All peers together.
    pub connections_max: u32,
    /// From one IP address.
    pub connections_per_ip_max: u32,
}

/// Why a connection was closed before its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    /// The shard has `max.connections` already.
    Shard(u32),
    /// The address has `max.connections.per.ip` already.
    Address(u32),
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(limit) => {
                write!(f, "this shard has its {limit} connections (max.connections)")
            }
            Self::Address(limit) => {
                write!(f, "this address has its {limit} connections (max.connections.per.ip)")
            }
        }
    }
}

/// Counts the open connections of one shard. Holds one entry per address with an open connection,
/// so never more than `connections_max` entries.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    open: u32,
    per_ip: HashMap<IpAddr, u32, foldhash::fast::FixedState>,
}

impl Admission {
    /// An empty table; `seed` hides the hash order from peers that choose their address.
    #[must_use]
    pub fn new(limits: AdmissionLimits, seed: u64) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Self { limits, open: 0, per_ip: HashMap::with_hasher(hasher) }
    }

    /// Takes a seat for a connection from `address`. Every `Ok` is given back by [`Self::leave`].
    ///
    /// # Errors
    /// Which limit is reached; nothing is counted then.
    pub fn enter(&mut self, address: IpAddr) -> Result<(), Crowded> {
        if self.open >= self.limits.connections_max {
            return Err(Crowded::Shard(self.limits.connections_max));
        }
        let held = self.per_ip.get(&address).copied().unwrap_or(0);
        if held >= self.limits.connections_per_ip_max {
            return Err(Crowded::Address(self.limits.connections_per_ip_max));
        }
        self.per_ip.insert(address, held + 1);
        self.open += 1;
        Ok(())
    }

    /// Gives a seat back.
    ///
    /// # Panics
    /// If `address` holds no seat: a connection left twice.
    pub fn leave(&mut self, address: IpAddr) {
        let held = self.per_ip.get(&address).copied().expect("a leaving connection has a seat");
        assert!(self.open > 0);
        self.open -= 1;
        if held == 1 {
            self.per_ip.remove(&address);
        } else {
            self.per_ip.insert(address, held - 1);
        }
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn both_limits_hold_and_seats_come_back() {
        let limits = AdmissionLimits { connections_max: 3, connections_per_ip_max: 2 };
        let mut table = Admission::new(limits, 7);
        assert_eq!(table.enter(ip(1)), Ok(()));
        assert_eq!(table.enter(ip(1)), Ok(()));
        assert_eq!(table.enter(ip(1)), Err(Crowded::Address(2)));
        assert_eq!(table.enter(ip(2)), Ok(()));
        assert_eq!(table.enter(ip(3)), Err(Crowded::Shard(3)));
        table.leave(ip(1));
        assert_eq!(table.enter(ip(3)), Ok(()));
        for address in [ip(1), ip(2), ip(3)] {
            table.leave(address);
        }
        assert_eq!(table.open(), 0);
        assert!(table.per_ip.is_empty());
    }
}
