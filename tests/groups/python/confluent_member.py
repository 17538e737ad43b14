"""A member of a consumer group on confluent-kafka (a current librdkafka): see tests/README.md for what a worker does."""

import struct

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from worker import Commands, arguments, listed, listed_offsets, say

# What a consumer says on its way back to a broker that was away.
AWAY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT)


class Member:
    def __init__(self, options):
        self.plant_ahead = options.plant_ahead
        self.owned = set()
        self.printed = {}  # (topic, partition): the offset after the last record printed
        config = {"bootstrap.servers": options.bootstrap, "group.id": options.consumer_group, "enable.auto.commit": False,
                  "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "group.protocol": options.protocol,
                  "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0, "check.crcs": True,
                  # The same partition comes back at the committed offset, whatever was fetched before.
                  "enable.auto.offset.store": False}
        if options.protocol == "classic":
            config |= {"session.timeout.ms": options.session_ms, "heartbeat.interval.ms": options.session_ms // 12,
                       "partition.assignment.strategy": options.assignor or "range"}
        elif options.assignor:
            config["group.remote.assignor"] = options.assignor
        if options.instance:
            config["group.instance.id"] = options.instance
        self.consumer = Consumer(config)
        self.consumer.subscribe(options.topics, on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def generation(self):
        """From the serialized group metadata: `CGMDv2:`, then the generation."""
        return struct.unpack_from("=i", self.consumer.consumer_group_metadata(), 7)[0]

    def assigned(self, _, partitions):
        self.owned |= {(each.topic, each.partition) for each in partitions}
        say("assigned", self.generation(), listed(self.owned))

    def revoked(self, _, partitions):
        gone = {(each.topic, each.partition) for each in partitions}
        self.commit({which: offset for which, offset in self.printed.items() if which in gone})
        self.drop("revoked", gone)

    def lost(self, _, partitions):
        self.drop("lost", {(each.topic, each.partition) for each in partitions})

    def drop(self, event, gone):
        self.owned -= gone
        self.printed = {which: offset for which, offset in self.printed.items() if which not in gone}
        say(event, listed(gone))

    def commit(self, offsets):
        if not offsets:
            return say("committed", "-")
        try:
            answer = self.consumer.commit(asynchronous=False, offsets=[
                TopicPartition(topic, partition, offset + self.plant_ahead) for (topic, partition), offset in offsets.items()])
            refused = [each.error for each in answer if each.error]
            if refused:
                raise KafkaException(refused[0])
            say("committed", listed_offsets({(each.topic, each.partition): each.offset for each in answer}))
        except KafkaException as refusal:
            say("refused", refusal.args[0].name())

    def run(self):
        commands = Commands()
        while True:
            message = self.consumer.poll(0.05)
            if message is not None and message.error() is None:
                self.printed[message.topic(), message.partition()] = message.offset() + 1
                say("record", message.topic(), message.partition(), message.offset(), message.value().decode())
            elif message is not None and message.error().code() not in AWAY:
                say("error", message.error().name(), message.error().str())
            command = commands.next()
            if command in ("commit", "leave"):
                self.commit(self.printed)
            if command == "leave":
                self.consumer.close()
                return say("left")


if __name__ == "__main__":
    Member(arguments()).run()
