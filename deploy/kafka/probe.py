"""Ask a broker which brokers it knows, in Kafka's own protocol, so that "ready" means that a client would be served.

One Metadata request needs no client library: version 5 is old enough to be plain fields one after the other, and new
enough for Kafka 4.
"""

import socket
import struct

METADATA, VERSION, CORRELATION = 3, 5, 1


def live_brokers(host, port, timeout=2.0):
    """The node ids that the broker at this port lists as alive; empty when it does not answer (yet)."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(metadata_request())
            (length,) = struct.unpack(">i", read_exactly(connection, 4))
            return broker_ids(read_exactly(connection, length))
    except (OSError, struct.error):
        return set()


def metadata_request():
    client = b"millstream-probe"
    header = struct.pack(">hhih", METADATA, VERSION, CORRELATION, len(client)) + client
    # No topics are asked for (an empty list), and none may be created.
    body = struct.pack(">i?", 0, False)
    return struct.pack(">i", len(header) + len(body)) + header + body


def broker_ids(response):
    """The ids in the brokers array: correlation id, throttle time, then (id, host, port, rack) for each broker."""
    at = 8
    (count,) = struct.unpack_from(">i", response, at)
    at += 4
    ids = set()
    for _ in range(count):
        node, host_length = struct.unpack_from(">ih", response, at)
        at += 6 + host_length + 4
        (rack_length,) = struct.unpack_from(">h", response, at)
        at += 2 + max(rack_length, 0)
        ids.add(node)
    return ids


def read_exactly(connection, count):
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise OSError("the broker closed the connection")
        parts += part
    return parts
