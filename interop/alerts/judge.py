"""Compares alerts with `expected.json`, and prints `as expected` or what differs.

  judge.py open hijack flap?      in `rw`: exactly these alerts are open; one with a question mark may be
  judge.py over                   in `rw`: every one of the list was there, once, and is resolved; and no other
  judge.py file /run/alerts.jsonl in `rw`: the same told by a file of JSON lines
  judge.py told FORMAT            in `post`: the same told by alertmanager, webhook, pagerduty, slack, syslog-udp, syslog-tcp, mail
"""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = ["/run/sinks", os.path.join(HERE, "..", "alert-sinks")]
SOURCE, LINK = "rw.example.net", "https://noc.example/alerts/"
with open(os.path.join(HERE, "expected.json"), encoding="utf-8") as file:
    EXPECTED = json.load(file)


def differs(wanted, seen, where):
    """What of `wanted` is not so in `seen`: objects may have more members, lists must have the same items."""
    if isinstance(wanted, dict) and "at_least" in wanted:
        enough = isinstance(seen, int) and seen >= wanted["at_least"]
        return [] if enough else [f"{where} should be at least {wanted['at_least']}, is {seen!r}"]
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return [line for name, value in wanted.items() for line in differs(value, seen.get(name), f"{where}.{name}")]
    if isinstance(wanted, list) and isinstance(seen, list) and len(wanted) == len(seen):
        return [line for at, value in enumerate(wanted) for line in differs(value, seen[at], f"{where}[{at}]")]
    return [] if wanted == seen else [f"{where} should be {wanted!r}, is {seen!r}"]


def exactly(wanted, seen, where):
    """As `differs`; AS numbers and names of neighbours must be these and no others."""
    lines = differs(wanted, seen, where)
    return lines + ([f"{where}.asns also has {seen['asns']}"] if not lines and seen["asns"] != wanted["asns"] else [])


def parts_played(wanted):
    """Lists of AS numbers by part, in order; a part that one AS plays has a number in JSON."""
    return [(part, asns if isinstance(asns, list) else [asns]) for part, asns in sorted(wanted["asns"].items())]


def asns_in_words(wanted):
    return "; ".join(f"{part} " + ", ".join(f"AS{asn}" for asn in asns) for part, asns in parts_played(wanted))


