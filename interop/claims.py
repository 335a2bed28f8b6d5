"""The steps of a scenario (`claims.yml`): what must be true, and what is done in between.

  - claim: FRR's routes arrive with every attribute       a sentence; the number comes from the order
    routes: {at: rw, from: 192.0.2.2, table: adj-in}      whose view: node, neighbour, table (of ribwatch)
    are:                                                  exactly these prefixes, with at least these fields
      198.51.100.0/26: {as_path: "64497", med: 30}        a list of them where a prefix has several paths
  - claim: every session is up
    sessions: {at: rw}
    are:
      192.0.2.2: {state: established}
  - claim: BIRD counted a route refresh
    output: {at: bird, run: birdc -s /run/bird.ctl show protocols all}
    matches: ["Route refresh"]                            regular expressions; `lacks` for what must not be there
  - claim: both choose the same neighbour             prefix by prefix; how many prefixes there must be
    same_best: {at: [bird, rw], prefixes: 300}            `without` names neighbours that nobody may choose
  - claim: what the node says of origins            route by route; `as` prints `PREFIX STATE` lines, each state `each` times
    validity: {at: bird, as: [feed, /run/lab/expect], each: 60}
  - do: {kill: frr}                                       kill, start, run: [node, command]

A text that begins with `~` is a regular expression for the whole field; `include` in place of `are` allows more prefixes.
A claim is asked again until it is true or the scenario's time is up; one with `holds: 3s` must also stay true that long.
"""

import re
import shlex
import threading
import time

POLL_SECONDS = 0.3
# Set when the run is to end: every scenario then stops at its next poll and clears its lab away.
STOP = threading.Event()


class ClaimFailed(Exception):
    """The difference between what was claimed and what was seen, ready to print."""


def pause():
    """The time between two looks."""
    if STOP.wait(POLL_SECONDS):
        raise ClaimFailed("  interrupted")


def seconds(text):
    """`90s` or `2m` in seconds."""
    return float(str(text).rstrip("sm")) * (60 if str(text).endswith("m") else 1)


