//! Traffic on connections: packets that travel, arrive, wait behind cuts; bytes moved out of sends
//! and into receives; how connections end.

use std::collections::VecDeque;

use super::network::{Conn, ConnId, NetEvent, Packet, Side};
use super::state::{Event, Flight, FlightId, NodeIndex, State, What};
use crate::rt::RECV_SOME_BYTES_MAX;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Home, Op};

impl State {
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

    pub(super) fn arrive(&mut self, conn: ConnId, side: Side, packet: Packet) {
        if !self.network.conns.contains_key(&conn) {
            return;
        }
        let closed = self.is_closed(conn, side);
        let end = self.end(conn, side);
        if closed || !end.held.is_empty() {
            end.held.push_back(packet);
            if end.held.len() == 1 {
                self.give_up_later(conn, side);
            }
            return;
        }
        self.deliver(conn, side, packet);
    }

    /// The other end of `side` gives up unless what is held is released before.
    fn give_up_later(&mut self, conn: ConnId, side: Side) {
        let (round, give_up) = (self.end(conn, side).held_round, self.network.options.give_up);
        let at = self.now + give_up.as_nanos() as u64;
        let side = side.other();
        self.schedule(at, Event::Net(NetEvent::GiveUp { conn, side, round }));
    }

    fn deliver(&mut self, conn: ConnId, side: Side, packet: Packet) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let end = known.end(side);
        let nobody = end.gone || (!end.open && end.failed.is_some());
        match packet {
            Packet::Reset => self.fail(conn, side, Errno::ECONNRESET),
            Packet::Room | Packet::End if nobody => {}
            Packet::Data(_) if nobody => self.post(conn, side.other(), Packet::Reset),
            Packet::Data(bytes) => {
                self.trace
                    .event(self.now, format_args!("net {} {side:?} +{}", conn.0, bytes.len()));
                self.end(conn, side).ready.extend(&bytes[..]);
                self.pump_receive(conn, side);
            }
            Packet::End => {
                self.end(conn, side).ended = true;
                self.pump_receive(conn, side);
            }
            Packet::Room => self.pump_send(conn, side),
        }
    }

    /// A link works again, or a node is up again: held packets are sent once more. Until they are
    /// here they stay in line, so that what was still on its way does not overtake them.
    pub(super) fn release_held(&mut self) {
        let conns: Vec<ConnId> = self.network.conns.keys().copied().collect();
        for conn in conns {
            for side in [Side::Caller, Side::Callee] {
                if self.end(conn, side).held.is_empty() {
                    continue;
                }
                let (to, from) = (self.end(conn, side).node, self.end(conn, side.other()).node);
                let end = self.end(conn, side);
                end.held_round += 1;
                let round = end.held_round;
                let at = self.now + self.delay(from, Some(to));
                self.schedule(at, Event::Net(NetEvent::Release { conn, side, round }));
            }
        }
    }

    /// What was held arrives, unless the way is closed again.
    pub(super) fn release(&mut self, conn: ConnId, side: Side, round: u64) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        if known.end(side).held_round != round {
            return;
        }
        if self.is_closed(conn, side) {
            return self.give_up_later(conn, side);
        }
        for packet in std::mem::take(&mut self.end(conn, side).held) {
            self.deliver(conn, side, packet);
        }
    }

    /// Whether nothing reaches `side` now.
    fn is_closed(&mut self, conn: ConnId, side: Side) -> bool {
        let (to, from) = (self.end(conn, side).node, self.end(conn, side.other()).node);
        let down = self.end(conn, side).gone && !self.machines[to.0 as usize].up;
        down || self.network.cut.contains(&(from, to))
    }

    pub(super) fn give_up(&mut self, conn: ConnId, side: Side, round: u64) {
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
    pub(super) fn pump_receive(&mut self, conn: ConnId, side: Side) {
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
        let bytes = take_front(&mut end.ready, count);
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
    pub(super) fn pump_send(&mut self, conn: ConnId, side: Side) {
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

    pub(super) fn forget_if_over(&mut self, conn: ConnId) {
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
}

/// The first `count` bytes, by slices: large transfers are tested unoptimised too.
fn take_front(ready: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let (front, back) = ready.as_slices();
    let first = front.len().min(count);
    let bytes = [&front[..first], &back[..count - first]].concat();
    ready.drain(..count);
    bytes
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
