//! Socket addresses in the kernel's form, and making sockets (which never blocks).
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::rt::errno::Errno;
use crate::rt::op::ListenOptions;

/// A socket address that the kernel reads or fills in.
#[repr(C)]
pub(super) struct KernelAddr {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) len: libc::socklen_t,
}

impl KernelAddr {
    /// Room for an address to be filled in.
    pub(super) fn empty() -> Self {
        // SAFETY: plain old data, for which all zeros is a valid value.
        let storage = unsafe { MaybeUninit::zeroed().assume_init() };
        Self { storage, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    pub(super) fn of(addr: SocketAddr) -> Self {
        let mut kernel = Self::empty();
        let storage = (&raw mut kernel.storage).cast::<libc::sockaddr>();
        match addr {
            SocketAddr::V4(v4) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: `sockaddr_storage` is large and aligned enough for every address family.
                unsafe { storage.cast::<libc::sockaddr_in>().write(value) };
                kernel.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: as above.
                unsafe { storage.cast::<libc::sockaddr_in6>().write(value) };
                kernel.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        kernel
    }

    pub(super) fn raw(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    /// The address that the kernel filled in; unspecified for families that we do not speak.
    pub(super) fn read(&self) -> SocketAddr {
        let storage = (&raw const self.storage).cast::<libc::sockaddr>();
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says which structure the storage holds.
                let v4 = unsafe { storage.cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into()
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { storage.cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into()
            }
            _ => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }
}

/// A TCP socket of the address's family.
pub(super) fn tcp_socket(addr: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: a descriptor just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A listening socket and the address it got.
pub(super) fn listen(
    addr: SocketAddr,
    options: ListenOptions,
) -> Result<(OwnedFd, SocketAddr), Errno> {
    let socket = tcp_socket(addr)?;
    let fd = socket.as_raw_fd();
    set_flag(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    if options.reuse_port {
        set_flag(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
    }
    let mut kernel = KernelAddr::of(addr);
    let (raw, len) = (kernel.raw(), kernel.len);
    // SAFETY: `raw` points to an address of `len` bytes.
    check(unsafe { libc::bind(fd, raw, len) })?;
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(fd, i32::try_from(options.backlog).unwrap_or(i32::MAX)) })?;
    let mut kernel = KernelAddr::empty();
    let raw = kernel.raw();
    // SAFETY: room for any address, and its length.
    check(unsafe { libc::getsockname(fd, raw, &raw mut kernel.len) })?;
    Ok((socket, kernel.read()))
}

/// Sends small answers at once. A socket that refuses is closed by its peer already, and the next
/// operation says so.
pub(super) fn set_no_delay(fd: RawFd) {
    let _ = set_flag(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY);
}

fn set_flag(fd: RawFd, level: i32, option: i32) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `on` is read for `len` bytes during the call.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), len) })
}

/// The error of the call just made, if it failed.
pub(super) fn check(result: i32) -> Result<(), Errno> {
    if result < 0 { Err(Errno::of(&std::io::Error::last_os_error())) } else { Ok(()) }
}
