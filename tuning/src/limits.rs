//! Every quantity that is bounded, in one table: unit, default, and what happens at the limit.
//!
//! Kafka's configs (`crate::config`) are what operators know and turn; these are the bounds of our
//! own machinery, which have no Kafka name. Where both exist the config wins and is copied into the
//! struct at start. Each row also names an `extreme`: a value, usually tiny, that a simulation may
//! run with so that the limit is met all the time instead of never. Defaults and extremes both keep
//! the relations at the end of this file, checked when this crate is compiled.
//!
//! Per shard means per shard: a node with 16 shards has 16 times the memory.

/// A row of the table, for documentation and `--help`.
#[derive(Clone, Copy, Debug)]
pub struct LimitRow {
    /// Field of [`Limits`].
    pub name: &'static str,
    /// Default value.
    pub default: u64,
    /// Value that a simulation may pick to meet the limit often.
    pub extreme: u64,
    /// Meaning, and what happens at the limit.
    pub doc: &'static str,
}

macro_rules! limits {
    ($( $name:ident: $kind:ty = $default:expr, extreme $extreme:expr; $doc:literal )*) => {
        /// All limits of a node. `Copy`: every shard has its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits {
            $( #[doc = $doc] pub $name: $kind, )*
        }

        impl Limits {
            /// What a node runs with unless told otherwise.
            pub const DEFAULT: Self = Self { $( $name: $default, )* };
            /// Limits so tight that a simulation meets all of them; correct, only slow.
            pub const EXTREME: Self = Self { $( $name: $extreme, )* };
            /// The table.
            pub const ROWS: &'static [LimitRow] = &[ $( LimitRow {
                name: stringify!($name),
                default: $default as u64,
                extreme: $extreme as u64,
                doc: $doc,
            }, )* ];
        }
    };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

