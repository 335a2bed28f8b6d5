"""Five BGP neighbours in one process, whose routes are random and the same for every run with one seed.

  feed.py --seed N --to ADDRESS [--fresh]

Each speaks from an address of its own, 192.0.2.1 to .5, with AS and BGP Identifier as in NEIGHBORS. First every neighbour
announces most of the prefixes, in an order of its own; then two rounds of changes: replacements and withdrawals. What is
announced in the end depends on the seed alone, in which order it arrives does not. With --fresh only that is announced,
without the changes that led to it. Once all is written, /run/sent appears.
When /run/drop appears, the neighbours 1 and 5 end their sessions, and /run/dropped says so.
"""

import argparse
import os
import random
import select
import socket
import struct
import time

OUR_ASN = 64496
# Last octet of the address, AS, last octet of the BGP Identifier. Two in one AS outside, two inside; 2 and 1 have one
# identifier, which RFC 6286 allows in different ASes: there the address decides.
NEIGHBORS = [(1, 64497, 105), (2, 64498, 105), (3, 64497, 104), (4, OUR_ASN, 101), (5, OUR_ASN, 102)]
PREFIXES = [bytes([32, 203, 0, 113, n]) for n in range(256)] + [bytes([32, 198, 51, 100, n]) for n in range(44)]


def attribute(flags, code, value):
    return bytes([flags, code, len(value)]) + value


def random_path(rng, last, asn):
    """The attributes of one path, often level with those of others so that every step has something to decide."""
    inside = asn == OUR_ASN
    first = rng.choice([64497, 64498]) if inside else asn
    path = [first] + [rng.randrange(64500, 64504) for _ in range(rng.choice([1, 1, 1, 1, 2]))]
    if inside and rng.random() < 0.1:
        path = []
    segment = bytes([2, len(path)]) + b"".join(struct.pack("!I", hop) for hop in path) if path else b""
    attributes = attribute(0x40, 1, bytes([rng.choice([0, 0, 0, 0, 0, 1, 2])]))
    attributes += attribute(0x40, 2, segment)
    attributes += attribute(0x40, 3, bytes([192, 0, 2, last]))
    med = rng.choice([None, 0, 10, 10, 20, 4294967295])
    if med is not None:
        attributes += attribute(0x80, 4, struct.pack("!I", med))
    if inside:
        attributes += attribute(0x40, 5, struct.pack("!I", rng.choice([100, 100, 100, 100, 100, 100, 99, 200])))
    communities = sorted({rng.randrange(1, 20) for _ in range(rng.randrange(3))})
    if communities:
        attributes += attribute(0xC0, 8, b"".join(struct.pack("!HH", 64500, c) for c in communities))
    if inside and rng.random() < 0.5:
        attributes += attribute(0x80, 9, bytes([192, 0, 2, rng.choice([99, 101, 104, 105, 106])]))
        attributes += attribute(0x80, 10, b"".join(bytes([192, 0, 2, 200 + n]) for n in range(rng.randrange(1, 4))))
    return attributes


def message(kind, body):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def announce(attributes, prefix):
    return message(2, struct.pack("!HH", 0, len(attributes)) + attributes + prefix)


def withdraw(prefix):
    return message(2, struct.pack("!H", len(prefix)) + prefix + struct.pack("!H", 0))


def script(seed, last, asn, fresh):
    """All UPDATEs of one neighbour, in order."""
    rng = random.Random(f"{seed} {last}")
    order = PREFIXES[:]
    rng.shuffle(order)
    # Neighbour 2 has every prefix all the time, so that each has a best path.
    out = [(p, announce(random_path(rng, last, asn), p)) for p in order if last == 2 or rng.random() < 0.9]
    for _ in range(2):
        rng.shuffle(order)
        for prefix in order[: len(order) // 3]:
            gone = last != 2 and rng.random() < 0.3
            out.append((prefix, withdraw(prefix) if gone else announce(random_path(rng, last, asn), prefix)))
    return list(dict(out).values()) if fresh else [update for _, update in out]


def open_message(asn, identifier):
    capabilities = bytes([1, 4, 0, 1, 0, 1]) + bytes([65, 4]) + struct.pack("!I", asn)
    parameters = bytes([2, len(capabilities)]) + capabilities
    head = struct.pack("!BHH", 4, asn, 90) + bytes([192, 0, 2, identifier]) + bytes([len(parameters)])
    return message(1, head + parameters)


def read_message(connection):
    """The type of the next message."""
    def exactly(n):
        data = b""
        while len(data) < n:
            part = connection.recv(n - len(data))
            if not part:
                raise ConnectionError("closed by the daemon")
            data += part
        return data
    length, kind = struct.unpack("!HB", exactly(19)[16:])
    body = exactly(length - 19)
    if kind == 3:
        raise ConnectionError(f"NOTIFICATION {body[:2].hex()}")
    return kind


def establish(last, asn, identifier, to):
    """A session; tries until the daemon takes it."""
    while True:
        try:
            connection = socket.create_connection((to, 179), 5, (f"192.0.2.{last}", 0))
            connection.sendall(open_message(asn, identifier))
            while read_message(connection) != 1:
                pass
            connection.sendall(message(4, b""))
            while read_message(connection) != 4:
                pass
            return connection
        except OSError as error:
            print(f"192.0.2.{last}: {error}", flush=True)
            time.sleep(0.5)


def note(name):
    with open(f"/run/{name}", "w", encoding="ascii") as file:
        file.write("yes\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    sessions = {last: establish(last, asn, identifier, options.to) for last, asn, identifier in NEIGHBORS}
    scripts = {last: script(options.seed, last, asn, options.fresh) for last, asn, _ in NEIGHBORS}
    # The order between neighbours is another for each daemon: what is best must not depend on it.
    order = [last for last in scripts for _ in scripts[last]]
    random.shuffle(order)
    for last in order:
        sessions[last].sendall(scripts[last].pop(0))
    for connection in sessions.values():
        connection.sendall(message(2, bytes(4)))  # End-of-RIB
    note("sent")
    last_keepalive = time.monotonic()
    while True:
        readable, _, _ = select.select(list(sessions.values()), [], [], 0.2)
        for connection in readable:
            read_message(connection)
        if time.monotonic() - last_keepalive > 20:
            last_keepalive = time.monotonic()
            for connection in sessions.values():
                connection.sendall(message(4, b""))
        if os.path.exists("/run/drop") and 1 in sessions:
            for last in (1, 5):
                connection = sessions.pop(last)
                connection.sendall(message(3, bytes([6, 2])))
                connection.close()
            note("dropped")


if __name__ == "__main__":
    main()
