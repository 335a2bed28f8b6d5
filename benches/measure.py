"""Feeds the same table over loopback to ribwatch and to other BGP daemons and prints what it cost each.

  benches/run                      all scenarios with ribwatch and BIRD, the first one with every daemon (ALL=1: all)
  benches/run ingest propagate     only these: ingest peers propagate fanin withdraw rs-policy prefix-set readers
                                   alert-latency detectors
  benches/run --daemons BIRD,FRR   only these daemons
  benches/run --mrt FILE           a recorded feed (BGP4MP; .gz .bz2 .xz or plain) in place of the made table
  benches/run --replay FILE        recorded updates for `detectors`, in place of those of ../shared/data/mrt; may be repeated
  benches/run --prefixes N --seed N --scale X     another table; --scale 2 doubles every scenario (linearity)
  benches/run --peers N            another number of peers (rs-policy: clients)
  benches/run --cpus 0|all         where the daemon may run (default 0; the feeder is on the last CPU)
  benches/run --ribwatch FILE      another binary than target/release/ribwatch
  benches/run --json FILE          the figures for machines, too

CPU is user + system time of the daemon from the first octet sent until it is idle. RSS is its high-water mark. Bytes per
path is growth of resident memory since the sessions came up, divided by the paths received. Wall is until the receiver
holds exactly the table that was sent (propagate, churn), else until the daemon went idle with all routes counted.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import alerts  # noqa: E402  (their folder is known only now)
import daemons  # noqa: E402
import policies  # noqa: E402
import readers  # noqa: E402

LIMIT_SECONDS = 300
# Updates without incidents, for `detectors`.
RECORDED = ("pch-ebgp-fulltable-feed.20151023.bgp4mp_et.gz", "routeviews-updates.20260222.1530.bz2", "ris-updates.20160811.1600.gz")
CHURN_ROUNDS = 5
# name: (prefixes, sending peers, with a receiver, what follows the table, what it is)
SCENARIOS = {
    "ingest": (1_000_000, 1, False, [], "{peers} x {prefixes:,} prefixes in"),
    "peers": (100_000, 30, False, [], "{peers} x {prefixes:,} prefixes in, own paths each"),
    "propagate": (1_000_000, 1, True, ["churn"] * CHURN_ROUNDS,
                  "{peers} x {prefixes:,} prefixes in, 1 peer out; then 20 % churn five times"),
    "fanin": (200_000, 10, True, [], "{peers} x the same {prefixes:,} prefixes in, the best of each to 1 peer"),
    "withdraw": (1_000_000, 1, True, ["withdraw"], "{peers} x {prefixes:,} prefixes in, 1 peer out; then all is taken back"),
}


class Failure(Exception):
    """A daemon did not do its part; the others are measured all the same."""


class Feeder:
    """The table_feed process: commands in, facts out."""

    Failure = Failure

    def __init__(self, program, arguments, cpu):
        self.process = subprocess.Popen(
            ["taskset", "-c", cpu, program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.facts = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.facts.put(json.loads(line))
        self.facts.put({"event": "ended"})

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def wait_for(self, event, deadline):
        """The next fact of this kind; any sign of trouble before it is a Failure."""
        while True:
            try:
                fact = self.facts.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                self.say("holes")
                try:
                    holes = self.facts.get(timeout=5)
                except queue.Empty:
                    holes = {}
                raise Failure(f"no '{event}' in time {holes if holes.get('event') == 'holes' else ''}") from None
            if fact["event"] == event:
                return fact
            if fact["event"] in ("down", "ended"):
                raise Failure(fact.get("reason", "feeder ended"))

    def stop(self):
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def figures(label, usage, before, paths, wall, cpu):
    """One row of the table."""
    rss = usage.memory("VmRSS")
    return {
        "step": label, "wall_s": wall, "cpu_s": cpu - before["cpu"], "peak_rss": usage.memory("VmHWM"), "rss": rss,
        "idle_rss": before["rss"],
        "bytes_per_path": (rss - before["rss"]) / paths if paths else None,
    }


def measure(kind, scenario, options, feeder_program):
    """Runs one scenario with one daemon; returns its rows."""
    prefixes, peers, receiver, steps, _ = SCENARIOS[scenario]
    prefixes, peers = int((options.prefixes or prefixes) * options.scale), options.peers or peers
    arguments = ["--prefixes", str(prefixes), "--peers", str(peers), "--seed", str(options.seed)]
    arguments += ["--listen-port", str(daemons.PORT)]
    arguments += ["--receiver"] if receiver else []
    arguments += ["--mrt", options.mrt] if options.mrt else []
    with tempfile.TemporaryDirectory(prefix="ribwatch-bench-") as directory:
        # FRR and OpenBGPD leave root's identity behind and still want to read their files.
        os.chmod(directory, 0o755)
        feeder = Feeder(feeder_program, arguments, str(os.cpu_count() - 1))
        daemon = kind(directory)
        try:
            deadline = time.monotonic() + LIMIT_SECONDS
            table = feeder.wait_for("ready", deadline)
            # A feed recorded inside an AS is played inside that AS.
            daemon.local_asn = table["local_asn"] or daemon.local_asn
            first = table["peer_asn"]
            neighbors = [daemons.Neighbor(f"127.0.1.{i + 1}", first + i) for i in range(table["peers"])]
            neighbors += [daemons.Neighbor("127.0.2.1", 64999, receives=True)] if receiver else []
            daemon.start(neighbors, [] if options.cpus == "all" else ["taskset", "-c", options.cpus])
            feeder.wait_for("established", time.monotonic() + 90)
            return table, drive(daemon, feeder, table, receiver, steps, options, deadline)
        except Failure as failure:
            raise Failure(f"{failure}{daemon.obituary()}") from None
        finally:
            feeder.stop()
            daemon.stop()


def drive(daemon, feeder, table, receiver, steps, options, deadline):
    """The table, then what follows; every step ends when the daemon is idle."""
    usage = daemons.Usage(daemon.process.pid)
    usage.wait_idle(time.monotonic() + 10)
    before = {"cpu": usage.cpu_seconds(), "rss": usage.memory("VmRSS")}
    paths = table["prefixes"] * table["peers"]
    rows = []
    started = time.monotonic()
    feeder.say("table")
    if receiver and not options.mrt:
        wall = feeder.wait_for("received", deadline)["seconds"]
        _, cpu = usage.wait_idle(deadline)
    else:
        feeder.wait_for("sent", deadline)
        idle_since, cpu, held = wait_for_routes(daemon, usage, paths, deadline)
        wall = idle_since - started
        # A recorded feed may hold a handful of routes that a daemon rightly refuses.
        if held < paths * (0.999 if options.mrt else 1):
            raise Failure(f"holds {held} of {paths} routes")
    rows.append(figures("table", usage, before, paths, wall, cpu))
    if receiver and options.mrt:
        feeder.say("holes")
        holes = feeder.wait_for("holes", deadline)
        rows[0]["wall_s"] = holes["seconds"]
        rows[0]["note"] = f"receiver lacks {holes['missing']}, {holes['other_path']} with another path"
    for turn, step in enumerate(steps if not options.mrt else []):
        cpu_before = {"cpu": usage.cpu_seconds(), "rss": before["rss"]}
        feeder.say(step)
        wall = feeder.wait_for("received", deadline)["seconds"]
        _, cpu = usage.wait_idle(deadline)
        rows.append(figures(f"{step} {turn + 1}", usage, cpu_before, paths, wall, cpu))
    return rows


def wait_for_routes(daemon, usage, paths, deadline):
    """Waits until the daemon is idle with all routes, or stays idle with fewer; asks it only when it is idle."""
    last = None
    while True:
        idle_since, cpu = usage.wait_idle(deadline)
        held = daemon.received()
        if held == paths or held == last or time.monotonic() > deadline:
            return idle_since, cpu, held
        last = held


def summarise(rows):
    """The table's row, and one for all churn rounds together with the growth of memory over them."""
    table, churn = rows[0], rows[1:]
    out = [table]
    if len(churn) == 1:
        # After the last route is gone there are no octets per path.
        out.append({**churn[0], "step": churn[0]["step"].split()[0], "bytes_per_path": None})
    elif churn:
        out.append({
            "step": "churn x5", "wall_s": sum(r["wall_s"] for r in churn), "cpu_s": sum(r["cpu_s"] for r in churn),
            "peak_rss": churn[-1]["peak_rss"], "rss": churn[-1]["rss"], "bytes_per_path": churn[-1]["bytes_per_path"],
            "growth": churn[-1]["rss"] / churn[0]["rss"] - 1,
        })
    return out


