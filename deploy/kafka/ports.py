"""Ports for one cluster, taken so that several clusters on one machine never meet.

They lie below the range from which Linux picks the local port of an outgoing connection (32768 and up): else a client
that reconnects while its broker is down could be given the broker's own port.
"""

import fcntl
import json
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST, SLOT = 20000, 32000, 16
RESERVATIONS = Path(tempfile.gettempdir()) / f"millstream-kafka-ports-{os.getuid()}"


def reserve(owner, count):
    """`count` free ports, noted as taken by the folder `owner` until `release`, or until that folder is gone."""
    RESERVATIONS.mkdir(exist_ok=True)
    with open(RESERVATIONS / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        slots = list(range(FIRST, LAST, SLOT))
        random.shuffle(slots)
        for slot in slots:
            note = RESERVATIONS / str(slot)
            if note.exists() and Path(json.loads(note.read_text())).exists():
                continue
            ports = list(range(slot, slot + count))
            if all(is_free(port) for port in ports):
                note.write_text(json.dumps(str(owner)))
                return ports
    raise OSError(f"no {count} neighbouring ports are free between {FIRST} and {LAST}")


def release(port):
    """Give back the ports of which `port` is the first."""
    (RESERVATIONS / str(port)).unlink(missing_ok=True)


def is_free(port):
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
