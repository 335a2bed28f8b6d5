#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets from the shared vectors and MRT files: seeds.py CORPUS OUTPUT."""

import gzip
import json
import lzma
import pathlib
import sys

corpus, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
HEADER = 19


def put(target, name, octets):
    folder = output / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(octets)


def messages():
    for file, key in [("malformed-rfc7606", "hex"), ("exabgp-encoding", "raw"), ("exabgp-decoding", "raw")]:
        for number, line in enumerate((corpus / "vectors" / f"{file}.jsonl").read_text().splitlines()):
            try:
                yield f"{file}-{number}", bytes.fromhex(json.loads(line)[key])
            except ValueError:
                continue


stream = b"\x01"
for name, octets in messages():
    put("decode_stream", name, b"\x01" + octets)
    if len(octets) > HEADER and octets[18] == 2:
        put("decode_update", name, b"\x01" + octets[HEADER:])
        put("decode_update", name + "-as2", b"\x00" + octets[HEADER:])
        put("decode_update", name + "-addpath", b"\x05" + octets[HEADER:])
    elif len(octets) > HEADER:
        put("decode_open", name, octets[HEADER:])
    if len(stream) < 8192:
        stream += octets
put("decode_stream", "many", stream)
for path in sorted((corpus / "mrt").iterdir()):
    if path.suffix in (".mrt", ".gz"):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            put("decode_mrt", path.name[:40], file.read(6000))
for path in sorted((corpus / "rpki" / "rtr").glob("*.xz")):
    with lzma.open(path) as file:
        put("decode_rtr", path.name[:40], file.read(6000))
# Announced, withdrawn, in the layout of earlier drafts; an Error Report.
for number, octets in enumerate([
    "020b0100000000140000fbf40000fbf50000fbf6", "020b00000000000c0000fbf4",
    "020b000000000018010300020000fbf40000fbf50000fbf6", "010a00020000001d00000008010200000000000800000005776169740a",
]):
    put("decode_rtr", f"seed-{number}", bytes.fromhex(octets))
# Family (place in the list of lib.rs), form, then a key, a field or a text.
for number, (family, form, rest) in enumerate([
    (2, 100, bytes.fromhex("70000641 0000fbf400000001 c00002".replace(" ", ""))),
    (4, 0, bytes.fromhex("0b0118c00002038106048119")),
    (5, 0, bytes.fromhex("12012000 20010db8 026840123456789a 038106".replace(" ", ""))),
    (4, 200, b"dst 192.0.2.0/24; proto =17; dport >=1024&<=2048,=53; tcp-flags syn&!ack; fragment is-fragment"),
    (5, 200, b"dst ::1234:5678:9a00:0/64-104; flow-label >65535"),
    (6, 200, b"rd 64500:1; src 10.0.0.0/8; dscp =46"),
    (3, 200, b"65536:2:2001:db8::/32"),
    (8, 100, bytes.fromhex("0221" + "0000fbf400000001" + "00" * 10 + "00000000" + "30" + "00005e005301" + "00" + "000641")),
    (8, 100, bytes.fromhex("0522" + "0000fbf400000001" + "00" * 10 + "00000000" + "18cb007100" + "c0000209" + "000641")),
    (9, 0, bytes.fromhex("0001001902" + "00" * 8 + "0100000c020000040000fbf402010000")),
    (10, 100, bytes.fromhex("60" + "0000fbf0" + "0002fbf100000064")),
    (11, 100, bytes.fromhex("60" + "00000001" + "00000009" + "c0000201")),
]):
    put("typed_nlri", f"seed-{number}", bytes([family, form]) + rest)