limits! {
    mesh_credits_per_peer: u32 = 256, extreme 2;
        "Requests that one shard may have open at another shard. At the limit the caller waits for an answer of its own; no ring can fill up."
    arena_bytes_max: u64 = 192 * MIB, extreme 24 * MIB;
        "Memory for buffers of one shard, in bytes. At the limit reservations wait in order; nothing is allocated elsewhere."
    request_bytes_budget: u64 = 64 * MIB, extreme 3 * MIB;
        "Part of the arena of one shard that requests being received or answered may hold, in bytes. At the limit a connection is not read until room is given back."
    frame_bytes_max: u32 = 100 * MIB as u32, extreme 2 * MIB as u32;
        "Largest request, in bytes (socket.request.max.bytes). A longer frame closes the connection after its length prefix. The arena has room for one such request on top of arena_bytes_max."
    fetch_bytes_budget: u64 = 48 * MIB, extreme 4 * MIB;
        "Part of the arena of one shard that holds records on their way to consumers, in bytes; every gateway shard has an equal share of it. At the limit further reads wait in order, and a consumer that reads slowly is closed sooner."
    idle_receive_buffers: u32 = 256, extreme 2;
        "Small buffers of one shard in which connections wait for their next length prefix. With none free a connection waits for one; others go on."
    connections_per_ip_max: u32 = 1_000, extreme 4;
        "Open connections of one shard from one address (max.connections.per.ip). Further ones are accepted and closed at once."
    requests_in_flight_per_connection_max: u32 = 64, extreme 2;
        "Requests of one connection that are not answered yet. At the limit its socket is not read."
    parked_fetches_per_shard_max: u32 = 10_000, extreme 4;
        "Fetches of one shard that wait for new data. Further ones are answered at once, empty."
    fetch_wait_ms_max: u32 = 30_000, extreme 500;
        "Longest that a fetch may ask to wait, in milliseconds; a longer wish is cut to it."
    fetch_response_bytes_max: u32 = 55 * MIB as u32, extreme 2 * MIB as u32;
        "Largest fetch answer, in bytes (fetch.max.bytes). Partitions that find no room come in the next answer; the first batch is always whole."
    fetch_session_partitions_per_shard_max: u32 = 100_000, extreme 3;
        "Partitions that the fetch sessions of one shard remember together, some 200 bytes each besides the names of their topics. At the limit sessions that were not used for long are closed; then a client gets no session, and one whose session outgrows it makes a full fetch."
    journal_file_bytes_first: u64 = 8 * MIB, extreme MIB;
        "Size of the first file of a journal, in bytes: written whole before a new shard serves."
    journal_file_bytes: u64 = 64 * MIB, extreme MIB;
        "Size of every further journal file, in bytes; written in the background and used again and again."
    journal_files_max: u32 = 8, extreme 3;
        "Files of one journal. With all of them full, produce waits for write-behind and a checkpoint, within its timeout."
    journal_flights_max: u32 = 4, extreme 1;
        "Group commits on their way to the disk at once. At the limit appends collect in the next one."
    journal_seal_after_ms: u32 = 10, extreme 1;
        "Idle time after which the journal records what is durable by now, in milliseconds."
    checkpoint_interval_ms: u32 = 10_000, extreme 200;
        "Longest time between two checkpoints of a journal that took appends, in milliseconds."
    straight_append_bytes_min: u32 = 64 * KIB as u32, extreme 16 * KIB as u32;
        "An append with at least so many bytes is written straight to its segment instead of into the journal frame."
    append_block_bytes: u32 = 256 * KIB as u32, extreme 64 * KIB as u32;
        "Size of one append block of a busy partition, in bytes."
    unwritten_bytes_max: u64 = 64 * MIB, extreme 2 * MIB;
        "Appended bytes of one shard that are not in a segment yet, but for the last block of each partition. At the limit write-behind is forced, then produce waits within its timeout."
    write_behind_bytes: u32 = 128 * KIB as u32, extreme 8 * KIB as u32;
        "Whole blocks of a partition that make it worth writing before its journal file asks for it, in bytes."
    write_behind_in_flight_bytes_max: u32 = 8 * MIB as u32, extreme 64 * KIB as u32;
        "Bytes of write-behind on their way to the disk at once. Further writes wait, so that a flush never waits for more."
    segment_allocate_bytes_min: u32 = 64 * KIB as u32, extreme 64 * KIB as u32;
        "First allocation of a segment, in bytes; doubles with each further one."
    segment_allocate_bytes_max: u32 = 32 * MIB as u32, extreme 256 * KIB as u32;
        "Largest step by which a segment is allocated ahead, in bytes."
    open_segment_files_max: u32 = 4_096, extreme 8;
        "Segment files of one shard that are open at once; fewer once the process was refused a descriptor. At the limit the one unused for longest is closed."
    partitions_per_shard_max: u32 = 50_000, extreme 64;
        "Partitions that one shard owns. Creation of further ones is refused (INVALID_PARTITIONS)."
    producers_per_partition_max: u32 = 10_000, extreme 8;
        "Idempotent producers remembered by a partition. At the limit the one silent for longest is forgotten."
    decompress_ratio_max: u32 = 64, extreme 8;
        "A compressed batch may expand to this many times max.message.bytes. Beyond, it is refused as CORRUPT_MESSAGE."
    decompressed_bytes_max: u64 = 128 * MIB, extreme 8 * MIB;
        "A compressed batch may never expand to more, in bytes, whatever the topic allows."
    appends_waiting_per_shard_max: u32 = 65_536, extreme 16;
        "Producers of one shard that wait for an acknowledgement, and as many that wait for room. Further appends are refused before they are in the log (a retriable error)."
    refused_batches_per_shard_max: u32 = 65_536, extreme 16;
        "Idempotent producers of one shard, per partition, whose refused batch is remembered so that no later one overtakes it. At the limit the oldest is forgotten."
    coordinator_requests_per_shard_max: u32 = 131_072, extreme 16;
        "Requests to the group coordinators of one shard that are not answered yet, parked JoinGroups included. Further ones are told to come again (COORDINATOR_LOAD_IN_PROGRESS)."
    coordinator_unwritten_bytes_max: u64 = 16 * MIB, extreme 64 * KIB;
        "Bytes that one group coordinator has decided to write and that are not on their way to its log yet. At the limit its clients are told to come again (COORDINATOR_LOAD_IN_PROGRESS)."
    coordinator_load_bytes: u32 = 4 * MIB as u32, extreme 64 * KIB as u32;
        "How much of its log a group coordinator reads at once when it starts, in bytes."
    topics_per_request_max: u32 = 1_000, extreme 16;
        "Topics that one request may create, delete or alter. A longer list is refused whole (INVALID_REQUEST)."
    topics_max: u32 = 200_000, extreme 64;
        "Topics of a cluster. Creation of further ones is refused (POLICY_VIOLATION)."
    metadata_records_per_proposal_max: u32 = 10_000, extreme 64;
        "Metadata records written as one entry. A request that needs more is refused."
    metadata_decisions_max: u32 = 1_024, extreme 2;
        "Changes of the cluster that wait to be decided or committed. Further ones are refused (a retriable error)."
    metadata_log_bytes_max: u64 = 4 * MIB, extreme 4 * KIB;
        "Entries of the metadata log since its last snapshot, in bytes. Beyond it a new snapshot replaces them."
    metadata_snapshot_bytes_max: u64 = GIB, extreme 16 * MIB;
        "Largest snapshot of the cluster image, in bytes. A larger one is refused before it is read."
    consumer_groups_per_partition_max: u32 = 100_000, extreme 16;
        "Consumer groups in one partition of __consumer_offsets. A join or commit that would create a further one is refused (POLICY_VIOLATION)."
    consumer_group_regexes_max: u32 = 64, extreme 2;
        "Different regular expressions to which the members of one consumer group subscribe. A member that brings a further one is refused (POLICY_VIOLATION)."
    members_per_consumer_group_max: u32 = 20_000, extreme 16;
        "Members of one consumer group, and besides as many that were given a member id and have not come back with it; group.max.size may be lower. Further ones are refused (GROUP_MAX_SIZE_REACHED)."
    member_metadata_bytes_max: u32 = MIB as u32, extreme 4 * KIB as u32;
        "What one member of a consumer group may say in all its protocols together, in bytes. A longer join is refused (POLICY_VIOLATION)."
    member_protocols_max: u32 = 128, extreme 8;
        "Protocols that one member of a classic consumer group may name; clients have a handful. A longer join is refused (POLICY_VIOLATION)."
    answers_per_group_max: u32 = 8, extreme 8;
        "How often one request is answered about the same consumer group (OffsetFetch, DescribeGroups, ConsumerGroupDescribe). Further answers are left out: they would say the same."
    offsets_per_consumer_group_max: u32 = 200_000, extreme 256;
        "Partitions with a committed offset in one consumer group. Commits of further ones are refused (INVALID_COMMIT_OFFSET_SIZE)."
    group_writes_in_flight_max: u32 = 16_384, extreme 8;
        "Writes of one partition of __consumer_offsets that are not durable yet. Requests that need a further one are refused (COORDINATOR_NOT_AVAILABLE, which clients repeat)."
    group_deletion_batch_bytes: u32 = 256 * KIB as u32, extreme 256;
        "Bytes of deleted keys that a coordinator writes as one batch; a larger deletion is written as several, in order."
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// Cap on what a compressed batch of a topic may expand to, in bytes.
    #[must_use]
    pub fn decompressed_bytes_cap(&self, batch_bytes_max: u32) -> u64 {
        let by_ratio = u64::from(batch_bytes_max) * self.decompress_ratio_max as u64;
        by_ratio.min(self.decompressed_bytes_max)
    }

    /// The relations between limits that the code relies on; the first that is broken, as a
    /// sentence.
    ///
    /// # Errors
    /// That sentence, for the start to refuse with.
    pub const fn check(&self) -> Result<(), &'static str> {
        let idle_bytes = self.idle_receive_buffers as u64 * IDLE_BUFFER_BYTES_MAX;
        let held = self.request_bytes_budget + self.unwritten_bytes_max + self.fetch_bytes_budget;
        if held + idle_bytes > self.arena_bytes_max {
            return Err(
                "requests, unwritten appends and fetches must fit into arena_bytes_max together",
            );
        }
        if self.journal_file_bytes_first > self.journal_file_bytes {
            return Err("the first journal file is the smaller one");
        }
        if self.journal_files_max < 3 {
            return Err(
                "a journal needs three files: one written, one replayed from, one recycled",
            );
        }
        if self.straight_append_bytes_min as u64 * 2 > self.journal_file_bytes_first {
            return Err("two appends below straight_append_bytes_min must fit into a journal file");
        }
        if self.unwritten_bytes_max > self.journal_file_bytes * self.journal_files_max as u64 {
            return Err("a journal must hold all bytes that are not in segments yet");
        }
        if self.segment_allocate_bytes_min > self.segment_allocate_bytes_max {
            return Err("segment_allocate_bytes_min is the smaller one");
        }
        if self.mesh_credits_per_peer == 0
            || self.journal_flights_max == 0
            || self.requests_in_flight_per_connection_max == 0
        {
            return Err("a limit of zero would stop everything");
        }
        Ok(())
    }
}

