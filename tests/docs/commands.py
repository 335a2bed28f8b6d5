"""What documents say, against the program: tests/docs/commands.py BINARY

- Each kind of alert has a page in docs/runbooks with the same parts, and the list of pages names it.
- Each `ribwatch` command in the documents is one: its verbs, options and values are understood.
- Each link to a file of the repository leads to one.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ["## What it looks like", "## How to check", "## What to do", "## When it is false", "## Keys"]
# These stay up when they are understood.
NOT_RUN = {"demo"}
# Nobody listens there: a command that is understood ends with exit code 3, or with what else it lacks.
NOWHERE = {"RIBWATCH_API": "127.0.0.1:1"}


def documents():
    return [ROOT / "README.md", ROOT / "interop/README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def kinds():
    text = (ROOT / "src/detect/kind.rs").read_text()
    return re.findall(r'^    \w+ = "([a-z-]+)",$', text, re.M)


def commands(text):
    """Commands in a document: lines of code blocks, with or without a prompt, and code in sentences."""
    found = []
    for block in re.findall(r"^ *```(?:sh|text)\n(.*?)^ *```", text, re.M | re.S):
        found += re.findall(r"^ *(?:\w+\$ )?(ribwatch .*)$", block, re.M)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    # A name alone in a sentence is the program and not a command.
    # In a sentence, a verb without arguments is a name of what it does.
    for command in re.findall(r"`(ribwatch [^`]+)`", re.sub(r"\s*\n\s*", " ", prose)):
        found.append(command + " --help" if re.fullmatch(r"[a-z -]+", command) and " -" not in command else command)
    return found


def understood(binary, command, folder):
    """Empty when the program takes the command, else what it says."""
    words = shlex.split(command, comments=True)[1:]
    words = words[: next((at for at, word in enumerate(words) if word in ("|", "&&", ";", ">")), len(words))]
    words = [word.rstrip(":") if word.endswith(":") and "/" not in word else word for word in words]
    # Stand-ins of documents for what the reader has.
    words = ["4a7x" if word == "ID" else "192.0.2.1" if word == "ADDRESS" else word for word in words]
    if not words or words[0] in NOT_RUN or "…" in command:
        return ""
    done = subprocess.run([binary, *words], cwd=folder, env={**os.environ, **NOWHERE}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    wrong = done.returncode == 2 and ("--help" in done.stderr or "Usage:" in done.stderr)
    return done.stderr.strip() if wrong else ""


def check_pages():
    wrong = []
    index = (ROOT / "docs/runbooks/README.md").read_text()
    for kind in kinds():
        page = ROOT / f"docs/runbooks/{kind}.md"
        if not page.exists():
            wrong.append(f"no page for {kind}")
            continue
        text = page.read_text()
        missing = [part for part in [f"# {kind}", *PARTS] if f"{part}\n" not in text]
        wrong += [f"{page.name}: no part `{part}`" for part in missing]
        if f"[{kind}]({kind}.md)" not in index:
            wrong.append(f"README.md of the runbooks does not name {kind}")
        if not re.search(rf"^\w{{12}} {kind} (info|warning|critical) open$", text, re.M):
            wrong.append(f"{page.name}: shows no alert of its kind")
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README", "prometheus"}
    return wrong + [f"{name}.md is about no kind of alert" for name in pages - set(kinds())]


def check_links():
    wrong = []
    for path in documents():
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if not target.startswith("http") and not (path.parent / target).exists():
                wrong.append(f"{path.relative_to(ROOT)}: {target} leads nowhere")
    return wrong


def main():
    binary = os.path.abspath(sys.argv[1])
    wrong = check_pages() + check_links()
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in documents():
            for command in commands(path.read_text()):
                count += 1
                said = understood(binary, command, folder)
                if said:
                    wrong.append(f"{path.relative_to(ROOT)}: {command}\n    {said}")
    if wrong:
        sys.exit("FAILED\n" + "\n".join(wrong))
    print(f"ok   {len(kinds())} kinds of alerts have a page; {count} commands in {len(documents())} documents are understood")


if __name__ == "__main__":
    main()
