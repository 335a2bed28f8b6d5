"""Plays docs/api.md: tests/docs/api.py BINARY PYTHON, in a network and a PID namespace of its own (tests/docs/run).

PYTHON has grpcio, grpcio-tools and grpcio-reflection. The Python of the page is one program, block after block; its shell
commands run one by one, with grpcurl_like.py in grpcurl's place where that is not installed. What each prints must be what the
page shows next, where `…` stands for anything.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "ops"))
sys.dont_write_bytecode = True

import observe  # noqa: E402  (its folder is known only now)

ROOT = HERE.parents[1]
MARK = "--- next block ---"
CONFIG = """
[router]
asn       = 64512
router_id = "198.51.100.1"
listen    = ["127.0.0.1:1790"]

[[neighbor]]
name       = "edge-1"
address    = "127.0.0.9"
remote_asn = 64499
passive    = true
import     = ["accept-all"]

[[rpki.cache]]
name = "export"
file = "vrps.json"

[[watch.prefix]]
prefix  = "198.51.100.0/24"
origins = [64500]

[detect]
settle_max = "1s"
"""
VRPS = '{"roas": [{"asn": "AS64500", "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "test"}]}'


def blocks(text):
    """(language, text, what the page shows next or None) of each code block."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    return [(language, body, found[at + 1][1] if at + 1 < len(found) and found[at + 1][0] == "text" else None)
            for at, (language, body) in enumerate(found)]


def same(shown, printed):
    """Whether a text is the one on the page; `…` stands for anything, a line of it alone for any lines."""
    pattern = re.escape(shown.strip()).replace("…", ".*")
    return re.fullmatch(pattern, printed.strip(), re.S) is not None


def check(what, shown, printed):
    if not same(shown, printed):
        raise observe.Failed(f"docs/api.md shows another answer: {what}\nshown:\n{shown}\nprinted:\n{printed}")
    print(f"ok   {what.strip().splitlines()[0][:110]}")


def play_python(python, page, work):
    parts = [(body, shown) for language, body, shown in page if language == "python"]
    program = f"print('{MARK}')\n".join(body for body, _ in parts)
    # Answers on the way would stay in a buffer when a later block fails.
    done = subprocess.run([python, "-u", "-c", program], cwd=work, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise observe.Failed(f"the Python of docs/api.md:\n{done.stdout}\n{done.stderr}")
    for (body, shown), printed in zip(parts, done.stdout.split(MARK + "\n"), strict=True):
        check(body.strip().splitlines()[-1], shown, printed)


def play_shell(python, page):
    stand_in = "" if shutil.which("grpcurl") else f'grpcurl() {{ "{python}" "{HERE}/grpcurl_like.py" "$@"; }}\n'
    for language, body, shown in page:
        if language != "sh" or shown is None:
            continue
        done = subprocess.run(["sh", "-c", stand_in + body], capture_output=True, text=True, check=False)
        check(body, shown, done.stdout + done.stderr)


def main():
    ribwatch, python = sys.argv[1:3]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    page = blocks((ROOT / "docs/api.md").read_text())
    with tempfile.TemporaryDirectory() as work:
        pathlib.Path(work, "daemon.toml").write_text(CONFIG)
        pathlib.Path(work, "vrps.json").write_text(VRPS)
        protos = sorted(str(path) for path in (ROOT / "proto/ribwatch/v1").glob("*.proto"))
        subprocess.run([python, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto"), f"--python_out={work}",
                        f"--grpc_python_out={work}", *protos], check=True)
        log = open(f"{work}/log", "w", encoding="utf-8")
        daemon = subprocess.Popen([ribwatch, "run", "-c", "daemon.toml"], cwd=work, stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL)
        try:
            observe.until("the daemon is ready", lambda: observe.get("http://127.0.0.1:8179/readyz"))
            threading.Thread(target=observe.faulty_neighbor, daemon=True).start()
            alerts = "http://127.0.0.1:8179/api/v1/alerts"
            observe.until("two alerts", lambda: observe.get(alerts).count("-hijack") >= 2)
            # Acknowledging changes what a list shows, so what only reads comes first.
            play_shell(python, page)
            play_python(python, page, work)
        except observe.Failed:
            log.flush()
            print(pathlib.Path(work, "log").read_text()[-3000:])
            raise
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    try:
        main()
    except observe.Failed as failed:
        sys.exit(f"FAILED\n{failed}")
