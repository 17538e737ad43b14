"""CreateTopics, DeleteTopics, DescribeConfigs, IncrementalAlterConfigs: bad-input section 6."""

import time
import uuid

from cases.common import case, create, eventually, outcome

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


def ask(session, *topics, version=7, validate=False):
    """Creates topics: [name, error, partitions, replicas] for each, the last two from version 5 on."""
    told = outcome(session.ask, "CreateTopics", version, {"Topics": list(topics), "timeoutMs": 15_000,
                                                          "validateOnly": validate})
    if isinstance(told, str):
        return told
    return sorted([each["Name"], each["ErrorCode"], each.get("NumPartitions"), each.get("ReplicationFactor")]
                  for each in told["Topics"])


def entry(name, partitions=1, replicas=1, configs=(), assignments=()):
    return {"Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas,
            "Configs": [{"Name": key, "Value": value} for key, value in configs],
            "Assignments": [{"PartitionIndex": index, "BrokerIds": ids} for index, ids in assignments]}


def exists(session, name):
    topic = session.ask("Metadata", 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False})["Topics"][0]
    return [topic["ErrorCode"], len(topic["Partitions"])]


def gone(session, name):
    """Whether the topic disappears, by and by, from what Metadata tells."""
    eventually(lambda: exists(session, name)[0] == 3)
    return True


def own_id(session):
    return session.ask("Metadata", 9, {"Topics": []})["Brokers"][0]["NodeId"]


@case("CreateTopics: every version")
def versions(session):
    return [ask(session, entry(f"c-{version}", 2), version=version) for version in range(2, 8)]


@case("CreateTopics: a name that exists")
def again(session):
    create(session, "c-exists")
    return ask(session, entry("c-exists"))


@case("CreateTopics: named twice in one request, beside a good one")
def twice(session):
    return [ask(session, entry("c-twice"), entry("c-twice", 2), entry("c-beside")), exists(session, "c-twice")]


@case("CreateTopics: bad partition counts")
def partitions(session):
    return [ask(session, entry("c-count", each)) for each in (0, -2)]


@case("CreateTopics: bad replication factors")
def replicas(session):
    return [ask(session, entry("c-factor", 1, each)) for each in (0, -2, 2, 100)]


@case("CreateTopics: -1 and -1 take the broker's defaults")
def defaults(session):
    return [ask(session, entry("c-default", -1, -1)), ask(session, entry("c-default-old", -1, -1), version=4)]


@case("CreateTopics: manual assignment, right and wrong")
def assignment(session):
    me = own_id(session)
    return [ask(session, entry(f"c-assign-{number}", count, factor, assignments=given))
            for number, (count, factor, given) in enumerate((
                (-1, -1, [(0, [me]), (1, [me])]), (-1, -1, [(0, [me + 77])]), (-1, -1, [(1, [me])]),
                (-1, -1, [(0, [me, me])]), (-1, -1, [(0, [])]), (2, -1, [(0, [me])]), (-1, 1, [(0, [me])]),
                (-1, -1, [(0, [me]), (0, [me])]), (-1, -1, [(0, [me]), (1, [me, me + 77])])))]


@case("CreateTopics: config names and values that do not exist")
def configs(session):
    return [ask(session, entry("c-config", configs=[each])) for each in (
        ("no.such.config", "1"), ("retention.ms", "soon"), ("retention.ms", "-2"), ("cleanup.policy", "burn"),
        ("segment.bytes", "1"), ("min.insync.replicas", "0"), ("compression.type", "rar"), ("retention.ms", None))]


@case("CreateTopics: good configs are taken and told back")
def config_echo(session):
    told = session.ask("CreateTopics", 7, {"Topics": [entry("c-echo", configs=[("retention.ms", "1000"), ("cleanup.policy", "compact")])],
                                           "timeoutMs": 15_000})["Topics"][0]
    seen = {each["Name"]: [each["Value"], each["ConfigSource"]] for each in told["Configs"]}
    return [seen["retention.ms"], seen["cleanup.policy"], seen["segment.bytes"], told.get("TopicConfigErrorCode", 0)]


@case("CreateTopics: the set of configs told back")
def config_names(session):
    told = session.ask("CreateTopics", 7, {"Topics": [entry("c-names")], "timeoutMs": 15_000})["Topics"][0]
    return {each["Name"]: [each["Value"], each["ConfigSource"]] for each in told["Configs"]}


@case("CreateTopics: invalid names")
def names(session):
    return [ask(session, entry(each)) for each in ("", ".", "..", "a" * 250, "a b", "ä", "a" * 249)]


@case("CreateTopics: a name that collides through . and _")
def collision(session):
    create(session, "c.collide_x")
    return [ask(session, entry("c_collide.x")), ask(session, entry("c-y.a"), entry("c-y_a"))]


@case("CreateTopics: validate only creates nothing")
def validate(session):
    return [ask(session, entry("c-validate", 3), validate=True), exists(session, "c-validate"),
            ask(session, entry("c-validate", 0), validate=True)]


