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


def number(address, length):
    """A prefix as one number, which dictionaries are fast with."""
    return address << 6 | length


@functools.cache
def routes():
    """The origin of each route by its number: IPv4 prefixes inside 10.0.0.0/8, the private block. Neighbours in the same
    /18 mostly have the same origin."""
    rng, found = random.Random("routes"), {}
    lengths = [18, 20, 22, 22, 23, 24, 24, 24, 24, 24, 26, 28]
    while len(found) < ROUTES:
        bits = rng.getrandbits(40)
        length = lengths[(bits >> 20) % len(lengths)]
        address = 10 << 24 | (bits & 0xFFFFF) >> (28 - length) << (32 - length)
        origin = address >> 14 if bits >> 36 else bits >> 28  # one of 16 has another one
        found.setdefault(number(address, length), ORIGINS[origin % len(ORIGINS)])
    return found


def payloads(edition):
    """(address, length, maximum length, AS) of an edition; all but CHANGED of them are in every one. They are about one
    half of the space."""
    table = routes()
    prefixes = [prefix for prefix in table if prefix >> 6 < 10 << 24 | 1 << 23]

    def draw(rng):
        prefix, bits = prefixes[rng.randrange(len(prefixes))], rng.getrandbits(16)
        address, length = prefix >> 6, prefix & 63
        # Some are for another AS, and a few for nobody (AS 0, RFC 6483 §4); some are about the block around.
        origin = table[prefix] if bits & 15 > 1 else 0 if bits & 15 else ORIGINS[bits % len(ORIGINS)]
        length -= 2 if bits >> 4 & 3 == 0 else 0
        longest = min(length + (0, 0, 1, 4)[bits >> 6 & 3], 32)
        return address >> (32 - length) << (32 - length), length, longest, origin

    rng = random.Random("payloads")
    lasting = [draw(rng) for _ in range(PAYLOADS - CHANGED)]
    rng = random.Random(f"edition {edition}")
    return sorted(set(lasting + [draw(rng) for _ in range(CHANGED)]))


def verdicts(edition):
    """1 valid, 2 invalid, 3 not found, by route."""
    by_prefix = {}
    for address, length, longest, asn in payloads(edition):
        by_prefix.setdefault(number(address, length), []).append((longest, asn))
    lengths = sorted({prefix & 63 for prefix in by_prefix})
    found = {}
    for prefix, origin in routes().items():
        state, length = 3, prefix & 63
        for covering in lengths:
            if covering > length:
                break
            for longest, asn in by_prefix.get(prefix >> (38 - covering) << (38 - covering) | covering, ()):
                state = 1 if state == 1 or (length <= longest and asn == origin) else 2
        found[prefix] = state
    return found


def text(address, length):
    return f"{socket.inet_ntoa(struct.pack('!I', address))}/{length}"


def main():
    roas = [{"prefix": text(address, length), "maxLength": longest, "asn": f"AS{asn}"}
            for address, length, longest, asn in payloads(int(sys.argv[2]))]
    print(json.dumps({"metadata": {"buildmachine": "lab"}, "roas": roas}))


if __name__ == "__main__":
    main()
