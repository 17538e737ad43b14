//! Operations on sockets, and what packets do when they arrive.

use std::net::{IpAddr, SocketAddr};

use super::network::{Conn, ConnId, End, ListenerId, Listening, NetEvent, Packet, Side};
use super::state::{Event, Flight, FlightId, NodeIndex, State, What};
use crate::rt::RECV_SOME_BYTES_MAX;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Handle, Home, ListenOptions, Op};

impl State {
    pub(super) fn submit_socket(&mut self, node: NodeIndex, id: FlightId, flight: Flight) {
        match &flight.op {
            Op::Listen { addr, options } => {
                let result = self.listen(node, *addr, *options);
                self.ended.ops.push(flight.op);
                self.complete(node, id, result, Home::Nothing);
            }
            Op::Connect { addr } => {
                let (addr, since) = (*addr, self.now);
                self.machine(node).flights.insert(id, flight);
                let at = self.now + self.delay(node, self.node_at(node, addr.ip()));
                let knock = NetEvent::Knock { from: node, flight: id, addr, since };
                self.schedule(at, Event::Net(knock));
            }
            Op::Accept { listener } => {
                let listener = self.listener_of(listener);
                self.machine(node).flights.insert(id, flight);
                let listening = self.network.listeners.get_mut(&listener).expect("it is open");
                listening.acceptors.push_back(id);
                self.serve_listener(listener);
            }
            Op::Recv { stream, .. } | Op::RecvSome { stream, .. } => {
                let (conn, side) = self.stream_of(stream);
                self.machine(node).flights.insert(id, flight);
                self.end(conn, side).receivers.push_back(id);
                self.pump_receive(conn, side);
            }
            Op::Send { stream, .. } | Op::SendFile { stream, .. } => {
                let (conn, side) = self.stream_of(stream);
                self.machine(node).flights.insert(id, flight);
                self.end(conn, side).senders.push_back(id);
                self.pump_send(conn, side);
            }
            other => panic!("{other:?} is not an operation on sockets"),
        }
    }

    pub(super) fn cancel_socket(&mut self, node: NodeIndex, id: FlightId) {
        let Some(flight) = self.land(node, id) else { return };
        for listening in self.network.listeners.values_mut().filter(|l| l.node == node) {
            listening.acceptors.retain(|waiting| *waiting != id);
        }
        if let Some(stream) = stream_handle(&flight.op) {
            let (conn, side) = self.stream_of(stream);
            let end = self.end(conn, side);
            end.receivers.retain(|waiting| *waiting != id);
            end.senders.retain(|waiting| *waiting != id);
        }
        self.refuse(node, id, flight.op, Errno::ECANCELED);
    }

