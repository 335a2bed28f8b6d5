"""What the receivers of alerts ask of a message, field by field. Each function returns what is wrong, as a list of sentences.

Sources: docs.slack.dev (incoming webhooks, Block Kit limits), developer.pagerduty.com (Events API v2), standardwebhooks.com,
RFC 5424 and RFC 6587, RFC 5322, RFC 3834; for our own JSON the list of an alert's fields in the documentation.
"""

import datetime
import json
import re
import time

ALERT = {
    "id": str, "kind": str, "severity": str, "state": str, "prefix": (str, type(None)), "asns": dict, "neighbors": list,
    "first_seen": str, "last_seen": str, "resolved_at": (str, type(None)), "summary": str, "why": str, "evidence": dict,
}
EVENTS = "opened reopened changed reminder acknowledged commented resolved unmuted muted".split()


class Faults(list):
    """A list that grows by what is not so."""

    def unless(self, true, what):
        if not true:
            self.append(what)


def is_time(text):
    """RFC 3339, UTC."""
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return text.endswith("Z")


def alert(body):
    """Our own JSON: the fields of an alert, and what happened to it."""
    faults = Faults()
    for name, kind in ALERT.items():
        faults.unless(name in body and isinstance(body[name], kind), f"field {name}: {body.get(name)!r}")
    if faults:
        return faults
    faults.unless(body["severity"] in ("info", "warning", "critical"), f"severity {body['severity']}")
    faults.unless(body["state"] in ("open", "acknowledged", "resolved"), f"state {body['state']}")
    faults.unless(body.get("event") in EVENTS, f"event {body.get('event')}")
    for name in ("first_seen", "last_seen", "event_at"):
        faults.unless(is_time(body.get(name, "")), f"{name} {body.get(name)}")
    over = body["state"] == "resolved"
    faults.unless((body["resolved_at"] is not None) == over, f"{body['state']}, resolved_at {body['resolved_at']}")
    faults.unless(not over or is_time(body["resolved_at"]), f"resolved_at {body['resolved_at']}")
    faults.unless(body["first_seen"] <= body["last_seen"], "last_seen before first_seen")
    asns = [asn for part in body["asns"].values() for asn in (part if isinstance(part, list) else [part])]
    right = all(isinstance(asn, int) for asn in asns)
    faults.unless(right and body["asns"], f"asns {body['asns']}")
    faults.unless(body["summary"] and "\n" not in body["summary"], f"summary {body['summary']!r}")
    faults.unless(len(body["why"].split()) > 3, f"why {body['why']!r}")
    return faults


def webhook(headers, body):
    """Standard Webhooks: the headers; the signature is verified where the key is."""
    faults = Faults(alert(body))
    faults.unless(headers.get("content-type") == "application/json", f"content-type {headers.get('content-type')}")
    faults.unless(headers.get("webhook-id") and headers["webhook-id"] == body.get("delivery"), f"webhook-id {headers.get('webhook-id')}")
    stamp = headers.get("webhook-timestamp", "0")
    faults.unless(stamp.isdigit() and abs(time.time() - int(stamp)) < 300, f"webhook-timestamp {stamp}")
    return faults


def pagerduty(headers, body):
    """Events API v2: (status, answer, faults)."""
    faults, event = Faults(), json.loads(body)
    fields = "routing_key event_action dedup_key payload images links client client_url".split()
    faults.extend(f"unknown field {name}" for name in event if name not in fields)
    faults.unless(headers.get("content-type") == "application/json", f"content-type {headers.get('content-type')}")
    faults.unless(len(body) <= 512 * 1024, f"{len(body)} octets")
    faults.unless(re.fullmatch(r"[0-9a-zA-Z]{32}", event.get("routing_key", "")), f"routing_key {event.get('routing_key')!r}")
    action = event.get("event_action")
    faults.unless(action in ("trigger", "acknowledge", "resolve"), f"event_action {action!r}")
    faults.unless(0 < len(event.get("dedup_key", "")) <= 255, f"dedup_key {event.get('dedup_key')!r}")
    if action == "trigger":
        payload = event.get("payload", {})
        known = "summary source severity timestamp component group class custom_details".split()
        faults.extend(f"unknown field payload.{name}" for name in payload if name not in known)
        faults.unless(0 < len(payload.get("summary", "")) <= 1024, f"summary {payload.get('summary')!r}")
        faults.unless(payload.get("source"), f"source {payload.get('source')!r}")
        faults.unless(payload.get("severity") in ("critical", "error", "warning", "info"), f"severity {payload.get('severity')!r}")
        faults.unless(is_time(payload.get("timestamp", "")), f"timestamp {payload.get('timestamp')!r}")
        for name in ("component", "group", "class"):
            faults.unless(isinstance(payload.get(name), str), f"{name} {payload.get(name)!r}")
        faults.unless(isinstance(payload.get("custom_details"), dict), "custom_details is no object")
        faults.extend(f"custom_details: {what}" for what in alert(payload.get("custom_details") or {}))
        for link in event.get("links", []):
            faults.unless(link.get("href", "").startswith("https://") and link.get("text"), f"link {link}")
        if "client_url" in event:
            faults.unless(event["client_url"].startswith("https://"), f"client_url {event['client_url']}")
    if faults:
        return 400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": faults}), faults
    return 202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}), faults


