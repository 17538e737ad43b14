"""kill -9 of the broker in the middle of rebalances: no acknowledged commit is lost, no record skipped, no group stuck.

Four groups, of Java members and of librdkafka's, each in the classic and in the consumer protocol (KIP-848), whose members
come and go and commit all the while, and into whose topics records are written. In every cycle the broker is killed while a group rebalances, and started again; then
each partition's committed offset must be at least the last one that was acknowledged. After the last cycle nobody comes or
goes any more: all groups must become stable in bounded time, read, and commit; and what all members said since the
beginning is judged as a whole (see checker.py).

    kill9.py [--cycles N] [--broker ringmain|kafka] [--binary PATH] [--client NAME] [--seed N] [--plant old-data]

`--plant` turns the verdict round: in the second cycle the broker gets its data directory of the cycle before, as if it had
forgotten what it acknowledged since, and that must be found.
"""

import argparse
import pathlib
import random
import shutil
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "harness")]
import brokers  # noqa: E402
import checker  # noqa: E402
import members  # noqa: E402
from confluent_kafka import KafkaException  # noqa: E402
from group import Group  # noqa: E402
from groups import CONSUMER_SETTINGS, SETTINGS  # noqa: E402

CLIENTS = ["confluent-kafka", "java", "confluent-kafka consumer", "java consumer"]
MEMBERS_MAX = 3
LEAVING_MAX = 2  # of a group at the same time: a member that leaves may have to wait for the broker
CHANGE_S = (0.3, 1.5)  # between two changes of a group, at least
RUN_S = (0.0, 1.5)  # how long a broker lives at least once all groups commit; it is killed in the next rebalance after it
REBALANCE_DEADLINE_S = 30  # where none comes it is killed all the same
COMMITS_DEADLINE_S = 90
STABLE_S = 90
LEAVE_S = 90  # a member may have to wait for the broker before it can leave
# What a member may be told on its way back; each is gone once the group is.
PASSING = ("COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "GROUP_COORDINATOR_NOT_AVAILABLE",
           "NOT_COORDINATOR_FOR_GROUP", "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN")


class Party(Group):
    """One group whose members come, go and commit until it is told to calm down. One member always stays."""

    def __init__(self, client, bootstrap, rng):
        super().__init__(client, bootstrap)
        self.rng = rng
        self.life = threading.Thread(target=self.live, daemon=True)
        self.present = []
        self.leaving = []
        self.joined = 0
        self.changes = 0  # joins and departures asked for
        self.told = {}
        self.trouble = []
        self.trouble_until_now = []
        self.calm = threading.Event()

    def live(self):
        due = 0.0
        while not self.calm.is_set() and not self.trouble:
            try:
                for member in self.present:
                    self.have_it_commit(member)
                if time.monotonic() >= due and self.change():
                    due = time.monotonic() + self.rng.uniform(*CHANGE_S)
            except brokers.Failure as failure:
                self.trouble.append(str(failure))
            with self.log.changed:
                self.log.changed.wait(0.05)

    def have_it_commit(self, member):
        """One commit at a time: the next command goes when the last one was answered."""
        if self.told.get(member.name, 0) <= member.commits + len(member.refused):
            self.told[member.name] = member.commits + len(member.refused) + 1
            member.tell("commit")

    def change(self):
        """Somebody joins, or one of those who came after the first leaves. Returns False where it is too early for either:
        a member has not had partitions yet, or others are still leaving."""
        self.leaving = [each for each in self.leaving if each.is_alive()]
        if len(self.leaving) >= LEAVING_MAX or any(member.generation is None for member in self.present):
            return False
        if len(self.present) < 2 or (len(self.present) < MEMBERS_MAX and self.rng.random() < 0.5):
            self.present.append(self.join(f"{self.client.name}-{self.joined}"))
            self.joined += 1
        else:
            leaver = self.present.pop(self.rng.randrange(1, len(self.present)))
            self.leaving.append(threading.Thread(target=self.let_leave, args=(leaver,), daemon=True))
            self.leaving[-1].start()
        self.changes += 1
        return True

    def let_leave(self, member):
        try:
            member.leave(LEAVE_S)
        except brokers.Failure as failure:
            self.trouble.append(str(failure))

    def commits(self):
        """How many commits with an offset in them were acknowledged."""
        with self.log.changed:
            return sum(event.kind == "committed" and bool(event.offsets) for event in self.log.events)

    def lost_commits(self):
        """The acknowledged commits that the broker does not have any more, as sentences."""
        acknowledged = {}
        with self.log.changed:
            for event in self.log.events:
                if event.kind == "committed":
                    for partition, offset in event.offsets.items():
                        acknowledged[partition] = max(offset, acknowledged.get(partition, 0))
        have = self.committed_after_a_start()
        return [f"{partition}: {offset} was acknowledged, {have.get(partition)} is committed"
                for partition, offset in sorted(acknowledged.items()) if have.get(partition, -1) < offset]

    def committed_after_a_start(self):
        """What is committed, once the coordinator answers again."""
        self.connect_admin()
        deadline = time.monotonic() + COMMITS_DEADLINE_S
        while True:
            try:
                return self.broker_committed()
            except KafkaException as failure:
                if time.monotonic() > deadline:
                    raise brokers.Failure(f"the coordinator does not answer {COMMITS_DEADLINE_S} s after the start: {failure}") \
                        from None

    def settle(self):
        """After the last fault: all who are there share the partitions, read every one, and commit."""
        self.calm.set()
        self.life.join()
        for leaving in self.leaving:
            leaving.join()
        self.shared(*self.present, within_s=STABLE_S)
        for member in self.present:
            self.reads(member)
        for member in self.present:
            self.commit(member)


