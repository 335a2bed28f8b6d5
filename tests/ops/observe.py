"""Dashboards and rules against what daemons really export: run by tests/ops/run, in a network and a PID namespace of its own.

Three sources of metrics: `ribwatch demo`; a daemon with an RTR cache, a sink that works, one that does not, a neighbor
that sends a faulty update, an alert that is acknowledged; and Prometheus, which scrapes both. Checked are

- each expression of each dashboard has data,
- each metric that dashboards and rules name is exported, with each label that they name, and each value that they compare with,
- each rule has a test and a part in the runbook, each dashboard its own uid, each panel a description and a place of its own.
"""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMETHEUS = "http://127.0.0.1:9090"
SECOND = {"gRPC": "127.0.0.1:50061", "HTTP": "127.0.0.1:8189"}
# How long nothing new may come true before what is missing counts as missing.
PATIENCE_SECONDS = 60
VARIABLES = {"$__rate_interval": "20s", "$__range": "5m", "$job": ".+", "$instance": ".+", "$peer": ".+", "$source": ".+"}
# Values that no daemon here shows, with the reason why they are right all the same.
UNSEEN = {
    ("severity", "info"): "a severity of detect/kind.rs; what happens here is graver",
    ("admin_state", "DOWN"): "GoBGP's word",
}

SECOND_CONFIG = """
[router]
asn       = 64512
router_id = "198.51.100.1"
listen    = ["127.0.0.1:1790"]

[api]
listen = "{gRPC}"

[http]
listen = "{HTTP}"

[state]
dir = "{work}/state"

[[neighbor]]
name       = "faulty"
address    = "127.0.0.9"
remote_asn = 64499
passive    = true
import     = ["accept-all"]

[[neighbor]]
name       = "away"
address    = "127.0.0.10"
remote_asn = 64498
passive    = true

[[rpki.cache]]
name    = "validator"
address = "127.0.0.1:3323"

[[rpki.cache]]
name    = "export"
file    = "{work}/vrps.json"

[[rpki.cache]]
name    = "gone"
address = "127.0.0.1:3399"

[[watch.prefix]]
prefix  = "198.51.100.0/24"
origins = [64500]

[detect]
settle_max = "1s"

[[sink]]
name = "archive"
type = "jsonl"
path = "{work}/alerts.jsonl"

[[sink]]
name = "nobody"
type = "webhook"
url  = "http://127.0.0.1:9/"
"""

PROMETHEUS_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: ribwatch
    static_configs: [{{targets: ["127.0.0.1:8179", "{HTTP}"]}}]
"""


class Failed(Exception):
    """What does not hold, ready to print."""


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def until(what, ask):
    """The first true answer of `ask`, polled."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            answer = ask()
        except (OSError, urllib.error.URLError):
            answer = None
        if answer:
            return answer
        time.sleep(0.2)
    raise Failed(f"never came true: {what}")


def query(expression):
    """The vector that Prometheus answers."""
    text = get(f"{PROMETHEUS}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    return json.loads(text)["data"]["result"]


def message(kind, body):
    """A BGP message (RFC 4271 §4.1)."""
    return b"\xff" * 16 + struct.pack(">HB", 19 + len(body), kind) + body


def update(attributes, nlri):
    """An UPDATE that announces `nlri` (RFC 4271 §4.3)."""
    return message(2, struct.pack(">HH", 0, len(attributes)) + attributes + nlri)


def faulty_neighbor():
    """AS 64499: a session, an update whose MED has three octets (RFC 7606 §7.4: treat-as-withdraw), and two hijacks."""
    four_octet_as = b"\x02\x06\x41\x04" + struct.pack(">I", 64499)
    opening = struct.pack(">BHH4sB", 4, 64499, 90, bytes([198, 51, 100, 99]), len(four_octet_as)) + four_octet_as
    attributes = b"\x40\x01\x01\x00" + b"\x40\x02\x06\x02\x01" + struct.pack(">I", 64499) + b"\x40\x03\x04\x7f\x00\x00\x09"
    hijack = update(attributes, b"\x18\xc6\x33\x64" + b"\x19\xc6\x33\x64\x80")
    faulty = update(attributes + b"\x80\x04\x03\x00\x00\x01", b"\x18\xcb\x00\x71")
    connection = socket.create_connection(("127.0.0.1", 1790), source_address=("127.0.0.9", 0))
    connection.sendall(message(1, opening) + message(4, b"") + faulty + hijack)
    while connection.recv(4096):
        pass


def selectors(expression):
    """(metric, [(label, operator, value)]) for each metric in an expression."""
    found = []
    for name, matchers in re.findall(r"\b((?:ribwatch|bgp|rtr|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?", expression):
        found.append((name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers or "")))
    return found


def dashboards():
    """(file name, dashboard) of each file."""
    return [(path.name, json.loads(path.read_text())) for path in sorted((ROOT / "config/grafana").glob("*.json"))]


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    """(where, expression with variables filled in) of dashboards, annotations and lists of variables included."""
    found = []
    for name, dashboard in dashboards():
        for panel in panels(dashboard):
            found += [(f"{name}: {panel['title']}", target["expr"]) for target in panel["targets"]]
        found += [(f"{name}: {note['name']}", note["expr"].split(" > ")[0]) for note in dashboard["annotations"]["list"]]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                inner, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                found.append((f"{name}: ${variable['name']}", f"group by ({label}) ({inner})"))
    return [(where, fill_in(expression)) for where, expression in found]


