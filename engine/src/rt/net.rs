//! Listeners and streams, as tasks see them.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;

use super::Rt;
use super::errno::Errno;
use super::file::{File, count};
use super::op::{Answer, Chunk, Handle, Home, ListenOptions, Op};
use crate::memory::IoBuf;

/// An open listener. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Listener {
    rt: Rt,
    handle: Handle,
    addr: SocketAddr,
}

impl Listener {
    /// The next connection. See [`Op::Accept`] for what to do about each error.
    pub async fn accept(&self) -> Result<(Stream, SocketAddr), Errno> {
        let op = Op::Accept { listener: self.handle.clone() };
        let stream = self.rt.connected(op).await?;
        let peer = stream.peer();
        Ok((stream, peer))
    }

    /// The address it listens on, with the true port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.addr)
    }
}

/// A connection. Clones share it; the last one dropped closes it. One receive and one send at a
/// time: two of a kind at once would interleave.
#[derive(Clone)]
pub struct Stream {
    inner: Rc<Inner>,
}

struct Inner {
    rt: Rt,
    handle: Handle,
    peer: SocketAddr,
}

impl Stream {
    /// Receives what is there, at most `len` bytes, into `buf[at..at + len]`; 0 = the peer sends no
    /// more. See [`Op::Recv`].
    ///
    /// # Panics
    /// If the range does not lie in the buffer.
    pub async fn recv(&self, buf: IoBuf, at: usize, len: usize) -> (Result<usize, Errno>, IoBuf) {
        self.receive(buf, at, len, false).await
    }

    /// Receives exactly `len` bytes into `buf[at..at + len]`; fewer only when the peer sends no
    /// more.
    ///
    /// # Panics
    /// If the range does not lie in the buffer.
    pub async fn recv_full(
        &self,
        buf: IoBuf,
        at: usize,
        len: usize,
    ) -> (Result<usize, Errno>, IoBuf) {
        self.receive(buf, at, len, true).await
    }

    async fn receive(
        &self,
        buf: IoBuf,
        at: usize,
        len: usize,
        fill: bool,
    ) -> (Result<usize, Errno>, IoBuf) {
        let end = at.checked_add(len).expect("a range inside a buffer");
        assert!(end <= buf.len(), "receive into {at}..{end} of a buffer of {}", buf.len());
        let op = Op::Recv { stream: self.inner.handle.clone(), buf, at, len, fill };
        let done = self.inner.rt.core.operate(op).await;
        let Home::Buf(buf) = done.home else { panic!("a receive brings its buffer home") };
        (done.result.map(count), buf)
    }

    /// Waits for bytes without holding memory, then receives what is there: at most `max` and at
    /// most [`RECV_SOME_BYTES_MAX`](super::RECV_SOME_BYTES_MAX) bytes; empty = the peer sends no
    /// more. For the length prefix of the next request (ask for 4 to leave the frame in the
    /// socket, or for more to have small requests in one piece). See [`Op::RecvSome`].
    pub async fn recv_some(&self, max: usize) -> Result<Bytes, Errno> {
        let op = Op::RecvSome { stream: self.inner.handle.clone(), max };
        match self.inner.rt.core.operate(op).await.result? {
            Answer::Bytes(bytes) => Ok(bytes),
            other => panic!("recv_some answered {other:?}"),
        }
    }

    /// Sends all chunks, in order, without copying. See [`Op::Send`]: after an error or a cancel
    /// close the stream.
    pub async fn send(&self, chunks: Vec<Chunk>) -> Result<(), Errno> {
        let op = Op::Send { stream: self.inner.handle.clone(), chunks };
        self.inner.rt.core.operate(op).await.result.map(drop)
    }

    /// Sends `len` bytes of a file that is never written again; fewer only at the file's end.
    /// See [`Op::SendFile`].
    pub async fn send_file(&self, file: &File, offset: u64, len: usize) -> Result<usize, Errno> {
        let stream = self.inner.handle.clone();
        let op = Op::SendFile { stream, file: file.handle().clone(), offset, len };
        self.inner.rt.core.operate(op).await.result.map(count)
    }

    /// Sends no more: the peer reads the end after what was sent. Receiving goes on.
    pub fn shutdown(&self) {
        self.inner.rt.core.driver.shutdown(self.inner.handle.raw());
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.inner.peer
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.inner.peer)
    }
}

impl Rt {
    /// Listens on `addr` (port 0 picks one: [`Listener::local_addr`]). See [`Op::Listen`].
    pub async fn listen(
        &self,
        addr: SocketAddr,
        options: ListenOptions,
    ) -> Result<Listener, Errno> {
        match self.core.operate(Op::Listen { addr, options }).await.result? {
            Answer::Listening(raw, addr) => {
                let handle = Handle::new(raw, self.core.driver.clone());
                Ok(Listener { rt: self.clone(), handle, addr })
            }
            other => panic!("listen answered {other:?}"),
        }
    }

    /// Connects to `addr`. See [`Op::Connect`]: give it a timeout.
    pub async fn connect(&self, addr: SocketAddr) -> Result<Stream, Errno> {
        self.connected(Op::Connect { addr }).await
    }

    async fn connected(&self, op: Op) -> Result<Stream, Errno> {
        match self.core.operate(op).await.result? {
            Answer::Connected(raw, peer) => {
                let handle = Handle::new(raw, self.core.driver.clone());
                Ok(Stream { inner: Rc::new(Inner { rt: self.clone(), handle, peer }) })
            }
            other => panic!("a connection answered {other:?}"),
        }
    }
}
