"""One BGP neighbour of four daemons: AS 64497 sends each the routes of world.py, IPv4 and IPv6, and keeps its sessions.

It offers no route refresh. When a session ends, /run/lost says which.
"""

import select
import socket
import struct
import sys
import time

sys.path.insert(0, "/run/lab")
sys.dont_write_bytecode = True

import world  # noqa: E402  (its folder is known only now)

ASN = 64497
DAEMONS = ["rw", "bird", "frr", "obgp"]


def attribute(flags, code, value):
    return bytes([flags, code, len(value)]) + value


def message(kind, body):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def update(prefix, path, link):
    """An UPDATE with one route; IPv6 in MP_REACH_NLRI (RFC 4760 §3)."""
    path = [ASN, *path]
    octets = bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
    attributes = attribute(0x40, 1, b"\0")
    attributes += attribute(0x40, 2, bytes([2, len(path)]) + b"".join(struct.pack("!I", asn) for asn in path))
    if prefix.version == 4:
        attributes += attribute(0x40, 3, bytes([192, 0, 2, 4 * link + 1]))
        nlri = octets
    else:
        next_hop = socket.inet_pton(socket.AF_INET6, f"2001:db8:ffff:{link + 1}::1")
        attributes += attribute(0x80, 14, b"\0\x02\x01\x10" + next_hop + b"\0" + octets)
        nlri = b""
    return message(2, struct.pack("!HH", 0, len(attributes)) + attributes + nlri)


def open_message(link):
    capabilities = b"\x01\x04\0\x01\0\x01" + b"\x01\x04\0\x02\0\x01" + b"\x41\x04" + struct.pack("!I", ASN)
    parameters = bytes([2, len(capabilities)]) + capabilities
    head = struct.pack("!BHH", 4, ASN, 90) + bytes([192, 0, 2, 4 * link + 1, len(parameters)])
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
        raise ConnectionError(f"NOTIFICATION {body.hex()}")
    return kind


def establish(link):
    """A session; tries until the daemon takes it."""
    while True:
        try:
            connection = socket.create_connection((f"192.0.2.{4 * link + 2}", 179), 5)
            connection.sendall(open_message(link))
            while read_message(connection) != 1:
                pass
            connection.sendall(message(4, b""))
            while read_message(connection) != 4:
                pass
            return connection
        except OSError as error:
            print(f"{DAEMONS[link]}: {error}", flush=True)
            time.sleep(0.5)


def main():
    sessions = {establish(link): link for link in range(len(DAEMONS))}
    for connection, link in sessions.items():
        for prefix, path in world.routes().items():
            connection.sendall(update(prefix, path, link))
        connection.sendall(message(2, bytes(4)))  # End-of-RIB of IPv4
        connection.sendall(message(2, b"\0\0\0\x06\x80\x0f\x03\0\x02\x01"))  # and of IPv6
    last_keepalive = time.monotonic()
    while True:
        for connection in select.select(list(sessions), [], [], 0.2)[0]:
            try:
                read_message(connection)
            except ConnectionError as error:
                with open("/run/lost", "a", encoding="ascii") as file:
                    file.write(f"lost {DAEMONS[sessions.pop(connection)]}: {error}\n")
        if time.monotonic() - last_keepalive > 20:
            last_keepalive = time.monotonic()
            for connection in sessions:
                connection.sendall(message(4, b""))


if __name__ == "__main__":
    main()
