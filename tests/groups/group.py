"""One consumer group on its own topic: what its members do, and what the broker thinks of it."""

import time

import brokers
import members
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from members import PARTITIONS

STEP_S = 90  # joining, sharing, reading: seconds on a busy machine


class Group:
    """The members of one client, what they said, and an admin client that looks on."""

    def __init__(self, client, bootstrap):
        slug = client.name.replace(" ", "-")
        self.client = client
        self.bootstrap = bootstrap
        self.topic = f"shared-{slug}"
        self.consumer_group = f"readers-{slug}"
        self.all = frozenset(f"{self.topic}/{partition}" for partition in range(PARTITIONS))
        self.log = members.Log()
        self.connect_admin()

    def connect_admin(self):
        """A new admin client. One that has seen its broker die may wait for an answer that cannot come any more, and then
        end the process by an assertion (librdkafka 2.16.0): after a kill it is not asked again."""
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(self):
        """Creates the topic and waits until Metadata tells it and the group's coordinator answers: not every client waits."""
        self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)], operation_timeout=30)[self.topic].result(30)
        deadline = time.monotonic() + STEP_S
        while True:
            try:
                if len(self.admin.list_topics(self.topic, 10).topics[self.topic].partitions) == PARTITIONS:
                    return self.broker_committed()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def join(self, name, options=()):
        """Starts a member."""
        return self.client.member(self.log, name, self.bootstrap, self.consumer_group, self.topic, options)

    def shared(self, *all_members, within_s=STEP_S):
        """Waits until each has a share, the shares are everything and do not overlap, and the broker says the same."""
        def holds():
            owned = [partition for member in all_members for partition in member.owned]
            return len(owned) == PARTITIONS and frozenset(owned) == self.all and all(m.owned for m in all_members)
        self.log.until(holds, within_s, f"{len(all_members)} members share the partitions")
        self.until_described(all_members, "the broker describes the same shares", within_s)

    def until_described(self, all_members, what, within_s):
        """Waits until the broker describes the group as stable with the shares of these members (or as empty with none)."""
        due_state = "STABLE" if all_members else "EMPTY"

        def holds(group):
            shares = [frozenset(f"{each.topic}/{each.partition}" for each in member.assignment.topic_partitions)
                      for member in group.members]
            return group.state.name == due_state and sorted(map(sorted, shares)) == sorted(sorted(m.owned) for m in all_members)
        self.until_broker_says(holds, what, within_s)

    def until_broker_says(self, holds, what, within_s):
        """Waits until the description of the group is such that `holds(it)`."""
        deadline = time.monotonic() + within_s
        while True:
            group = self.admin.describe_consumer_groups([self.consumer_group], request_timeout=20)[self.consumer_group].result(20)
            if holds(group):
                return
            if time.monotonic() > deadline:
                shares = sorted(len(member.assignment.topic_partitions) for member in group.members)
                raise brokers.Failure(f"{what}: not within {within_s} s: {group.state.name}, shares of {shares} partitions")
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
        if self.client.commits_by_itself:
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