def print_rows(name, rows, reference):
    """One line for each step, with ratios to BIRD in the same step."""
    for i, row in enumerate(rows):
        base = reference[i] if reference and i < len(reference) else None
        mib = 1024 * 1024
        line = f"  {name:<10} {row['step']:<9} {row['wall_s']:8.2f} {row['cpu_s']:8.2f} {row['peak_rss'] / mib:9.1f}"
        line += f" {row['bytes_per_path']:10.0f}" if row["bytes_per_path"] is not None else " " * 11
        if base:
            line += "".join(f" {row[k] / base[k]:7.2f}" if base[k] else " " * 8 for k in ("wall_s", "cpu_s", "peak_rss"))
        if "growth" in row:
            line += f"   memory {row['growth']:+.1%} from first to last round"
        print(line + ("   " + row["note"] if "note" in row else ""), flush=True)


def measure_readers(options, feeder_program):
    """The scenario without another daemon: it compares ribwatch with itself."""
    if not daemons.Ribwatch.available():
        return
    prefixes = int((options.prefixes or 1_000_000) * options.scale)
    arguments = ["--prefixes", str(prefixes), "--seed", str(options.seed), "--receiver", "--listen-port", str(daemons.PORT)]

    def start_feeder():
        return Feeder(feeder_program, arguments, str(os.cpu_count() - 1))

    def make_directory():
        return tempfile.TemporaryDirectory(prefix="ribwatch-bench-")

    readers.measure(start_feeder, make_directory, LIMIT_SECONDS)


