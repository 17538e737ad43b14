//! Operations on sockets: submission, cancelling, listening, connecting. Traffic is in `packets`.

use std::net::{IpAddr, SocketAddr};

use super::network::{Caller, Conn, ConnId, End, ListenerId, Listening, NetEvent, Packet, Side};
use super::state::{Event, Flight, FlightId, NodeIndex, State, What};
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
                let (addr, since, call) = (*addr, self.now, self.network.fresh_id());
                self.machine(node).flights.insert(id, Flight { call, ..flight });
                let at = self.now + self.delay(node, self.node_at(node, addr.ip()));
                let caller = Caller { node, flight: id, call };
                let knock = NetEvent::Knock { caller, addr, since };
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
            NetEvent::Knock { caller, addr, since } => self.knock(caller, addr, since),
            NetEvent::Answer { caller, answer } => self.answered(caller, answer),
            NetEvent::Arrive { conn, side, packet } => self.arrive(conn, side, packet),
            NetEvent::Release { conn, side, round } => self.release(conn, side, round),
            NetEvent::GiveUp { conn, side, round } => self.give_up(conn, side, round),
        }
    }

    /// Whether that very connect still waits.
    fn calls(&mut self, caller: Caller) -> bool {
        let flight = self.machine(caller.node).flights.get(&caller.flight);
        flight.is_some_and(|flight| flight.call == caller.call)
    }

    fn knock(&mut self, caller: Caller, addr: SocketAddr, since: u64) {
        if !self.calls(caller) {
            return;
        }
        let from = caller.node;
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
                    true => return self.knock_again(caller, addr, since),
                    false => Ok(open[self.random.index(open.len())].0),
                }
            }
            None => return self.knock_again(caller, addr, since),
        };
        let at = self.now + self.delay(from, to);
        let answer = answer.map(|listener| self.establish(from, addr, listener));
        self.schedule(at, Event::Net(NetEvent::Answer { caller, answer }));
    }

    fn knock_again(&mut self, caller: Caller, addr: SocketAddr, since: u64) {
        let give_up = since + self.network.options.give_up.as_nanos() as u64;
        let again = self.now + 1_000_000_000;
        let event = match again < give_up {
            true => NetEvent::Knock { caller, addr, since },
            false => NetEvent::Answer { caller, answer: Err(Errno::ETIMEDOUT) },
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

    fn answered(&mut self, caller: Caller, answer: Result<ConnId, Errno>) {
        let Caller { node: from, flight, .. } = caller;
        let landed = if self.calls(caller) { self.land(from, flight) } else { None };
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

    pub(super) fn delay(&mut self, from: NodeIndex, to: Option<NodeIndex>) -> u64 {
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
