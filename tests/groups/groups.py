"""Real clients in consumer groups: they join, share, leave, die, commit, come back and read again, and no record is skipped.

For each client a topic of 12 partitions, into which records are written all the while, and a group of its own. The worker
processes (see members.py) say what they are assigned, read and commit; the admin client says what the broker thinks of it.
Every step must come to its end in time, and in the end what was said is judged as a whole (see checker.py). Clients of the
consumer protocol (KIP-848) take part where the broker serves it: it lists ConsumerGroupHeartbeat and has finalized a
group.version.

    groups.py [--broker ringmain|kafka|HOST:PORT] [--client NAME]... [--jobs N] [--plant commit-ahead|reset-offset] [--self-test]

`--plant` turns the verdict round: with one bug on purpose (a worker that commits one too far; a broker whose committed
offset is set back while nobody looks) the run passes only if the broken promise is found.
"""

import argparse
import concurrent.futures
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / each) for each in ("harness", "differential")]
import brokers  # noqa: E402
import checker  # noqa: E402
import connection  # noqa: E402
import members  # noqa: E402
import schema  # noqa: E402
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # noqa: E402
from members import PARTITIONS, SESSION_MS  # noqa: E402

STEP_S = 40  # joining, sharing, reading: seconds on a busy machine
REWIND = 7  # records that are read a second time
HEARTBEAT_MS = SESSION_MS // 12
SETTINGS = ["group.min.session.timeout.ms=500", "group.initial.rebalance.delay.ms=0"]
# The consumer protocol's sessions are the broker's to set.
CONSUMER_SETTINGS = [f"group.consumer.min.session.timeout.ms={SESSION_MS}", f"group.consumer.session.timeout.ms={SESSION_MS}",
                     f"group.consumer.min.heartbeat.interval.ms={HEARTBEAT_MS}",
                     f"group.consumer.heartbeat.interval.ms={HEARTBEAT_MS}"]


