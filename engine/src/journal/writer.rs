//! The journal's writing side as a state machine: what collects, what flies, what is durable.
//!
//! ```text
//!  push ──► collecting ──► closed ──► flights (in position order) ──► durable
//!           next_position ┘           launched                        landed
//! ```
//! One frame is one group commit. While a flight is out the next frame collects; a second flight
//! starts early only when enough has collected. Frames may land in any order, but the durable
//! position passes them in order only, so acknowledgements of a partition come in offset order.
//! The shell (`shell.rs`) writes the flights and says how they landed.

use std::collections::VecDeque;

use super::entry::ENTRY_HEADER_BYTES;
use super::entry::{EntryHeader, EntryKind};
use super::format::{FRAME_HEADER_BYTES, whole_blocks};
use super::frame::{FrameBuilder, FramePlace, SealedFrame};
use crate::memory::{Arena, ArenaFull, IoBuf, View};
use crate::rt::Monotonic;
use crate::types::PartitionId;

/// Where an entry went: it is durable when the durable position is past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What [`Writer::push`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The frame's position, to wait for.
    pub ticket: Ticket,
    /// Offset of the inline payload in the frame.
    pub payload_at: u32,
}

/// A frame that is about to be written.
#[derive(Debug)]
pub struct Flight {
    /// The sealed frame; its buffer is written first,
    pub frame: SealedFrame<IoBuf>,
    /// then these whole blocks, behind it in the file.
    pub extents: Vec<View>,
}

#[derive(Debug)]
struct Collecting {
    builder: FrameBuilder<IoBuf>,
    extents: Vec<View>,
    only_seal: bool,
}

#[derive(Debug)]
struct InFlight {
    position: u64,
    end: u64,
    landed: bool,
    only_seal: bool,
}

/// The state machine.
#[derive(Debug)]
pub struct Writer {
    frame_buffer_bytes: usize,
    frame_bytes_max: u64,
    flights_max: usize,
    early_flight_bytes: u64,
    /// Position of the frame that is launched next.
    launch_position: u64,
    prev_crc: u32,
    closed: VecDeque<Collecting>,
    closed_bytes: u64,
    collecting: Option<Collecting>,
    flights: VecDeque<InFlight>,
    durable: u64,
    /// The highest durable position that a launched frame has recorded.
    recorded: u64,
    /// End of the last durable frame that held more than a SEAL.
    content_end: u64,
    last_landed: Monotonic,
}

/// What the shell should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Launch the next frame; it takes so many bytes.
    Launch(u64),
    /// Push a SEAL.
    Seal,
    /// Nothing until something is pushed or lands, or until this moment.
    Wait(Option<Monotonic>),
}

impl Writer {
    /// A writer that continues at `position`, after a frame with header checksum `prev_crc`.
    /// Everything below `position` is durable.
    #[must_use]
    pub fn new(
        position: u64,
        prev_crc: u32,
        frame_buffer_bytes: usize,
        frame_bytes_max: u64,
        flights_max: usize,
        early_flight_bytes: u64,
    ) -> Self {
        assert!(flights_max > 0);
        Self {
            frame_buffer_bytes,
            frame_bytes_max,
            flights_max,
            early_flight_bytes,
            launch_position: position,
            prev_crc,
            closed: VecDeque::new(),
            closed_bytes: 0,
            collecting: None,
            flights: VecDeque::new(),
            durable: position,
            recorded: position,
            content_end: position,
            last_landed: Monotonic(0),
        }
    }

    /// Everything below is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Position that a frame opened now would have after all that has been pushed.
    #[must_use]
    pub fn pushed_end(&self) -> u64 {
        self.collect_position() + self.collecting_bytes()
    }

    /// Checksum that the next launched frame repeats.
    #[must_use]
    pub fn prev_crc(&self) -> u32 {
        self.prev_crc
    }