def slack(headers, body):
    """Incoming webhook: (status, answer, faults)."""
    faults, message = Faults(), json.loads(body)
    faults.unless(headers.get("content-type") == "application/json", f"content-type {headers.get('content-type')}")
    faults.unless(0 < len(message.get("text", "")) <= 40_000, f"text {message.get('text')!r}")
    blocks = message.get("blocks", [])
    faults.unless(0 < len(blocks) <= 50, f"{len(blocks)} blocks")

    def text(of, kinds, most):
        right = isinstance(of, dict) and of.get("type") in kinds and 0 < len(of.get("text", "")) <= most
        faults.unless(right, f"text object {of}")
        # Links that we make look so; everything else that begins with < would mention somebody.
        rest = re.sub(r"<https://[^|<>]+\|open>", "", of.get("text", "")) if right else ""
        faults.unless("<" not in rest and ">" not in rest, f"not escaped: {rest}")

    for block in blocks:
        kind = block.get("type")
        if kind == "header":
            text(block.get("text"), ["plain_text"], 150)
        elif kind == "section":
            faults.unless("text" in block or "fields" in block, "section without text and fields")
            if "text" in block:
                text(block["text"], ["mrkdwn", "plain_text"], 3000)
            faults.unless(len(block.get("fields", [])) <= 10, "more than 10 fields")
            for field in block.get("fields", []):
                text(field, ["mrkdwn", "plain_text"], 2000)
        elif kind == "context":
            faults.unless(0 < len(block.get("elements", [])) <= 10, "context without elements, or with more than 10")
            for element in block.get("elements", []):
                text(element, ["mrkdwn", "plain_text"], 2000)
        else:
            faults.append(f"block type {kind}")
    return (400, "invalid_blocks", faults) if faults else (200, "ok", faults)


SERVICES = {"/slack": slack, "/v2/enqueue": pagerduty}

PRINTABLE = r"[!-~]"
SYSLOG = re.compile(
    rf"<(?P<pri>\d{{1,3}})>1 (?P<time>\S+) (?P<host>{PRINTABLE}{{1,255}}) (?P<app>{PRINTABLE}{{1,48}}) (?P<pid>{PRINTABLE}{{1,128}}) "
    rf"(?P<id>{PRINTABLE}{{1,32}}) \[(?P<sd>[!-<>-\\^-~]{{1,32}})(?P<params>(?: [!-<>-\\^-~]{{1,32}}=\"(?:[^\"\\\]]|\\.)*\")*)\] ?(?P<text>.*)",
    re.S,
)


def syslog_parts(line):
    """The parts of RFC 5424 section 6, with the parameters of the structured data by name; None when it is no such line."""
    match = SYSLOG.fullmatch(line)
    if match is None:
        return None
    params = re.findall(r' ([^ =]+)="((?:[^"\\\]]|\\.)*)"', match["params"])
    return {**match.groupdict(), "params": {name: re.sub(r"\\(.)", r"\1", value) for name, value in params}}


def syslog(line, octets_max):
    """RFC 5424."""
    faults, parts = Faults(), syslog_parts(line)
    if parts is None:
        return ["no line of RFC 5424"]
    faults.unless(len(line.encode()) <= octets_max, f"{len(line.encode())} octets")
    faults.unless(int(parts["pri"]) <= 191, f"priority {parts['pri']}")
    stamp = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", parts["time"])
    faults.unless(stamp, f"time {parts['time']}")
    faults.unless(re.fullmatch(r"[^@]+@\d+", parts["sd"]), f"structured data {parts['sd']}")
    faults.unless("\n" not in parts["text"] and parts["text"], f"text {parts['text']!r}")
    return faults


def mail(message, octets):
    """RFC 5322 as read by Python's parser: what people and their programs sort by."""
    faults = Faults()
    for name in ("From", "To", "Subject", "Date", "Message-ID", "X-Ribwatch-Alert", "X-Ribwatch-Event", "X-Ribwatch-Severity"):
        faults.unless(len(message.get_all(name, [])) == 1, f"header {name}: {message.get_all(name)}")
    faults.unless(message["Auto-Submitted"] == "auto-generated", f"Auto-Submitted {message['Auto-Submitted']} (RFC 3834)")
    lines = octets.split(b"\r\n")
    faults.unless(all(len(line) <= 998 and b"\n" not in line for line in lines), "a line is too long, or ends wrongly")
    if message["X-Ribwatch-Event"] != "opened":
        first = f"<{message['X-Ribwatch-Alert']}@"
        faults.unless(str(message["References"]).startswith(first), f"References {message['References']}")
    return faults
