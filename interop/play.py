"""Plays the scenarios of this folder against other BGP daemons and checks their claims.

  interop/run                      every scenario
  interop/run ebgp-all add-path-receive
  interop/run --list               what there is
  interop/run --jobs 1             how many at a time (default: one for each CPU, at most 4)
  interop/run --keep md5-gtsm      leave the lab up at the end until Enter; prints how to get into its nodes
  interop/run --by-hand labs/tour  build the lab and play nothing: it is yours until Enter
  interop/run --ribwatch FILE      another binary than target/release/ribwatch (else target/debug/ribwatch)
  interop/run --player namespaces|containerlab     default: containerlab where it and a container engine work

Exit code 0: every claim of every scenario is true; 1: one is not; 2: the lab could not be built.
"""

import argparse
import concurrent.futures
import os
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import yaml  # noqa: E402

import claims  # noqa: E402  (their folder is known only now)
import lab  # noqa: E402
import views  # noqa: E402

PRINTING = threading.Lock()


def everything():
    """Folders with a topology, in alphabetical order; labs, which are also for people, last."""
    names = sorted(os.listdir(HERE)) + sorted(f"labs/{name}" for name in os.listdir(os.path.join(HERE, "labs")))
    return [name for name in names if os.path.exists(os.path.join(HERE, name, "topology.clab.yml"))]


def scenarios():
    """Those that are played when none is named; those that do not hold yet (a file `unproved`) are said aloud."""
    names = everything()
    for name in names:
        if os.path.exists(os.path.join(HERE, name, "unproved")):
            with open(os.path.join(HERE, name, "unproved"), encoding="utf-8") as reason:
                print(f"NOT PLAYED {name}: {reason.read().strip()}")
    return [name for name in names if not os.path.exists(os.path.join(HERE, name, "unproved"))]


def find_ribwatch(given):
    root = os.path.dirname(HERE)
    for path in [given] if given else [f"{root}/target/release/ribwatch", f"{root}/target/debug/ribwatch"]:
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit("interop/run: no ribwatch binary: run `cargo build --release`, or name one with --ribwatch")


class Scenario:
    """One folder: its lab, its claims, its lines of output."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.folder = os.path.join(HERE, name)
        with open(os.path.join(self.folder, "claims.yml"), encoding="utf-8") as file:
            self.document = yaml.safe_load(file)
        self.lines = []

    def say(self, line):
        """Lines of one scenario stay together when several run at a time."""
        self.lines.append(line)
        if self.options.jobs == 1:
            print(line, flush=True)

    def play(self):
        """0, 1 or 2, as the exit code of the whole run."""
        started = time.monotonic()
        player = self.options.player(self.folder, self.options.ribwatch)
        self.say(f"{self.name}: {self.document['title']}")
        code = 2
        try:
            player.deploy()
            code = 0 if self.options.by_hand else self._claims(player)
        except lab.LabError as error:
            self.say(f"  lab: {error}")
        finally:
            if self.options.keep or self.options.by_hand:
                self._wait_for_enter(player)
            player.destroy()
        self.say(f"  {'ok' if code == 0 else 'FAILED'} after {time.monotonic() - started:.0f} s\n")
        if self.options.jobs > 1:
            with PRINTING:
                print("\n".join(self.lines), flush=True)
        return code

    def _claims(self, player):
        seen = {name: views.view_of(player, name, node.get("cmd", "")) for name, node in player.nodes.items()}
        self.say("  " + ", ".join(f"{name}: {view.version()}" for name, view in seen.items()))

        def report(number, text, true, took):
            self.say(f"  {number:>2} {'ok    ' if true else 'FAILED'} {text} ({took:.1f} s)")

        try:
            claims.Steps(self.document, player, seen, report).play()
            return 0
        except claims.ClaimFailed as failed:
            self.say(f"{failed}")
            for name in player.nodes:
                state = "" if player.alive(name) else " (not running)"
                self.say(f"  last lines of {name}{state}:")
                self.say("".join(f"    | {line}\n" for line in player.log_tail(name).splitlines()).rstrip())
            return 1

    def _wait_for_enter(self, player):
        for name, pid in getattr(player, "inits", {}).items():
            self.say(f"  {name}: nsenter -t {pid} --mount --net --uts --pid env PATH=/run/bin:$PATH sh")
        input("  the lab is up; Enter ends it ")


def main():
    parser = argparse.ArgumentParser(prog="interop/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--by-hand", action="store_true")
    parser.add_argument("--ribwatch")
    parser.add_argument("--player", choices=["namespaces", "containerlab"])
    options = parser.parse_args()
    if options.keep or options.by_hand:
        options.jobs = 1  # what it says must be read before Enter is pressed
    unknown = set(options.scenario) - set(everything())
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(everything())}")
    if options.list:
        for name in everything():
            print(f"{name:<20} {Scenario(name, options).document['title']}")
        return 0
    use_containers = options.player == "containerlab" or (options.player is None and lab.Containerlab.usable())
    options.player = lab.Containerlab if use_containers else lab.Namespaces
    options.ribwatch = find_ribwatch(options.ribwatch)
    chosen = [Scenario(name, options) for name in options.scenario or scenarios()]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        try:
            codes = list(pool.map(Scenario.play, chosen))
        except (KeyboardInterrupt, SystemExit):
            claims.STOP.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    true = sum(code == 0 for code in codes)
    print(f"{true} of {len(codes)} scenarios hold")
    return max(codes)


if __name__ == "__main__":
    # A termination signal must end the labs, too: let it unwind like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
