"""confluent-kafka (a current librdkafka) as a test client: see tests/README.md for the command line all clients share."""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition


def produce(bootstrap, topic, codec, path):
    failures = []
    producer = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": codec,
        "linger.ms": 20, "queue.buffering.max.messages": 50_000,
        "on_delivery": lambda error, message: error and failures.append(str(error)),
    })
    with open(path, "rb") as lines:
        for line in lines:
            key, value = line.rstrip(b"\n").split(b",", 1)
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
    left = producer.flush(120)
    if failures or left:
        sys.exit(f"{left} unsent, {len(failures)} failed: {failures[:3]}")


def consume(bootstrap, topic, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "check.crcs": True, "fetch.wait.max.ms": 100})
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    seen = 0
    while seen < count:
        messages = consumer.consume(10_000, 0.5)
        out = bytearray()
        for message in messages:
            if message.error():
                sys.exit(str(message.error()))
            out += b"%d\t%d\t%b\t%b\n" % (message.partition(), message.offset(), message.key(), message.value())
        seen += len(messages)
        sys.stdout.buffer.write(out)
    consumer.close()


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        produce(*sys.argv[2:6])
    else:
        consume(sys.argv[2], sys.argv[3], int(sys.argv[4]))
