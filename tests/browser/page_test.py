"""Every function of the page, driven in a real browser against a daemon with live sessions:
`page_test.py BINARY [FOLDER]`; screenshots go to FOLDER."""

import hashlib
import json
import os
import signal
import sys
import time

from chromium import Chromium
from lab import HOSTILE, Lab

# Lets a test hand the page an event that a real daemon sends only to a slow browser.
SPY = """
window.sources = [];
window.EventSource = class extends EventSource { constructor(...all) { super(...all); window.sources.push(this); } };
window.shifts = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value; })
  .observe({ type: "layout-shift", buffered: true });
"""

# Controls that a screen reader would have no name for.
NAMELESS = """
[...document.querySelectorAll('input, select, textarea, button, a[href], dialog, [role=region], svg[role=img]')]
  .filter((one) => one.checkVisibility() && !(one.labels?.length || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.textContent.trim()))
  .map((one) => one.outerHTML.slice(0, 120))
"""


class Page:
    def __init__(self, lab, shots):
        self.lab, self.shots, self.homes = lab, shots, [lab.url]
        self.browser = Chromium()
        self.run, self.until, self.key = self.browser.run, self.browser.until, self.browser.key
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", source=SPY)
        self.browser.size(1440, 900)
        self.browser.theme("dark")

    def go(self, room):
        self.run(f"location.hash = {json.dumps('#' + room)}")

    def says(self, words, where="main", patience=10):
        """Waits until the text is there."""
        script = f"document.querySelector({json.dumps(where)})?.innerText.includes({json.dumps(words)})"
        self.until(script, patience, f"{where} says {words!r}")

    def click(self, selector, words=None):
        """Clicks the first that fits, with these words on it."""
        fits = f".filter((one) => one.textContent.includes({json.dumps(words)}))" if words else ""
        self.until(f"[...document.querySelectorAll({json.dumps(selector)})]{fits}[0]", what=f"{selector} {words or ''} is there")
        self.run(f"[...document.querySelectorAll({json.dumps(selector)})]{fits}[0].click()")

    def fill(self, selector, value):
        self.until(f"document.querySelector({json.dumps(selector)})", what=f"{selector} is there")
        self.run(f"""(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};
            one.dispatchEvent(new Event('input', {{ bubbles: true }})); one.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()""")

    def submit(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).requestSubmit()")

    def rows(self, where=".results"):
        return self.run(f"document.querySelectorAll({json.dumps(where + ' tbody tr')}).length")

    def shot(self, name, whole=False):
        if self.shots:
            self.browser.shot(f"{self.shots}/{name}.png", whole)


def check(what, truth):
    if not truth:
        raise AssertionError(what)


def overview(page):
    page.browser.open(page.lab.url + "/")
    page.says("Somebody should look now.")
    for words in ("203.0.113.128/25, a part of 203.0.113.0/24, is announced by AS64511", "AS64501 leaks routes", "4 of 5 up", "exchange-rs",
                  "ipv6-unicast", "validator-2", "changes/s", "AS64512"):
        page.says(words, "body")
    page.until("document.querySelector('#live').innerText.includes('live')")
    paint = page.run("performance.getEntriesByType('paint').find((entry) => entry.name === 'first-contentful-paint').startTime")
    print(f"    first paint after {paint:.0f} ms")
    page.until("document.querySelector('.spark .line')", what="the sparkline has points")
    shifts = page.run("window.shifts")
    check(f"the layout jumps by {shifts:.3f}", shifts < 0.02)
    page.shot("overview-dark")


def keyboard(page):
    for letter, title in (("a", "Alerts"), ("r", "Routes"), ("n", "Neighbors"), ("p", "RPKI"), ("o", "Overview")):
        page.key("g")
        page.key(letter)
        page.until(f"document.title.startsWith({json.dumps(title)})")
    page.key("?")
    page.until("document.querySelector('#keys').open")
    page.key("Escape")
    page.until("!document.querySelector('#keys').open")
    page.says("is announced by AS64511")
    page.key("j")
    page.until("document.activeElement.closest('[data-row]')", what="j goes to a row")
    page.key("t")
    page.until("document.documentElement.dataset.theme === 'dark'")
    page.key("t")
    page.until("document.documentElement.dataset.theme === 'light' && getComputedStyle(document.body).color !== 'rgb(221, 227, 229)'")
    page.run("location.reload()")
    page.until("document.documentElement.dataset.theme === 'light' && document.title.startsWith('Overview')", what="the theme is remembered")
    page.says("Somebody should look now.")
    page.until("document.querySelector('.spark .line')")
    page.shot("overview-light")
    page.key("t")
    page.until("!document.documentElement.dataset.theme")
    page.key("/")
    page.until("document.activeElement.id === 'ask'")
    page.browser.type("203.0.113.77")
    page.key("Enter")
    page.until("location.hash.includes('prefix=203.0.113.77')", what="the search line asks for an address")
    page.says("goes through transit-a")


