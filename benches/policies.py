"""What policy costs: `benches/run rs-policy` and `benches/run prefix-set`, ribwatch beside BIRD.

`rs-policy`: 200 clients of a route server, 20,000 routes in all, each client announces its part and is sent the others'. Then
the export policy of every client changes (another community is added), and the daemon is told to read its file again:
SIGHUP for ribwatch, `configure soft` for BIRD. That alone lets BIRD use the new filter for routes that change later; what it
sent by the old one is sent again after `reload out all`, which therefore follows. Measured is the time from the moment the
daemon is told until the last client has the last UPDATE, and that every client was sent every route of the others with the
new community. Both sides keep path and next hop as a route server does (`rs client`, `route_server_client`).

`prefix-set`: a set of as many prefixes as the table has, all of them in it, which every route has to pass on import. Measured
are the CPU time from the start to the session, and ingest with and without the set.
"""

import json
import os
import signal
import time

import daemons

CLIENTS, ROUTES, SET_SIZE = 200, 20_000, 1_000_000
BEFORE, AFTER = 1, 2
# An idle daemon that sends nothing for this long has nothing more to send.
PATIENCE_SECONDS = 20


class Tagging:
    """Every client is sent the routes with community LOCAL_ASN:`tag`."""

    tag = BEFORE

    def number(self):
        return self.local_asn << 16 | self.tag


class RibwatchTagging(Tagging, daemons.Ribwatch):
    def config(self, neighbors):
        policy = f"""
[[policy.policy]]
name = "tag"
[[policy.policy.statement]]
set = {{ add_communities = ["{self.local_asn}:{self.tag}"] }}
verdict = "accept"
"""
        client = 'export = ["tag"]\nroute_server_client = true'
        return super().config(neighbors).replace('export = ["accept-all"]', client) + policy

    def read_again(self):
        self.process.send_signal(signal.SIGHUP)


class BirdTagging(Tagging, daemons.Bird):
    def config(self, neighbors):
        filters = f"filter tagged {{ bgp_community.add(({self.local_asn}, {self.tag})); accept; }}\n"
        text = super().config(neighbors).replace("export all;", "export filter tagged;")
        return filters + text.replace("multihop;", "multihop; rs client;")

    def read_again(self):
        for words, good in ((["configure", "soft"], "Reconfigur"), (["reload", "out", "all"], "reloading")):
            answer = daemons.output("birdc", "-s", self.path("ctl"), *words)
            if good not in answer:
                raise RuntimeError(f"birdc {' '.join(words)}: {answer}")


class Filtering:
    """Only what is in a set of prefixes is taken; `prefixes` is a file with one per line, or None: no policy."""

    prefixes = None


class RibwatchFiltering(Filtering, daemons.Ribwatch):
    def config(self, neighbors):
        text = super().config(neighbors)
        if self.prefixes is None:
            return text
        return text.replace('import = ["accept-all"]', 'import = ["listed"]') + f"""
[[policy.prefix_set]]
name = "big"
file = "{self.prefixes}"
[[policy.policy]]
name = "listed"
[[policy.policy.statement]]
match = {{ prefix = ["big"] }}
verdict = "accept"
"""


class BirdFiltering(Filtering, daemons.Bird):
    def config(self, neighbors):
        text = super().config(neighbors)
        if self.prefixes is None:
            return text
        with open(self.prefixes, encoding="ascii") as file:
            members = ",\n".join(file.read().split())
        return f"define big = [\n{members}\n];\n" + text.replace("import all;", "import where net ~ big;")


