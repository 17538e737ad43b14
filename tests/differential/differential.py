"""The same requests to Apache Kafka and to Ringmain; every difference is either in allowed.toml with a reason, or a failure.

Each case runs against both brokers, each fresh, with topics of its own, and returns what can be compared: error codes,
offsets, timestamps, keys, headers, the way a connection ended. Cases that raise count as an answer too ("no answer"), so
that one broken case hides no other.

    differential.py [--left kafka|HOST:PORT] [--right ringmain|HOST:PORT] [--only TEXT] [--show]

`--show` prints the left broker's answers in full. The table at the end of a run is the report.
"""

import argparse
import concurrent.futures
import contextlib
import json
import pathlib
import sys
import tomllib
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "harness")]
import brokers  # noqa: E402
import schema  # noqa: E402
from cases import (  # noqa: E402, F401 - each registers its cases
    common, compaction, consumer_groups, fetch, framing, group_configs, groups, metadata, migration, more, offsets, produce,
    retention, sessions, topics,
)
from connection import Session  # noqa: E402


def answers(messages, bootstrap, cases):
    """What one broker answers to each case, by name, as plain JSON values."""
    session = Session(messages, bootstrap)
    seen = {}
    for name, function in cases:
        try:
            seen[name] = json.loads(json.dumps(function(session), default=str))
        except Exception as failure:  # noqa: BLE001 - a case that breaks is an answer that differs
            where = traceback.extract_tb(failure.__traceback__)[-1]
            seen[name] = f"no answer: {type(failure).__name__} {failure} ({where.name})"
            session = Session(messages, bootstrap)
    return seen


def differences(left, right, path=""):
    """(path, left, right) wherever two answers differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from differences(left.get(key, "absent"), right.get(key, "absent"), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right)):
            yield from differences(one, other, f"{path}[{index}]")
    elif left != right:
        yield path or ".", left, right


def same(right, answer):
    """Whether an answer is the one a row names; TOML has no null, so the row says "null"."""
    return right is None if answer == "null" else right == answer and type(right) is type(answer)


class Allowed:
    """The differences that are meant, each with its reason. One that no longer occurs must be taken out."""

    def __init__(self, path):
        self.rows = tomllib.loads(path.read_text())["difference"]
        for row in self.rows:
            assert row["reason"], row
        self.used = set()

    def reason(self, case, path, right):
        """Why this difference is allowed, or None. A row may fix what Ringmain answers instead."""
        for number, row in enumerate(self.rows):
            if row["case"] != case or not path.startswith(row.get("path", "")):
                continue
            if "answers" in row and not any(same(right, each) for each in row["answers"]):
                continue
            self.used.add(number)
            return row["reason"]
        return None

    def stale(self, cases):
        """Rows for these cases that nothing needed."""
        return [row for number, row in enumerate(self.rows) if number not in self.used and row["case"] in cases]


def short(value, width=44):
    text = json.dumps(value)
    return text if len(text) <= width else text[:width - 1] + "…"


def compare(left, right, allowed, tally, watch_stale):
    """Prints the table and counts; each case is one row, each difference that is not allowed one more line."""
    print(f"{'':8}{'case':78}{'kafka':46}ringmain")
    for case in left:
        found = list(differences(left[case], right[case]))
        unexplained = [each for each in found if allowed.reason(case, each[0], each[2]) is None]
        verdict = "FAIL" if unexplained else "allowed" if found else "ok"
        print(f"{verdict:8}{case[:76]:78}{short(left[case]):46}{short(right[case])}", flush=True)
        for path, one, other in unexplained[:8]:
            print(f"{'':8}  {path}: {short(one, 100)} != {short(other, 100)}")
        tally.passed += not unexplained
        tally.failed += bool(unexplained)
    for row in allowed.stale(left.keys()) if watch_stale else ():
        tally.fail(f"allowed.toml: {row['case']} {row.get('path', '')}", "this difference no longer occurs; take it out")


# Groups whose rebalances begin at once, and sessions that a case can wait for; the reference's server.properties says the rest.
# Changes of a group are gathered for a second before they are assigned (KIP-1263), in Kafka beside the coordinator; here it
# is done at once. Records have small timestamps and are to stay, also when retention looks for the first time, after 30 s.
USUAL = {"ringmain": ["log.retention.ms=-1", "group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=500",
                      "offsets.topic.num.partitions=4", "group.consumer.assignment.interval.ms=0"],
         "kafka": ["log.retention.ms=-1", "group.min.session.timeout.ms=500", "group.consumer.assignment.interval.ms=0",
                   "group.consumer.assignor.offload.enable=false"]}
# Kafka looks for the first time after half a minute, and rounds that are shorter change nothing about that.
HURRY = {"ringmain": ["log.retention.check.interval.ms=300", "log.cleaner.backoff.ms=300"],
         "kafka": ["log.retention.check.interval.ms=300", "log.initial.task.delay.ms=300", "log.cleaner.backoff.ms=300"]}


def both(messages, options, cases, settings):
    """The answers of both brokers, each started with its settings."""
    with contextlib.ExitStack() as stack:
        pair = [stack.enter_context(brokers.broker(name, settings.get(name, ())))
                for name in (options.left, options.right)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda broker: answers(messages, broker.bootstrap, cases), pair))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", default="kafka")
    parser.add_argument("--right", default="ringmain")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()

    jar = next((brokers.CACHE / "kafka" / "jars").glob("kafka-clients-*.jar"))
    messages = schema.Messages(jar)
    cases = [(name, function) for name, function in common.CASES if options.only in name]
    tally = brokers.Tally()
    left, right = {}, {}
    for hurried, settings in ((False, USUAL), (True, HURRY)):
        group = [case for case in cases if (case[0] in common.HURRIED) == hurried]
        if group:
            for told, more_told in zip((left, right), both(messages, options, group, settings)):
                told |= more_told
    if options.show:
        for name, answer in left.items():
            print(f"{name}\n    {json.dumps(answer)}")
    compare(left, right, Allowed(HERE / "allowed.toml"), tally, options.right != "kafka")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
