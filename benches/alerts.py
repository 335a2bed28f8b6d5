"""What watching costs, and how soon somebody is told: `benches/run alert-latency` and `benches/run detectors`, ribwatch alone.

`alert-latency`: five peers with full tables, of which 300 prefixes are watched; 20,000 changes a second, one prefix each, over
all five, spread calmly or so that 50,000 routes flap; at random moments one peer says that a watched prefix, or a half of one,
comes from somebody else. Measured is the time from the moment before the UPDATE goes to the socket until the whole POST of the
webhook has been read. The hold times are the defaults, and what they add is shown: it is the difference of two times in the
alert itself. With `[state] dir` the alert is on disk before anybody is told.

`detectors`: the same table, then the same changes, with all detectors on and 100 watched prefixes, and with all off; the
memory of 4,000 rules; and `ribwatch replay` over recorded updates.
"""

import http.server
import json
import os
import random
import re
import resource
import statistics
import subprocess
import threading
import time

import daemons

PEERS, PREFIXES, WATCHED, CHANGES_PER_SECOND = 5, 1_000_000, 300, 20_000
# Prefixes of each peer over which the changes go: with the first each changes every 12 s, and none flaps; with the second
# every 2.5 s, so that after half a minute, in the middle of the events, all 50,000 routes are found to flap.
LOADS = {"changes": 50_000, "flaps": 10_000}
# Events come this long apart on average; the first ones after the stream has run for a while.
MEAN_GAP_SECONDS, WARM_UP_SECONDS, PATIENCE_SECONDS = 0.15, 5, 30
LATENCY_LIMIT_MS = 250
ROUNDS, CHURN_ROUNDS, MEMORY_ROUNDS, DETECTORS_WATCHED, RULES = 5, 5, 3, 100, 4_000
CPU_RATIO_LIMIT, RULES_LIMIT_MB, REPLAY_LIMIT = 1.25, 20, 500_000

# The feeder's numbers of watched origins are for documentation (RFC 5398) and would be told of as bogons.
WATCHING = """
[detect.bogon]
allow_asns = [64496, 64500]
"""


def rules(file, count):
    """`[[watch.prefix]]` for the first `count` prefixes of a list."""
    with open(file, encoding="ascii") as lines:
        prefixes = lines.read().split()[:count]
    return "".join(f'[[watch.prefix]]\nprefix = "{prefix}"\norigins = [64500]\n' for prefix in prefixes)


class Ribwatch(daemons.Ribwatch):
    """With more configuration."""

    more = ""

    def config(self, neighbors):
        return super().config(neighbors) + self.more


class Hook(http.server.BaseHTTPRequestHandler):
    """Notes when each alert has been read."""

    protocol_version = "HTTP/1.1"
    got = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        now = time.time_ns()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        Hook.got.append((now, json.loads(body)))

    def log_message(self, *_):
        pass


class Disk(threading.Thread):
    """How long the disk takes meanwhile to keep one line, which every alert waits for."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.path, self.stop, self.milliseconds = os.path.join(directory, "line"), False, []

    def run(self):
        with open(self.path, "wb", buffering=0) as file:
            while not self.stop:
                started = time.perf_counter()
                file.write(b"line\n")
                os.fsync(file.fileno())
                self.milliseconds.append((time.perf_counter() - started) * 1000)
                time.sleep(0.1)


class Pulse(threading.Thread):
    """How late somebody wakes up on the daemon's CPU: what a busy machine does to everybody there."""

    def __init__(self, cpus):
        super().__init__(daemon=True)
        self.cpus, self.stop, self.milliseconds = cpus, False, []

    def run(self):
        if self.cpus:
            os.sched_setaffinity(0, {int(cpu) for cpu in self.cpus[-1].split(",")})
        while not self.stop:
            started = time.perf_counter()
            time.sleep(0.01)
            self.milliseconds.append((time.perf_counter() - started) * 1000 - 10)


def milliseconds(text, other):
    """Between two times as alerts have them."""
    def microseconds(stamp):
        whole, _, part = stamp.rstrip("Z").partition(".")
        seconds = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
        return int(seconds) * 1_000_000 + int(part.ljust(6, "0") or 0)
    return (microseconds(other) - microseconds(text)) / 1000


