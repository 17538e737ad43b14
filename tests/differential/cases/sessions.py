"""Fetch sessions (KIP-227): epochs, what an incremental answer leaves out, and topics that come and go within one."""

import time
import uuid

from batches import batch, parse, records
from cases.common import case, create, eventually, fetch, outcome, produce

IDS_FROM = 13


class Fetcher:
    """One client with its session, on a connection of its own."""

    def __init__(self, session, version=12):
        self.session, self.version = session, version
        self.connection = session.alone()
        self.id, self.epoch, self.names = 0, 0, {}

    def topic(self, name, partitions=1):
        """Creates a topic; answers name it by its name."""
        return self.know(name, create(self.session, name, partitions))

    def know(self, name, topic_id):
        self.names[str(topic_id)] = name
        self.names[name] = topic_id
        return topic_id

    def fill(self, name, *partitions, count=3):
        for each in partitions:
            told = produce(self.session, name, batch(records(count)), partition=each)
            assert told["error"] == 0, told

    def body(self, asked=(), forgotten=(), wait=200, min_bytes=1, max_bytes=1 << 20, **numbers):
        """`asked` is (topic, partition) or (topic, partition, offset), each an entry of its own."""
        topics, dropped = [], []
        for topic, partition, *offset in asked:
            part = {"Partition": partition, "FetchOffset": offset[0] if offset else 0, "PartitionMaxBytes": 1 << 20}
            topics.append(self.name(topic) | {"Partitions": [part]})
        for topic, partition in forgotten:
            dropped.append(self.name(topic) | {"Partitions": [partition]})
        return {"MaxWaitMs": wait, "MinBytes": min_bytes, "MaxBytes": max_bytes, "Topics": topics,
                "ForgottenTopicsData": dropped, "SessionId": numbers.get("id", self.id),
                "SessionEpoch": numbers.get("epoch", self.epoch)}

    def name(self, topic):
        return {"TopicId": self.names[topic]} if self.version >= IDS_FROM else {"Topic": topic}

    def ask(self, asked=(), forgotten=(), **rest):
        """Error, what became of the session, and of each partition: error, high watermark, log start, base offsets."""
        return self.read(outcome(self.connection.ask, "Fetch", self.version, self.body(asked, forgotten, **rest)))

    def read(self, answer):
        if isinstance(answer, str):
            return answer
        told = [answer["ErrorCode"], self.became(answer["SessionId"])]
        if answer["ErrorCode"] == 0:
            self.id, self.epoch = answer["SessionId"], self.epoch + 1
        return told + [self.part(topic, part) for topic in answer["Responses"] for part in topic["Partitions"]]

    def became(self, given):
        if given == 0:
            return "none"
        return "same" if given == self.id else "new"

    def part(self, topic, part):
        name = self.names.get(str(topic["TopicId"]), "?") if self.version >= IDS_FROM else topic["Topic"]
        offsets = [each["base_offset"] for each in parse(part["Records"] or b"")]
        return [name, part["PartitionIndex"], part["ErrorCode"], part["HighWatermark"], part.get("LogStartOffset"), offsets]


def begun(session, name, partitions=2, version=12):
    """A client at the end of every partition of a topic, in a session."""
    fetcher = Fetcher(session, version)
    fetcher.topic(name, partitions)
    fetcher.fill(name, *range(partitions))
    first = fetcher.ask([(name, each, 3) for each in range(partitions)], wait=0)
    return fetcher, first


@case("Fetch session: begun and gone on in, versions 7 to 16")
def versions(session):
    told = []
    for version in range(7, 17):
        fetcher, first = begun(session, f"s-v{version}", version=version)
        told.append([first, fetcher.ask(), fetcher.ask(wait=0)])
    return told


@case("Fetch session: only what has records is told")
def new_records(session):
    fetcher, first = begun(session, "s-new", 3)
    fetcher.fill("s-new", 1)
    some = fetcher.ask()
    moved = fetcher.ask([("s-new", 1, 6)])
    return [first, some, moved, fetcher.ask()]


@case("Fetch session: records that are not fetched on are told again")
def again(session):
    fetcher, _ = begun(session, "s-again")
    fetcher.fill("s-again", 0)
    return [fetcher.ask(), fetcher.ask()]


@case("Fetch session: what was served goes to the end of the order")
def order(session):
    fetcher = Fetcher(session)
    fetcher.topic("s-order", 3)
    fetcher.fill("s-order", 0, 1, 2)
    first = fetcher.ask([("s-order", each) for each in (2, 0, 1)], max_bytes=1)
    return [first] + [fetcher.ask(max_bytes=1) for _ in range(7)]