class Scenario:
    """One client's group through all steps."""

    def __init__(self, client, bootstrap, feed, tally, plant=None):
        slug = client.name.replace(" ", "-")
        self.client = client
        self.bootstrap = bootstrap
        self.feed = feed
        self.tally = tally
        self.plant = plant
        self.topic = f"shared-{slug}"
        self.consumer_group = f"readers-{slug}"
        self.all = frozenset(f"{self.topic}/{partition}" for partition in range(PARTITIONS))
        self.log = members.Log()
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def run(self):
        """Step by step; the first that fails is the last. What was said until then is judged in any case."""
        began = time.monotonic()
        try:
            for step in (self.first_joins, self.second_joins, self.second_leaves, self.third_is_killed, self.all_stop,
                         self.one_comes_back, self.reads_to_the_end, self.reads_again, self.is_deleted):
                moment = time.monotonic()
                told = step() or ""
                self.tally.ok(f"{self.client.name}: {step.__doc__} ({told}{time.monotonic() - moment:.1f} s)")
        except Exception as failure:  # noqa: BLE001 - whatever went wrong is this step's failure, not the run's
            self.tally.fail(f"{self.client.name}: {step.__doc__}", f"{type(failure).__name__}: {failure}"
                            if not isinstance(failure, brokers.Failure) else failure)
        finally:
            for member in self.log.members:
                member.end()
        self.judge(time.monotonic() - began)

    # The steps.

    def first_joins(self):
        """one member owns everything and reads it"""
        self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)], operation_timeout=30)[self.topic].result(30)
        self.until_known()
        self.feed.add(self.topic)
        self.a = self.join("a")
        self.log.until(lambda: self.a.owned == self.all, STEP_S, "the only member owns everything")
        self.reads(self.a)
        self.commit(self.a)

    def second_joins(self):
        """a second member joins, and both share without overlap"""
        self.b = self.join("b")
        self.shared(self.a, self.b)
        self.reads(self.b)
        self.commit(self.a)
        self.commit(self.b)

    def second_leaves(self):
        """it leaves in order, and its partitions come back before its session would have ended"""
        left = self.b.leave()
        self.until_described([self.a], "the broker knows one member", SESSION_MS / 1_000 - 1)
        took = time.monotonic() - left
        self.log.until(lambda: self.a.owned == self.all, STEP_S, "the other owns everything again")
        self.reads(self.a)
        self.commit(self.a)
        return f"gone after {took:.1f} s, "

    def third_is_killed(self):
        """a third joins and is killed, and its partitions come back when its session ends"""
        third = self.join("c")
        self.shared(self.a, third)
        self.reads(third)
        third.kill()
        killed = time.monotonic()
        self.log.until(lambda: self.a.owned == self.all, SESSION_MS / 1_000 + STEP_S, "the other owns everything again")
        took = time.monotonic() - killed
        # Its last heartbeat is up to an interval old when it is killed.
        if took < (SESSION_MS - 2 * HEARTBEAT_MS) / 1_000:
            raise brokers.Failure(f"they came back after {took:.1f} s of a session of {SESSION_MS} ms")
        self.reads(self.a)
        return f"back after {took:.1f} s, "

    def all_stop(self):
        """all stop, and what is committed is what was read last"""
        self.commit(self.a)
        self.a.leave()
        if self.a.commits_by_itself:
            self.expect_committed({partition: self.a.next[partition] for partition in self.all})
            self.log.add(checker.Event(time.time_ns() // 1_000, "a", "committed", offsets=dict(self.a.next)), self.a)
        self.committed = self.acknowledged()
        self.expect_committed(self.committed)
        self.until_described([], "the broker knows no member", STEP_S)
        if self.plant == "reset-offset":
            self.set_committed({f"{self.topic}/3": 1})

    def one_comes_back(self):
        """one comes back and reads on where the group had committed"""
        self.d = self.join("d")
        self.log.until(lambda: self.d.owned == self.all, STEP_S, "it owns everything")
        self.reads(self.d)
        self.expect_first(self.d, self.committed)

    def reads_to_the_end(self):
        """it reads to the end, and the lag is 0"""
        self.end = self.feed.remove(self.topic)
        self.read_to_the_end(self.d)
        return f"{self.end * PARTITIONS} records, "

    def reads_again(self):
        """the empty group is set back, reads again from there, and the lag is 0"""
        back = {partition: self.end - REWIND for partition in self.all}
        self.until_described([], "the broker knows no member", STEP_S)
        self.set_committed(back)
        member = self.join("e")
        self.log.until(lambda: len(member.first) == PARTITIONS, STEP_S, "it reads every partition")
        self.expect_first(member, back)
        self.read_to_the_end(member)

    def is_deleted(self):
        """the empty group is deleted, and its offsets with it"""
        self.until_described([], "the broker knows no member", STEP_S)
        self.admin.delete_consumer_groups([self.consumer_group], request_timeout=20)[self.consumer_group].result(20)
        if self.broker_committed():
            raise brokers.Failure(f"it still has {self.broker_committed()}")

    # What the steps are made of.

    def join(self, name):
        """Starts a member."""
        planted = ["--plant-ahead", "1"] if self.plant == "commit-ahead" else []
        return self.client.member(self.log, name, self.bootstrap, self.consumer_group, self.topic, planted)

    def until_known(self):
        """Waits until Metadata tells the topic and the group's coordinator answers: not every client waits for that."""
        deadline = time.monotonic() + STEP_S
        while True:
            try:
                if len(self.admin.list_topics(self.topic, 10).topics[self.topic].partitions) == PARTITIONS:
                    return self.broker_committed()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def shared(self, *all_members):
        """Waits until each has a share, the shares are everything and do not overlap, and the broker says the same."""
        def holds():
            owned = [partition for member in all_members for partition in member.owned]
            return len(owned) == PARTITIONS and frozenset(owned) == self.all and all(m.owned for m in all_members)
        self.log.until(holds, STEP_S, f"{len(all_members)} members share the partitions")
        self.until_described(all_members, "the broker describes the same shares", STEP_S)

    def until_described(self, all_members, what, within_s):
        """Waits until the broker describes the group as stable with the shares of these members (or as empty with none)."""
        due_state = "STABLE" if all_members else "EMPTY"
        deadline = time.monotonic() + within_s
        while True:
            group = self.admin.describe_consumer_groups([self.consumer_group], request_timeout=20)[self.consumer_group].result(20)
            shares = {frozenset(f"{each.topic}/{each.partition}" for each in member.assignment.topic_partitions)
                      for member in group.members}
            due = {member.owned for member in all_members}
            if group.state.name == due_state and len(group.members) == len(all_members) and shares == due:
                return
            if time.monotonic() > deadline:
                raise brokers.Failure(f"{what}: not within {within_s} s: {group.state.name}, {len(group.members)} members, "
                                      f"shares of {sorted(map(len, shares))}")
            with self.log.changed:
                self.log.changed.wait(0.05)

    def reads(self, member):
        """Waits until the member has read a new record of every partition that it owns."""
        with self.log.changed:
            before = dict(member.next)
        self.log.until(lambda: all(member.next.get(partition, 0) > before.get(partition, 0) for partition in member.owned),
                       STEP_S, f"{member.name} reads every partition it owns")

    def commit(self, member):
        """Has the member commit, and sees that the broker has just that."""
        with self.log.changed:
            read = {partition: member.next[partition] for partition in member.owned if partition in member.next}
        if member.commits_by_itself:
            deadline = time.monotonic() + STEP_S
            while any(self.broker_committed().get(partition, -1) < offset for partition, offset in read.items()):
                if time.monotonic() > deadline:
                    raise brokers.Failure(f"{member.name} committed {self.broker_committed()} where it had read {read}")
                with self.log.changed:
                    self.log.changed.wait(0.05)
            return
        commits, refused = member.commits, len(member.refused)
        member.tell("commit")
        self.log.until(lambda: member.commits > commits or len(member.refused) > refused, STEP_S, f"{member.name} commits")
        if member.commits == commits:
            raise brokers.Failure(f"{member.name}: the commit was refused in a stable group: {member.refused[-1]}")
        self.expect_committed({partition: offset for partition, offset in self.acknowledged().items() if partition in read})

    def acknowledged(self):
        """The last offset per partition that a member was told is committed."""
        with self.log.changed:
            return {partition: offset for event in self.log.events if event.kind == "committed"
                    for partition, offset in event.offsets.items()}

    def broker_committed(self):
        """What the broker says is committed."""
        answer = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.consumer_group)], request_timeout=20)
        return {f"{each.topic}/{each.partition}": each.offset
                for each in answer[self.consumer_group].result(20).topic_partitions if each.offset >= 0}

    def expect_committed(self, due):
        have = self.broker_committed()
        wrong = [f"{partition}: {have.get(partition)} is committed, {offset} is due"
                 for partition, offset in sorted(due.items()) if have.get(partition) != offset]
        if wrong:
            raise brokers.Failure(f"{len(wrong)} of {len(due)} offsets differ, first {wrong[0]}")

    def expect_first(self, member, due):
        with self.log.changed:
            wrong = [f"{partition}: first reads {member.first.get(partition)} where {offset} is due"
                     for partition, offset in sorted(due.items()) if member.first.get(partition) != offset]
        if wrong:
            raise brokers.Failure(f"{len(wrong)} of {len(due)} partitions start elsewhere, first {wrong[0]}")

    def set_committed(self, offsets):
        """As kafka-consumer-groups --reset-offsets does it, while the group is empty."""
        names = [(partition.rpartition("/"), offset) for partition, offset in offsets.items()]
        request = ConsumerGroupTopicPartitions(self.consumer_group,
                                               [TopicPartition(topic, int(number), offset) for (topic, _, number), offset in names])
        answer = self.admin.alter_consumer_group_offsets([request], request_timeout=20)[self.consumer_group].result(20)
        refused = [each.error for each in answer.topic_partitions if each.error]
        if refused:
            raise brokers.Failure(f"the offsets cannot be set: {refused[0]}")

    def read_to_the_end(self, member):
        """The member reads all there is, commits and leaves; then nothing lags."""
        self.log.until(lambda: all(member.next.get(partition) == self.end for partition in self.all), STEP_S,
                       f"{member.name} reads to the end")
        self.commit(member)
        member.leave()
        ends = self.admin.list_offsets({TopicPartition(self.topic, partition): OffsetSpec.latest()
                                        for partition in range(PARTITIONS)}, request_timeout=20)
        have = self.broker_committed()
        lag = sum(end.result(20).offset - have.get(f"{each.topic}/{each.partition}", 0) for each, end in ends.items())
        if lag != 0:
            raise brokers.Failure(f"the lag is {lag}")

    def judge(self, took_s):
        """What all members said, as a whole."""
        events = self.log.events
        read = sum(event.kind == "record" for event in events)
        commits = sum(event.kind == "committed" for event in events)
        verdicts = {"no record is skipped": checker.skipped(events),
                    "what is committed is what was read":
                        checker.committed_as_read([event for event in events if not self.log.members[0].commits_by_itself]),
                    "no member had an error": [each for member in self.log.members for each in member.errors]}
        if self.client.generation:
            verdicts["no partition has two owners in a generation"] = checker.two_owners_in_a_generation(events)
        else:
            verdicts["no partition has two owners at once"] = checker.two_owners_at_once(events)
        for promise, broken in verdicts.items():
            self.tally.check(f"{self.client.name}: {promise}", not broken, f"{len(broken)} times, first {broken[:1]}")
        print(f"      {self.client.name}: {took_s:.0f} s, {len(self.log.members)} members, {read} records read, {commits} commits, "
              f"{sum(len(member.refused) for member in self.log.members)} refused", flush=True)


