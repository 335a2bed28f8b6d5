"""The routes and validated payloads of this scenario, random and the same in every run, and what RFC 6811 makes of them.

  world.py vrps N      the payloads of edition N, in the JSON that StayRTR reads
"""

import functools
import json
import random
import socket
import struct
import sys

ROUTES, PAYLOADS, CHANGED = 200_000, 60_000, 1_000
ORIGINS = list(range(65_551, 65_951))


@functools.cache
def routes():
    """The origin of each route by (address, length): IPv4 prefixes inside 10.0.0.0/8, the private block. Neighbours in
    the same /18 mostly have the same origin."""
    rng, found = random.Random("routes"), {}
    while len(found) < ROUTES:
        length = rng.choice([18, 20, 22, 22, 23, 24, 24, 24, 24, 24, 26, 28])
        address = 10 << 24 | rng.getrandbits(length - 8) << (32 - length)
        usual = ORIGINS[(address >> 14) % len(ORIGINS)]
        found.setdefault((address, length), usual if rng.random() < 0.9 else rng.choice(ORIGINS))
    return found


def payloads(edition):
    """(address, length, maximum length, AS) of an edition; all but CHANGED of them are in every one. They are about one
    half of the space."""
    table = routes()
    prefixes = [prefix for prefix in table if prefix[0] < 10 << 24 | 1 << 23]

    def draw(rng):
        address, length = rng.choice(prefixes)
        # Some are for another AS, and a few for nobody (AS 0, RFC 6483 §4); some are about the block around.
        origin = rng.choice([table[address, length]] * 18 + [rng.choice(ORIGINS), 0])
        length -= rng.choice([0, 0, 0, 0, 2])
        address = address >> (32 - length) << (32 - length)
        return address, length, min(length + rng.choice([0, 0, 1, 2, 4]), 32), origin

    rng = random.Random("payloads")
    lasting = [draw(rng) for _ in range(PAYLOADS - CHANGED)]
    rng = random.Random(f"edition {edition}")
    return sorted(set(lasting + [draw(rng) for _ in range(CHANGED)]))


def verdicts(edition):
    """1 valid, 2 invalid, 3 not found, by route."""
    by_prefix = {}
    for address, length, longest, asn in payloads(edition):
        by_prefix.setdefault((address, length), []).append((longest, asn))
    lengths = sorted({length for _, length in by_prefix})
    found = {}
    for (address, length), origin in routes().items():
        state = 3
        for covering in lengths:
            if covering > length:
                break
            for longest, asn in by_prefix.get((address >> (32 - covering) << (32 - covering), covering), ()):
                state = 1 if state == 1 or (length <= longest and asn == origin) else 2
        found[address, length] = state
    return found


def text(address, length):
    return f"{socket.inet_ntoa(struct.pack('!I', address))}/{length}"


def main():
    roas = [{"prefix": text(address, length), "maxLength": longest, "asn": f"AS{asn}"}
            for address, length, longest, asn in payloads(int(sys.argv[2]))]
    print(json.dumps({"metadata": {"buildmachine": "lab"}, "roas": roas}))


if __name__ == "__main__":
    main()
