"""The daemons that `benches/run` measures: how each is configured, started and asked how many routes it holds.

Every configuration is the least that does the job: no kernel routes, no logging of routes, one session per neighbour,
which the daemon opens itself towards 127.0.1.N port PORT. Nothing is exported unless there is a receiver (127.0.2.1).
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request

LOCAL_ASN = 64500


def free_port():
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Every neighbour listens on PORT of its own loopback address; the others are the daemon's.
PORT, OWN_PORT, API_PORT, HTTP_PORT = free_port(), free_port(), free_port(), free_port()


class Neighbor:
    """One neighbour of the daemon; `receives` marks the one that is sent the table."""

    def __init__(self, address, asn, receives=False):
        self.address, self.asn, self.receives = address, asn, receives


def output(*argv):
    """Standard output of a command that may fail (then: what it printed until then)."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.stdout


class Daemon:
    """What is common: a working directory, a process, and how to end it."""

    program = ""
    config_name = "daemon.conf"

    def __init__(self, directory, local_asn=LOCAL_ASN):
        self.directory, self.local_asn = directory, local_asn
        self.process = None

    @classmethod
    def available(cls):
        return shutil.which(cls.program) is not None

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, neighbors, prefix_argv):
        """Writes the configuration and starts the daemon behind `prefix_argv` (taskset)."""
        with open(self.path(self.config_name), "w", encoding="utf-8") as file:
            file.write(self.config(neighbors))
        log = open(self.path("log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [*prefix_argv, *self.argv()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
        )

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def obituary(self):
        """How the process ended and its last words, to put behind what failed; empty while it lives."""
        ended = self.process.poll() if self.process else None
        return "" if ended is None else f"; daemon exit code {ended}: {self.log_tail()}"

    def log_tail(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-8:])


class Ribwatch(Daemon):
    name = "ribwatch"
    config_name = "ribwatch.toml"
    program = "target/release/ribwatch"

    @classmethod
    def available(cls):
        return os.access(cls.program, os.X_OK)

    @classmethod
    def version(cls):
        return output(cls.program, "--version").strip()

    def config(self, neighbors):
        text = f"""
[router]
asn = {self.local_asn}
router_id = "127.0.0.1"
listen = []
[api]
listen = "127.0.0.1:{API_PORT}"
[http]
listen = "127.0.0.1:{HTTP_PORT}"
"""
        for n in neighbors:
            text += f"""
[[neighbor]]
address = "{n.address}"
remote_asn = {n.asn}
port = {PORT}
local_address = "127.0.0.1"
import = ["accept-all"]
export = ["{'accept-all' if n.receives else 'reject-all'}"]
"""
        return text

    def argv(self):
        return [os.path.abspath(self.program), "run", "-c", self.config_name]

    def received(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(r"bgp_routes_received[ {]", line)))


class Bird(Daemon):
    """Next hops are looked up in an empty table: in its own, every route that covers one starts a new look-up.

    What a peer did wrong (class `remote`) is not logged: a recorded feed has thousands of such attributes, and their
    way through syslog cost 60 CPU seconds.
    """

    name = "BIRD"
    program = "bird"

    @classmethod
    def version(cls):
        return output("bird", "--version").strip()

    def config(self, neighbors):
        text = "log stderr { info, warning, error, fatal, bug };\nrouter id 127.0.0.1;\nprotocol device { scan time 3600; }\nipv4 table igp4;\n"
        for i, n in enumerate(neighbors):
            text += f"""
protocol bgp p{i} {{
  local 127.0.0.1 port {OWN_PORT} as {self.local_asn};
  neighbor {n.address} port {PORT} as {n.asn};
  multihop; hold time 240; connect delay time 1;
  ipv4 {{ igp table igp4; import all; export {'all' if n.receives else 'none'}; }};
}}
"""
        return text

    def argv(self):
        return ["bird", "-f", "-c", self.config_name, "-s", self.path("ctl"), "-P", self.path("pid")]

    def received(self):
        text = output("birdc", "-s", self.path("ctl"), "-r", "show protocols all")
        return sum(int(n) for n in re.findall(r"Routes:\s+(\d+) imported", text))


