"""Every producer with every codec it has, all 336,776 records, read back whole by two other clients.

One topic of 12 partitions per (producer, codec). After the producer has ended, its topic is read from the first offset by
two clients of other libraries, in rotation, so that each consumer meets each codec and each producer several times. What
they print must be the exported file again: byte-identical values, in order per key, offsets without a hole. Consumers
assign partitions; no consumer group takes part.

    matrix.py [--broker ringmain|kafka|HOST:PORT] [--producer NAME]... [--codec NAME]... [--jobs N]
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
import brokers  # noqa: E402
import records  # noqa: E402
from confluent_kafka import Consumer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 12
CLIENT_DEADLINE_S = 180
FILE = brokers.CACHE / "flights.txt"
CLIENTS = brokers.TESTS / "clients"
JAVA = [brokers.TESTS / "kafka" / "kafka", "run"]
KCAT_FORMAT = r"%p\t%o\t%k\t%s\n"


class Client:
    """How one client is called, which library it stands on, and which codecs it has."""

    def __init__(self, name, library, produce=None, consume=None, codecs=CODECS, reads_file=True):
        self.name = name
        self.library = library
        self.produce = produce  # (bootstrap, topic, codec) -> command; FILE is on standard input unless reads_file
        self.consume = consume  # (bootstrap, topic, count) -> command that prints partition, offset, key, value
        self.codecs = codecs
        self.reads_file = reads_file


def program(name, library, command, codecs=CODECS, consumes=True):
    """A client program of ours, with the command line that tests/README.md describes."""
    return Client(
        name, library, codecs=codecs,
        produce=lambda bootstrap, topic, codec: [*command, "produce", bootstrap, topic, codec, FILE],
        consume=(lambda bootstrap, topic, count: [*command, "consume", bootstrap, topic, str(count)]) if consumes else None)


ALL = [
    Client("kcat", "librdkafka-2.0",
           produce=lambda b, t, codec: ["kcat", "-P", "-b", b, "-t", t, "-K,", "-z", codec, "-l", FILE,
                                        "-X", "enable.idempotence=true", "-X", "linger.ms=20"],
           consume=lambda b, t, n: ["kcat", "-C", "-b", b, "-t", t, "-o", "beginning", "-c", str(n), "-q",
                                    "-X", "check.crcs=true", "-X", "fetch.wait.max.ms=100", "-f", KCAT_FORMAT]),
    program("confluent-kafka", "librdkafka", [brokers.PYTHON, CLIENTS / "python" / "confluent.py"]),
    program("java", "java", [*JAVA, "FlightClient"]),
    Client("console", "java", reads_file=False,
           produce=lambda b, t, codec: [*JAVA, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", b,
                                        "--topic", t, "--compression-codec", codec, "--batch-size", "262144",
                                        "--max-memory-bytes", "67108864", "--request-timeout-ms", "30000",
                                        "--reader-property", "parse.key=true",
                                        "--reader-property", "key.separator=,"]),
    program("franz-go", "franz-go", [brokers.CACHE / "go" / "franz"]),
    program("kafka-python", "kafka-python", [brokers.PYTHON, CLIENTS / "python" / "kafka_python.py"]),
    program("kafkajs", "kafkajs", ["node", brokers.CACHE / "javascript" / "kafkajs.mjs"], consumes=False),
    # Its zstd is Node's own, which Node 20 does not have.
    program("platformatic", "platformatic", ["node", brokers.CACHE / "javascript" / "platformatic.mjs"],
            codecs=["none", "gzip", "snappy", "lz4"], consumes=False),
    Client("ringmain", "ringmain", reads_file=False,
           produce=lambda b, t, codec: [brokers.RINGMAIN, "produce", "-b", b, t, "--key-separator", ",",
                                        "--compression", codec],
           consume=lambda b, t, n: [brokers.RINGMAIN, "consume", "-b", b, t, "-o", "start", "-n", str(n),
                                    "-f", r"%p\t%o\t%k\t%v\n"]),
]


def run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    """Runs a client to its end; a client that fails, or hangs past the deadline, is a Failure with what it said."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=said)
        try:
            code = process.wait(CLIENT_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = f"nothing for {CLIENT_DEADLINE_S} s"
        if code != 0:
            said.seek(0)
            tail = said.read().decode(errors="replace")[-600:].strip()
            raise brokers.Failure(f"{pathlib.Path(command[0]).name} {command[1]} ended with {code}: {tail}")


def produce(client, bootstrap, topic, codec):
    with open(os.devnull if client.reads_file else FILE, "rb") as stdin:
        run(client.produce(bootstrap, topic, codec), stdin=stdin)


def consume(command, digest_into=None):
    """Runs a consumer and digests its output while it comes. A timer ends a consumer that hangs."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        timer = threading.Timer(CLIENT_DEADLINE_S, process.kill)
        timer.start()
        try:
            digest = records.digest_of_stream(process.stdout, digest_into)
            code = process.wait()
        finally:
            timer.cancel()
        if code != 0:
            said.seek(0)
            raise brokers.Failure(f"consumer ended with {code}: {said.read().decode(errors='replace')[-600:].strip()}")
        return digest


def verify(digest, expected):
    """The differences between what came and what was sent, or a Failure that names the first."""
    if digest.faults:
        raise brokers.Failure(digest.faults[0])
    came, wanted = digest.result(), expected.result()
    if came == wanted:
        return
    for key in sorted(wanted.keys() | came.keys()):
        (count, _), (due, _) = came.get(key, (0, "")), wanted.get(key, (0, ""))
        if count != due:
            raise brokers.Failure(f"key {key.decode()}: {count} records where {due} were sent")
    key = next(key for key in wanted if came[key] != wanted[key])
    raise brokers.Failure(f"key {key.decode()}: the records differ in bytes or order")


def console_consume(bootstrap, topic):
    """Kafka's console consumer reads one partition at a time when it is not in a group."""
    sizes = partition_sizes(bootstrap, topic)
    digest = records.Digest()
    for partition, size in sizes.items():
        consume([*JAVA, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap,
                 "--topic", topic, "--partition", str(partition), "--offset", "0", "--max-messages", str(size),
                 "--formatter-property", "print.key=true", "--formatter-property", "print.partition=true",
                 "--formatter-property", "print.offset=true"], digest)
    return digest


def partition_sizes(bootstrap, topic):
    """Records per partition that has any, by ListOffsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "log_level": 0})
    try:
        sizes = {partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)[1]
                 for partition in range(PARTITIONS)}
    finally:
        consumer.close()
    return {partition: size for partition, size in sizes.items() if size > 0}


def readers(producer, number, consumers):
    """The two consumers for the topic with this running number: other libraries than the producer's, in rotation."""
    others = [client for client in consumers if client.library != producer.library]
    return [others[number % len(others)], others[(number + 1) % len(others)]]


def create(admin, topic):
    """Creates the topic and waits until Metadata tells it: `ringmain produce` does not wait for a topic to appear."""
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)], operation_timeout=30)[topic].result(30)
    deadline = time.monotonic() + 10
    while len(admin.list_topics(topic, 10).topics[topic].partitions) != PARTITIONS:
        if time.monotonic() > deadline:
            raise brokers.Failure("Metadata does not tell the topic 10 s after it was created")
        time.sleep(0.02)


