"""A router that says what a test wants: just enough BGP-4 (RFC 4271, 4-octet ASNs, IPv6 unicast) to fill a daemon over
loopback, hostile strings included. It reads what it is sent and forgets it."""

import ipaddress
import socket
import struct
import threading

HOLD_S = 90
MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4


def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(flags, code, value):
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
    return struct.pack("!BBB", flags, code, len(value)) + value


def nlri(prefix):
    network = ipaddress.ip_network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


def attributes(path, next_hop=None, communities=(), large=(), otc=None, med=None):
    """The attributes of a route; `path` may hold a tuple for an AS_SET."""
    value = b""
    run = []
    for asn in list(path) + [None]:
        if isinstance(asn, int):
            run.append(asn)
            continue
        if run:
            value += struct.pack(f"!BB{len(run)}I", 2, len(run), *run)
            run = []
        if asn:
            value += struct.pack(f"!BB{len(asn)}I", 1, len(asn), *asn)
    out = attribute(0x40, 1, b"\0") + attribute(0x40, 2, value)
    if next_hop:
        out += attribute(0x40, 3, ipaddress.ip_address(next_hop).packed)
    if med is not None:
        out += attribute(0x80, 4, struct.pack("!I", med))
    if communities:
        words = [struct.pack("!HH", *map(int, text.split(":"))) for text in communities]
        out += attribute(0xC0, 8, b"".join(words))
    if large:
        out += attribute(0xC0, 32, b"".join(struct.pack("!III", *map(int, text.split(":"))) for text in large))
    if otc is not None:
        out += attribute(0xC0, 35, struct.pack("!I", otc))
    return out


class Speaker:
    """A session from `address` with the daemon on `port`."""

    def __init__(self, address, asn, port):
        self.address, self.asn, self.port = address, asn, port
        self.up = threading.Event()
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
        self.socket.settimeout(None)
        capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x01\x04\x00\x02\x00\x01" + b"\x41\x04" + struct.pack("!I", asn)
        parameters = bytes([2, len(capabilities)]) + capabilities
        identifier = ipaddress.ip_address(address).packed
        self.send(OPEN, struct.pack("!BHH", 4, asn if asn < 65536 else 23456, HOLD_S) + identifier + bytes([len(parameters)]) + parameters)
        # Not before our OPEN: it would be answered with a KEEPALIVE too early.
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.beat, daemon=True).start()

    def send(self, kind, body=b""):
        with self.lock:
            self.socket.sendall(message(kind, body))

    def octets(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def read(self):
        try:
            while True:
                length, kind = struct.unpack("!HB", self.octets(19)[16:])
                self.octets(length - 19)
                if kind == OPEN:
                    self.send(KEEPALIVE)
                elif kind == KEEPALIVE:
                    self.up.set()
                elif kind == NOTIFICATION:
                    return
        except OSError:
            pass

    def beat(self):
        while not self.stopped.wait(HOLD_S / 3):
            try:
                self.send(KEEPALIVE)
            except OSError:
                return

    def announce(self, prefixes, path, **more):
        """Announces prefixes of one family with one set of attributes."""
        prefixes = [prefixes] if isinstance(prefixes, str) else list(prefixes)
        if ":" in prefixes[0]:
            hop = ipaddress.ip_address("2001:db8:ffff::1").packed
            for at in range(0, len(prefixes), 150):
                reach = struct.pack("!HBB", 2, 1, len(hop)) + hop + b"\0" + b"".join(map(nlri, prefixes[at : at + 150]))
                attrs = attributes(path, **more) + attribute(0x80, 14, reach)
                self.send(UPDATE, struct.pack("!HH", 0, len(attrs)) + attrs)
            return
        attrs = attributes(path, next_hop=self.address, **more)
        for at in range(0, len(prefixes), 700):
            self.send(UPDATE, struct.pack("!HH", 0, len(attrs)) + attrs + b"".join(map(nlri, prefixes[at : at + 700])))

    def withdraw(self, prefix):
        gone = nlri(prefix)
        self.send(UPDATE, struct.pack("!H", len(gone)) + gone + b"\0\0")

    def end_of_rib(self):
        self.send(UPDATE, b"\0\0\0\0")
        end = attribute(0x80, 15, struct.pack("!HB", 2, 1))
        self.send(UPDATE, struct.pack("!HH", 0, len(end)) + end)

    def shut(self, text):
        """Ends the session with Administrative Shutdown and words (RFC 9003)."""
        words = text.encode()
        self.stopped.set()
        try:
            self.send(NOTIFICATION, bytes([6, 2, len(words)]) + words)
        finally:
            self.socket.close()

    def close(self):
        self.stopped.set()
        self.socket.close()
