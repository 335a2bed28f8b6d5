#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets from the shared vectors and MRT files: seeds.py CORPUS OUTPUT."""

import gzip
import json
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