class Campaign:
    """All cycles, and what came of them."""

    def __init__(self, broker, rng, tally, plant, clients):
        self.broker = broker
        self.rng = rng
        self.tally = tally
        self.plant = plant
        self.feed = members.Feed(broker.bootstrap)
        self.parties = [Party(client, broker.bootstrap, random.Random(rng.random())) for client in members.ALL
                        if client.name in clients]

    def run(self, cycles):
        """Cycle by cycle, until one breaks a promise."""
        for party in self.parties:
            party.create_topic()
            self.feed.add(party.topic)
        try:
            self.feed.start()
            for party in self.parties:
                party.life.start()
            for number in range(1, cycles + 1):
                if not self.cycle(number):
                    return
            for party in self.parties:
                self.attempt(f"{party.client.name}: stable again after the last kill", party.settle)
        finally:
            self.end()

    def attempt(self, what, step):
        try:
            step()
        except (brokers.Failure, KafkaException) as failure:
            self.tally.fail(what, failure)
        else:
            self.tally.ok(what)

    def cycle(self, number):
        """Lets all groups commit, kills the broker in the next rebalance of one of them, starts it, and compares.
        Returns whether all went well."""
        what = f"cycle {number}"
        try:
            self.wait_for_commits()
            changing = self.wait_for_a_rebalance()
            self.broker.kill()
            if self.plant:
                self.forget(number)
            began = time.monotonic()
            self.broker.start()
            listening = time.monotonic() - began
            lost = [each for party in self.parties for each in party.lost_commits()]
        except (brokers.Failure, KafkaException) as failure:
            self.tally.fail(what, failure)
            return False
        commits = sum(party.commits() for party in self.parties)
        self.tally.check(f"{what}: killed {changing}, answers after {listening * 1000:.0f} ms, has what it acknowledged in "
                         f"{commits} commits", not lost, f"{len(lost)} acknowledged commits lost, first {lost[:1]}")
        return not lost

    def wait_for_commits(self):
        """Waits until each group has had another commit acknowledged."""
        due = [(party, party.commits() + 1) for party in self.parties]
        deadline = time.monotonic() + COMMITS_DEADLINE_S
        for party, commits in due:
            while party.commits() < commits:
                if party.trouble:
                    raise brokers.Failure(party.trouble[0])
                if time.monotonic() > deadline:
                    raise brokers.Failure(f"{party.client.name} commits nothing for {COMMITS_DEADLINE_S} s: "
                                          + "; ".join(member.state() for member in party.present))
                with party.log.changed:
                    party.log.changed.wait(0.05)

    def wait_for_a_rebalance(self):
        """Lets the broker live a moment, then until a member gives partitions up because the group changes; what is going on
        then. Within the next half second members commit, join and get their shares."""
        time.sleep(self.rng.uniform(*RUN_S))
        heard = [len(party.log.events) for party in self.parties]
        deadline = time.monotonic() + REBALANCE_DEADLINE_S
        while time.monotonic() < deadline:
            for number, party in enumerate(self.parties):
                with party.log.changed:
                    new = party.log.events[heard[number]:]
                    heard[number] += len(new)
                if any(event.kind == "revoked" for event in new):
                    moment = self.rng.uniform(0.0, 0.5)
                    time.sleep(moment)
                    return f"{moment * 1000:.0f} ms into a rebalance of {party.client.name}"
            with self.parties[0].log.changed:
                self.parties[0].log.changed.wait(0.01)
        return "in a quiet moment"

    def forget(self, number):
        """The planted bug: the broker has the data of the first kill again after the second."""
        data = self.broker.directory / ("logs" if self.broker.name == "kafka" else "data")
        old = self.broker.directory / "old-data"
        if number == 1:
            shutil.copytree(data, old)
        elif number == 2:
            shutil.rmtree(data)
            old.rename(data)

    def end(self):
        """Ends every process. Who is ended here has not come to a bad end."""
        for party in self.parties:
            party.calm.set()
            if party.life.is_alive():
                party.life.join()
            party.trouble_until_now = list(party.trouble)
            for member in party.log.members:
                member.end()
        self.feed.finish()

    def judge(self):
        """What everybody said since the beginning."""
        self.tally.check("no record of the producer was refused", not self.feed.faults, self.feed.faults[:1])
        for party in self.parties:
            events = party.log.events
            errors = [each for member in party.log.members for each in member.errors if not each.startswith(PASSING)]
            read = any(event.kind == "record" for event in events)
            verdicts = {"no record is skipped": checker.skipped(events) if read else ["nobody read any record"],
                        "what is committed is what was read": checker.committed_as_read(events),
                        "no member had an error": errors, "nobody gave up": party.trouble_until_now}
            if party.client.generation:
                verdicts["no partition has two owners in a generation"] = checker.two_owners_in_a_generation(events)
            else:
                verdicts["no partition has two owners at once"] = checker.two_owners_at_once(events)
            for promise, broken in verdicts.items():
                self.tally.check(f"{party.client.name}: {promise}", not broken, f"{len(broken)} times, first {broken[:1]}")
            generations = {event.generation for event in events if event.kind == "assigned"}
            print(f"      {party.client.name}: {len(party.log.members)} members, {party.changes} changes, {len(generations)} "
                  f"generations, {sum(event.kind == 'record' for event in events)} records read, {party.commits()} commits, "
                  f"{sum(len(member.refused) for member in party.log.members)} refused", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--broker", default="ringmain", choices=["ringmain", "kafka"])
    parser.add_argument("--binary", help="another ringmain binary")
    parser.add_argument("--client", action="append", choices=CLIENTS, help="this group only (may be given several times)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=["old-data"])
    options = parser.parse_args()

    tally = brokers.Tally()
    found = brokers.Tally() if options.plant else tally
    settings = SETTINGS + CONSUMER_SETTINGS
    broker = brokers.Kafka(21_592, settings=settings) if options.broker == "kafka" else \
        brokers.Ringmain(21_692, settings=settings, binary=options.binary)
    with broker:
        campaign = Campaign(broker, random.Random(options.seed), found, options.plant, options.client or CLIENTS)
        campaign.run(options.cycles)
        campaign.judge()
        if found.failed and not options.plant:
            broker.keep()
    if options.plant:
        tally.check(f"the planted bug {options.plant} is found", found.failed, "every promise was kept")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