def measure_alerts(scenario, bench):
    """Whether the limits of a scenario without another daemon hold."""
    if not daemons.Ribwatch.available():
        return True
    try:
        return alerts.SCENARIOS[scenario](bench)
    except Failure as failure:
        print(f"  {scenario} failed: {failure}", flush=True)
        return False


class Bench:
    """What the scenarios of `policies` and `alerts` need from here."""

    unpacked = staticmethod(lambda file, directory: unpacked(file, directory))

    def __init__(self, options, program):
        self.options, self.program = options, program
        self.prefixes, self.peers = options.prefixes, options.peers
        self.cpus = [] if options.cpus == "all" else ["taskset", "-c", options.cpus]

    def sized(self, number):
        return int(number * self.options.scale)

    def deadline(self):
        return time.monotonic() + LIMIT_SECONDS

    def directory(self):
        return tempfile.TemporaryDirectory(prefix="ribwatch-bench-")

    def feeder(self, *arguments):
        arguments = [*arguments, "--seed", str(self.options.seed), "--listen-port", str(daemons.PORT)]
        return Feeder(self.program, arguments, str(os.cpu_count() - 1))

    def ingest(self, daemon, feeder, usage, table):
        """The row of the first table."""
        return drive(daemon, feeder, table, False, [], self.options, self.deadline())[0]


def build_feeder():
    """Compiles benches/table_feed with rustc: the standard library is all it needs."""
    target = os.path.join(HERE, "..", "target", "bench")
    program = os.path.join(target, "table_feed")
    folder = os.path.join(HERE, "table_feed")
    newest = max(os.path.getmtime(os.path.join(folder, name)) for name in os.listdir(folder))
    if not os.path.exists(program) or os.path.getmtime(program) < newest:
        os.makedirs(target, exist_ok=True)
        source = os.path.join(folder, "main.rs")
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", program, source], check=True)
    return os.path.abspath(program)


def unpacked(file, directory):
    """Path of an uncompressed copy where the file is compressed."""
    import bz2
    import gzip
    import lzma
    openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    opener = openers.get(os.path.splitext(file)[1])
    if opener is None:
        return os.path.abspath(file)
    target = os.path.join(directory, "feed.mrt")
    with opener(file, "rb") as source, open(target, "wb") as copy:
        copy.write(source.read())
    return target