def serves_consumer_protocol(bootstrap):
    """Whether ApiVersions lists ConsumerGroupHeartbeat, and a finalized group.version with it."""
    jar = next((brokers.CACHE / "kafka" / "jars").glob("kafka-clients-*.jar"))
    messages = schema.Messages(jar)
    host, port = bootstrap.rsplit(":", 1)
    one = connection.Connection(messages, host, int(port))
    try:
        answer = one.ask("ApiVersions", 3, {"ClientSoftwareName": "ringmain-tests", "ClientSoftwareVersion": "1"})
    finally:
        one.close()
    keys = {each["ApiKey"] for each in answer["ApiKeys"]}
    levels = {each["Name"]: each["MaxVersionLevel"] for each in answer.get("FinalizedFeatures") or []}
    return messages.keys["ConsumerGroupHeartbeat"] in keys and levels.get("group.version", 0) >= 1


def run_all(bootstrap, clients, tally, jobs, plant=None):
    """All scenarios, side by side."""
    consumer_protocol = serves_consumer_protocol(bootstrap)
    feed = members.Feed(bootstrap)
    feed.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            work = []
            for client in clients:
                if client.protocol == "consumer" and not consumer_protocol:
                    print(f"not served: {client.name}: no ConsumerGroupHeartbeat with a finalized group.version", flush=True)
                else:
                    work.append(pool.submit(Scenario(client, bootstrap, feed, tally, plant).run))
            for each in work:
                each.result()
    finally:
        feed.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="ringmain")
    parser.add_argument("--client", action="append", choices=[client.name for client in members.ALL])
    parser.add_argument("--jobs", type=int, default=4, help="clients at work at the same time")
    parser.add_argument("--plant", choices=["commit-ahead", "reset-offset"])
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()

    tally = brokers.Tally()
    tally.passed += checker.self_test()
    if options.self_test:
        return tally.finish()
    wanted = ["confluent-kafka"] if options.plant else options.client
    clients = [client for client in members.ALL if not wanted or client.name in wanted]
    found = brokers.Tally() if options.plant else tally
    settings = SETTINGS + (CONSUMER_SETTINGS if options.broker == "kafka" else [])
    with brokers.broker(options.broker, settings) as broker:
        run_all(broker.bootstrap, clients, found, options.jobs, options.plant)
        if found.failed and not options.plant and isinstance(broker, brokers.Kept):
            broker.keep()
    if options.plant:
        tally.check(f"the planted bug {options.plant} is found", found.failed, "every promise was kept")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