def search(page):
    for word, there in (("AS64500", "origin=64500"), ("transit-b", "#/neighbors/transit-b"), ("hijack nobody knows", "#/alerts?text=")):
        page.fill("#ask", word)
        page.submit("#search")
        page.until(f"location.hash.includes({json.dumps(there)})", what=f"a search for {word}")
    page.says("No alert is like that.")


def alerts(page):
    page.go("/alerts")
    page.until("document.querySelector('.line.warning') && document.querySelector('.line.critical')")
    everything = page.run("document.querySelectorAll('.line').length")
    page.fill("[name=severity]", "critical")
    page.until(f"document.querySelectorAll('.line').length < {everything} && document.querySelector('.line.critical') && !document.querySelector('.line.warning')")
    page.fill("[name=kind]", "otc")
    page.until("document.querySelectorAll('.line').length === 1")
    page.says("AS64501 leaks")
    page.fill("[name=state]", "resolved")
    page.says("No alert is like that.")
    page.go("/alerts?prefix=nonsense")
    page.until("document.querySelector('.trouble')", what="a bad filter is explained")
    page.go("/alerts?kind=subprefix-hijack")
    page.until("document.querySelectorAll('.line').length === 1")
    page.click(".line h3 a")
    page.says("traffic follows the more specific route")
    page.says("more specific wins")
    page.until("document.querySelectorAll('.graph .node').length >= 6", what="the paths are a graph")
    check("the culprit stands out", "AS64511" in page.run("document.querySelector('.node.bad').textContent"))
    check("the owner stands out", "AS64500" in page.run("document.querySelector('.node.good').textContent"))
    page.shot("alert-dark")
    page.click(".choice button", "What is wrong")
    page.until("!document.querySelector('.edge.before') && document.querySelector('.edge.observed')")
    page.click(".choice button", "As it should be")
    page.until("document.querySelector('.edge.before') && !document.querySelector('.edge.observed')")


def people(page):
    page.fill("[name=author]", "noc")
    page.fill("[name=text]", HOSTILE)
    page.click("[data-act=comment]")
    page.says("<img src=x", ".comments")
    page.fill("[name=text]", "called AS64497")
    page.click("[data-act=ack]")
    page.says("acknowledged", ".eyebrow")
    page.says("called AS64497", ".comments")
    page.says("Who has it")
    page.click("[data-act=unack]")
    page.until("document.querySelector('[data-act=ack]')", what="given back")
    page.fill("[name=reason]", "lab")
    page.fill("[name=length]", "14400")
    page.says("ends by itself in 4 h")
    page.click("[data-act=mute]")
    page.says("muted: lab", ".eyebrow")
    page.go("/alerts")
    page.says("Mutes and maintenance windows")
    page.go("/alerts?kind=subprefix-hijack")
    page.click(".line h3 a")
    page.click("[data-act=unmute]")
    page.until("document.querySelector('[data-act=mute]')", what="the mute is ended")
    check("the name is remembered", page.run("document.querySelector('[name=author]').value") == "noc")


