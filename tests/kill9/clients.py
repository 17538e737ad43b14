"""The clients of the kill loop: producers that never stop, a consumer that follows, and the last reader.

They write down what they see and judge nothing but this: an error that a client gives up on is a fault of the broker.
A broker that was killed may be away and may be late; it may not lose count of a producer's batches, refuse what a producer
may send, or say that an offset it served does not exist. librdkafka tells the two apart: what a retry mends never gets here.
"""

import threading
import time

import brokers
import checker
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

TOPIC = "kill9"
PARTITIONS = 12
RETAINED, RETAINED_PARTITIONS = "kill9-retained", 2
COMPACTED, COMPACTED_PARTITIONS = "kill9-compacted", 2
COMPACTED_KEYS = 40  # per partition
VALUE_BYTES = 512
SIDE_RECORDS_PER_S = 2_000  # of the producers of the other two topics
RECORDS_PER_S = 4_000  # per producer: enough to keep requests in flight at every moment, little enough to keep for 300 cycles
ACK_DEADLINE_S = 30
RECONNECT = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "log_level": 0}
# A producer that gave up drops what it still had: that follows from its fault and is none of its own.
DROPPED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL)
# What a consumer that reads where it was served before must never be told.
NEVER_TOLD = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._BAD_MSG,
              KafkaError.INVALID_MSG, KafkaError._BAD_COMPRESSION)


class Load(threading.Thread):
    """One producer that never stops: it numbers its records per partition and remembers what was acknowledged where.

    A fatal error ends it: an idempotent producer only has one when the broker forgot, doubled or reordered its batches.
    """

    def __init__(self, bootstrap, number, topic=TOPIC, partitions=PARTITIONS, per_s=RECORDS_PER_S):
        super().__init__(daemon=True)
        self.number = number
        self.topic, self.per_s = topic, per_s
        self.acks = [checker.Acks() for _ in range(partitions)]
        self.acked = 0
        self.sent = [0] * partitions
        self.fatal = None
        self.refused = {}  # what was said: how often
        self.stopping = threading.Event()
        self.producer = Producer(RECONNECT | {
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2,
            "delivery.timeout.ms": 2_147_483_647, "retry.backoff.ms": 10, "retry.backoff.max.ms": 50,
            "socket.timeout.ms": 5_000, "queue.buffering.max.messages": 20_000, "error_cb": lambda _: None,
        })

    def faults(self):
        """What the producer gave up on, as sentences."""
        found = [f"producer {self.number} gave up: {self.fatal}"] if self.fatal else []
        return found + [f"producer {self.number}: {times} records refused: {said}" for said, times in self.refused.items()]

    def on_delivery(self, error, message):
        if error is None:
            number = int(message.value().split(b":", 2)[1])
            self.acks[message.partition()].add(number, message.offset())
            self.acked += 1
        elif error.code() not in DROPPED:
            said = f"{error.name()}: {error.str()}"
            self.refused[said] = self.refused.get(said, 0) + 1

    def run(self):
        try:
            self.send()
        except (KafkaException, SystemError) as error:
            self.give_up(error)

    def send(self):
        padding = b"x" * VALUE_BYTES
        began, sent = time.monotonic(), 0
        while not self.stopping.is_set():
            due = int((time.monotonic() - began) * self.per_s)
            for sent in range(sent, min(due, sent + 500)):  # noqa: B020
                partition = sent % len(self.sent)
                number = self.sent[partition]
                value = b"%d:%d:%b" % (self.number, number, padding)
                key = key_of(number) if self.topic == COMPACTED else None
                try:
                    self.producer.produce(self.topic, value, key, partition, on_delivery=self.on_delivery)
                    self.sent[partition] += 1
                except BufferError:  # the broker is down: what does not fit is not sent
                    break
            sent = due if due - sent > 500 else sent + 1
            self.producer.poll(0.005)

    def finish(self):
        """Stops sending and waits for what is on the way. Returns what did not come, as sentences."""
        self.stopping.set()
        self.join()
        left = self.flush()
        if not left or self.fatal:
            return []
        return [f"producer {self.number}: {left} records neither acknowledged nor refused within {ACK_DEADLINE_S} s"]

    def flush(self):
        """How many records are left. What comes after a fatal error is served by the second call."""
        for _ in range(2):
            try:
                return self.producer.flush(ACK_DEADLINE_S)
            except (KafkaException, SystemError) as error:
                self.give_up(error)
        return 0

    def give_up(self, error):
        """Keeps the first fatal error, which tells the most. confluent-kafka raises it wherever it serves callbacks; where
        another callback is due, as a SystemError that the fatal one caused."""
        raised = error.__cause__ if isinstance(error, SystemError) else error
        if not isinstance(raised, KafkaException):
            raise error
        said = raised.args[0]
        self.fatal = self.fatal or f"{said.name()}: {said.str()}"


class Follower(threading.Thread):
    """A consumer that reads on while the broker comes and goes, and remembers what it was served."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.served = [[] for _ in range(PARTITIONS)]
        self.told = []
        self.stopping = threading.Event()
        self.consumer = Consumer(consumer_config(bootstrap))
        self.consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])

    def faults(self):
        """What it must not have been told, as sentences."""
        return [f"consumer: {told}" for told in self.told]

    def run(self):
        while not self.stopping.is_set():
            for message in self.consumer.consume(1_000, 0.1):
                error = message.error()
                if error is None:
                    self.served[message.partition()].append(parsed(message))
                elif error.code() in NEVER_TOLD:
                    self.told.append(f"partition {message.partition()}: {error.name()}: {error.str()}")

    def finish(self):
        """Stops reading."""
        self.stopping.set()
        self.join()
        self.consumer.close()
        return []


def key_of(number):
    """The key of a record in the compacted topic."""
    return b"%d" % (number % COMPACTED_KEYS)


def consumer_config(bootstrap):
    return RECONNECT | {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                        "check.crcs": True, "fetch.wait.max.ms": 50, "auto.offset.reset": "error"}


def parsed(message):
    producer, number, _ = message.value().split(b":", 2)
    return message.offset(), int(producer), int(number)


def read_all(bootstrap, topic=TOPIC, partitions=PARTITIONS, from_start=0):
    """Of every partition: where it starts, where it ends, and every record that is there. It must start at `from_start`,
    unless that is None."""
    consumer = Consumer(consumer_config(bootstrap))
    try:
        return [read_partition(consumer, topic, partition, from_start) for partition in range(partitions)]
    finally:
        consumer.close()


def read_partition(consumer, topic, partition, from_start):
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)
    if from_start is not None and first != from_start:
        raise brokers.Failure(f"{topic}, partition {partition} starts at {first}")
    # What retention takes while it is read is read no more; a compacted log may end before its end.
    consumer.assign([TopicPartition(topic, partition, first)])
    log, position = [], first
    deadline = time.monotonic() + 120
    while position < end:
        for message in consumer.consume(10_000, 0.5):
            if message.error() is None:
                log.append(parsed(message))
        position = max([position, *(at.offset for at in consumer.position([TopicPartition(topic, partition)]))])
        if time.monotonic() > deadline:
            raise brokers.Failure(f"{topic}, partition {partition}: read up to {position} of {end} in 120 s")
    return first, end, log