@case("Fetch session: a moved high watermark alone is told, once")
def watermark(session):
    fetcher, _ = begun(session, "s-mark")
    fetcher.fill("s-mark", 0, 1)
    # One byte is given: the other partition tells that it has more.
    return [fetcher.ask(max_bytes=1), fetcher.ask([("s-mark", 0, 6), ("s-mark", 1, 6)]), fetcher.ask(wait=0)]


@case("Fetch session: a moved log start is told, once")
def log_start(session):
    fetcher, _ = begun(session, "s-start")
    session.ask("DeleteRecords", 2, {"TimeoutMs": 10_000, "Topics": [
        {"Name": "s-start", "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}]})
    return [fetcher.ask(), fetcher.ask()]


@case("Fetch session: a partition forgotten, one never known, one taken back")
def forget(session):
    fetcher, _ = begun(session, "s-forget", 3)
    dropped = fetcher.ask(forgotten=[("s-forget", 1), ("s-forget", 7), ("s-nobody", 0)])
    fetcher.fill("s-forget", 1, 2)
    return [dropped, fetcher.ask(), fetcher.ask([("s-forget", 1, 3)], [("s-forget", 2)])]


@case("Fetch session: forgotten by id")
def forget_by_id(session):
    fetcher, _ = begun(session, "s-forget-id", 3, version=13)
    fetcher.know("s-nobody-id", uuid.UUID(int=77))
    dropped = fetcher.ask(forgotten=[("s-forget-id", 1), ("s-nobody-id", 0)])
    fetcher.fill("s-forget-id", 1, 2)
    return [dropped, fetcher.ask()]


@case("Fetch session: all forgotten is the end of it")
def forget_all(session):
    fetcher, _ = begun(session, "s-forget-all")
    held, epoch = fetcher.id, fetcher.epoch
    dropped = fetcher.ask(forgotten=[("s-forget-all", 0), ("s-forget-all", 1)])
    return [dropped, fetcher.ask(id=held, epoch=epoch + 1)]


@case("Fetch session: all forgotten while asked for")
def forget_asked(session):
    fetcher, _ = begun(session, "s-forget-asked", 1)
    both = [("s-forget-asked", 0), ("s-forget-asked", 1)]
    return [fetcher.ask([("s-forget-asked", 0, 1)], both), fetcher.ask()]


@case("Fetch session: partitions added later")
def add(session):
    fetcher, _ = begun(session, "s-add")
    fetcher.topic("s-add-other")
    fetcher.fill("s-add-other", 0)
    return [fetcher.ask([("s-add-other", 0, 3), ("s-add", 5)], wait=0), fetcher.ask(wait=0),
            fetcher.ask(forgotten=[("s-add", 5)]), fetcher.ask()]


@case("Fetch session: an epoch too old, too new, below zero, then the right one")
def wrong_epoch(session):
    fetcher, _ = begun(session, "s-epoch")
    wrong = [fetcher.ask(epoch=each) for each in (2, 99, -2, (1 << 31) - 1)]
    right = fetcher.ask()
    return wrong + [right, fetcher.ask(epoch=1), fetcher.ask()]


@case("Fetch session: ids that nobody has")
def unknown_id(session):
    fetcher, _ = begun(session, "s-id")
    told = [fetcher.ask(id=each, epoch=1) for each in (fetcher.id ^ 1, 1)]
    return told + [fetcher.ask(id=0, epoch=5), fetcher.ask()]


@case("Fetch session: the final epoch closes it and is answered in full")
def final(session):
    fetcher, _ = begun(session, "s-final")
    held = fetcher.id
    closed = fetcher.ask([("s-final", 0)], epoch=-1)
    return [closed, fetcher.ask(id=held, epoch=1)]


@case("Fetch session: a full fetch under an old id closes that and begins another")
def anew(session):
    fetcher, first = begun(session, "s-anew")
    held = fetcher.id
    second = fetcher.ask([("s-anew", 0, 3)], epoch=0, wait=0)
    fetcher.epoch = 1
    return [first, second, fetcher.ask(id=held), fetcher.ask()]


@case("Fetch session: begun by names and gone on in by ids, and the other way")
def mixed(session):
    told = []
    for begins, goes_on in ((12, 13), (13, 12)):
        fetcher, _ = begun(session, f"s-mixed-{begins}", version=begins)
        fetcher.version = goes_on
        told.append(fetcher.ask([(f"s-mixed-{begins}", 0, 3)]))
        fetcher.version = begins
        told.append(fetcher.ask())
    return told


@case("Fetch session: of no partitions")
def nothing(session):
    fetcher = Fetcher(session)
    first = fetcher.ask()
    return [first, fetcher.ask(), fetcher.ask(epoch=2)]


@case("Fetch session: an unknown topic id is told every time")
def unknown_topic_id(session):
    fetcher = Fetcher(session, 13)
    fetcher.topic("s-known")
    fetcher.fill("s-known", 0)
    fetcher.know("s-lost", uuid.UUID(int=99))
    first = fetcher.ask([("s-lost", 0), ("s-known", 0, 3)])
    return [first, fetcher.ask(), fetcher.ask(forgotten=[("s-lost", 0)])]


@case("Fetch session: a topic that appears, by name")
def appears(session):
    fetcher, _ = begun(session, "s-appears")
    asked = fetcher.ask([("s-later", 0)])
    fetcher.topic("s-later")
    fetcher.fill("s-later", 0)
    return [asked, fetcher.ask(), fetcher.ask([("s-later", 0, 3)])]


def gone(session, name):
    """Deletes a topic and waits until it is."""
    told = session.ask("DeleteTopics", 4, {"TopicNames": [name], "TimeoutMs": 15_000})
    assert told["Responses"][0]["ErrorCode"] == 0, told
    eventually(lambda: fetch(session, name)["error"] == 3)


@case("Fetch session: a topic that is deleted, by name and by id")
def deleted(session):
    told = []
    for version in (12, 13):
        name = f"s-deleted-{version}"
        fetcher, _ = begun(session, name, version=version)
        gone(session, name)
        told += [fetcher.ask(), fetcher.ask()]
    return told


@case("Fetch session: a topic that is deleted and made again, by name and by id")
def recreated(session):
    told = []
    for version in (12, 13):
        name = f"s-recreated-{version}"
        fetcher, _ = begun(session, name, version=version)
        gone(session, name)
        create(session, name, 1)
        fetcher.fill(name, 0, count=5)
        told += [fetcher.ask(), fetcher.ask()]
    return told


@case("Fetch session: an error is told until it is mended, and what follows is news")
def error(session):
    fetcher, _ = begun(session, "s-error")
    beyond = [fetcher.ask([("s-error", 0, 99)]), fetcher.ask()]
    return beyond + [fetcher.ask([("s-error", 0, 3)]), fetcher.ask()]


@case("Fetch session: with nothing new it waits its time and is empty")
def waits(session):
    fetcher, _ = begun(session, "s-waits")
    began = time.monotonic()
    told = fetcher.ask(wait=700)
    return [told, 0.6 < time.monotonic() - began < 3]


@case("Fetch session: an unknown topic does not end the wait of the others")
def waits_beside(session):
    fetcher, _ = begun(session, "s-beside")
    began = time.monotonic()
    told = fetcher.ask([("s-nowhere", 0)], wait=700)
    return [told, 0.6 < time.monotonic() - began < 3]


@case("Fetch session: a waiting fetch wakes for one of its partitions")
def wakes(session):
    fetcher, _ = begun(session, "s-wakes")
    fetcher.connection.send("Fetch", 12, fetcher.body(wait=10_000))
    began = time.monotonic()
    time.sleep(0.2)  # the fetch is to be parked before the record comes
    fetcher.fill("s-wakes", 1)
    told = fetcher.read(fetcher.connection.receive("Fetch", 12))
    return [told, time.monotonic() - began < 5]


@case("Fetch session: a partition asked for twice")
def twice(session):
    fetcher, _ = begun(session, "s-twice")
    full = Fetcher(session)
    return [fetcher.ask([("s-twice", 0, 0), ("s-twice", 1, 0), ("s-twice", 0, 3)]),
            full.ask([("s-twice", 0, 3), ("s-twice", 1, 3), ("s-twice", 0, 0)])]


def pipelined(fetcher, bodies):
    """Sends all before it reads any."""
    connection = fetcher.connection
    for body in bodies:
        connection.send("Fetch", fetcher.version, body)
    told = []
    for behind in range(len(bodies) - 1, -1, -1):
        connection.correlation -= behind
        told.append(fetcher.read(connection.receive("Fetch", fetcher.version)))
        connection.correlation += behind
    return told


@case("Fetch session: the next request comes before the answer to the last one")
def before_the_answer(session):
    fetcher, _ = begun(session, "s-before")
    return pipelined(fetcher, [fetcher.body(epoch=each) for each in (1, 2, 3)])


@case("Fetch session: it is closed, and another begun, while a fetch of it waits")
def closed_while_waiting(session):
    told = []
    for epoch in (-1, 0):
        fetcher, _ = begun(session, f"s-closed{epoch}")
        bodies = [fetcher.body(wait=400), fetcher.body([(f"s-closed{epoch}", 0, 3)], epoch=epoch, wait=0)]
        told.append(pipelined(fetcher, bodies))
    return told
