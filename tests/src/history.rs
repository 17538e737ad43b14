//! What the clients of a simulated cluster saw, in the order in which they saw it.
//!
//! The history is plain data: actors append events while a world runs, checkers are pure functions
//! over it afterwards. An event's place in the list is its moment; a client notes the place at which
//! it *began* something (`since`), so that a checker can tell "this answer came later" from "this
//! question was asked after that answer", which is what real-time order means to a client.
//!
//! Bounded by the workload, which is finite.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::attendance::Attendance;
use crate::client::TopicName;
use crate::payload::RecordName;

/// A topic as the workload means it: a name that is created again is another topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(pub u32);

/// A partition of such a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: Topic,
    /// The partition's index.
    pub partition: i32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} partition {}", self.topic.0, self.partition)
    }
}

/// A consumer group of the workload, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerGroup(pub u32);

/// What a producer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Idempotent, acks=all, retried until acknowledged: exactly once, in order.
    Idempotent,
    /// acks=1 (or all), sent once: at most once, in order on its connection.
    Plain,
    /// acks=0, sent once: at most once, and nothing is known of it.
    Forgotten,
}

/// A batch that some producer made.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Where it belongs.
    pub place: Place,
    /// What was asked for.
    pub promise: Promise,
    /// Which producer incarnation (for plain ones: which connection) made it.
    pub producer: u32,
    /// Its number among that producer's batches for that partition.
    pub order: u32,
    /// How many records it has.
    pub count: u16,
    /// Timestamp of its first record; the others follow by one millisecond each. `None`: the broker
    /// sets its own.
    pub timestamp_ms: Option<i64>,
    /// Its size, as it was sent.
    pub bytes: u32,
}

/// What of a topic the broker may remove: whole segments from the front, by these limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.bytes`, if it is a limit: so much stays of each partition.
    pub bytes: Option<u64>,
    /// `retention.ms`, if it is a limit: what is younger stays.
    pub ms: Option<i64>,
}

/// A record that a reader got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// At this offset.
    pub offset: i64,
    /// Which record; `None`: bytes that nobody wrote.
    pub name: Option<RecordName>,
    /// With this timestamp.
    pub timestamp_ms: i64,
}

/// Where an event stands in the history.
pub type Moment = usize;

/// Who reads, and which of its assignments: within one, polls go on where the last one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The reader.
    pub reader: u32,
    /// Counts its assignments and seeks.
    pub assignment: u32,
}

/// One good fetch answer for one partition.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Who.
    pub reader: Reader,
    /// Where.
    pub place: Place,
    /// From which offset it asked.
    pub from: i64,
    /// What came, from `from` on (records before it are dropped, as every client does).
    pub records: Vec<Seen>,
    /// The high watermark in the answer.
    pub high_watermark: i64,
    /// The log start in the answer; -1: not said.
    pub log_start: i64,
    /// The client's time of day when it came.
    pub wall_ms: i64,
    /// When it was asked.
    pub since: Moment,
    /// Part of the last reading of the whole partition, which decides what the log holds.
    pub whole: bool,
}

/// What a ListOffsets question was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The start of the log.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record at or after this time.
    Time(i64),
}

