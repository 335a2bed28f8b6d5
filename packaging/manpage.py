#!/usr/bin/python3
"""Prints ribwatch(1), made from what the program says of itself: packaging/manpage.py BINARY > ribwatch.1

The text of `--help` is the manual; here it only gets the form of a page. Verbs and their sub-verbs are found in the help.
"""

import datetime
import os
import re
import subprocess
import sys


def help_of(binary, *words):
    """The long help of a verb, as wide as lines of a page may be."""
    surroundings = {**os.environ, "COLUMNS": "76", "NO_COLOR": "1"}
    return subprocess.run([binary, *words, "--help"], env=surroundings, capture_output=True, text=True, check=True).stdout


def verbs(text):
    """The verbs that a help lists under `Commands:`."""
    block = re.search(r"^Commands:\n(.*?)(?:\n\n|\Z)", text, re.S | re.M)
    return [name for name in re.findall(r"^  ([a-z][a-z-]*)", block.group(1), re.M) if name != "help"] if block else []


def escape(text):
    """Text as roff takes it: no requests, no escapes, and hyphens that can be copied."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def section(binary, words):
    """One verb and those below it."""
    text = help_of(binary, *words)
    # Options that every verb has stand once, at the end.
    own = text.split("\nOptions of every verb:")[0].rstrip()
    parts = [f".SS {escape(' '.join(['ribwatch', *words]))}", ".nf", escape(own), ".fi"]
    for verb in verbs(text):
        parts += section(binary, [*words, verb])
    return parts


def main():
    binary = sys.argv[1]
    text = help_of(binary)
    version = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    # A build of the same sources gives the same page.
    when = int(os.environ.get("SOURCE_DATE_EPOCH", datetime.datetime.now().timestamp()))
    date = datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%d")
    first, rest = text.split("\n", 1)
    common = re.search(r"^Options of every verb:\n(.*?)\n\n", rest, re.S | re.M).group(1)
    codes = re.search(r"^Exit codes: (.*)", rest, re.M | re.S).group(1)
    listing = re.search(r"^Commands:\n(.*?)\n\n", rest, re.S | re.M).group(1)
    page = [
        f'.TH RIBWATCH 1 "{date}" "ribwatch {version}" "User Commands"',
        ".SH NAME", f"ribwatch \\- {escape(first)}",
        ".SH SYNOPSIS", ".B ribwatch", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR",
        ".SH COMMANDS", ".nf", escape(listing), ".fi",
        ".SH OPTIONS", "Of every verb:", ".PP", ".nf", escape(common), ".fi",
        ".SH EXIT STATUS", escape(codes.strip()),
        ".SH FILES",
        ".TP", ".I /etc/ribwatch/ribwatch.toml", "the configuration of the service",
        ".TP", ".I /var/lib/ribwatch", "what survives a restart",
        ".TP", ".I /usr/share/doc/ribwatch/examples", "every key, with its default and what it does",
        ".SH THE COMMANDS ONE BY ONE",
    ]
    for verb in verbs(text):
        page += section(binary, [verb])
    print("\n".join(page))


if __name__ == "__main__":
    main()
