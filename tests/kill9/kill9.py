"""kill -9 under load, again and again, and not one acknowledged record lost, doubled, moved or out of order.

Two idempotent producers (librdkafka, acks=all) write to 12 partitions with small segments while the broker is killed at
random moments and started again; a consumer follows all the while. So do the two members of a consumer group, which commit;
after each start the broker must have what it acknowledged, and the group must commit again. Two more producers write to a
topic of which little is retained and to a compacted one. After the last cycle the logs are read and every promise checked (see
checker.py). Each cycle prints how long the broker took to answer again, to acknowledge again and to take commits again.

    kill9.py [--cycles N] [--broker ringmain|kafka] [--binary PATH] [--seed N] [--must-fail] [--self-test]

`--must-fail` turns the verdict round: for a build with a planted bug (RINGMAIN_PLANT=NAME), the run passes only if a broken
promise is found. That the broker is away, or that this program fails, is not a find.
"""

import argparse
import pathlib
import random
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "harness")]
import brokers  # noqa: E402
import checker  # noqa: E402
from clients import (  # noqa: E402
    ACK_DEADLINE_S, COMPACTED, COMPACTED_KEYS, COMPACTED_PARTITIONS, PARTITIONS, RECONNECT, RETAINED, RETAINED_PARTITIONS,
    SIDE_RECORDS_PER_S, TOPIC, Follower, Load, read_all)
from committer import MEMBERS, Commits, Committer  # noqa: E402
from confluent_kafka import KafkaException  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

PRODUCERS = 2
RUN_S = (0.15, 1.4)  # how long a broker lives once it acknowledges
SHOWN_MAX = 20
MAINTENANCE_S = 60  # after the last cycle, until retention and compaction have removed something
SETTINGS = {  # of the broker, so that retention and compaction run all the while
    "ringmain": ("log.retention.check.interval.ms=100", "log.cleaner.backoff.ms=100",
                 "log.segment.delete.delay.ms=100"),
    "kafka": ("log.retention.check.interval.ms=100", "log.cleaner.backoff.ms=100"),
}
SEGMENTS = {"segment.bytes": str(1 << 20)}
TOPICS = [
    (TOPIC, PARTITIONS, SEGMENTS),
    (RETAINED, RETAINED_PARTITIONS, SEGMENTS | {"retention.bytes": str(1 << 20)}),
    (COMPACTED, COMPACTED_PARTITIONS, SEGMENTS | {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}),
]