def rs_policy(kind, bench):
    """One row: the change of policy, timed by the clients."""
    clients, routes = bench.sized(bench.peers or CLIENTS), bench.sized(bench.prefixes or ROUTES)
    told = routes * (clients - 1)
    with bench.directory() as directory:
        os.chmod(directory, 0o755)
        feeder = bench.feeder("--clients", "--peers", str(clients), "--prefixes", str(routes))
        daemon = kind(directory)
        try:
            table = feeder.wait_for("ready", bench.deadline())
            neighbors = [daemons.Neighbor(f"127.0.1.{i + 1}", table["peer_asn"] + i, receives=True) for i in range(clients)]
            daemon.start(neighbors, bench.cpus)
            feeder.wait_for("established", bench.deadline())
            usage = daemons.Usage(daemon.process.pid)
            feeder.say(f"mark {daemon.number()}")
            feeder.say("table")
            feeder.wait_for("sent", bench.deadline())
            tally(feeder, usage, told, bench.deadline())
            cpu = usage.cpu_seconds()

            daemon.tag = AFTER
            with open(daemon.path(daemon.config_name), "w", encoding="utf-8") as file:
                file.write(daemon.config(neighbors))
            feeder.say(f"mark {daemon.number()}")
            feeder.wait_for("marking", bench.deadline())
            daemon.read_again()
            seen = tally(feeder, usage, told, bench.deadline())
            row = {"step": "change", "wall_s": seen["seconds"], "cpu_s": usage.cpu_seconds() - cpu,
                   "peak_rss": usage.memory("VmHWM"), "bytes_per_path": None}
            extra = seen["announcements"] - told, seen["withdrawals"]
            notes = [f"{seen['marked']:,} routes sent again"]
            if any(extra):
                notes.append(f"{extra[0]:+,} announcements and {extra[1]:,} withdrawals beyond one for each")
            if seen["pause"] > 0.5:
                notes.append(f"nothing came for {seen['pause']:.2f} s in between")
            row["note"] = "; ".join(notes)
            return table, [row]
        except feeder.Failure as failure:
            raise feeder.Failure(f"{failure}{daemon.obituary()}") from None
        finally:
            feeder.stop()
            daemon.stop()


def tally(feeder, usage, wanted, deadline):
    """What the clients were told since the mark, once the daemon is idle and every route came with it."""
    seen, progress_at = None, time.monotonic()
    while True:
        usage.wait_idle(deadline)
        feeder.say("tally")
        before, seen = seen, feeder.wait_for("tally", deadline)
        if seen["marked"] >= wanted:
            return seen
        if before is None or seen["announcements"] > before["announcements"]:
            progress_at = time.monotonic()
        if time.monotonic() > min(deadline, progress_at + PATIENCE_SECONDS):
            raise feeder.Failure(f"only {seen['marked']:,} of {wanted:,} routes came with the new policy")


def prefix_set(kind, bench):
    """Three rows: ingest without the set, start with it, ingest with it."""
    prefixes = bench.sized(bench.prefixes or SET_SIZE)
    rows, table = [], None
    with bench.directory() as folder:
        os.chmod(folder, 0o755)
        listed = os.path.join(folder, "prefixes")
        for with_set in (False, True):
            with bench.directory() as directory:
                os.chmod(directory, 0o755)
                feeder = bench.feeder("--prefixes", str(prefixes), "--list", listed)
                daemon = kind(directory)
                try:
                    table = feeder.wait_for("ready", bench.deadline())
                    daemon.prefixes = listed if with_set else None
                    started = time.monotonic()
                    daemon.start([daemons.Neighbor("127.0.1.1", table["peer_asn"])], bench.cpus)
                    feeder.wait_for("established", bench.deadline())
                    usage = daemons.Usage(daemon.process.pid)
                    idle_since, start_cpu = usage.wait_idle(bench.deadline())
                    if with_set:
                        rows.append({"step": "start", "wall_s": idle_since - started, "cpu_s": start_cpu,
                                     "peak_rss": usage.memory("VmHWM"), "bytes_per_path": None})
                    row = bench.ingest(daemon, feeder, usage, table)
                    row["step"] = "with set" if with_set else "no set"
                    accepted = selected(daemon)
                    if with_set and accepted != prefixes:
                        raise feeder.Failure(f"took {accepted:,} of {prefixes:,} routes that are in the set")
                    if with_set:
                        plain = rows[0]["cpu_s"]
                        row["note"] = f"CPU {row['cpu_s'] / plain - 1:+.0%} for the set" if plain else ""
                    rows.append(row)
                except feeder.Failure as failure:
                    raise feeder.Failure(f"{failure}{daemon.obituary()}") from None
                finally:
                    feeder.stop()
                    daemon.stop()
    return table, rows


def selected(daemon):
    """How many best routes a daemon has."""
    if isinstance(daemon, daemons.Bird):
        text = daemons.output("birdc", "-s", daemon.path("ctl"), "-r", "show route count")
        return int(text.split(" of ")[1].split()[0]) if " of " in text else 0
    program = os.path.abspath(daemon.program)
    text = daemons.output(program, "rib", "summary", "--json", "--api", f"127.0.0.1:{daemons.API_PORT}")
    tables = json.loads(text).get("tables", []) if text.startswith("{") else []
    return sum(table["best"] for table in tables)


SCENARIOS = {
    "rs-policy": (rs_policy, [RibwatchTagging, BirdTagging], "{peers} route-server clients, {prefixes:,} routes, the policy of all is changed"),
    "prefix-set": (prefix_set, [RibwatchFiltering, BirdFiltering], "a set of {prefixes:,} prefixes, asked for every route"),
}
