"""A member of a consumer group on kafka-python: see tests/README.md for what a worker does."""

import time

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition
from worker import Commands, arguments, listed, listed_offsets, say

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor,
             "cooperative-sticky": CooperativeStickyAssignor}


class Member(AsyncConsumerRebalanceListener):
    """The listener runs on the client's own thread, while `poll` waits for it: it awaits where the rest blocks."""

    def __init__(self, options):
        self.owned = set()
        self.printed = {}  # TopicPartition: the offset after the last record printed
        self.consumer = KafkaConsumer(
            bootstrap_servers=options.bootstrap, group_id=options.consumer_group, enable_auto_commit=False,
            auto_offset_reset="earliest", fetch_max_wait_ms=100, session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=options.session_ms // 12, group_instance_id=options.instance,
            partition_assignment_strategy=[ASSIGNORS[options.assignor or "range"]])
        # kafka-python 3.0.12 can lose the end of a join that a change of its metadata overtakes: the answer to its SyncGroup
        # is there, nobody takes it up, and the member is silent from then on. So it knows its topics before it joins.
        for topic in options.topics:
            while not self.consumer.partitions_for_topic(topic):
                time.sleep(0.05)
        self.consumer.subscribe(options.topics, listener=self)

    async def on_partitions_assigned(self, assigned):
        self.owned |= set(assigned)
        say("assigned", self.consumer.group_metadata().generation_id, listed(self.owned))

    async def on_partitions_revoked(self, revoked):
        offsets = {which: offset for which, offset in self.printed.items() if which in set(revoked)}
        if offsets:
            try:
                await self.consumer.commit_async(committable(offsets))
                say("committed", listed_offsets(offsets))
            except KafkaError as refusal:
                say("refused", type(refusal).__name__)
        self.drop("revoked", set(revoked))

    async def on_partitions_lost(self, lost):
        self.drop("lost", set(lost))

    def drop(self, event, gone):
        self.owned -= gone
        self.printed = {which: offset for which, offset in self.printed.items() if which not in gone}
        say(event, listed(gone))

    def commit(self, offsets):
        if not offsets:
            return say("committed", "-")
        try:
            self.consumer.commit(committable(offsets), timeout_ms=20_000)
            say("committed", listed_offsets(offsets))
        except KafkaError as refusal:
            say("refused", type(refusal).__name__)

    def run(self):
        commands = Commands()
        while True:
            for records in self.consumer.poll(50, 500).values():
                for record in records:
                    self.printed[TopicPartition(record.topic, record.partition)] = record.offset + 1
                    say("record", record.topic, record.partition, record.offset, record.value.decode())
            command = commands.next()
            if command in ("commit", "leave"):
                self.commit(self.printed)
            if command == "leave":
                self.consumer.close()
                return say("left")


def committable(offsets):
    return {which: OffsetAndMetadata(offset, "", -1) for which, offset in offsets.items()}


if __name__ == "__main__":
    Member(arguments()).run()
