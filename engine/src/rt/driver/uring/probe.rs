//! A look at what this kernel gives: for the start banner and the preflight.

use io_uring::Probe as KernelProbe;
use io_uring::opcode as op;

use super::idle::IdleBuffers;
use super::ring;
use crate::rt::errno::Errno;

/// What a trial set-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The facts, or why the kernel refused: EPERM (`kernel.io_uring_disabled`, seccomp), ENOSYS
    /// (seccomp, or no io_uring), EINVAL (a kernel without the flags needed), ENOMEM
    /// (RLIMIT_MEMLOCK).
    pub ring: Result<RingFacts, Errno>,
}

/// A ring that could be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingFacts {
    /// Set-up flags obtained, by the kernel's names.
    pub flags: Vec<&'static str>,
    /// Features reported, by the kernel's names.
    pub features: Vec<&'static str>,
    /// Operations needed and not there; empty on Linux 6.1 and later.
    pub missing_operations: Vec<&'static str>,
    /// Operations that would be used if there were a reason, and whether they are there.
    pub extra_operations: Vec<(&'static str, bool)>,
    /// Whether a buffer ring could be registered.
    pub buffer_ring: bool,
}

/// Sets up a small ring, looks, and takes it down again.
#[must_use]
pub fn probe() -> Probe {
    Probe { ring: look() }
}

fn look() -> Result<RingFacts, Errno> {
    let errno = |error: std::io::Error| Errno::of(&error);
    let (uring, extras) = ring::build(8).map_err(errno)?;
    let mut known = KernelProbe::new();
    uring.submitter().register_probe(&mut known).map_err(errno)?;
    let mut flags = vec!["SINGLE_ISSUER", "DEFER_TASKRUN", "TASKRUN_FLAG", "SUBMIT_ALL", "CQSIZE"];
    if extras.no_sqarray {
        flags.push("NO_SQARRAY");
    }
    let missing = NEEDED.iter().filter(|(_, code)| !known.is_supported(*code));
    let extra = WISHED.iter().map(|(name, code)| (*name, known.is_supported(*code)));
    let idle = IdleBuffers::register(&uring, 8);
    let facts = RingFacts {
        flags,
        features: features(uring.params()),
        missing_operations: missing.map(|(name, _)| *name).collect(),
        extra_operations: extra.collect(),
        buffer_ring: idle.is_ok(),
    };
    // The ring goes first: the kernel knows the buffers.
    drop(uring);
    drop(idle);
    Ok(facts)
}

const NEEDED: [(&str, u8); 18] = [
    ("READ", op::Read::CODE),
    ("WRITE", op::Write::CODE),
    ("WRITEV", op::Writev::CODE),
    ("FSYNC", op::Fsync::CODE),
    ("FALLOCATE", op::Fallocate::CODE),
    ("OPENAT", op::OpenAt::CODE),
    ("STATX", op::Statx::CODE),
    ("RENAMEAT", op::RenameAt::CODE),
    ("UNLINKAT", op::UnlinkAt::CODE),
    ("MKDIRAT", op::MkDirAt::CODE),
    ("ACCEPT", op::Accept::CODE),
    ("CONNECT", op::Connect::CODE),
    ("RECV", op::Recv::CODE),
    ("SENDMSG", op::SendMsg::CODE),
    ("POLL_ADD", op::PollAdd::CODE),
    ("SPLICE", op::Splice::CODE),
    ("ASYNC_CANCEL", op::AsyncCancel::CODE),
    ("TIMEOUT", op::Timeout::CODE),
];

const WISHED: [(&str, u8); 3] = [
    ("SEND_ZC", op::SendZc::CODE),
    ("SENDMSG_ZC", op::SendMsgZc::CODE),
    ("MSG_RING", op::MsgRingData::CODE),
];

fn features(params: &io_uring::Parameters) -> Vec<&'static str> {
    let all = [
        ("SINGLE_MMAP", params.is_feature_single_mmap()),
        ("NODROP", params.is_feature_nodrop()),
        ("SUBMIT_STABLE", params.is_feature_submit_stable()),
        ("FAST_POLL", params.is_feature_fast_poll()),
        ("EXT_ARG", params.is_feature_ext_arg()),
        ("NATIVE_WORKERS", params.is_feature_native_workers()),
        ("CQE_SKIP", params.is_feature_skip_cqe_on_success()),
        ("RECVSEND_BUNDLE", params.is_feature_recvsend_bundle()),
        ("MIN_TIMEOUT", params.is_feature_min_timeout()),
    ];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}
