"""Plays a containerlab topology: with containerlab where it is installed, else with Linux namespaces.

A node of the namespace player is one `unshare` process with its own network, mount, process and host-name namespaces and
an empty /run and /var/tmp. When that process ends, the kernel ends all that runs in the node and removes its links: nothing can be
left behind, and any number of scenarios may run side by side. Of the topology file it understands what the files here
use: kinds and nodes with `image`, `cmd`, `binds`, `exec`, and links between two nodes.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile

import yaml

IMAGE = "ribwatch-interop:debian12"


class LabError(Exception):
    """The lab itself does not work: not a claim that failed."""


def read_topology(folder, ribwatch):
    """Returns (name, nodes, links); a node is a dict of its fields, with relative binds made absolute."""
    with open(os.path.join(folder, "topology.clab.yml"), encoding="utf-8") as file:
        document = yaml.safe_load(file)
    topology = document["topology"]
    kinds = topology.get("kinds", {})
    nodes = {}
    for name, fields in topology["nodes"].items():
        node = {**kinds.get(fields.get("kind", "linux"), {}), **fields}
        if node.get("kind", "linux") != "linux":
            raise LabError(f"node {name}: only kind linux can be played, not {node['kind']}")
        binds = []
        for bind in node.get("binds", []):
            source, target = bind.split(":")[:2]
            source = os.path.normpath(os.path.join(folder, source))
            binds.append((ribwatch if os.path.basename(target) == "ribwatch" else source, target))
        nodes[name] = {**node, "binds": binds}
    links = [tuple(tuple(end.split(":")) for end in link["endpoints"]) for link in topology.get("links", [])]
    return document["name"], nodes, links


def run(argv, timeout=20):
    """(exit code, output) of a command; standard error is part of the output."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 124, f"no answer in {timeout} s"
    return done.returncode, done.stdout


class Namespaces:
    """The lab in namespaces of this machine."""

    def __init__(self, folder, ribwatch):
        self.folder = folder
        self.name, self.nodes, self.links = read_topology(folder, ribwatch)
        self.holders, self.inits, self.daemons = {}, {}, {}
        self.logs = tempfile.mkdtemp(prefix=f"ribwatch-interop-{self.name}-")

    def deploy(self):
        for name, node in self.nodes.items():
            self._create(name, node)
        for (a, a_if), (b, b_if) in self.links:
            self._must(["ip", "link", "add", a_if, "netns", str(self.inits[a]), "mtu", "9500",
                        "type", "veth", "peer", "name", b_if, "netns", str(self.inits[b])])
            self._must(self._inside(a, ["ip", "link", "set", a_if, "mtu", "9500", "up"]))
            self._must(self._inside(b, ["ip", "link", "set", b_if, "mtu", "9500", "up"]))
        for name, node in self.nodes.items():
            for command in node.get("exec", []):
                self._must(self._inside(name, shlex.split(command)))
        for name in self.nodes:
            self.start(name)

    def _create(self, name, node):
        # /var/tmp as well: FRR keeps crash logs there.
        steps = ["mount -t tmpfs -o mode=755 none /run", "mount -t tmpfs none /var/tmp", "ip link set lo up"]
        steps.append(f"hostname {shlex.quote(name)}")
        for source, target in node["binds"]:
            if not target.startswith("/run/"):
                raise LabError(f"node {name}: binds go below /run, not to {target}")
            make = "mkdir -p" if os.path.isdir(source) else "install -D /dev/null"
            steps.append(f"{make} {shlex.quote(target)}")
            steps.append(f"mount --bind {shlex.quote(source)} {shlex.quote(target)}")
        script = "set -e; " + "; ".join(steps) + "; echo ready; exec sleep infinity"
        holder = subprocess.Popen(
            # Should we be killed, the kernel clears the node away.
            ["setpriv", "--pdeathsig", "KILL",
             "unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.holders[name] = holder
        line = holder.stdout.readline().strip()
        if line != "ready":
            raise LabError(f"node {name}: {line or 'unshare failed'} (are you root?)")
        with open(f"/proc/{holder.pid}/task/{holder.pid}/children", encoding="ascii") as file:
            self.inits[name] = int(file.read().split()[0])

    def _inside(self, name, argv):
        return ["nsenter", "-t", str(self.inits[name]), "--mount", "--net", "--uts", "--pid", *argv]

    def _must(self, argv):
        code, text = run(argv)
        if code != 0:
            raise LabError(f"{shlex.join(argv)}: {text.strip()}")

    def exec(self, name, argv, timeout=20):
        """(exit code, output) of a command inside a node."""
        return run(self._inside(name, argv), timeout)

    def start(self, name):
        """Starts the node's daemon, its `cmd`."""
        command = self.nodes[name].get("cmd")
        if command:
            log = open(os.path.join(self.logs, name + ".log"), "a", encoding="utf-8")
            self.daemons[name] = subprocess.Popen(self._inside(name, shlex.split(command)), stdin=subprocess.DEVNULL,
                                                  stdout=log, stderr=log, start_new_session=True)

    def kill(self, name):
        """Ends everything in the node but its first process, at once and without a last word (SIGKILL)."""
        self.exec(name, ["sh", "-c", "for p in /proc/[0-9]*; do p=${p#/proc/}; "
                                     "[ $p = 1 ] || [ $p = $$ ] || kill -9 $p; done 2>/dev/null; :"])
        self.daemons[name].wait()

    def alive(self, name):
        daemon = self.daemons.get(name)
        return daemon is None or daemon.poll() is None

    def log_tail(self, name, lines=15):
        path = os.path.join(self.logs, name + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def destroy(self):
        for holder in self.holders.values():
            holder.send_signal(signal.SIGKILL)
        for process in [*self.holders.values(), *self.daemons.values()]:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.logs, ignore_errors=True)


class Containerlab:
    """The same lab in containers; `interop/Dockerfile` makes the image."""

    def __init__(self, folder, ribwatch):
        self.folder = folder
        self.name, self.nodes, self.links = read_topology(folder, ribwatch)
        self.engine = shutil.which("docker") or shutil.which("podman")

    @staticmethod
    def usable():
        engine = shutil.which("docker") or shutil.which("podman")
        return bool(shutil.which("containerlab") and engine and run([engine, "info"])[0] == 0)

    def deploy(self):
        here = os.path.dirname(os.path.abspath(__file__))
        if run([self.engine, "image", "inspect", IMAGE])[0] != 0:
            self._must([self.engine, "build", "-t", IMAGE, here])
        self._must(["containerlab", "deploy", "--reconfigure", "-t", os.path.join(self.folder, "topology.clab.yml")])

    def _must(self, argv):
        code, text = run(argv, timeout=600)
        if code != 0:
            raise LabError(f"{shlex.join(argv)}: {text.strip()}")

    def exec(self, name, argv, timeout=20):
        return run([self.engine, "exec", f"clab-{self.name}-{name}", *argv], timeout)

    def kill(self, name):
        raise LabError(f"cannot kill {name}: a container that restarts loses its links; use --player namespaces")

    start = kill

    def alive(self, name):
        code, text = run([self.engine, "inspect", "-f", "{{.State.Running}}", f"clab-{self.name}-{name}"])
        return code == 0 and text.strip() == "true"

    def log_tail(self, name, lines=15):
        return run([self.engine, "logs", "--tail", str(lines), f"clab-{self.name}-{name}"])[1]

    def destroy(self):
        run(["containerlab", "destroy", "--cleanup", "-t", os.path.join(self.folder, "topology.clab.yml")], 120)
