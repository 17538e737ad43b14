"""Configs of groups: DescribeConfigs, IncrementalAlterConfigs and ListConfigResources for resource type 32."""

from cases.common import case, eventually, outcome
from cases.consumer_groups import alone
from cases.topics import APPEND, DELETE, SET, alter, describe, told

GROUP = 32
CONSUMER = ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"]


def values(session, group, keys=None):
    return {name: shown[:1] + shown[2:3] for name, shown in told(describe(session, GROUP, group, keys)).items()}


def listed(session, kinds, version=1):
    answer = outcome(lambda: session.ask("ListConfigResources", version, {"ResourceTypes": kinds} if version else {}))
    if isinstance(answer, str):
        return answer
    return [answer["ErrorCode"], sorted([each.get("ResourceType"), each["ResourceName"]] for each in answer["ConfigResources"])]


@case("group configs: every config of a consumer group, its default, source and type")
def defaults(session):
    result = describe(session, GROUP, "gc-nobody")
    return [result["ErrorCode"], {name: shown for name, shown in told(result).items() if name in CONSUMER}]


@case("group configs: set, told, taken back")
def changes(session):
    told_ = [alter(session, "gc-set", ("consumer.session.timeout.ms", SET, "50000"),
                   ("consumer.heartbeat.interval.ms", SET, "6000"), kind=GROUP)]
    eventually(lambda: values(session, "gc-set", CONSUMER)["consumer.session.timeout.ms"] == ["50000", 8])
    told_.append(values(session, "gc-set", CONSUMER))
    told_.append([each for each in listed(session, [GROUP])[1] if each[1].startswith("gc-set")])
    told_.append(alter(session, "gc-set", ("consumer.session.timeout.ms", DELETE, None),
                       ("consumer.heartbeat.interval.ms", DELETE, None), kind=GROUP))
    eventually(lambda: values(session, "gc-set", CONSUMER)["consumer.session.timeout.ms"] == ["45000", 5])
    return [*told_, values(session, "gc-set", CONSUMER)]


@case("group configs: what is refused")
def refusals(session):
    return [alter(session, "gc-bad", change, kind=GROUP, validate=True) for change in (
        ("consumer.session.timeout.ms", SET, "44999"), ("consumer.session.timeout.ms", SET, "60001"),
        ("consumer.session.timeout.ms", SET, "soon"), ("consumer.session.timeout.ms", SET, "0"),
        ("consumer.session.timeout.ms", SET, None), ("consumer.heartbeat.interval.ms", SET, "4999"),
        ("consumer.heartbeat.interval.ms", SET, "15001"), ("consumer.assignment.interval.ms", SET, "-1"),
        ("consumer.assignment.interval.ms", SET, "15001"), ("consumer.session.timeout.ms", APPEND, "1"),
        ("no.such.config", SET, "1"), ("retention.ms", SET, "1"))] + [
        alter(session, "", ("consumer.session.timeout.ms", SET, "50000"), kind=GROUP, validate=True),
        outcome(lambda: describe(session, GROUP, "")["ErrorCode"])]


@case("group configs: members are told the interval of their group")
def applied(session):
    alter(session, "gc-applied", ("consumer.heartbeat.interval.ms", SET, "7000"), kind=GROUP)
    eventually(lambda: values(session, "gc-applied", CONSUMER)["consumer.heartbeat.interval.ms"] == ["7000", 8])
    reader, _ = alone(session, "gc-applied")
    answer = [reader.join()[:2], reader.answer["HeartbeatIntervalMs"]]
    alter(session, "gc-applied", ("consumer.heartbeat.interval.ms", SET, "8000"), kind=GROUP)

    def changed():
        reader.beat()
        return reader.answer["HeartbeatIntervalMs"] == 8000
    eventually(changed)
    return [*answer, reader.answer["HeartbeatIntervalMs"]]


@case("ListConfigResources: types, and those that do not exist")
def resources(session):
    kinds = sorted({kind for kind, _ in listed(session, [])[1]} - {GROUP})
    return [kinds, len(listed(session, [4])[1]), listed(session, [16]), listed(session, [9]), listed(session, [0]), listed(session, [], 0)]