def parse_arguments():
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS, *policies.SCENARIOS, "readers", *alerts.SCENARIOS], default=[])
    parser.add_argument("--daemons", default="")
    parser.add_argument("--mrt")
    parser.add_argument("--prefixes", type=int)
    parser.add_argument("--peers", type=int)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpus", default="0")
    parser.add_argument("--ribwatch")
    parser.add_argument("--json")
    parser.add_argument("--replay", action="append")
    options = parser.parse_args()
    recorded = os.path.join(HERE, "..", "..", "shared", "data", "mrt")
    options.replay = options.replay or [os.path.normpath(os.path.join(recorded, name)) for name in RECORDED]
    return options


def chosen(options, scenario, position):
    """Daemons for this scenario, BIRD first: it is what the others are compared with."""
    names = [name.lower() for name in options.daemons.split(",") if name]
    default = ["ribwatch", "bird"]
    if position == 0 or os.environ.get("ALL") == "1":
        default = [kind.name.lower() for kind in daemons.ALL]
    kinds = [kind for kind in daemons.ALL if kind.name.lower() in (names or default)]
    return sorted(kinds, key=lambda kind: kind is not daemons.Bird)


def main():
    options = parse_arguments()
    if options.ribwatch:
        daemons.Ribwatch.program = options.ribwatch
    feeder_program = build_feeder()
    results, failed = [], False
    with tempfile.TemporaryDirectory(prefix="ribwatch-bench-mrt-") as directory:
        if options.mrt:
            options.mrt = unpacked(options.mrt, directory)
        names = options.scenario or (["ingest", "propagate"] if options.mrt else [*SCENARIOS, *policies.SCENARIOS, "readers", *alerts.SCENARIOS])
        alone = {"readers", *alerts.SCENARIOS}
        for kind in [daemons.Ribwatch] if set(names) <= alone else chosen(options, names[0], 0):
            print(f"{kind.name}: {kind.version() if kind.available() else 'not installed'}")
        print(f"daemon on CPU {options.cpus}, feeder on CPU {os.cpu_count() - 1}; load {os.getloadavg()[0]:.1f}")
        for position, scenario in enumerate(names):
            if scenario == "readers":
                measure_readers(options, feeder_program)
                continue
            if scenario in alerts.SCENARIOS:
                failed = not measure_alerts(scenario, Bench(options, feeder_program)) or failed
                continue
            kinds = chosen(options, scenario, position)
            if scenario in policies.SCENARIOS:
                run, kinds, text = policies.SCENARIOS[scenario]
                wanted = [name.lower() for name in options.daemons.split(",") if name]
                kinds = [kind for kind in kinds[::-1] if not wanted or kind.name.lower() in wanted]
            reference = None
            head = True
            for kind in kinds:
                if not kind.available():
                    continue
                try:
                    if scenario in policies.SCENARIOS:
                        table, rows = run(kind, Bench(options, feeder_program))
                    else:
                        table, rows = measure(kind, scenario, options, feeder_program)
                        peers = "1 peer" if table["peers"] == 1 else f"{table['peers']} peers"
                        text = SCENARIOS[scenario][-1].format(prefixes=table["prefixes"], peers=peers)
                        rows = summarise(rows)
                except Failure as failure:
                    failed = failed or issubclass(kind, daemons.Ribwatch)
                    print(f"  {kind.name:<10} failed: {failure}", flush=True)
                    continue
                if head:
                    head = False
                    print(f"\n{scenario}: {text.format(prefixes=table['prefixes'], peers=table['peers'])}")
                    print(f"  {table['updates']:,} UPDATEs, {table['sets']:,} attribute sets, mean path "
                          f"{table['mean_path_len']:.1f}, {table['octets'] / 1e6:.1f} MB")
                    print(f"  {'':<10} {'':<9} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9} {'bytes/path':>10}"
                          f" {'wall x':>7} {'CPU x':>7} {'peak x':>7}  (x: times BIRD)")
                if issubclass(kind, daemons.Bird):
                    reference = rows
                print_rows(kind.name, rows, reference)
                results.append({"scenario": scenario, "daemon": kind.name, "version": kind.version(),
                                "table": table, "rows": rows})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