/// Something a client saw or did.
#[derive(Clone, Debug)]
pub enum Event {
    /// A batch went out for the first time.
    Sent(u32),
    /// A batch was acknowledged; -1: as a duplicate whose offset is not known any more.
    Acked {
        /// Which.
        batch: u32,
        /// Offset of its first record.
        base_offset: i64,
    },
    /// A batch was refused for good, and the code says that it was not appended.
    Refused {
        /// Which.
        batch: u32,
        /// Kafka's error code.
        code: i16,
    },
    /// A fetch answer.
    Polled(Poll),
    /// The last reading of a partition came to its end.
    ReadWhole(Place),
    /// A ListOffsets answer.
    Listed {
        /// Where.
        place: Place,
        /// What was asked.
        wanted: Wanted,
        /// The offset in the answer; -1: none.
        offset: i64,
        /// The timestamp in the answer; -1: none.
        timestamp_ms: i64,
        /// When it was asked.
        since: Moment,
    },
    /// An offset that had been valid was said to be out of range.
    OutOfRange {
        /// Where.
        place: Place,
        /// Which offset was asked for.
        from: i64,
    },
    /// A member of a consumer group was told what is its own.
    Assigned {
        /// The group.
        consumer_group: ConsumerGroup,
        /// Of which generation.
        generation: i32,
        /// The member, by its id, or by its instance if it is static.
        owner: String,
        /// Partitions of the group's topic.
        partitions: Vec<i32>,
    },
    /// A commit of offsets goes out.
    Committing {
        /// Its number.
        commit: u32,
        /// The group.
        consumer_group: ConsumerGroup,
        /// What is committed.
        offsets: Vec<(Place, i64)>,
    },
    /// A commit was acknowledged.
    Committed {
        /// Which.
        commit: u32,
    },
    /// A commit was refused, and the code says that it was not stored.
    NotCommitted {
        /// Which.
        commit: u32,
    },
    /// A committed offset was read; -1: none.
    CommittedRead {
        /// The group.
        consumer_group: ConsumerGroup,
        /// Of which partition.
        place: Place,
        /// The answer.
        offset: i64,
        /// When it was asked.
        since: Moment,
    },
    /// Somebody belongs to a consumer group from here on, whether it is in it at the moment or not.
    Enrolled {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The actor.
        member: u32,
        /// The group's topic.
        topic: Topic,
        /// Its partitions.
        partitions: i32,
    },
    /// It never comes back: the others have to do without it.
    Dismissed {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The actor.
        member: u32,
    },
    /// A member was told of partitions that are its own from here on, beside those it has.
    Owns {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The member id.
        owner: String,
        /// Partitions of the group's topic.
        partitions: Vec<i32>,
    },
    /// A member gives partitions up, and says so next.
    Releases {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The member id.
        owner: String,
        /// Partitions of the group's topic.
        partitions: Vec<i32>,
    },
    /// The coordinator took a member for one that owns these partitions.
    Confirmed {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The member id.
        owner: String,
        /// Partitions of the group's topic.
        partitions: Vec<i32>,
        /// When it was asked.
        since: Moment,
    },
    /// A member has committed in all of its partitions, and was told that it is still in.
    Worked {
        /// The group.
        consumer_group: ConsumerGroup,
        /// The actor.
        member: u32,
        /// Generation, or member epoch.
        generation: i32,
        /// All of its partitions.
        partitions: Vec<i32>,
    },
    /// A topic was created, to the knowledge of its creator.
    Created(Topic),
    /// Deleting a topic begins: from here on its data may be gone.
    Deleting(Topic),
    /// A topic was deleted, to the knowledge of its deleter.
    Deleted(Topic),
    /// The topics that exist when all is over, by the names the workload gave them.
    FinalTopics(Vec<Topic>),
    /// A client met something that no broker may do; the sentence says what.
    Misbehaved {
        /// Which property it breaks, in the words of the checkers.
        property: &'static str,
        /// What happened.
        what: String,
    },
    /// A node lost its power, or its process died.
    Crashed,
    /// A node was started (again).
    Started,
    /// No fault strikes from here on.
    Calm,
}

/// The whole history of one world.
#[derive(Debug, Default)]
pub struct History {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Every batch that was made, by number.
    pub batches: Vec<Batch>,
    /// Actors that have not finished: what they are, and whether they produce.
    pub running: BTreeMap<u32, (String, bool)>,
    /// Topics that exist, to the knowledge of their creators: name, id and partitions.
    pub topics: BTreeMap<Topic, (TopicName, i32)>,
    /// Topics of which the broker may remove records. From all others none may go.
    pub retained: BTreeMap<Topic, Retention>,
    /// Topics of which only the last record of each key has to stay.
    pub compacted: BTreeSet<Topic>,
    /// Which consumer groups have come to rest.
    pub attendance: Attendance,
    /// Whether producers should come to an end.
    pub closing: bool,
    next_name: u32,
}

impl History {
    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.events.len()
    }

    /// Adds an event.
    pub fn push(&mut self, event: Event) {
        self.attendance.note(&event);
        self.events.push(event);
    }

    /// Adds a batch; its number.
    pub fn batch(&mut self, batch: Batch) -> u32 {
        self.batches.push(batch);
        (self.batches.len() - 1) as u32
    }

    /// The events as text, one per line; batches are told in full when they go out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |(moment, event): (Moment, &Event)| match event {
            Event::Sent(batch) => {
                format!("{moment} Sent({batch}) {:?}", self.batches[*batch as usize])
            }
            Event::Polled(poll) => format!(
                "{moment} Polled {:?} {} from {}: {} records, high watermark {}, log start {}, asked at {}",
                poll.reader,
                poll.place,
                poll.from,
                poll.records.len(),
                poll.high_watermark,
                poll.log_start,
                poll.since
            ),
            other => format!("{moment} {other:?}"),
        };
        self.events.iter().enumerate().map(line).collect()
    }

    /// Whether any producer has not finished.
    #[must_use]
    pub fn producing(&self) -> bool {
        self.running.values().any(|(_, produces)| *produces)
    }

    /// A number that no reader, producer, topic or actor has had yet.
    pub fn fresh(&mut self) -> u32 {
        self.next_name += 1;
        self.next_name
    }

    /// All polls, in order, with their moments.
    pub fn polls(&self) -> impl Iterator<Item = (Moment, &Poll)> {
        self.events.iter().enumerate().filter_map(|(moment, event)| match event {
            Event::Polled(poll) => Some((moment, poll)),
            _ => None,
        })
    }
}

/// The handle that actors share. A world runs on one thread; the lock is only for the type.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<History>>);

impl Shared {
    /// The history, for a moment. Never held across an await.
    ///
    /// # Panics
    /// If an actor panicked while it held it.
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().expect("no actor panics while it writes an event")
    }

    /// Adds an event.
    pub fn push(&self, event: Event) {
        self.lock().push(event);
    }

    /// Notes that a broker broke `property`.
    pub fn misbehaved(&self, property: &'static str, what: String) {
        self.push(Event::Misbehaved { property, what });
    }
}
