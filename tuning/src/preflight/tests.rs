//! Every cause is told apart, by a table of hosts and errnos.

use super::*;

fn host() -> HostFacts {
    HostFacts {
        cores: vec![0, 1],
        memory_total_bytes: Some(8 << 30),
        kernel: Some(KernelVersion { major: 6, minor: 12 }),
        huge_pages: HugePages::Madvise,
        io_uring_disabled: Some(0),
        ..HostFacts::default()
    }
}

fn attempts(ring_setup: Result<(), i32>, direct_io: Result<(), i32>) -> Attempts<'static> {
    Attempts { ring_setup, data_dir: "/var/lib/ringmain", direct_io }
}

fn found(facts: &HostFacts, attempts: &Attempts<'_>) -> Vec<Finding> {
    preflight(facts, attempts, 2, &Limits::DEFAULT)
}

#[test]
fn a_good_host_has_no_findings() {
    assert_eq!(found(&host(), &attempts(Ok(()), Ok(()))), []);
}

#[test]
fn each_denial_of_a_ring_is_told_apart() {
    let old = Some(KernelVersion { major: 5, minor: 15 });
    let table = [
        (HostFacts { seccomp_filtered: true, ..host() }, EPERM, Cause::Seccomp, "--security-opt"),
        (HostFacts { seccomp_filtered: true, ..host() }, ENOSYS, Cause::Seccomp, "--security-opt"),
        (
            HostFacts { io_uring_disabled: Some(2), ..host() },
            EPERM,
            Cause::IoUringDisabled,
            "kernel.io_uring_disabled=0",
        ),
        // Both at once: the sysctl is named first, since the filter alone would not say 2 there.
        (
            HostFacts { io_uring_disabled: Some(1), seccomp_filtered: true, ..host() },
            EPERM,
            Cause::IoUringDisabled,
            "sysctl",
        ),
        (HostFacts { kernel: old, ..host() }, EINVAL, Cause::OldKernel, "6.1"),
        (HostFacts { kernel: old, ..host() }, ENOSYS, Cause::OldKernel, "6.1"),
        (HostFacts { memlock_bytes: Some(65_536), ..host() }, ENOMEM, Cause::Memlock, "ulimit -l"),
        (host(), ENOMEM, Cause::Memory, "memory.max"),
        (host(), EPERM, Cause::SecurityModule, "ausearch"),
        (host(), ENOSYS, Cause::NoIoUring, "CONFIG_IO_URING"),
        (host(), EMFILE, Cause::OpenFiles, "ulimit -n"),
        (host(), EINVAL, Cause::Unknown, "strace"),
        (host(), 5, Cause::Unknown, "strace"),
    ];
    for (facts, errno, cause, mend) in table {
        let findings = found(&facts, &attempts(Err(errno), Ok(())));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].cause, findings[0].severity), (cause, Severity::Fatal));
        assert!(findings[0].mend.contains(mend), "{}", findings[0]);
    }
}

#[test]
fn the_sysctl_finding_says_who_may() {
    let facts = HostFacts { io_uring_disabled: Some(1), io_uring_group: Some(990), ..host() };
    let findings = found(&facts, &attempts(Err(EPERM), Ok(())));
    assert!(findings[0].what.contains("only group 990"), "{}", findings[0]);
}

#[test]
fn a_data_directory_that_will_not_do_is_named() {
    for (errno, cause, mend) in [
        (EINVAL, Cause::NoDirectIo, "ringmain start --data-dir DIR"),
        (EOPNOTSUPP, Cause::NoDirectIo, "XFS or ext4"),
        (EACCES, Cause::DataDir, "chown"),
        (EROFS, Cause::DataDir, "chown"),
        (28, Cause::DataDir, "df -h /var/lib/ringmain"),
    ] {
        let findings = found(&host(), &attempts(Ok(()), Err(errno)));
        assert_eq!((findings.len(), findings[0].cause), (1, cause));
        assert!(findings[0].mend.contains(mend), "{}", findings[0]);
    }
}

#[test]
fn a_filesystem_without_direct_io_is_named_and_so_is_a_directory_that_will_do() {
    let mount = |point: &str, kind: &str| Mount { point: point.into(), kind: kind.to_owned() };
    let told = |mounts: &[Mount]| {
        let facts = HostFacts { mounts: mounts.to_vec(), ..host() };
        let attempts = Attempts { data_dir: "/scratch/data", ..attempts(Ok(()), Err(EINVAL)) };
        found(&facts, &attempts).remove(0)
    };
    let (root, scratch) = (mount("/", "ext4"), mount("/scratch", "ramfs"));
    let finding = told(&[root, scratch.clone()]);
    assert!(finding.what.contains("ramfs (mounted on /scratch)"), "{finding}");
    assert_eq!(finding.mend, "ringmain start --data-dir /var/lib/ringmain    # on ext4");
    let container = [mount("/", "overlay"), scratch.clone(), mount("/volume", "xfs")];
    let finding = told(&container);
    assert_eq!(finding.mend, "ringmain start --data-dir /volume/ringmain    # on xfs");
    let finding = told(&[scratch]);
    assert!(finding.mend.contains("findmnt -t xfs,ext4"), "{finding}");
}

#[test]
fn warnings_come_after_what_is_fatal() {
    let facts =
        HostFacts { huge_pages: HugePages::Never, memory_limit_bytes: Some(256 << 20), ..host() };
    let causes: Vec<_> = found(&facts, &attempts(Err(EMFILE), Err(EINVAL)))
        .into_iter()
        .map(|finding| (finding.severity, finding.cause))
        .collect();
    assert_eq!(
        causes,
        [
            (Severity::Fatal, Cause::OpenFiles),
            (Severity::Fatal, Cause::NoDirectIo),
            (Severity::Warning, Cause::Memory),
            (Severity::Warning, Cause::HugePages),
        ]
    );
}
