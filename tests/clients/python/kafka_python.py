"""kafka-python as a test client: see tests/README.md for the command line all clients share."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def produce(bootstrap, topic, codec, path):
    failures = []
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, batch_size=256 * 1024,
                             compression_type=None if codec == "none" else codec)
    with open(path, "rb") as lines:
        for line in lines:
            key, value = line.rstrip(b"\n").split(b",", 1)
            producer.send(topic, value, key).add_errback(lambda error: failures.append(str(error)))
    producer.flush(120)
    producer.close()
    if failures:
        sys.exit(f"{len(failures)} failed: {failures[:3]}")


def consume(bootstrap, topic, count):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=100,
                             check_crcs=True)
    partitions = [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    seen = 0
    while seen < count:
        out = bytearray()
        for records in consumer.poll(500, 10_000).values():
            seen += len(records)
            for record in records:
                out += b"%d\t%d\t%b\t%b\n" % (record.partition, record.offset, record.key, record.value)
        sys.stdout.buffer.write(out)
    consumer.close()


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        produce(*sys.argv[2:6])
    else:
        consume(sys.argv[2], sys.argv[3], int(sys.argv[4]))
