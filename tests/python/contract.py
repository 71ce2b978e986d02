"""The wire contract as an outsider implements it: named tensors in MessagePack, CloudEvents headers. Needs msgpack and numpy.

Nothing here comes from the project's own code, so a mistake there is not repeated here.
"""

import hashlib
import json
import os
import struct
import time
import uuid
from datetime import datetime, timezone

import msgpack
import numpy as np

MSGPACK = "application/vnd.msgpack"
JSON = "application/json"
JOB, RESULT, FAILURE = (f"dev.millstream.{kind}.v1" for kind in ("job", "result", "failure"))

NUMPY = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = {np.dtype(code): name for name, code in NUMPY.items()}


def tensor(name, array):
    """An array as a tensor of the contract."""
    array = np.asarray(array)
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"name": name, "datatype": DATATYPES[little.dtype], "shape": list(array.shape), "data": little.tobytes()}


def byte_strings(name, items):
    """Byte strings as a BYTES tensor: each a u32 length and its bytes."""
    data = b"".join(struct.pack("<I", len(item)) + item for item in items)
    return {"name": name, "datatype": "BYTES", "shape": [len(items)], "data": data}


def values(tensor):
    """The elements of a tensor: a numpy array, or for BYTES an array of `bytes`."""
    shape, data = tensor["shape"], tensor["data"]
    if tensor["datatype"] != "BYTES":
        return np.frombuffer(data, NUMPY[tensor["datatype"]]).reshape(shape)
    items, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)


def job(*inputs, parameters=None):
    body = {"inputs": list(inputs)}
    if parameters is not None:
        body["parameters"] = parameters
    return msgpack.packb(body, use_bin_type=True)


def read_body(content_type, value):
    """A result or a failure, from either encoding that they are written in."""
    if content_type == JSON:
        return json.loads(value)
    assert content_type == MSGPACK, f"an outcome comes as {MSGPACK} or {JSON}, not {content_type!r}"
    return msgpack.unpackb(value, raw=False, strict_map_key=True)


def uuid7():
    """A UUID of version 7: milliseconds first, so that ids sort by time."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))


def now():
    """The time as RFC 3339."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def traceparent():
    """A new W3C trace context, sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


def job_headers(pipeline, content_type, id, client="python"):
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_type", JOB.encode()),
        ("ce_source", f"/millstream/producer/{client}".encode()),
        ("ce_subject", pipeline.encode()),
        ("ce_time", now().encode()),
        ("content-type", content_type.encode()),
        ("traceparent", traceparent().encode()),
    ]


def shown(value):
    """Bytes as text in a report: UTF-8 as it is, anything else in hexadecimal, null as null."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "hex:" + value.hex()


def fingerprint(key, value, headers):
    """A digest of a whole record: equal only if key, value and headers, in their order, are the same bytes."""
    digest = hashlib.sha256()
    for part in [key, value, *(part for name, content in headers for part in (name.encode(), content))]:
        digest.update(b"-" if part is None else struct.pack("<Q", len(part)) + part)
    return digest.hexdigest()
