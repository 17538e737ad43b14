"""Every client past a compacted log: gaps at its start, in its middle and before its end.

One topic with `cleanup.policy=compact` is written in five parts, each a segment of its own: keys that are written again
later, keys that stay, again, again, and keys that are written again later. The last part writes them all again, small, and
a marker follows it. Once the broker has compacted, the first, the third and the fifth segment hold nothing but the header of
their last batch, and an answer to a fetch from there has no record in it. A client that looks for its next offset in records
alone would ask for the same one for ever. Each client of tests/groups reads the topic from its start, in a group of its own,
and must find exactly what is left, in order, to the end.

    compacted.py [--broker ringmain|kafka|HOST:PORT] [--client NAME]...
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
import brokers  # noqa: E402
import members  # noqa: E402
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

TOPIC = "compacted"
# Records that are written again, and records that stay, in each part; two parts never fit one segment of 1 MiB, so
# compaction joins none.
GOING, GOING_BYTES, STAYING = 30, 20_000, 100
PARTS = [False, True, False, True, False]
PART_MS = 10_000
SETTINGS = {"ringmain": ["log.cleaner.backoff.ms=100"], "kafka": ["log.cleaner.backoff.ms=100"]}
CONFIG = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "segment.ms": str(PART_MS // 2),
          "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0"}
CLEAN_DEADLINE_S = 60
READ_DEADLINE_S = 60


def write(bootstrap):
    """Writes the parts. Returns what must be left: offset to value."""
    left, offset, failures = {}, 0, []
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "batch.num.messages": 10,
                         "on_delivery": lambda error, message: error and failures.append(str(error))})
    # The records' own time ends a segment, so nothing here waits for it.
    began_ms = int(time.time() * 1000) - PART_MS * (len(PARTS) + 2)

    def send(part, key, value):
        nonlocal offset
        producer.produce(TOPIC, value, key, 0, timestamp=began_ms + part * PART_MS)
        offset += 1
        return offset - 1

    for part, stays in enumerate(PARTS):
        for number in range(GOING):
            send(part, f"going-{part}-{number}", b"v" * GOING_BYTES)
            for each in range(STAYING // GOING if stays else 0):
                value = f"stays-{part}-{number}-{each}"
                left[send(part, value, value)] = value
        producer.flush(30)
    for part in range(len(PARTS)):
        for number in range(GOING):
            key = f"going-{part}-{number}"
            left[send(len(PARTS), key, key)] = key
    # What still grows is not compacted, and says nothing of what is.
    left[send(len(PARTS) + 1, "end", "end")] = "end"
    if producer.flush(30) or failures:
        raise brokers.Failure(f"not all is written: {failures[:3]}")
    return left


def read(bootstrap, last):
    """The offsets of all records up to `last`."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    offsets, deadline = [], time.monotonic() + READ_DEADLINE_S
    try:
        while not offsets or offsets[-1] < last:
            if time.monotonic() > deadline:
                raise brokers.Failure(f"the log is not read to {last}: {offsets[-3:]}")
            offsets += [message.offset() for message in consumer.consume(10_000, 0.2) if not message.error()]
    finally:
        consumer.close()
    return offsets


def wait_until_clean(bootstrap, left):
    """Waits until the broker has compacted; it says nothing of that, so its log is read again and again."""
    deadline = time.monotonic() + CLEAN_DEADLINE_S
    while (offsets := read(bootstrap, max(left))) != sorted(left):
        if not set(left) <= set(offsets):
            raise brokers.Failure(f"lost: {sorted(set(left) - set(offsets))[:5]}")
        if time.monotonic() > deadline:
            raise brokers.Failure(f"not compacted: {len(offsets)} records are there, {len(left)} should be")
        time.sleep(0.2)


def one_client(client, bootstrap, left):
    """Lets one client read everything. Returns the seconds that took."""
    log = members.Log()
    began = time.monotonic()
    member = client.member(log, client.name, bootstrap, f"past-{client.name.replace(' ', '-')}", TOPIC)
    try:
        log.until(lambda: member.next.get(f"{TOPIC}/0") == max(left) + 1, READ_DEADLINE_S, "it reads to the end")
        with log.changed:
            seen = [(offset, event.value) for event in log.events if event.kind == "record"
                    for offset in event.offsets.values()]
    finally:
        member.kill()
    if seen != sorted(left.items()):
        wrong = next((pair for pair in zip(seen, sorted(left.items())) if pair[0] != pair[1]), "another number of them")
        raise brokers.Failure(f"{len(seen)} records where {len(left)} are; the first that differs: {wrong}")
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="ringmain")
    parser.add_argument("--client", action="append", choices=[client.name for client in members.ALL])
    options = parser.parse_args()
    tally = brokers.Tally()
    with brokers.broker(options.broker, SETTINGS.get(options.broker, ())) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, 1, 1, config=CONFIG)], operation_timeout=30)[TOPIC].result(30)
        left = write(broker.bootstrap)
        wait_until_clean(broker.bootstrap, left)
        first, gaps = min(left), [b - a for a, b in zip(sorted(left), sorted(left)[1:])]
        tally.check("the log begins, goes on and ends behind a gap",
                    first >= GOING and sum(gap > GOING for gap in gaps) == 2, f"{first}, {sorted(gaps)[-3:]}")
        for client in members.ALL:
            if options.client and client.name not in options.client:
                continue
            try:
                tally.ok(f"{client.name}: read to the end in {one_client(client, broker.bootstrap, left):.1f} s")
            except Exception as failure:  # noqa: BLE001 - whatever went wrong is this client's failure, not the run's
                tally.fail(client.name, failure)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