class Campaign:
    """All cycles, and what came of them."""

    def __init__(self, broker, rng, tally):
        self.broker = broker
        self.rng = rng
        self.tally = tally
        self.loads = [Load(broker.bootstrap, number) for number in range(PRODUCERS)]
        self.retained = Load(broker.bootstrap, PRODUCERS, RETAINED, RETAINED_PARTITIONS, SIDE_RECORDS_PER_S)
        self.compacted = Load(broker.bootstrap, PRODUCERS + 1, COMPACTED, COMPACTED_PARTITIONS, SIDE_RECORDS_PER_S)
        self.follower = Follower(broker.bootstrap)
        self.commits = Commits(broker.bootstrap)
        self.members = [Committer(broker.bootstrap, number, self.commits) for number in range(MEMBERS)]
        self.times = []
        self.commits_again = []
        self.broken = []  # promises about records
        self.trouble = []  # what kept the run from its end: the broker does not come up, or not in time

    def clients(self):
        return [*self.loads, self.retained, self.compacted, self.follower, *self.members]

    def faults(self):
        return [fault for client in self.clients() for fault in client.faults()]

    def run(self, cycles):
        """Cycle by cycle until a client has a fault, then the whole log."""
        for client in self.clients():
            client.start()
        try:
            self.wait_for_acks(100, "before the first cycle")
            self.commits.wait_for_more("before the first cycle")
            for number in range(1, cycles + 1):
                if self.faults() or self.broken:
                    break
                self.cycle(number)
        except brokers.Failure as failure:
            self.trouble.append(str(failure))
        for client in self.clients():
            self.trouble += client.finish()
        self.broken += self.faults()
        try:
            logs = [log for _, _, log in read_all(self.broker.bootstrap)]
            self.broken += self.commits.lost("in the end")
            self.broken += self.broken_maintenance()
        except (brokers.Failure, KafkaException) as failure:
            self.trouble.append(f"the logs cannot be read: {failure}")
        else:
            self.broken += self.broken_promises(logs)
            self.report(logs)

    def broken_maintenance(self):
        """What the checker has to say of the topics of which records are removed. That none are is trouble."""
        deadline = time.monotonic() + MAINTENANCE_S
        while True:
            retained = read_all(self.broker.bootstrap, RETAINED, RETAINED_PARTITIONS, None)
            compacted = read_all(self.broker.bootstrap, COMPACTED, COMPACTED_PARTITIONS, None)
            removed = [start for start, _, _ in retained] + [end - len(log) for _, end, log in compacted]
            if all(removed):
                break
            if time.monotonic() > deadline:
                raise brokers.Failure(f"retention and compaction have removed {removed} records in {MAINTENANCE_S} s")
            time.sleep(0.2)
        print(f"removed by retention and compaction, by partition: {removed}; {self.commits.count} offsets committed", flush=True)
        broken = [f"{RETAINED}, partition {partition}: {each}" for partition, (start, end, log) in enumerate(retained)
                  for each in checker.check_retained(self.retained.acks[partition], start, end, log)]
        return broken + [f"{COMPACTED}, partition {partition}: {each}" for partition, (start, _, log) in enumerate(compacted)
                         for each in checker.check_compacted(self.compacted.acks[partition], start, log, COMPACTED_KEYS)]

    def cycle(self, number):
        """Lets it run, kills it, starts it, and waits for the first new acknowledgements."""
        time.sleep(self.rng.uniform(*RUN_S))
        acked = sum(load.acked for load in self.loads)
        self.broker.kill()
        began = time.monotonic()
        listening = self.broker.start()
        if not self.wait_for_acks(1, f"cycle {number}"):
            return
        self.times.append((listening, time.monotonic() - began))
        self.broken += self.commits.lost(f"cycle {number}")
        self.commits.wait_for_more(f"cycle {number}")
        self.commits_again.append(time.monotonic() - began)
        self.tally.passed += 1
        print(f"cycle {number}: killed after {acked} acknowledged; answers after {listening * 1000:.0f} ms, "
              f"acknowledges after {self.times[-1][1] * 1000:.0f} ms, commits after {self.commits_again[-1] * 1000:.0f} ms",
              flush=True)

    def wait_for_acks(self, more, what):
        """Waits until every producer has had `more` acknowledgements from now on; False as soon as a client gave up."""
        wanted = [load.acked + more for load in self.loads]
        deadline = time.monotonic() + ACK_DEADLINE_S
        while any(load.acked < due for load, due in zip(self.loads, wanted)):
            if self.faults():
                return False
            if time.monotonic() > deadline:
                raise brokers.Failure(f"{what}: no acknowledgement for {ACK_DEADLINE_S} s")
            time.sleep(0.001)
        return True

    def broken_promises(self, logs):
        """Everything the checker has to say, partition by partition."""
        broken = []
        for partition in range(PARTITIONS):
            acks = {load.number: load.acks[partition] for load in self.loads}
            broken += [f"partition {partition}: {each}"
                       for each in checker.check(acks, logs[partition], self.follower.served[partition])]
        return broken

    def report(self, logs):
        acked = sum(len(acks) for load in self.loads for acks in load.acks)
        served, stored = sum(map(len, self.follower.served)), sum(map(len, logs))
        print(f"{acked} acknowledged, {stored} in the log, {served} served while it ran", flush=True)
        answers, acknowledges = [time[0] for time in self.times], [time[1] for time in self.times]
        for name, times in (("answers", answers), ("acknowledges", acknowledges), ("commits", self.commits_again)):
            sorted_ms = sorted(time * 1000 for time in times)
            if sorted_ms:
                print(f"{name} again: median {sorted_ms[len(sorted_ms) // 2]:.0f} ms, max {sorted_ms[-1]:.0f} ms", flush=True)


def create_topics(bootstrap):
    admin = AdminClient(RECONNECT | {"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, partitions, 1, config=config) for name, partitions, config in TOPICS]
    for created in admin.create_topics(topics, operation_timeout=30).values():
        created.result(30)


def verdict(campaign, options):
    """The line or lines that count, after what they are founded on."""
    tally, broken, trouble = campaign.tally, campaign.broken, campaign.trouble
    for each in broken[:SHOWN_MAX]:
        print(f"      {each}", flush=True)
    if len(broken) > SHOWN_MAX:
        print(f"      and {len(broken) - SHOWN_MAX} more", flush=True)
    for each in trouble:
        print(f"      the run did not come to its end: {each}", flush=True)
    if options.must_fail:
        planted = "LOSES RECORDS ON PURPOSE" in campaign.broker.log_tail(lines=None)
        tally.check("the broker says that a bug is planted in it", planted, "see --help")
        where = f"by a client in cycle {len(campaign.times) + 1}" if campaign.faults() else "by the last reading"
        tally.check(f"the planted bug is found {where}", broken, "nothing was lost, doubled, moved or out of order")
        return
    tally.check(f"{options.cycles} kills, every promise kept", not broken, f"{len(broken)} broken promises")
    if trouble:
        tally.fail(f"{options.cycles} kills, every start good", trouble[0])


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
    settings = SETTINGS[options.broker]
    broker = brokers.Kafka(21_392, settings=settings) if options.broker == "kafka" else \
        brokers.Ringmain(21_492, shards=2, settings=settings, binary=options.binary)
    with broker:
        create_topics(broker.bootstrap)
        campaign = Campaign(broker, random.Random(options.seed), tally)
        campaign.run(options.cycles)
        verdict(campaign, options)
        if tally.failed:
            broker.keep()
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
