"""kill -9 under load, again and again, and not one acknowledged record lost, doubled, moved or out of order.

Two idempotent producers (librdkafka, acks=all) write to 12 partitions with small segments while the broker is killed at
random moments and started again; a consumer follows all the while. After the last cycle the whole log is read and every
promise checked (see checker.py). Each cycle prints how long the broker took to answer again and to acknowledge again.

    kill9.py [--cycles N] [--broker ringmain|kafka] [--binary PATH] [--seed N] [--must-fail] [--self-test]

`--must-fail` turns the verdict round: for a build with a planted bug, the run passes only if a broken promise is found.
"""

import argparse
import pathlib
import random
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "harness")]
import brokers  # noqa: E402
import checker  # noqa: E402
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

TOPIC = "kill9"
PARTITIONS = 12
PRODUCERS = 2
VALUE_BYTES = 512
RECORDS_PER_S = 4_000  # per producer: enough to keep requests in flight at every moment, little enough to keep for 300 cycles
RUN_S = (0.15, 1.4)  # how long a broker lives once it acknowledges
ACK_DEADLINE_S = 30
RECONNECT = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "log_level": 0}


class Load(threading.Thread):
    """One producer that never stops: it numbers its records per partition and remembers what was acknowledged where."""

    def __init__(self, bootstrap, number):
        super().__init__(daemon=True)
        self.number = number
        self.acks = [checker.Acks() for _ in range(PARTITIONS)]
        self.acked = 0
        self.sent = [0] * PARTITIONS
        self.faults = []
        self.stopping = threading.Event()
        self.producer = Producer(RECONNECT | {
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2,
            "delivery.timeout.ms": 2_147_483_647, "retry.backoff.ms": 10, "retry.backoff.max.ms": 50,
            "socket.timeout.ms": 5_000, "queue.buffering.max.messages": 20_000, "error_cb": self.on_error,
        })

    def on_error(self, error):
        if error.fatal():
            self.faults.append(f"producer {self.number}: {error.str()}")

    def on_delivery(self, error, message):
        if error is not None:
            self.faults.append(f"producer {self.number}: {error.str()}")
            return
        number = int(message.value().split(b":", 2)[1])
        self.acks[message.partition()].add(number, message.offset())
        self.acked += 1

    def run(self):
        padding = b"x" * VALUE_BYTES
        began, sent = time.monotonic(), 0
        while not self.stopping.is_set():
            due = int((time.monotonic() - began) * RECORDS_PER_S)
            for sent in range(sent, min(due, sent + 500)):  # noqa: B020
                partition = sent % PARTITIONS
                value = b"%d:%d:%b" % (self.number, self.sent[partition], padding)
                try:
                    self.producer.produce(TOPIC, value, partition=partition, on_delivery=self.on_delivery)
                    self.sent[partition] += 1
                except BufferError:  # the broker is down: what does not fit is not sent
                    break
            sent = due if due - sent > 500 else sent + 1
            self.producer.poll(0.005)

    def finish(self):
        """Stops sending and waits for what is on the way."""
        self.stopping.set()
        self.join()
        left = self.producer.flush(ACK_DEADLINE_S)
        if left:
            self.faults.append(f"producer {self.number}: {left} records neither acknowledged nor refused")


