"""The consumer group of the kill loop: it reads the loaded topic, commits as it goes, and remembers what was acknowledged."""

import threading
import time

import brokers
from clients import ACK_DEADLINE_S, NEVER_TOLD, PARTITIONS, RECONNECT, TOPIC
from confluent_kafka import Consumer, KafkaException, TopicPartition

GROUP = "kill9-group"
MEMBERS = 2


class Committer(threading.Thread):
    """One member. Where it commits, and how often the broker said yes, is judged by `Commits`."""

    def __init__(self, bootstrap, number, commits):
        super().__init__(daemon=True)
        self.number, self.commits = number, commits
        self.told = []
        self.is_committing = False
        self.stopping = threading.Event()
        self.consumer = Consumer(RECONNECT | {
            "bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000, "heartbeat.interval.ms": 200, "fetch.wait.max.ms": 50, "socket.timeout.ms": 5_000,
            "on_commit": self.on_commit,
        })
        self.consumer.subscribe([TOPIC])

    def faults(self):
        return [f"member {self.number}: {told}" for told in self.told]

    def run(self):
        while not self.stopping.is_set():
            messages = self.consumer.consume(500, 0.01)
            errors = [message.error() for message in messages if message.error()]
            self.told += [error.str() for error in errors if error.code() in NEVER_TOLD]
            if len(errors) < len(messages) and not self.is_committing:
                self.commit()

    def commit(self):
        """Commits where it is and reads on meanwhile. One commit at a time: librdkafka sends one that got no answer again, also
        after later ones, and the offset then goes back by the client's will."""
        try:
            self.is_committing = True
            self.consumer.commit(asynchronous=True)
        except KafkaException:  # it has just lost its partitions
            self.is_committing = False

    def on_commit(self, error, answers):
        """What is refused while the broker or the group changes is committed another time."""
        self.is_committing = False
        for answer in answers if error is None else ():
            if answer.error is None:
                self.commits.acked(answer.partition, answer.offset)

    def finish(self):
        self.stopping.set()
        self.join()
        self.consumer.close()
        return []


class Commits:
    """The highest offset of each partition whose commit was acknowledged. Members read on from where others have committed, so
    what a group commits in a partition only rises: less than that in the broker is a commit that was lost."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.highest = [-1] * PARTITIONS
        self.count = 0

    def acked(self, partition, offset):
        self.count += 1
        self.highest[partition] = max(self.highest[partition], offset)

    def lost(self, when):
        """What the broker has forgotten, as sentences."""
        due = list(self.highest)
        consumer = Consumer(RECONNECT | {"bootstrap.servers": self.bootstrap, "group.id": GROUP})
        try:
            found = self.ask(consumer)
        finally:
            consumer.close()
        return [f"{when}: partition {partition}: {due[partition]} was committed and acknowledged, the broker has {offset}"
                for partition, offset in found.items() if max(offset, -1) < due[partition]]

    @staticmethod
    def ask(consumer):
        deadline = time.monotonic() + ACK_DEADLINE_S
        asked = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
        while True:
            try:
                answers = consumer.committed(asked, 5)
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise brokers.Failure(f"no committed offsets for {ACK_DEADLINE_S} s: {error}") from error
                continue
            if all(answer.error is None for answer in answers):
                return {answer.partition: answer.offset for answer in answers}

    def wait_for_more(self, when):
        """Waits until the group commits again, as it must once the broker stays."""
        due, deadline = self.count + 1, time.monotonic() + ACK_DEADLINE_S
        while self.count < due:
            if time.monotonic() > deadline:
                raise brokers.Failure(f"{when}: the group is stuck: no commit for {ACK_DEADLINE_S} s")
            time.sleep(0.005)