@case("CreateTopics: no topics")
def nothing(session):
    return ask(session)


def delete(session, *names, version=6, ids=()):
    if version >= 6:
        body = {"Topics": [{"Name": name} for name in names] + [{"Name": None, "TopicId": each} for each in ids]}
    else:
        body = {"TopicNames": list(names)}
    told = outcome(session.ask, "DeleteTopics", version, body | {"TimeoutMs": 15_000})
    return told if isinstance(told, str) else sorted([each["Name"] or "", each["ErrorCode"]] for each in told["Responses"])


@case("DeleteTopics: every version, and it is gone")
def delete_versions(session):
    told = []
    for version in range(1, 7):
        create(session, f"d-{version}")
        told += [delete(session, f"d-{version}", version=version), gone(session, f"d-{version}")]
    return told


@case("DeleteTopics: by id, and an id nobody has")
def delete_id(session):
    topic_id = create(session, "d-id")
    return [delete(session, ids=[topic_id]), gone(session, "d-id"), delete(session, ids=[uuid.UUID(int=55)])]


@case("DeleteTopics: a name nobody has, an empty name, the same twice")
def delete_unknown(session):
    create(session, "d-twice")
    return [delete(session, "d-nobody"), delete(session, ""), delete(session, "d-twice", "d-twice"), exists(session, "d-twice")]


@case("DeleteTopics: name and id at once, and neither")
def delete_both(session):
    topic_id = create(session, "d-both")
    told = []
    for each in ({"Name": "d-both", "TopicId": topic_id}, {"Name": None}):
        answer = outcome(session.ask, "DeleteTopics", 6, {"Topics": [each], "TimeoutMs": 15_000})
        told.append(answer if isinstance(answer, str) else [part["ErrorCode"] for part in answer["Responses"]])
    return told


@case("DeleteTopics: created again, a topic has another id and starts at 0")
def recreate(session):
    from batches import batch
    from cases.common import fetch, produce
    first = create(session, "d-again")
    produce(session, "d-again", batch())
    delete(session, "d-again")
    gone(session, "d-again")
    second = create(session, "d-again")
    old = outcome(fetch, session, "", version=13, topic_id=first)
    return [first != second, fetch(session, "d-again")["high_watermark"], old if isinstance(old, str) else old["error"]]


def describe(session, kind, name, keys=None, version=4, synonyms=False):
    body = {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}],
            "IncludeSynonyms": synonyms}
    return session.ask("DescribeConfigs", version, body)["Results"][0]


def told(result):
    return {each["Name"]: [each["Value"], each["ReadOnly"], each.get("ConfigSource"), each["IsSensitive"],
                           each.get("ConfigType")] for each in result["Configs"]}


@case("DescribeConfigs: every topic config, its default, source and type")
def topic_configs(session):
    create(session, "g")
    result = describe(session, TOPIC, "g")
    return [result["ErrorCode"], told(result)]


@case("DescribeConfigs: every version, one key")
def describe_versions(session):
    create(session, "g-versions", configs={"retention.ms": "5000"})
    return [told(describe(session, TOPIC, "g-versions", ["retention.ms"], version)) for version in range(1, 5)]


@case("DescribeConfigs: keys that do not exist are left out")
def describe_keys(session):
    create(session, "g-keys")
    return told(describe(session, TOPIC, "g-keys", ["no.such.key", "cleanup.policy"]))


def told_synonyms(session, name, keys):
    """[key, value, source] for every place that is named, by config."""
    result = describe(session, TOPIC, name, keys, synonyms=True)
    return {each["Name"]: [[s["Name"], s["Value"], s["Source"]] for s in each["Synonyms"]] for each in result["Configs"]}


@case("DescribeConfigs: synonyms")
def synonyms(session):
    create(session, "g-synonyms", configs={"retention.ms": "5000", "segment.jitter.ms": "7"})
    return told_synonyms(session, "g-synonyms", [
        "retention.ms", "segment.ms", "segment.jitter.ms", "segment.bytes", "max.message.bytes", "cleanup.policy",
        "follower.replication.throttled.replicas"])


@case("DescribeConfigs: synonyms of which one is set on the broker")
def synonyms_of_the_broker(session):
    create(session, "g-of-the-broker")
    broker = str(own_id(session))
    answer = [alter(session, broker, ("log.retention.ms", SET, "777"), ("log.roll.ms", SET, "888"), kind=BROKER)]
    eventually(lambda: told_synonyms(session, "g-of-the-broker", ["retention.ms"])["retention.ms"])
    answer.append(told_synonyms(session, "g-of-the-broker", ["retention.ms", "segment.ms"]))
    answer.append(alter(session, broker, ("log.retention.ms", DELETE, None), ("log.roll.ms", DELETE, None), kind=BROKER))
    eventually(lambda: not told_synonyms(session, "g-of-the-broker", ["retention.ms"])["retention.ms"])
    answer.append(told_synonyms(session, "g-of-the-broker", ["retention.ms", "segment.ms"]))
    return answer