class Follower(threading.Thread):
    """A consumer that reads on while the broker comes and goes, and remembers what it was served."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.served = [[] for _ in range(PARTITIONS)]
        self.stopping = threading.Event()
        self.consumer = Consumer(consumer_config(bootstrap))
        self.consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])

    def run(self):
        while not self.stopping.is_set():
            for message in self.consumer.consume(1_000, 0.1):
                if message.error() is None:
                    self.served[message.partition()].append(parsed(message))

    def finish(self):
        self.stopping.set()
        self.join()
        self.consumer.close()


def consumer_config(bootstrap):
    return RECONNECT | {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                        "check.crcs": True, "fetch.wait.max.ms": 50, "auto.offset.reset": "error"}


def parsed(message):
    producer, number, _ = message.value().split(b":", 2)
    return message.offset(), int(producer), int(number)


def wait_for_acks(loads, more, what):
    """Waits until every producer has had `more` acknowledgements from now on."""
    wanted = [load.acked + more for load in loads]
    deadline = time.monotonic() + ACK_DEADLINE_S
    while any(load.acked < due for load, due in zip(loads, wanted)):
        faults = [fault for load in loads for fault in load.faults]
        if faults:
            raise brokers.Failure(faults[0])
        if time.monotonic() > deadline:
            raise brokers.Failure(f"{what}: no acknowledgement for {ACK_DEADLINE_S} s")
        time.sleep(0.001)


def one_cycle(number, broker, loads, rng):
    """Lets it run, kills it, starts it, and waits for the first new acknowledgements."""
    time.sleep(rng.uniform(*RUN_S))
    acked = sum(load.acked for load in loads)
    broker.kill()
    began = time.monotonic()
    listening = broker.start()
    wait_for_acks(loads, 1, f"cycle {number}")
    print(f"cycle {number}: killed after {acked} acknowledged; answers after {listening * 1000:.0f} ms, "
          f"acknowledges after {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
    return listening, time.monotonic() - began


def read_all(bootstrap):
    """Every record of every partition, from offset 0 to the end the broker names."""
    consumer = Consumer(consumer_config(bootstrap))
    logs = []
    try:
        for partition in range(PARTITIONS):
            first, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), 20)
            if first != 0:
                raise brokers.Failure(f"partition {partition} starts at {first}")
            consumer.assign([TopicPartition(TOPIC, partition, 0)])
            log = []
            deadline = time.monotonic() + 120
            while len(log) < end:
                log += [parsed(message) for message in consumer.consume(10_000, 0.5) if message.error() is None]
                if time.monotonic() > deadline:
                    raise brokers.Failure(f"partition {partition}: {len(log)} of {end} records read in 120 s")
            logs.append(log)
    finally:
        consumer.close()
    return logs


def broken_promises(loads, follower, logs):
    """Everything the checker has to say, partition by partition."""
    broken = [fault for load in loads for fault in load.faults]
    for partition in range(PARTITIONS):
        acks = {load.number: load.acks[partition] for load in loads}
        broken += [f"partition {partition}: {each}"
                   for each in checker.check(acks, logs[partition], follower.served[partition])]
    return broken


def create_topic(bootstrap):
    admin = AdminClient(RECONNECT | {"bootstrap.servers": bootstrap})
    topic = NewTopic(TOPIC, PARTITIONS, 1, config={"segment.bytes": str(1 << 20)})
    admin.create_topics([topic], operation_timeout=30)[TOPIC].result(30)


def campaign(broker, cycles, rng, tally):
    """All cycles, then the whole log. Returns what was broken."""
    create_topic(broker.bootstrap)
    loads = [Load(broker.bootstrap, number) for number in range(PRODUCERS)]
    follower = Follower(broker.bootstrap)
    for thread in [*loads, follower]:
        thread.start()
    times = []
    broken = []
    try:
        wait_for_acks(loads, 100, "before the first cycle")
        for number in range(1, cycles + 1):
            times.append(one_cycle(number, broker, loads, rng))
            tally.passed += 1
    except brokers.Failure as failure:
        broken.append(str(failure))
    for load in loads:
        load.finish()
    follower.finish()
    try:
        logs = read_all(broker.bootstrap)
        broken += broken_promises(loads, follower, logs)
        report(loads, follower, logs, times)
    except (brokers.Failure, KafkaException) as failure:
        broken += [fault for load in loads for fault in load.faults] + [str(failure)]
    return broken


def report(loads, follower, logs, times):
    acked = sum(len(acks) for load in loads for acks in load.acks)
    served, stored = sum(map(len, follower.served)), sum(map(len, logs))
    print(f"{acked} acknowledged, {stored} in the log, {served} served while it ran", flush=True)
    for name, column in (("answers", 0), ("acknowledges", 1)):
        sorted_ms = sorted(time[column] * 1000 for time in times)
        if sorted_ms:
            print(f"{name} again: median {sorted_ms[len(sorted_ms) // 2]:.0f} ms, max {sorted_ms[-1]:.0f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--broker", default="ringmain", choices=["ringmain", "kafka"])
    parser.add_argument("--binary", help="another ringmain binary, such as one with a planted bug")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--must-fail", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()

    tally = brokers.Tally()
    tally.passed += checker.self_test()
    if options.self_test:
        return tally.finish()
    broker = brokers.Kafka(21_392) if options.broker == "kafka" else \
        brokers.Ringmain(21_492, shards=2, binary=options.binary)
    with broker:
        broken = campaign(broker, options.cycles, random.Random(options.seed), tally)
    for each in broken[:20]:
        print(f"      {each}", flush=True)
    if options.must_fail:
        tally.check("the planted bug is found", broken, "nothing was lost, doubled, moved or out of order")
    else:
        tally.check(f"{options.cycles} kills, every promise kept", not broken, f"{len(broken)} broken promises")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
