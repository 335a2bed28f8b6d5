"""The routes and validated payloads of this scenario, random and the same in every run, and what RFC 6811 makes of them.

  world.py vrps N      the payloads of edition N, in the JSON that StayRTR reads
  world.py expect N    `PREFIX STATE` for every route, one per line: what every daemon should say while edition N is in force

The verdicts are computed here by trying every payload on every route (RFC 6811 §2), and with no code of any daemon.
"""

import ipaddress
import json
import random
import sys

SPACES = [ipaddress.ip_network(text) for text in ("198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/48")]
# AS 0 is in payloads only: what it covers is invalid whoever announces it (RFC 6483 §4).
ORIGINS = [64500, 64501, 65550]
ROUTES, PAYLOADS = 400, 100


def random_prefix(rng, shortest, longest):
    """A prefix inside SPACES that is so many bits longer than the space."""
    space = rng.choice(SPACES)
    length = space.prefixlen + rng.randint(shortest, longest)
    network = int(space.network_address) + (rng.getrandbits(length - space.prefixlen) << (space.max_prefixlen - length))
    return ipaddress.ip_network((network, length))


def routes():
    """AS_PATH behind the neighbour's own AS, by prefix. The last AS is the origin."""
    rng, found = random.Random("routes"), {}
    while len(found) < ROUTES:
        prefix = random_prefix(rng, 2, 8)
        found[prefix] = [rng.choice(ORIGINS) for _ in range(rng.choice([1, 1, 2, 3]))]
    return found


def payloads(edition):
    """(prefix, maximum length, AS). Half of one edition is in the next one, too."""
    def draw(rng, count):
        out = []
        for _ in range(count):
            prefix = random_prefix(rng, 3, 6)
            longest = prefix.prefixlen + rng.choice([0, 1, 2, 4])
            out.append((prefix, min(longest, prefix.max_prefixlen), rng.choice([*ORIGINS, *ORIGINS, 0])))
        return out
    lasting = draw(random.Random("lasting"), PAYLOADS // 2)
    return sorted(set(lasting + draw(random.Random(f"edition {edition}"), PAYLOADS // 2)), key=str)


def verdict(prefix, origin, vrps):
    covering = [(longest, asn) for covered, longest, asn in vrps
                if covered.version == prefix.version and prefix.subnet_of(covered)]
    if not covering:
        return "not_found"
    matches = any(prefix.prefixlen <= longest and asn == origin != 0 for longest, asn in covering)
    return "valid" if matches else "invalid"


def main():
    what, edition = sys.argv[1], int(sys.argv[2])
    vrps = payloads(edition)
    if what == "vrps":
        roas = [{"prefix": str(prefix), "maxLength": longest, "asn": f"AS{asn}"} for prefix, longest, asn in vrps]
        print(json.dumps({"metadata": {"buildmachine": "lab"}, "roas": roas}, indent=1))
    else:
        for prefix, path in routes().items():
            print(prefix, verdict(prefix, path[-1], vrps))


if __name__ == "__main__":
    main()
