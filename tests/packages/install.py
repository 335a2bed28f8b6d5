"""The life of the package on a host: installed, configured, started as the unit says, restarted, removed, purged.

systemd does not run there, so what it would do with the unit is done by hand from the unit's own lines: user, group,
capabilities, no new privileges, SIGTERM and the command again for a restart. tests/packages/run makes the host.
"""

import configparser
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1] / "target/package-test/root"
sys.path.insert(0, str(HERE.parents[1] / "interop"))
sys.dont_write_bytecode = True

import lab  # noqa: E402  (its folder is known only now)

# How long something may take to come true before it counts as false.
PATIENCE_SECONDS = 60
# What installing anything changes: dpkg's own files.
NOT_OURS = re.compile(r"^(proc|run|sys|dev|tmp|package\.deb|var/lib/dpkg|var/log/(dpkg\.log|alternatives\.log|apt)|var/cache"
                      r"|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock)")


class Failed(Exception):
    """A claim that is false."""


def claim(text, true, seen=""):
    if not true:
        raise Failed(f"{text}\n{seen}")
    print(f"ok   {text}")


def files():
    """All paths on the host but those that belong to nobody in particular."""
    found = set()
    for folder, folders, names in os.walk(ROOT):
        for name in [*folders, *names]:
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            if not NOT_OURS.match(path):
                found.add(path)
    return found


def users():
    return (ROOT / "etc/passwd").read_text() + (ROOT / "etc/group").read_text()


class Unit:
    """What the unit says, and how to do that without systemd."""

    def __init__(self):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str
        parser.read(ROOT / "lib/systemd/system/ribwatch.service")
        self.says = parser["Service"]

    def command(self):
        capabilities = ",".join("+" + name.lower().removeprefix("cap_") for name in self.says["AmbientCapabilities"].split())
        return (f"chroot /run/root setpriv --reuid {self.says['User']} --regid {self.says['Group']} --init-groups"
                f" --inh-caps -all,{capabilities} --ambient-caps -all,{capabilities} --bounding-set -all,{capabilities}"
                f" --no-new-privs {self.says['ExecStart']}")


class Host:
    """The host and its neighbour in a lab."""

    def __init__(self):
        self.lab = lab.Namespaces(str(HERE), "")

    def chroot(self, *words):
        """Output of a command on the host; it must succeed."""
        code, text = self.lab.exec("host", ["chroot", "/run/root", *words], timeout=300)
        if code != 0:
            raise Failed(f"{' '.join(words)}: exit code {code}\n{text}")
        return text

    def bird(self, *words):
        return self.lab.exec("bird", ["birdc", "-s", "/run/bird.ctl", *words])[1]

    def until(self, text, ask):
        """A claim that may take a moment."""
        end = time.monotonic() + PATIENCE_SECONDS
        seen = None
        while time.monotonic() < end:
            try:
                seen = ask()
            except (Failed, ValueError, IndexError) as error:
                seen = None
                last = error
            if seen:
                return claim(text, True)
            time.sleep(0.2)
        return claim(text, False, f"{self.lab.log_tail('host')}\n{locals().get('last', '')}")

    def pid(self):
        return self.chroot("sh", "-c", "grep -l '^Name:.ribwatch$' /proc/[0-9]*/status").split("/")[2]

    def stop(self):
        """As `systemctl stop` does it: SIGTERM, then wait."""
        self.chroot("kill", "-TERM", self.pid())
        self.lab.daemons["host"].wait(PATIENCE_SECONDS)


def installed(host, before):
    host.chroot("dpkg", "-i", "/package.deb")
    claim("it is installed", "install ok installed" in host.chroot("dpkg", "-s", "ribwatch"))
    owner = host.chroot("stat", "-c", "%U:%G %a", "/etc/ribwatch", "/etc/ribwatch/ribwatch.toml", "/var/lib/ribwatch").split("\n")
    claim("the configuration is for root and the daemon, the state for the daemon",
          owner[:3] == ["root:ribwatch 750", "root:ribwatch 640", "ribwatch:ribwatch 750"], owner)
    claim("there are a unit, a man page and completions", {
        "usr/lib/systemd/system/ribwatch.service", "usr/share/man/man1/ribwatch.1.gz", "usr/share/bash-completion/completions/ribwatch",
    } <= files() - before)
    claim("the configuration that it brings is valid", ": ok" in host.chroot("ribwatch", "check", "-c", "/etc/ribwatch/ribwatch.toml"))


def configured():
    path = ROOT / "etc/ribwatch/ribwatch.toml"
    text = path.read_text().replace("listen    = []", 'listen    = ["192.0.2.1:179"]\nowned     = ["203.0.113.0/24"]')
    path.write_text(text + (HERE / "neighbor.toml").read_text())


def runs(host):
    host.lab.nodes["host"]["cmd"] = Unit().command()
    host.lab.start("host")

    def established():
        return json.loads(host.chroot("ribwatch", "neighbor", "--json").splitlines()[0])["state"] == "established"

    host.until("it listens on port 179, and the router beside it has a session", established)
    status = host.chroot("cat", f"/proc/{host.pid()}/status")
    field = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid = host.chroot("id", "-u", "ribwatch").strip()
    claim("it runs as its own user", set(field["Uid"].split()) == {uid} and uid != "0", status)
    claim("with CAP_NET_BIND_SERVICE (bit 10) and nothing more, now or later",
          {int(field[name], 16) for name in ("CapEff", "CapBnd", "CapAmb")} == {1 << 10} and field["NoNewPrivs"] == "1", status)
    host.chroot("ribwatch", "route", "add", "203.0.113.0/24")
    host.until("it announces a route", lambda: "203.0.113.0/24" in host.bird("show", "route"))


def restarts(host):
    host.stop()
    text = host.bird("show", "route", "203.0.113.0/24", "all")
    claim("while it restarts, the router beside it keeps its route", "203.0.113.0/24" in text, text + host.lab.log_tail("host"))
    host.lab.start("host")

    def back():
        neighbor = json.loads(host.chroot("ribwatch", "neighbor", "--json").splitlines()[0])
        return neighbor["state"] == "established" and neighbor["routes_advertised"] == 1

    host.until("it is back with the session, and with the route that it was told to announce", back)
    text = host.bird("show", "route", "203.0.113.0/24")
    claim("which the router still has", "203.0.113.0/24" in text, text)


def upgraded(host):
    mine = (ROOT / "etc/ribwatch/ribwatch.toml").read_text()
    host.chroot("dpkg", "--force-confdef", "-i", "/package.deb")
    claim("installed again, it leaves the configuration as people wrote it", (ROOT / "etc/ribwatch/ribwatch.toml").read_text() == mine)


def gone(host, before, users_before):
    host.stop()
    host.chroot("dpkg", "--remove", "ribwatch")
    claim("removed, it leaves configuration and state",
          (ROOT / "etc/ribwatch/ribwatch.toml").exists() and any((ROOT / "var/lib/ribwatch").iterdir()))
    host.chroot("dpkg", "--purge", "ribwatch")
    claim("purged, it leaves no file", files() <= before, sorted(files() - before))
    claim("and no user", "ribwatch" not in users() and users() == users_before, users())


def main():
    host = Host()
    before, users_before = files(), users()
    try:
        host.lab.deploy()
        installed(host, before)
        configured()
        runs(host)
        restarts(host)
        upgraded(host)
        gone(host, before, users_before)
    finally:
        host.lab.destroy()


if __name__ == "__main__":
    try:
        main()
    except (Failed, lab.LabError, subprocess.TimeoutExpired) as failed:
        sys.exit(f"FAILED {failed}")
