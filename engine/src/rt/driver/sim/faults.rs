//! Faults on demand: rules that match operations and say what goes wrong.

use std::time::Duration;

use super::random::Random;
use super::state::NodeIndex;
use crate::rt::errno::Errno;
use crate::rt::op::Op;

/// Kinds of operations that rules and traces distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// `Op::Open`.
    Open,
    /// `Op::Read`.
    Read,
    /// `Op::Write`, durable or not.
    Write,
    /// `Op::Sync`.
    Sync,
    /// `Op::Allocate`.
    Allocate,
    /// Everything about names: stat, directories, unlink, rename, list.
    Names,
    /// Everything about sockets.
    Socket,
}

impl OpKind {
    pub(super) fn of(op: &Op) -> Self {
        match op {
            Op::Open { .. } => Self::Open,
            Op::Read { .. } => Self::Read,
            Op::Write { .. } | Op::WriteMany { .. } => Self::Write,
            Op::Sync { .. } => Self::Sync,
            Op::Allocate { .. } => Self::Allocate,
            Op::StatFile { .. }
            | Op::Stat { .. }
            | Op::MakeDir { .. }
            | Op::RemoveDir { .. }
            | Op::Unlink { .. }
            | Op::Rename { .. }
            | Op::List { .. } => Self::Names,
            Op::Listen { .. }
            | Op::Accept { .. }
            | Op::Connect { .. }
            | Op::Recv { .. }
            | Op::RecvSome { .. }
            | Op::Send { .. }
            | Op::SendFile { .. } => Self::Socket,
        }
    }
}

/// What goes wrong with an operation on files. (The network has faults of its own.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails with this errno. A write may have stored any part; a failed sync forgets what it
    /// should have made durable, so that a later success proves nothing.
    Fail(Errno),
    /// As `Fail`, with an errno that chance draws from [`DISK_ERRNOS`] each time.
    FailByChance,
    /// A transfer stops after this many bytes (at least 1 less than asked for).
    Short(usize),
    /// It completes so much later.
    Stall(Duration),
    /// It never completes (until the node crashes).
    Hang,
    /// One bit is wrong: of what a read returns, or of what a write stores.
    FlipBit,
    /// A write lands, or a read comes from, this many bytes further on.
    Misdirect(u64),
    /// A write, or sync, says that it succeeded and did nothing.
    Lose,
}

/// Every errno with which reads, writes and syncs of files may end: the table of the storage
/// contract, section 6.
pub const DISK_ERRNOS: [Errno; 12] = [
    Errno::EIO,
    Errno::ENODATA,
    Errno::EREMOTEIO,
    Errno::ETIMEDOUT,
    Errno::ENOLINK,
    Errno::EILSEQ,
    Errno::EROFS,
    Errno::ENOSPC,
    Errno::EDQUOT,
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::ENOMEM,
];

/// When an [`Effect`] strikes.
#[derive(Clone, Debug)]
pub struct Rule {
    /// On this node; `None`: on every node.
    pub node: Option<NodeIndex>,
    /// For this kind of operation; `None`: every kind on files.
    pub kind: Option<OpKind>,
    /// For paths that contain this; empty: all.
    pub path: String,
    /// Matching operations to let pass first.
    pub skip: u64,
    /// How many times to strike after that.
    pub times: u64,
    /// Of those that match, so many in a thousand (1000: all).
    pub per_mille: u32,
    /// What goes wrong.
    pub effect: Effect,
}

impl Rule {
    /// Strikes every operation of `kind` on every node, always, until narrowed.
    #[must_use]
    pub fn new(kind: OpKind, effect: Effect) -> Self {
        let (path, times) = (String::new(), u64::MAX);
        Self { node: None, kind: Some(kind), path, skip: 0, times, per_mille: 1000, effect }
    }

    /// Only on `node`.
    #[must_use]
    pub fn on(self, node: NodeIndex) -> Self {
        Self { node: Some(node), ..self }
    }

    /// Only for paths that contain `part`.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self { path: part.to_owned(), ..self }
    }

    /// Only the `n`-th match, counted from 0.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { skip: n, times: 1, ..self }
    }

    /// Only so many in a thousand.
    #[must_use]
    pub fn per_mille(self, per_mille: u32) -> Self {
        Self { per_mille, ..self }
    }

    /// The effect, if the rule strikes this operation.
    pub(super) fn strike(
        &mut self,
        node: NodeIndex,
        kind: OpKind,
        path: &str,
        random: &mut Random,
    ) -> Option<Effect> {
        let matches = self.node.is_none_or(|n| n == node)
            && self.kind.map_or(kind != OpKind::Socket, |k| k == kind)
            && path.contains(&self.path);
        if !matches || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if !random.chance(self.per_mille) {
            return None;
        }
        self.times -= 1;
        Some(match self.effect {
            Effect::FailByChance => Effect::Fail(DISK_ERRNOS[random.index(DISK_ERRNOS.len())]),
            effect => effect,
        })
    }
}
