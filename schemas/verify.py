#!/usr/bin/env python3
"""Checks every golden vector against an implementation written from SPEC.md, with msgpack and numpy and nothing else.

Each vector is read as its headers say: a good one must come to the meaning stated beside it, and writing that meaning
must give the same bytes where they are canonical, and the same meaning elsewhere; a bad one must be refused with the
stated code and path. Run it from anywhere: `python verify.py`.
"""

import json
import math
import re
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgpack
import numpy as np

VECTORS = Path(__file__).parent / "vectors"
MAX_RECORD_BYTES, MAX_TENSORS, MAX_RANK, MAX_ELEMENTS, MAX_PARAMETERS, MAX_DEPTH = 4 << 20, 64, 8, 16 << 20, 128, 32

NUMPY = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8",
}
CODES = {"invalid_input", "undecodable", "too_large", "model_error", "timeout", "expired", "cancelled", "internal"}
TYPES = {f"dev.millstream.{kind}.v1" for kind in ("job", "result", "failure")}
CANCEL_TYPE = "dev.millstream.cancel.v1"


class Refused(Exception):
    """A record that is not accepted. A path of None is one that this implementation cannot tell."""

    def __init__(self, code, path, message=""):
        super().__init__(f"{code} at {path}: {message}")
        self.code, self.path = code, path


class Pairs:
    """A map as its pairs, so that keys that come twice can be seen."""

    def __init__(self, pairs):
        self.pairs = pairs


def invalid(path, message=""):
    return Refused("invalid_input", path, message)


# --- headers ----------------------------------------------------------------------------------------------------------


def read_headers(headers):
    """Returns what the known headers say, how many unknown ones there are, and the first fault."""
    known, unknown, seen, fault = {}, 0, set(), None
    for name, value in headers:
        if name.startswith(("ms_error_", "ms_retry_")):
            continue
        if name not in HEADERS:
            unknown += 1
            continue
        repeated = name in seen and name not in ("traceparent", "tracestate")
        seen.add(name)
        known.pop(name, None)
        try:
            if repeated or value is None:
                raise ValueError("comes twice, or has no value")
            text = value.decode("utf-8")
            HEADERS[name](text)
            known[name] = text
        except ValueError as error:
            fault = fault or invalid(f"headers.{name}", str(error))
    return known, unknown, fault


def any_text(text):
    return text


def exactly(*values):
    def check(text):
        if text not in values:
            raise ValueError(f"{text} is none of {values}")

    return check


def job_id(text):
    size = len(text.encode())
    if not 1 <= size <= 256 or any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text):
        raise ValueError("1 to 256 bytes without control characters")


def attempt(text):
    if not re.fullmatch("[1-9][0-9]*", text) or int(text) >= 1 << 32:
        raise ValueError("a whole number from 1")


def unix_micros(text):
    pattern = r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)"
    found = re.fullmatch(pattern, text, re.ASCII)
    if not found:
        raise ValueError("not RFC 3339")
    day, clock, fraction, zone = found.groups()
    at = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    if zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        offset = timedelta(hours=hours, minutes=minutes)
        at = at - offset if zone[0] == "+" else at + offset
    seconds = (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])


HEADERS = {
    "ce_specversion": exactly("1.0"), "ce_id": job_id, "ce_type": exactly(*TYPES), "ce_source": any_text,
    "ce_subject": any_text, "ce_time": unix_micros, "ce_deadline": unix_micros, "ce_batchid": any_text,
    "ce_attempt": attempt, "ce_replyto": any_text, "ce_priority": any_text, "content-type": any_text,
    "traceparent": any_text, "tracestate": any_text, "ms_model": any_text, "ms_model_version": any_text,
    "ms_model_digest": any_text, "ms_pipeline_digest": any_text,
}


def read_dead_letter(headers):
    found = {name[9:]: value.decode() for name, value in headers if name.startswith("ms_error_")}
    if not found:
        return None
    return found | {"partition": int(found["partition"]), "offset": int(found["offset"])}


def read_retry(headers):
    found = {name[9:]: value.decode() for name, value in headers if name.startswith("ms_retry_")}
    if found:
        unix_micros(found["due"])
    return found or None


def last(headers, wanted):
    values = [value for name, value in headers if name == wanted]
    return values[-1].decode() if values else None


