"""Two neighbours of each of three daemons: AS 64497 sends every route of world.py, AS 64498 reads what the daemon tells.

/run/agree says of each daemon how many routes it marks as RFC 6811 asks while each edition of the payloads is in force;
/run/lost which session ended.
"""

import collections
import itertools
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, "/run/lab")
sys.dont_write_bytecode = True

import world  # noqa: E402  (its folder is known only now)

FEEDER, LISTENER = 64497, 64498
DAEMONS = ["rw", "bird", "frr"]
EDITIONS = [1, 2]


def attribute(flags, code, value):
    return bytes([flags, code, len(value)]) + value


def message(kind, body):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def open_message(asn, address):
    capabilities = b"\x01\x04\0\x01\0\x01" + b"\x41\x04" + struct.pack("!I", asn)
    parameters = bytes([2, len(capabilities)]) + capabilities
    return message(1, struct.pack("!BHH", 4, asn, 180) + socket.inet_aton(address) + bytes([len(parameters)]) + parameters)


def packed(prefixes):
    octets = bytearray()
    for prefix in prefixes:
        length = prefix & 63
        octets += bytes([length]) + struct.pack("!I", prefix >> 6)[: (length + 7) // 8]
    return bytes(octets)


def updates(next_hop):
    """UPDATEs of all routes, those of one origin together."""
    by_origin = collections.defaultdict(list)
    for prefix, origin in world.routes().items():
        by_origin[origin].append(prefix)
    for origin, prefixes in by_origin.items():
        attributes = attribute(0x40, 1, b"\0") + attribute(0x40, 2, struct.pack("!BBII", 2, 2, FEEDER, origin))
        attributes += attribute(0x40, 3, socket.inet_aton(next_hop))
        for at in range(0, len(prefixes), 700):
            yield message(2, struct.pack("!HH", 0, len(attributes)) + attributes + packed(prefixes[at : at + 700]))
    yield message(2, bytes(4))


class Session:
    """One session: what is to be sent, what came, and for a listener the marks of the routes that it has."""

    def __init__(self, daemon, asn, subnet, expected):
        self.daemon, self.asn, self.marks, self.queue, self.rest = daemon, asn, {}, bytearray(), b""
        # How many routes are marked as each edition asks; kept as marks change, since a look at all of them takes long.
        self.expected, self.agree = expected, [0] * len(expected)
        own, self.peer = f"192.0.2.{subnet + (1 if asn == FEEDER else 3)}", f"192.0.2.{subnet + 2}"
        self.own = own
        self.socket = None

    def establish(self):
        while True:
            try:
                self.socket = socket.create_connection((self.peer, 179), 5, source_address=(self.own, 0))
                self.socket.sendall(open_message(self.asn, self.own) + message(4, b""))
                break
            except OSError as error:
                print(f"{self.daemon}: {error}", flush=True)
                time.sleep(0.3)
        self.socket.setblocking(False)

    def read(self):
        """Takes what came; whether marks changed."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionError("closed by the daemon")
        self.rest += data
        at, news = 0, False
        while len(self.rest) - at >= 19:
            length, kind = struct.unpack_from("!HB", self.rest, at + 16)
            if len(self.rest) - at < length:
                break
            body = self.rest[at + 19 : at + length]
            if kind == 3:
                raise ConnectionError(f"NOTIFICATION {body.hex()}")
            if kind == 2 and self.asn == LISTENER:
                news = True
                self.take(body)
            at += length
        self.rest = self.rest[at:]
        return news

    def take(self, body):
        withdrawn = struct.unpack_from("!H", body)[0]
        for prefix in prefixes(body[2 : 2 + withdrawn]):
            self.mark(prefix, None)
        at = 2 + withdrawn
        end = at + 2 + struct.unpack_from("!H", body, at)[0]
        at, mark = at + 2, None
        while at < end:
            flags, code = body[at], body[at + 1]
            length, head = (struct.unpack_from("!H", body, at + 2)[0], 4) if flags & 0x10 else (body[at + 2], 3)
            if code == 8:
                marks = [low for high, low in struct.iter_unpack("!HH", body[at + head : at + head + length]) if high == 64496]
                mark = marks[0] if len(marks) == 1 else marks
            at += head + length
        for prefix in prefixes(body[end:]):
            self.mark(prefix, mark)

    def mark(self, prefix, mark):
        before = self.marks.get(prefix)
        for at, verdicts in enumerate(self.expected):
            self.agree[at] += (verdicts.get(prefix) == mark) - (verdicts.get(prefix) == before)
        if mark is None:
            self.marks.pop(prefix, None)
        else:
            self.marks[prefix] = mark

    def write(self):
        if self.queue:
            sent = self.socket.send(self.queue[: 1 << 18])
            del self.queue[:sent]


def prefixes(octets):
    at = 0
    while at < len(octets):
        length = octets[at]
        size = (length + 7) // 8
        yield int.from_bytes(octets[at + 1 : at + 1 + size].ljust(4, b"\0"), "big") << 6 | length
        at += 1 + size


def report(sessions, quiet):
    lines = []
    for session in sessions:
        for edition, verdicts, agree in zip(EDITIONS, session.expected, session.agree):
            told = len(session.marks)
            lines.append(f"{session.daemon} edition {edition}: {agree} of {len(verdicts)} routes agree, {told} told")
            if quiet and len(verdicts) - 5000 < agree < len(verdicts):
                differ = (prefix for prefix, state in verdicts.items() if session.marks.get(prefix) != state)
                for prefix in itertools.islice(differ, 3):
                    route = world.text(prefix >> 6, prefix & 63)
                    lines.append(f"  {route}: should be {verdicts[prefix]}, is {session.marks.get(prefix)}")
    with open("/run/agree.new", "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    os.rename("/run/agree.new", "/run/agree")


def main():
    expected = [world.verdicts(edition) for edition in EDITIONS]
    sessions = [Session(daemon, asn, 8 * at, expected) for at, daemon in enumerate(DAEMONS) for asn in (LISTENER, FEEDER)]
    for session in sessions:
        session.establish()
    for session in sessions:
        if session.asn == FEEDER:
            for octets in updates(session.own):
                session.queue += octets
    keepalive, changed, examples, last = time.monotonic(), True, True, 0.0
    while True:
        writing = [session.socket for session in sessions if session.queue]
        readable, writable, _ = select.select([session.socket for session in sessions], writing, [], 0.3)
        for session in list(sessions):
            try:
                if session.socket in readable and session.read():
                    changed, examples, last = True, True, time.monotonic()
                if session.socket in writable:
                    session.write()
            except OSError as error:
                with open("/run/lost", "a", encoding="ascii") as file:
                    file.write(f"lost {session.daemon} {session.asn}: {error}\n")
                sessions.remove(session)
        now = time.monotonic()
        if now - keepalive > 30:
            keepalive = now
            for session in sessions:
                session.queue += message(4, b"")
        listeners = [session for session in sessions if session.asn == LISTENER]
        if changed and now - last > 0.5:
            changed = False
            report(listeners, False)
        elif examples and now - last > 10:
            examples = False
            report(listeners, True)


if __name__ == "__main__":
    main()
