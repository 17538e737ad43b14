//! Operations on files: submission, faults, timing, cancelling.

use super::disk::InodeId;
use super::execute::taken;
use super::faults::{Effect, OpKind};
use super::state::{Event, Flight, FlightId, NodeIndex, State, What};
use super::trace::digest;
use crate::rt::errno::Errno;
use crate::rt::op::{Handle, Home, Op, OpenOptions, RawHandle};

impl State {
    /// Takes an operation from a shard.
    pub(super) fn submit(&mut self, node: NodeIndex, id: FlightId, op: Op) {
        let kind = OpKind::of(&op);
        let path = self.path_of(&op);
        self.trace_submit(node, id, kind, &path, &op);
        let flight = Flight {
            op,
            effect: None,
            due: None,
            covers: 0,
            names: None,
            cancelled: false,
            call: 0,
            moved: 0,
            received: Vec::new(),
        };
        if kind == OpKind::Socket {
            self.submit_socket(node, id, flight);
        } else {
            self.submit_file(node, id, kind, &path, flight);
        }
    }

    fn submit_file(
        &mut self,
        node: NodeIndex,
        id: FlightId,
        kind: OpKind,
        path: &str,
        mut flight: Flight,
    ) {
        self.machine(node).io += 1;
        flight.effect = self.strike(node, kind, path);
        if let Op::Sync { file, .. } = &flight.op {
            let (inode, _) = self.file(file);
            let disk = &self.machine(node).disk;
            flight.names = disk.names_now(inode);
            flight.covers = if disk.is_dir(inode) { 0 } else { disk.content(inode).order() };
        }
        let mut delay = self.latency(node, &flight.op);
        match flight.effect {
            Some(Effect::Stall(time)) => delay += time.as_nanos() as u64,
            Some(Effect::Hang) => delay = u64::MAX,
            _ => {}
        }
        if delay < u64::MAX {
            flight.due = Some(self.schedule(self.now + delay, Event::Flight(node, id)));
        }
        self.machine(node).flights.insert(id, flight);
    }

    fn strike(&mut self, node: NodeIndex, kind: OpKind, path: &str) -> Option<Effect> {
        let random = &mut self.random;
        let struck = self.rules.iter_mut().find_map(|rule| rule.strike(node, kind, path, random));
        if let Some(effect) = struck {
            self.trace.event(self.now, format_args!("{node} fault {kind:?} {path} {effect:?}"));
        }
        struck
    }

    fn latency(&mut self, node: NodeIndex, op: &Op) -> u64 {
        let options = &self.machines[node.0 as usize].options;
        let range = match op {
            Op::Read { .. } => &options.read_us,
            Op::Write { dsync: true, .. } | Op::WriteMany { dsync: true, .. } => &options.dsync_us,
            Op::Write { .. } | Op::WriteMany { .. } => &options.write_us,
            Op::Sync { .. } => &options.sync_us,
            _ => &options.names_us,
        };
        let nanos = range.start * 1000..range.end * 1000;
        self.random.range(nanos)
    }

    /// Asks an operation to stop. Chance decides whether the request comes in time.
    pub(super) fn cancel(&mut self, node: NodeIndex, id: FlightId) {
        self.trace.event(self.now, format_args!("{node}.{} cancel {}", id.0, id.1.0));
        let Some(flight) = self.machine(node).flights.get(&id) else { return };
        if OpKind::of(&flight.op) == OpKind::Socket {
            return self.cancel_socket(node, id);
        }
        let hangs = flight.due.is_none();
        if !hangs && self.random.chance(500) {
            return;
        }
        let at = self.now + self.random.range(1_000..50_000);
        let due = self.schedule(at, Event::Flight(node, id));
        let flight = self.machine(node).flights.get_mut(&id).expect("looked up above");
        flight.cancelled = true;
        if let Some(old) = flight.due.replace(due) {
            self.events.remove(&old);
        }
    }

    pub(super) fn close(&mut self, raw: RawHandle) {
        // After a crash nothing of the former life is open.
        let Some(open) = self.handles.remove(&raw) else { return };
        match open.what {
            What::File { inode, .. } => self.machine(open.node).disk.close(inode),
            What::Listener(listener) => self.close_listener(listener),
            What::Stream(conn, side) => self.close_stream(conn, side),
        }
    }

