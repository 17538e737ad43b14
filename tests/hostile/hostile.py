"""Hostile and unlucky clients, in numbers: the broker stays up, keeps its memory, and goes on serving the others.

While each attack runs, a well-behaved client produces and fetches; it must be answered within a second. Memory is the
process's resident set, measured before and during the attack. What the broker answers to the attackers does not matter
here (the differential cases check that); that it is still there, and small, does.

    hostile.py [--broker ringmain|kafka] [--only TEXT] [--seed N]

Apache Kafka 4.3.1 does not pass the first attack: with 512 MiB of heap it runs out of memory. The cases are from the
bad-input table and from the CVEs named beside them.
"""

import argparse
import gzip
import pathlib
import random
import socket
import struct
import sys
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "differential"), str(HERE.parent / "harness")]
import batches  # noqa: E402
import brokers  # noqa: E402
import schema  # noqa: E402
from cases import common  # noqa: E402
from connection import Closed, Session, Silent  # noqa: E402

GROWTH_MAX = 64 << 20
SERVED_WITHIN_S = 1.0
ATTACKS = []


def attack(name):
    def register(function):
        ATTACKS.append((name, function))
        return function
    return register


class Scene:
    """A broker, a good client, and the memory it had before the attack."""

    def __init__(self, messages, broker, rng):
        self.messages = messages
        self.broker = broker
        self.rng = rng
        self.good = Session(messages, broker.bootstrap)
        self.sockets = []
        # The first round pays for what is allocated once.
        self.serves()
        self.resident = self.resident_now()

    def resident_now(self):
        status = pathlib.Path(f"/proc/{self.broker.pid()}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    def serves(self):
        """How long the good client waits for a produce and a fetch."""
        began = time.monotonic()
        told = common.produce(self.good, "good", batches.batch(batches.records(10)))
        assert told["error"] == 0, told
        back = common.fetch(self.good, "good", told["base"])
        assert back["error"] == 0 and back["batches"][0]["base_offset"] == told["base"], back
        return time.monotonic() - began

    def open(self, data=b""):
        """One attacker; it sends `data` as far as the broker takes it."""
        attacker = socket.create_connection((self.good.host, self.good.port), 5)
        attacker.settimeout(5)
        self.sockets.append(attacker)
        self.send(attacker, data)
        return attacker

    @staticmethod
    def send(attacker, data):
        """False once the broker has closed the connection or takes nothing any more."""
        try:
            attacker.sendall(data)
            return True
        except OSError:
            return False

    def close(self):
        for each in self.sockets:
            each.close()
        self.sockets.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self.good.main.close()

    def check(self, tally, name):
        """The verdict while the attackers are still connected, and again when they are gone."""
        waits = [self.serves() for _ in range(5)]
        growth = self.resident_now() - self.resident
        self.close()
        waits.append(self.serves())
        slow = max(waits)
        figures = f"resident +{growth / (1 << 20):.1f} MiB, others wait {slow * 1000:.0f} ms at most"
        if growth <= GROWTH_MAX and slow <= SERVED_WITHIN_S:
            tally.ok(f"{name}: {figures}")
        else:
            tally.fail(name, figures)


@attack("500 connections announce 50 MB each and send one byte")
def announce(scene):
    for _ in range(500):
        scene.open(struct.pack(">i", 50_000_000) + b"\0")


@attack("500 connections send half a length and stop")
def half_length(scene):
    for _ in range(500):
        scene.open(b"\0\0")


@attack("300 connections send a frame byte by byte")
def trickle(scene):
    frame = struct.pack(">ihhih", 1000, 3, 1, 1, -1)
    attackers = [scene.open() for _ in range(300)]
    for at in range(len(frame)):
        for attacker in attackers:
            scene.send(attacker, frame[at:at + 1])


@attack("frames of random bytes")
def noise(scene):
    for _ in range(1000):
        data = scene.rng.randbytes(scene.rng.randrange(1, 400))
        scene.open(struct.pack(">i", len(data)) + data)
        if len(scene.sockets) > 100:
            scene.close()


@attack("every request of every version with bytes changed")
def mutated(scene):
    """A valid request, then a few bytes of it flipped, cut or doubled: each API × version that the broker advertises."""
    ranges = scene.good.ask("ApiVersions", 0)["ApiKeys"]
    for entry in ranges:
        message = scene.messages.requests.get(entry["ApiKey"])
        for version in range(entry["MinVersion"], entry["MaxVersion"] + 1):
            if message is None or not message.valid[0] <= version <= message.valid[1]:
                continue
            for _ in range(12):
                mutated_once(scene, entry["ApiKey"], message, version)
    scene.close()


def mutated_once(scene, key, message, version):
    header = struct.pack(">hhih", key, version, 1, 1) + b"m" + (b"\0" if message.is_flexible(version) else b"")
    data = bytearray(header + message.encode(version, filled(message, message.fields, version, scene.rng)))
    for _ in range(scene.rng.randrange(0, 4)):
        at = scene.rng.randrange(8, len(data))
        kind = scene.rng.randrange(3)
        if kind == 0:
            data[at] = scene.rng.randrange(256)
        elif kind == 1:
            del data[at:at + scene.rng.randrange(1, 9)]
        else:
            data[at:at] = data[at:at + scene.rng.randrange(1, 9)]
        if len(data) < 10:
            break
    scene.open(struct.pack(">i", len(data)) + bytes(data))
    if len(scene.sockets) > 50:
        scene.close()


def filled(message, fields, version, rng):
    """Values for a request's fields: small, odd, and of the right type. No topic that somebody else uses is named."""
    values = {}
    for field in fields:
        if not schema.within(version, field["versions"]) or "taggedVersions" in field:
            continue
        kind = field["type"]
        if kind.startswith("[]"):
            inner = kind[2:]
            values[field["name"]] = [one(message, field, inner, version, rng) for _ in range(rng.randrange(3))]
        else:
            values[field["name"]] = one(message, field, kind, version, rng)
    return values


def one(message, field, kind, version, rng):
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "float64":
        return rng.random()
    if kind in schema.FIXED:
        size = struct.calcsize(schema.FIXED[kind])
        high = 1 << (8 * size - 1)
        unsigned = kind.startswith("u")
        return rng.choice([0, 1, 5, high - 1] if unsigned else [0, 1, -1, 5, high - 1, -high])
    if kind == "uuid":
        return uuid.UUID(int=rng.randrange(4))
    if kind == "string":
        return rng.choice(["", "x", "hostile", "y" * 300])
    if kind == "bytes":
        return rng.randbytes(rng.randrange(40))
    if kind == "records":
        return rng.choice([b"", batches.batch(), batches.batch()[:40], rng.randbytes(80)])
    members = field.get("fields") or message.structs[kind]
    return filled(message, members, version, rng)


@attack("millions of tagged fields in one frame (CVE-2026-111115)")
def tags(scene):
    count = 20_000_000
    body = b"\2d\2" + b"1"
    fields = bytearray()
    number = count
    while number > 0x7F:
        fields.append(number & 0x7F | 0x80)
        number >>= 7
    fields.append(number)
    # Tags may not repeat, but a reader must not find that out after it has stored them.
    frame = struct.pack(">hhih", 18, 3, 1, 1) + b"m\0" + body + bytes(fields) + b"\x01\x00" * count
    scene.open(struct.pack(">i", len(frame)) + frame)


@attack("array counts of two billion in every place (CVE-2026-111108)")
def counts(scene):
    for key, version in ((3, 1), (0, 3), (1, 4), (2, 1), (19, 2), (20, 1), (32, 1), (23, 2)):
        for lead in (b"", b"\0\0", b"\xff\xff\xff\xff", bytes(8), b"\xff\xff" + bytes(6)):
            frame = struct.pack(">hhih", key, version, 1, 1) + b"m" + lead + b"\x7f\xff\xff\xf0" * 8
            scene.open(struct.pack(">i", len(frame)) + frame)


@attack("a gzip bomb in a batch (CVE-2026-111073)")
def bomb(scene):
    packed = gzip.compress(bytes(700_000_000), 9)
    data = batches.batch(attributes=batches.GZIP, payload=packed, count=1, last_delta=0)
    told = common.outcome(common.produce, scene.good, "good", data)
    assert told == "closed" or told["error"] != 0, told


@attack("clients that ask for megabytes and never read")
def deaf(scene):
    big = batches.batch([(b"k", scene.rng.randbytes(900_000))])
    for _ in range(20):
        common.produce(scene.good, "big", big)
    key = scene.messages.keys["Fetch"]
    body = scene.messages.requests[key].encode(4, {"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 50_000_000, "Topics": [
        {"Topic": "big", "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 20_000_000}]}]})
    frame = struct.pack(">hhih", key, 4, 1, 1) + b"m" + body
    for _ in range(60):
        scene.open((struct.pack(">i", len(frame)) + frame) * 50)


@attack("1,000 connections come and go")
def churn(scene):
    for _ in range(1000):
        scene.open(b"\0")
        if len(scene.sockets) > 20:
            scene.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="ringmain", choices=["ringmain", "kafka"])
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    jar = next((brokers.CACHE / "kafka" / "jars").glob("kafka-clients-*.jar"))
    messages = schema.Messages(jar)
    tally = brokers.Tally()
    with brokers.broker(options.broker) as broker:
        setup = Session(messages, broker.bootstrap)
        for topic in ("good", "big"):
            common.create(setup, topic)
        for name, function in ATTACKS:
            if options.only not in name:
                continue
            try:
                with Scene(messages, broker, random.Random(options.seed)) as scene:
                    function(scene)
                    scene.check(tally, name)
            except (AssertionError, Closed, Silent, OSError) as failure:
                tally.fail(name, f"{type(failure).__name__} {failure}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