class Steps:
    """Runs the steps of one scenario against a lab and its views."""

    def __init__(self, document, lab, views, report):
        self.document, self.lab, self.views, self.report = document, lab, views, report
        self.limit = seconds(document.get("limit", "90s"))

    def play(self):
        """Raises ClaimFailed at the first claim that does not come true in time."""
        deadline = time.monotonic() + self.limit
        number = 0
        for step in self.document["steps"]:
            if "do" in step:
                self._do(step["do"])
                continue
            number += 1
            started = time.monotonic()
            difference = self._until_true(step, deadline)
            if not difference and "holds" in step:
                difference = self._while_true(step, seconds(step["holds"]))
            self.report(number, step["claim"], not difference, time.monotonic() - started)
            if difference:
                raise ClaimFailed(difference)

    def _do(self, action):
        for verb, what in action.items():
            if verb == "run":
                code, text = self.lab.exec(what[0], shlex.split(what[1]))
                if code != 0:
                    raise ClaimFailed(f"{what[0]}: {what[1]}: {text.strip()}")
            elif verb in ("kill", "start"):
                getattr(self.lab, verb)(what)
            else:
                raise ValueError(f"do: {verb}? there are kill, start and run")

    def _until_true(self, step, deadline):
        while True:
            difference = self._difference(step)
            if not difference or time.monotonic() > deadline:
                return difference
            pause()

    def _while_true(self, step, duration):
        end = time.monotonic() + duration
        while time.monotonic() < end:
            difference = self._difference(step)
            if difference:
                return "was true, but did not stay so:\n" + difference
            pause()
        return ""

    def _difference(self, step):
        """Empty when the claim is true now."""
        if "output" in step:
            return self._output_difference(step)
        if "same_best" in step:
            return self._best_difference(step["same_best"])
        if "validity" in step:
            return self._validity_difference(step["validity"])
        view = self.views[step["sessions" if "sessions" in step else "routes"]["at"]]
        if "sessions" in step:
            seen = keyed(view.sessions(), "neighbor")
        else:
            ask = step["routes"]
            routes = view.routes(table=ask.get("table", "loc"), neighbor=ask.get("from") or ask.get("to"))
            if ask.get("best"):
                routes = [r for r in routes if r["best"]]
            if "family" in ask:
                routes = [r for r in routes if (":" in r["prefix"]) == (ask["family"] == "ipv6")]
            seen = keyed(routes, "prefix")
        wanted = step["are"] if "are" in step else step["include"]
        return compare(wanted or {}, seen, exact="are" in step)

    def _best_difference(self, ask):
        """Which prefixes two nodes choose different neighbours for."""
        (one, ours), (other, theirs) = [(name, self.views[name].best()) for name in ask["at"]]
        lines = [f"  {name} has a best path for {len(best)} prefixes, not {ask['prefixes']}"
                 for name, best in ((one, ours), (other, theirs)) if len(best) != ask["prefixes"]]
        lines += [f"  {name} chooses {neighbor} for {prefix}, which is gone"
                  for name, best in ((one, ours), (other, theirs)) for prefix, neighbor in best.items()
                  if neighbor in ask.get("without", [])][:10]
        different = [prefix for prefix in sorted({*ours, *theirs}) if ours.get(prefix) != theirs.get(prefix)]
        if different:
            lines.append(f"  {len(different)} prefixes differ")
        for prefix in different[:5]:
            lines.append(f"  {prefix}: {one} chooses {ours.get(prefix)}, {other} chooses {theirs.get(prefix)}")
            for name in ask["at"]:
                lines += [f"    {name}| {line}" for line in self.views[name].why(prefix).splitlines()]
        return "\n".join(lines)

    def _validity_difference(self, ask):
        """Which routes a node gives another origin validation state than the list that it is compared with."""
        where, command = ask["as"]
        code, text = self.lab.exec(where, shlex.split(command))
        if code != 0:
            return f"  {where}: {command}: {text.strip()}"
        wanted = dict(line.split() for line in text.splitlines())
        seen = self.views[ask["at"]].validity()
        count = {state: list(wanted.values()).count(state) for state in ("valid", "invalid", "not_found")}
        lines = [f"  only {n} routes should be {state}: the claim says little" for state, n in count.items() if n < ask["each"]]
        different = [prefix for prefix in sorted({*wanted, *seen}) if wanted.get(prefix) != seen.get(prefix)]
        if different:
            lines.append(f"  {len(different)} of {len(wanted)} routes differ")
        lines += [f"  {p}: should be {wanted.get(p)}, {ask['at']} says {seen.get(p)}" for p in different[:10]]
        return "\n".join(lines)

    def _output_difference(self, step):
        ask = step["output"]
        text = self.lab.exec(ask["at"], shlex.split(ask["run"]))[1]
        problems = [f"no match for {p!r}" for p in step.get("matches", []) if not re.search(p, text, re.M | re.S)]
        problems += [f"there is {p!r}" for p in step.get("lacks", []) if re.search(p, text, re.M | re.S)]
        if not problems:
            return ""
        lines = [*problems, f"in the output of: {ask['run']}", *("| " + line for line in text.splitlines()[-40:])]
        return "\n".join("  " + line for line in lines)


def keyed(items, key):
    """Lists of items by the value of one field."""
    found = {}
    for item in items:
        found.setdefault(item[key], []).append(item)
    return found


def compare(wanted, seen, exact):
    """A readable difference; empty when there is none."""
    lines = []
    for key, claims in wanted.items():
        claims = claims if isinstance(claims, list) else [claims or {}]
        items = seen.get(str(key), [])
        if len(items) != len(claims):
            lines.append(f"  {key}: {len(claims)} wanted, {len(items)} there")
            lines += [f"      there: {_short(item)}" for item in items]
            continue
        lines += _pair(str(key), claims, items)
    if exact:
        names = {str(key) for key in wanted}
        lines += [f"  {key}: not wanted, but there: {_short(items[0])}" for key, items in seen.items() if key not in names]
    return "\n".join(lines)


def _pair(key, claims, items):
    """Each claim takes the item that differs least from it."""
    lines, left = [], list(items)
    for claim in claims:
        item = min(left, key=lambda item: len(_fields(claim, item)))
        left.remove(item)
        lines += [f"  {key}: {text}" for text in _fields(claim, item)]
    return lines


def _fields(claim, item):
    return [f"{name} should be {value!r}, is {item.get(name)!r}"
            for name, value in claim.items() if not _equal(value, item.get(name))]


def _equal(wanted, got):
    if isinstance(wanted, str) and wanted.startswith("~"):
        return re.fullmatch(wanted[1:], str(got)) is not None
    if isinstance(wanted, list):
        return sorted(map(str, wanted)) == sorted(map(str, got or []))
    if isinstance(wanted, str) and ":" in wanted and isinstance(got, str):
        return wanted.lower() == got.lower()
    return wanted == got


def _short(item):
    return {name: value for name, value in item.items() if value not in (None, [], "") and name != "prefix"}
