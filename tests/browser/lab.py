"""A daemon and the routers around it, on loopback: what the page is tested against, and what it can be looked at with
(`python3 lab.py BINARY` stays up until Enter)."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from speaker import Speaker

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SHUT_TEXT = "linecard <script>document.title='owned'</script> swap until 04:00"
TABLE = 12_000

CONFIG = """
[router]
asn       = 64512
router_id = "198.51.100.1"
listen    = ["127.0.0.1:{bgp}"]
owned     = ["203.0.113.0/24"]

[api]
listen = "127.0.0.1:{api}"

[http]
listen = "127.0.0.1:{http}"

[state]
dir = "{work}/state"

[[rpki.cache]]
name = "validator-1"
file = "{work}/rpki.json"

[[rpki.cache]]
name    = "validator-2"
address = "127.0.0.1:9"

[[policy.policy]]
name = "rov"
[[policy.policy.statement]]
name    = "invalid"
match   = {{ validation = "invalid" }}
verdict = "reject"

[[watch.prefix]]
prefix    = "203.0.113.0/24"
origins   = [64500]

[[watch.prefix]]
prefix    = "198.51.100.0/24"
origins   = [64500]

[[watch.relation]]
peers = [64496, 64497]

[detect]
settle_max = "1s"

[detect.bogon]
enabled = false

[alert.kind.session]
open_after = "0s"

[alert.kind.subprefix-hijack]
resolve_after = "1s"

[[neighbor]]
name       = "transit-a"
address    = "127.0.0.2"
remote_asn = 64496
passive    = true
families   = ["ipv4-unicast", "ipv6-unicast"]
import     = ["rov", "accept-all"]
export     = ["accept-all"]

[[neighbor]]
name       = "transit-b"
address    = "127.0.0.3"
remote_asn = 64497
passive    = true
families   = ["ipv4-unicast", "ipv6-unicast"]
import     = ["rov", "accept-all"]
export     = ["reject-all"]

[[neighbor]]
name       = "customer"
address    = "127.0.0.4"
remote_asn = 64501
local_role = "provider"
passive    = true
import     = ["accept-all"]
export     = ["accept-all"]

[[neighbor]]
name       = {hostile}
address    = "127.0.0.5"
remote_asn = 64505
passive    = true
import     = ["accept-all"]
export     = ["reject-all"]

