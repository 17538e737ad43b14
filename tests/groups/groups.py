"""Real clients in consumer groups: they join, share, leave, die, commit, come back and read again, and no record is skipped.

For each client a topic of 12 partitions, into which records are written all the while, and a group of its own. The worker
processes (see members.py) say what they are assigned, read and commit; the admin client says what the broker thinks of it.
Every step must come to its end in time, and in the end what was said is judged as a whole (see checker.py). Clients of the
consumer protocol (KIP-848) take part where the broker serves it: it lists ConsumerGroupHeartbeat and has finalized a
group.version. In groups that migrate some members speak one protocol and some the other, so that the group changes its own
each time one comes or goes.

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
from confluent_kafka import TopicPartition  # noqa: E402
from confluent_kafka.admin import OffsetSpec  # noqa: E402
from group import STEP_S, Group  # noqa: E402
from members import PARTITIONS, SESSION_MS  # noqa: E402

REWIND = 7  # records that are read a second time
HEARTBEAT_MS = SESSION_MS // 12
SETTINGS = ["group.min.session.timeout.ms=500", "group.initial.rebalance.delay.ms=0"]
# The consumer protocol's sessions are the broker's to set.
CONSUMER_SETTINGS = [f"group.consumer.min.session.timeout.ms={SESSION_MS}", f"group.consumer.session.timeout.ms={SESSION_MS}",
                     f"group.consumer.min.heartbeat.interval.ms={HEARTBEAT_MS}",
                     f"group.consumer.heartbeat.interval.ms={HEARTBEAT_MS}"]


class Scenario(Group):
    """One client's group through all steps."""

    def __init__(self, client, bootstrap, feed, tally, plant=None):
        super().__init__(client, bootstrap)
        self.feed = feed
        self.tally = tally
        self.plant = plant

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

    def planted(self):
        return ["--plant-ahead", "1"] if self.plant == "commit-ahead" else []

    # The steps.

    def first_joins(self):
        """one member owns everything and reads it"""
        self.create_topic()
        self.feed.add(self.topic)
        self.a = self.join("a", self.planted())
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
        left = self.leaves(self.b)
        self.until_broker_says(lambda group: len(group.members) == 1, "the broker knows one member", SESSION_MS / 1_000 - 1)
        took = time.monotonic() - left
        self.log.until(lambda: self.a.owned == self.all, STEP_S, "the other owns everything again")
        self.reads(self.a)
        self.commit(self.a)
        return f"gone after {took:.1f} s, "

    def leaves(self, member):
        """The member leaves in order. kcat drops a record that comes between the signal and its end, and commits it all the
        same (`consume_cb` in kcat.c), so it is told to end when it has nothing left to read."""
        if not self.client.commits_by_itself:
            return member.leave()
        with self.feed.held(self.topic) as end:
            self.log.until(lambda: all(member.next.get(partition) == end for partition in member.owned), STEP_S,
                           f"{member.name} reads all there is")
            return member.leave()

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
        self.leaves(self.a)
        if self.client.commits_by_itself:
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
        verdicts = {"no record is skipped": checker.skipped(events) if read else ["nobody read any record"],
                    "no member had an error": [each for member in self.log.members for each in member.errors]}
        if not self.client.commits_by_itself:
            verdicts["what is committed is what was read"] = checker.committed_as_read(events)
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
                if (client.protocol == "consumer" or client.guests) and not consumer_protocol:
                    print(f"not served: {client.name}: no ConsumerGroupHeartbeat with a finalized group.version", flush=True)
                else:
                    work.append(pool.submit(Scenario(client, bootstrap, feed, tally, plant).run))
            try:
                for each in work:
                    each.result()
            except BaseException:
                members.STOPPING.set()
                raise
    finally:
        feed.finish()
    tally.check("no record of the producer was refused", not feed.faults, feed.faults[:1])


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
    with brokers.broker(options.broker, SETTINGS + CONSUMER_SETTINGS) as broker:
        run_all(broker.bootstrap, clients, found, options.jobs, options.plant)
        if found.failed and not options.plant and isinstance(broker, brokers.Kept):
            broker.keep()
    if options.plant:
        tally.check(f"the planted bug {options.plant} is found", found.failed, "every promise was kept")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