def alerts():
    """All alerts of the daemon, by what they are about; two about the same thing are a fault."""
    done = subprocess.run(["/run/bin/ribwatch", "alert", "list", "--json"], capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    named = {(wanted["kind"], wanted["subject"]): name for name, wanted in EXPECTED.items()}
    by_name, lines = {}, [done.stderr.strip()] if done.returncode else []
    for alert in found:
        name = named.get((alert["kind"], alert["subject"]), f"{alert['kind']} {alert['subject']}")
        if name in by_name or name not in EXPECTED:
            lines.append(f"nobody wants {name}: {json.dumps(alert)}")
        by_name[name] = alert
    return by_name, lines


def judge_open(words):
    by_name, lines = alerts()
    is_open = {name: alert for name, alert in by_name.items() if alert["state"] == "open"}
    for word in words:
        name = word.rstrip("?")
        alert = is_open.pop(name, None)
        if alert is None:
            lines += [f"{name} is not open"] if name == word else []
            continue
        lines += exactly(EXPECTED[name], alert, name)
        lines += [f"{name}: resolved_at {alert['resolved_at']}"] if alert["resolved_at"] else []
        lines += [f"{name}: came back {alert['reopened']} times"] if alert["reopened"] else []
    return lines + [f"{name} is open, too" for name in is_open]


def judge_over(_):
    by_name, lines = alerts()
    lines += [f"there was no {name}" for name in EXPECTED if name not in by_name]
    for name, alert in by_name.items():
        lines += [f"{name} is {alert['state']}"] if alert["state"] != "resolved" else []
        lines += [f"{name} came back"] if alert["reopened"] else []
        if alert["state"] == "resolved" and not alert["first_seen"] <= alert["last_seen"] <= alert["resolved_at"]:
            lines.append(f"{name}: {alert['first_seen']}, {alert['last_seen']}, {alert['resolved_at']}")
    return lines


class Tellings:
    """What one format told: by the alert's id, in the order of coming, whether it is over and what differs from `wanted`."""

    def __init__(self):
        self.by_id, self.lines = {}, []

    def add(self, ident, name, over, lines):
        self.by_id.setdefault(ident, []).append((name, over))
        self.lines += lines

    def judge(self):
        """Every alert of the list under one id: told once that it is there, then once that it is over."""
        lines, ids = list(self.lines), {}
        for ident, told in self.by_id.items():
            names = {name for name, _ in told if name}
            if len(names) != 1 or not names <= EXPECTED.keys():
                lines.append(f"{ident} is {names or 'unknown'}")
                continue
            name = names.pop()
            lines += [f"{name} has two ids"] if name in ids else []
            ids[name] = ident
            ends = [over for _, over in told]
            if ends != [False, True]:
                lines.append(f"{name} was told as {['over' if over else 'open' for over in ends]}")
        return lines + [f"{name} was not told" for name in EXPECTED if name not in ids]


def named(kind, subject):
    return next((name for name, wanted in EXPECTED.items() if (wanted["kind"], wanted["subject"]) == (kind, subject)), None)


def own_json(tellings, body):
    """Our own JSON, in a webhook or a file."""
    name = named(body["kind"], body["subject"])
    over = body["event"] == "resolved"
    lines = exactly(EXPECTED[name], body, name) if name else [f"nobody wants {body['summary']}"]
    lines += differs({"source": SOURCE, "test": False, "event": "resolved" if over else "opened",
                      "state": "resolved" if over else "open"}, body, name)
    tellings.add(body["id"], name, over, lines)


def webhook(tellings, got):
    if not got["signed"]:
        tellings.lines.append("a signature is wrong")
    own_json(tellings, got["body"])


def pagerduty(tellings, got):
    event = got["body"]
    over = event["event_action"] == "resolve"
    if over:
        tellings.add(event["dedup_key"], None, True, ["a resolve with a payload"] if "payload" in event else [])
        return
    payload = event["payload"]
    name = named(payload["class"], payload["component"])
    wanted = EXPECTED.get(name, {})
    tellings.add(event["dedup_key"], name, False, differs({
        "event_action": "trigger", "client": "ribwatch", "client_url": LINK + event["dedup_key"],
        "links": [{"href": LINK + event["dedup_key"]}],
        "payload": {"source": SOURCE, "severity": wanted.get("severity"), "class": wanted.get("kind"),
                    "group": wanted.get("prefix") or wanted.get("subject"), "component": wanted.get("subject"),
                    "custom_details": {**wanted, "id": event["dedup_key"], "source": SOURCE}},
    }, event, name) + ([] if payload["timestamp"] == payload["custom_details"]["first_seen"] else ["another timestamp"]))


def slack(tellings, got):
    header, said, fields, context = got["body"]["blocks"]
    source, ident, event, link = context["elements"][0]["text"].split(" · ")
    _, shout, kind, subject = header["text"]["text"].split(" ", 3)
    name, over = named(kind.rstrip(":"), subject), shout == "RESOLVED"
    wanted = EXPECTED.get(name, {"asns": {}, "severity": "", "neighbors": []})
    shown = dict(field["text"].strip("*").split("*\n", 1) for field in fields["fields"])
    summary, why = said["text"]["text"].split("\n", 1)
    seen = {"source": source, "link": link, "event": event, "shout": shout, "ases": shown.get("ASes"),
            "by": shown.get("Seen by"), "prefix": shown.get("Prefix"), "until": "Until" in shown,
            "notified": got["body"]["text"].startswith(f"{shout} {kind} {subject}. {summary.strip('*')}")}
    lines = differs({"source": SOURCE, "link": f"<{LINK}{ident}|open>", "event": "resolved" if over else "opened",
                     "shout": "RESOLVED" if over else wanted["severity"].upper(), "ases": asns_in_words(wanted),
                     "by": ", ".join(wanted["neighbors"]), "prefix": wanted.get("prefix"), "until": over,
                     "notified": True}, seen, name)
    lines += [f"{name}: {why}"] if ("over: " in why) != over else []
    tellings.add(ident, name, over, lines)


def syslog(facility):
    def one(tellings, got):
        import formats
        parts = formats.syslog_parts(got["line"])
        params = parts["params"]
        over = params["event"] == "resolved"
        # The structured data have no subject: the text begins with the summary, and kind, prefix and ASes say which it is.
        def fits(wanted):
            asns = {f"{part}_asn": " ".join(map(str, asns)) for part, asns in parts_played(wanted)}
            return (wanted["kind"], wanted["prefix"]) == (parts["id"], params.get("prefix")) and asns.items() <= params.items()
        name = next((name for name, wanted in EXPECTED.items() if fits(wanted)), None)
        wanted = EXPECTED.get(name, {"severity": None, "neighbors": []})
        severity = 5 if over else {"critical": 2, "warning": 4, "info": 6}.get(wanted["severity"])
        lines = differs({"pri": str(facility * 8 + (severity or 0)), "host": SOURCE, "app": "ribwatch", "sd": "ribwatch@32473",
                         "params": {"severity": wanted["severity"], "state": "resolved" if over else "open",
                                    "event": "resolved" if over else "opened", "neighbors": ",".join(wanted["neighbors"])}},
                        parts, name or got["line"])
        tellings.add(params["id"], name, over, lines)
    return one


def mail(tellings, got):
    headers = got["headers"]
    fields = dict((line[:16].strip(), line[16:].strip()) for line in got["text"].splitlines()[3:])
    over, ident = headers["X-Ribwatch-Event"] == "resolved", headers["X-Ribwatch-Alert"]
    # A mail has no subject field of the alert: kind, prefix and ASes say which it is.
    def fits(wanted):
        return (wanted["kind"], wanted["prefix"] or "", asns_in_words(wanted)) == (
            fields["kind"], fields.get("prefix", ""), fields.get("ASes"))
    name = next((name for name, wanted in EXPECTED.items() if fits(wanted)), None)
    wanted = EXPECTED.get(name, {"severity": "", "neighbors": [], "evidence": {}})
    shout = "RESOLVED" if over else wanted["severity"].upper()
    lines = differs({"headers": {"X-Ribwatch-Severity": wanted["severity"], "From": "ribwatch <ribwatch@example.net>",
                                 "To": "noc@example.net"},
                     "recipients": ["noc@example.net"], "sender": "ribwatch@example.net", "defects": [],
                     "thread": f"<{ident}@example.net>"}, got, name)
    lines += differs({"alert": ident, "router": SOURCE, "seen by": ", ".join(wanted["neighbors"]),
                      "severity": wanted["severity"], "state": "resolved" if over else "open"}, fields, name)
    lines += [f"{name}: subject {got['subject']}"] if not got["subject"].startswith(f"[ribwatch] {shout}: ") else []
    # Names of fields never run into their values.
    lines += [f"{name}: no field {field}" for field in wanted["evidence"] if f"\n{field} " not in got["text"].replace("\r", "")]
    tellings.add(ident, name, over, lines)


def alertmanager(tellings, got):
    """What Alertmanager tells its own receivers: one group for each alert; tells again while it fires."""
    for alert in got["body"]["alerts"]:
        labels, notes = alert["labels"], alert["annotations"]
        name, over = named(labels["alertname"], labels["subject"]), alert["status"] == "resolved"
        wanted = EXPECTED.get(name, {"asns": {}, "neighbors": [], "evidence": {}})
        labelled = {"alertname": wanted.get("kind"), "alert_id": labels["alert_id"], "severity": wanted.get("severity"),
                    "source": SOURCE, "subject": wanted.get("subject"), "team": "noc"}
        if wanted.get("prefix"):
            labelled["prefix"] = wanted["prefix"]
        lines = [] if labels == labelled else [f"{name}: labels {labels}"]
        lines += differs({"asns": asns_in_words(wanted), "neighbors": ", ".join(wanted["neighbors"]),
                          "state": "resolved" if over else "open"}, notes, name)
        for field, value in wanted["evidence"].items():
            seen = notes.get(f"evidence_{field}", "null")
            lines += differs(value, seen if isinstance(value, str) else json.loads(seen), f"{name}.{field}")
        lines += [f"{name}: no {field}" for field in ("summary", "description") if not notes.get(field)]
        lines += [f"{name}: {alert['generatorURL']}"] if alert["generatorURL"] != LINK + labels["alert_id"] else []
        lines += [f"{name}: ends {alert['endsAt']}"] if over and not alert["startsAt"] <= alert["endsAt"] else []
        # Alertmanager notifies again when another of its timers fires; the order must be right all the same.
        if (name, over) not in tellings.by_id.get(labels["alert_id"], [])[-1:]:
            tellings.add(labels["alert_id"], name, over, lines)
        else:
            tellings.lines += lines


FORMATS = {
    "alertmanager": ("/from-alertmanager", alertmanager), "webhook": ("/hook", webhook),
    "pagerduty": ("/v2/enqueue", pagerduty), "slack": ("/slack", slack), "mail": ("mail", mail),
    "syslog-udp": ("syslog-udp", syslog(3)), "syslog-tcp": ("syslog-tcp", syslog(16)),
}


def judge_told(words):
    where, read = FORMATS[words[0]]
    tellings = Tellings()
    with open("/run/got", encoding="utf-8") as file:
        for line in file:
            got = json.loads(line)
            if got.get("path", got["kind"]) != where:
                continue
            tellings.lines += got["faults"]
            read(tellings, got)
    return tellings.judge()


def judge_file(words):
    import formats
    tellings = Tellings()
    with open(words[0], encoding="utf-8") as file:
        for line in file:
            body = json.loads(line)
            tellings.lines += formats.alert(body)
            own_json(tellings, body)
    return tellings.judge()


def main():
    verbs = {"open": judge_open, "over": judge_over, "told": judge_told, "file": judge_file}
    lines = verbs[sys.argv[1]](sys.argv[2:])
    print("\n".join(lines) or "as expected")


if __name__ == "__main__":
    main()
