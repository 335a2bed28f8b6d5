"""`ribwatch top` in tmux against a daemon with live sessions: what 80x24 shows, keys, resizing, acknowledging, a daemon that
goes and comes back, and a terminal that is given back as it was: `top_test.py BINARY`."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "browser"))

from lab import Lab  # noqa: E402  (it stands beside the other test of people's eyes)

# Ends a session with words that would clear a terminal, name its window and turn its text.
HOSTILE = "gone\x1b[2J\x1b]0;owned\x07 \u202etxet"


class Screen:
    """A tmux of our own with one window, in which a shell runs."""

    def __init__(self, folder, **env):
        self.tmux = ["tmux", "-u", "-f", "/dev/null", "-S", f"{folder}/tmux"]
        env = {"PATH": os.environ["PATH"], "HOME": folder, "TERM": "screen-256color", "LANG": "C.UTF-8", "USER": "noc", "PS1": "shell> ", **env}
        self.call("new-session", "-d", "-x", "80", "-y", "24", "sh", env=env)
        self.call("set-option", "-g", "allow-rename", "on")

    def call(self, *words, env=None):
        return subprocess.run([*self.tmux, *words], env=env, check=True, capture_output=True, text=True).stdout

    def keys(self, *keys):
        self.call("send-keys", *keys)

    def type(self, text):
        self.call("send-keys", "-l", text)

    def text(self, *more):
        return self.call("capture-pane", "-p", *more)

    def until(self, what, fits, patience=20):
        """Looks at the screen until `fits` is content with it."""
        end = time.monotonic() + patience
        while True:
            text = self.text()
            if fits(text):
                return text
            if time.monotonic() > end:
                raise SystemExit(f"never seen: {what}\n{text}")
            time.sleep(0.02)

    def says(self, words, patience=20):
        return self.until(repr(words), lambda text: words in text, patience)

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True)


def row(text, words):
    """The line that holds `words`."""
    return next((line for line in text.splitlines() if words in line), "")


def check(what, held, text=""):
    if not held:
        raise SystemExit(f"not so: {what}\n{text}")
    print(f"  {what}", flush=True)


def fill(lab):
    a = lab.connect("transit-a", "127.0.0.2", 64496)
    b = lab.connect("transit-b", "127.0.0.3", 64497)
    odd = lab.connect("odd", "127.0.0.5", 64505)
    a.announce([f"10.{n >> 8}.{n & 255}.0/24" for n in range(2000)], [64496, 64515, 64520])
    a.announce("203.0.113.0/24", [64496, 64500])
    for router in (a, b, odd):
        router.end_of_rib()
    lab.wait("the table is filed", lambda: sum(t["paths"] for t in lab.get("summary")["tables"]) >= 2001)
    b.announce("203.0.113.128/25", [64497, 64515, 64511])
    lab.wait("an alert is open", lambda: lab.get("alerts?state=open")["alerts"])
    odd.shut(HOSTILE)
    lab.wait("the odd session ends", lambda: lab.get("neighbors/127.0.0.5")["state"] != "established")


def frames_for_pipes(lab, binary):
    api = f"127.0.0.1:{lab.ports['api']}"
    run = lambda *words: subprocess.run([binary, "--api", api, *words], capture_output=True, text=True)  # noqa: E731
    once = run("top", "--once", "--interval", "100ms")
    plain = once.returncode == 0 and "transit-a" in once.stdout and "\x1b" not in once.stdout
    check("--once prints one plain frame", plain and "subprefix-hijack" in once.stdout, once.stdout + once.stderr)
    check("without a terminal it says what to do", run("top").returncode == 2 and "--once" in run("top").stderr)
    check("--json is refused with a reason", run("top", "--json").returncode == 2)
    nobody = subprocess.run([binary, "--api", "127.0.0.1:9", "top", "--once"], capture_output=True, text=True)
    check("a daemon that is not there is exit code 3", nobody.returncode == 3, nobody.stderr)


def keys(lab, screen, binary):
    top = f"{binary} top --api 127.0.0.1:{lab.ports['api']} --interval 200ms"
    screen.type(f"{top}; echo ended $?\n")
    text = screen.until("rates", lambda text: "sessions" in text and "in 0 out 0" in text and "Alerts: " in text)
    check("80x24 shows sessions, alerts and the keys", "transit-a" in text and "q quit" in text.splitlines()[23], text)
    check("a session that is up", re.search(r"127\.0\.0\.2 +transit-a +64496 +established .* 2001 ", text), text)
    check("RPKI that is half well", "rpki 1/2 synced" in text and "validator-2" in text, text)
    lab.routers["transit-a"].announce([f"10.100.{n}.0/24" for n in range(5)], [64496, 64515])
    screen.says("2006")
    check("a change is seen without a key", True)

    screen.keys("s")
    screen.says("NAMEv")
    screen.keys("S")
    check("the order is said", "NAME^" in screen.says("NAME^"))
    screen.keys("/")
    screen.type("transit-b")
    screen.keys("Enter")
    text = screen.until("one row", lambda text: "127.0.0.3" in text and "127.0.0.2" not in text)
    check("a filter leaves what fits", 'with "transit-b"' in text, text)
    screen.keys("Enter")
    text = screen.says("negotiated")
    check("a neighbor is opened", "transit-b" in text and "established for" in text, text)
    screen.keys("Escape")
    screen.says("# Sessions")
    screen.keys("Escape")
    screen.says("127.0.0.2")

    screen.keys("Tab")
    screen.says("# Alerts")
    screen.keys("Home", "/")
    screen.type("subprefix")
    screen.keys("Enter")
    screen.says('with "subprefix"')
    screen.keys("Enter")
    text = screen.says("why ")
    check("an alert is opened with its why", "203.0.113.128/25" in text, text)
    screen.keys("a")
    screen.says("note to the acknowledgement")
    screen.type("looking at it")
    screen.keys("Enter")
    screen.says("taken by    noc")
    alert = lab.get("alerts?state=acknowledged")["alerts"][0]
    check("it is acknowledged in the daemon", alert["kind"] == "subprefix-hijack", str(alert))
    screen.keys("End")
    check("with the note", "looking at it" in screen.says("looking at it"))
    screen.keys("Escape")
    check("the list says so", "acked" in screen.says("acked"))
    screen.keys("?")
    check("help", "sources of RPKI data" in screen.says("sources of RPKI data"))
    screen.keys("?", "r")
    check("sources of RPKI data", "in force: " in screen.says("in force: "))
    screen.keys("r", "Tab")
    screen.says("# Sessions")


def sizes(screen):
    screen.call("resize-window", "-x", "160", "-y", "40")
    text = screen.until("the wide screen", lambda text: "LAST ERROR" in text and len(text.splitlines()) == 40)
    check("a larger window shows more", "q quit" in text.splitlines()[39], text)
    error = row(text, "127.0.0.5")
    check("hostile words are harmless", "gone" in error and "\u202e" not in error, error)
    name = screen.call("display-message", "-p", "#{window_name} #{pane_title}")
    check("and name no window", "owned" not in name, name)
    screen.call("resize-window", "-x", "50", "-y", "12")
    text = screen.until("the small screen", lambda text: "NEIGHBOR" in text and "q quit" in (text.splitlines() + [""] * 12)[11])
    check("a smaller one what matters most", "127.0.0.2" in text and "STATE" in text, text)
    screen.call("resize-window", "-x", "80", "-y", "24")
    screen.until("80x24", lambda text: "NEIGHBOR" in text and "q quit" in (text.splitlines() + [""] * 24)[23])


def daemon_goes(lab, screen):
    lab.stop_daemon()
    text = screen.says("DAEMON GONE")
    check("a daemon that is gone is said to be", "this is how it was" in text, text)
    lab.start()
    text = screen.until("the daemon is back", lambda text: "DAEMON GONE" not in text and "sessions " in text)
    check("and found again by itself", "up " in text)


def ends(lab, screen, binary):
    top = f"{binary} top --api 127.0.0.1:{lab.ports['api']} --interval 200ms"
    screen.keys("q")
    text = screen.says("ended 0")
    check("q ends it, and the shell is there again", "Sessions" not in text, text)

    def sane(how):
        screen.type("clear; python3 -c 'import termios; print(\"raw\" if not termios.tcgetattr(0)[3] & termios.ICANON else \"sane\")'\n")
        text = screen.until("the mode", lambda text: re.search(r"^(raw|sane)$", text, re.M))
        check(f"the terminal is as it was after {how}", re.search(r"^sane$", text, re.M), text)
        screen.type("clear\n")
        screen.until("a clear screen", lambda text: "sane" not in text)

    sane("q")
    screen.type(f"{top}; echo ended $?\n")
    screen.says("# Sessions")
    screen.keys("C-c")
    screen.says("ended 0")
    sane("Ctrl-C")
    screen.type(f"sh -c 'echo $$ > $HOME/pid; exec {top}'; echo ended $?\n")
    screen.says("# Sessions")
    coloured = screen.text("-e")
    check("there are colours", "\x1b[32m" in coloured or "\x1b[31m" in coloured)
    with open(f"{screen.folder}/pid") as file:
        os.kill(int(file.read()), signal.SIGTERM)
    screen.says("ended ")
    sane("SIGTERM")
    screen.type(f"NO_COLOR=1 {top}; echo ended $?\n")
    screen.says("# Sessions")
    check("NO_COLOR takes them away", not re.search(r"\x1b\[[0-9;]*m", screen.text("-e").split("#")[1]))
    screen.keys("q")
    screen.says("ended 0")


def main():
    binary = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="ribwatch-top-")
    lab = Lab(binary).start()
    screen = None
    try:
        fill(lab)
        screen = Screen(folder)
        screen.folder = folder
        frames_for_pipes(lab, binary)
        keys(lab, screen, binary)
        sizes(screen)
        daemon_goes(lab, screen)
        ends(lab, screen, binary)
    finally:
        if screen:
            screen.close()
        lab.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("top: everything was seen")


main()