def one_topic(bootstrap, admin, tally, expected, producer, codec, consumers):
    """One producer with one codec, then its readers; each is a case."""
    topic = f"flights-{producer.name}-{codec}"
    case = f"{producer.name} {codec}"
    try:
        create(admin, topic)
        began = time.monotonic()
        produce(producer, bootstrap, topic, codec)
        tally.ok(f"{case}: produced in {time.monotonic() - began:.1f} s")
    except Exception as failure:  # noqa: BLE001 - whatever went wrong is this case's failure, not the run's
        tally.fail(case, failure)
        return
    for reader in consumers:
        began = time.monotonic()
        try:
            if reader == "console":
                digest = console_consume(bootstrap, topic)
            else:
                digest = consume(reader.consume(bootstrap, topic, records.RECORD_COUNT))
            verify(digest, expected)
            tally.ok(f"{case} -> {getattr(reader, 'name', reader)}: read in {time.monotonic() - began:.1f} s")
        except Exception as failure:  # noqa: BLE001
            tally.fail(f"{case} -> {getattr(reader, 'name', reader)}", failure)
    try:
        admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
    except Exception as failure:  # noqa: BLE001
        tally.fail(f"{case}: delete the topic", failure)


def plan(producers, consumers, codecs):
    """(producer, codec, readers) for each topic. One topic is also read by the console consumer, slow as it is."""
    topics = []
    for row, producer in enumerate(producers):
        for column, codec in enumerate(codec for codec in producer.codecs if codec in codecs):
            chosen = readers(producer, row + 2 * column, consumers)
            if producer.name == "kcat" and codec == "lz4":
                chosen = [*chosen, "console"]
            topics.append((producer, codec, chosen))
    return topics


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="ringmain")
    parser.add_argument("--producer", action="append", choices=[client.name for client in ALL])
    parser.add_argument("--codec", action="append", choices=CODECS)
    parser.add_argument("--jobs", type=int, default=2, help="topics worked on at the same time")
    options = parser.parse_args()

    clients = [client for client in ALL if client.name != "ringmain" or brokers.RINGMAIN.exists()]
    producers = [client for client in clients if not options.producer or client.name in options.producer]
    consumers = [client for client in clients if client.consume]
    expected = records.digest_of_file(FILE)
    assert sum(expected.counts.values()) == records.RECORD_COUNT
    tally = brokers.Tally()
    with brokers.broker(options.broker) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            work = [pool.submit(one_topic, broker.bootstrap, admin, tally, expected, *topic)
                    for topic in plan(producers, consumers, options.codec or CODECS)]
            for each in work:
                each.result()
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
