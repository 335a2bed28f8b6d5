"""What readers cost the one who writes: ingest of a full table while others read it (`benches/run readers`).

Each round loads the table into a fresh ribwatch and passes it to one receiver: quiet, with a client that streams the whole
Adj-RIB-In over gRPC again and again (`ribwatch rib --json`), or with one that looks prefixes up as fast as it is answered.
With few CPUs wall time mostly shows that the readers need some, too; the time of the engine's own thread shows what they
do to ingest.
"""

import http.client
import os
import statistics
import subprocess
import threading
import time

import daemons

ROUNDS = 5
KINDS = ("quiet", "streamed", "looked up")


class Lookups(threading.Thread):
    """One prefix after the other over one HTTP connection; keeps the answer times."""

    def __init__(self):
        super().__init__(daemon=True)
        self.milliseconds, self.stop = [], False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", daemons.HTTP_PORT, timeout=30)
        number = 0
        while not self.stop:
            number += 1
            started = time.perf_counter()
            connection.request("GET", f"/api/v1/rib?match=longest&prefix={1 + number % 220}.{number * 7 % 256}.1.1")
            connection.getresponse().read()
            self.milliseconds.append((time.perf_counter() - started) * 1000)


class Streams(threading.Thread):
    """The whole table, again and again, until told to stop."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program, self.stop, self.octets, self.client = program, False, 0, None

    def run(self):
        argv = [self.program, "rib", "--table", "adj-in", "--json", "--api", f"127.0.0.1:{daemons.API_PORT}"]
        while not self.stop:
            self.client = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            while block := self.client.stdout.read(1 << 20):
                self.octets += len(block)
            self.client.wait()

    def end(self):
        self.stop = True
        if self.client:
            self.client.terminate()
        self.join()


def engine_seconds(pid):
    """CPU seconds of the thread that owns the RIB; all threads where none has that name."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue
        name, fields = text[text.index("(") + 1:text.rindex(")")], text.rsplit(")", 1)[1].split()
        found[name] = found.get(name, 0) + (int(fields[11]) + int(fields[12])) / daemons.Usage.TICKS
    return found.get("engine", sum(found.values()))


def one_round(start_feeder, directory, kind, limit_seconds):
    """(wall seconds, engine CPU seconds, lookup times in ms, octets streamed) of one load."""
    feeder = start_feeder()
    daemon = daemons.Ribwatch(directory)
    lookups, streams = Lookups(), Streams(os.path.abspath(daemons.Ribwatch.program))
    try:
        deadline = time.monotonic() + limit_seconds
        table = feeder.wait_for("ready", deadline)
        daemon.start([daemons.Neighbor("127.0.1.1", table["peer_asn"]),
                      daemons.Neighbor("127.0.2.1", 64999, receives=True)], [])
        feeder.wait_for("established", deadline)
        if kind == "looked up":
            lookups.start()
        if kind == "streamed":
            streams.start()
        before = engine_seconds(daemon.process.pid)
        feeder.say("table")
        wall = feeder.wait_for("received", deadline)["seconds"]
        cpu = engine_seconds(daemon.process.pid) - before
        lookups.stop = True
        if kind == "looked up":
            lookups.join()
        if kind == "streamed":
            streams.end()
        return wall, cpu, lookups.milliseconds, streams.octets
    finally:
        feeder.stop()
        daemon.stop()


def measure(start_feeder, make_directory, limit_seconds):
    """Runs the rounds, the kinds in turn, and prints a line of medians for each kind, then the answer times."""
    figures, milliseconds, octets = {kind: [] for kind in KINDS}, [], 0
    for _ in range(ROUNDS):
        for kind in KINDS:
            with make_directory() as directory:
                wall, cpu, times, streamed = one_round(start_feeder, directory, kind, limit_seconds)
                figures[kind].append((wall, cpu))
                milliseconds += times
                octets += streamed
    print("\nreaders: 1 peer x 1,000,000 prefixes in, 1 peer out, ribwatch alone and while it is read (medians)")
    medians = {kind: [statistics.median(values) for values in zip(*rounds)] for kind, rounds in figures.items()}
    for kind, (wall, cpu) in medians.items():
        wall_x, cpu_x = wall / medians["quiet"][0], cpu / medians["quiet"][1]
        print(f"  {kind:<10} wall {wall:6.2f} s (x {wall_x:.2f})   engine thread {cpu:6.2f} CPU s (x {cpu_x:.2f})")
    milliseconds.sort()
    print(f"  {octets / 1e6:.0f} MB of routes streamed; {len(milliseconds)} look-ups: median "
          f"{statistics.median(milliseconds):.2f} ms, 99 % within {milliseconds[len(milliseconds) * 99 // 100]:.2f} ms")
