"""Members of consumer groups as processes, one small worker per client library, and the one who writes what they read.

A worker is told what to do on standard input and says on standard output what happened to it, line by line, the moment in
microseconds before each:

    worker subscribe BOOTSTRAP GROUP TOPIC[,TOPIC] [--instance ID] [--assignor NAME] [--protocol classic|consumer] [--session-ms N]

    commit      commits, synchronously, the offsets after the last records it printed
    leave       commits, leaves the group in order, and ends
    (the end)   whoever started it is gone: it ends at once

    assigned GENERATION topic/0,topic/3     all that it owns now; `-` where there is nothing to name
    revoked topic/0                         what it gives up, after it committed that; `lost` where it was thrown out
    record TOPIC PARTITION OFFSET VALUE
    committed topic/0@17                    acknowledged by the broker; `refused WHY` otherwise
    error WHAT
    left
"""

import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
import brokers  # noqa: E402
from checker import Event  # noqa: E402
from confluent_kafka import KafkaException, Producer  # noqa: E402

SESSION_MS = 6_000
PARTITIONS = 12
WORKERS = brokers.TESTS / "groups"
JAVA = [brokers.TESTS / "kafka" / "kafka", "member"]
GO = brokers.CACHE / "go"
JAVASCRIPT = brokers.CACHE / "javascript"
END_DEADLINE_S = 30


class Client:
    """How a worker is called, and what its library does otherwise than the rest."""

    def __init__(self, name, command, options=(), protocol="classic", generation=True, guests=()):
        self.name = name
        self.command = command
        self.options = list(options)
        self.protocol = protocol
        self.guests = guests  # names of members that speak the consumer protocol in a group of the classic one
        # Whether it knows the generation of an assignment.
        self.generation = generation and protocol == "classic" and not guests
        self.commits_by_itself = command == ["kcat"]

    def member(self, log, name, bootstrap, consumer_group, topic, options=()):
        """Starts a member; `name` is ours."""
        if self.command == ["kcat"]:
            return Kcat(log, name, [
                "kcat", "-b", bootstrap, "-f", "%t %p %o %s\n", "-u", "-X", "auto.offset.reset=earliest",
                "-X", f"session.timeout.ms={SESSION_MS}", "-X", f"heartbeat.interval.ms={SESSION_MS // 12}",
                "-X", f"auto.commit.interval.ms={KCAT_COMMIT_MS}", "-X", "fetch.wait.max.ms=100",
                "-X", "partition.assignment.strategy=range", "-G", consumer_group, topic])
        # A guest leaves the assigning to the broker.
        own = ["--protocol", "consumer"] if name in self.guests else self.options
        protocol = ["--protocol", self.protocol] if self.protocol != "classic" else []
        return Member(log, name, [*self.command, "subscribe", bootstrap, consumer_group, topic, "--session-ms",
                                  str(SESSION_MS), *protocol, *own, *options])


KCAT_COMMIT_MS = 200
CONFLUENT = [brokers.PYTHON, WORKERS / "python" / "confluent_member.py"]
PLATFORMATIC = ["node", JAVASCRIPT / "group-platformatic.mjs"]
# Those that take long go first.
ALL = [
    Client("java", JAVA),
    Client("java cooperative", JAVA, ["--assignor", "cooperative-sticky"]),
    Client("java consumer", JAVA, protocol="consumer"),
    Client("java migrating", JAVA, guests=("b", "c")),
    Client("java cooperative migrating", JAVA, ["--assignor", "cooperative-sticky"], guests=("b", "c")),
    Client("platformatic", PLATFORMATIC),
    Client("kcat", ["kcat"], generation=False),
    Client("kafka-python", [brokers.PYTHON, WORKERS / "python" / "kafka_python_member.py"]),
    Client("kafkajs", ["node", JAVASCRIPT / "group-kafkajs.mjs"]),
    Client("confluent-kafka", CONFLUENT),
    Client("confluent-kafka cooperative", CONFLUENT, ["--assignor", "cooperative-sticky"]),
    Client("confluent-kafka consumer", CONFLUENT, protocol="consumer"),
    Client("confluent-kafka migrating", CONFLUENT, guests=("b", "c")),
    Client("franz-go", [GO / "group-franz"]),
    Client("franz-go consumer", [GO / "group-franz"], protocol="consumer"),
    Client("sarama", [GO / "group-sarama"]),
]


STOPPING = threading.Event()  # the harness is being ended: nobody waits any longer