@case("IncrementalAlterConfigs: synonyms that only the configuration file sets")
def static_synonyms(session):
    broker = str(own_id(session))
    return [alter(session, broker, (key, SET, "5"), kind=BROKER, validate=True) for key in (
        "log.retention.minutes", "log.retention.hours", "log.roll.hours", "log.roll.jitter.hours")]


@case("DescribeConfigs: topics and brokers that do not exist, names without sense")
def describe_unknown(session):
    return [outcome(lambda: describe(session, kind, name)["ErrorCode"]) for kind, name in (
        (TOPIC, "g-nobody"), (TOPIC, ""), (TOPIC, "a b"), (BROKER, "99"), (BROKER, "seven"), (9, "x"), (0, "x"))]


@case("DescribeConfigs: broker configs that clients read")
def broker_configs(session):
    keys = ["num.partitions", "default.replication.factor", "auto.create.topics.enable", "min.insync.replicas",
            "log.retention.ms", "log.segment.bytes", "message.max.bytes", "compression.type", "log.cleanup.policy",
            "delete.topic.enable", "broker.id", "node.id"]
    seen = told(describe(session, BROKER, str(own_id(session)), keys))
    return {name: seen[name][0] for name in seen if name not in ("broker.id", "node.id")}


def alter(session, name, *changes, kind=TOPIC, validate=False, version=1, times=1):
    configs = [{"Name": key, "ConfigOperation": operation, "Value": value} for key, operation, value in changes]
    body = {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}] * times, "ValidateOnly": validate}
    answer = outcome(session.ask, "IncrementalAlterConfigs", version, body)
    return answer if isinstance(answer, str) else [each["ErrorCode"] for each in answer["Responses"]]


def value(session, name, key):
    """What the broker tells of a config once it has settled: Kafka answers before a change is everywhere."""
    seen = None
    while True:
        before, seen = seen, told(describe(session, TOPIC, name, [key]))[key][::2]
        if before == seen:
            return seen
        time.sleep(0.2)


@case("IncrementalAlterConfigs: set, then delete")
def set_delete(session):
    create(session, "a-set")
    return [alter(session, "a-set", ("retention.ms", SET, "777"), version=0), value(session, "a-set", "retention.ms"),
            alter(session, "a-set", ("retention.ms", DELETE, None)), value(session, "a-set", "retention.ms")]


@case("IncrementalAlterConfigs: append to and subtract from a list")
def lists(session):
    create(session, "a-list")
    steps = [(APPEND, "compact"), (APPEND, "compact"), (SUBTRACT, "delete"), (SUBTRACT, "delete"), (SUBTRACT, "compact")]
    return [[alter(session, "a-list", ("cleanup.policy", operation, each)), value(session, "a-list", "cleanup.policy")]
            for operation, each in steps]


@case("IncrementalAlterConfigs: append to what is no list")
def not_a_list(session):
    create(session, "a-scalar")
    return alter(session, "a-scalar", ("retention.ms", APPEND, "1"))


@case("IncrementalAlterConfigs: unknown key, wrong type, null, unknown operation")
def bad(session):
    create(session, "a-bad")
    return [alter(session, "a-bad", each) for each in (
        ("no.such.key", SET, "1"), ("retention.ms", SET, "soon"), ("retention.ms", SET, None), ("retention.ms", 9, "1"),
        ("no.such.key", DELETE, None), ("", SET, "1"))]


@case("IncrementalAlterConfigs: one bad change keeps the good one of the same topic out")
def together(session):
    create(session, "a-both")
    return [alter(session, "a-both", ("retention.ms", SET, "99"), ("segment.bytes", SET, "x")),
            value(session, "a-both", "retention.ms")]


@case("IncrementalAlterConfigs: the same topic twice, the same key twice")
def alter_twice(session):
    create(session, "a-twice")
    return [alter(session, "a-twice", ("retention.ms", SET, "1"), times=2),
            alter(session, "a-twice", ("retention.ms", SET, "1"), ("retention.ms", SET, "2")),
            value(session, "a-twice", "retention.ms")]


@case("IncrementalAlterConfigs: validate only changes nothing")
def alter_validate(session):
    create(session, "a-validate")
    return [alter(session, "a-validate", ("retention.ms", SET, "3"), validate=True), value(session, "a-validate", "retention.ms"),
            alter(session, "a-validate", ("retention.ms", SET, "x"), validate=True)]


@case("IncrementalAlterConfigs: a topic nobody has, an unknown kind")
def alter_unknown(session):
    return [alter(session, "a-nobody", ("retention.ms", SET, "1")), alter(session, "x", ("retention.ms", SET, "1"), kind=9),
            alter(session, "", ("retention.ms", SET, "1"))]