def read_cancellation(headers):
    """What a record on the topic of cancellations withdraws: headers alone say it."""
    named = {"ce_type": any_text, "ce_id": job_id, "ce_batchid": any_text}
    found = {}
    for name, value in headers:
        if name in named:
            try:
                if value is None or name in found:
                    raise ValueError("comes twice, or has no value")
                named[name](found.setdefault(name, value.decode("utf-8")))
            except ValueError as error:
                raise invalid(f"headers.{name}", str(error)) from None
    if found.get("ce_type") != CANCEL_TYPE:
        raise invalid("headers.ce_type", f"not {CANCEL_TYPE}")
    if ("ce_id" in found) == ("ce_batchid" in found):
        raise invalid("headers.ce_id", "a job or a batch, and not both")
    if found.get("ce_batchid") == "":
        raise invalid("headers.ce_batchid", "is empty")
    return {"id": found["ce_id"]} if "ce_id" in found else {"batch_id": found["ce_batchid"]}


# --- bodies -----------------------------------------------------------------------------------------------------------


def encoding_of(content_type):
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type in ("application/vnd.msgpack", "application/msgpack", "application/x-msgpack"):
        return "msgpack"
    return "json" if media_type == "application/json" else None


def parse(body, encoding):
    """The value a body holds, or a refusal: it must be one well-formed value and nothing else."""
    try:
        if encoding == "msgpack":
            return msgpack.unpackb(body, raw=False, strict_map_key=False, object_pairs_hook=Pairs)
        value = json.loads(body.decode("utf-8"), object_pairs_hook=Pairs, parse_constant=no_constant)
        no_lone_surrogates(value)
        return value
    except (msgpack.StackError, RecursionError):
        raise Refused("too_large", None, "nested too deep") from None
    except (ValueError, msgpack.UnpackException) as error:
        raise Refused("undecodable", None, str(error)) from None


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def no_lone_surrogates(value):
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, list):
        for item in value:
            no_lone_surrogates(item)
    elif isinstance(value, Pairs):
        for key, item in value.pairs:
            no_lone_surrogates(key)
            no_lone_surrogates(item)


def read(body, content_type, reads_as):
    if len(body) > MAX_RECORD_BYTES:
        raise Refused("too_large", "body")
    encoding = encoding_of(content_type)
    is_job = reads_as.endswith("job.v1")
    if encoding is None:
        if not is_job:
            raise invalid("headers.content-type")
        return raw(body, content_type)
    value = parse(body, encoding)
    if encoding == "json" and is_job:
        if not (isinstance(value, Pairs) and any(key == "inputs" for key, _ in value.pairs)):
            if depth(value) > MAX_DEPTH:
                raise Refused("too_large", "body")
            return raw(body, content_type)
    if is_job:
        keys = {"inputs": tensors_of(encoding), "parameters": parameters_of(encoding)}
        fields = read_map(value, "", keys, {"parameters"})
        return {"inputs": fields["inputs"], "parameters": fields.get("parameters", {})}
    if reads_as.endswith("result.v1"):
        keys = {"model_name": read_str, "model_version": read_str}
        keys |= {"outputs": tensors_of(encoding), "parameters": parameters_of(encoding)}
        fields = read_map(value, "", keys, {"parameters"})
        return fields | {"parameters": fields.get("parameters", {})}
    keys = {"stage": read_str, "code": read_code, "message": read_str, "attempt": read_attempt, "retriable": read_bool}
    return read_map(value, "", keys, set())


def raw(body, content_type):
    tensor = {"name": "payload", "datatype": "BYTES", "shape": [1], "data": struct.pack("<I", len(body)) + body}
    return {"inputs": [tensor], "parameters": {} if content_type is None else {"content_type": content_type}}


def read_map(value, path, keys, optional):
    if not isinstance(value, Pairs):
        raise invalid(path or "body", "not a map")
    fields = {}
    for key, item in value.pairs:
        if not isinstance(key, str):
            raise invalid(path or "body", "a key that is no str")
        below = f"{path}.{key}" if path else key
        if key not in keys:
            if depth(item) > MAX_DEPTH:
                raise Refused("too_large", below)
        elif key in fields:
            raise invalid(below, "comes twice")
        else:
            fields[key] = keys[key](item, below)
    for key in keys:
        if key not in fields and key not in optional:
            raise invalid(f"{path}.{key}" if path else key, "missing")
    return fields