    pub(super) fn file(&self, file: &Handle) -> (InodeId, OpenOptions) {
        match &self.handles.get(&file.raw()).expect("an operation holds its handle open").what {
            What::File { inode, options, .. } => (*inode, *options),
            _ => panic!("a socket is not a file"),
        }
    }

    fn path_of(&self, op: &Op) -> String {
        match op {
            Op::Open { path, .. }
            | Op::Stat { path }
            | Op::MakeDir { path }
            | Op::RemoveDir { path }
            | Op::Unlink { path }
            | Op::List { path } => path.to_string_lossy().into_owned(),
            Op::Rename { from, to } => format!("{} -> {}", from.display(), to.display()),
            Op::Read { file, .. }
            | Op::Write { file, .. }
            | Op::WriteMany { file, .. }
            | Op::Sync { file, .. }
            | Op::Allocate { file, .. }
            | Op::StatFile { file } => match &self.handles[&file.raw()].what {
                What::File { path, .. } => path.clone(),
                _ => String::new(),
            },
            _ => String::new(),
        }
    }

    fn trace_submit(&mut self, node: NodeIndex, id: FlightId, kind: OpKind, path: &str, op: &Op) {
        let (offset, what) = match op {
            Op::Read { offset, len, .. } => (*offset, *len as u64),
            Op::Write { offset, data, .. } => (*offset, digest(data)),
            Op::WriteMany { offset, parts, .. } => {
                (*offset, parts.iter().fold(0, |sum, part| sum ^ digest(part)))
            }
            Op::Send { chunks, .. } => {
                (chunks.len() as u64, chunks.iter().fold(0, |sum, chunk| sum ^ digest(chunk)))
            }
            Op::Recv { len, .. } => (0, *len as u64),
            _ => (0, 0),
        };
        let (shard, token) = (id.0, id.1.0);
        self.trace.event(
            self.now,
            format_args!("{node}.{shard} op {token} {kind:?} {path} {offset} {what:x}"),
        );
    }

    /// A node dies. What its disk operations had in hand meets its fate; all of them end unseen.
    pub(super) fn drop_flights(&mut self, node: NodeIndex, keep: impl Fn(&mut Self) -> bool) {
        let flights = std::mem::take(&mut self.machine(node).flights);
        for flight in flights.into_values() {
            if let Some(due) = flight.due {
                self.events.remove(&due);
            }
            if keep(self) {
                self.half_done(node, &flight.op);
            }
            self.ended.ops.push(flight.op);
        }
    }

    /// An operation that was under way took effect, without anybody being told.
    fn half_done(&mut self, node: NodeIndex, op: &Op) {
        match op {
            Op::Write { file, data, offset, .. } => self.half_written(node, file, data, *offset),
            Op::WriteMany { file, parts, offset, .. } => {
                self.half_written(node, file, &taken(parts), *offset);
            }
            Op::Rename { from, to } => drop(self.machine(node).disk.rename(from, to)),
            Op::Unlink { path } => drop(self.machine(node).disk.unlink(path)),
            _ => {}
        }
    }

    fn half_written(&mut self, node: NodeIndex, file: &Handle, data: &[u8], offset: u64) {
        let (inode, _) = self.file(file);
        let disk = &mut self.machine(node).disk;
        if disk.reserve(inode, offset, data.len() as u64).is_ok() {
            disk.content_mut(inode).write(offset, data, false);
        }
    }

    /// Takes a flight out to end it.
    pub(super) fn land(&mut self, node: NodeIndex, id: FlightId) -> Option<Flight> {
        self.machine(node).flights.remove(&id)
    }

    /// What an operation brings home when it ends without effect; the rest of it is dropped later.
    pub(super) fn home_of(&mut self, op: Op) -> Home {
        match op {
            Op::Read { file, buf, .. } => {
                self.ended.handles.push(file);
                Home::Buf(buf)
            }
            Op::Recv { stream, buf, .. } => {
                self.ended.handles.push(stream);
                Home::Buf(buf)
            }
            Op::Write { file, data, .. } => {
                self.ended.handles.push(file);
                Home::Data(data)
            }
            Op::WriteMany { file, parts, .. } => {
                self.ended.handles.push(file);
                Home::Parts(parts)
            }
            other => {
                self.ended.ops.push(other);
                Home::Nothing
            }
        }
    }

    /// Ends an operation with an error and without effect.
    pub(super) fn refuse(&mut self, node: NodeIndex, id: FlightId, op: Op, errno: Errno) {
        let home = self.home_of(op);
        self.complete(node, id, Err(errno), home);
    }
}