class Frr(Daemon):
    name = "FRR"
    program = "/usr/lib/frr/bgpd"

    @classmethod
    def version(cls):
        return "FRR " + output(cls.program, "--version").splitlines()[0]

    def config(self, neighbors):
        text = f"""
router bgp {self.local_asn}
 bgp router-id 127.0.0.1
 no bgp ebgp-requires-policy
 no bgp enforce-first-as
 bgp disable-ebgp-connected-route-check
"""
        for n in neighbors:
            text += f""" neighbor {n.address} remote-as {n.asn}
 neighbor {n.address} port {PORT}
 neighbor {n.address} ebgp-multihop 2
 neighbor {n.address} timers 80 240
 neighbor {n.address} timers connect 1
 neighbor {n.address} advertisement-interval 0
"""
        text += " address-family ipv4 unicast\n"
        for n in neighbors:
            text += "" if n.receives else f"  neighbor {n.address} route-map nothing out\n"
        return text + " exit-address-family\nroute-map nothing deny 10\n"

    def argv(self):
        d = self.directory
        return [self.program, "-Z", "-S", "-n", "-f", self.path(self.config_name), "-i", self.path("pid"),
                "--vty_socket", d, "-P", "0", "-l", "127.0.0.1", "-p", str(OWN_PORT)]

    def received(self):
        text = output("vtysh", "--vty_socket", self.directory, "-c", "show bgp ipv4 unicast summary json")
        peers = json.loads(text[text.index("{"):]).get("peers", {})
        return sum(peer.get("pfxRcd", 0) for peer in peers.values())


class Gobgp(Daemon):
    name = "GoBGP"
    program = "gobgpd"

    @classmethod
    def version(cls):
        return "GoBGP " + output("gobgpd", "--version").strip()

    def config(self, neighbors):
        verdict = "accept-route" if any(n.receives for n in neighbors) else "reject-route"
        text = f"""
[global.config]
  as = {self.local_asn}
  router-id = "127.0.0.1"
  port = -1
[global.apply-policy.config]
  default-export-policy = "{verdict}"
"""
        for n in neighbors:
            text += f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{n.address}"
    peer-as = {n.asn}
  [neighbors.transport.config]
    local-address = "127.0.0.1"
    remote-port = {PORT}
  [neighbors.timers.config]
    hold-time = 240
    connect-retry = 2
    idle-hold-time-after-reset = 1
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 2
"""
        return text

    def argv(self):
        return ["gobgpd", "-t", "toml", "-f", self.config_name, "--api-hosts", f"127.0.0.1:{API_PORT}", "--pprof-disable"]

    def received(self):
        peers = json.loads(output("gobgp", "-p", str(API_PORT), "-j", "neighbor") or "[]")
        states = (family.get("state", {}) for peer in peers for family in peer.get("afi_safis", []))
        return sum(state.get("received", 0) for state in states)


class Openbgpd(Daemon):
    name = "OpenBGPD"
    program = "/usr/sbin/bgpd"

    @classmethod
    def version(cls):
        return "Open" + output("dpkg-query", "-W", "-f", "BGPD ${Version}", "openbgpd").strip()

    def config(self, neighbors):
        text = f"""AS {self.local_asn}
router-id 127.0.0.1
listen on 127.0.0.1 port {OWN_PORT}
fib-update no
holdtime 240
socket "{self.path('r.sock')}" restricted
"""
        for n in neighbors:
            text += f"""neighbor {n.address} {{
  remote-as {n.asn}
  port {PORT}
  multihop 2
  enforce neighbor-as no
  announce IPv4 unicast
}}
"""
        text += "allow from any\n"
        return text + "".join(f"allow to {n.address}\n" for n in neighbors if n.receives)

    def argv(self):
        os.makedirs("/run/openbgpd", exist_ok=True)
        os.chmod(self.path(self.config_name), 0o600)
        return ["/usr/sbin/bgpd", "-d", "-f", self.path(self.config_name)]

    def received(self):
        answer = json.loads(output("bgpctl", "-s", self.path("r.sock"), "-j", "show", "neighbor") or "{}")
        counts = (n.get("stats", {}).get("prefixes", {}).get("received", 0) for n in answer.get("neighbors", []))
        return sum(counts)


ALL = [Ribwatch, Bird, Frr, Gobgp, Openbgpd]


class Usage:
    """CPU seconds and memory of a process and its children, read from /proc: costs the daemon nothing."""

    TICKS = os.sysconf("SC_CLK_TCK")

    def __init__(self, pid):
        self.pid = pid

    def pids(self):
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    queue += [int(word) for word in file.read().split()]
            except OSError:
                pass
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
            except (OSError, IndexError):
                pass
        return ticks / self.TICKS

    def memory(self, field):
        """Octets of `VmRSS` or `VmHWM`."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/status", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))
            except OSError:
                pass
        return total

    def wait_idle(self, deadline, quiet=1.0):
        """Returns (time, CPU seconds) of the last moment of work before `quiet` seconds without any."""
        last_cpu, last_time = self.cpu_seconds(), time.monotonic()
        while True:
            time.sleep(0.04)
            now, cpu = time.monotonic(), self.cpu_seconds()
            # One tick in a second is housekeeping, not work.
            if cpu > last_cpu + 1.5 / self.TICKS:
                last_cpu, last_time = cpu, now
            if now - last_time > quiet or now > deadline:
                return last_time, cpu