/// No idle receive buffer is larger.
const IDLE_BUFFER_BYTES_MAX: u64 = 4096;

const _: () = assert!(Limits::DEFAULT.check().is_ok());
const _: () = assert!(Limits::EXTREME.check().is_ok());

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sources(directory: &Path, out: &mut String) {
        for entry in fs::read_dir(directory).expect("a source directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push_str(&fs::read_to_string(&path).expect("a source file"));
            }
        }
    }

    /// A limit that no code reads would be a promise that nobody keeps.
    #[test]
    fn every_limit_is_read_by_some_room() {
        let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut text = fs::read_to_string(house.join("tuning/src/limits.rs")).expect("this file");
        // Of this file only the functions before the relations count as readers.
        text.truncate(text.find("The relations between limits").expect("a part of this file"));
        let mut text = text.split_off(text.find("impl Default").expect("a part of this file"));
        for room in ["engine", "replication", "net", "tools"] {
            sources(&house.join(room).join("src"), &mut text);
        }
        let words: std::collections::HashSet<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for row in Limits::ROWS {
            assert!(words.contains(row.name), "no code reads the limit {}", row.name);
        }
    }

    #[test]
    fn relations_are_noticed_when_broken() {
        let tight = Limits { arena_bytes_max: 1 << 20, ..Limits::DEFAULT };
        assert!(tight.check().expect_err("too small").contains("arena_bytes_max"));
        let stuck = Limits { mesh_credits_per_peer: 0, ..Limits::DEFAULT };
        assert!(stuck.check().is_err());
    }

    #[test]
    fn the_cap_on_content_follows_the_topic_and_has_an_end() {
        let limits = Limits::DEFAULT;
        assert_eq!(limits.decompressed_bytes_cap(1 << 10), 64 << 10);
        assert_eq!(limits.decompressed_bytes_cap(u32::MAX), limits.decompressed_bytes_max);
    }
}