def share(values, percent):
    """The value that `percent` of 100 do not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, max(0, -(-len(values) * percent // 100) - 1))]


def latency(bench):
    """Prints the figures of each load; whether the limits hold."""
    return all([latency_under(bench, load, count) for load, count in LOADS.items()])


def latency_under(bench, load, steady):
    """One load with `steady` prefixes of each peer that change."""
    prefixes, peers = bench.sized(bench.prefixes or PREFIXES), bench.peers or PEERS
    watched = min(WATCHED, prefixes // 100)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hook.got.clear()
    with bench.directory() as directory:
        listed = os.path.join(directory, "watched")
        feeder = bench.feeder("--prefixes", str(prefixes), "--peers", str(peers), "--watched", str(watched),
                              "--watched-list", listed, "--steady", str(min(steady, prefixes // 2)))
        daemon = Ribwatch(directory)
        try:
            table = feeder.wait_for("ready", bench.deadline())
            hook = f'[[sink]]\nname = "hook"\ntype = "webhook"\nurl = "http://127.0.0.1:{server.server_port}/"\n'
            state = f'[state]\ndir = "{directory}/state"\n'
            os.mkdir(f"{directory}/state")
            daemon.more = WATCHING + state + hook + rules(listed, watched)
            daemon.start([daemons.Neighbor(f"127.0.1.{i + 1}", table["peer_asn"] + i) for i in range(peers)], bench.cpus)
            feeder.wait_for("established", bench.deadline())
            feeder.say("table")
            feeder.wait_for("sent", bench.deadline())
            usage = daemons.Usage(daemon.process.pid)
            _, idle_cpu = usage.wait_idle(bench.deadline())
            if daemon.received() != prefixes * peers:
                raise feeder.Failure(f"holds {daemon.received():,} of {prefixes * peers:,} routes")
            rss, before = usage.memory("VmRSS"), messages(daemon)
            feeder.say(f"pace {CHANGES_PER_SECOND}")
            feeder.wait_for("pacing", bench.deadline())
            probes = {"disk": Disk(directory), "pulse": Pulse(bench.cpus)}
            for probe in probes.values():
                probe.start()
            events = inject(feeder, watched, bench.options.seed)
            waited_since = time.monotonic()
            while len(answers(events)) < watched and time.monotonic() < waited_since + PATIENCE_SECONDS:
                time.sleep(0.1)
            for probe in probes.values():
                probe.stop = True
                probe.join()
            feeder.say("calm")
            calm = feeder.wait_for("calm", bench.deadline())
            cpu = usage.cpu_seconds() - idle_cpu
            usage.wait_idle(bench.deadline())
            read = messages(daemon) - before
        except feeder.Failure as failure:
            raise feeder.Failure(f"{failure}{daemon.obituary()}") from None
        finally:
            feeder.stop()
            daemon.stop()
            server.shutdown()
    return tell_latency(load, table, events, calm, {"rss": rss, "read": read, "cpu": cpu, "probes": probes})


def messages(daemon):
    """UPDATEs that the daemon has read."""
    with daemons.urllib.request.urlopen(f"http://127.0.0.1:{daemons.HTTP_PORT}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^bgp_received_update_total\{[^}]*\} (\S+)", text, re.M))


def inject(feeder, count, seed):
    """Hijacks at random moments; when each went out, by prefix."""
    moments, events = random.Random(seed), {}
    time.sleep(WARM_UP_SECONDS)
    for number in range(count):
        time.sleep(moments.expovariate(1 / MEAN_GAP_SECONDS))
        feeder.say(f"hijack {number}")
        fact = feeder.wait_for("hijacked", time.monotonic() + 30)
        events[fact["prefix"]] = fact["at_ns"]
    return events


def answers(events):
    """The first telling of each event: (time, body), by prefix."""
    found = {}
    for at, body in list(Hook.got):
        if body["prefix"] in events and body["kind"] in ("origin-hijack", "subprefix-hijack"):
            found.setdefault(body["prefix"], (at, body))
    return found


def tell_latency(load, table, events, calm, seen):
    told = answers(events)
    others = [body for _, body in Hook.got if told.get(body["prefix"], (0, None))[1] is not body]
    times = [(at - events[prefix]) / 1e6 for prefix, (at, _) in told.items()]
    holds = [milliseconds(body["first_seen"], body["event_at"]) for _, body in told.values()]
    rate = calm["updates"] / calm["seconds"]
    print(f"\nalert-latency, {load}: {len(events)} hijacks at random moments, {table['peers']} peers x {table['prefixes']:,} prefixes, "
          f"{CHANGES_PER_SECOND:,} changes a second")
    print(f"  stream      {calm['updates']:,} UPDATEs in {calm['seconds']:.1f} s, {rate:,.0f}/s; octets waited at most "
          f"{calm['longest_wait_ms']:.0f} ms for the socket; daemon {seen['cpu'] / calm['seconds']:.0%} of a CPU, "
          f"{seen['rss'] / 2**20:.0f} MiB resident")
    if times:
        print(f"  UPDATE sent to POST read  p50 {share(times, 50):.1f} ms   p99 {share(times, 99):.1f} ms   max {max(times):.1f} ms"
              f"   (limit: p99 {LATENCY_LIMIT_MS} ms)")
        print(f"  of that, default hold     p50 {share(holds, 50):.1f} ms   max {max(holds):.1f} ms   (hijacks are told of at once)")
    for words, probe in (("the disk kept a line in ", "disk"), ("others on its CPU were late", "pulse")):
        late = seen["probes"][probe].milliseconds
        print(f"  {words:<29} p50 {share(late, 50):.1f} ms   p99 {share(late, 99):.1f} ms   max {max(late):.1f} ms")
    missing, late = len(events) - len(told), rate < CHANGES_PER_SECOND * 0.99 or seen["read"] < calm["updates"]
    kinds = {}
    for body in others:
        kinds[f"{body['kind']} {body['event']}"] = kinds.get(f"{body['kind']} {body['event']}", 0) + 1
    print(f"  not told: {missing}; told beside: {kinds or 'nothing'}")
    if late:
        print(f"  the stream was not kept up: {seen['read']:,.0f} UPDATEs read")
    right = not missing and not late and share(times, 99) < LATENCY_LIMIT_MS
    print(f"  {'holds' if right else 'DOES NOT HOLD'}", flush=True)
    return right


def ingest_round(bench, watched, more):
    """CPU seconds of the table and of the changes behind it, and resident octets after the table."""
    prefixes = bench.sized(bench.prefixes or PREFIXES)
    with bench.directory() as directory:
        listed = os.path.join(directory, "watched")
        feeder = bench.feeder("--prefixes", str(prefixes), "--watched", str(watched), "--watched-list", listed)
        daemon = Ribwatch(directory)
        try:
            table = feeder.wait_for("ready", bench.deadline())
            daemon.more = more(listed)
            daemon.start([daemons.Neighbor("127.0.1.1", table["peer_asn"])], bench.cpus)
            feeder.wait_for("established", bench.deadline())
            usage = daemons.Usage(daemon.process.pid)
            usage.wait_idle(bench.deadline())
            row = bench.ingest(daemon, feeder, usage, table)
            cpu = usage.cpu_seconds()
            for _ in range(CHURN_ROUNDS):
                feeder.say("churn")
                feeder.wait_for("sent", bench.deadline())
                _, churned = usage.wait_idle(bench.deadline())
            return row["cpu_s"], churned - cpu, row["rss"]
        except feeder.Failure as failure:
            raise feeder.Failure(f"{failure}{daemon.obituary()}") from None
        finally:
            feeder.stop()
            daemon.stop()


def detectors(bench):
    """Prints the figures; whether the limits hold."""
    off = "[detect]\nenabled = false\n"
    kinds = {"off": lambda _: off, "on": lambda listed: WATCHING + rules(listed, DETECTORS_WATCHED)}
    rows = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, more in kinds.items():
            rows[kind].append(ingest_round(bench, DETECTORS_WATCHED, more))
    medians = {kind: [statistics.median(values) for values in zip(*of)] for kind, of in rows.items()}
    print(f"\ndetectors: 1 peer x {bench.sized(bench.prefixes or PREFIXES):,} prefixes in, then a fifth changes, {CHURN_ROUNDS} times; "
          f"{DETECTORS_WATCHED} watched prefixes (medians of {ROUNDS})")
    right = True
    for at, step in enumerate(("table", f"churn x{CHURN_ROUNDS}")):
        without, with_all = medians["off"][at], medians["on"][at]
        ratio = with_all / without
        right = right and ratio <= CPU_RATIO_LIMIT
        print(f"  {step:<9} all off {without:5.2f} CPU s   all on {with_all:5.2f} CPU s   x {ratio:.2f}   (limit x {CPU_RATIO_LIMIT})")
    counts = {0: [], RULES: []}
    for _ in range(MEMORY_ROUNDS):
        for count, of in counts.items():
            of.append(ingest_round(bench, RULES, lambda listed, n=count: WATCHING + rules(listed, n))[2])
    growth = (statistics.median(counts[RULES]) - statistics.median(counts[0])) / 1e6
    spread = max((max(of) - min(of)) / 1e6 for of in counts.values())
    right = right and growth < RULES_LIMIT_MB
    print(f"  {RULES:,} rules  {growth:+.1f} MB resident, runs differ by up to {spread:.1f} MB   (limit {RULES_LIMIT_MB} MB)")
    right = replay(bench) and right
    print(f"  {'holds' if right else 'DOES NOT HOLD'}", flush=True)
    return right


def replay(bench):
    """Recorded updates through the same detectors, as fast as one core can."""
    files = [file for file in bench.options.replay if os.path.exists(file)]
    for missing in sorted(set(bench.options.replay) - set(files)):
        print(f"  replay    {missing} is not there")
    right = True
    with bench.directory() as directory:
        for file in files:
            copy = bench.unpacked(file, directory)
            with open(os.path.join(directory, "replay.toml"), "w", encoding="utf-8") as config:
                config.write('[router]\nasn = 64500\nrouter_id = "127.0.0.1"\n')
                config.write("".join(f'[[watch.prefix]]\nprefix = "{prefix}"\norigins = [{origin}]\n'
                                     for prefix, origin in announced(copy, DETECTORS_WATCHED)))
            argv = [os.path.abspath(Ribwatch.program), "replay", "-c", config.name, copy]
            best = None
            for _ in range(ROUNDS):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                done = subprocess.run(["taskset", "-c", "0", *argv], capture_output=True, text=True, check=False)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                said = re.search(r"([\d,]+) updates?, .*?([\d,]+) alerts?$", done.stderr.strip())
                if done.returncode or not said:
                    print(f"  replay    {os.path.basename(file)}: {done.stderr.strip()}")
                    return False
                best = cpu if best is None else min(best, cpu)
            updates, alerts = (int(number.replace(",", "")) for number in said.groups())
            right = right and updates / best >= REPLAY_LIMIT
            print(f"  replay    {updates:,} updates of {os.path.basename(file)}: {best:.2f} CPU s, {updates / best:,.0f}/s, "
                  f"{alerts} alerts   (limit {REPLAY_LIMIT:,}/s, best of {ROUNDS}, start included)")
    return right


def announced(file, count):
    """The /24s of a recorded feed, taken from all over it, with the one origin that they have there."""
    origins = {}
    text = daemons.output(os.path.abspath(Ribwatch.program), "mrt", file)
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) > 6 and fields[2] == "A" and fields[6].split()[-1:] and fields[6].split()[-1].isdigit():
            origins.setdefault(fields[5], set()).add(fields[6].split()[-1])
    steady = sorted(prefix for prefix, of in origins.items() if len(of) == 1 and prefix.endswith("/24"))
    chosen = [steady[n * len(steady) // count] for n in range(min(count, len(steady)))]
    return [(prefix, next(iter(origins[prefix]))) for prefix in chosen]


SCENARIOS = {"alert-latency": latency, "detectors": detectors}
