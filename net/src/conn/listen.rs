//! Accepting connections and seating them.
//!
//! Every shard that accepts clients has a listener of its own on the same address
//! (`SO_REUSEPORT`): the kernel spreads connections over them and no shard hands sockets around.
//!
//! A failed accept never ends the loop. Out of descriptors (EMFILE, ENFILE) or memory it waits a
//! moment, since the next accept would fail at once again.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::{Either, Event, first_of};
use engine::rt::{Errno, Group, Listener, Stream};

use super::admission::Admission;
use super::serve::{Shared, connection};
use super::service::{Client, Complaint, Service};

/// How long to wait after an accept failed for want of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections of one shard, over all its listeners.
#[derive(Clone)]
pub struct Room {
    admission: Rc<RefCell<Admission>>,
    open: Rc<Cell<u32>>,
    left: Event,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(admission: Admission) -> Self {
        Self {
            admission: Rc::new(RefCell::new(admission)),
            open: Rc::default(),
            left: Event::new(),
        }
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.get()
    }

    /// Waits until the last connection has ended.
    pub async fn empty(&self) {
        loop {
            let left = self.left.listen();
            if self.open.get() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// Accepts on `listener` (the node's listener number `index`) until the shard is told to stop.
pub async fn accept<S: Service>(shared: Shared<S>, room: Room, listener: Listener, index: usize) {
    loop {
        match first_of(listener.accept(), shared.stop.told()).await {
            Either::Left(Ok((stream, peer))) => seat(&shared, &room, stream, peer, index),
            Either::Left(Err(errno)) => {
                if !is_of_one_connection(errno) {
                    tracing::warn!(%errno, "accepting a connection failed; trying again");
                    shared.rt.sleep(ACCEPT_PAUSE).await;
                }
            }
            Either::Right(()) => return,
        }
    }
}

/// Errors of accept(2) that belong to the connection that was about to be accepted.
fn is_of_one_connection(errno: Errno) -> bool {
    matches!(errno, Errno::ECONNABORTED | Errno::EINTR | Errno::EAGAIN | Errno::EPROTO)
}

fn seat<S: Service>(
    shared: &Shared<S>,
    room: &Room,
    stream: Stream,
    peer: SocketAddr,
    listener: usize,
) {
    let client = Client { peer, listener, software: RefCell::default() };
    let entered = room.admission.borrow_mut().enter(peer.ip());
    if let Err(crowded) = entered {
        shared.counters.connections_refused.add_one();
        let complaint = Complaint::of_connection("too many connections", crowded.to_string());
        shared.service.complain(&client, &complaint);
        stream.shutdown();
        return;
    }
    shared.counters.connections_accepted.add_one();
    room.open.set(room.open.get() + 1);
    let (serving, room) = (connection(shared.clone(), stream, client), room.clone());
    shared.rt.spawn(Group::Fetch, async move {
        let _ending = serving.await;
        room.admission.borrow_mut().leave(peer.ip());
        room.open.set(room.open.get() - 1);
        room.left.notify_all();
    });
}
