"""What both Python workers share: the command line, the commands on standard input, the lines on standard output."""

import argparse
import os
import queue
import sys
import threading
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["subscribe"])
    parser.add_argument("bootstrap")
    parser.add_argument("consumer_group")
    parser.add_argument("topics", type=lambda names: names.split(","))
    parser.add_argument("--instance")
    parser.add_argument("--assignor")
    parser.add_argument("--protocol", default="classic", choices=["classic", "consumer"])
    parser.add_argument("--session-ms", type=int, default=6_000)
    # A bug on purpose: what this worker commits is so many records further than what it printed.
    parser.add_argument("--plant-ahead", type=int, default=0)
    return parser.parse_args()


def say(*words):
    """One event, with the moment in microseconds before it. What nobody reads any more ends the worker."""
    try:
        sys.stdout.write(" ".join([str(time.time_ns() // 1_000), *map(str, words)]) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(1)


def listed(partitions):
    """`topic/0,topic/1`, or `-` for none."""
    return ",".join(f"{topic}/{partition}" for topic, partition in sorted(partitions)) or "-"


def listed_offsets(offsets):
    return ",".join(f"{topic}/{partition}@{offset}" for (topic, partition), offset in sorted(offsets.items())) or "-"


class Commands(threading.Thread):
    """The lines of standard input, one by one without waiting. Its end is the end of the worker: whoever started it is gone."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lines = queue.SimpleQueue()
        self.start()

    def run(self):
        for line in sys.stdin:
            self.lines.put(line.strip())
        os._exit(1)

    def next(self):
        try:
            return self.lines.get_nowait()
        except queue.Empty:
            return None
