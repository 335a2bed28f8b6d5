"""A flap storm over ribwatch and BIRD at once, with BIRD as the judge.

  benches/storm/run                       a minute
  benches/storm/run --seconds 3600        an hour (make storm)
  benches/storm/run --peers N --prefixes N --rate N --kill-every SECONDS --seed N
  benches/storm/run --ribwatch FILE       another binary than target/release/ribwatch

Fifty peers, all played by one process (`peers.rs`), tell both daemons the same: random announcements and withdrawals,
and each peer's sessions are killed about once in --kill-every seconds. Both daemons export everything to everybody. When
the storm is over and all sessions are back, the run is good (exit code 0) if

  1. both hold the same best route for every prefix: same path, same neighbour;
  2. both told every peer the same;
  3. ribwatch ended no session on its own;
  4. ribwatch's memory has not grown from the second tenth of the storm to the last.
"""

import argparse
import collections
import json
import os
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(HERE, "..", "..", "interop")]
sys.dont_write_bytecode = True
import daemons  # noqa: E402  (its folder is known only now)
import views  # noqa: E402

MIB = 1024 * 1024
# A table that is laid out anew moves by this much without growing.
# Tables of bounded size fill meanwhile, most of them in the first minutes: scores of flaps take up to 17 MiB.
GROWTH_ALLOWED, SLACK = 0.03, 4 * MIB
PORTS = [daemons.free_port(), daemons.free_port()]
NAMES = ["BIRD", "ribwatch"]


class Bird(daemons.Bird):
    """Deterministic MED: without it BIRD's choice depends on what came first."""

    def config(self, neighbors):
        # Losses are the point here: no line for each.
        text = "log stderr { warning, error, fatal, bug };\nrouter id 127.0.0.1;\nprotocol device { scan time 3600; }\nipv4 table igp4;\n"
        for i, n in enumerate(neighbors):
            text += f"""
protocol bgp p{i} {{
  local 127.0.0.1 port {daemons.OWN_PORT} as {self.local_asn};
  neighbor {n.address} port {PORTS[0]} as {n.asn};
  multihop; hold time 240; connect delay time 1; connect retry time 1; error wait time 1, 2; error forget time 1;
  deterministic med;
  ipv4 {{ igp table igp4; import all; export all; }};
}}
"""
        return text

    def best(self):
        """Every prefix with its best route: path and neighbour."""
        return {r["prefix"]: (r["as_path"], r["neighbor"]) for r in LocalBird(self.path("ctl")).routes() if r["best"]}


class LocalBird(views.BirdView):
    """The view of interop, asked on this machine."""

    def __init__(self, socket):
        super().__init__(None, "bird")
        self.socket = socket

    def birdc(self, command):
        return daemons.output("birdc", "-s", self.socket, "-r", command)


class Ribwatch(daemons.Ribwatch):
    def config(self, neighbors):
        text = f"""
[router]
asn = {self.local_asn}
router_id = "127.0.0.1"
listen = []
[api]
listen = "127.0.0.1:{daemons.API_PORT}"
[http]
listen = "127.0.0.1:{daemons.HTTP_PORT}"
# What neighbors said lately fills its room and stays there: with a small room that is before memory is looked at.
[rib]
history = "1MiB"
"""
        for n in neighbors:
            text += f"""
[[neighbor]]
address = "{n.address}"
remote_asn = {n.asn}
port = {PORTS[1]}
local_address = "127.0.0.1"
connect_retry = "1s"
families = ["ipv4-unicast"]
import = ["accept-all"]
export = ["accept-all"]
"""
        return text

    def best(self):
        program = os.path.abspath(self.program)
        text = daemons.output(program, "rib", "--json", "--api", f"127.0.0.1:{daemons.API_PORT}")
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        if not rows:
            print(f"  ribwatch rib: {text[:400]}")
        return {r["prefix"]: (r["as_path"], r["neighbor"]) for r in rows}