def depth(value):
    """How many maps and arrays stand inside each other."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, (list, Pairs))]:
        deepest += 1
        level = [held for item in level for held in held_by(item)]
    return deepest


def held_by(container):
    return container if isinstance(container, list) else [item for pair in container.pairs for item in pair]


def read_str(value, path):
    if not isinstance(value, str):
        raise invalid(path, "not a str")
    return value


def read_bool(value, path):
    if not isinstance(value, bool):
        raise invalid(path, "not a bool")
    return value


def is_int(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def read_uint(value, path):
    if not is_int(value, 0, 1 << 64):
        raise invalid(path, "not an unsigned int")
    return value


def read_attempt(value, path):
    if read_uint(value, path) >= 1 << 32:
        raise invalid(path)
    return value


def read_code(value, path):
    if read_str(value, path) not in CODES:
        raise invalid(path)
    return value


def parameters_of(encoding):
    def read_parameters(value, path):
        if not isinstance(value, Pairs):
            raise invalid(path, "not a map")
        parameters = {}
        for key, item in value.pairs:
            if not isinstance(key, str):
                raise invalid(path, "a key that is no str")
            below = f"{path}.{key}"
            if not isinstance(item, (bool, float, str)) and not is_int(item, -1 << 63, 1 << 63):
                raise invalid(below, "no kind of parameter")
            if encoding == "json" and isinstance(item, float) and not math.isfinite(item):
                raise invalid(below, "beyond a double")
            if key in parameters:
                raise invalid(below, "comes twice")
            parameters[key] = item
            if len(parameters) > MAX_PARAMETERS:
                raise Refused("too_large", below)
        return parameters

    return read_parameters


def tensors_of(encoding):
    def read_tensors(value, path):
        if not isinstance(value, list):
            raise invalid(path, "not an array")
        if len(value) > MAX_TENSORS:
            raise Refused("too_large", path)
        return [read_tensor(item, f"{path}[{index}]", encoding) for index, item in enumerate(value)]

    return read_tensors


def read_tensor(value, path, encoding):
    def read_data(data, below):
        if not isinstance(data, bytes if encoding == "msgpack" else list):
            raise invalid(below, "neither bin nor, in JSON, an array")
        return data

    def read_datatype(name, below):
        if read_str(name, below) not in NUMPY and name != "BYTES":
            raise invalid(below, "no datatype of the contract")
        return name

    keys = {"name": read_str, "datatype": read_datatype, "shape": read_shape, "data": read_data}
    tensor = read_map(value, path, keys, set())
    datatype, shape, below = tensor["datatype"], tensor["shape"], f"{path}.data"
    if encoding == "json":
        tensor["data"] = data_from_json(tensor["data"], datatype, shape, below)
    check_data(tensor["data"], datatype, math.prod(shape), below)
    return tensor


def read_shape(value, path):
    if not isinstance(value, list):
        raise invalid(path, "not an array")
    if len(value) > MAX_RANK:
        raise Refused("too_large", path)
    shape = [read_uint(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if math.prod(dimension for dimension in shape if dimension) > MAX_ELEMENTS:
        raise Refused("too_large", path)
    return shape


def data_from_json(data, datatype, shape, path):
    if datatype in ("FP16", "BF16"):
        raise invalid(path, "has no form in JSON")
    if data and isinstance(data[0], list):
        data = flattened(data, shape, path)
    if len(data) != math.prod(shape):
        raise invalid(path, "not as many elements as the shape makes")
    for item in data:
        if not fits(item, datatype):
            raise invalid(path, f"not a {datatype}")
    return pack_elements(data, datatype)


def flattened(data, shape, path):
    if not shape or not isinstance(data, list) or len(data) != shape[0]:
        raise invalid(path, "not nested as the shape says")
    if len(shape) == 1:
        return data
    return [element for row in data for element in flattened(row, shape[1:], path)]


def fits(item, datatype):
    if datatype == "BYTES":
        return isinstance(item, str)
    if datatype == "BOOL":
        return isinstance(item, bool)
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return False
    if datatype.startswith("FP"):
        with np.errstate(over="ignore"):
            try:
                return bool(np.isfinite(np.array(float(item), NUMPY[datatype])))
            except OverflowError:
                return False
    limits = np.iinfo(NUMPY[datatype])
    return isinstance(item, int) and limits.min <= item <= limits.max


def check_data(data, datatype, count, path):
    if datatype == "BYTES":
        at = 0
        for _ in range(count):
            if at + 4 > len(data) or at + 4 + struct.unpack_from("<I", data, at)[0] > len(data):
                raise invalid(path, "ends inside an element")
            at += 4 + struct.unpack_from("<I", data, at)[0]
        if at != len(data):
            raise invalid(path, "bytes are left over")
    elif len(data) != count * np.dtype(NUMPY[datatype]).itemsize:
        raise invalid(path, "not as long as shape and datatype make it")
    elif datatype == "BOOL" and any(byte > 1 for byte in data):
        raise invalid(path, "neither 0 nor 1")


# --- elements ---------------------------------------------------------------------------------------------------------


def pack_elements(elements, datatype):
    """The bytes of these elements: numbers, booleans, or for BYTES text or bytes."""
    if datatype == "BYTES":
        items = [item.encode() if isinstance(item, str) else item for item in elements]
        return b"".join(struct.pack("<I", len(item)) + item for item in items)
    if datatype == "BF16":
        return (np.array(elements, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    with np.errstate(over="ignore"):
        return np.array(elements, NUMPY[datatype]).tobytes()


def unpack_elements(data, datatype):
    if datatype == "BYTES":
        items, at = [], 0
        while at < len(data):
            end = at + 4 + struct.unpack_from("<I", data, at)[0]
            items.append(data[at + 4 : end])
            at = end
        return items
    if datatype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").tolist()
    return np.frombuffer(data, NUMPY[datatype]).tolist()


def stated_elements(tensor):
    """The elements as `expected.json` states them, as Python has them."""
    if tensor["datatype"] == "BYTES":
        return [bytes.fromhex(item) for item in tensor["elements"]]
    return [float(item) if isinstance(item, str) else item for item in tensor["elements"]]


def same_elements(found, stated, datatype):
    if datatype == "FP32":
        stated = np.array(stated, "<f4").tolist()
    return same(found, stated)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(message, encoding):
    tensors_key = "inputs" if "inputs" in message else "outputs" if "outputs" in message else None
    ordered = {}
    for key in ("model_name", "model_version", "inputs", "outputs", "stage", "code", "message", "attempt", "retriable"):
        if key in message:
            ordered[key] = message[key]
    if tensors_key:
        ordered[tensors_key] = [written_tensor(tensor, encoding) for tensor in message[tensors_key]]
    if message.get("parameters"):
        ordered["parameters"] = dict(sorted(message["parameters"].items()))
    return msgpack.packb(ordered) if encoding == "msgpack" else json.dumps(ordered, allow_nan=False).encode()


def written_tensor(tensor, encoding):
    data = tensor["data"]
    if encoding == "json":
        data = unpack_elements(data, tensor["datatype"])
        if tensor["datatype"] == "BYTES":
            data = [item.decode() for item in data]
    return {"name": tensor["name"], "datatype": tensor["datatype"], "shape": tensor["shape"], "data": data}


# --- partitions -------------------------------------------------------------------------------------------------------


def partition(key, partitions):
    """The partition of a keyed record: murmur2 as Kafka's Java client has it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        word = word * m & mask
        word = (word ^ word >> 24) * m & mask
        hashed = hashed * m & mask ^ word
    if rest := key[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * m & mask
    hashed = (hashed ^ hashed >> 13) * m & mask
    return ((hashed ^ hashed >> 15) & 0x7FFFFFFF) % partitions


# --- vectors ----------------------------------------------------------------------------------------------------------


def check_vector(name):
    headers = [header_pair(header) for header in json.loads((VECTORS / f"{name}.headers.json").read_text("utf-8"))]
    expected = json.loads((VECTORS / f"{name}.expected.json").read_text("utf-8"))
    if expected["reads_as"] == CANCEL_TYPE:
        return check_cancellation(headers, expected)
    body = (VECTORS / f"{name}.body").read_bytes()

    known, unknown, fault = read_headers(headers)
    position = "{topic}/{partition}/{offset}".format(**expected["position"])
    expect(known.get("ce_id", position), expected["job_id"], "job_id")
    try:
        if fault:
            raise fault
        message = read(body, known.get("content-type"), expected["reads_as"])
    except Refused as refused:
        stated = expected.get("refused")
        if stated is None:
            raise AssertionError(f"is refused: {refused}") from None
        expect(refused.code, stated["code"], "code")
        if refused.path is not None:
            expect(refused.path, stated["path"], "path")
        return "bad"
    if "refused" in expected:
        raise AssertionError(f"is accepted, but {expected['refused']}")

    known.pop("ce_specversion", None)
    expect(known, expected["headers"]["known"], "headers")
    expect(unknown, expected["headers"]["unknown"], "unknown headers")
    for header, stated in (("ce_time", "time_unix_us"), ("ce_deadline", "deadline_unix_us")):
        if stated in expected["headers"]:
            expect(unix_micros(known[header]), expected["headers"][stated], header)
    if "dead_letter" in expected:
        expect(read_dead_letter(headers), expected["dead_letter"], "dead letter")
    expect(read_retry(headers), expected.get("retry"), "retry")
    expect(int(last(headers, "ms_replay_count") or 0), expected.get("replay_count", 0), "replay count")
    expect(last(headers, "ms_defaulted"), expected.get("defaulted"), "defaulted")

    stated = stated_message(expected["message"])
    expect(message, stated, "message")
    check_writing(stated, expected, body, known.get("content-type"))
    return "good"


def check_cancellation(headers, expected):
    try:
        expect(read_cancellation(headers), expected.get("message"), "cancellation")
        return "good"
    except Refused as refused:
        expect({"code": refused.code, "path": refused.path}, expected.get("refused"), "refusal")
        return "bad"


def header_pair(header):
    if "hex" in header:
        return header["name"], bytes.fromhex(header["hex"])
    return header["name"], None if header["value"] is None else header["value"].encode()


def stated_message(message):
    """The message of `expected.json`, its tensors made of the elements stated there."""
    message = dict(message)
    for key in ("inputs", "outputs"):
        if key in message:
            message[key] = [stated_tensor(tensor) for tensor in message[key]]
    return message


def stated_tensor(tensor):
    datatype, elements = tensor["datatype"], stated_elements(tensor)
    data = bytes.fromhex(tensor["data_hex"])
    expect(pack_elements(elements, datatype), data, "elements as bytes")
    if not same_elements(unpack_elements(data, datatype), elements, datatype):
        raise AssertionError(f"bytes as elements: {unpack_elements(data, datatype)}, but {elements}")
    return {"name": tensor["name"], "datatype": datatype, "shape": tensor["shape"], "data": data}


def check_writing(message, expected, body, content_type):
    encoding = encoding_of(content_type)
    is_raw = [tensor["name"] for tensor in message.get("inputs", [])] == ["payload"]
    if is_raw:
        expect(unpack_elements(message["inputs"][0]["data"], "BYTES"), [body], "payload")
        return
    written = write(message, encoding)
    if expected["canonical"]:
        expect(written, body, "bytes")
    expect(read(written, content_type, expected["reads_as"]), message, "message read back")


def expect(found, stated, what):
    if not same(found, stated):
        raise AssertionError(f"{what}: {found!r}, but {stated!r}")


def same(a, b):
    """Equal in type as well: 1, 1.0 and True are three things; NaN is itself, and 0.0 is not -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return repr(a) == repr(b)


def check_record(record):
    """One record that another implementation has read: it was accepted as the same message, or refused alike."""
    try:
        message = read(bytes.fromhex(record["body"]), record["content_type"], record["reads_as"])
    except Refused as refused:
        if record["code"] is None:
            raise AssertionError(f"is refused: {refused}") from None
        # Of a record with several faults, either of the other two codes may be told.
        expect(refused.code == "undecodable", record["code"] == "undecodable", f"undecodable, and not {refused}")
        return
    expect(None, record["code"], "code")
    expect(write(message, "msgpack").hex(), record["written"], "written")


def check_records(path):
    records = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
    wrong = 0
    for record in records:
        try:
            check_record(record)
        except Exception as error:  # one record must not hide the others
            wrong += 1
            found = f"{type(error).__name__}: {error}"[:400]
            print(f"{record['from']}, {record['content_type']}, {record['body'][:400]}: {found}")
    print(f"{wrong} of {len(records)} records are read otherwise")
    return 1 if wrong else 0


def main():
    if sys.argv[1:2] == ["--records"]:
        return check_records(sys.argv[2])
    for key, stated in ((b"kafka", 0x5067CF64), (b"1234", 0x1FC97B14), (b"4", 0x5A4B5CA1), (b"", 0x106E08D9)):
        expect(partition(key, 1 << 31), stated, f"partition of {key!r}")
    names = sorted(path.name.removesuffix(".expected.json") for path in VECTORS.glob("*.expected.json"))
    counts, wrong = {"good": 0, "bad": 0}, 0
    for name in names:
        try:
            counts[check_vector(name)] += 1
        except Exception as error:  # one vector must not hide the others
            wrong += 1
            print(f"{name}: {type(error).__name__}: {error}")
    if wrong or not all(counts.values()):
        print(f"{wrong} of {len(names)} vectors do not hold")
        return 1
    print(f"all {len(names)} vectors hold: {counts['good']} read and written, {counts['bad']} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