    /// Whether nothing collects and nothing flies.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && !self.has_frames()
    }

    /// Frames that fly.
    #[must_use]
    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    /// Bytes that wait for a flight.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.closed_bytes + self.collecting_bytes()
    }

    fn has_frames(&self) -> bool {
        self.collecting_bytes() > 0 || !self.closed.is_empty()
    }

    /// Room that was prepared and not pushed to is no frame yet.
    fn collecting_bytes(&self) -> u64 {
        let filled = self.collecting.as_ref().filter(|c| c.builder.entry_count() > 0);
        filled.map_or(0, |c| c.builder.frame_bytes())
    }

    fn collect_position(&self) -> u64 {
        self.launch_position + self.closed_bytes
    }

    /// Ends the frame that collects, so that what is pushed from now on lies in a later one, at or
    /// past the position returned. A state "as of" a position needs that: an entry counts as part of
    /// it by the position of its frame.
    pub fn close_frame(&mut self) -> u64 {
        let bytes = self.collecting_bytes();
        if bytes > 0 {
            let frame = self.collecting.take().expect("it has bytes");
            self.closed_bytes += bytes;
            self.closed.push_back(frame);
        }
        self.collect_position()
    }

    /// Makes room for an entry with so many inline bytes, and so many in extents. Returns the
    /// position of its frame, which with the entry is not larger than a file.
    ///
    /// # Errors
    /// When the arena is full; nothing changed for what was pushed before.
    pub fn prepare(
        &mut self,
        inline_bytes: usize,
        extent_bytes: usize,
        arena: &Arena,
    ) -> Result<u64, ArenaFull> {
        let entry_bytes = whole_blocks(ENTRY_HEADER_BYTES + inline_bytes) + extent_bytes;
        let too_large = |frame: &Collecting| {
            frame.builder.frame_bytes() + entry_bytes as u64 > self.frame_bytes_max
        };
        if self.collecting.as_ref().is_some_and(|c| !c.builder.fits(inline_bytes) || too_large(c)) {
            self.close_frame();
            self.collecting = None;
        }
        if self.collecting.is_none() {
            let least = whole_blocks(FRAME_HEADER_BYTES + ENTRY_HEADER_BYTES + inline_bytes);
            let buffer = arena.alloc(least.max(self.frame_buffer_bytes))?;
            self.collecting = Some(Collecting {
                builder: FrameBuilder::new(buffer),
                extents: Vec::new(),
                only_seal: true,
            });
        }
        Ok(self.collect_position())
    }

    /// Adds an entry to the frame that [`prepare`](Self::prepare) made room in.
    ///
    /// # Panics
    /// If it did not, or the extents are not what `entry` says.
    pub fn push(&mut self, entry: &EntryHeader, inline: &[&[u8]], extents: &[View]) -> Pushed {
        let extent_bytes: usize = extents.iter().map(|view| view.len()).sum();
        assert_eq!(extent_bytes, entry.extent_bytes as usize);
        let ticket = Ticket(self.collect_position());
        let collecting = self.collecting.as_mut().expect("the caller prepares first");
        let payload_at = collecting.builder.push(entry, inline);
        collecting.extents.extend_from_slice(extents);
        collecting.only_seal &= entry.kind == EntryKind::Seal;
        Pushed { ticket, payload_at }
    }

    /// Adds a SEAL.
    ///
    /// # Errors
    /// When the arena is full.
    pub fn push_seal(&mut self, arena: &Arena) -> Result<(), ArenaFull> {
        self.prepare(0, 0, arena)?;
        self.push(&EntryHeader::new(EntryKind::Seal, no_partition()), &[], &[]);
        Ok(())
    }

    /// What to do at `now`. `seal_after` is how long the journal rests before a SEAL.
    #[must_use]
    pub fn next(&self, now: Monotonic, seal_after: std::time::Duration) -> Next {
        let flying = self.flights.len();
        let enough = !self.closed.is_empty() || self.waiting_bytes() >= self.early_flight_bytes;
        if self.has_frames() {
            let launch = flying == 0 || (enough && flying < self.flights_max);
            return if launch { Next::Launch(self.next_frame_bytes()) } else { Next::Wait(None) };
        }
        if flying > 0 || !self.owes_seal() {
            return Next::Wait(None);
        }
        let due = self.last_landed + seal_after;
        if now >= due { Next::Seal } else { Next::Wait(Some(due)) }
    }

    /// Whether something is durable that no frame on disk says is.
    #[must_use]
    pub fn owes_seal(&self) -> bool {
        self.recorded < self.content_end
    }

    fn next_frame_bytes(&self) -> u64 {
        let first = self.closed.front().or(self.collecting.as_ref());
        first.expect("the caller knows that there is a frame").builder.frame_bytes()
    }

    /// Seals the next frame for its place in a file.
    ///
    /// # Panics
    /// If there is none.
    pub fn launch(&mut self, identity: super::format::Identity, epoch: u32) -> Flight {
        let first = match self.closed.pop_front() {
            Some(closed) => {
                self.closed_bytes -= closed.builder.frame_bytes();
                closed
            }
            None => self.collecting.take().expect("the caller asked next()"),
        };
        let position = self.launch_position;
        let place = FramePlace {
            identity,
            epoch,
            position,
            prev_crc: self.prev_crc,
            known_durable: self.durable,
        };
        let frame = first.builder.seal(place);
        self.prev_crc = frame.crc;
        self.launch_position += frame.header.frame_bytes();
        self.recorded = self.durable;
        self.flights.push_back(InFlight {
            position,
            end: self.launch_position,
            landed: false,
            only_seal: first.only_seal,
        });
        Flight { frame, extents: first.extents }
    }

    /// A flight is on disk. Returns whether the durable position moved.
    ///
    /// # Panics
    /// If there is no such flight.
    pub fn landed(&mut self, position: u64, now: Monotonic) -> bool {
        let flight = self.flights.iter_mut().find(|flight| flight.position == position);
        flight.expect("flights land once").landed = true;
        self.last_landed = now;
        let before = self.durable;
        while self.flights.front().is_some_and(|flight| flight.landed) {
            let flight = self.flights.pop_front().expect("it was just there");
            self.durable = flight.end;
            if !flight.only_seal {
                self.content_end = flight.end;
            }
        }
        self.durable > before
    }
}

fn no_partition() -> PartitionId {
    PartitionId { topic: Default::default(), index: Default::default() }
}