class Weather:
    """The process that plays the peers."""

    def __init__(self, program, options):
        self.process = subprocess.Popen(
            [program, "--peers", str(options.peers), "--prefixes", str(options.prefixes), "--seed", str(options.seed),
             "--seconds", str(options.seconds), "--rate", str(options.rate), "--kill-every", str(options.kill_every),
             "--first-port", str(PORTS[0]), "--second-port", str(PORTS[1])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.facts, self.lost = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            fact = json.loads(line)
            if fact["event"] == "lost":
                self.lost.append(fact)
            else:
                self.facts.put(fact)
        self.facts.put({"event": "ended"})

    def wait_for(self, event, seconds, meanwhile=lambda: None):
        deadline = time.monotonic() + seconds
        while True:
            meanwhile()
            try:
                fact = self.facts.get(timeout=0.25)
            except queue.Empty:
                if time.monotonic() > deadline:
                    sys.exit(f"storm: no '{event}' in {seconds} s")
                continue
            if fact["event"] == event:
                return fact
            if fact["event"] == "ended":
                sys.exit(f"storm: the peers ended before '{event}'")

    def stop(self):
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def build_peers():
    """Compiles peers.rs with rustc: the standard library is all it needs."""
    target = os.path.join(HERE, "..", "..", "target", "bench")
    program = os.path.join(target, "storm_peers")
    sources = [os.path.join(HERE, "peers.rs"), *(os.path.join(HERE, "..", "table_feed", n) for n in ("wire.rs", "random.rs"))]
    if not os.path.exists(program) or os.path.getmtime(program) < max(map(os.path.getmtime, sources)):
        os.makedirs(target, exist_ok=True)
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", program, sources[0]], check=True)
    return os.path.abspath(program)


def growth(samples, began, seconds):
    """Mean memory of the second and of the last tenth of the storm."""
    def tenth(number):
        first, last = began + seconds * number / 10, began + seconds * (number + 1) / 10
        return statistics.mean(rss for at, rss in samples if first <= at < last)
    return tenth(1), tenth(9)


def compare(wanted, got):
    """Prefixes whose best route differs, most telling first."""
    kinds = collections.Counter()
    examples = []
    for prefix in sorted(wanted.keys() | got.keys()):
        theirs, ours = wanted.get(prefix), got.get(prefix)
        if theirs == ours:
            continue
        kind = "missing here" if ours is None else "missing there" if theirs is None else (
            "another path" if theirs[0] != ours[0] else "another neighbour")
        kinds[kind] += 1
        if len(examples) < 5:
            examples.append(f"{prefix}: BIRD {theirs}, ribwatch {ours}")
    return kinds, examples


def verdict(text, true):
    print(f"  {'ok    ' if true else 'FAILED'} {text}", flush=True)
    return true


def storm(options, directory):
    neighbors = [daemons.Neighbor(f"127.0.3.{i + 1}", 65001 + i % 20) for i in range(options.peers)]
    weather = Weather(build_peers(), options)
    both = [Bird(os.path.join(directory, "bird")), Ribwatch(os.path.join(directory, "ribwatch"))]
    try:
        weather.wait_for("ready", 10)
        for daemon in both:
            os.mkdir(daemon.directory)
            daemon.start(neighbors, [])
        usages = [daemons.Usage(daemon.process.pid) for daemon in both]
        weather.wait_for("up", 150)
        began, samples = time.monotonic(), [[], []]

        def sample():
            for usage, seen in zip(usages, samples):
                seen.append((time.monotonic(), usage.memory("VmRSS")))

        calm = weather.wait_for("calm", options.seconds + 420, sample)
        for usage in usages:
            usage.wait_idle(time.monotonic() + 60, quiet=2.0)
        weather.process.stdin.write("compare\n")
        weather.process.stdin.flush()
        told = weather.wait_for("told", 30)
        best = [daemon.best() for daemon in both]
        return judge(options, weather, calm, told, best, samples, began, usages)
    finally:
        weather.stop()
        for daemon in both:
            daemon.stop()


def judge(options, weather, calm, told, best, samples, began, usages):
    """Prints the figures and the four verdicts; True when all are good."""
    print(f"  {calm['changes']:,} changes, {calm['kills']} peers killed in {options.seconds} s; "
          f"{calm['paths']:,} paths at the end")
    for name, usage, seen in zip(NAMES, usages, samples):
        second, last = growth(seen, began, options.seconds)
        print(f"  {name:<9} CPU {usage.cpu_seconds():7.1f} s   memory {second / MIB:7.1f} MiB in the second tenth, "
              f"{last / MIB:7.1f} in the last ({last / second - 1:+.1%})")
    kinds, examples = compare(*best)
    good = verdict(f"{len(best[0]):,} best routes of BIRD, {len(best[1]):,} of ribwatch, {sum(kinds.values())} differ"
                   + (f" {dict(kinds)}" if kinds else ""), not kinds and len(best[0]) > 0)
    for example in examples:
        print(f"         {example}")
    good &= verdict(f"{told['routes']:,} routes told to the peers, {told['different']} differ"
                    + (f", such as {told['example']}" if told["different"] else ""),
                    told["different"] == 0 and told["routes"] > 0)
    ours = [lost for lost in weather.lost if lost["daemon"] == 1]
    theirs = len(weather.lost) - len(ours)
    good &= verdict(f"ribwatch ended {len(ours)} sessions on its own (BIRD {theirs})", not ours)
    for lost in ours[:5]:
        print(f"         {lost['peer']}: {lost['reason']}")
    second, last = growth(samples[1], began, options.seconds)
    good &= verdict("memory of ribwatch has not grown", last <= second * (1 + GROWTH_ALLOWED) + SLACK)
    return good


def main():
    parser = argparse.ArgumentParser(prog="benches/storm/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--peers", type=int, default=50)
    parser.add_argument("--prefixes", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--kill-every", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ribwatch")
    options = parser.parse_args()
    if options.ribwatch:
        daemons.Ribwatch.program = os.path.abspath(options.ribwatch)
    if not daemons.Ribwatch.available():
        sys.exit(f"storm: no ribwatch at {daemons.Ribwatch.program}: run `cargo build --release`, or name one with --ribwatch")
    print(f"storm: {options.peers} peers, {options.prefixes:,} prefixes, {options.rate:,} changes a second, seed "
          f"{options.seed}; {Bird.version()}, {Ribwatch.version()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ribwatch-storm-") as directory:
        os.chmod(directory, 0o755)
        good = storm(options, directory)
    print("the storm is weathered" if good else "the storm did damage")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