def routes(page):
    page.go("/routes")
    page.until("document.querySelectorAll('.results tbody tr').length === 100", what="a page of routes, not the table")
    page.says("the table goes on")
    page.click(".foot button")
    page.until("document.querySelectorAll('.results tbody tr').length === 200")
    page.fill(".glass [name=prefix]", "203.0.113.0/24")
    page.submit(".glass")
    page.says("goes through transit-a")
    page.says("longer AS_PATH (4 against 3)")
    page.until("document.querySelector('.explain .edge.best')")
    page.click(".explain details summary")
    page.shot("routes-dark")
    for query, rows, words in (
        ("table=adj-in&prefix=203.0.113.0/24", 3, "64497:200"),
        ("table=adj-in&prefix=203.0.113.0/24&neighbor=transit-b", 1, "64497 64497 64497 64500"),
        ("prefix=203.0.113.0/24&table=adj-in&match=longer", 4, "203.0.113.128/25"),
        ("prefix=203.0.113.128/25&table=adj-in&match=shorter", 4, "203.0.113.0/24"),
        ("table=adj-in&community=64496:1:2", 1, "203.0.113.0/24"),
        ("table=adj-in&as_path=_64505_", 1, "64505 64516"),
        ("table=adj-in&validation=invalid&origin=64511", 2, "rejected by rov/invalid"),
        ("table=adj-out&neighbor=customer&prefix=203.0.113.0/24", 1, "203.0.113.0/24"),
        ("origin=AS64499", 1, "192.0.2.0/24"),
        ("family=ipv6-unicast&origin=64500", 100, "2001:db8"),
    ):
        page.go(f"/routes?{query}")
        page.says(words, ".results")
        check(f"{query}: {page.rows()} rows instead of {rows}", page.rows() == rows)
    for query, words in (("table=adj-out", "name one"), ("as_path=(", "unclosed group"), ("prefix=192.0.2.1/24", "did you mean"), ("neighbor=nobody", "no neighbor")):
        page.go(f"/routes?{query}")
        page.until("document.querySelector('.trouble')", what=f"{query} is explained")
        check(f"{query}: {page.run('document.querySelector(`.trouble`).innerText')}", words.lower() in page.run("document.querySelector('.trouble').innerText").lower())
    page.go("/routes?table=adj-in&prefix=192.0.2.0/24")
    page.says("cannot be chosen: rejected on import by rov/invalid")
    page.go("/routes?prefix=100.64.0.0/24")
    page.says("No route is like that.")


def timeline(page):
    a = page.lab.routers["transit-a"]
    a.announce("198.51.100.0/24", [64496, 64515, 64515, 64500])
    a.withdraw("198.51.100.0/24")
    a.announce("198.51.100.0/24", [64496, 64520, 64500], communities=["64496:666"])
    page.lab.wait("three changes are remembered", lambda: len(page.lab.get("history?prefix=198.51.100.0/24")["changes"]) == 3)
    page.go("/routes?prefix=198.51.100.0/24")
    page.says("transit-a announces it: 64496 64520 64500", ".timeline .said")
    check("all steps are listed", page.run("document.querySelectorAll('.timeline .events li').length") >= 3)
    page.shot("timeline-dark", True)
    page.click(".timeline [data-act=back]")
    page.says("transit-a withdraws it", ".timeline .said")
    page.until("document.querySelector('.timeline .edge.rejected')", what="what is gone is drawn as gone")
    page.click(".timeline [data-act=back]")
    page.says("from 64496 64500 to 64496 64515 64515 64500", ".timeline .said")
    page.click(".timeline [data-act=back]")
    page.fill(".timeline input[type=range]", "0")
    page.says("As far back as is remembered", ".timeline .said")
    page.click(".timeline [data-act=play]")
    page.says("withdraws it", ".timeline .said")
    page.click(".timeline .events button", "64520")
    page.says("announces it: 64496 64520 64500", ".timeline .said")
    page.go("/routes?prefix=203.0.113.0/25")
    page.says("Nothing changed as far back", ".timeline")


def neighbors(page):
    page.go("/neighbors")
    page.until("document.querySelectorAll('.results tbody tr').length === 5")
    page.says(HOSTILE)
    page.shot("neighbors-dark")
    page.fill("[name=state]", "down")
    page.until("document.querySelectorAll('.results tbody tr').length === 1")
    page.says("linecard <script>")
    page.fill("[name=state]", "")
    page.fill("[name=text]", "transit")
    page.until("document.querySelectorAll('.results tbody tr').length === 2")
    page.click(".results a", "transit-a")
    page.says("12,30", ".funnel")
    for words in ("ipv6-unicast", "KEEPALIVE", "Hold time", "rov, accept-all"):
        page.says(words)
    page.shot("neighbor-dark")
    page.go("/neighbors/127.0.0.6")
    page.says("Administrative Shutdown", ".history")
    page.says("established", ".history")
    page.go("/neighbors/nobody")
    page.says("no neighbor")


