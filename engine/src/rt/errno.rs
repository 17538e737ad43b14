//! The error number of an operation, as the kernel gives it and as the simulator imitates it.

use std::fmt;

/// A Linux errno, positive. The names that callers compare with are constants here, so that rooms
/// above the engine need no `libc`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "` of errno(3).")]
            pub const $name: Self = Self(libc::$name);)*

            /// The symbol, for the numbers that operations of the door are known to answer.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => "errno",
                }
            }
        }
    };
}

errnos! {
    EPERM, ENOENT, EINTR, EIO, EBADF, EAGAIN, ENOMEM, EACCES, EEXIST, ENOTDIR, EISDIR, EINVAL,
    ENFILE, EMFILE, EFBIG, ENOSPC, EROFS, EPIPE, ENOSYS, ENODATA, EREMOTEIO, ETIMEDOUT, ENOLINK,
    EILSEQ, EDQUOT, ECANCELED, ENOTEMPTY, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, ECONNRESET,
    ECONNABORTED, EHOSTUNREACH, ENETUNREACH, ENOTCONN, ENOBUFS, EOPNOTSUPP, ENOTSOCK, EBUSY, EXDEV,
    ENAMETOOLONG, ELOOP, ENODEV, EPROTO,
}

impl Errno {
    /// The errno behind a standard library error; EIO when there is none.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), std::io::Error::from_raw_os_error(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl std::error::Error for Errno {}