class Log:
    """What all members of a group said, in the order it was heard, and the way to wait for more of it."""

    def __init__(self):
        self.events = []
        self.members = []
        self.changed = threading.Condition()

    def add(self, event, member):
        with self.changed:
            self.events.append(event)
            member.apply(event)
            self.changed.notify_all()

    def until(self, holds, within_s, what):
        """Waits until `holds()`, and returns what it returned; a Failure says what the members have instead."""
        deadline = time.monotonic() + within_s
        with self.changed:
            while True:
                held = holds()
                if held:
                    return held
                if STOPPING.is_set():
                    raise brokers.Failure(f"{what}: the harness is being ended")
                gone = [member for member in self.members if member.died()]
                if gone:
                    raise brokers.Failure(f"{what}: {gone[0].name} ended with {gone[0].process.poll()}: {gone[0].complaint()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    state = "; ".join(member.state() for member in self.members if member.running)
                    raise brokers.Failure(f"{what}: not within {within_s} s. {state}")
                self.changed.wait(min(left, 0.25))


class Member:
    """One worker process, and what it said last."""

    def __init__(self, log, name, command):
        self.log = log
        self.name = name
        self.owned = frozenset()
        self.generation = None
        self.next = {}  # partition: the offset after the last record it read
        self.first = {}  # partition: the first offset it read at all
        self.commits = 0
        self.commands = 0
        self.refused = []
        self.errors = []
        self.running = True  # neither told to leave nor killed
        self.said = tempfile.TemporaryFile("a+b")  # appending, so that reading it moves nobody's place
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr())
        log.members.append(self)
        self.readers = [threading.Thread(target=self.read, args=(self.process.stdout, self.parse), daemon=True)]
        self.readers[0].start()

    def stderr(self):
        return self.said

    def read(self, stream, parse):
        for line in stream:
            event = parse(line.decode(errors="replace").rstrip("\n"))
            if event:
                self.log.add(event, self)
        with self.log.changed:
            self.log.changed.notify_all()

    def parse(self, line):
        """The Event of one line; a line that is none is kept as a complaint."""
        words = line.split(" ")
        try:
            at, kind, rest = int(words[0]), words[1], words[2:]
            if kind == "record":
                return Event(at, self.name, kind, offsets={f"{rest[0]}/{rest[1]}": int(rest[2])}, value=" ".join(rest[3:]))
            if kind == "committed":
                pairs = [each.rsplit("@", 1) for each in rest[0].split(",") if each != "-"]
                return Event(at, self.name, kind, offsets={partition: int(offset) for partition, offset in pairs})
            generation = None
            if kind == "assigned":
                generation, rest = None if rest[0] == "-" else int(rest[0]), rest[1:]
            if kind in ("assigned", "revoked", "lost"):
                return Event(at, self.name, kind, frozenset(rest[0].split(",")) - {"-"}, generation=generation)
            if kind in ("refused", "error", "left"):
                return Event(at, self.name, kind, value=" ".join(rest))
        except (ValueError, IndexError):
            pass
        self.said.write(line.encode() + b"\n")
        return None

    def apply(self, event):
        """Takes one event in; the log's lock is held."""
        if event.kind == "assigned":
            self.owned, self.generation = event.partitions, event.generation
        elif event.kind in ("revoked", "lost"):
            self.owned -= event.partitions
        elif event.kind == "record":
            for partition, offset in event.offsets.items():
                self.first.setdefault(partition, offset)
                self.next[partition] = offset + 1
        elif event.kind == "committed":
            self.commits += 1
        elif event.kind == "refused":
            self.refused.append(event.value)
        elif event.kind == "error":
            self.errors.append(event.value)
        elif event.kind == "left":
            self.owned = frozenset()

    def tell(self, command):
        """Writes one command."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise brokers.Failure(f"{self.name} ended with {self.process.poll()}: {self.complaint()}") from None

    def leave(self, within_s=END_DEADLINE_S):
        """Tells it to commit and leave, and waits for its end. Returns the monotonic moment of that."""
        self.running = False
        self.ask_to_leave()
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.end()
            raise brokers.Failure(f"{self.name} did not leave within {within_s} s: {self.complaint()}") from None
        ended = time.monotonic()
        for reader in self.readers:
            reader.join()
        if code != 0:
            raise brokers.Failure(f"{self.name} ended with {code}: {self.complaint()}")
        return ended

    def ask_to_leave(self):
        self.tell("leave")

    def kill(self):
        """kill -9. What it said before is heard; after that it owns nothing."""
        self.end()
        self.log.add(Event(time.time_ns() // 1_000, self.name, "ended"), self)
        with self.log.changed:
            self.owned = frozenset()

    def end(self):
        """Ends the process if it still runs."""
        self.running = False
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        self.process.stdin.close()

    def died(self):
        return self.running and self.process.poll() is not None

    def state(self):
        """For messages: what it has."""
        return (f"{self.name} owns {len(self.owned)} partitions in generation {self.generation}"
                f"{', refused ' + self.refused[-1] if self.refused else ''}{', ' + self.complaint() if self.complaint() else ''}")

    def complaint(self):
        """The end of what it wrote to standard error, and its last error."""
        self.said.seek(0, 2)
        self.said.seek(max(0, self.said.tell() - 400))
        return " ".join([*self.errors[-1:], *self.said.read().decode(errors="replace").split()])


class Kcat(Member):
    """kcat -G: it says its assignment on standard error, commits by itself every 200 ms, and leaves on SIGTERM."""

    def __init__(self, log, name, command):
        super().__init__(log, name, command)
        self.readers.append(threading.Thread(target=self.read, args=(self.process.stderr, self.parse_rebalance), daemon=True))
        self.readers[1].start()

    def stderr(self):
        return subprocess.PIPE

    def parse(self, line):
        words = line.split(" ")
        return Event(time.time_ns() // 1_000, self.name, "record", offsets={f"{words[0]}/{words[1]}": int(words[2])},
                     value=words[3])

    def parse_rebalance(self, line):
        told = re.match(r"% Group \S+ rebalanced \(memberid [^)]*\): (assigned|revoked): (.*)", line)
        if not told:
            self.said.write(line.encode() + b"\n")
            return None
        partitions = frozenset(f"{topic}/{number}" for topic, number in re.findall(r"(\S+) \[(\d+)\]", told[2]))
        return Event(time.time_ns() // 1_000, self.name, told[1], partitions)

    def ask_to_leave(self):
        self.process.send_signal(signal.SIGTERM)


class Feed(threading.Thread):
    """Writes `partition:offset` into every partition of its topics, all the while, as their only producer."""

    TICK_S = 0.1
    RECORDS_PER_TICK = 2  # per partition

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.topics = {}  # topic: records written per partition
        self.acknowledged = {}  # topic: records acknowledged in all partitions
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.faults = []
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                  "queue.buffering.max.messages": 1_000_000,
                                  "delivery.timeout.ms": 2_147_483_647, "reconnect.backoff.ms": 10,
                                  "reconnect.backoff.max.ms": 100, "retry.backoff.max.ms": 100, "log_level": 0,
                                  "error_cb": lambda _: None, "on_delivery": self.delivered})

    def delivered(self, error, message):
        if error is not None:
            self.faults.append(error.str())
        else:
            self.acknowledged[message.topic()] += 1

    def add(self, topic):
        with self.lock:
            self.topics[topic] = self.acknowledged[topic] = 0

    @contextlib.contextmanager
    def held(self, topic):
        """Nothing is written to the topic inside. The value is how many records each of its partitions has."""
        written = self.remove(topic)
        try:
            yield written
        finally:
            with self.lock:
                self.topics[topic] = written

    def remove(self, topic):
        """No more records for the topic. Returns how many each of its partitions has, once all are acknowledged."""
        with self.lock:
            written = self.topics.pop(topic)
        deadline = time.monotonic() + END_DEADLINE_S
        while (left := written * PARTITIONS - self.acknowledged[topic]) and not self.faults and time.monotonic() < deadline:
            self.producer.poll(0.05)
        if left or self.faults:
            raise brokers.Failure(f"the producer: {left} records not acknowledged in {END_DEADLINE_S} s; {self.faults[:1]}")
        return written

    def run(self):
        while not self.faults and not self.stopping.wait(self.TICK_S):
            self.attempt(self.tick)

    def tick(self):
        with self.lock:
            for topic in self.topics:
                self.write(topic)
        self.producer.poll(0)

    def attempt(self, step):
        """A fatal error is raised wherever callbacks are served; where another callback is due, as a SystemError."""
        try:
            step()
        except (KafkaException, SystemError) as failure:
            self.faults.append(str(failure.__cause__ or failure))

    def write(self, topic):
        for _ in range(self.RECORDS_PER_TICK):
            number = self.topics[topic]
            for partition in range(PARTITIONS):
                try:
                    self.producer.produce(topic, b"%d:%d" % (partition, number), partition=partition)
                except BufferError:  # a hole in one partition would be a lie about the others
                    self.faults.append("its queue is full")
                    return
            self.topics[topic] = number + 1

    def finish(self):
        """Stops. What is not acknowledged yet is dropped, and that is no fault."""
        self.stopping.set()
        self.join()
        faults = list(self.faults)
        self.attempt(self.producer.purge)
        self.attempt(lambda: self.producer.flush(5))
        self.faults = faults