def rpki(page):
    page.go("/rpki")
    page.says("synced")
    page.says("Connection refused")
    for asn, state in (("AS64499", "valid"), ("64511", "invalid")):
        page.fill(".check [name=prefix]", "192.0.2.0/24")
        page.fill(".check [name=asn]", asn)
        page.submit(".check form")
        page.says(f"by AS{asn.removeprefix('AS')} is {state}")
    page.says("is for another AS")
    page.fill(".check [name=asn]", "x")
    page.submit(".check form")
    page.until("document.querySelector('.check .trouble')")
    page.fill(".what-if [name=what]", "192.0.2.0/24=64511")
    page.submit(".what-if form")
    page.fill(".what-if [name=act]", "remove_vrp")
    page.fill(".what-if [name=what]", "10.0.0.0/16-24=64501")
    page.submit(".what-if form")
    page.click(".what-if [data-act=run]")
    page.says("513 routes would change.")
    page.says("accepted by import policy")
    page.until("document.querySelectorAll('.what-if tbody tr').length >= 100", what="a page of what would change")
    page.shot("rpki-dark")
    page.click(".what-if .foot button")
    page.until("document.querySelectorAll('.what-if tbody tr').length >= 200")
    page.click(".what-if .chips button")
    page.fill(".what-if [name=what]", "203.0.113.0/24=1")
    page.submit(".what-if form")
    page.click(".what-if [data-act=run]")
    page.says("there is no VRP", ".what-if")


def live(page):
    page.go("/")
    page.says("Open alerts")
    b = page.lab.routers["transit-b"]
    b.announce("203.0.113.64/26", [64497, 64513])
    page.says("203.0.113.64/26, a part of", ".look")
    page.until("document.querySelector('.toast.critical')", what="a new critical alert is said")
    b.withdraw("203.0.113.64/26")
    page.says("Over lately")
    # A browser that lagged asks anew for all it shows.
    page.run("window.asked = 0; const real = window.fetch; window.fetch = (...all) => { window.asked += 1; return real(...all); }")
    page.run("window.sources.at(-1).dispatchEvent(new MessageEvent('lagged', { data: '{\"missed\":3}' }))")
    page.says("fell behind", ".toasts")
    page.until("window.asked > 0")


def nowhere(page):
    page.go("/no/such/room")
    page.says("There is no such room")
    page.browser.open(page.lab.url + "/no/such/page")
    page.says("Nothing is served at this address.", "body")
    page.shot("nowhere-dark")


def phone(page):
    page.browser.size(390, 844, phone=True)
    hijack = page.lab.get("alerts?kind=subprefix-hijack&state=open")["alerts"][0]["id"]
    page.browser.open(page.lab.url + "/")
    rooms = {"overview": "/", "alerts": "/alerts", "alert": f"/alerts/{hijack}", "routes": "/routes?prefix=203.0.113.0/24", "table": "/routes?table=adj-in",
             "neighbors": "/neighbors", "neighbor": "/neighbors/127.0.0.6", "rpki": "/rpki"}
    for theme in ("light", "dark"):
        page.browser.theme(theme)
        for name, room in rooms.items():
            page.go(room)
            page.until("document.querySelector('main h1, main .verdict .words') && !document.querySelector('main .wait, [aria-busy]')", what=f"{name} is there")
            wide = page.run("document.documentElement.scrollWidth")
            check(f"{name} is {wide} wide on a phone", wide <= 390)
            nameless = page.run(NAMELESS)
            check(f"no names in {name}: {nameless}", not nameless)
            if theme == "light" or name in ("overview", "routes"):
                page.shot(f"phone-{name}-{theme}", True)
    page.browser.size(1440, 900)


def gone_and_back(page):
    page.browser.theme("dark")
    page.browser.open(page.lab.url + "/")
    page.says("Open alerts")
    page.until("document.querySelector('#live').innerText.includes('live')")
    page.lab.stop_daemon()
    page.until("!document.querySelector('#banner').hidden", what="the banner says that the daemon is gone")
    page.says("does not answer", "#banner")
    page.shot("gone-dark")
    page.go("/routes")
    page.says("the daemon does not answer")
    page.lab.start()
    page.until("document.querySelector('#banner').hidden", 20, "the banner goes away by itself")
    page.says("No route is like that.", patience=20)
    page.lab.connect("transit-a", "127.0.0.2", 64496).announce("203.0.113.0/24", [64496, 64500])
    page.go("/")
    page.says("1 of 5 up", patience=20)


VIEW, OPERATE = "view-0123456789abcdefghijkl", "operate-0123456789abcdefghijkl"


