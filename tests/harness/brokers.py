"""The brokers under test, as processes: Ringmain's release binary, Apache Kafka, or one that somebody else runs.

Ports lie below the kernel's ephemeral range, so that no outgoing connection can sit on one while a broker restarts.
Everything listens on 127.0.0.1 only. Only processes started here are ended here, by their own handle.
"""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = TESTS.parent
CACHE = pathlib.Path(os.environ.get("RINGMAIN_CACHE", REPOSITORY / ".cache")).resolve()
PYTHON = CACHE / "python" / "bin" / "python"
RINGMAIN = pathlib.Path(os.environ.get("RINGMAIN", REPOSITORY / "target" / "release" / "ringmain"))
START_DEADLINE_S = 30.0


# Ended from outside, a harness still stops what it started.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Failure(Exception):
    """A test's expectation that did not hold; the message says which."""


def free_port(first):
    """The first port from `first` on that nothing listens on, and its neighbour, which Kafka's controller takes."""
    for port in range(first, 32_000, 2):
        with socket.socket() as a, socket.socket() as b:
            a.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            b.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue
    raise Failure("no free port below 32000")


def accepts(port):
    """Whether something listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def answers(port, within_s=0.25):
    """Whether a broker answers ApiVersions on the port. That it accepts is not enough: the kernel closes the sockets of a
    killed process by and by, and until then may still complete a handshake on them."""
    try:
        with socket.create_connection(("127.0.0.1", port), within_s) as connection:
            connection.settimeout(within_s)
            connection.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            return len(connection.recv(4)) == 4
    except OSError:
        return False


class External:
    """A broker that is already running and that nobody here starts or stops."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.name = bootstrap

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Kept:
    """A broker's directory is removed with it, unless it is evidence."""

    kept = None

    def keep(self):
        """Called when a promise was broken: the directory, data and log, gets a name that no later run takes."""
        self.kept = self.directory.with_name(f"{self.directory.name}-kept-{time.strftime('%H%M%S')}-{os.getpid()}")

    def clear(self):
        if self.kept:
            self.directory.rename(self.kept)
            print(f"      data and log of the broker are kept: {self.kept}", flush=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


class Kafka(Kept):
    """One Apache Kafka node in a fresh directory; tests/kafka/kafka does the work."""

    name = "kafka"

    def __init__(self, port=21_092, directory=None, settings=()):
        self.port = free_port(port)
        self.settings = list(settings)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.directory = pathlib.Path(directory or CACHE / "run" / f"kafka-{self.port}")

    def start(self):
        """Starts the node and waits until it accepts a connection. Returns the seconds that took."""
        began = time.monotonic()
        subprocess.run([TESTS / "kafka" / "kafka", "start", str(self.port), self.directory, *self.settings], check=True)
        return time.monotonic() - began

    def pid(self):
        return int((self.directory / "pid").read_text())

    def kill(self):
        """kill -9, and the wait until the port is free again."""
        os.kill(self.pid(), signal.SIGKILL)
        while accepts(self.port):
            time.sleep(0.01)

    def stop(self):
        subprocess.run([TESTS / "kafka" / "kafka", "stop", self.directory], check=True)

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.clear()


class Ringmain(Kept):
    """One Ringmain node: the release binary on a data directory of its own. Its output goes to `broker.log` there."""

    name = "ringmain"

    def __init__(self, port=21_192, directory=None, shards=2, settings=(), binary=None):
        self.port = free_port(port)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.directory = pathlib.Path(directory or CACHE / "run" / f"ringmain-{self.port}")
        self.shards = shards
        self.settings = list(settings)
        self.binary = pathlib.Path(binary or RINGMAIN)
        self.process = None

    def command(self):
        command = [self.binary, "start", "--data-dir", self.directory / "data", "--kafka-addr", self.bootstrap,
                   "--shards", str(self.shards)]
        for setting in self.settings:
            command += ["--set", setting]
        return command

    def start(self):
        """Starts the process and waits until it answers. Returns the seconds that took."""
        self.directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open(self.directory / "broker.log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while time.monotonic() < began + START_DEADLINE_S:
            if self.process.poll() is not None:
                raise Failure(f"ringmain ended with {self.process.returncode} at start:\n{self.log_tail()}")
            if answers(self.port):
                return time.monotonic() - began
            time.sleep(0.005)
        raise Failure(f"ringmain does not answer after {START_DEADLINE_S} s:\n{self.log_tail()}")

    def pid(self):
        return self.process.pid

    def kill(self):
        """kill -9: nothing is flushed, nothing is said."""
        if self.process.poll() is not None:
            raise Failure(f"ringmain ended by itself with {self.process.returncode}:\n{self.log_tail()}")
        self.process.kill()
        self.process.wait()

    def stop(self):
        """The orderly end; a node that does not end within 20 s has failed."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("ringmain did not end within 20 s of SIGTERM") from None

    def log_tail(self, lines=20):
        """The last lines of its log; all of them for None."""
        text = (self.directory / "broker.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:] if lines else text.splitlines())

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.start()
        return self

    def __exit__(self, failed, *_):
        self.stop()
        if not failed:
            self.clear()


def broker(name, settings=()):
    """`ringmain` or `kafka` with these settings, or the host:port of a broker that runs already."""
    if name == "ringmain":
        return Ringmain(settings=settings)
    if name == "kafka":
        return Kafka(settings=settings)
    return External(name)


class Tally:
    """Counts cases, prints one line for each, and ends with the line that tests/run adds up."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def ok(self, case):
        self.passed += 1
        print(f"ok    {case}", flush=True)

    def fail(self, case, why):
        self.failed += 1
        print(f"FAIL  {case}: {why}", flush=True)

    def check(self, case, holds, why):
        self.ok(case) if holds else self.fail(case, why)

    def finish(self):
        """Prints `N passed, N failed`; returns the exit code. A run that checked nothing is a failure."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
