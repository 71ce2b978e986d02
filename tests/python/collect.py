"""Read a topic of terminal records (results, or dead letters) from offset 0, and report every record in it.

    collect.py --brokers B --topic T --report FILE              everything up to the end as it is now
    collect.py --brokers B --topic T --report FILE --lines      the same without headers, one record a line
    collect.py --brokers B --topic T --until N --timeout S      wait until N different ids are there, report nothing
"""

import argparse
import json
from pathlib import Path

import contract
from clients import Deadline, TopicReader


def value_of(headers, name):
    found = [value for header, value in headers if header == name]
    return contract.shown(found[-1]) if found else None


def id_of(message):
    for name, value in message.headers() or []:
        if name == "ce_id":
            return value
    return None


def plain(values):
    return [contract.shown(value) if isinstance(value, bytes) else value for value in values.tolist()]


def outputs_of(body):
    """Outputs by name, flat; JSON results carry their numbers readily."""
    read = {}
    for tensor in body["outputs"]:
        if isinstance(tensor["data"], bytes):
            read[tensor["name"]] = plain(contract.values(tensor).reshape(-1))
        else:
            read[tensor["name"]] = tensor["data"]
    return read


def lean_row(message):
    """What a verdict needs and no more: there may be a million of them."""
    headers = dict(message.headers() or [])
    body = contract.read_body(contract.shown(headers["content-type"]), message.value())
    facts = {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1],
        "key": contract.shown(message.key()),
        "id": contract.shown(headers["ce_id"]),
    }
    if headers["ce_type"].decode() == contract.RESULT:
        return facts | {"kind": "result", "outputs": outputs_of(body)}
    return facts | {"kind": "failure", "failure": body}


def row(message, body_too):
    headers = message.headers() or []
    reason = {name: contract.shown(value) for name, value in headers if name.startswith("ms_error_")}
    original = [(name, value) for name, value in headers if not name.startswith("ms_error_")]
    facts = {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1],
        "key": contract.shown(message.key()),
        "id": value_of(headers, "ce_id"),
        "headers": [[name, contract.shown(value)] for name, value in headers],
        "reason": reason,
        "original": contract.fingerprint(message.key(), message.value(), original),
    }
    if body_too:
        kind = value_of(headers, "ce_type")
        body = contract.read_body(value_of(headers, "content-type"), message.value())
        facts["kind"] = {contract.RESULT: "result", contract.FAILURE: "failure"}[kind]
        if kind == contract.RESULT:
            model = {"name": body["model_name"], "version": body["model_version"]}
            facts |= {"outputs": outputs_of(body), "parameters": body.get("parameters", {}), "model": model}
        else:
            facts["failure"] = body
    return facts


def wait_until(reader, count):
    ids = set()
    while len(ids) < count:
        if reader.deadline.passed():
            raise SystemExit(f"topic {reader.topic}: {len(ids)} of {count} ids in time")
        ids.update(id_of(message) for message in reader.chunk())
    print(f"{len(ids)} ids on {reader.topic}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--until", type=int)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--dead-letters", action="store_true", help="the bodies are original jobs, not outcomes")
    parser.add_argument("--lines", action="store_true", help="one lean record a line")
    asked = parser.parse_args()

    reader = TopicReader(asked.brokers, asked.topic, Deadline(asked.timeout))
    if asked.until is not None:
        wait_until(reader, asked.until)
    if asked.lines:
        count = 0
        with asked.report.open("w") as report:
            for count, message in enumerate(reader.to_end(), 1):
                report.write(json.dumps(lean_row(message)) + "\n")
        print(f"{count} records on {asked.topic}")
    elif asked.report:
        rows = [row(message, not asked.dead_letters) for message in reader.to_end()]
        asked.report.write_text(json.dumps(rows))
        print(f"{len(rows)} records on {asked.topic}")


if __name__ == "__main__":
    main()