def signing_in(page):
    tokens = "".join(
        f'\n[[access.token]]\nname = "{name}"\nrole = "{role}"\nhash = "sha256:{hashlib.sha256(token.encode()).hexdigest()}"\n'
        for name, role, token in (("looker", "view", VIEW), ("noc", "operate", OPERATE))
    )
    first, page.lab = page.lab, Lab(page.lab.binary, tokens, VIEW).start()
    page.homes.append(page.lab.url)
    try:
        page.lab.fill().misbehave()
        page.browser.theme("dark")
        page.browser.open(page.lab.url + "/")
        page.says("wants to know who you are")
        page.shot("sign-in-dark")
        check(f"no names: {page.run(NAMELESS)}", not page.run(NAMELESS))
        page.fill(".login [name=token]", "no-such-token")
        page.submit(".login")
        page.says("This token is not known here.")
        page.fill(".login [name=token]", VIEW)
        page.submit(".login")
        page.says("Open alerts")
        page.until("document.querySelector('#live').innerText.includes('live')", what="events come with the cookie")
        check("a script reads the cookie", page.run("document.cookie") == "")
        # Who only looks is not shown what would be refused.
        first_alert = page.lab.get("alerts?state=open")["alerts"][0]["id"]
        page.go(f"/alerts/{first_alert}")
        page.says("looker has the role view, which reads and changes nothing.")
        check("there are commands", page.run("document.querySelectorAll('[data-act]:not([data-act=play])').length") == 0)
        page.shot("role-view-dark")
        page.click("#session", "Sign out")
        page.says("wants to know who you are")
        check("nothing is shown any more", page.run("fetch('/api/v1/alerts').then((answer) => answer.status)") == 401)
        page.fill(".login [name=token]", OPERATE)
        page.submit(".login")
        page.click("[data-act=ack]", "Acknowledge")
        page.until("document.querySelector('[data-act=unack]')", what="the alert is taken")
        check("it is taken by whoever signed in", page.lab.get(f"alerts/{first_alert}")["state"] == "acknowledged")
        # A cookie that is not worth anything any more: the page notices and asks again.
        with open(f"{page.lab.work}/daemon.toml") as file:
            text = file.read()
        page.lab.more = page.lab.more.replace(hashlib.sha256(OPERATE.encode()).hexdigest(), "0" * 64)
        with open(f"{page.lab.work}/daemon.toml", "w") as file:
            file.write(text.replace(hashlib.sha256(OPERATE.encode()).hexdigest(), "0" * 64))
        page.lab.daemon.send_signal(signal.SIGHUP)
        page.lab.wait("the log tells of the reload", lambda: "[access]: changed" in open(f"{page.lab.work}/log", errors="replace").read())
        page.go("/routes")
        page.says("wants to know who you are")
    finally:
        page.browser.open("about:blank")
        page.lab.stop()
        page.lab = first


def main():
    binary, shots = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    if shots:
        os.makedirs(shots, exist_ok=True)
    began = time.monotonic()
    lab = Lab(binary).start()
    page = None
    try:
        lab.fill().misbehave()
        page = Page(lab, shots)
        for part in (overview, keyboard, search, alerts, people, routes, timeline, neighbors, rpki, live, nowhere, phone, signing_in, gone_and_back):
            at = time.monotonic()
            part(page)
            owned = page.run("document.title === 'owned' || document.querySelectorAll('img[src=x], main script, main style').length > 0")
            check(f"after {part.__name__}: what a neighbor sent was run", not owned)
            print(f"ok  {part.__name__} ({time.monotonic() - at:.1f} s)", flush=True)
        # That a question was refused, or nobody was there to answer, is part of the story.
        troubles = [text for text in page.browser.troubles() if not text.startswith("Failed to load resource")]
        check("the page made errors:\n" + "\n".join(troubles), not troubles)
        asked = [event["params"]["request"]["url"] for event in page.browser.events if event["method"] == "Network.requestWillBeSent"]
        foreign = [url for url in asked if not url.startswith((*page.homes, "data:", "about:"))]
        check(f"requests to elsewhere: {foreign}", asked and not foreign)
        print(f"the page works: {len(asked)} requests, none to elsewhere ({time.monotonic() - began:.1f} s)")
    except (AssertionError, RuntimeError):
        if page and shots:
            page.shot("failed")
        raise
    finally:
        if page:
            page.browser.close()
        lab.stop()


if __name__ == "__main__":
    main()