[[neighbor]]
name       = "exchange-rs"
address    = "127.0.0.6"
remote_asn = 64510
passive    = true
import     = ["accept-all"]
export     = ["reject-all"]
"""

ROAS = {
    "roas": [
        {"asn": "AS64500", "prefix": "203.0.113.0/24", "maxLength": 24, "ta": "test"},
        {"asn": "AS64500", "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "test"},
        {"asn": "AS64499", "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "test"},
        {"asn": "AS64501", "prefix": "10.0.0.0/16", "maxLength": 24, "ta": "test"},
        {"asn": "AS64500", "prefix": "2001:db8::/32", "maxLength": 48, "ta": "test"},
    ]
}


def prefixes(count):
    return [f"10.{n >> 8}.{n & 255}.0/24" for n in range(count)]


class Lab:
    def __init__(self, binary, more="", token=None):
        """`more` is added to the configuration; `token` is what the lab itself shows."""
        self.binary, self.more, self.token = os.path.abspath(binary), more, token
        self.work = tempfile.mkdtemp(prefix="ribwatch-page-")
        self.daemon = None
        self.ports = {"bgp": 0, "api": 0, "http": 0}
        self.routers = {}
        with open(f"{self.work}/rpki.json", "w") as file:
            json.dump(ROAS, file)

    def start(self):
        """Starts the daemon, the second time on the ports that it had."""
        with open(f"{self.work}/daemon.toml", "w") as file:
            file.write(CONFIG.format(work=self.work, hostile=json.dumps(HOSTILE), **self.ports) + self.more)
        log = open(f"{self.work}/log", "wb")
        self.daemon = subprocess.Popen([self.binary, "run", "-c", f"{self.work}/daemon.toml"], stdout=log, stderr=log)
        pattern = re.compile(r"BGP on \S*?:(\d+), gRPC on \S*?:(\d+), HTTP on \S*?:(\d+)")
        for _ in range(2000):
            with open(f"{self.work}/log", errors="replace") as file:
                text = file.read()
            found = pattern.search(text)
            if found:
                self.ports = dict(zip(("bgp", "api", "http"), map(int, found.groups())))
                return self
            if self.daemon.poll() is not None:
                break
            time.sleep(0.01)
        raise SystemExit(f"the daemon does not start:\n{text}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['http']}"

    def get(self, path):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/v1/{path}", headers=headers), timeout=10) as answer:
            return json.load(answer)

    def wait(self, what, look, patience=20):
        """Asks until `look()` is true."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.02)
        raise SystemExit(f"did not happen: {what}")

    def connect(self, name, address, asn):
        def dial():
            router = Speaker(address, asn, self.ports["bgp"])
            if router.up.wait(3):
                return router
            router.close()
            return None

        self.routers[name] = self.wait(f"a session from {address}", dial)
        return self.routers[name]

    def fill(self):
        """The routers send their tables; two things are wrong with them."""
        a = self.connect("transit-a", "127.0.0.2", 64496)
        b = self.connect("transit-b", "127.0.0.3", 64497)
        customer = self.connect("customer", "127.0.0.4", 64501)
        odd = self.connect("odd", "127.0.0.5", 64505)
        table = prefixes(TABLE)
        for start in range(5):
            origin = 64520 + start
            a.announce(table[start::5], [64496, 64515, origin], communities=["64496:100", f"64496:{origin - 64000}"])
            b.announce(table[start::5], [64497, 64515, 64516, origin], communities=["64497:200"])
        a.announce([f"2001:db8:{n:x}::/48" for n in range(300)], [64496, 64500])
        a.announce("203.0.113.0/24", [64496, 64515, 64500], communities=["64496:100"], large=["64496:1:2"])
        b.announce("203.0.113.0/24", [64497, 64497, 64497, 64500], communities=["64497:200"], med=50)
        odd.announce("203.0.113.0/24", [64505, 64516, 64515, 64500])
        a.announce("198.51.100.0/24", [64496, 64500])
        a.announce("192.0.2.0/24", [64496, 64499])
        b.announce("192.0.2.0/24", [64497, 64511])
        customer.announce("10.200.0.0/24", [64501])
        for router in (a, b, customer, odd):
            router.end_of_rib()
        self.wait("all paths are filed", lambda: sum(t["paths"] for t in self.get("summary")["tables"]) >= 2 * TABLE + 300)
        return self

    def misbehave(self):
        """A hijack, a leak, and a session that ends with words."""
        self.routers["transit-b"].announce("203.0.113.128/25", [64497, 64515, 64511])
        self.routers["customer"].announce("192.0.2.128/25", [64501, 64496, 64499], otc=64496)
        exchange = self.connect("exchange", "127.0.0.6", 64510)
        exchange.announce(prefixes(50), [64510, 64530])
        exchange.end_of_rib()
        self.wait("the exchange's session is up", lambda: self.get("neighbors/127.0.0.6")["state"] == "established")
        time.sleep(2.5)  # the page's memory of sessions looks every two seconds
        exchange.shut(SHUT_TEXT)
        self.wait("alerts are open", lambda: len(self.get("alerts?state=open")["alerts"]) >= 2)
        return self

    def stop_daemon(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(20)

    def stop(self):
        for router in self.routers.values():
            router.close()
        if self.daemon and self.daemon.poll() is None:
            self.stop_daemon()
        shutil.rmtree(self.work, ignore_errors=True)


if __name__ == "__main__":
    lab = Lab(sys.argv[1]).start()
    try:
        lab.fill().misbehave()
        print(lab.url, lab.work, flush=True)
        sys.stdin.read() if not sys.stdin.isatty() else input()
    finally:
        lab.stop()