def fill_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def rules():
    document = yaml.safe_load((ROOT / "config/prometheus/alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def check_shape():
    """What can be said of the files without a daemon."""
    wrong = []
    uids = [dashboard["uid"] for _, dashboard in dashboards()]
    if len(set(uids)) != len(uids):
        wrong.append(f"two dashboards have one uid: {uids}")
    for name, dashboard in dashboards():
        taken = {}
        ids = [panel["id"] for panel in dashboard["panels"]]
        if len(set(ids)) != len(ids):
            wrong.append(f"{name}: two panels have one id")
        for panel in panels(dashboard):
            if not panel["description"]:
                wrong.append(f"{name}: {panel['title']}: no description")
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    if x >= 24 or other != panel["title"]:
                        wrong.append(f"{name}: {panel['title']} lies over {other}")
    tested = (ROOT / "config/prometheus/alerts.test.yml").read_text()
    runbook = (ROOT / "docs/runbooks/prometheus.md").read_text()
    for rule in rules():
        if not re.search(rf"alertname: {rule['alert']}\b", tested):
            wrong.append(f"rule {rule['alert']}: no test in alerts.test.yml")
        if f"\n## {rule['alert']}\n" not in runbook:
            wrong.append(f"rule {rule['alert']}: no part in docs/runbooks/prometheus.md")
        if rule["annotations"].get("runbook") != f"docs/runbooks/prometheus.md#{rule['alert'].lower()}":
            wrong.append(f"rule {rule['alert']}: its annotation `runbook` leads elsewhere")
    if wrong:
        raise Failed("\n".join(sorted(set(wrong))))


def check_names(all_expressions):
    """Metrics, their labels, and the values that these are compared with."""
    wrong = []
    for where, expression in all_expressions:
        for name, matchers in selectors(expression):
            if not query(name):
                wrong.append(f"{where}: nobody exports {name}")
            for label, operator, value in matchers:
                if not query(f'{name}{{{label}!=""}}'):
                    wrong.append(f"{where}: {name} has no label {label}")
                plain = operator in ("=", "!=")
                if plain and not query(f'{{{label}="{value}"}}') and (label, value) not in UNSEEN:
                    wrong.append(f"{where}: nothing has {label}=\"{value}\"")
    if wrong:
        raise Failed("\n".join(sorted(set(wrong))))


def check_data(all_expressions):
    """Each expression has an answer, soon or after a while."""
    missing = list(all_expressions)
    end = time.monotonic() + PATIENCE_SECONDS
    while missing and time.monotonic() < end:
        still = [(where, expression) for where, expression in missing if not query(expression)]
        if len(still) < len(missing):
            end = time.monotonic() + PATIENCE_SECONDS
        missing = still
        time.sleep(0.2)
    if missing:
        raise Failed("\n".join(f"no data: {where}: {expression}" for where, expression in missing))


def main():
    ribwatch = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    check_shape()
    print(f"ok   {len(rules())} rules have a test and a part in the runbook; {len(dashboards())} dashboards are well laid out")
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/state")
        vrps = {"roas": [{"asn": "AS64500", "prefix": "203.0.113.0/24", "maxLength": 24, "ta": "test"}]}
        pathlib.Path(f"{work}/vrps.json").write_text(json.dumps(vrps))
        pathlib.Path(f"{work}/second.toml").write_text(SECOND_CONFIG.format(work=work, **SECOND))
        settings = PROMETHEUS_CONFIG.format(rules=ROOT / "config/prometheus/alerts.yml", **SECOND)
        pathlib.Path(f"{work}/prometheus.yml").write_text(settings)
        log = open(f"{work}/log", "w", encoding="utf-8")
        commands = [
            [ribwatch, "demo"],
            ["stayrtr", "-bind", "127.0.0.1:3323", "-cache", f"{work}/vrps.json", "-checktime=false", "-metrics.addr", ""],
            [ribwatch, "run", "-c", f"{work}/second.toml"],
            ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/tsdb",
             "--web.listen-address=127.0.0.1:9090"],
        ]
        # The demo keeps a file there.
        surroundings = {**os.environ, "TMPDIR": work}
        running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=surroundings)
                   for command in commands]
        try:
            until("the second daemon is ready", lambda: get(f"http://{SECOND['HTTP']}/readyz"))
            threading.Thread(target=faulty_neighbor, daemon=True).start()

            def acknowledge():
                asked = [ribwatch, "--api", SECOND["gRPC"], "alert", "--kind", "origin-hijack", "--state", "open", "--json"]
                listed = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
                acked = [subprocess.run([ribwatch, "--api", SECOND["gRPC"], "alert", "ack", json.loads(line)["id"]],
                                        capture_output=True, check=False).returncode == 0 for line in listed[:1]]
                return bool(acked) and all(acked)

            until("an alert to acknowledge", acknowledge)
            until("two scrapes of both", lambda: len(query("sum_over_time(up[1m]) > 2")) == 2)
            for state in ("open", "acknowledged", "resolved"):
                until(f"an alert that is {state}", lambda: query(f'ribwatch_alerts{{state="{state}"}}'))
            from_dashboards = expressions()
            check_data(from_dashboards)
            print(f"ok   each of {len(from_dashboards)} expressions of dashboards has data")
            from_rules = [(rule["alert"], rule["expr"]) for rule in rules()]
            check_names(from_dashboards + from_rules)
            print("ok   each metric, label and value that dashboards and rules name is exported")
        except Failed:
            log.flush()
            print(pathlib.Path(f"{work}/log").read_text()[-4000:])
            raise
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"FAILED\n{failed}")