    fn listen(
        &mut self,
        node: NodeIndex,
        addr: SocketAddr,
        options: ListenOptions,
    ) -> Result<Answer, Errno> {
        let ip = addr.ip();
        if !ip.is_unspecified() && !ip.is_loopback() && ip != node.ip() {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let port = if addr.port() == 0 { self.network.fresh_port() } else { addr.port() };
        let addr = SocketAddr::new(ip, port);
        let mut same = self.network.listeners.values();
        if same.any(|l| {
            l.node == node && l.addr.port() == port && !(l.reuse_port && options.reuse_port)
        }) {
            return Err(Errno::EADDRINUSE);
        }
        let id = ListenerId(self.network.fresh_id());
        let listening = Listening {
            node,
            addr,
            reuse_port: options.reuse_port,
            backlog: options.backlog as usize,
            waiting: Default::default(),
            acceptors: Default::default(),
        };
        self.network.listeners.insert(id, listening);
        Ok(Answer::Listening(self.open(node, What::Listener(id)), addr))
    }

    pub(super) fn close_listener(&mut self, id: ListenerId) {
        let listening = self.network.listeners.remove(&id).expect("it is open");
        for conn in listening.waiting {
            self.fail(conn, Side::Callee, Errno::ECONNRESET);
            self.post(conn, Side::Caller, Packet::Reset);
        }
    }

    /// Hands waiting connections to waiting accepts.
    fn serve_listener(&mut self, id: ListenerId) {
        loop {
            let Some(listening) = self.network.listeners.get_mut(&id) else { return };
            if listening.waiting.is_empty() || listening.acceptors.is_empty() {
                return;
            }
            let node = listening.node;
            let conn = listening.waiting.pop_front().expect("looked at above");
            let flight = listening.acceptors.pop_front().expect("looked at above");
            let Some(landed) = self.land(node, flight) else { continue };
            self.ended.ops.push(landed.op);
            self.end(conn, Side::Callee).open = true;
            let peer = self.end(conn, Side::Caller).addr;
            let raw = self.open(node, What::Stream(conn, Side::Callee));
            self.complete(node, flight, Ok(Answer::Connected(raw, peer)), Home::Nothing);
        }
    }

    pub(super) fn net_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Knock { from, flight, addr, since } => self.knock(from, flight, addr, since),
            NetEvent::Answer { from, flight, answer } => self.answered(from, flight, answer),
            NetEvent::Arrive { conn, side, packet } => self.arrive(conn, side, packet),
            NetEvent::GiveUp { conn, side, round } => self.give_up(conn, side, round),
        }
    }

    fn knock(&mut self, from: NodeIndex, flight: FlightId, addr: SocketAddr, since: u64) {
        if !self.machine(from).flights.contains_key(&flight) {
            return;
        }
        let to = self.node_at(from, addr.ip());
        let reachable = to.filter(|to| {
            self.machines[to.0 as usize].up && !self.network.cut.contains(&(from, *to))
        });
        let found = reachable.map(|to| self.listeners_at(to, addr.port()));
        let answer = match found.as_deref() {
            Some([]) => Err(Errno::ECONNREFUSED),
            Some(all) => {
                let open: Vec<_> = all.iter().filter(|(_, room)| *room).collect();
                match open.is_empty() {
                    true => return self.knock_again(from, flight, addr, since),
                    false => Ok(open[self.random.index(open.len())].0),
                }
            }
            None => return self.knock_again(from, flight, addr, since),
        };
        let at = self.now + self.delay(from, to);
        let answer = answer.map(|listener| self.establish(from, addr, listener));
        self.schedule(at, Event::Net(NetEvent::Answer { from, flight, answer }));
    }

    fn knock_again(&mut self, from: NodeIndex, flight: FlightId, addr: SocketAddr, since: u64) {
        let give_up = since + self.network.options.give_up.as_nanos() as u64;
        let again = self.now + 1_000_000_000;
        let event = match again < give_up {
            true => NetEvent::Knock { from, flight, addr, since },
            false => NetEvent::Answer { from, flight, answer: Err(Errno::ETIMEDOUT) },
        };
        self.schedule(again.min(give_up).max(self.now), Event::Net(event));
    }

    fn listeners_at(&self, node: NodeIndex, port: u16) -> Vec<(ListenerId, bool)> {
        let all = self.network.listeners.iter();
        all.filter(|(_, l)| l.node == node && l.addr.port() == port)
            .map(|(id, l)| (*id, l.waiting.len() < l.backlog.max(1)))
            .collect()
    }

    fn establish(&mut self, from: NodeIndex, addr: SocketAddr, listener: ListenerId) -> ConnId {
        let node = self.network.listeners[&listener].node;
        let loopback = addr.ip().is_loopback();
        let from_ip = if loopback { addr.ip() } else { from.ip() };
        let port = self.network.fresh_port();
        let mut caller = End::new(from, SocketAddr::new(from_ip, port));
        caller.expected = true;
        let callee = End::new(node, addr);
        let conn = ConnId(self.network.fresh_id());
        self.network.conns.insert(conn, Conn::new(caller, callee));
        let listening = self.network.listeners.get_mut(&listener).expect("it was found");
        listening.waiting.push_back(conn);
        self.serve_listener(listener);
        conn
    }

    fn answered(&mut self, from: NodeIndex, flight: FlightId, answer: Result<ConnId, Errno>) {
        let landed = self.land(from, flight);
        if let Ok(conn) = answer {
            self.end(conn, Side::Caller).expected = false;
        }
        let result = match (&landed, answer) {
            (None, Ok(conn)) => {
                // Cancelled, or the node died: there is nobody at this end.
                self.fail(conn, Side::Caller, Errno::ECONNRESET);
                self.post(conn, Side::Callee, Packet::Reset);
                return self.forget_if_over(conn);
            }
            (None, Err(_)) => return,
            (Some(_), Err(errno)) => Err(errno),
            (Some(_), Ok(conn)) => {
                self.end(conn, Side::Caller).open = true;
                let peer = self.end(conn, Side::Callee).addr;
                let raw = self.open(from, What::Stream(conn, Side::Caller));
                Ok(Answer::Connected(raw, peer))
            }
        };
        if let Some(landed) = landed {
            self.ended.ops.push(landed.op);
        }
        self.complete(from, flight, result, Home::Nothing);
    }

    /// Sends a packet to `side` over its link.
    pub(super) fn post(&mut self, conn: ConnId, side: Side, packet: Packet) {
        if !self.network.conns.contains_key(&conn) {
            return;
        }
        let (to, from) = (self.end(conn, side).node, self.end(conn, side.other()).node);
        let at = self.now + self.delay(from, Some(to));
        let end = self.end(conn, side);
        end.last_arrival = end.last_arrival.max(at);
        let at = end.last_arrival;
        self.schedule(at, Event::Net(NetEvent::Arrive { conn, side, packet }));
    }

    fn arrive(&mut self, conn: ConnId, side: Side, packet: Packet) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let (to, from) = (known.end(side).node, known.end(side.other()).node);
        let down = known.end(side).gone && !self.machines[to.0 as usize].up;
        let known = self.network.conns.get_mut(&conn).expect("looked up above");
        let end = known.end(side);
        if down || !end.held.is_empty() || self.network.cut.contains(&(from, to)) {
            end.held.push_back(packet);
            if end.held.len() == 1 {
                let (round, give_up) = (end.held_round, self.network.options.give_up);
                let at = self.now + give_up.as_nanos() as u64;
                let side = side.other();
                self.schedule(at, Event::Net(NetEvent::GiveUp { conn, side, round }));
            }
            return;
        }
        let nobody = end.gone || (!end.open && end.failed.is_some());
        match packet {
            Packet::Reset => self.fail(conn, side, Errno::ECONNRESET),
            Packet::Room | Packet::End if nobody => {}
            Packet::Data(_) if nobody => self.post(conn, side.other(), Packet::Reset),
            Packet::Data(bytes) => {
                self.trace
                    .event(self.now, format_args!("net {} {side:?} +{}", conn.0, bytes.len()));
                self.end(conn, side).ready.extend(bytes);
                self.pump_receive(conn, side);
            }
            Packet::End => {
                self.end(conn, side).ended = true;
                self.pump_receive(conn, side);
            }
            Packet::Room => self.pump_send(conn, side),
        }
    }

    /// A link works again, or a node is up again: held packets arrive.
    pub(super) fn release_held(&mut self) {
        let conns: Vec<ConnId> = self.network.conns.keys().copied().collect();
        for conn in conns {
            for side in [Side::Caller, Side::Callee] {
                let held = std::mem::take(&mut self.end(conn, side).held);
                self.end(conn, side).held_round += 1;
                for packet in held {
                    self.post(conn, side, packet);
                }
            }
        }
    }

    fn give_up(&mut self, conn: ConnId, side: Side, round: u64) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let peer = known.end(side.other());
        if peer.held_round == round && !peer.held.is_empty() {
            peer.held.clear();
            self.fail(conn, side, Errno::ETIMEDOUT);
        }
    }

    /// One end is broken: everything waiting on it ends with `errno`.
    pub(super) fn fail(&mut self, conn: ConnId, side: Side, errno: Errno) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let end = known.end(side);
        end.failed.get_or_insert(errno);
        self.pump_receive(conn, side);
        self.pump_send(conn, side);
    }

    /// Serves whoever receives at this end with what is ready.
    fn pump_receive(&mut self, conn: ConnId, side: Side) {
        loop {
            let end = self.end(conn, side);
            let node = end.node;
            let Some(id) = end.receivers.front().copied() else { return };
            let (ready, over, failed) = (end.ready.len(), end.ended, end.failed);
            if ready == 0 && !over && failed.is_none() {
                return;
            }
            let Some(mut flight) = self.machine(node).flights.remove(&id) else {
                self.end(conn, side).receivers.pop_front();
                continue;
            };
            if failed.is_none() && !self.take_ready(conn, side, &mut flight) {
                self.machine(node).flights.insert(id, flight);
                return;
            }
            self.end(conn, side).receivers.pop_front();
            self.received(node, id, flight, failed);
        }
    }

    /// Moves ready bytes into a receive. True when it is through.
    fn take_ready(&mut self, conn: ConnId, side: Side, flight: &mut Flight) -> bool {
        let (wanted, fill) = match &flight.op {
            Op::Recv { len, fill, .. } => (*len - flight.moved, *fill),
            Op::RecvSome { max, .. } => ((*max).min(RECV_SOME_BYTES_MAX), false),
            other => panic!("{other:?} does not receive"),
        };
        let short = !fill && self.random.chance(150);
        let draw = self.random.next_u64() as usize;
        let end = self.end(conn, side);
        let mut count = wanted.min(end.ready.len());
        if short && count > 1 {
            count = 1 + draw % count;
        }
        let bytes: Vec<u8> = end.ready.drain(..count).collect();
        let over = end.ended && end.ready.is_empty();
        if let Op::Recv { buf, at, .. } = &mut flight.op {
            let start = *at + flight.moved;
            buf[start..start + count].copy_from_slice(&bytes);
        } else {
            flight.received = bytes;
        }
        flight.moved += count;
        if count > 0 {
            let peer = self.end(conn, side.other());
            peer.unread_by_peer -= count;
            self.post(conn, side.other(), Packet::Room);
        }
        count == wanted || !fill || over
    }

    fn received(&mut self, node: NodeIndex, id: FlightId, flight: Flight, failed: Option<Errno>) {
        let Flight { op, moved, received, .. } = flight;
        let result = match (failed, &op) {
            (Some(errno), _) => Err(errno),
            (None, Op::RecvSome { .. }) => Ok(Answer::Bytes(received.into())),
            (None, _) => Ok(Answer::Count(moved)),
        };
        let home = self.home_of(op);
        self.complete(node, id, result, home);
    }

    /// Moves bytes of whoever sends at this end into the window.
    fn pump_send(&mut self, conn: ConnId, side: Side) {
        loop {
            let window = self.network.options.window_bytes;
            let end = self.end(conn, side);
            let node = end.node;
            let Some(id) = end.senders.front().copied() else { return };
            let broken = match (end.failed, end.closed_for_sending) {
                (Some(Errno::ETIMEDOUT), _) => Some(Errno::ETIMEDOUT),
                (Some(_), _) | (None, true) => Some(Errno::EPIPE),
                (None, false) => None,
            };
            let room = window.saturating_sub(end.unread_by_peer);
            let Some(mut flight) = self.machine(node).flights.remove(&id) else {
                self.end(conn, side).senders.pop_front();
                continue;
            };
            if let Some(errno) = broken {
                self.end(conn, side).senders.pop_front();
                self.refuse(node, id, flight.op, errno);
                continue;
            }
            let piece = self.next_piece(node, &flight, room);
            if piece.is_none() && !self.all_sent(node, &flight) {
                self.machine(node).flights.insert(id, flight);
                return;
            }
            let Some(piece) = piece else {
                self.end(conn, side).senders.pop_front();
                self.sent(node, id, flight);
                continue;
            };
            flight.moved += piece.len();
            self.end(conn, side).unread_by_peer += piece.len();
            self.machine(node).flights.insert(id, flight);
            self.post(conn, side.other(), Packet::Data(piece));
        }
    }

    fn sendable(&mut self, node: NodeIndex, flight: &Flight) -> usize {
        match &flight.op {
            Op::Send { chunks, .. } => chunks.iter().map(|chunk| chunk.len()).sum(),
            Op::SendFile { file, offset, len, .. } => {
                let (inode, _) = self.file(file);
                let end = self.machine(node).disk.stat(inode).len;
                (end.saturating_sub(*offset)).min(*len as u64) as usize
            }
            other => panic!("{other:?} does not send"),
        }
    }

    fn all_sent(&mut self, node: NodeIndex, flight: &Flight) -> bool {
        self.sendable(node, flight) <= flight.moved
    }

    fn next_piece(&mut self, node: NodeIndex, flight: &Flight, room: usize) -> Option<Vec<u8>> {
        let left = self.sendable(node, flight).saturating_sub(flight.moved);
        let most = left.min(room).min(self.network.options.piece_bytes_max);
        if most == 0 {
            return None;
        }
        let count = if self.random.chance(300) { 1 + self.random.index(most) } else { most };
        match &flight.op {
            Op::Send { chunks, .. } => Some(gather(chunks, flight.moved, count)),
            Op::SendFile { file, offset, .. } => {
                let (inode, _) = self.file(file);
                let mut piece = vec![0; count];
                let at = *offset + flight.moved as u64;
                self.machine(node).disk.read(inode, at, &mut piece);
                Some(piece)
            }
            other => panic!("{other:?} does not send"),
        }
    }

    fn sent(&mut self, node: NodeIndex, id: FlightId, flight: Flight) {
        let answer = match &flight.op {
            Op::SendFile { .. } => Answer::Count(flight.moved),
            _ => Answer::Done,
        };
        self.ended.ops.push(flight.op);
        self.complete(node, id, Ok(answer), Home::Nothing);
    }

    /// The last handle to this end is gone.
    pub(super) fn close_stream(&mut self, conn: ConnId, side: Side) {
        let end = self.end(conn, side);
        end.open = false;
        let rude = !end.ready.is_empty();
        let silent = end.closed_for_sending || end.failed.is_some();
        end.failed.get_or_insert(Errno::EPIPE);
        end.closed_for_sending = true;
        if rude {
            self.post(conn, side.other(), Packet::Reset);
        } else if !silent {
            self.post(conn, side.other(), Packet::End);
        }
        self.forget_if_over(conn);
    }

    fn forget_if_over(&mut self, conn: ConnId) {
        if self.network.conns.get(&conn).is_some_and(Conn::is_over) {
            let waiting = self.network.listeners.values().any(|l| l.waiting.contains(&conn));
            if !waiting {
                self.network.conns.remove(&conn);
            }
        }
    }

    pub(super) fn shutdown(&mut self, raw: crate::rt::op::RawHandle) {
        let Some(What::Stream(conn, side)) = self.handles.get(&raw).map(|open| &open.what) else {
            return;
        };
        let (conn, side) = (*conn, *side);
        let end = self.end(conn, side);
        if !std::mem::replace(&mut end.closed_for_sending, true) && end.failed.is_none() {
            self.post(conn, side.other(), Packet::End);
        }
    }

    /// A node's sockets end: politely (the kernel closes them) or without a word.
    pub(super) fn drop_sockets(&mut self, node: NodeIndex, politely: bool) {
        let listeners = self.network.listeners.iter();
        let own: Vec<_> = listeners.filter(|(_, l)| l.node == node).map(|(id, _)| *id).collect();
        for id in own {
            match politely {
                true => self.close_listener(id),
                false => drop(self.network.listeners.remove(&id)),
            }
        }
        let conns = self.network.conns.iter();
        let ends: Vec<(ConnId, Side)> =
            conns.flat_map(|(id, conn)| conn.touches(node).map(|side| (*id, side))).collect();
        for (conn, side) in ends {
            let Some(known) = self.network.conns.get_mut(&conn) else { continue };
            let end = known.end(side);
            end.receivers.clear();
            end.senders.clear();
            if politely && end.open {
                self.close_stream(conn, side);
            } else {
                (end.open, end.gone) = (false, true);
                self.forget_if_over(conn);
            }
        }
    }

    pub(super) fn reset_between(&mut self, a: NodeIndex, b: NodeIndex) {
        self.trace.event(self.now, format_args!("reset {a} {b}"));
        let conns: Vec<ConnId> = self.network.conns.keys().copied().collect();
        for conn in conns {
            let nodes = (self.end(conn, Side::Caller).node, self.end(conn, Side::Callee).node);
            if nodes == (a, b) || nodes == (b, a) {
                self.fail(conn, Side::Caller, Errno::ECONNRESET);
                self.fail(conn, Side::Callee, Errno::ECONNRESET);
            }
        }
    }

    pub(super) fn end(&mut self, conn: ConnId, side: Side) -> &mut End {
        self.network.conns.get_mut(&conn).expect("a connection lives while it is held").end(side)
    }

    fn stream_of(&self, stream: &Handle) -> (ConnId, Side) {
        match self.handles.get(&stream.raw()).map(|open| &open.what) {
            Some(What::Stream(conn, side)) => (*conn, *side),
            _ => panic!("an operation holds its stream open"),
        }
    }

    fn listener_of(&self, listener: &Handle) -> ListenerId {
        match self.handles.get(&listener.raw()).map(|open| &open.what) {
            Some(What::Listener(id)) => *id,
            _ => panic!("an operation holds its listener open"),
        }
    }

    fn node_at(&self, from: NodeIndex, ip: IpAddr) -> Option<NodeIndex> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.machines.len() as u32).map(NodeIndex).find(|node| node.ip() == ip)
    }

    fn delay(&mut self, from: NodeIndex, to: Option<NodeIndex>) -> u64 {
        let options = &self.network.options;
        let range = if to == Some(from) { &options.loopback_us } else { &options.delay_us };
        self.random.range(range.start * 1000..range.end * 1000)
    }
}

fn stream_handle(op: &Op) -> Option<&Handle> {
    match op {
        Op::Recv { stream, .. }
        | Op::RecvSome { stream, .. }
        | Op::Send { stream, .. }
        | Op::SendFile { stream, .. } => Some(stream),
        _ => None,
    }
}

/// `count` bytes from `skip` on, over the chunks.
fn gather(chunks: &[crate::rt::Chunk], mut skip: usize, count: usize) -> Vec<u8> {
    let mut piece = Vec::with_capacity(count);
    for chunk in chunks {
        let part = &chunk[skip.min(chunk.len())..];
        skip = skip.saturating_sub(chunk.len());
        let part = &part[..part.len().min(count - piece.len())];
        piece.extend_from_slice(part);
    }
    piece
}
